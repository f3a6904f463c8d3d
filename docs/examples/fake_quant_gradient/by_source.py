"""FakeQuantWithMinMaxVarsPerChannelGradient as C for CPUs and the DSP, and OpenCL C for GPUs."""

from collections.abc import Sequence

from dlcc.compiler.user_ops import Grid, Node, Tensor, UserOps

OPS = UserOps("fake_quant_source", version="1", file=__file__)
OP = "FakeQuantWithMinMaxVarsPerChannelGradient"


@OPS.shape(OP)
def outputs(node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    """(gradients, x, low, high) -> of x, of low, of high."""
    _, x, low, high = inputs
    return [Tensor(t.shape, "float32") for t in (x, low, high)]


def scalars(node: Node, inputs: Sequence[Tensor], _: Sequence[Tensor]) -> list:
    """Rows, channels, and the steps between the quantised levels."""
    _, x, low, _ = inputs
    steps = 2.0 ** node.attr("num_bits", 8) - 1 - int(node.attr("narrow_range", False))
    return [x.elements // low.shape[0], low.shape[0], steps]


def one_item_a_channel(node: Node, inputs: Sequence[Tensor], _: Sequence[Tensor]) -> Grid:
    return Grid([inputs[2].shape[0]], [32])


OPS.kernel(
    OP,
    target="host,arm,hexagon",
    source="fake_quant_gradient.c",
    scalars=scalars,
)
OPS.kernel(
    OP,
    target="opencl",
    source="fake_quant_gradient.cl",
    scalars=scalars,
    grid=one_item_a_channel,
)
