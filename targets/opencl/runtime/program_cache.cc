#include "program_cache.h"

#include <tvm/runtime/logging.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "sha256.h"

namespace dlcc::opencl::program_cache {

namespace fs = std::filesystem;

namespace {

constexpr char kMagic[] = "dlcc-opencl-program-1\n";
constexpr char kSuffix[] = ".clbin";
constexpr uintmax_t kDefaultBytes = 256u << 20;
constexpr auto kAbandonedAfter = std::chrono::hours(1);

std::string Folder() {
  const char* folder = std::getenv("DLCC_OPENCL_CACHE");
  return folder == nullptr ? "" : folder;
}

fs::path PathOf(const std::string& key) { return fs::path(Folder()) / (key + kSuffix); }

uintmax_t Bound() {
  const char* text = std::getenv("DLCC_OPENCL_CACHE_BYTES");
  if (text == nullptr || *text == '\0') return kDefaultBytes;
  char* end = nullptr;
  unsigned long long bytes = std::strtoull(text, &end, 10);
  if (*end == '\0') return bytes;
  LOG(WARNING) << "DLCC_OPENCL_CACHE_BYTES is no number: " << text;
  return kDefaultBytes;
}

struct File {
  fs::path path;
  uintmax_t bytes;
  fs::file_time_type used;
};

// Programs in the folder; removes temporary files that nobody will finish.
std::vector<File> Files() {
  std::vector<File> files;
  std::error_code error;  // another process may remove any of them meanwhile
  auto now = fs::file_time_type::clock::now();
  for (fs::directory_iterator it(Folder(), error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    File file{it->path(), it->file_size(gone), it->last_write_time(gone)};
    if (gone) continue;
    if (file.path.extension() == kSuffix) files.push_back(file);
    if (file.path.extension() == ".tmp" && now - file.used > kAbandonedAfter) {
      fs::remove(file.path, gone);
    }
  }
  return files;
}

}  // namespace

bool IsOn() { return !Folder().empty(); }

std::string Key(const std::string& device, const std::string& driver,
                const std::string& platform_version, const std::string& options,
                const std::string& source) {
  std::string all;
  for (const std::string* part : {&device, &driver, &platform_version, &options, &source}) {
    all += std::to_string(part->size()) + ":" + *part;  // so that no two lists read alike
  }
  return Sha256(all);
}

std::optional<std::string> Load(const std::string& key) {
  fs::path path = PathOf(key);
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  constexpr size_t kMagicBytes = sizeof(kMagic) - 1;
  constexpr size_t kHeaderBytes = kMagicBytes + 64;
  if (content.size() <= kHeaderBytes || content.compare(0, kMagicBytes, kMagic) != 0 ||
      content.compare(kMagicBytes, 64, Sha256(content.substr(kHeaderBytes))) != 0) {
    Remove(key, "it is damaged");
    return std::nullopt;
  }
  std::error_code error;  // a folder that may only be read still serves
  fs::last_write_time(path, fs::file_time_type::clock::now(), error);
  return content.substr(kHeaderBytes);
}

void Store(const std::string& key, const std::string& binary) {
  static std::atomic<unsigned> counter{0};
  std::error_code error;
  fs::create_directories(Folder(), error);
  fs::path path = PathOf(key), part = path;
  part += "." + std::to_string(getpid()) + "-" + std::to_string(counter++) + ".tmp";
  {
    std::ofstream file(part, std::ios::binary);
    file << kMagic << Sha256(binary) << binary;
    file.flush();
    if (!file) {
      LOG(WARNING) << "cannot write to the cache of OpenCL programs: " << part.string();
      fs::remove(part, error);
      return;
    }
  }
  fs::rename(part, path, error);
  if (error) {
    LOG(WARNING) << "cannot write to the cache of OpenCL programs: " << error.message();
    fs::remove(part, error);
  }
}

void Remove(const std::string& key, const std::string& why) {
  LOG(WARNING) << "an OpenCL program in the cache is not used, " << why << "; it is built anew: "
               << PathOf(key).string();
  std::error_code error;  // gone already is as good
  fs::remove(PathOf(key), error);
}

void Trim() {
  std::vector<File> files = Files();
  uintmax_t total = 0, bound = Bound();
  for (const File& file : files) total += file.bytes;
  if (total <= bound) return;
  std::sort(files.begin(), files.end(),
            [](const File& a, const File& b) { return a.used < b.used; });
  for (const File& file : files) {
    if (total <= bound) break;
    std::error_code error;
    fs::remove(file.path, error);
    total -= file.bytes;
  }
}

}  // namespace dlcc::opencl::program_cache
