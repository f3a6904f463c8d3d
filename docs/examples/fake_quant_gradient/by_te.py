"""FakeQuantWithMinMaxVarsPerChannelGradient as tensor expressions: one form for every target."""

from tvm import te, tirx

from dlcc.compiler.user_ops import Emitter, Node, UserOps

OPS = UserOps("fake_quant_te", version="1", file=__file__)
OP = "FakeQuantWithMinMaxVarsPerChannelGradient"


@OPS.op(OP)
def gradient(g: Emitter, node: Node):
    """(gradients, x, low, high) -> what passes to x, and to low and high where x is beyond them."""
    gradients, x, low, high = g.args(node)
    steps = 2.0 ** node.attr("num_bits", 8) - 1 - int(node.attr("narrow_range", False))
    start = g.te(lambda a, b: nudged(a, b, steps, 0.0), low, high, name="quant_low")
    end = g.te(lambda a, b: nudged(a, b, steps, steps), low, high, name="quant_high")
    arguments = gradients, x, low, high, start, end
    return [
        g.te(between, *arguments, name="quant_between"),
        g.te(lambda *a: outside(*a, below=True), *arguments, name="quant_below"),
        g.te(lambda *a: outside(*a, below=False), *arguments, name="quant_above"),
    ]


def nudged(low: te.Tensor, high: te.Tensor, steps: float, level: float) -> te.Tensor:
    """The real number of a quantised level, when 0.0 is moved onto a level."""

    def one(c):
        scale = (high[c] - low[c]) / tirx.const(steps, "float32")
        zero = tirx.floor(-low[c] / scale + tirx.const(0.5, "float32"))
        zero = tirx.max(tirx.min(zero, tirx.const(steps, "float32")), tirx.const(0.0, "float32"))
        return (tirx.const(level, "float32") - zero) * scale

    return te.compute(low.shape, one, name="nudged")


def between(gradients, x, low, high, start, end):
    def one(*i):
        c = i[-1]
        inside = tirx.all(x(*i) >= start[c], x(*i) <= end[c])
        return tirx.Select(tirx.any(inside, is_off(low, high, c)), gradients(*i), zero())

    return te.compute(x.shape, one, name="between")


def outside(gradients, x, low, high, start, end, below):
    """The sum of the gradients of a channel whose x is below its first level, or above its last."""
    axes = [te.reduce_axis((0, extent), f"r{n}") for n, extent in enumerate(x.shape[:-1])]

    def one(c):
        i = (*axes, c)
        beyond = x(*i) < start[c] if below else x(*i) > end[c]
        taken = tirx.all(beyond, tirx.Not(is_off(low, high, c)))
        value = tirx.Select(taken, gradients(*i), zero())
        return te.sum(value, axis=axes) if axes else value

    return te.compute(low.shape, one, name="outside")


def is_off(low, high, c):
    return tirx.all(low[c] == zero(), high[c] == zero())


def zero():
    return tirx.const(0.0, "float32")
