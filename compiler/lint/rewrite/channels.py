"""Pads channels with zero weights to a multiple that an engine's vectors hold.

Before:  y = Conv2D(Relu(Conv2D(x, w[3, 3, 8, 30]) + b[30]), v[3, 3, 30, 16])
After:   y = Conv2D(Relu(Conv2D(x, w[3, 3, 8, 32]) + b[32]), v[3, 3, 32, 16])

What the new channels hold is multiplied by new weights that are 0, so results are the same, as
long as it is finite: operations that make an infinity or NaN of 0 are not passed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dlcc.compiler.lint.rewrite.editable import PASSED_ON, Editable

# of 0 they make a finite number, and channels do not meet
UNARY = frozenset(
    (
        *("Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Sigmoid", "Tanh", "Softplus", "Softsign"),
        *("Exp", "Sqrt", "Square", "Neg", "Abs", "Floor", "Ceil", "Round", "Cast", *PASSED_ON),
    )
)
BINARY = frozenset((*("Add", "AddV2", "Sub", "Mul", "Maximum", "Minimum", "BiasAdd"), "RightShift"))
POOLS = frozenset(("MaxPool", "AvgPool"))
NORMS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))
NORM_FILL = {1: 0.0, 2: 0.0, 3: 0.0, 4: 1.0}  # scale, offset, mean, variance
SPATIAL = (1, 2)


@dataclass(slots=True)
class Region:
    """What shares channels. count: how many.   tensors: nodes whose result has them.
    pads: (node, input, axis) -> what its constant is padded with; a weight may be padded twice."""

    count: int
    tensors: set[str] = field(default_factory=set)
    pads: dict[tuple[str, int, int], float] = field(default_factory=dict)


class _Refused(Exception):
    """Why channels of a region cannot be padded."""


def pad_channels(graph: Editable, multiple: int, least: int = 1) -> list[tuple[str, str]]:
    """Pad the channels between convolutions to a multiple.

    least: channels of which there are fewer are left alone.
    Returns (convolution, what was done), or why not."""
    done: list[tuple[str, str]] = []
    seen: set[str] = set()
    for name in graph:
        if graph.op(name) != "Conv2D" or name in seen:
            continue
        weight = graph.value(graph.data_inputs(name)[1])
        if weight is None or weight.shape[3] % multiple == 0 or weight.shape[3] < least:
            continue
        grower = _Grower(graph, weight.shape[3])
        try:
            region = grower.grown(name)
        except _Refused as reason:
            done.append((name, f"left as it is: {reason}"))
            continue
        finally:
            seen |= grower.region.tensors
        target = -(-region.count // multiple) * multiple
        _pad(graph, region, target)
        done.append((name, f"{region.count} channels became {target}"))
    return done


class _Grower:
    def __init__(self, graph: Editable, count: int) -> None:
        self.graph = graph
        self.region = Region(count)
        self.readers = graph.readers()
        self._open: list[str] = []

    def grown(self, start: str) -> Region:
        """All that shares the channels of a convolution; raises _Refused."""
        self._take(start)
        while self._open:
            name = self._open.pop()
            self._made(name)
            for reader, place in self.readers[name]:
                self._read(reader, place)
        return self.region

    def _take(self, name: str) -> None:
        if name in self.region.tensors:
            return
        if name in self.graph.outputs:
            raise _Refused(f"{name} is an output")
        self.region.tensors.add(name)
        self._open.append(name)

    def _made(self, name: str) -> None:
        """Note what a node needs to make more channels."""
        op = self.graph.op(name)
        if op in ("Conv2D", "DepthwiseConv2dNative"):
            self._convolution(name, op)
        elif op in NORMS:
            if bool(self.graph.attr(name, "is_training", True)) or not self._is_nhwc(name):
                raise _Refused(f"{name} ({op}) is no inference in NHWC")
            for place, fill in NORM_FILL.items():
                self._pad_constant(name, place, 0, fill)
            self._take_input(name, 0)
        elif op in UNARY or op in POOLS or op == "Mean":
            self._take_input(name, 0)
        elif op in BINARY:
            self._binary(name)
        else:
            raise _Refused(f"{name} ({op or 'an input'}) makes them")

    def _convolution(self, name: str, op: str) -> None:
        if not self._is_nhwc(name):
            raise _Refused(f"{name} is not in NHWC")
        weight = self._weight(name)
        if op == "Conv2D":
            self._one_group(name, weight)
            self._pad_constant(name, 1, 3, 0.0)
        else:
            if weight.shape[3] != 1:
                raise _Refused(f"{name} makes several channels of one")
            self._pad_constant(name, 1, 2, 0.0)
            self._take_input(name, 0)

    def _one_group(self, name: str, weight: np.ndarray) -> None:
        """Raises _Refused unless the data is known to have as many channels as a filter."""
        maker = self.graph.data_inputs(name)[0]
        known = self._channels(maker)
        if known is None or known != weight.shape[2]:
            raise _Refused(f"{name} may have groups")

    def _channels(self, name: str, steps: int = 64) -> int | None:
        """How many channels a node makes, by the convolution behind it."""
        for _ in range(steps):
            op = self.graph.op(name)
            if op == "Conv2D":
                return int(self._weight(name).shape[3])
            if op == "DepthwiseConv2dNative":
                return int(np.prod(self._weight(name).shape[2:]))
            if name in self.graph.inputs or op == "Placeholder":
                shape = self.graph.attr(name, "shape")
                return shape[-1] if shape and len(shape) == 4 else None
            if op in NORMS | {"BiasAdd"} and not self._is_nhwc(name):
                return None
            if op not in UNARY | POOLS | NORMS | BINARY and not self._is_mean(name):
                return None
            computed = [i for i in self.graph.data_inputs(name) if self.graph.value(i) is None]
            if not computed:
                return None
            name = computed[0]
        return None

    def _weight(self, name: str) -> np.ndarray:
        weight = self.graph.value(self.graph.data_inputs(name)[1])
        if weight is None:
            raise _Refused(f"the weights of {name} are computed")
        return weight

    def _binary(self, name: str) -> None:
        if self.graph.op(name) == "BiasAdd" and not self._is_nhwc(name):
            raise _Refused(f"{name} is not in NHWC")
        for place, maker in enumerate(self.graph.data_inputs(name)):
            value = self.graph.value(maker)
            if value is None:
                self._take_input(name, place)
            elif value.ndim and value.shape[-1] == self.region.count:
                self._pad_constant(name, place, value.ndim - 1, 0.0)
            elif value.size != 1 and value.shape[-1] != 1:
                raise _Refused(f"{name} takes a constant of {value.shape}")

    def _read(self, reader: str, place: int) -> None:
        """Note what becomes of the channels that a node reads."""
        op = self.graph.op(reader)
        if place < 0:
            return
        if op == "Conv2D" and place == 0:
            if not self._is_nhwc(reader) or self._weight(reader).shape[2] != self.region.count:
                raise _Refused(f"{reader} has groups, or is not in NHWC")
            self._pad_constant(reader, 1, 2, 0.0)
        elif op == "MatMul" and place == 0 and not self.graph.attr(reader, "transpose_a", False):
            if self._weight(reader).ndim != 2:
                raise _Refused(f"{reader} multiplies no matrix")
            turned = bool(self.graph.attr(reader, "transpose_b", False))
            self._pad_constant(reader, 1, int(turned), 0.0)
        elif self._keeps(reader, op, place):
            self._take(reader)
        else:
            raise _Refused(f"{reader} ({op}) reads them")

    def _keeps(self, reader: str, op: str, place: int) -> bool:
        """Whether a node's result has the channels that it reads, each by itself."""
        if op == "Mean":
            return place == 0 and self._is_mean(reader)
        if op in POOLS:
            return self._is_nhwc(reader) and self._window(reader)
        return op in UNARY | BINARY or (op in NORMS | {"DepthwiseConv2dNative"} and place == 0)

    def _is_mean(self, name: str) -> bool:
        """Whether a node is a mean over the pixels of each channel."""
        if self.graph.op(name) != "Mean":
            return False
        axes = self.graph.value(self.graph.data_inputs(name)[1])
        return axes is not None and tuple(sorted(int(a) % 4 for a in axes.reshape(-1))) == SPATIAL

    def _window(self, name: str) -> bool:
        """Whether a pool leaves channels apart."""
        sizes = (self.graph.attr(name, key, (1, 1, 1, 1)) for key in ("ksize", "strides"))
        return all(len(s) == 4 and s[3] == 1 for s in sizes)

    def _is_nhwc(self, name: str) -> bool:
        return bool(self.graph.attr(name, "data_format", "NHWC") == "NHWC")

    def _take_input(self, name: str, place: int) -> None:
        source = self.graph.nodes[name].input[place]
        if ":" in source and not source.endswith(":0"):
            raise _Refused(f"{name} reads {source}")
        self._take(self.graph.source(source))

    def _pad_constant(self, name: str, place: int, axis: int, fill: float) -> None:
        value = self.graph.value(self.graph.data_inputs(name)[place])
        if value is None:
            raise _Refused(f"input {place} of {name} is computed")
        if value.ndim <= axis or value.shape[axis] != self.region.count:
            raise _Refused(f"input {place} of {name} has the shape {value.shape}")
        self.region.pads[name, place, axis] = fill


def _pad(graph: Editable, region: Region, target: int) -> None:
    """Give each node of a region constants of that many channels."""
    made: dict[tuple[str, int, float], str] = {}
    for (name, place, axis), fill in region.pads.items():
        source = graph.data_inputs(name)[place]
        key = source, axis, fill
        if key not in made:
            value = graph.value(source)
            assert value is not None
            widths = [(0, 0)] * value.ndim
            widths[axis] = (0, target - region.count)
            padded = np.pad(value, widths, constant_values=value.dtype.type(fill))
            made[key] = graph.add_constant(f"{source}/padded", source, padded)
        graph.replace_input(name, place, made[key])
