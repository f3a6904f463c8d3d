#include "blob.h"

#include <tvm/ffi/error.h>

#include <cstring>

namespace dlcc::opencl {

namespace {

class Reader {
 public:
  Reader(const char* data, size_t bytes) : at_(data), left_(bytes) {}

  template <typename T>
  T Number() {
    T value;
    std::memcpy(&value, Take(sizeof(T)), sizeof(T));
    return value;
  }

  // A length of parts that have `least` bytes each, at least: none is longer than what is left.
  size_t Length(size_t least) {
    uint64_t length = Number<uint64_t>();
    if (length > left_ / least) Fail();
    return static_cast<size_t>(length);
  }

  std::string Text() {
    size_t length = Length(1);
    return std::string(Take(length), length);
  }

  void End() const {
    if (left_ != 0) Fail();
  }

 private:
  const char* Take(size_t bytes) {
    if (bytes > left_) Fail();
    const char* taken = at_;
    at_ += bytes;
    left_ -= bytes;
    return taken;
  }

  [[noreturn]] static void Fail() {
    TVM_FFI_THROW(ValueError) << "the OpenCL code of this module is damaged, or of another TVM";
    std::abort();  // not reached: the line above throws
  }

  const char* at_;
  size_t left_;
};

class Writer {
 public:
  template <typename T>
  void Number(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void Length(size_t length) { Number<uint64_t>(length); }
  void Text(const std::string& text) {
    Length(text.size());
    out_ += text;
  }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

KernelInfo ReadKernel(Reader* reader) {
  KernelInfo kernel;
  reader->Text();  // the key that it is found by, its name again
  kernel.name = reader->Text();
  kernel.arguments.resize(reader->Length(4));
  for (DLDataType& dtype : kernel.arguments) {
    dtype.code = reader->Number<uint8_t>();
    dtype.bits = reader->Number<uint8_t>();
    dtype.lanes = reader->Number<uint16_t>();
  }
  kernel.launch.resize(reader->Length(8));
  for (std::string& tag : kernel.launch) tag = reader->Text();
  kernel.tags.resize(reader->Length(4));
  for (int32_t& tag : kernel.tags) tag = reader->Number<int32_t>();
  return kernel;
}

}  // namespace

Blob ReadBlob(const char* data, size_t bytes) {
  Reader reader(data, bytes);
  Blob blob;
  blob.format = reader.Text();
  size_t count = reader.Length(40);  // five lengths
  for (size_t i = 0; i < count; ++i) blob.kernels.push_back(ReadKernel(&reader));
  blob.code = reader.Text();
  reader.End();
  return blob;
}

std::string WriteBlob(const Blob& blob) {
  Writer writer;
  writer.Text(blob.format);
  writer.Length(blob.kernels.size());
  for (const KernelInfo& kernel : blob.kernels) {
    writer.Text(kernel.name);
    writer.Text(kernel.name);
    writer.Length(kernel.arguments.size());
    for (DLDataType dtype : kernel.arguments) {
      writer.Number<uint8_t>(dtype.code);
      writer.Number<uint8_t>(dtype.bits);
      writer.Number<uint16_t>(dtype.lanes);
    }
    writer.Length(kernel.launch.size());
    for (const std::string& tag : kernel.launch) writer.Text(tag);
    writer.Length(kernel.tags.size());
    for (int32_t tag : kernel.tags) writer.Number<int32_t>(tag);
  }
  writer.Text(blob.code);
  return writer.Take();
}

std::map<std::string, std::string> SplitSource(const std::string& code) {
  static const std::string kMark = "// Function: ";
  std::map<std::string, std::string> parts;
  size_t start = code.find(kMark);
  while (start != std::string::npos) {
    size_t line_end = code.find('\n', start);
    if (line_end == std::string::npos) break;
    size_t next = code.find(kMark, line_end);
    size_t name = start + kMark.size();
    size_t length = next == std::string::npos ? next : next - line_end - 1;
    parts[code.substr(name, line_end - name)] = code.substr(line_end + 1, length);
    start = next;
  }
  return parts;
}

}  // namespace dlcc::opencl
