// TVM's interface to a kind of device.
#pragma once

#include <tvm/runtime/device_api.h>

#include <string>

namespace dlcc::opencl {

class OpenCLDeviceAPI final : public tvm::runtime::DeviceAPI {
 public:
  static OpenCLDeviceAPI* Get();

  void SetDevice(DLDevice device) final;
  void GetAttr(DLDevice device, tvm::runtime::DeviceAttrKind kind, tvm::ffi::Any* value) final;
  void GetTargetProperty(DLDevice device, const std::string& property,
                         tvm::ffi::Any* value) final;
  void* AllocDataSpace(DLDevice device, size_t bytes, size_t alignment, DLDataType dtype) final;
  void* AllocDataSpace(DLDevice device, int rank, const int64_t* shape, DLDataType dtype,
                       tvm::ffi::Optional<tvm::ffi::String> scope) final;
  void FreeDataSpace(DLDevice device, void* data) final;
  void CopyDataFromTo(DLTensor* from, DLTensor* to, TVMStreamHandle stream) final;
  void StreamSync(DLDevice device, TVMStreamHandle stream) final;
  void* AllocWorkspace(DLDevice device, size_t bytes, DLDataType dtype) final;
  void FreeWorkspace(DLDevice device, void* data) final;
};

}  // namespace dlcc::opencl
