// Kernels as a driver has built them.
#pragma once

#include <memory>
#include <string>

#include "device.h"

namespace dlcc::opencl {

struct BuiltKernel {
  Device* device = nullptr;
  std::string name;
  cl_program program = nullptr;
  cl_kernel kernel = nullptr;
  size_t max_work_group = 0;  // 0: the driver does not tell
  std::string cache_key;      // where it has to be saved once it has run; "" for nowhere
  std::atomic<bool> launched{false};

  BuiltKernel() = default;
  BuiltKernel(const BuiltKernel&) = delete;
  ~BuiltKernel();
};

// A kernel of its OpenCL C source, compiled or out of the program cache. Throws a RuntimeError
// with the compiler's words.
std::shared_ptr<BuiltKernel> BuildKernel(Device& device, const std::string& name,
                                         const std::string& source);

// To be called after the first launch of a kernel.
void NoteLaunched(const std::shared_ptr<BuiltKernel>& kernel);

// Saves kernels that ran for the first time in the program cache. Not when they are built: some
// drivers finish a kernel at its first launch, once they know the size of a work-group, and their
// binary then holds that too. To be called when the device has nothing to do.
void SaveLaunched(Device& device);

}  // namespace dlcc::opencl
