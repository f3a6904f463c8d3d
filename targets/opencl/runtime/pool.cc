#include "pool.h"

#include <tvm/ffi/error.h>

#include <algorithm>

namespace dlcc::opencl {

using tvm::runtime::AllocatorType;

namespace {

constexpr size_t kPageBytes = 4096;

// Memory may be larger than asked for by this part of it: sizes that change a little from one
// inference to the next then find memory again.
size_t Slack(size_t bytes) { return std::max(kPageBytes, bytes / 4); }

}  // namespace

void CheckScope(const std::string& scope) {
  if (scope.empty() || scope == "global") return;
  TVM_FFI_THROW(ValueError) << "memory of scope " << scope << " is not offered on OpenCL devices: "
                            << "this runtime has buffers only"
                            << (scope.find("texture") == std::string::npos
                                    ? ""
                                    : ", no textures (images); compile without texture scopes");
}

size_t BytesOf(const int64_t* shape, int rank, DLDataType dtype) {
  size_t bytes = (static_cast<size_t>(dtype.bits) * dtype.lanes + 7) / 8;
  for (int i = 0; i < rank; ++i) {
    if (shape[i] < 0 || __builtin_mul_overflow(bytes, static_cast<size_t>(shape[i]), &bytes)) {
      TVM_FFI_THROW(ValueError) << "no tensor can have a dimension of " << shape[i] << " here";
    }
  }
  return bytes;
}

Pool::Pool(DLDevice device, AllocatorType type)
    : Allocator(type), device_(Devices::Get().At(device.device_id)) {
  std::lock_guard<std::mutex> lock(device_.pools_mutex);
  device_.pools.push_back(this);
}

Pool::~Pool() {
  {
    std::lock_guard<std::mutex> lock(device_.pools_mutex);
    auto& pools = device_.pools;
    pools.erase(std::remove(pools.begin(), pools.end(), this), pools.end());
  }
  Clear();
}

Pool::Buffer Pool::Alloc(DLDevice device, size_t bytes, size_t, DLDataType) {
  size_t rounded = std::max<size_t>((bytes + kPageBytes - 1) / kPageBytes, 1) * kPageBytes;
  // Rounding must not turn what the device can give into what it cannot.
  if (device_.max_alloc_bytes >= bytes) rounded = std::min<size_t>(rounded, device_.max_alloc_bytes);
  Memory* memory = TakeUnused(std::max(rounded, bytes));
  if (memory == nullptr) {
    memory = Allocate(device_, std::max(rounded, bytes));  // not under the lock: it may call Clear
    std::lock_guard<std::mutex> lock(mutex_);
    held_bytes_ += memory->bytes;
  }
  Buffer buffer;
  buffer.data = memory;
  buffer.size = memory->bytes;
  buffer.device = device;
  buffer.alloc_type = type();
  return buffer;
}

Pool::Buffer Pool::Alloc(DLDevice device, tvm::ffi::Shape shape, DLDataType dtype,
                         const std::string& scope) {
  CheckScope(scope);
  size_t bytes = BytesOf(shape.data(), static_cast<int>(shape.size()), dtype);
  return Alloc(device, bytes, tvm::runtime::kAllocAlignment, dtype);
}

Memory* Pool::TakeUnused(size_t bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto found = unused_.lower_bound(bytes);
  if (found == unused_.end() || found->first > bytes + Slack(bytes)) return nullptr;
  Memory* memory = found->second;
  unused_.erase(found);
  unused_bytes_ -= memory->bytes;
  return memory;
}

void Pool::Free(const Buffer& buffer) {
  // Commands that still use it come before any that will: the device has one queue, in order.
  Memory* memory = static_cast<Memory*>(buffer.data);
  std::lock_guard<std::mutex> lock(mutex_);
  if (type() == AllocatorType::kPooled) {
    unused_.emplace(memory->bytes, memory);
    unused_bytes_ += memory->bytes;
  } else {
    held_bytes_ -= memory->bytes;
    Release(memory);
  }
}

void Pool::Clear() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (auto& [bytes, memory] : unused_) {
    held_bytes_ -= bytes;
    Release(memory);
  }
  unused_.clear();
  unused_bytes_ = 0;
}

size_t Pool::UsedMemory() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return held_bytes_;
}

size_t Pool::UnusedBytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return unused_bytes_;
}

bool Pool::AllowMemoryScope(const std::string& scope) const {
  CheckScope(scope);
  return true;
}

}  // namespace dlcc::opencl
