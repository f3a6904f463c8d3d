// Stands in for tvm/support/io.h, which TVM's own headers include but its wheel does not hold.
//
// It only lets those headers be parsed; this runtime uses nothing of it. Its folder is the last on
// the include path, so that the real header wins where there is one.
#pragma once

#include <cstddef>

namespace tvm::support {

template <typename T, typename = void>
struct Serializer {
  static constexpr bool enabled = false;
};

class Stream {
 public:
  virtual ~Stream() = default;
  virtual size_t Read(void* data, size_t bytes) = 0;
  virtual size_t Write(const void* data, size_t bytes) = 0;
  template <typename T>
  void Write(const T&) {}
  template <typename T>
  bool Read(T*) {
    return false;
  }
  template <typename T>
  void WriteArray(const T*, size_t) {}
  template <typename T>
  bool ReadArray(T*, size_t) {
    return false;
  }
};

}  // namespace tvm::support
