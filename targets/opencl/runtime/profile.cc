#include "profile.h"

#include <tvm/ffi/error.h>

#include <map>

#include "json.h"

namespace dlcc::opencl {

namespace {

std::mutex profiles_mutex;
// device -> its first command
std::map<int, size_t>& Profiles() {
  static auto& profiles = *new std::map<int, size_t>();
  return profiles;
}

}  // namespace

Timer::Timer(DLDevice device) : device_(Devices::Get().At(device.device_id)) {}

Timer::~Timer() {
  if (!running_ || Exiting()) return;
  try {
    Stop();
  } catch (const tvm::ffi::Error&) {
    // What it timed has failed, and whoever asked was told so.
  }
}

void Timer::Start() {
  from_ = device_.StartRecording();
  running_ = true;
}

void Timer::Stop() {
  running_ = false;
  for (const Span& span : device_.StopRecording(from_)) {
    total_ns_ += static_cast<int64_t>(span.end_ns - span.start_ns);
  }
}

int64_t Timer::SyncAndGetElapsedNanos() { return total_ns_; }

void StartProfile(int index) {
  Device& device = Devices::Get().At(index);
  std::lock_guard<std::mutex> lock(profiles_mutex);
  if (Profiles().count(index) != 0) {
    TVM_FFI_THROW(RuntimeError) << "OpenCL device " << device.name << " is being profiled already";
  }
  Profiles()[index] = device.StartRecording();
}

std::string StopProfile(int index) {
  Device& device = Devices::Get().At(index);
  std::lock_guard<std::mutex> lock(profiles_mutex);
  auto found = Profiles().find(index);
  if (found == Profiles().end()) {
    TVM_FFI_THROW(RuntimeError) << "OpenCL device " << device.name << " is not being profiled";
  }
  size_t from = found->second;
  Profiles().erase(found);
  JsonList rows;
  for (const Span& span : device.StopRecording(from)) {
    JsonObject row;
    row.Add("name", span.name);
    if (span.bytes > 0) row.Add("bytes", span.bytes);
    row.Add("start_ns", span.start_ns);
    row.Add("end_ns", span.end_ns);
    rows.Add(row.str());
  }
  return rows.str();
}

}  // namespace dlcc::opencl
