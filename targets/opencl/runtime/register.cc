// Names this runtime in TVM's table of global functions.

#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>

#include "device_api.h"
#include "module.h"
#include "pool.h"
#include "profile.h"

namespace dlcc::opencl {

namespace ffi = tvm::ffi;

namespace {

void GetDeviceAPI(ffi::PackedArgs, ffi::Any* value) {
  tvm::runtime::DeviceAPI* api = OpenCLDeviceAPI::Get();
  *value = static_cast<void*>(api);
}

void NewAllocator(ffi::PackedArgs args, ffi::Any* value) {
  auto type = static_cast<tvm::runtime::AllocatorType>(args[1].cast<int>());
  tvm::runtime::memory::Allocator* pool = new Pool(args[0].cast<DLDevice>(), type);
  *value = static_cast<void*>(pool);
}

// What compiled code calls between kernels of the device and of the CPU beside it.
void CopyTensor(DLTensor* from, DLTensor* to) {
  OpenCLDeviceAPI::Get()->CopyDataFromTo(from, to, nullptr);
}

void Register() {
  // A second copy of this library, or a TVM that was built with a runtime of its own: the first
  // one stays, since a name can be given once only.
  if (ffi::Function::GetGlobal("device_api.opencl").has_value()) return;
  tvm::ffi::reflection::GlobalDef()
      .def_packed("device_api.opencl", GetDeviceAPI)
      .def_packed("DeviceAllocator.opencl", NewAllocator)
      .def("runtime.timer.opencl",
           [](DLDevice device) { return tvm::runtime::Timer(ffi::make_object<Timer>(device)); })
      .def("ffi.Module.load_from_bytes.opencl", LoadModule)
      .def("ffi.Module.create.opencl", CreateModule)
      .def("dlcc.opencl.devices", [] { return ffi::String(DescribeDevices()); })
      .def("dlcc.opencl.why_not", [] { return ffi::String(Devices::Get().WhyNot()); })
      .def("dlcc.opencl.to_device", CopyTensor)  // two names: profiles tell which way it went
      .def("dlcc.opencl.to_host", CopyTensor)
      .def("dlcc.opencl.profile_start", StartProfile)
      .def("dlcc.opencl.profile_stop",
           [](int device) { return ffi::String(StopProfile(device)); });
}

}  // namespace

TVM_FFI_STATIC_INIT_BLOCK() { Register(); }

}  // namespace dlcc::opencl
