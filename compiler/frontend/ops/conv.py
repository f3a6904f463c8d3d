"""Convolutions: 2D and 3D, depthwise, grouped, and transposed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tvm import relax, te, tirx

from dlcc.compiler.errors import BadAttr, BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import product
from dlcc.compiler.frontend.ops.conv_open import conv2d_open
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.padding import Window, pad_window, require, spatial_axes, window_of

CONV = OpTable()

R = relax.op


def weights(g: Emitter, node: Node, index: int) -> tuple[relax.Expr, list[int]]:
    """A filter and its fixed dimensions."""
    w = g.arg(node, index)
    return w, g.static_shape(node, w)


def _static_channels(g: Emitter, node: Node, x: relax.Expr, layout: str) -> int:
    channels = g.shape(x)[layout.index("C")]
    if not isinstance(channels, int):
        raise BadNode(node, "the number of channels is not known", hint="give it with --input")
    return channels


@CONV.op("Conv2D")
def conv2d(g: Emitter, node: Node) -> relax.Expr:
    """NHWC or NCHW data, HWIO filter; fewer filter channels than data channels mean groups."""
    return _forward2d(g, node, g.arg(node, 0))


def _forward2d(g: Emitter, node: Node, x: relax.Expr) -> relax.Expr:
    if not all(isinstance(d, int) for d in g.shape(g.arg(node, 1))):
        return conv2d_open(g, node, x, g.arg(node, 1))
    return convolved(g, node, x, weights(g, node, 1)[0])


def convolved(g: Emitter, node: Node, x: relax.Expr, w: relax.Expr) -> relax.Expr:
    """The convolution of a node's attributes."""
    kh, kw, ci, _ = g.static_shape(node, w)
    layout, axes = spatial_axes(node, 4)
    channels = _static_channels(g, node, x, layout)
    require(node, ci > 0 and channels % ci == 0, f"{channels} channels for a filter of {ci}")
    window = window_of(node, g.shape(x), (kh, kw), axes)
    x, window = pad_window(g, x, window, axes, 0)
    return _conv2d(g, x, w, window, layout, channels // ci)


def _conv2d(
    g: Emitter, x: relax.Expr, w: relax.Expr, window: Window, layout: str, groups: int
) -> relax.Expr:
    kernel_layout = "HWIO"
    if layout == "NCHW":
        w, kernel_layout = g.emit(R.permute_dims(w, [3, 2, 0, 1])), "OIHW"
    return R.nn.conv2d(
        x,
        w,
        strides=list(window.strides),
        padding=window.attrs(),
        dilation=list(window.dilations),
        groups=groups,
        data_layout=layout,
        kernel_layout=kernel_layout,
        out_layout=layout,
    )


@CONV.op("DepthwiseConv2dNative")
def depthwise_conv2d(g: Emitter, node: Node) -> relax.Expr:
    """A filter (h, w, channels, multiplier) as groups of one channel: (h, w, 1, C * M)."""
    x = g.arg(node, 0)
    w, (kh, kw, channels, multiplier) = weights(g, node, 1)
    layout, axes = spatial_axes(node, 4)
    found = _static_channels(g, node, x, layout)
    require(node, found == channels, f"{found} channels for a filter of {channels}")
    window = window_of(node, g.shape(x), (kh, kw), axes)
    x, window = pad_window(g, x, window, axes, 0)
    w = g.emit(g.reshape(w, [kh, kw, 1, channels * multiplier]))
    return _conv2d(g, x, w, window, layout, channels)


@CONV.op("Conv3D")
def conv3d(g: Emitter, node: Node) -> relax.Expr:
    """Computed in NCDHW, the layout that the kernel exists for."""
    return _forward3d(g, node, g.arg(node, 0))


def _forward3d(g: Emitter, node: Node, x: relax.Expr) -> relax.Expr:
    w, dims = weights(g, node, 1)
    layout, axes = spatial_axes(node, 5)
    window = window_of(node, g.shape(x), dims[:3], axes)
    x, window = pad_window(g, x, window, axes, 0)
    groups = _static_channels(g, node, x, layout) // dims[3]
    if layout == "NDHWC":
        x = R.permute_dims(x, [0, 4, 1, 2, 3])
    y = R.nn.conv3d(
        x,
        g.emit(R.permute_dims(w, [4, 3, 0, 1, 2])),
        strides=list(window.strides),
        padding=window.attrs(),
        dilation=list(window.dilations),
        groups=groups,
        data_layout="NCDHW",
        kernel_layout="OIDHW",
    )
    return R.permute_dims(y, [0, 2, 3, 4, 1]) if layout == "NDHWC" else y


@CONV.op("Conv")
def conv(g: Emitter, node: Node) -> relax.Expr:
    """A 2D or 3D convolution, over several batch axes taken as one.

    Source: tensorflow/core/ops/nn_ops.cc, REGISTER_OP("Conv").
    """
    x, kept = g.arg(node, 0), int(node.attr("batch_dims", 1))
    dims = g.shape(x)
    rank = len(dims) - kept + 1
    require(node, kept >= 1 and rank in (4, 5), f"batch_dims {kept} of {len(dims)} axes")
    formats = {"CHANNELS_LAST": ("NHWC", "NDHWC"), "CHANNELS_FIRST": ("NCHW", "NCDHW")}
    layout = node.attr("data_format") or "CHANNELS_LAST"
    if layout not in formats:
        raise BadAttr(node, "data_format", found=layout, expected=tuple(formats))
    attrs = {**node.attrs, "data_format": formats[layout][rank - 4]}
    inner = Node(node.name, node.op, node.inputs, attrs)
    if kept > 1:
        x = g.emit(g.reshape(x, [product(dims[:kept]), *dims[kept:]]))
    y = (_forward2d if rank == 4 else _forward3d)(g, inner, x)
    return g.reshape(y, [*dims[:kept], *g.shape(y)[1:]]) if kept > 1 else y


@CONV.op("Conv2DBackpropInput", "Conv2DBackpropInputV2")
def conv2d_transpose(g: Emitter, node: Node) -> relax.Expr:
    """Deconvolution, as a convolution of the input spread by the strides.

    With P the padding of the forward convolution, K the filter's extent (dilation included):
    y = conv(spread(dy), flipped w), padded by K - 1 - P before, and by what the output size
    leaves behind.
    Source: Dumoulin and Visin, "A guide to convolution arithmetic", 2016, section 4.
    """
    return transposed_conv(g, node, spatial_axes(node, 4))


@CONV.op("Conv3DBackpropInputV2")
def conv3d_transpose(g: Emitter, node: Node) -> relax.Expr:
    """As conv2d_transpose, over three axes."""
    return transposed_conv(g, node, spatial_axes(node, 5))


@CONV.op("DepthwiseConv2dNativeBackpropInput")
def depthwise_transpose(g: Emitter, node: Node) -> relax.Expr:
    """A filter (h, w, channels, multiplier) as groups of one channel, as in the forward one."""
    w, (kh, kw, channels, multiplier) = weights(g, node, 1)
    w = g.emit(g.reshape(w, [kh, kw, 1, channels * multiplier]))
    return _backward(g, node, spatial_axes(node, 4), w, channels)


def transposed_conv(g: Emitter, node: Node, form: tuple[str, list[int]]) -> relax.Expr:
    """As many groups as the result has times the channels of the filter."""
    w, w_dims = weights(g, node, 1)
    given = _large_dims(g, node)
    at = form[0].index("C")
    channels = given[at] if len(given) == len(form[0]) else w_dims[-2]
    groups = 1
    if isinstance(channels, int):
        require(node, channels % w_dims[-2] == 0, f"{channels} channels of {w_dims[-2]}")
        groups = channels // w_dims[-2]
    return _backward(g, node, form, w, groups)


def _large_dims(g: Emitter, node: Node) -> list[Dim]:
    """The dimensions of the result, or those of its spatial axes alone."""
    if node.op == "Conv2DBackpropInputV2":  # a tensor of the shape of the result
        return g.shape(g.arg(node, 0))
    return g.dims(node, 0)


def _backward(
    g: Emitter, node: Node, form: tuple[str, list[int]], w: relax.Expr, groups: int
) -> relax.Expr:
    layout, axes = form
    w_dims = g.static_shape(node, w)
    dy = g.arg(node, 2)
    small = g.shape(dy)
    given = _large_dims(g, node)
    inner = given if len(given) == len(axes) else [given[a] for a in axes]
    dims: list[Dim] = [small[0]] * len(layout)
    for axis, extent in zip(axes, inner, strict=True):
        dims[axis] = extent
    window = window_of(node, dims, w_dims[: len(axes)], axes)
    pads = _backward_pads(window, small, dims, axes)
    x = _spread(g, dy, dict(zip(axes, window.strides, strict=True)), pads)
    ones = Window(window.kernel, (1,) * len(axes), window.dilations, ((0, 0),) * len(axes))
    found = _static_channels(g, node, dy, layout)
    require(node, found == w_dims[-1] and found % groups == 0, f"{found} channels, {groups} groups")
    return _plain_conv(g, x, _flipped(g, w, len(axes), groups), ones, layout, groups)


def _backward_pads(
    window: Window, small: Sequence[Dim], large: Sequence[Dim], axes: Sequence[int]
) -> dict[int, tuple[Dim, Dim]]:
    """Before: extent - 1 less the forward padding. After: what the output's size leaves."""
    pads = {}
    for k, axis in enumerate(axes):
        extent = (window.kernel[k] - 1) * window.dilations[k] + 1
        before = extent - 1 - window.pads[k][0]
        spread = (small[axis] - 1) * window.strides[k] + 1
        pads[axis] = (before, large[axis] + extent - 1 - spread - before)
    return pads


def _spread(
    g: Emitter, x: relax.Expr, by: Mapping[int, int], pads: Mapping[int, tuple[Dim, Dim]]
) -> relax.Expr:
    """Zeros between the elements, then padding; negative padding cuts."""
    low = [pads[a][0] for a in by]
    sizes = [(g.shape(x)[a] - 1) * s + 1 + pads[a][0] + pads[a][1] for a, s in by.items()]
    symbols = [d for d in (*low, *sizes) if not isinstance(d, int)]
    dtype = g.dtype(x)

    def compute(t: te.Tensor, *given: Any) -> te.Tensor:
        rest = iter(given)
        before, extents = (
            [d if isinstance(d, int) else next(rest) for d in v] for v in (low, sizes)
        )
        shape = list(t.shape)
        for axis, extent in zip(by, extents, strict=True):
            shape[axis] = extent

        def element(*i: Any) -> Any:
            inside, source = [], list(i)
            for (axis, s), b in zip(by.items(), before, strict=True):
                at = i[axis] - b
                source[axis] = tirx.floordiv(at, s)
                hit = tirx.floormod(at, s) == 0
                inside += [at >= 0, hit, source[axis] < t.shape[axis]]
            return tirx.if_then_else(tirx.all(*inside), t(*source), tirx.const(0, dtype))

        return te.compute(shape, element, name="spread")

    return g.te(compute, x, *symbols, name="spread")


def _flipped(g: Emitter, w: relax.Expr, spatial: int, groups: int) -> relax.Expr:
    """The filter turned around in space, its channel axes exchanged within each group."""
    for axis in range(spatial):
        w = R.flip(w, axis)
    *extents, inner, outer = g.shape(g.normal(w))
    if groups == 1:
        return g.emit(R.permute_dims(w, [*range(spatial), spatial + 1, spatial]))
    w = g.emit(g.reshape(w, [*extents, inner, groups, outer // groups]))
    w = g.emit(R.permute_dims(w, [*range(spatial), spatial + 2, spatial + 1, spatial]))
    return g.emit(g.reshape(w, [*extents, outer // groups, groups * inner]))


def _plain_conv(
    g: Emitter, x: relax.Expr, w: relax.Expr, window: Window, layout: str, groups: int
) -> relax.Expr:
    if len(layout) == 4:
        return _conv2d(g, x, w, window, layout, groups)
    if layout == "NDHWC":
        x = R.permute_dims(x, [0, 4, 1, 2, 3])
    y = R.nn.conv3d(
        x,
        g.emit(R.permute_dims(w, [4, 3, 0, 1, 2])),
        dilation=list(window.dilations),
        groups=groups,
        data_layout="NCDHW",
        kernel_layout="OIDHW",
    )
    return R.permute_dims(y, [0, 2, 3, 4, 1]) if layout == "NDHWC" else y
