"""What tensors of a model should be: as TensorFlow computes them, or as a file has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import numpy as np

from dlcc.compiler.container.tools import package_version
from dlcc.compiler.errors import BadFeed
from dlcc.compiler.feeds import plain_name
from dlcc.compiler.frontend.graph import TensorRef
from dlcc.compiler.frontend.part import Fed, enum_of, part_of
from dlcc.compiler.frontend.reference import Computed, TensorFlow
from dlcc.compiler.verify.subject import Subject

Tensors = Mapping[TensorRef, np.ndarray]


class Expected(Protocol):
    """A reference. Both hand out tensors until their block ends, and leave out what they lack."""

    name: str

    def tensors(
        self, inputs: Sequence[np.ndarray], refs: Sequence[TensorRef], /
    ) -> AbstractContextManager[Tensors]: ...

    def enum(self, ref: TensorRef, array: np.ndarray, /) -> int:
        """TensorFlow's number of the dtype of a tensor that was handed out."""


class ByTensorFlow:
    """TensorFlow on the graph that was compiled, cut where that was. Use it in a `with` block."""

    def __init__(self, subject: Subject, refs: Sequence[TensorRef]) -> None:
        """refs: all tensors that may be asked for."""
        given = {i.ref: Fed(enum_of(i.dtype)) for i in subject.graph.inputs}
        part = part_of(subject.source, given, refs)
        self._feeds = [f"{part.names[i.ref]}:0" for i in subject.graph.inputs]
        self._names = part.names
        self._enums: dict[TensorRef, int] = {}
        self._process = TensorFlow(part.graph_def)
        self.name = f"TensorFlow {package_version('tensorflow')}"

    def __enter__(self) -> ByTensorFlow:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.__exit__()

    @contextmanager
    def tensors(self, inputs: Sequence[np.ndarray], refs: Sequence[TensorRef]) -> Iterator[Tensors]:
        names = {ref: f"{self._names[ref]}:0" if ref in self._names else str(ref) for ref in refs}
        feeds = dict(zip(self._feeds, inputs, strict=True))
        computed: Computed
        with self._process.computed(feeds, list(dict.fromkeys(names.values()))) as computed:
            found = {r: n for r, n in names.items() if n in computed.arrays}
            self._enums |= {ref: computed.enums[name] for ref, name in found.items()}
            yield {ref: computed.arrays[name] for ref, name in found.items()}

    def enum(self, ref: TensorRef, array: np.ndarray) -> int:
        return self._enums.get(ref) or enum_of(array.dtype.name)


class ByFile:
    """Arrays by the names of tensors or of outputs."""

    def __init__(self, name: str, arrays: Mapping[str, np.ndarray], subject: Subject) -> None:
        self.name = name
        known = {plain_name(key): array for key, array in arrays.items()}
        outputs = subject.outputs
        if len(known) == len(outputs) == 1:  # an array stands for the only output
            known.setdefault(plain_name(next(iter(outputs))), next(iter(known.values())))
        if missing := [n for n in outputs if plain_name(n) not in known]:
            raise BadFeed(
                f"{name} has no array for {', '.join(missing)}",
                hint=f"it has: {', '.join(arrays) or 'none'}",
            )
        self._known = known
        self._outputs = {ref: plain_name(n) for n, ref in outputs.items()}

    def __enter__(self) -> ByFile:
        return self

    def __exit__(self, *_: object) -> None: ...

    @contextmanager
    def tensors(
        self, _inputs: Sequence[np.ndarray], refs: Sequence[TensorRef]
    ) -> Iterator[Tensors]:
        names = {ref: self._outputs.get(ref, plain_name(str(ref))) for ref in refs}
        yield {ref: self._known[name] for ref, name in names.items() if name in self._known}

    def enum(self, _ref: TensorRef, array: np.ndarray) -> int:
        return enum_of(array.dtype.name)
