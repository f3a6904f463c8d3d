"""The file of results: one line for each finished cell, on the disk before the next one begins."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dlcc.compiler.errors import BadRecords, UsageError
from dlcc.targets.closing import Closing

FORMAT = 1
PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a cell.

    target, device: where it ran.   times_s: of each inference.   counts: of one.
    error, hint: why it has neither; "" where it has.   at: when it ended, UTC."""

    key: str
    cell: str
    target: str = ""
    device: str = ""
    times_s: tuple[float, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    hint: str = ""
    at: str = ""


class Journal(Closing):
    """The results of a file by the keys of their cells, and what adds to it. One process at a time
    has it open; a line that a crash left without an end is cut off."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where it cannot be opened, BadRecords for a file of something else."""
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._refused("opened", error) from error
        try:
            _lock(self._file)
            self.results = self._read()
        except BlockingIOError as error:
            os.close(self._file)
            raise UsageError(
                f"another `dlcc bench` adds to {path}", hint="wait for it, or name another with -o"
            ) from error
        except OSError as error:
            os.close(self._file)
            raise self._refused("read", error) from error
        except BaseException:
            os.close(self._file)
            raise

    def add(self, result: Result) -> None:
        """Add a line; on the disk when this returns."""
        told = {"format": FORMAT, **asdict(result)}
        line = json.dumps(told, ensure_ascii=False).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError as error:
            raise self._refused("written", error) from error
        self.results[result.key] = result

    def close(self) -> None:
        """Give it free. Closing twice is fine."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self) -> dict[str, Result]:
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        results = {}
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                result = _result(json.loads(line))
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                raise BadRecords(
                    f"{self._path}: line {number} is no result of `dlcc bench`",
                    hint="name another file with -o",
                ) from error
            results[result.key] = result
        if len(whole) < len(content):
            os.ftruncate(self._file, len(whole))
        return results

    def _refused(self, what: str, error: OSError) -> UsageError:
        return UsageError(f"{self._path} cannot be {what}: {error.strerror or error}")


def _lock(file: int) -> None:
    """Raises BlockingIOError where another has it.

    A process that is killed while it starts another leaves its lock to that one, until this runs
    its own program: milliseconds, which are waited for."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def _result(told: Any) -> Result:
    """Raises KeyError, ValueError, TypeError or AttributeError for what is none."""
    if told["format"] != FORMAT:
        raise ValueError(f"format {told['format']!r}, not {FORMAT}")
    names = ("key", "cell", "target", "device", "error", "hint", "at")
    return Result(
        times_s=tuple(map(float, told["times_s"])),
        counts={str(name): int(count) for name, count in told["counts"].items()},
        **{name: str(told[name]) for name in names},
    )
