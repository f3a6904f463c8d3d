"""Differences between the layers of two networks: structure, names, shapes, attributes, weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dlcc.compiler.diff.match import Graph, Matching, attribute_text
from dlcc.compiler.diff.rows import DiffRow
from dlcc.compiler.diff.weights import WeightDifference, compare
from dlcc.compiler.network.network import Layer, Network, Quantization, Tensor


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Of weights: |a - b| <= absolute + relative * |a|."""

    relative: float = 0.0
    absolute: float = 0.0


@dataclass(slots=True)
class LayerDiff:
    """Two networks whose layers are matched.

    symbols: names of open dimensions in A -> in B.   compared: pairs of constants that were
    compared, which layers may share."""

    a: Graph
    b: Graph
    matching: Matching
    tolerance: Tolerance
    symbols: Mapping[str, str]
    compared: dict[tuple[str, str], WeightDifference | None] = field(default_factory=dict)

    def rows(self) -> Iterator[DiffRow]:
        """Every difference, in the order of A's layers."""
        ours = dict(self.matching.pairs)
        theirs = {j: i for i, j in self.matching.pairs}
        for i in self.matching.only_a:
            name = self.a.layers[i].name
            yield DiffRow("structure", "removed", name, "layer", _call(self.a, i))
        for j in self.matching.only_b:
            name = self.b.layers[j].name
            yield DiffRow("structure", "added", name, "layer", "", _call(self.b, j))
        for i, j in self.matching.pairs:
            yield from self._pair(i, j, ours, theirs)

    def _pair(
        self, i: int, j: int, ours: Mapping[int, int], theirs: Mapping[int, int]
    ) -> Iterator[DiffRow]:
        a, b = self.a.layers[i], self.b.layers[j]
        if a.name != b.name:
            yield DiffRow("names", "renamed", a.name, "layer", a.name, b.name)
        if a.op != b.op:
            yield DiffRow("structure", "changed", a.name, "operation", a.op, b.op)
        yield from self._inputs(i, j, ours, theirs)
        yield from _attributes(a, b)
        for number, (x, y) in enumerate(zip(a.outputs, b.outputs, strict=False)):
            what = "output" if len(a.outputs) == 1 else f"output {number}"
            yield from self._tensor(a.name, what, self._of(self.a, x), self._of(self.b, y))
        yield from self._constants(a, b)

    def _inputs(
        self, i: int, j: int, ours: Mapping[int, int], theirs: Mapping[int, int]
    ) -> Iterator[DiffRow]:
        """What a layer reads, where it is another layer's result than before. Layers that were
        added or removed on the way are told by themselves."""
        a, b = self.a.layers[i], self.b.layers[j]
        if len(a.inputs) != len(b.inputs):
            yield DiffRow(
                "structure", "changed", a.name, "inputs", str(len(a.inputs)), str(len(b.inputs))
            )
            return
        for place, (x, y) in enumerate(zip(a.inputs, b.inputs, strict=True)):
            p, q = _origin(self.a, x, ours), _origin(self.b, y, theirs)
            moved = ours.get(p, -1) if isinstance(p, int) else p
            if moved != q:
                told = self._told(self.a, p), self._told(self.b, q)
                yield DiffRow("structure", "changed", a.name, f"input {place}", *told)

    def _told(self, graph: Graph, origin: int | str) -> str:
        return graph.layers[origin].name if isinstance(origin, int) else origin

    def _constants(self, a: Layer, b: Layer) -> Iterator[DiffRow]:
        for place, (x, y) in enumerate(zip(a.inputs, b.inputs, strict=False)):
            ours, theirs = self._of(self.a, x), self._of(self.b, y)
            if ours is None or theirs is None or (ours.role, theirs.role) != ("constant",) * 2:
                continue
            what = x.rpartition("/")[2] if x.startswith(f"{a.name}/") else f"input {place}"
            apart = list(self._tensor(a.name, what, ours, theirs))
            yield from apart
            if ours.shape == theirs.shape:
                yield from self._weight(a.name, what, ours, theirs)

    def _weight(self, name: str, what: str, a: Tensor, b: Tensor) -> Iterator[DiffRow]:
        if a.value is None or b.value is None:
            if a.value is not b.value:
                ours, theirs = ("no values" if t.value is None else "values" for t in (a, b))
                yield DiffRow("weights", "changed", name, what, ours, theirs)
            return
        if a.value.dtype.kind in "OSU" or b.value.dtype.kind in "OSU":
            return
        key = a.name, b.name
        if key not in self.compared:
            tolerance = self.tolerance
            self.compared[key] = compare(a, b, tolerance.relative, tolerance.absolute)
        found = self.compared[key]
        if found is None or not found.beyond:
            return
        yield DiffRow(
            "weights",
            "changed",
            name,
            what,
            str(a),
            str(b),
            found.max_absolute,
            found.mean_absolute,
            found.cosine,
            found.beyond,
        )

    def _tensor(
        self, name: str, what: str, a: Tensor | None, b: Tensor | None
    ) -> Iterator[DiffRow]:
        """dtype, shape and quantisation of a tensor of a layer."""
        if a is None or b is None:
            return
        if _renamed(str(a), self.symbols) != str(b):
            yield DiffRow("shapes", "changed", name, what, str(a), str(b))
        told = quantization_text(a.quantization), quantization_text(b.quantization)
        if told[0] != told[1]:
            yield DiffRow("quantization", "changed", name, what, *told)

    def _of(self, graph: Graph, name: str) -> Tensor | None:
        return graph.network.tensors.get(name)


def interface_rows(a: Network, b: Network, symbols: Mapping[str, str]) -> Iterator[DiffRow]:
    """Differences of names, dtypes and shapes of inputs and outputs, in their order."""
    for kind in ("input", "output"):
        ours, theirs = (n.inputs if kind == "input" else n.outputs for n in (a, b))
        for name in ours[len(theirs) :]:
            yield DiffRow("interface", "removed", name, kind, str(a.tensors[name]))
        for name in theirs[len(ours) :]:
            yield DiffRow("interface", "added", name, kind, "", str(b.tensors[name]))
        for x, y in zip(ours, theirs, strict=False):
            if x != y:
                yield DiffRow("interface", "renamed", x, kind, x, y)
            told = _renamed(str(a.tensors[x]), symbols), str(b.tensors[y])
            if kind == "input" and told[0] != told[1]:  # outputs are the layers'
                yield DiffRow("interface", "changed", x, kind, str(a.tensors[x]), told[1])


def open_symbols(a: Network, b: Network) -> dict[str, str]:
    """Names that A has for open dimensions of its inputs -> B's names for the same."""
    pairs = [
        (x, y)
        for p, q in zip(a.inputs, b.inputs, strict=False)
        for x, y in zip(a.tensors[p].shape or (), b.tensors[q].shape or (), strict=False)
        if isinstance(x, str) and isinstance(y, str)
    ]
    return dict(reversed(pairs))


def quantization_text(q: Quantization | None) -> str:
    """`8 bits, scale 0.007843, offset -128`, or "none"."""
    return "none" if q is None else f"{q.bits} bits, scale {q.scale:.9g}, offset {q.offset}"


def _call(graph: Graph, number: int) -> str:
    """`ElementWiseAdd(left, right)`: a layer with what it reads, constants aside."""
    layer = graph.layers[number]
    return f"{layer.op}({', '.join(n for n in layer.inputs if _is_computed(graph, n))})"


def _attributes(a: Layer, b: Layer) -> Iterator[DiffRow]:
    if a.op != b.op:
        return  # of another operation, they mean something else
    for name in sorted({*a.attributes, *b.attributes}):
        ours, theirs = (attribute_text(x.attributes.get(name, "")) for x in (a, b))
        if ours != theirs:
            yield DiffRow("attributes", "changed", a.name, name, ours, theirs)


def _renamed(text: str, symbols: Mapping[str, str]) -> str:
    """A type with the other network's names of open dimensions."""
    if not symbols:
        return text
    dtype, bracket, dims = text.partition("[")
    return dtype + bracket + re.sub(r"[A-Za-z_]\w*", lambda m: symbols.get(m[0], m[0]), dims)


def _origin(graph: Graph, name: str, matched: Mapping[int, int]) -> int | str:
    """The matched layer that a tensor comes from, past layers that are not matched; else what it
    is: "input N", "constant", "nothing"."""
    seen = 0
    while (maker := graph.maker(name)) is not None and maker not in matched:
        computed = [n for n in graph.layers[maker].inputs if _is_computed(graph, n)]
        seen += 1
        if not computed or seen > len(graph.layers):
            return f"new layer {graph.layers[maker].name}"
        name = computed[0]
    if maker is not None:
        return maker
    if name in graph.network.inputs:
        return f"input {graph.network.inputs.index(name)}"
    return "constant" if name else "nothing"


def _is_computed(graph: Graph, name: str) -> bool:
    tensor = graph.network.tensors.get(name)
    return tensor is not None and tensor.role != "constant"
