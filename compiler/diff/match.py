"""Which layer of one network is which of another: by what they compute of what, then by name.

Labels say what a layer is and what lies before or behind it. Layers with equal labels are the same,
whatever their names; around what was changed names and neighbours decide:

    A:  conv -> relu -> conv -> softmax          B:  conv_1 -> pool -> conv_2 -> softmax
    by what lies before: conv = conv_1           behind: conv = conv_2, softmax = softmax
    between matched neighbours: relu = pool, whose operation changed
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dlcc.compiler.network.network import Attribute, Layer, Network

RADII = (4, 2, 1)  # steps around a layer that its label sees, where names no longer help
FINGERPRINT_BYTES = 64  # of each constant, to tell twins apart
Label = Hashable


@dataclass(frozen=True, slots=True)
class Matching:
    """pairs: places of equal layers in A and in B, in A's order.   only_a, only_b: the rest."""

    pairs: tuple[tuple[int, int], ...]
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]


@dataclass(slots=True)
class Graph:
    """A network by the places of its layers.

    makers: tensor -> layer and which of its outputs.   readers: of each layer, who reads it: the
    layer, at which input, which output.
    """

    network: Network
    makers: dict[str, tuple[int, int]] = field(default_factory=dict)
    readers: list[list[tuple[int, int, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        layers = self.network.layers
        for number, layer in enumerate(layers):
            self.makers.update((name, (number, k)) for k, name in enumerate(layer.outputs))
        self.readers = [[] for _ in layers]
        for number, layer in enumerate(layers):
            for place, name in enumerate(layer.inputs):
                if name in self.makers:
                    maker, output = self.makers[name]
                    self.readers[maker].append((number, place, output))

    @property
    def layers(self) -> Sequence[Layer]:
        return self.network.layers

    def maker(self, name: str) -> int | None:
        """The layer that makes a tensor; None of an input or a constant."""
        return self.makers[name][0] if name in self.makers else None

    def makers_of(self, number: int) -> list[int]:
        """The layers that a layer reads, in the order of its inputs."""
        found = (self.maker(name) for name in self.layers[number].inputs)
        return [maker for maker in found if maker is not None]


def match(a: Network, b: Network) -> Matching:
    """Pairs of layers of both networks; each stands in one pair at most."""
    return _Matcher(Graph(a), Graph(b)).matched()


class _Matcher:
    def __init__(self, a: Graph, b: Graph) -> None:
        self.a, self.b = a, b
        self.ours: dict[int, int] = {}  # A -> B
        self.theirs: dict[int, int] = {}

    def matched(self) -> Matching:
        before = _before(self.a), _before(self.b)
        behind = _behind(self.a), _behind(self.b)
        both = (
            list(zip(before[0], behind[0], strict=True)),
            list(zip(before[1], behind[1], strict=True)),
        )
        for ours, theirs in (both, before, behind):
            self._by_label(ours, theirs)
        self._by_name(same_op=True)
        self._by_neighbours()
        for radius in RADII:
            self._by_label(_around(self.a, radius), _around(self.b, radius), equal_counts=True)
            self._by_neighbours()
        self._by_name(same_op=False)
        self._between()
        return Matching(
            tuple(sorted(self.ours.items())),
            tuple(i for i in range(len(self.a.layers)) if i not in self.ours),
            tuple(j for j in range(len(self.b.layers)) if j not in self.theirs),
        )

    def _pair(self, i: int, j: int) -> None:
        self.ours[i], self.theirs[j] = j, i

    def _by_label(
        self, ours: Sequence[Label], theirs: Sequence[Label], *, equal_counts: bool = False
    ) -> None:
        """Pairs of equal labels; of twins first those with the same name, then with the same
        weights, then in their order."""
        left = _groups(ours, self.ours)
        right = _groups(theirs, self.theirs)
        for label, own in left.items():
            other = right.get(label, [])
            if equal_counts and len(own) != len(other):
                continue
            if len(own) > 1 or len(other) > 1:
                for key in (lambda g, n: g.layers[n].name, _fingerprint):
                    own, other = self._twins(own, other, key)
                if len(own) != len(other):
                    continue
            for i, j in zip(own, other, strict=False):
                self._pair(i, j)

    def _twins(
        self, own: list[int], other: list[int], key: Callable[[Graph, int], Hashable]
    ) -> tuple[list[int], list[int]]:
        """Pair those with equal keys; what is left of both."""
        known: dict[Hashable, list[int]] = defaultdict(list)
        for j in reversed(other):
            known[key(self.b, j)].append(j)
        known[()] = []  # nothing to tell them by
        for i in own:
            if found := known[key(self.a, i)]:
                self._pair(i, found.pop())
        return [i for i in own if i not in self.ours], [j for j in other if j not in self.theirs]

    def _by_name(self, *, same_op: bool) -> None:
        names = {x.name: j for j, x in enumerate(self.b.layers) if j not in self.theirs}
        for i, layer in enumerate(self.a.layers):
            j = names.get(layer.name) if i not in self.ours else None
            if j is not None and (not same_op or self.b.layers[j].op == layer.op):
                self._pair(i, j)

    def _by_neighbours(self) -> None:
        """From what is matched to what it reads and to what reads it, where the operation is the
        same."""
        queue = deque(self.ours.items())
        while queue:
            i, j = queue.popleft()
            for p, q in (*self._read_by(i, j), *self._readers_of(i, j)):
                if p not in self.ours and q not in self.theirs:
                    self._pair(p, q)
                    queue.append((p, q))

    def _read_by(self, i: int, j: int) -> Iterable[tuple[int, int]]:
        names = zip(self.a.layers[i].inputs, self.b.layers[j].inputs, strict=False)
        for x, y in names:
            p, q = self.a.maker(x), self.b.maker(y)
            if p is not None and q is not None and self.a.layers[p].op == self.b.layers[q].op:
                yield p, q

    def _readers_of(self, i: int, j: int) -> Iterable[tuple[int, int]]:
        left, right = (
            self._open_readers(self.a, i, self.ours),
            self._open_readers(self.b, j, self.theirs),
        )
        for key, own in left.items():
            if len(own) == len(right.get(key, ())):
                yield from zip(own, right[key], strict=True)

    @staticmethod
    def _open_readers(graph: Graph, n: int, done: Mapping[int, int]) -> dict[Label, list[int]]:
        groups: dict[Label, list[int]] = defaultdict(list)
        for reader, place, output in graph.readers[n]:
            if reader not in done:
                groups[graph.layers[reader].op, place, output].append(reader)
        return groups

    def _between(self) -> None:
        """A layer in the place of another: all that it reads and all that read it are matched."""
        places: dict[Label, list[int]] = defaultdict(list)
        for j in range(len(self.b.layers)):
            if j not in self.theirs and (key := _surroundings(self.b, j, self.theirs)):
                places[key].append(j)
        for i in range(len(self.a.layers)):
            if i in self.ours:
                continue
            own = {n: n for n in self.ours}  # A's own places, as B's are told
            found = places.get(_surroundings(self.a, i, own), [])
            if len(found) == 1 and found[0] not in self.theirs:
                self._pair(i, found[0])


def _groups(labels: Sequence[Label], done: Mapping[int, int]) -> dict[Label, list[int]]:
    groups: dict[Label, list[int]] = defaultdict(list)
    for number, label in enumerate(labels):
        if number not in done:
            groups[label].append(number)
    return groups


def _surroundings(graph: Graph, n: int, known: Mapping[int, int]) -> Label:
    """The matched layers around one, as A's places; None where one is not matched."""
    before = [known.get(m) for m in graph.makers_of(n)]
    behind = [known.get(r) for r, _, _ in graph.readers[n]]
    if None in before or None in behind or not (before or behind):
        return None
    return tuple(before), tuple(sorted(b for b in behind if b is not None))


def attribute_text(value: Attribute) -> str:
    """An attribute as text; equal texts are equal attributes, whatever their width."""
    if isinstance(value, np.ndarray):
        return str(value.tolist())
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return str(value)


def _kind(graph: Graph, layer: Layer) -> Label:
    """What a layer is by itself: its operation, attributes, and the shapes of its constants."""
    told = sorted((name, attribute_text(value)) for name, value in layer.attributes.items())
    return hash((layer.op, tuple(told), *(_constant(graph, name) for name in layer.inputs)))


def _constant(graph: Graph, name: str) -> Label:
    tensor = graph.network.tensors.get(name)
    return tensor.shape if tensor is not None and tensor.role == "constant" else None


def _before(graph: Graph) -> list[Label]:
    """Labels of layers that see all that lies before them."""
    labels: list[Label] = []
    inputs = {name: place for place, name in enumerate(graph.network.inputs)}
    for layer in graph.layers:
        read: list[Label] = []
        for name in layer.inputs:
            maker = graph.makers.get(name)
            if maker is not None and maker[0] < len(labels):
                read.append((labels[maker[0]], maker[1]))
            else:
                read.append(("input", inputs.get(name)))
        labels.append(hash((_kind(graph, layer), tuple(read))))
    return labels


def _behind(graph: Graph) -> list[Label]:
    """Labels of layers that see all that lies behind them."""
    outputs = {name: place for place, name in enumerate(graph.network.outputs)}
    labels: list[Label] = [None] * len(graph.layers)
    for number in reversed(range(len(graph.layers))):
        layer = graph.layers[number]
        given = tuple(outputs.get(name) for name in layer.outputs)
        read = sorted((hash(labels[r]), place, k) for r, place, k in graph.readers[number])
        labels[number] = hash((_kind(graph, layer), given, tuple(read)))
    return labels


def _around(graph: Graph, radius: int) -> list[Label]:
    """Labels of layers that see so many steps in both directions."""
    labels: list[Label] = [_kind(graph, layer) for layer in graph.layers]
    for _ in range(radius):
        labels = [
            hash(
                (
                    labels[n],
                    tuple(labels[m] for m in graph.makers_of(n)),
                    tuple(sorted((hash(labels[r]), p) for r, p, _ in graph.readers[n])),
                )
            )
            for n in range(len(labels))
        ]
    return labels


def _fingerprint(graph: Graph, number: int) -> Label:
    """The first bytes of a layer's constants."""
    found: list[Label] = []
    for name in graph.layers[number].inputs:
        tensor = graph.network.tensors.get(name)
        if tensor is not None and tensor.role == "constant" and tensor.value is not None:
            value = tensor.value.reshape(-1)[:FINGERPRINT_BYTES]
            found.append(value.tobytes()[:FINGERPRINT_BYTES])
    return tuple(found)
