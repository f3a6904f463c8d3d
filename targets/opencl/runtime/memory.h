// Memory of a device, and copies from and to it.
#pragma once

#include <cstddef>

#include "device.h"

namespace dlcc::opencl {

// What the `data` of a tensor on an OpenCL device points to.
struct Memory {
  cl_mem handle = nullptr;
  size_t bytes = 0;
  Device* device = nullptr;
};

// A place in it.
struct Place {
  Memory* memory = nullptr;
  size_t offset = 0;
};

// New memory; throws a RuntimeError that tells what is there and what was asked for. Where the
// device has none left, the pools give back what nobody uses first.
Memory* Allocate(Device& device, size_t bytes);
void Release(Memory* memory);

// Copies. Both with the host end before they return: TVM may free or change the host's side right
// after, so a write that does not wait would need a copy of its own. Where the host shares the
// device's memory they go through a mapping, without a driver's staging buffer.
void CopyToDevice(Place to, const void* from, size_t bytes);
void CopyToHost(void* to, Place from, size_t bytes);
// On one device without waiting, else through the host.
void CopyOnDevices(Place to, Place from, size_t bytes);

}  // namespace dlcc::opencl
