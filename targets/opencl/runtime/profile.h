// Times of what runs on a device: TVM's timer, and profiles.
#pragma once

#include <tvm/runtime/timer.h>

#include <string>

#include "device.h"

namespace dlcc::opencl {

// Sum of the times of all commands of a device between start and stop, whoever enqueued them.
class Timer final : public tvm::runtime::TimerNode {
 public:
  explicit Timer(DLDevice device);
  ~Timer() override;

  void Start() final;
  void Stop() final;
  int64_t SyncAndGetElapsedNanos() final;
  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("dlcc.opencl.Timer", Timer, tvm::runtime::TimerNode);

 private:
  Device& device_;
  bool running_ = false;
  size_t from_ = 0;
  int64_t total_ns_ = 0;
};

// One profile of a device at a time; both throw where that is not so.
void StartProfile(int device);
// Its commands as JSON, in order of enqueue.
std::string StopProfile(int device);

}  // namespace dlcc::opencl
