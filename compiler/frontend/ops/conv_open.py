"""A 2-D convolution whose filter has sizes that are known at run time only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, te, tirx

from dlcc.compiler.errors import BadAttr
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.padding import spatial_axes

R = relax.op


def _place(node: Node, size: Any, extent: Any, stride: int, pads: Sequence[int]) -> tuple[Any, Any]:
    """Padding before an axis, and the number of windows along it.

    Source: tensorflow/core/framework/kernel_shape_util.cc, GetWindowedOutputSizeVerbose.
    """
    zero = tirx.IntImm("int64", 0)
    if node.attr("padding") == "SAME":
        count = tirx.ceildiv(size, stride)
        whole = tirx.max((count - 1) * stride + extent - size, zero)
        return tirx.floordiv(whole, 2), count
    low, high = pads
    return low, tirx.max(tirx.floordiv(size + low + high - extent, stride) + 1, zero)


def conv2d_open(g: Emitter, node: Node, x: relax.Expr, w: relax.Expr) -> relax.Expr:
    """NHWC or NCHW data, an HWIO filter; its channels, too, may be open, and so the groups."""
    layout, axes = spatial_axes(node, 4)
    if node.attr("padding") not in ("SAME", "VALID", "EXPLICIT"):
        raise BadAttr(node, "padding", found=node.attr("padding"), expected=("SAME", "VALID"))
    strides, dilations = (
        [int((node.attr(name) or [1] * 4)[a]) for a in axes] for name in ("strides", "dilations")
    )
    flat = [int(p) for p in node.attr("explicit_paddings") or [0] * 8]
    pads = [flat[2 * a : 2 * a + 2] for a in axes]
    if layout == "NCHW":
        x = g.emit(R.permute_dims(x, [0, 2, 3, 1]))

    def compute(t: te.Tensor, k: te.Tensor) -> te.Tensor:
        n, _, _, channels = t.shape
        ry, rx, rc = (te.reduce_axis((0, k.shape[i])) for i in range(3))
        extents = [(k.shape[i] - 1) * d + 1 for i, d in enumerate(dilations)]
        before, counts = zip(*(
            _place(node, t.shape[1 + i], extents[i], strides[i], pads[i]) for i in range(2)
        ), strict=True)  # fmt: skip
        group = tirx.max(tirx.floordiv(k.shape[3] * k.shape[2], channels), 1)

        def element(b: Any, y: Any, x_: Any, o: Any) -> Any:
            at: list[Dim] = [
                v * strides[i] + r * dilations[i] - before[i]
                for i, (v, r) in enumerate(((y, ry), (x_, rx)))
            ]
            inside = [c for i, v in enumerate(at) for c in (v >= 0, v < t.shape[1 + i])]
            value = t(b, *at, tirx.floordiv(o, group) * k.shape[2] + rc)
            data = tirx.if_then_else(tirx.all(*inside), value, tirx.const(0, t.dtype))
            return te.sum(data * k(ry, rx, rc, o), axis=[ry, rx, rc])

        return te.compute((n, *counts, k.shape[3]), element, name="conv2d_open")

    y = g.te(compute, x, w, name="conv2d_open")
    return R.permute_dims(y, [0, 3, 1, 2]) if layout == "NCHW" else y
