"""Files of ops for tests: what is in them, and where they are written."""

from __future__ import annotations

from pathlib import Path

HEAD = """
from dlcc.compiler.user_ops import *
from tvm import te, tirx
OPS = UserOps("mine", version="3", file=__file__)
"""
SHAPE = """
@OPS.shape("Twice")
def shape(node, inputs):
    return Tensor(inputs[0].shape, inputs[0].dtype)
"""
# as a tensor expression, with a factor that tells it from the kernels below
TE = """
@OPS.op("Twice")
def twice(g, node):
    def compute(x):
        return te.compute(x.shape, lambda *i: x(*i) * tirx.const(2, x.dtype))
    return g.te(compute, g.arg(node, 0), name="twice_te")
"""
IN_C = 'OPS.kernel("Twice", target="host,arm,hexagon", source="twice.c")\n'
IN_OPENCL = 'OPS.kernel("Twice", target="opencl", source="twice.cl")\n'
C = """
#include "dlcc_kernel.h"

void twice(const float *x, float *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        y[i] = 2.0f * x[i];
    }
}
"""
OPENCL = """
void twice(__global const float *x, __global float *y, long count)
{
    long i = get_global_id(0);
    if (i < count) {
        y[i] = 2.0f * x[i];
    }
}
"""


def write(folder: Path, *parts: str, c: str = C, opencl: str = OPENCL) -> Path:
    """A file of ops of these parts, behind HEAD, with its sources beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "twice.c").write_text(c)
    (folder / "twice.cl").write_text(opencl)
    path = folder / "mine.py"
    path.write_text("".join([HEAD, *parts]))
    return path
