// The part of OpenCL 1.2 that this runtime calls: types, constants, and a table of functions.
//
// Written from the Khronos specification, so that neither OpenCL's headers nor its library is
// needed to build: the library is opened at run time (loader.cc).
#pragma once

#include <cstddef>
#include <cstdint>

namespace dlcc::opencl {

using cl_int = int32_t;
using cl_uint = uint32_t;
using cl_ulong = uint64_t;
using cl_bool = cl_uint;
using cl_bitfield = cl_ulong;
using cl_platform_id = struct OpaquePlatform*;
using cl_device_id = struct OpaqueDevice*;
using cl_context = struct OpaqueContext*;
using cl_command_queue = struct OpaqueQueue*;
using cl_mem = struct OpaqueMemory*;
using cl_program = struct OpaqueProgram*;
using cl_kernel = struct OpaqueKernel*;
using cl_event = struct OpaqueEvent*;

constexpr cl_int CL_SUCCESS = 0;
constexpr cl_int CL_DEVICE_NOT_FOUND = -1;
constexpr cl_int CL_DEVICE_NOT_AVAILABLE = -2;
constexpr cl_int CL_MEM_OBJECT_ALLOCATION_FAILURE = -4;
constexpr cl_int CL_OUT_OF_RESOURCES = -5;
constexpr cl_int CL_OUT_OF_HOST_MEMORY = -6;
constexpr cl_int CL_PROFILING_INFO_NOT_AVAILABLE = -7;
constexpr cl_int CL_PLATFORM_NOT_FOUND_KHR = -1001;
constexpr cl_bool CL_FALSE = 0;

constexpr cl_bitfield CL_DEVICE_TYPE_CPU = 1 << 1;
constexpr cl_bitfield CL_DEVICE_TYPE_GPU = 1 << 2;
constexpr cl_bitfield CL_DEVICE_TYPE_ACCELERATOR = 1 << 3;
constexpr cl_bitfield CL_MEM_READ_WRITE = 1 << 0;
constexpr cl_bitfield CL_MEM_ALLOC_HOST_PTR = 1 << 4;
constexpr cl_bitfield CL_MAP_READ = 1 << 0;
constexpr cl_bitfield CL_MAP_WRITE_INVALIDATE_REGION = 1 << 2;
constexpr cl_bitfield CL_QUEUE_PROFILING_ENABLE = 1 << 1;

constexpr cl_uint CL_PLATFORM_VERSION = 0x0901;
constexpr cl_uint CL_PLATFORM_NAME = 0x0902;
constexpr cl_uint CL_DEVICE_TYPE = 0x1000;
constexpr cl_uint CL_DEVICE_MAX_COMPUTE_UNITS = 0x1002;
constexpr cl_uint CL_DEVICE_MAX_WORK_GROUP_SIZE = 0x1004;
constexpr cl_uint CL_DEVICE_MAX_WORK_ITEM_SIZES = 0x1005;
constexpr cl_uint CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT = 0x100A;
constexpr cl_uint CL_DEVICE_MAX_CLOCK_FREQUENCY = 0x100C;
constexpr cl_uint CL_DEVICE_MAX_MEM_ALLOC_SIZE = 0x1010;
constexpr cl_uint CL_DEVICE_IMAGE_SUPPORT = 0x1016;
constexpr cl_uint CL_DEVICE_GLOBAL_MEM_CACHE_SIZE = 0x101E;
constexpr cl_uint CL_DEVICE_GLOBAL_MEM_SIZE = 0x101F;
constexpr cl_uint CL_DEVICE_LOCAL_MEM_TYPE = 0x1022;
constexpr cl_uint CL_DEVICE_LOCAL_MEM_SIZE = 0x1023;
constexpr cl_uint CL_DEVICE_NAME = 0x102B;
constexpr cl_uint CL_DEVICE_VENDOR = 0x102C;
constexpr cl_uint CL_DRIVER_VERSION = 0x102D;
constexpr cl_uint CL_DEVICE_VERSION = 0x102F;
constexpr cl_uint CL_DEVICE_EXTENSIONS = 0x1030;
constexpr cl_uint CL_DEVICE_HOST_UNIFIED_MEMORY = 0x1035;
constexpr cl_uint CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT = 0x103A;
constexpr cl_uint CL_DEVICE_IMAGE_PITCH_ALIGNMENT = 0x104A;
constexpr cl_uint CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE = 0x1067;  // OpenCL 3.0
constexpr cl_uint CL_DEVICE_SUB_GROUP_SIZES_INTEL = 0x4108;
constexpr cl_uint CL_DEVICE_WARP_SIZE_NV = 0x4003;
constexpr cl_uint CL_LOCAL_IS_DEDICATED = 1;
constexpr cl_uint CL_PROGRAM_BINARY_SIZES = 0x1165;
constexpr cl_uint CL_PROGRAM_BINARIES = 0x1166;
constexpr cl_uint CL_PROGRAM_BUILD_LOG = 0x1183;
constexpr cl_uint CL_KERNEL_WORK_GROUP_SIZE = 0x11B0;
constexpr cl_uint CL_KERNEL_LOCAL_MEM_SIZE = 0x11B2;
constexpr cl_uint CL_PROFILING_COMMAND_START = 0x1282;
constexpr cl_uint CL_PROFILING_COMMAND_END = 0x1283;

// X(name without "cl", result, parameters)
#define DLCC_OPENCL_FUNCTIONS(X)                                                               \
  X(GetPlatformIDs, cl_int, (cl_uint, cl_platform_id*, cl_uint*))                              \
  X(GetPlatformInfo, cl_int, (cl_platform_id, cl_uint, size_t, void*, size_t*))                \
  X(GetDeviceIDs, cl_int, (cl_platform_id, cl_bitfield, cl_uint, cl_device_id*, cl_uint*))     \
  X(GetDeviceInfo, cl_int, (cl_device_id, cl_uint, size_t, void*, size_t*))                    \
  X(CreateContext, cl_context,                                                                 \
    (const intptr_t*, cl_uint, const cl_device_id*, void*, void*, cl_int*))                    \
  X(CreateCommandQueue, cl_command_queue, (cl_context, cl_device_id, cl_bitfield, cl_int*))    \
  X(CreateBuffer, cl_mem, (cl_context, cl_bitfield, size_t, void*, cl_int*))                   \
  X(ReleaseMemObject, cl_int, (cl_mem))                                                        \
  X(EnqueueReadBuffer, cl_int,                                                                 \
    (cl_command_queue, cl_mem, cl_bool, size_t, size_t, void*, cl_uint, const cl_event*,       \
     cl_event*))                                                                               \
  X(EnqueueWriteBuffer, cl_int,                                                                \
    (cl_command_queue, cl_mem, cl_bool, size_t, size_t, const void*, cl_uint, const cl_event*, \
     cl_event*))                                                                               \
  X(EnqueueCopyBuffer, cl_int,                                                                 \
    (cl_command_queue, cl_mem, cl_mem, size_t, size_t, size_t, cl_uint, const cl_event*,       \
     cl_event*))                                                                               \
  X(EnqueueMapBuffer, void*,                                                                   \
    (cl_command_queue, cl_mem, cl_bool, cl_bitfield, size_t, size_t, cl_uint, const cl_event*, \
     cl_event*, cl_int*))                                                                      \
  X(EnqueueUnmapMemObject, cl_int,                                                             \
    (cl_command_queue, cl_mem, void*, cl_uint, const cl_event*, cl_event*))                    \
  X(CreateProgramWithSource, cl_program,                                                       \
    (cl_context, cl_uint, const char**, const size_t*, cl_int*))                               \
  X(CreateProgramWithBinary, cl_program,                                                       \
    (cl_context, cl_uint, const cl_device_id*, const size_t*, const unsigned char**, cl_int*,  \
     cl_int*))                                                                                 \
  X(BuildProgram, cl_int, (cl_program, cl_uint, const cl_device_id*, const char*, void*, void*)) \
  X(GetProgramInfo, cl_int, (cl_program, cl_uint, size_t, void*, size_t*))                     \
  X(GetProgramBuildInfo, cl_int, (cl_program, cl_device_id, cl_uint, size_t, void*, size_t*))  \
  X(ReleaseProgram, cl_int, (cl_program))                                                      \
  X(CreateKernel, cl_kernel, (cl_program, const char*, cl_int*))                               \
  X(GetKernelWorkGroupInfo, cl_int, (cl_kernel, cl_device_id, cl_uint, size_t, void*, size_t*)) \
  X(SetKernelArg, cl_int, (cl_kernel, cl_uint, size_t, const void*))                           \
  X(ReleaseKernel, cl_int, (cl_kernel))                                                        \
  X(EnqueueNDRangeKernel, cl_int,                                                              \
    (cl_command_queue, cl_kernel, cl_uint, const size_t*, const size_t*, const size_t*,        \
     cl_uint, const cl_event*, cl_event*))                                                     \
  X(Flush, cl_int, (cl_command_queue))                                                         \
  X(Finish, cl_int, (cl_command_queue))                                                        \
  X(WaitForEvents, cl_int, (cl_uint, const cl_event*))                                         \
  X(GetEventProfilingInfo, cl_int, (cl_event, cl_uint, size_t, void*, size_t*))                \
  X(ReleaseEvent, cl_int, (cl_event))

struct Functions {
#define X(name, result, parameters) result(*name) parameters = nullptr;
  DLCC_OPENCL_FUNCTIONS(X)
#undef X
};

}  // namespace dlcc::opencl
