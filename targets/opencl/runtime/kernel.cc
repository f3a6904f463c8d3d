#include "kernel.h"

#include <tvm/ffi/error.h>

#include "program_cache.h"

namespace dlcc::opencl {

namespace {

// None: results must be those that the compiler's front end asked for, on every device.
constexpr char kOptions[] = "";
constexpr size_t kLogBytes = 4000;

std::string BuildLog(cl_program program, const Device& device) {
  size_t bytes = 0;
  cl.GetProgramBuildInfo(program, device.id, CL_PROGRAM_BUILD_LOG, 0, nullptr, &bytes);
  std::string log(bytes, '\0');
  if (bytes > 0) {
    cl.GetProgramBuildInfo(program, device.id, CL_PROGRAM_BUILD_LOG, bytes, log.data(), nullptr);
  }
  while (!log.empty() && (log.back() == '\0' || log.back() == '\n')) log.pop_back();
  // Compilers tell the error first and sum up last; both ends say more than the middle.
  if (log.size() > kLogBytes) {
    log = log.substr(0, kLogBytes / 2) + "\n...\n" + log.substr(log.size() - kLogBytes / 2);
  }
  return log;
}

cl_int Compile(cl_program program, Device& device) {
  return cl.BuildProgram(program, 1, &device.id, kOptions, nullptr, nullptr);
}

// The program of a cached binary, or null.
cl_program FromCache(Device& device, const std::string& key) {
  std::optional<std::string> binary = program_cache::Load(key);
  if (!binary.has_value()) return nullptr;
  const auto* data = reinterpret_cast<const unsigned char*>(binary->data());
  size_t bytes = binary->size();
  cl_int status = CL_SUCCESS, code;
  cl_program program = cl.CreateProgramWithBinary(device.context, 1, &device.id, &bytes, &data,
                                                  &status, &code);
  if (code == CL_SUCCESS) {
    code = Compile(program, device);
    if (code == CL_SUCCESS) return program;
    cl.ReleaseProgram(program);
  }
  program_cache::Remove(key, "the driver says " + ErrorName(code));
  return nullptr;
}

cl_program FromSource(Device& device, const std::string& name, const std::string& source) {
  const char* text = source.c_str();
  size_t bytes = source.size();
  cl_int code;
  cl_program program = cl.CreateProgramWithSource(device.context, 1, &text, &bytes, &code);
  Check(code, "taking the source of kernel " + name, device.name);
  code = Compile(program, device);
  if (code != CL_SUCCESS) {
    std::string log = BuildLog(program, device);
    cl.ReleaseProgram(program);
    TVM_FFI_THROW(RuntimeError) << "kernel " << name << " does not build on OpenCL device "
                                << device.name << ": " << ErrorName(code) << "\n"
                                << (log.empty() ? "the driver gives no reason" : log);
  }
  return program;
}

}  // namespace

BuiltKernel::~BuiltKernel() {
  if (Exiting()) return;
  if (kernel != nullptr) cl.ReleaseKernel(kernel);
  if (program != nullptr) cl.ReleaseProgram(program);
}

std::shared_ptr<BuiltKernel> BuildKernel(Device& device, const std::string& name,
                                         const std::string& source) {
  auto built = std::make_shared<BuiltKernel>();
  built->device = &device;
  built->name = name;
  std::string key;
  if (program_cache::IsOn()) {
    key = program_cache::Key(device.name, device.driver, device.platform_version, kOptions, source);
    built->program = FromCache(device, key);
  }
  if (built->program == nullptr) {
    built->program = FromSource(device, name, source);
    built->cache_key = key;
  }
  cl_int code;
  built->kernel = cl.CreateKernel(built->program, name.c_str(), &code);
  Check(code, "finding kernel " + name, device.name);
  size_t most = 0;
  code = cl.GetKernelWorkGroupInfo(built->kernel, device.id, CL_KERNEL_WORK_GROUP_SIZE,
                                   sizeof(most), &most, nullptr);
  built->max_work_group = code == CL_SUCCESS ? most : 0;
  return built;
}

void NoteLaunched(const std::shared_ptr<BuiltKernel>& kernel) {
  if (kernel->cache_key.empty() || kernel->launched.exchange(true)) return;
  Device& device = *kernel->device;
  std::lock_guard<std::mutex> lock(device.unsaved_mutex);
  device.unsaved.push_back(kernel);
  device.has_unsaved = true;
}

void SaveLaunched(Device& device) {
  if (!device.has_unsaved) return;
  std::vector<std::shared_ptr<BuiltKernel>> kernels;
  {
    std::lock_guard<std::mutex> lock(device.unsaved_mutex);
    kernels.swap(device.unsaved);
    device.has_unsaved = false;
  }
  for (const auto& kernel : kernels) {
    size_t bytes = 0;
    if (cl.GetProgramInfo(kernel->program, CL_PROGRAM_BINARY_SIZES, sizeof(bytes), &bytes,
                          nullptr) != CL_SUCCESS ||
        bytes == 0) {
      continue;  // a driver that gives no binaries: it compiles each time
    }
    std::string binary(bytes, '\0');
    auto* data = reinterpret_cast<unsigned char*>(binary.data());
    if (cl.GetProgramInfo(kernel->program, CL_PROGRAM_BINARIES, sizeof(data), &data, nullptr) ==
        CL_SUCCESS) {
      program_cache::Store(kernel->cache_key, binary);
    }
  }
  program_cache::Trim();
}

}  // namespace dlcc::opencl
