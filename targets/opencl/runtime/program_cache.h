// Compiled programs in a folder, for the next process that wants them.
//
// $DLCC_OPENCL_CACHE is the folder; none where it is empty or not set. $DLCC_OPENCL_CACHE_BYTES
// bounds it, 256 MiB by default; the least recently used programs go first. Several processes may
// share it: files are written under another name and renamed. A file that is damaged counts as
// not there. Nothing here throws: without its cache a program is compiled, which takes longer.
#pragma once

#include <optional>
#include <string>

namespace dlcc::opencl::program_cache {

bool IsOn();

// The name of a program's file: of all that its binary depends on.
std::string Key(const std::string& device, const std::string& driver,
                const std::string& platform_version, const std::string& options,
                const std::string& source);

std::optional<std::string> Load(const std::string& key);
void Store(const std::string& key, const std::string& binary);

// For a binary that the driver does not take.
void Remove(const std::string& key, const std::string& why);

// Removes what is over the bound, and what processes that were killed left.
void Trim();

}  // namespace dlcc::opencl::program_cache
