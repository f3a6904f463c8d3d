"""What was emitted for which node, noted while a graph is translated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Entry:
    """One conversion of a node; a node of a loop or of a function may have several.

    node: its name; behind FUNCTION/ for a node of a function of the model's library.
    variables: names of what was bound for it.   folded: whether all its results are known.
    notes: what its converter has to say.
    """

    node: str
    variables: list[str] = field(default_factory=list)
    folded: bool = False
    notes: list[str] = field(default_factory=list)


class Journal:
    """All conversions in their order; what is bound belongs to the innermost open one."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._open: list[Entry] = []

    def open(self, node: str) -> Entry:
        entry = Entry(node)
        self.entries.append(entry)
        self._open.append(entry)
        return entry

    def close(self) -> None:
        self._open.pop()

    def bound(self, variable: str) -> None:
        """A variable was bound."""
        if self._open:
            self._open[-1].variables.append(variable)

    def note(self, text: str) -> None:
        """What the node under conversion became, in words."""
        if self._open:
            self._open[-1].notes.append(text)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within it what is bound is nobody's: the many levels of a loop say nothing."""
        held, self._open = self._open, []
        try:
            yield
        finally:
            self._open = held

    def mark(self) -> int:
        return len(self.entries)

    def forget(self, mark: int) -> None:
        """Drop what was noted behind a mark: a trial that is not part of the module."""
        del self.entries[mark:]
