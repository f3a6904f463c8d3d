// Writes JSON: objects and lists of strings, numbers and truth values.
#pragma once

#include <cstdio>
#include <string>

namespace dlcc::opencl {

inline std::string JsonString(const std::string& text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c >= 0x7F) {
      // Drivers name themselves in plain text; a stray byte must not spoil the rest.
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", c);
      out += escaped;
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + "\"";
}

// Fields in the order in which they are added.
class JsonObject {
 public:
  void Add(const char* name, const std::string& text) { Put(name, JsonString(text)); }
  void Add(const char* name, const char* text) { Put(name, JsonString(text)); }
  void Add(const char* name, bool value) { Put(name, value ? "true" : "false"); }
  template <typename T>
  void Add(const char* name, T number) {
    Put(name, std::to_string(number));
  }
  void Put(const char* name, const std::string& json) {
    out_ += (out_.empty() ? "" : ", ") + JsonString(name) + ": " + json;
  }
  std::string str() const { return "{" + out_ + "}"; }

 private:
  std::string out_;
};

class JsonList {
 public:
  void Add(const std::string& json) { out_ += (out_.empty() ? "" : ", ") + json; }
  std::string str() const { return "[" + out_ + "]"; }

 private:
  std::string out_;
};

}  // namespace dlcc::opencl
