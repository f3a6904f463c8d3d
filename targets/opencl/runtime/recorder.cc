#include "recorder.h"

#include "loader.h"

namespace dlcc::opencl {

namespace {

constexpr size_t kMaxOpenEvents = 1024;

void Drop(cl_event first, cl_event last) {
  if (first != nullptr) cl.ReleaseEvent(first);
  if (last != nullptr && last != first) cl.ReleaseEvent(last);
}

}  // namespace

size_t Recorder::Begin() {
  ++watchers_;
  return entries_.size();
}

void Recorder::Add(std::string name, size_t bytes, cl_event first, cl_event last) {
  Entry entry;
  entry.span.name = std::move(name);
  entry.span.bytes = bytes;
  entry.first = first;
  entry.last = last;
  entries_.push_back(std::move(entry));
  while (entries_.size() - resolved_ > kMaxOpenEvents) {
    if (!Resolve(&entries_[resolved_], "", false)) break;
    ++resolved_;
  }
}

bool Recorder::Resolve(Entry* entry, const std::string& device, bool must) {
  if (entry->last == nullptr) return true;
  Span& span = entry->span;
  cl_int code = cl.GetEventProfilingInfo(entry->last, CL_PROFILING_COMMAND_END,
                                         sizeof(span.end_ns), &span.end_ns, nullptr);
  if (code == CL_SUCCESS) {
    code = cl.GetEventProfilingInfo(entry->first, CL_PROFILING_COMMAND_START,
                                    sizeof(span.start_ns), &span.start_ns, nullptr);
  }
  if (code != CL_SUCCESS && !must) return false;
  Drop(entry->first, entry->last);
  entry->first = entry->last = nullptr;
  Check(code, "reading the times of " + span.name, device);
  return true;
}

std::vector<Span> Recorder::End(size_t from, const std::string& device) {
  std::vector<Span> spans;
  for (; resolved_ < entries_.size(); ++resolved_) Resolve(&entries_[resolved_], device, true);
  for (size_t i = from; i < entries_.size(); ++i) spans.push_back(entries_[i].span);
  if (--watchers_ == 0) {
    for (Entry& entry : entries_) Drop(entry.first, entry.last);
    entries_.clear();
    resolved_ = 0;
  }
  return spans;
}

}  // namespace dlcc::opencl
