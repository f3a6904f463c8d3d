// The OpenCL devices of this process.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "loader.h"
#include "recorder.h"

namespace dlcc::opencl {

class Pool;
struct BuiltKernel;

// One device, with a context and queues of its own.
struct Device {
  int index = 0;
  cl_platform_id platform = nullptr;
  cl_device_id id = nullptr;
  cl_context context = nullptr;
  std::string name, driver, version, platform_version;
  cl_ulong global_bytes = 0;
  cl_ulong max_alloc_bytes = 0;
  size_t max_work_group = 1;
  size_t max_work_item_sizes[3] = {1, 1, 1};
  bool unified_memory = false;

  // Held while a command is put together and enqueued: setting the arguments of a kernel and
  // enqueueing it must not mix with those of another thread, and neither must a change of queues.
  // One for the device, as drivers serialise the enqueueing itself anyhow.
  std::mutex mutex;
  cl_command_queue plain_queue = nullptr;
  // In use while somebody watches. A queue that profiles is slower on some drivers.
  cl_command_queue profiling_queue = nullptr;
  Recorder recorder;

  std::atomic<size_t> allocated_bytes{0};  // by everybody, pools too
  std::mutex pools_mutex;
  std::vector<Pool*> pools;

  std::mutex unsaved_mutex;
  std::atomic<bool> has_unsaved{false};
  std::vector<std::shared_ptr<BuiltKernel>> unsaved;  // launched, not in the program cache yet

  // The queue in use; to be asked for with `mutex` held.
  cl_command_queue queue() const { return recorder.watched() ? profiling_queue : plain_queue; }

  // Enqueues one command, and records it where somebody watches. `enqueue` gets the queue and
  // where to put the event, which is null for nobody.
  cl_int Enqueue(const std::string& command, size_t bytes,
                 const std::function<cl_int(cl_command_queue, cl_event*)>& enqueue);

  // Waits until all that was enqueued has ended.
  void Finish();

  size_t StartRecording();
  std::vector<Span> StopRecording(size_t from);

  std::string Text(cl_uint what) const;
  template <typename T>
  T Fact(cl_uint what, T otherwise = T()) const {
    T value = otherwise;
    cl_int code = cl.GetDeviceInfo(id, what, sizeof(T), &value, nullptr);
    return code == CL_SUCCESS ? value : otherwise;
  }
};

// All devices: graphics processors first, then accelerators, then processors.
//
// Found at first use. As long as none is found, it is tried again whenever the variables that say
// where to look have changed.
class Devices {
 public:
  static Devices& Get();

  int Count();
  // Throws a RuntimeError for a number that no device has.
  Device& At(int index);
  // Why there is no device; "" where there is one.
  std::string WhyNot();

 private:
  Devices() = default;
  void Find();
  void FindOn(cl_platform_id platform, cl_bitfield type);
  std::string Open(cl_platform_id platform, cl_device_id id);

  std::mutex mutex_;
  std::atomic<int> count_{0};
  std::string looked_with_;
  std::string why_not_;
  std::vector<std::unique_ptr<Device>> devices_;
};

// Every device with its facts, as JSON.
std::string DescribeDevices();

// The device that the calling thread works with.
int& CurrentDevice();

// Whether the process is at its end: what a driver gave must not be given back any more, as the
// driver may be gone already.
bool Exiting();

}  // namespace dlcc::opencl
