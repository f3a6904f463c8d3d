#include "module.h"

#include <tvm/ffi/cast.h>
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/function.h>

namespace dlcc::opencl {

namespace ffi = tvm::ffi;

namespace {

// The object by which the code generator describes a kernel. TVM's wheel has no header of it, so
// its fields are given here once more, in the same order.
class FunctionInfoObj : public ffi::Object {
 public:
  ffi::String name;
  ffi::Array<DLDataType> arg_types;
  ffi::Array<ffi::String> launch_param_tags;
  ffi::Array<ffi::Any> arg_extra_tags;
  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("runtime.FunctionInfo", FunctionInfoObj, ffi::Object);
};

}  // namespace

OpenCLModule::OpenCLModule(Blob blob) : blob_(std::move(blob)) {
  if (blob_.format != "cl") {
    TVM_FFI_THROW(ValueError) << "OpenCL code in the form " << blob_.format
                              << " cannot be run, only OpenCL C";
  }
  sources_ = SplitSource(blob_.code);
}

int OpenCLModule::GetPropertyMask() const {
  return ffi::Module::kBinarySerializable | ffi::Module::kRunnable;
}

ffi::Bytes OpenCLModule::SaveToBytes() const { return ffi::Bytes(WriteBlob(blob_)); }

ffi::String OpenCLModule::InspectSource(const ffi::String&) const { return blob_.code; }

ffi::Optional<ffi::Function> OpenCLModule::GetFunction(const ffi::String& name) {
  for (const KernelInfo& info : blob_.kernels) {
    if (info.name != std::string_view(name.data(), name.size())) continue;
    auto module = ffi::GetObjectPtr<ffi::Object>(this);  // lives as long as the function
    return ffi::Function::FromPacked(
        [this, module, &info, launcher = Launcher(info)](ffi::PackedArgs args, ffi::Any*) {
          Device& device = Devices::Get().At(CurrentDevice());
          launcher.Launch(KernelOn(device, info),
                          reinterpret_cast<const TVMFFIAny*>(args.data()),
                          static_cast<size_t>(args.size()));
        });
  }
  return std::nullopt;
}

std::shared_ptr<BuiltKernel> OpenCLModule::KernelOn(Device& device, const KernelInfo& info) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::shared_ptr<BuiltKernel>& built = built_[{device.index, info.name}];
  if (built == nullptr) {
    auto source = sources_.find(info.name);
    built = BuildKernel(device, info.name,
                        source == sources_.end() ? blob_.code : source->second);
  }
  return built;
}

ffi::Module LoadModule(const ffi::Bytes& bytes) {
  return ffi::Module(ffi::make_object<OpenCLModule>(ReadBlob(bytes.data(), bytes.size())));
}

ffi::Module CreateModule(ffi::Bytes code, ffi::String format,
                         ffi::Map<ffi::String, ffi::ObjectRef> infos,
                         ffi::Map<ffi::String, ffi::String>) {
  Blob blob;
  blob.format = format;
  blob.code = std::string(code.data(), code.size());
  for (const auto& entry : infos) {
    const auto* info = entry.second.as<FunctionInfoObj>();
    if (info == nullptr) {
      TVM_FFI_THROW(TypeError) << "a kernel is described by a " << entry.second->GetTypeKey()
                               << ", expected runtime.FunctionInfo: another TVM?";
    }
    KernelInfo kernel;
    kernel.name = info->name;
    for (DLDataType dtype : info->arg_types) kernel.arguments.push_back(dtype);
    for (const ffi::String& tag : info->launch_param_tags) kernel.launch.push_back(tag);
    for (const ffi::Any& tag : info->arg_extra_tags) {
      kernel.tags.push_back(static_cast<int32_t>(tag.cast<int64_t>()));
    }
    blob.kernels.push_back(std::move(kernel));
  }
  return ffi::Module(ffi::make_object<OpenCLModule>(std::move(blob)));
}

}  // namespace dlcc::opencl
