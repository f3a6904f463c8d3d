// Opens the OpenCL library of this machine when it is first needed.
#pragma once

#include <string>

#include "cl.h"

namespace dlcc::opencl {

// OpenCL's functions; all null until LoadLibrary has succeeded.
extern Functions cl;

// Opens $DLCC_OPENCL_LIBRARY, or the first of the usual names. Returns "" or why there is none.
// Not for several threads at once: Devices calls it under its lock.
std::string LoadLibrary();

// "CL_OUT_OF_RESOURCES (-5)".
std::string ErrorName(cl_int code);

// Throws a RuntimeError for a code other than CL_SUCCESS. `what`: what was tried, on which device.
void Check(cl_int code, const std::string& what, const std::string& device);

}  // namespace dlcc::opencl
