"""Networks made by hand, for what is done with any network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dlcc.compiler.network import Attribute, Layer, Network, Tensor

Shape = tuple[int | str, ...] | None


@dataclass
class Made:
    """A network that grows layer by layer; each layer's output has its name."""

    name: str = "made"
    layers: list[Layer] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)

    def input(self, name: str, shape: Shape) -> str:
        self.tensors[name] = Tensor(name, "float32", shape, "input")
        self.inputs.append(name)
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        self.tensors[name] = Tensor(name, str(value.dtype), value.shape, "constant", value=value)
        return name

    def layer(
        self,
        name: str,
        op: str,
        inputs: Sequence[str],
        shape: Shape = (1, 8, 8, 16),
        attributes: Mapping[str, Attribute] | None = None,
    ) -> str:
        self.tensors[name] = Tensor(name, "float32", shape, "intermediate")
        self.layers.append(Layer(name, op, tuple(inputs), (name,), attributes or {}, (name,)))
        return name

    def network(self, *outputs: str) -> Network:
        for name in outputs:
            was = self.tensors[name]
            self.tensors[name] = Tensor(name, was.dtype, was.shape, "output")
        return Network(
            self.name,
            "TensorFlow graph",
            tuple(self.layers),
            self.tensors,
            tuple(self.inputs),
            outputs,
        )


def small() -> Network:
    """A convolution, a block of two branches and a sum, a product."""
    made = Made("small")
    values = np.random.default_rng(1).normal(size=(3, 3, 3, 16)).astype("float32")
    x = made.input("image", (1, 8, 8, 3))
    x = made.layer("stem/conv", "Conv2d", [x, made.constant("stem/weight", values)])
    x = made.layer("stem/relu", "Relu", [x])
    left = made.layer("block/left/conv", "Conv2d", [x, made.constant("zeros", np.zeros((3, 4)))])
    left = made.layer("block/left/relu", "Relu", [left])
    right = made.layer("block/right/pool", "PoolMax2d", [x])
    right = made.layer("block/right/conv", "DepthWiseConv2d", [right])
    x = made.layer("block/add", "ElementWiseAdd", [left, right])
    return made.network(made.layer("logits", "FullyConnected", [x], (1, 10)))


def large(layers: int = 2000) -> Network:
    """Stages of blocks in which four branches are joined and added to what came in."""
    made = Made("large")
    x = made.layer("stem/conv", "Conv2d", [made.input("image", (1, 64, 64, 3))])
    block = 0
    while len(made.layers) + 13 <= layers:
        scope = f"net/stage_{block // 16}/unit_{block}"
        ends = []
        for branch, length in enumerate((1, 2, 3, 4)):
            y = x
            for number in range(length):
                op = ("Conv2d", "Relu", "DepthWiseConv2d", "BatchNorm")[number]
                y = made.layer(f"{scope}/branch_{branch}/{op}_{number}", op, [y])
            ends.append(y)
        joined = made.layer(f"{scope}/concat", "Concat", ends, (1, 8, 8, 64))
        x = made.layer(f"{scope}/add", "ElementWiseAdd", [joined, x])
        x = made.layer(f"{scope}/relu", "Relu", [x])
        block += 1
    while len(made.layers) < layers:
        x = made.layer(f"head/dense_{len(made.layers)}", "FullyConnected", [x], (1, 10))
    return made.network(x)


HOSTILE = "a</script><script>alert(1)</script><!--\"'&\x07\u202e\ud800 {{script}} \u2028"


def hostile() -> Network:
    """Names that try to become markup, and constants that are no common numbers."""
    made = Made(HOSTILE)
    x = made.input(f"{HOSTILE}in", ("n", 2))
    odd = np.array([np.nan, np.inf, 1.0, 0.0], "float32")
    x = made.layer(
        f"{HOSTILE}/x", HOSTILE, [x, made.constant(HOSTILE, odd), ""], None, {HOSTILE: HOSTILE}
    )
    y = made.layer("/" * 3000, "Relu", [x], ("n", 2))
    return made.network(y)


def empty() -> Network:
    return Made("empty").network()
