// The allocator of TVM's virtual machine: keeps what is freed for the next one that asks.
#pragma once

#include <tvm/runtime/memory/memory_manager.h>

#include <map>
#include <mutex>

#include "memory.h"

namespace dlcc::opencl {

class Pool final : public tvm::runtime::memory::Allocator {
 public:
  using Buffer = tvm::runtime::memory::Buffer;

  // type: kPooled keeps what is freed, kNaive gives it back at once.
  Pool(DLDevice device, tvm::runtime::AllocatorType type);
  ~Pool() override;

  Buffer Alloc(DLDevice device, size_t bytes, size_t alignment, DLDataType dtype) override;
  Buffer Alloc(DLDevice device, tvm::ffi::Shape shape, DLDataType dtype,
               const std::string& scope) override;
  void Free(const Buffer& buffer) override;
  // Gives back what nobody uses.
  void Clear() override;
  size_t UsedMemory() const override;
  size_t UnusedBytes() const;

 protected:
  bool AllowMemoryScope(const std::string& scope) const override;

 private:
  Memory* TakeUnused(size_t bytes);

  Device& device_;
  mutable std::mutex mutex_;
  std::multimap<size_t, Memory*> unused_;
  size_t unused_bytes_ = 0;
  size_t held_bytes_ = 0;  // in use and unused
};

// Throws for scopes other than plain memory.
void CheckScope(const std::string& scope);

// Bytes of a tensor; throws where they do not fit into 64 bits.
size_t BytesOf(const int64_t* shape, int rank, DLDataType dtype);

}  // namespace dlcc::opencl
