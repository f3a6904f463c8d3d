// Launches a kernel with the arguments that TVM's host code gives.
#pragma once

#include <tvm/ffi/c_api.h>

#include <memory>
#include <vector>

#include "blob.h"
#include "kernel.h"

namespace dlcc::opencl {

// How the arguments of a launch are laid out: first the kernel's own, then the extents of the
// grid (in work-groups) and of a work-group.
class Launcher {
 public:
  // Throws for a kernel whose launch OpenCL has no form for.
  explicit Launcher(const KernelInfo& info);

  // Enqueues the kernel; throws a RuntimeError that names what the device cannot do.
  void Launch(const std::shared_ptr<BuiltKernel>& kernel, const TVMFFIAny* arguments,
              size_t count) const;

 private:
  struct Sizes {
    size_t global[3] = {1, 1, 1};
    size_t local[3] = {1, 1, 1};
  };

  bool ReadSizes(const TVMFFIAny* extents, Sizes* sizes) const;
  void CheckSizes(const BuiltKernel& kernel, const Sizes& sizes) const;
  void SetArguments(const BuiltKernel& kernel, const TVMFFIAny* arguments) const;

  std::string name_;
  std::vector<DLDataType> types_;
  std::vector<int> axes_;  // of each extent: 0 to 2 of the grid, 3 to 5 of a work-group
  cl_uint dimensions_ = 1;
};

}  // namespace dlcc::opencl
