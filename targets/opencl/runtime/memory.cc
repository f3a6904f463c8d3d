#include "memory.h"

#include <tvm/ffi/error.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernel.h"
#include "pool.h"

namespace dlcc::opencl {

namespace {

bool IsOutOfMemory(cl_int code) {
  return code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES ||
         code == CL_OUT_OF_HOST_MEMORY;
}

size_t UnusedInPools(Device& device) {
  std::lock_guard<std::mutex> lock(device.pools_mutex);
  size_t bytes = 0;
  for (Pool* pool : device.pools) bytes += pool->UnusedBytes();
  return bytes;
}

void EmptyPools(Device& device) {
  std::lock_guard<std::mutex> lock(device.pools_mutex);
  for (Pool* pool : device.pools) pool->Clear();
}

[[noreturn]] void ThrowOutOfMemory(Device& device, size_t bytes, const std::string& why) {
  TVM_FFI_THROW(RuntimeError) << "OpenCL device " << device.name << " has no memory for " << bytes
                              << " bytes: " << why << "; largest single allocation "
                              << device.max_alloc_bytes << ", total " << device.global_bytes
                              << ", allocated " << device.allocated_bytes.load()
                              << ", of that unused in pools " << UnusedInPools(device);
  std::abort();  // not reached: the line above throws
}

cl_mem TryAllocate(Device& device, size_t bytes, cl_int* code) {
  cl_bitfield flags = CL_MEM_READ_WRITE;
  // Memory that the host can map without a copy, where both share one memory.
  if (device.unified_memory) flags |= CL_MEM_ALLOC_HOST_PTR;
  return cl.CreateBuffer(device.context, flags, bytes, nullptr, code);
}

void CheckPlace(Place place, size_t bytes) {
  if (place.offset > place.memory->bytes || bytes > place.memory->bytes - place.offset) {
    TVM_FFI_THROW(ValueError) << "a copy of " << bytes << " bytes at " << place.offset
                              << " does not fit into OpenCL memory of " << place.memory->bytes;
  }
}

void Wait(cl_event event, const char* what, Device& device) {
  cl_int code = cl.WaitForEvents(1, &event);
  Check(code, what, device.name);
}

// Maps a part of a buffer, lets `use` work on it, and waits until it is unmapped.
template <typename Use>
void WithMapped(Place place, size_t bytes, cl_bitfield access, const char* what, const Use& use) {
  Device& device = *place.memory->device;
  cl_mem handle = place.memory->handle;
  cl_event mapped = nullptr, unmapped = nullptr;
  cl_int code;
  void* address;
  bool watched, recorded = false;
  {
    std::lock_guard<std::mutex> lock(device.mutex);
    watched = device.recorder.watched();
    address = cl.EnqueueMapBuffer(device.queue(), handle, CL_FALSE, access, place.offset, bytes, 0,
                                  nullptr, &mapped, &code);
  }
  Check(code, what, device.name);
  Wait(mapped, what, device);
  use(address);
  {
    std::lock_guard<std::mutex> lock(device.mutex);
    code = cl.EnqueueUnmapMemObject(device.queue(), handle, address, 0, nullptr, &unmapped);
    // Both from the queue that profiles, or the times are not there.
    recorded = code == CL_SUCCESS && watched && device.recorder.watched();
    if (recorded) device.recorder.Add(what, bytes, mapped, unmapped);
  }
  if (!recorded) {
    cl.ReleaseEvent(mapped);
    if (unmapped != nullptr) cl.ReleaseEvent(unmapped);
  }
  Check(code, what, device.name);
  device.Finish();
}

}  // namespace

Memory* Allocate(Device& device, size_t bytes) {
  bytes = std::max<size_t>(bytes, 1);
  if (device.max_alloc_bytes > 0 && bytes > device.max_alloc_bytes) {
    ThrowOutOfMemory(device, bytes, "more than one allocation may have");
  }
  cl_int code;
  cl_mem handle = TryAllocate(device, bytes, &code);
  if (IsOutOfMemory(code)) {
    EmptyPools(device);
    handle = TryAllocate(device, bytes, &code);
  }
  if (IsOutOfMemory(code)) ThrowOutOfMemory(device, bytes, ErrorName(code));
  Check(code, "allocating " + std::to_string(bytes) + " bytes", device.name);
  device.allocated_bytes += bytes;
  return new Memory{handle, bytes, &device};
}

void Release(Memory* memory) {
  if (memory == nullptr) return;
  memory->device->allocated_bytes -= memory->bytes;
  // The driver keeps it until the commands that use it have ended.
  if (!Exiting()) cl.ReleaseMemObject(memory->handle);
  delete memory;
}

void CopyToDevice(Place to, const void* from, size_t bytes) {
  const char* what = "copy to device";
  CheckPlace(to, bytes);
  Device& device = *to.memory->device;
  if (device.unified_memory) {
    WithMapped(to, bytes, CL_MAP_WRITE_INVALIDATE_REGION, what,
               [&](void* address) { std::memcpy(address, from, bytes); });
    return;
  }
  cl_int code = device.Enqueue(what, bytes, [&](cl_command_queue queue, cl_event* event) {
    return cl.EnqueueWriteBuffer(queue, to.memory->handle, CL_FALSE, to.offset, bytes, from, 0,
                                 nullptr, event);
  });
  Check(code, what, device.name);
  device.Finish();
}

void CopyToHost(void* to, Place from, size_t bytes) {
  const char* what = "copy to host";
  CheckPlace(from, bytes);
  Device& device = *from.memory->device;
  if (device.unified_memory) {
    WithMapped(from, bytes, CL_MAP_READ, what,
               [&](void* address) { std::memcpy(to, address, bytes); });
  } else {
    cl_int code = device.Enqueue(what, bytes, [&](cl_command_queue queue, cl_event* event) {
      return cl.EnqueueReadBuffer(queue, from.memory->handle, CL_FALSE, from.offset, bytes, to, 0,
                                  nullptr, event);
    });
    Check(code, what, device.name);
    device.Finish();
  }
  SaveLaunched(device);
}

void CopyOnDevices(Place to, Place from, size_t bytes) {
  CheckPlace(to, bytes);
  CheckPlace(from, bytes);
  Device& device = *from.memory->device;
  if (to.memory->device != &device) {
    std::vector<char> host(bytes);
    CopyToHost(host.data(), from, bytes);
    CopyToDevice(to, host.data(), bytes);
    return;
  }
  cl_int code = device.Enqueue("copy", bytes, [&](cl_command_queue queue, cl_event* event) {
    return cl.EnqueueCopyBuffer(queue, from.memory->handle, to.memory->handle, from.offset,
                                to.offset, bytes, 0, nullptr, event);
  });
  Check(code, "copy", device.name);
}

}  // namespace dlcc::opencl
