// A module of OpenCL kernels: what TVM's host code looks them up in and launches them by.
#pragma once

#include <tvm/ffi/container/map.h>
#include <tvm/ffi/extra/module.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "blob.h"
#include "launch.h"

namespace dlcc::opencl {

class OpenCLModule final : public tvm::ffi::ModuleObj {
 public:
  explicit OpenCLModule(Blob blob);

  const char* kind() const final { return "opencl"; }
  int GetPropertyMask() const final;
  tvm::ffi::Optional<tvm::ffi::Function> GetFunction(const tvm::ffi::String& name) final;
  tvm::ffi::Bytes SaveToBytes() const final;
  tvm::ffi::String InspectSource(const tvm::ffi::String& format) const final;

 private:
  std::shared_ptr<BuiltKernel> KernelOn(Device& device, const KernelInfo& info);

  Blob blob_;
  std::map<std::string, std::string> sources_;
  std::mutex mutex_;
  std::map<std::pair<int, std::string>, std::shared_ptr<BuiltKernel>> built_;
};

// `ffi.Module.load_from_bytes.opencl`
tvm::ffi::Module LoadModule(const tvm::ffi::Bytes& bytes);

// `ffi.Module.create.opencl`, which the code generator calls.
tvm::ffi::Module CreateModule(tvm::ffi::Bytes code, tvm::ffi::String format,
                              tvm::ffi::Map<tvm::ffi::String, tvm::ffi::ObjectRef> infos,
                              tvm::ffi::Map<tvm::ffi::String, tvm::ffi::String> sources);

}  // namespace dlcc::opencl
