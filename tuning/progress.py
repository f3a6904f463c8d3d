"""How a session is doing: a live table on a terminal, plain lines elsewhere, and a log file."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from dlcc.targets.closing import Closing
from dlcc.tuning.wording import cost_text, duration_text, gain_text, printable

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

log = logging.getLogger("dlcc")

LOG = "tune.log"
LINES_EVERY_S = {"lines": 10.0, "log": 60.0}
MOST_LOG_BYTES = 16 << 20
MOST_ROWS = 12  # of the live table
NEWS = 0.99  # a best cost that fell below this part of the last one is worth a line

Mode = Literal["live", "lines", "silent"]


@dataclass(frozen=True, slots=True)
class TaskState:
    """One workload. share: of the run. Costs: of all its calls in one inference; best_cost is
    default_cost where nothing is better.   flat: whether it makes no more progress."""

    workload: str
    label: str
    share: float
    trials: int
    failed: int
    default_cost: float
    best_cost: float
    flat: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """A session between two batches. wanted: trials to stop at. left_s: until its hours are over.

    reward: unit of costs."""

    reward: str
    trials: int
    tasks: Sequence[TaskState]
    wanted: int | None = None
    left_s: float | None = None

    @property
    def failed(self) -> int:
        """Trials without a result, or with a wrong one."""
        return sum(task.failed for task in self.tasks)

    @property
    def saved(self) -> float:
        """The share of the run that the best choices save, if they hold together."""
        return sum(t.share * (1 - t.best_cost / t.default_cost) for t in self.tasks)


def left_s(state: State, made: int, elapsed_s: float) -> float | None:
    """Seconds until the session ends; None where nobody knows.

    made, elapsed_s: trials in the seconds that were watched, which tell how fast it is."""
    if state.left_s is not None:
        return max(0.0, state.left_s)
    if state.wanted is None or made <= 0:
        return None
    return elapsed_s / made * max(0, state.wanted - state.trials)


def summary(state: State, rest_s: float | None = None) -> str:
    """One line: trials, what they save, how many tasks are flat, time left."""
    of = f" of {state.wanted:,}" if state.wanted else ""
    failed = f", {state.failed:,} failed" if state.failed else ""
    flat = sum(task.flat for task in state.tasks)
    line = f"{state.trials:,}{of} trials{failed}; the best so far save {state.saved:.1%} of the run"
    line += f"; {flat} of {len(state.tasks)} kernels are flat"
    return line if rest_s is None else f"{line}; {duration_text(rest_s)} left"


class Progress(Closing):
    """Shows a session while it works, on stderr and in `DIR/tune.log`.

    mode: `mode_of` says which fits.   now: seconds of a clock that does not jump."""

    def __init__(
        self,
        title: str,
        folder: Path | None,
        mode: Mode,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title = title
        self._mode = mode
        self._now = now
        self._first: tuple[int, float] | None = None  # trials when they were first shown, and when
        self._said_s: dict[str, float] = {}
        self._best: dict[str, float] = {}
        self._stack = ExitStack()
        self._file = None if folder is None else self._stack.enter_context(LogFile(folder / LOG))
        self._live: Live | None = None
        self.say(f"tuning {printable(title)}")

    def say(self, message: str) -> None:
        """Something worth a line, on stderr and in the log file."""
        log.info("%s", message)
        self._write(message)

    def show(self, state: State) -> None:
        """How it stands after a batch."""
        # builds before the first batch tell nothing of how long the others take
        self._first = self._first or (state.trials, self._now())
        made, elapsed_s = state.trials - self._first[0], self._now() - self._first[1]
        line = summary(state, left_s(state, made, elapsed_s))
        for news in self._news(state):
            log.debug("%s", news)
            self._write(news)
        if self._mode == "live":
            self._draw(state, line)
        if self._mode == "lines" and self._is_time("lines"):
            log.info("%s", line)
        if self._is_time("log"):
            self._write(line)

    def _write(self, message: str) -> None:
        if self._file is not None:
            self._file.write(message)

    def _news(self, state: State) -> Sequence[str]:
        """What became faster since the last time."""
        before, self._best = self._best, {t.workload: t.best_cost for t in state.tasks}
        return [
            f"{printable(t.label or t.workload)}: {cost_text(t.best_cost, state.reward)}, "
            f"{gain_text(t.default_cost, t.best_cost)} (trial {t.trials})"
            for t in state.tasks
            if t.best_cost < NEWS * before.get(t.workload, t.best_cost)
        ]

    def _is_time(self, what: str) -> bool:
        """At once the first time, then every so many seconds."""
        now_s = self._now()
        if (last_s := self._said_s.get(what)) is not None and (
            now_s - last_s < LINES_EVERY_S[what]
        ):
            return False
        self._said_s[what] = now_s
        return True

    def _draw(self, state: State, line: str) -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            live = Live(console=Console(stderr=True), refresh_per_second=4, transient=True)
            self._live = self._stack.enter_context(live)
        self._live.update(table(self._title, state, line))

    def close(self) -> None:
        """Take the table off the terminal, and end the log file."""
        self._stack.close()


def mode_of(verbosity: int) -> Mode:
    """What fits stderr. verbosity: -1 errors alone."""
    if verbosity < 0:
        return "silent"
    return "live" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else "lines"


def table(title: str, state: State, line: str) -> Table:
    """The tasks with the largest shares, and the summary below."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=Text(f"tuning {printable(title)}"), caption=Text(line))
    for name, justify in _COLUMNS.items():
        shown.add_column(name, justify=justify, no_wrap=name != "kernel", overflow="ellipsis")
    for task in sorted(state.tasks, key=lambda t: -t.share)[:MOST_ROWS]:
        cells = (
            printable(task.label or task.workload),
            f"{task.share:.1%}",
            f"{task.trials:,}",
            cost_text(task.default_cost, state.reward),
            cost_text(task.best_cost, state.reward),
            gain_text(task.default_cost, task.best_cost),
            "flat" if task.flat else "",
        )
        shown.add_row(*map(Text, cells))  # as they are: square brackets are no markup
    if (rest := len(state.tasks) - MOST_ROWS) > 0:
        shown.add_row(Text(f"and {rest} more"))
    return shown


_COLUMNS: Mapping[str, Literal["left", "right"]] = {
    "kernel": "left",
    "share": "right",
    "trials": "right",
    "default": "right",
    "best": "right",
    "faster": "right",
    "": "left",
}


@dataclass(slots=True)
class LogFile(Closing):
    """Lines with their UTC time, added to a file. When it is large, the next session puts it aside
    as `tune.log.1`. If it cannot be written the session goes on without it, which is said once."""

    path: Path
    _file: IO[str] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_file() and self.path.stat().st_size > MOST_LOG_BYTES:
                self.path.replace(self.path.with_name(self.path.name + ".1"))
            self._file = self.path.open("a", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            self._give_up(error)

    def write(self, message: str) -> None:
        """Add a line and flush it."""
        if self._file is None:
            return
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            self._file.write(f"{at} {printable(message)}\n")
            self._file.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning("no more lines in %s: %s", self.path, error.strerror or error)
        file, self._file = self._file, None
        if file is not None:
            _close(file)

    def close(self) -> None:
        """End the file."""
        if self._file is not None:
            _close(self._file)
            self._file = None


def _close(file: IO[str]) -> None:
    """Close a file whose last line may not fit the disk: then that line is lost, as was said."""
    try:
        file.close()
    except OSError as error:
        log.debug("closing the log: %s", error)
