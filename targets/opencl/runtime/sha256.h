// SHA-256, for names and checksums of files in the program cache.
#pragma once

#include <string>

namespace dlcc::opencl {

// 64 hexadecimal digits. Source: FIPS 180-4, section 6.2.
std::string Sha256(const std::string& data);

}  // namespace dlcc::opencl
