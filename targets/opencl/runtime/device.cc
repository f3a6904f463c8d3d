#include "device.h"

#include <tvm/ffi/error.h>

#include <cstdlib>
#include <cstring>

namespace dlcc::opencl {

namespace {

std::atomic<bool> exiting{false};

// Runs before the driver's own exit handlers, which were registered before it. Work that is still
// under way must end first: it would go on in a driver that is being taken apart.
void AtExit() {
  Devices& devices = Devices::Get();
  int count = devices.Count();
  for (int i = 0; i < count; ++i) {
    Device& device = devices.At(i);
    std::unique_lock<std::mutex> lock(device.mutex, std::try_to_lock);
    if (lock.owns_lock()) cl.Finish(device.queue());
  }
  exiting = true;
}

std::string PlatformText(cl_platform_id platform, cl_uint what) {
  size_t bytes = 0;
  if (cl.GetPlatformInfo(platform, what, 0, nullptr, &bytes) != CL_SUCCESS) return "";
  std::string text(bytes, '\0');
  if (cl.GetPlatformInfo(platform, what, bytes, text.data(), nullptr) != CL_SUCCESS) return "";
  return text.substr(0, std::strlen(text.c_str()));
}

// The variables that decide what is found.
std::string Settings() {
  std::string all;
  for (const char* name : {"DLCC_OPENCL_LIBRARY", "DLCC_OPENCL_PRELOAD", "DLCC_OPENCL_PLATFORM",
                           "OCL_ICD_VENDORS"}) {
    const char* value = std::getenv(name);
    all += std::string(name) + "=" + (value == nullptr ? "" : value) + ";";
  }
  return all;
}

}  // namespace

bool Exiting() { return exiting; }

int& CurrentDevice() {
  static thread_local int current = 0;
  return current;
}

std::string Device::Text(cl_uint what) const {
  size_t bytes = 0;
  if (cl.GetDeviceInfo(id, what, 0, nullptr, &bytes) != CL_SUCCESS) return "";
  std::string text(bytes, '\0');
  if (cl.GetDeviceInfo(id, what, bytes, text.data(), nullptr) != CL_SUCCESS) return "";
  return text.substr(0, std::strlen(text.c_str()));
}

cl_int Device::Enqueue(const std::string& command, size_t bytes,
                       const std::function<cl_int(cl_command_queue, cl_event*)>& enqueue) {
  std::lock_guard<std::mutex> lock(mutex);
  cl_event event = nullptr;
  bool watched = recorder.watched();
  cl_int code = enqueue(queue(), watched ? &event : nullptr);
  if (watched && code == CL_SUCCESS) recorder.Add(command, bytes, event, event);
  return code;
}

void Device::Finish() {
  cl_command_queue used;
  {
    std::lock_guard<std::mutex> lock(mutex);
    used = queue();
  }
  // Without the lock: other threads may enqueue meanwhile. Where they change queues, the one that
  // is waited for here has been finished by that.
  Check(cl.Finish(used), "waiting for its commands", name);
}

size_t Device::StartRecording() {
  std::lock_guard<std::mutex> lock(mutex);
  if (!recorder.watched()) {
    Check(cl.Finish(plain_queue), "waiting for its commands", name);
    if (profiling_queue == nullptr) {
      cl_int code;
      profiling_queue = cl.CreateCommandQueue(context, id, CL_QUEUE_PROFILING_ENABLE, &code);
      Check(code, "making a queue that profiles", name);
    }
  }
  return recorder.Begin();
}

std::vector<Span> Device::StopRecording(size_t from) {
  std::lock_guard<std::mutex> lock(mutex);
  Check(cl.Finish(profiling_queue), "waiting for its commands", name);
  return recorder.End(from, name);
}

Devices& Devices::Get() {
  // Never destroyed: objects that outlive `main` still refer to it.
  static Devices& devices = *new Devices();
  return devices;
}

int Devices::Count() {
  if (int known = count_.load(std::memory_order_acquire)) return known;
  std::lock_guard<std::mutex> lock(mutex_);
  if (devices_.empty()) Find();
  count_.store(static_cast<int>(devices_.size()), std::memory_order_release);
  return static_cast<int>(devices_.size());
}

Device& Devices::At(int index) {
  int count = Count();
  if (index < 0 || index >= count) {
    std::string why = WhyNot();
    TVM_FFI_THROW(RuntimeError) << "there is no OpenCL device " << index << ": "
                                << (why.empty() ? std::to_string(count) + " found" : why);
  }
  return *devices_[static_cast<size_t>(index)];  // never changes once there is one
}

std::string Devices::WhyNot() {
  if (Count() > 0) return "";
  std::lock_guard<std::mutex> lock(mutex_);
  return why_not_;
}

void Devices::Find() {
  std::string settings = Settings();
  if (settings == looked_with_) return;
  looked_with_ = settings;
  why_not_ = LoadLibrary();
  if (!why_not_.empty()) return;
  cl_uint count = 0;
  cl_int code = cl.GetPlatformIDs(0, nullptr, &count);
  if (code != CL_SUCCESS || count == 0) {
    why_not_ = "an OpenCL library is there, but no driver";
    if (code != CL_PLATFORM_NOT_FOUND_KHR && code != CL_SUCCESS) {
      why_not_ += ": " + ErrorName(code);
    }
    return;
  }
  std::vector<cl_platform_id> platforms(count);
  Check(cl.GetPlatformIDs(count, platforms.data(), nullptr), "listing platforms", "?");
  const char* named = std::getenv("DLCC_OPENCL_PLATFORM");
  std::string wanted = named == nullptr ? "" : named;
  std::string names;
  for (cl_bitfield type :
       {CL_DEVICE_TYPE_GPU, CL_DEVICE_TYPE_ACCELERATOR, CL_DEVICE_TYPE_CPU}) {
    for (cl_platform_id platform : platforms) {
      std::string name = PlatformText(platform, CL_PLATFORM_NAME);
      if (type == CL_DEVICE_TYPE_GPU) names += (names.empty() ? "" : ", ") + name;
      if (name.find(wanted) == std::string::npos) continue;
      FindOn(platform, type);
    }
  }
  if (!devices_.empty()) {
    why_not_.clear();
    std::atexit(AtExit);
  } else if (why_not_.empty()) {
    why_not_ = "no device on these OpenCL platforms: " + names;
    if (!wanted.empty()) why_not_ += " (DLCC_OPENCL_PLATFORM is " + wanted + ")";
  }
}

void Devices::FindOn(cl_platform_id platform, cl_bitfield type) {
  cl_uint count = 0;
  if (cl.GetDeviceIDs(platform, type, 0, nullptr, &count) != CL_SUCCESS || count == 0) return;
  std::vector<cl_device_id> ids(count);
  if (cl.GetDeviceIDs(platform, type, count, ids.data(), nullptr) != CL_SUCCESS) return;
  for (cl_device_id id : ids) {
    std::string why = Open(platform, id);
    if (!why.empty()) why_not_ += (why_not_.empty() ? "" : "; ") + why;
  }
}

std::string Devices::Open(cl_platform_id platform, cl_device_id id) {
  auto device = std::make_unique<Device>();
  device->platform = platform;
  device->id = id;
  device->name = device->Text(CL_DEVICE_NAME);
  cl_int code;
  device->context = cl.CreateContext(nullptr, 1, &id, nullptr, nullptr, &code);
  if (code != CL_SUCCESS) return device->name + " gives no context: " + ErrorName(code);
  device->plain_queue = cl.CreateCommandQueue(device->context, id, 0, &code);
  if (code != CL_SUCCESS) return device->name + " gives no queue: " + ErrorName(code);
  device->driver = device->Text(CL_DRIVER_VERSION);
  device->version = device->Text(CL_DEVICE_VERSION);
  device->platform_version = PlatformText(platform, CL_PLATFORM_VERSION);
  device->global_bytes = device->Fact<cl_ulong>(CL_DEVICE_GLOBAL_MEM_SIZE);
  device->max_alloc_bytes = device->Fact<cl_ulong>(CL_DEVICE_MAX_MEM_ALLOC_SIZE);
  device->max_work_group = device->Fact<size_t>(CL_DEVICE_MAX_WORK_GROUP_SIZE, 1);
  cl.GetDeviceInfo(id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof(device->max_work_item_sizes),
                   device->max_work_item_sizes, nullptr);
  device->unified_memory = device->Fact<cl_bool>(CL_DEVICE_HOST_UNIFIED_MEMORY) != 0;
  device->index = static_cast<int>(devices_.size());
  devices_.push_back(std::move(device));
  return "";
}

}  // namespace dlcc::opencl
