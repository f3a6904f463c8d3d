"""TensorFlow's padding rules for windows that slide over an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import relax, te, tirx, topi

from dlcc.compiler.errors import BadAttr, BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node


def same_padding(size: Dim, window: int, stride: int) -> tuple[Dim, Dim]:
    """Padding before and after an axis so that the output has ceil(size / stride) elements.

    window: extent of the window, dilation included: (kernel - 1) * dilation + 1.
    The odd element goes behind.
    Source: tensorflow/core/framework/kernel_shape_util.cc, GetWindowedOutputSizeVerbose.
    """
    if isinstance(size, int):
        out = -(-size // stride)
        total = max((out - 1) * stride + window - size, 0)
        return total // 2, total - total // 2
    if stride == 1:
        return (window - 1) // 2, window - 1 - (window - 1) // 2
    out = tirx.ceildiv(size, stride)
    whole = tirx.max((out - 1) * stride + window - size, tirx.IntImm("int64", 0))
    before = tirx.floordiv(whole, 2)
    return before, whole - before


@dataclass(frozen=True, slots=True)
class Window:
    """A window over the spatial axes: extents, strides, dilations, padding pairs an axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[Dim, Dim], ...]

    @property
    def static(self) -> bool:
        return all(isinstance(p, int) for pair in self.pads for p in pair)

    def attrs(self) -> list[int]:
        """Padding as Relax takes it: all befores, then all afters."""
        return [int(p[0]) for p in self.pads] + [int(p[1]) for p in self.pads]


def spatial_axes(node: Node, rank: int) -> tuple[str, list[int]]:
    """The data format ("NHWC", "NCHW", "NDHWC", …) and its spatial axes; raises BadAttr."""
    known = {4: ("NHWC", "NCHW"), 5: ("NDHWC", "NCDHW")}[rank]
    layout = node.attr("data_format") or known[0]
    if layout not in known:
        raise BadAttr(node, "data_format", found=layout, expected=known)
    return layout, [i for i, letter in enumerate(layout) if letter in "DHW"]


def window_of(node: Node, dims: Sequence[Dim], kernel: Sequence[int], axes: list[int]) -> Window:
    """The window that a convolution or pooling node slides over an input of these dimensions.

    Raises BadAttr for a padding that is not SAME, VALID or EXPLICIT.
    """
    ones = [1] * len(dims)
    strides = [int(s) for s in node.attr("strides") or ones]
    dilations = [int(d) for d in node.attr("dilations") or ones]
    _check_outer(node, "strides", strides, axes)
    _check_outer(node, "dilations", dilations, axes)
    inner_strides = tuple(strides[a] for a in axes)
    inner_dilations = tuple(dilations[a] for a in axes)
    pads = _pads(node, dims, kernel, axes, inner_strides, inner_dilations)
    return Window(tuple(kernel), inner_strides, inner_dilations, pads)


def _check_outer(node: Node, attr: str, values: Sequence[int], axes: Sequence[int]) -> None:
    if any(v != 1 for i, v in enumerate(values) if i not in axes):
        raise BadAttr(node, attr, found=tuple(values), expected=("1 for batch and channels",))


def _pads(
    node: Node,
    dims: Sequence[Dim],
    kernel: Sequence[int],
    axes: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[tuple[Dim, Dim], ...]:
    padding = node.attr("padding", "VALID")
    if padding == "VALID":
        return tuple((0, 0) for _ in axes)
    if padding == "SAME":
        extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        return tuple(
            same_padding(dims[a], e, s) for a, e, s in zip(axes, extents, strides, strict=True)
        )
    if padding != "EXPLICIT":
        raise BadAttr(node, "padding", found=padding, expected=("SAME", "VALID", "EXPLICIT"))
    flat = [int(p) for p in node.attr("explicit_paddings") or ()]
    if len(flat) != 2 * len(dims) or min(flat) < 0:
        raise BadAttr(
            node, "explicit_paddings", found=tuple(flat), expected=(f"{2 * len(dims)} numbers",)
        )
    return tuple((flat[2 * a], flat[2 * a + 1]) for a in axes)


def pad_by(
    g: Emitter, x: relax.Expr, before: Sequence[Dim], after: Sequence[Dim], value: Any = 0
) -> relax.Expr:
    """`x` padded with a constant, also by symbolic amounts."""
    if all(isinstance(p, int) for p in (*before, *after)):
        if not any((*before, *after)):
            return x
        widths = [w for pair in zip(before, after, strict=True) for w in pair]
        return relax.op.nn.pad(x, widths, "constant", value)
    symbols = [p for p in (*before, *after) if not isinstance(p, int)]

    def compute(t: te.Tensor, *given: Any) -> te.Tensor:
        rest = iter(given)
        low = [p if isinstance(p, int) else next(rest) for p in before]
        high = [p if isinstance(p, int) else next(rest) for p in after]
        return topi.nn.pad(t, low, high, tirx.const(value, t.dtype), name="pad")

    return g.te(compute, x, *symbols, name="pad")


def pad_window(
    g: Emitter, x: relax.Expr, window: Window, axes: Sequence[int], value: Any
) -> tuple[relax.Expr, Window]:
    """The input padded beforehand where the amounts are symbolic, and the window without them."""
    if window.static:
        return x, window
    rank = g.rank(x)
    pads = dict(zip(axes, window.pads, strict=True))
    before = [pads[i][0] if i in pads else 0 for i in range(rank)]
    after = [pads[i][1] if i in pads else 0 for i in range(rank)]
    bare = Window(window.kernel, window.strides, window.dilations, ((0, 0),) * len(axes))
    return pad_by(g, x, before, after, value), bare


def require(node: Node, condition: bool, why: str, *, hint: str = "") -> None:
    """Raise BadNode unless the condition holds."""
    if not condition:
        raise BadNode(node, why, hint=hint)
