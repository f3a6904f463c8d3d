"""The op table: which converter serves which TensorFlow op."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dlcc.compiler.frontend.graph import Node

# (emitter, node) -> an expression, a compile-time value, or a sequence of these, one an output
Converter = Callable[[Any, Node], Any]
# (node, *arrays) -> array or sequence of arrays: the same op on compile-time values
Fold = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Row:
    """How one op is converted.

    fold: evaluates the op in NumPy when all its inputs are known at compile time.
    symbolic: fold also takes object arrays whose elements are symbolic dimensions.
    origin: the user's set that it is from, "" for one of ours.
    """

    convert: Converter
    fold: Fold | None = None
    symbolic: bool = False
    origin: str = ""

    @property
    def source(self) -> str:
        """module:function of the converter, for `dlcc check`; of a user's the set."""
        if self.origin:
            return self.origin
        return f"{self.convert.__module__.rsplit('.', 1)[-1]}:{self.convert.__name__}"


@dataclass(frozen=True, slots=True)
class OpTable(Mapping[str, Row]):
    """Op name -> row. Tables are joined with `|`; two rows for one op are an error."""

    rows: dict[str, Row] = field(default_factory=dict)

    def op(
        self, *names: str, fold: Fold | None = None, symbolic: bool = False
    ) -> Callable[[Converter], Converter]:
        """Register a converter for the ops of these names."""

        def register(convert: Converter) -> Converter:
            self._add({name: Row(convert, fold, symbolic) for name in names})
            return convert

        return register

    def _add(self, rows: Mapping[str, Row]) -> None:
        if twice := self.rows.keys() & rows.keys():
            raise ValueError(f"two converters for {', '.join(sorted(twice))}")
        self.rows.update(rows)

    def __or__(self, other: OpTable) -> OpTable:
        joined = OpTable(dict(self.rows))
        joined._add(other.rows)
        return joined

    def overlaid(self, rows: Mapping[str, Row]) -> OpTable:
        """The table with these rows, also in place of its own."""
        return OpTable({**self.rows, **rows})

    def __getitem__(self, op: str) -> Row:
        return self.rows[op]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def missing(self, nodes: Iterable[Node]) -> list[Node]:
        """The nodes that no row converts."""
        return [node for node in nodes if node.op not in self.rows]
