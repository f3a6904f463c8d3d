// What ran on a device and when, for the timer and for profiles.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "cl.h"

namespace dlcc::opencl {

// One command, by the device's clock. bytes: of a copy, else 0.
struct Span {
  std::string name;
  size_t bytes = 0;
  cl_ulong start_ns = 0;
  cl_ulong end_ns = 0;
};

// Commands in order of enqueue, kept while somebody watches. Not thread-safe: the device's mutex
// guards it.
class Recorder {
 public:
  bool watched() const { return watchers_ > 0; }

  // A watcher begins: the number of its first command.
  size_t Begin();

  // Takes a reference over on events of the first and the last part of a command, which may be
  // one event. Reads the times of commands that have ended, so that few events stay alive.
  void Add(std::string name, size_t bytes, cl_event first, cl_event last);

  // The watcher that began at `from` ends: its commands, which must all have ended. The last one
  // leaves nothing behind.
  std::vector<Span> End(size_t from, const std::string& device);

 private:
  struct Entry {
    Span span;
    cl_event first = nullptr;
    cl_event last = nullptr;
  };

  // Whether the times could be read; throws for any reason but that the command still runs.
  bool Resolve(Entry* entry, const std::string& device, bool must);

  int watchers_ = 0;
  size_t resolved_ = 0;  // of the entries, from the first on
  std::deque<Entry> entries_;
};

}  // namespace dlcc::opencl
