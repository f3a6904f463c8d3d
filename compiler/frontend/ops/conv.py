"""Convolutions: 2D and 3D, depthwise, grouped, and transposed."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import relax

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
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
    x = g.arg(node, 0)
    w, (kh, kw, ci, _) = weights(g, node, 1)
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
    x = g.arg(node, 0)
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


@CONV.op("Conv2DBackpropInput")
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


def transposed_conv(g: Emitter, node: Node, form: tuple[str, list[int]]) -> relax.Expr:
    layout, axes = form
    dims = [int(d) for d in g.static(node, 0, "the output's shape").reshape(-1)]
    if len(dims) == len(axes):
        batch, channels = g.shape(g.arg(node, 2))[0], g.static_shape(node, g.arg(node, 1))[-2]
        inner = dict(zip(axes, dims, strict=True))
        dims = [inner.get(i, batch if i == 0 else channels) for i in range(len(layout))]  # type: ignore[misc]
    w, w_dims = weights(g, node, 1)
    kernel = w_dims[: len(axes)]
    dy = g.arg(node, 2)
    window = window_of(node, dims, kernel, axes)
    spread_by = [window.strides[axes.index(i)] if i in axes else 1 for i in range(len(layout))]
    pads = _backward_pads(window, g.static_shape(node, dy), dims, axes)
    x = _spread(g, dy, spread_by, pads)
    flipped = _flipped(g, w, len(axes))
    ones = Window(window.kernel, (1,) * len(axes), window.dilations, ((0, 0),) * len(axes))
    groups = dims[layout.index("C")] // w_dims[-2]
    return _plain_conv(g, x, flipped, ones, layout, groups)


def _backward_pads(
    window: Window, small: Sequence[int], large: Sequence[int], axes: Sequence[int]
) -> dict[int, tuple[int, int]]:
    pads = {}
    for k, axis in enumerate(axes):
        extent = (window.kernel[k] - 1) * window.dilations[k] + 1
        before = extent - 1 - int(window.pads[k][0])
        spread = (small[axis] - 1) * window.strides[k] + 1
        pads[axis] = (before, large[axis] + extent - 1 - spread - before)
    return pads


def _spread(
    g: Emitter, x: relax.Expr, by: Sequence[int], pads: dict[int, tuple[int, int]]
) -> relax.Expr:
    """Zeros between the elements, then padding; negative padding cuts."""
    from tvm import te, tirx

    dims = g.shape(x)
    low = [pads[i][0] if i in pads else 0 for i in range(len(dims))]
    sizes = [
        (d - 1) * s + 1 + sum(pads[i]) if i in pads else d
        for i, (d, s) in enumerate(zip(dims, by, strict=True))
    ]

    def compute(t: te.Tensor) -> te.Tensor:
        def element(*i: object) -> object:
            at = [k - b for k, b in zip(i, low, strict=True)]  # type: ignore[operator]
            inside = [
                tirx.all(a >= 0, tirx.floormod(a, s) == 0, tirx.floordiv(a, s) < d)
                for a, s, d, n in zip(at, by, dims, range(len(by)), strict=True)
                if n in pads
            ]
            source = [tirx.floordiv(a, s) if s > 1 else a for a, s in zip(at, by, strict=True)]
            return tirx.if_then_else(tirx.all(*inside), t[tuple(source)], tirx.const(0, t.dtype))

        return te.compute(sizes, element, name="spread")

    return g.te(compute, x, name="spread")


def _flipped(g: Emitter, w: relax.Expr, spatial: int) -> relax.Expr:
    """The filter turned around in space, its channel axes exchanged."""
    for axis in range(spatial):
        w = R.flip(w, axis)
    return g.emit(R.permute_dims(w, [*range(spatial), spatial + 1, spatial]))


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
