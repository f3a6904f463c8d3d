"""The geometry of a 2-D convolution in NHWC, whatever its dtypes."""

from __future__ import annotations

from tvm import relax

from dlcc.targets.cpu.geometry import Geometry
from dlcc.targets.cpu.matmul import dims, static

KERNEL_LAYOUTS = ("HWIO", "HWOI", "OHWI", "OIHW")


def geometry(call: relax.Call) -> Geometry | str:
    """Geometry of a relax.nn.conv2d whose data are NHWC, or why it has none."""
    a, (x, w) = call.attrs, call.args
    layouts = (str(a.data_layout), str(a.out_layout or a.data_layout))
    if layouts != ("NHWC", "NHWC") or str(a.kernel_layout) not in KERNEL_LAYOUTS:
        return f"its layouts are {a.data_layout}, {a.kernel_layout}"
    extents = [static(d) for d in (*dims(x), *dims(w))]
    if None in extents:
        return "its shape is not known"
    known = [e for e in extents if e is not None]
    n, height, width, c = known[:4]
    kernel = dict(zip(str(a.kernel_layout), known[4:], strict=True))
    pads = [int(p) for p in a.padding]
    pads = pads * (4 // len(pads))
    strides, dilation = ([int(v) for v in vs] for vs in (a.strides, a.dilation))
    made = Geometry(
        n, height, width, c, kernel["O"], kernel["H"], kernel["W"],
        (strides[0], strides[-1]), (dilation[0], dilation[-1]),
        pads[0], pads[1], pads[2], pads[3], int(a.groups),
    )  # fmt: skip
    empty = min(n, made.oh, made.ow, made.c, made.oc) < 1
    return "it is empty" if empty else made
