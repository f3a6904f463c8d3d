#include "launch.h"

#include <tvm/ffi/error.h>

#include <algorithm>
#include <cstring>

#include "memory.h"

namespace dlcc::opencl {

namespace {

// The bits of a float16, rounded to nearest even. Source: IEEE 754-2019, 3.6 and 4.3.1.
uint16_t HalfBits(double value) {
  float single = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &single, sizeof(bits));
  uint32_t sign = bits >> 16 & 0x8000, rest = bits & 0x7FFFFFFF;
  if (rest > 0x7F800000) return static_cast<uint16_t>(sign | 0x7E00);   // not a number
  if (rest >= 0x477FF000) return static_cast<uint16_t>(sign | 0x7C00);  // rounds to infinity
  uint32_t kept, lost, half;
  if (rest >= 0x38800000) {  // normal: drop 13 bits, take 112 off the exponent
    kept = (rest - 0x38000000) >> 13;
    lost = rest & 0x1FFF;
    half = 0x1000;
  } else {
    int shift = 126 - static_cast<int>(rest >> 23);
    if (shift > 24) return static_cast<uint16_t>(sign);
    uint32_t digits = (rest & 0x7FFFFF) | 0x800000;
    kept = digits >> shift;
    lost = digits & ((1u << shift) - 1);
    half = 1u << (shift - 1);
  }
  if (lost > half || (lost == half && (kept & 1))) ++kept;
  return static_cast<uint16_t>(sign | kept);
}

std::string SizesText(const size_t* sizes) {
  return "(" + std::to_string(sizes[0]) + ", " + std::to_string(sizes[1]) + ", " +
         std::to_string(sizes[2]) + ")";
}

int AxisOf(const std::string& tag) {
  for (int i = 0; i < 6; ++i) {
    std::string name = i < 3 ? "blockIdx." : "threadIdx.";
    if (tag == name + static_cast<char>('x' + i % 3)) return i;
  }
  return -1;
}

}  // namespace

Launcher::Launcher(const KernelInfo& info) : name_(info.name), types_(info.arguments) {
  for (const std::string& tag : info.launch) {
    int axis = AxisOf(tag);
    if (axis < 0) {
      TVM_FFI_THROW(ValueError) << "kernel " << name_ << " needs " << tag
                                << ", which this OpenCL runtime does not have";
    }
    axes_.push_back(axis);
    dimensions_ = std::max(dimensions_, static_cast<cl_uint>(axis % 3 + 1));
  }
}

bool Launcher::ReadSizes(const TVMFFIAny* extents, Sizes* sizes) const {
  for (size_t i = 0; i < axes_.size(); ++i) {
    if (extents[i].v_int64 <= 0) return false;
    size_t* of = axes_[i] < 3 ? sizes->global : sizes->local;
    of[axes_[i] % 3] = static_cast<size_t>(extents[i].v_int64);
  }
  for (int i = 0; i < 3; ++i) sizes->global[i] *= sizes->local[i];
  return true;
}

void Launcher::CheckSizes(const BuiltKernel& kernel, const Sizes& sizes) const {
  const Device& device = *kernel.device;
  size_t all = sizes.local[0] * sizes.local[1] * sizes.local[2];
  size_t most = kernel.max_work_group > 0 ? kernel.max_work_group : device.max_work_group;
  if (all > most) {
    TVM_FFI_THROW(RuntimeError) << "kernel " << name_ << " has work-groups of "
                                << SizesText(sizes.local) << ", " << all
                                << " work-items; OpenCL device " << device.name << " runs at most "
                                << most << " of this kernel and " << device.max_work_group
                                << " of any";
  }
  for (int i = 0; i < 3; ++i) {
    if (sizes.local[i] <= device.max_work_item_sizes[i]) continue;
    TVM_FFI_THROW(RuntimeError) << "kernel " << name_ << " has work-groups of "
                                << SizesText(sizes.local) << "; OpenCL device " << device.name
                                << " allows at most " << SizesText(device.max_work_item_sizes);
  }
}

void Launcher::SetArguments(const BuiltKernel& kernel, const TVMFFIAny* arguments) const {
  for (size_t i = 0; i < types_.size(); ++i) {
    DLDataType type = types_[i];
    const TVMFFIAny& argument = arguments[i];
    auto index = static_cast<cl_uint>(i);
    cl_int code;
    if (type.code == kDLOpaqueHandle) {
      const auto* memory = static_cast<const Memory*>(argument.v_ptr);
      if (memory != nullptr && memory->device != kernel.device) {
        TVM_FFI_THROW(ValueError) << "kernel " << name_ << " runs on OpenCL device "
                                  << kernel.device->index << ", its argument " << i << " is on "
                                  << memory->device->index;
      }
      cl_mem handle = memory == nullptr ? nullptr : memory->handle;
      code = cl.SetKernelArg(kernel.kernel, index, sizeof(handle), &handle);
    } else if (type.code == kDLFloat && type.bits == 64) {
      code = cl.SetKernelArg(kernel.kernel, index, 8, &argument.v_float64);
    } else if (type.code == kDLFloat && type.bits == 32) {
      float value = static_cast<float>(argument.v_float64);
      code = cl.SetKernelArg(kernel.kernel, index, 4, &value);
    } else if (type.code == kDLFloat && type.bits == 16) {
      uint16_t value = HalfBits(argument.v_float64);
      code = cl.SetKernelArg(kernel.kernel, index, 2, &value);
    } else if (type.code == kDLInt || type.code == kDLUInt || type.code == kDLBool) {
      // the low bytes, which come first on every machine with a driver
      code = cl.SetKernelArg(kernel.kernel, index, (type.bits + 7u) / 8u, &argument.v_int64);
    } else {
      TVM_FFI_THROW(TypeError) << "kernel " << name_ << ": argument " << i << " has a type (code "
                               << static_cast<int>(type.code) << ", " << static_cast<int>(type.bits)
                               << " bits) that OpenCL kernels cannot take";
    }
    Check(code, "giving kernel " + name_ + " its argument " + std::to_string(i),
          kernel.device->name);
  }
}

void Launcher::Launch(const std::shared_ptr<BuiltKernel>& kernel, const TVMFFIAny* arguments,
                      size_t count) const {
  if (count != types_.size() + axes_.size()) {
    TVM_FFI_THROW(ValueError) << "kernel " << name_ << " takes " << types_.size() << " arguments and "
                              << axes_.size() << " extents, not " << count << " values";
  }
  Sizes sizes;
  if (!ReadSizes(arguments + types_.size(), &sizes)) return;  // an empty grid: nothing to compute
  CheckSizes(*kernel, sizes);
  Device& device = *kernel->device;
  cl_int code = device.Enqueue(name_, 0, [&](cl_command_queue queue, cl_event* event) {
    SetArguments(*kernel, arguments);
    return cl.EnqueueNDRangeKernel(queue, kernel->kernel, dimensions_, nullptr, sizes.global,
                                   sizes.local, 0, nullptr, event);
  });
  if (code != CL_SUCCESS) {
    cl_ulong local_bytes = 0;
    cl.GetKernelWorkGroupInfo(kernel->kernel, device.id, CL_KERNEL_LOCAL_MEM_SIZE,
                              sizeof(local_bytes), &local_bytes, nullptr);
    TVM_FFI_THROW(RuntimeError) << "kernel " << name_ << " was not started on OpenCL device "
                                << device.name << ": " << ErrorName(code) << "; work-items "
                                << SizesText(sizes.global) << " in groups of "
                                << SizesText(sizes.local) << ", local memory " << local_bytes
                                << " of " << device.Fact<cl_ulong>(CL_DEVICE_LOCAL_MEM_SIZE)
                                << " bytes";
  }
  NoteLaunched(kernel);
}

}  // namespace dlcc::opencl
