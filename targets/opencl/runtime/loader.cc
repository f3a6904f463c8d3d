#include "loader.h"

#include <dlfcn.h>
#include <tvm/ffi/error.h>

#include <cstdlib>
#include <map>
#include <sstream>
#include <vector>

namespace dlcc::opencl {

Functions cl;

namespace {

constexpr const char* kNames[] = {
    "libOpenCL.so.1",
    "libOpenCL.so",
    "libOpenCL_adreno.so.1",  // Qualcomm's driver on Linux
    "libOpenCL_adreno.so",
    "/vendor/lib64/libOpenCL.so",  // Android
    "/system/vendor/lib64/libOpenCL.so",
    "/vendor/lib64/libOpenCL_adreno.so",
    "/vendor/lib64/egl/libGLES_mali.so",  // Arm's driver has OpenCL in it
    "libmali.so.1",
    "libmali.so",
};

// Why the library at `handle` cannot be used, or "" once the table is filled.
std::string Bind(void* handle) {
  Functions found;
#define X(name, result, parameters)                                                    \
  found.name = reinterpret_cast<result(*) parameters>(dlsym(handle, "cl" #name));      \
  if (found.name == nullptr) return "the OpenCL library has no function cl" #name;
  DLCC_OPENCL_FUNCTIONS(X)
#undef X
  cl = found;
  return "";
}

// A driver brings a compiler of its own. Its symbols are nobody else's business (RTLD_LOCAL), and
// it must not take those of another copy in the process (RTLD_DEEPBIND): TensorFlow shows its LLVM
// to all. Sanitizers cannot go with that, and Android's linker does not know it.
#if defined(RTLD_DEEPBIND) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr int kOpenFlags = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
#else
constexpr int kOpenFlags = RTLD_NOW | RTLD_LOCAL;
#endif

void* Open(const std::string& name) { return dlopen(name.c_str(), kOpenFlags); }

// Libraries that an OpenCL library needs and the system does not find, each after those that it
// needs itself: "path:path".
std::string Preload() {
  const char* list = std::getenv("DLCC_OPENCL_PRELOAD");
  std::istringstream paths(list == nullptr ? "" : list);
  for (std::string path; std::getline(paths, path, ':');) {
    if (Open(path) != nullptr) continue;
    const char* said = dlerror();
    return "DLCC_OPENCL_PRELOAD: " + (said == nullptr ? path : std::string(said));
  }
  return "";
}

std::string OpenAndBind(const std::string& name) {
  void* handle = Open(name);
  if (handle == nullptr) {
    const char* said = dlerror();
    return said == nullptr ? name + " cannot be opened" : std::string(said);
  }
  return Bind(handle);
}

}  // namespace

std::string LoadLibrary() {
  std::string failed = Preload();
  if (!failed.empty()) return failed;
  const char* named = std::getenv("DLCC_OPENCL_LIBRARY");
  // One that is named is meant: with another in its place a mistake would go unseen.
  if (named != nullptr && *named != '\0') {
    std::string why = OpenAndBind(named);
    return why.empty() ? "" : "DLCC_OPENCL_LIBRARY: " + why;
  }
  std::string tried;
  for (const char* name : kNames) {
    std::string why = OpenAndBind(name);
    if (why.empty()) return "";
    // An absolute name says for itself that it is a phone's; no need to tell of each.
    if (*name != '/') tried += (tried.empty() ? "" : ", ") + std::string(name);
  }
  return "no OpenCL library on this machine (looked for " + tried + ")";
}

std::string ErrorName(cl_int code) {
  static const std::map<cl_int, const char*>& names = *new std::map<cl_int, const char*>{
      {-1, "DEVICE_NOT_FOUND"},
      {-2, "DEVICE_NOT_AVAILABLE"},
      {-3, "COMPILER_NOT_AVAILABLE"},
      {-4, "MEM_OBJECT_ALLOCATION_FAILURE"},
      {-5, "OUT_OF_RESOURCES"},
      {-6, "OUT_OF_HOST_MEMORY"},
      {-7, "PROFILING_INFO_NOT_AVAILABLE"},
      {-8, "MEM_COPY_OVERLAP"},
      {-11, "BUILD_PROGRAM_FAILURE"},
      {-12, "MAP_FAILURE"},
      {-14, "EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
      {-30, "INVALID_VALUE"},
      {-33, "INVALID_DEVICE"},
      {-34, "INVALID_CONTEXT"},
      {-36, "INVALID_COMMAND_QUEUE"},
      {-38, "INVALID_MEM_OBJECT"},
      {-42, "INVALID_BINARY"},
      {-43, "INVALID_BUILD_OPTIONS"},
      {-44, "INVALID_PROGRAM"},
      {-45, "INVALID_PROGRAM_EXECUTABLE"},
      {-46, "INVALID_KERNEL_NAME"},
      {-48, "INVALID_KERNEL"},
      {-49, "INVALID_ARG_INDEX"},
      {-50, "INVALID_ARG_VALUE"},
      {-51, "INVALID_ARG_SIZE"},
      {-52, "INVALID_KERNEL_ARGS"},
      {-53, "INVALID_WORK_DIMENSION"},
      {-54, "INVALID_WORK_GROUP_SIZE"},
      {-55, "INVALID_WORK_ITEM_SIZE"},
      {-58, "INVALID_EVENT"},
      {-61, "INVALID_BUFFER_SIZE"},
      {-63, "INVALID_GLOBAL_WORK_SIZE"},
      {-1001, "PLATFORM_NOT_FOUND_KHR"},
  };
  auto found = names.find(code);
  std::string name = found == names.end() ? "OpenCL error" : std::string("CL_") + found->second;
  return name + " (" + std::to_string(code) + ")";
}

void Check(cl_int code, const std::string& what, const std::string& device) {
  if (code == CL_SUCCESS) return;
  // What a driver says once a kernel hung, read out of its buffers, or the device went away.
  bool lost = code == CL_DEVICE_NOT_AVAILABLE || code == CL_OUT_OF_RESOURCES || code == -14 ||
              code == -36;
  TVM_FFI_THROW(RuntimeError) << "OpenCL device " << device << (lost ? " was lost" : "") << ": "
                              << what << " failed with " << ErrorName(code)
                              << (lost ? "; start a new process to use it again" : "");
}

}  // namespace dlcc::opencl
