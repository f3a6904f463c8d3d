// Stands in for tvm/support/serializer.h; see io.h beside it.
#pragma once

#include <tvm/support/io.h>
