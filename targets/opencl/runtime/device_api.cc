#include "device_api.h"

#include <tvm/ffi/container/tensor.h>
#include <tvm/runtime/memory/memory_manager.h>

#include "kernel.h"
#include "memory.h"
#include "pool.h"

namespace dlcc::opencl {

using tvm::ffi::Any;
using tvm::runtime::AllocatorType;
using tvm::runtime::DeviceAttrKind;
using tvm::runtime::MemoryManager;

namespace {

bool IsOurs(const DLTensor& tensor) { return tensor.device.device_type == kDLOpenCL; }

Place PlaceOf(const DLTensor& tensor) {
  return Place{static_cast<Memory*>(tensor.data), tensor.byte_offset};
}

char* HostAddressOf(const DLTensor& tensor) {
  return static_cast<char*>(tensor.data) + tensor.byte_offset;
}

int64_t Clamped(cl_ulong value) { return static_cast<int64_t>(value & INT64_MAX); }

std::string SizesText(const Device& device) {
  std::string text;
  for (size_t size : device.max_work_item_sizes) {
    text += (text.empty() ? "[" : ", ") + std::to_string(size);
  }
  return text + "]";
}

// "3.0" of "OpenCL 3.0 with words of the vendor".
std::string VersionNumber(const Device& device) {
  size_t start = device.version.find(' ');
  if (start == std::string::npos) return "";
  return device.version.substr(start + 1, device.version.find(' ', start + 1) - start - 1);
}

}  // namespace

OpenCLDeviceAPI* OpenCLDeviceAPI::Get() {
  static OpenCLDeviceAPI* api = new OpenCLDeviceAPI();  // used until the process is gone
  return api;
}

void OpenCLDeviceAPI::SetDevice(DLDevice device) { CurrentDevice() = device.device_id; }

void OpenCLDeviceAPI::GetAttr(DLDevice where, DeviceAttrKind kind, Any* value) {
  Devices& devices = Devices::Get();
  if (kind == tvm::runtime::kExist) {
    *value = where.device_id >= 0 && where.device_id < devices.Count() ? 1 : 0;
    return;
  }
  Device& device = devices.At(where.device_id);
  switch (kind) {
    case tvm::runtime::kMaxThreadsPerBlock:
      *value = Clamped(device.max_work_group);
      break;
    case tvm::runtime::kWarpSize:
      *value = int64_t{1};  // OpenCL promises nothing about work-items that run in step
      break;
    case tvm::runtime::kMaxSharedMemoryPerBlock:
      *value = Clamped(device.Fact<cl_ulong>(CL_DEVICE_LOCAL_MEM_SIZE));
      break;
    case tvm::runtime::kComputeVersion:
      *value = tvm::ffi::String(VersionNumber(device));
      break;
    case tvm::runtime::kDeviceName:
      *value = tvm::ffi::String(device.name);
      break;
    case tvm::runtime::kMaxClockRate:  // kHz
      *value = Clamped(device.Fact<cl_uint>(CL_DEVICE_MAX_CLOCK_FREQUENCY)) * 1000;
      break;
    case tvm::runtime::kMultiProcessorCount:
      *value = Clamped(device.Fact<cl_uint>(CL_DEVICE_MAX_COMPUTE_UNITS));
      break;
    case tvm::runtime::kMaxThreadDimensions:
      *value = tvm::ffi::String(SizesText(device));
      break;
    case tvm::runtime::kApiVersion:
      *value = int64_t{120};  // what this runtime calls: OpenCL 1.2
      break;
    case tvm::runtime::kDriverVersion:
      *value = tvm::ffi::String(device.driver);
      break;
    case tvm::runtime::kL2CacheSizeBytes:
      *value = Clamped(device.Fact<cl_ulong>(CL_DEVICE_GLOBAL_MEM_CACHE_SIZE));
      break;
    case tvm::runtime::kTotalGlobalMemory:
      *value = Clamped(device.global_bytes);
      break;
    case tvm::runtime::kImagePitchAlignment:
      *value = Clamped(device.Fact<cl_uint>(CL_DEVICE_IMAGE_PITCH_ALIGNMENT));
      break;
    default:
      break;  // OpenCL does not tell: None
  }
}

void OpenCLDeviceAPI::GetTargetProperty(DLDevice device, const std::string& property,
                                        Any* value) {
  if (property == "max_threads_per_block" || property == "max_num_threads") {
    GetAttr(device, tvm::runtime::kMaxThreadsPerBlock, value);
  } else if (property == "max_shared_memory_per_block") {
    GetAttr(device, tvm::runtime::kMaxSharedMemoryPerBlock, value);
  } else if (property == "thread_warp_size") {
    GetAttr(device, tvm::runtime::kWarpSize, value);
  }
}

void* OpenCLDeviceAPI::AllocDataSpace(DLDevice device, size_t bytes, size_t, DLDataType) {
  return Allocate(Devices::Get().At(device.device_id), bytes);
}

void* OpenCLDeviceAPI::AllocDataSpace(DLDevice device, int rank, const int64_t* shape,
                                      DLDataType dtype,
                                      tvm::ffi::Optional<tvm::ffi::String> scope) {
  if (scope.has_value()) CheckScope(scope.value());
  return Allocate(Devices::Get().At(device.device_id), BytesOf(shape, rank, dtype));
}

void OpenCLDeviceAPI::FreeDataSpace(DLDevice, void* data) { Release(static_cast<Memory*>(data)); }

void OpenCLDeviceAPI::CopyDataFromTo(DLTensor* from, DLTensor* to, TVMStreamHandle) {
  size_t bytes = tvm::ffi::GetDataSize(*from);
  if (bytes != tvm::ffi::GetDataSize(*to)) {
    TVM_FFI_THROW(ValueError) << "a copy from " << bytes << " bytes to "
                              << tvm::ffi::GetDataSize(*to);
  }
  if (!tvm::ffi::IsContiguous(*from) || !tvm::ffi::IsContiguous(*to)) {
    TVM_FFI_THROW(ValueError) << "tensors on OpenCL devices are copied whole: make both contiguous";
  }
  if (bytes == 0) return;
  if (IsOurs(*from) && IsOurs(*to)) {
    CopyOnDevices(PlaceOf(*to), PlaceOf(*from), bytes);
  } else if (IsOurs(*to)) {
    CopyToDevice(PlaceOf(*to), HostAddressOf(*from), bytes);
  } else {
    CopyToHost(HostAddressOf(*to), PlaceOf(*from), bytes);
  }
}

void OpenCLDeviceAPI::StreamSync(DLDevice where, TVMStreamHandle) {
  Device& device = Devices::Get().At(where.device_id);
  device.Finish();
  SaveLaunched(device);
}

// Out of the pool: kernels ask for the same sizes again and again.
void* OpenCLDeviceAPI::AllocWorkspace(DLDevice device, size_t bytes, DLDataType dtype) {
  auto* pool = MemoryManager::GetOrCreateAllocator(device, AllocatorType::kPooled);
  return pool->Alloc(device, bytes, tvm::runtime::kAllocAlignment, dtype).data;
}

void OpenCLDeviceAPI::FreeWorkspace(DLDevice device, void* data) {
  tvm::runtime::memory::Buffer buffer;
  buffer.data = data;
  buffer.size = static_cast<Memory*>(data)->bytes;
  buffer.device = device;
  buffer.alloc_type = AllocatorType::kPooled;
  MemoryManager::GetAllocator(device, AllocatorType::kPooled)->Free(buffer);
}

}  // namespace dlcc::opencl
