// The form in which TVM's code generator hands over OpenCL kernels.
#pragma once

#include <tvm/ffi/dtype.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace dlcc::opencl {

// One kernel's arguments, then what its launch gets after them ("blockIdx.x", "threadIdx.y", ...).
struct KernelInfo {
  std::string name;
  std::vector<DLDataType> arguments;
  std::vector<std::string> launch;
  std::vector<int32_t> tags;
};

// The content of an `opencl` module. format: "cl" for source, else a binary of the driver.
struct Blob {
  std::string format;
  std::vector<KernelInfo> kernels;
  std::string code;
};

// Little-endian; strings and lists start with their length in 8 bytes. Throws a ValueError for
// what is no such blob.
Blob ReadBlob(const char* data, size_t bytes);
std::string WriteBlob(const Blob& blob);

// Source by kernel: each stands behind a line `// Function: NAME`, the text before the first one
// belongs to none. Empty where there is no such line.
std::map<std::string, std::string> SplitSource(const std::string& code);

}  // namespace dlcc::opencl
