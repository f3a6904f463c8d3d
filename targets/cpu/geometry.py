"""What a 2-D convolution computes, read off its call."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import ir, relax

from dlcc.targets.cpu.matmul import dims, static


@dataclass(frozen=True, slots=True)
class Geometry:
    """One convolution. x: [batch, h, w, c]; weights: [kh, kw, c / groups, oc]; pads in pixels."""

    batch: ir.Expr
    h: int
    w: int
    c: int
    oc: int
    kh: int
    kw: int
    strides: tuple[int, int]
    dilation: tuple[int, int]
    top: int
    left: int
    bottom: int
    right: int
    groups: int

    @property
    def oh(self) -> int:
        span = (self.kh - 1) * self.dilation[0] + 1
        return (self.h + self.top + self.bottom - span) // self.strides[0] + 1

    @property
    def ow(self) -> int:
        span = (self.kw - 1) * self.dilation[1] + 1
        return (self.w + self.left + self.right - span) // self.strides[1] + 1

    @property
    def padded(self) -> bool:
        return any((self.top, self.left, self.bottom, self.right))

    @property
    def pointwise(self) -> bool:
        one = self.kh == self.kw == self.groups == 1 and self.strides == (1, 1)
        return one and not self.padded


def geometry(call: relax.Call) -> Geometry | None:
    """Geometry of an NHWC, HWIO, float32 relax.nn.conv2d; None for any other."""
    a, (x, w) = call.attrs, call.args
    layouts = (str(a.data_layout), str(a.kernel_layout), str(a.out_layout or "NHWC"))
    if layouts != ("NHWC", "HWIO", "NHWC"):
        return None
    dtypes = {str(x.ty.dtype), str(w.ty.dtype), str(a.out_dtype or "float32")}
    if x.ty.shape is None or w.ty.shape is None:
        return None
    extents = [static(d) for d in (*dims(x)[1:], *dims(w))]
    if dtypes != {"float32"} or None in extents:
        return None
    h, width, c, kh, kw, _, oc = (e for e in extents if e is not None)
    pads = [int(p) for p in a.padding]
    pads = pads * (4 // len(pads))
    strides, dilation = ([int(v) for v in vs] for vs in (a.strides, a.dilation))
    return Geometry(
        dims(x)[0], h, width, c, oc, kh, kw,
        (strides[0], strides[-1]), (dilation[0], dilation[-1]),
        pads[0], pads[1], pads[2], pads[3], int(a.groups),
    )  # fmt: skip
