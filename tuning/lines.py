"""Records as lines of a file: one JSON object each, of which every field is checked.

docs/tuning.md tells what the fields mean to a reader of the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any, NoReturn

from dlcc.tuning.record import CIRCUMSTANCES, Record, Tools

FORMAT = 1
MAX_LINE_BYTES = 4 << 20  # traces of large kernels have some 100 kB
MAX_TEXT = 1024
MAX_CHOICE = 64
WHOLE = 1 << 53  # beyond it JSON readers of other languages round

_CLOSED = {
    "search": ("template", "metaschedule"),
    "device": ("local", "emulator", "rpc"),
    "reward": ("seconds", "instructions", "packets"),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]{0,63}")
# A word or a list of numbers: no path, no address and no host name can stand in a shared record.
_WORD = re.compile(r"[A-Za-z0-9_.,:+*x=()\[\] -]{0,128}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class Malformed(Exception):
    """What is wrong with a line; whoever reads the file adds where it stands."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def line_of(record: Record) -> bytes:
    """The line of a record, with its end. Long texts for people are cut.

    Raises ValueError for what no reader would take: a bug of whoever made the record."""
    row: dict[str, Any] = {"format": FORMAT, **record._asdict()}
    row["tools"], row["choice"] = record.tools._asdict(), dict(record.choice)
    row["label"], row["error"] = _cut(record.label), _cut(record.error)
    line = json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    try:
        record_of(line)
    except Malformed as error:
        raise ValueError(f"a record that cannot be read back: {error.what}") from error
    return line


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def record_of(line: bytes) -> Record:
    """The record of a line.   Raises Malformed."""
    if len(line) > MAX_LINE_BYTES:
        raise Malformed(f"it has more than {MAX_LINE_BYTES:,} bytes")
    if (record := _begun_alike(line)) is not None:
        return record
    row = _parsed(line)
    if "format" not in row:
        raise Malformed("it is not a record", "is this a file of `dlcc tune`?")
    if type(row["format"]) is not int or row["format"] != FORMAT:
        raise Malformed(
            f"it has the format {_shown(row['format'])}, and this dlcc knows {FORMAT}",
            "a newer dlcc may have written it",
        )
    row = {**_OPTIONAL, **row}
    try:
        return _joined(_circumstances(row), _trial(row))
    except KeyError as error:
        raise Malformed(f"it lacks {error.args[0]}") from error


_OPTIONAL = {"isa": "", "error": "", "final": False}


def _joined(circumstances: tuple[Any, ...], trial: tuple[Any, ...]) -> Record:
    record = Record._make(circumstances + trial)
    if ("trace" in record.choice) != (record.search == "metaschedule"):
        raise Malformed("its choice is none of its search's")
    return record


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        text = line.decode("utf-8")
        row, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise Malformed("it is not JSON") from error
    if type(row) is not dict or text[end:] not in ("\n", "\r\n", ""):
        raise Malformed("it is not a record")
    return row


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_constant)
_WORKLOAD = b',"workload":'
_FROM_WORKLOAD = Record._fields[CIRCUMSTANCES:]
assert _FROM_WORKLOAD[0] == "workload"


def _begun_alike(line: bytes) -> Record | None:
    """The record of a line as we write it; None for any other.

    All lines of a session begin with the same circumstances: these are read once, which halves the
    time that a large file takes."""
    begin, cut, rest = line.partition(_WORKLOAD)
    if not cut or (circumstances := _read_once(begin)) is None:
        return None
    try:
        row = _parsed(b"{" + cut[1:] + rest)
        return _joined(circumstances, _trial(row)) if len(row) == len(_FROM_WORKLOAD) else None
    except (KeyError, Malformed):
        return None


@lru_cache(256)
def _read_once(begin: bytes) -> tuple[Any, ...] | None:
    try:
        row = _parsed(begin + b"}")
        known = type(row["format"]) is int and row["format"] == FORMAT
        return _circumstances(row) if known and not row.keys() & {*_FROM_WORKLOAD} else None
    except (KeyError, Malformed):
        return None


def _circumstances(row: dict[str, Any]) -> tuple[Any, ...]:
    """The fields of a record before its workload. Unknown keys are passed over: later versions may
    add some."""
    for name in ("kind", "chip", "processor", "isa", "session"):
        _check_text(row, name)
    for name, allowed in _CLOSED.items():
        if row[name] not in allowed:
            _wrong(row, name, f"one of {', '.join(allowed)}")
    _check_whole(row, "cores", 1)
    _check_whole(row, "threads", 1)
    tools = row["tools"]
    if type(tools) is not dict:
        _wrong(row, "tools", "a table of versions")
    _check_text(tools, "dlcc")
    _check_text(tools, "tvm")
    _check_whole(tools, "schedules", 0)
    row["tools"] = Tools(*(tools[name] for name in Tools._fields))
    return tuple(row[name] for name in Record._fields if name not in _FROM_WORKLOAD)


_trial_of: Callable[[dict[str, Any]], tuple[Any, ...]] = itemgetter(*_FROM_WORKLOAD)


def _trial(row: dict[str, Any]) -> tuple[Any, ...]:
    """The fields of a record from its workload on."""
    for name in ("workload", "label", "error"):
        _check_text(row, name)
    for name in ("default", "final"):
        if type(row[name]) is not bool:
            _wrong(row, name, "true or false")
    if row["verified"] is not None and type(row["verified"]) is not bool:
        _wrong(row, "verified", "true, false or null")
    _check_whole(row, "batch", 0)
    if type(row["at"]) is not str or not _is_time(row["at"]):
        _wrong(row, "at", "a time such as 2026-11-28T16:40:00Z")
    _check_cost(row)
    _check_choice(row)
    return _trial_of(row)


def _check_text(row: dict[str, Any], name: str) -> None:
    value = row[name]
    if type(value) is not str or len(value) > MAX_TEXT:
        _wrong(row, name, f"a text of at most {MAX_TEXT} characters")


def _check_whole(row: dict[str, Any], name: str, least: int) -> None:
    value = row[name]
    if type(value) is not int or not least <= value < WHOLE:
        _wrong(row, name, f"a whole number of {least} or more")


def _check_cost(row: dict[str, Any]) -> None:
    cost = row["cost"]
    if cost is None:
        if not row["error"]:
            raise Malformed("it has neither a cost nor an error")
        return
    if type(cost) not in (int, float) or not 0 < cost < WHOLE:  # NaN is neither
        _wrong(row, "cost", "a finite number above 0, or null")
    row["cost"] = float(cost)


def _check_choice(row: dict[str, Any]) -> None:
    choice = row["choice"]
    if type(choice) is not dict or len(choice) > MAX_CHOICE:
        _wrong(row, "choice", f"a table of at most {MAX_CHOICE} knobs")
    for name, value in choice.items():
        if type(value) is int:
            if _is_name(name) and -WHOLE < value < WHOLE:
                continue
        elif type(value) is str and (name == "trace" or (_is_name(name) and _is_word(value))):
            continue
        _wrong(row, "choice", "a trace, or a table of names to whole numbers or words")


# Few of these differ among the records of a file.


@lru_cache(1024)
def _is_time(text: str) -> bool:
    return _TIME.fullmatch(text) is not None


@lru_cache(1024)
def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


@lru_cache(1024)
def _is_word(text: str) -> bool:
    return _WORD.fullmatch(text) is not None


def _wrong(row: Mapping[str, Any], name: str, wanted: str) -> NoReturn:
    raise Malformed(f"its {name} is {_shown(row[name])}, not {wanted}")


def _shown(value: object) -> str:
    if isinstance(value, list | dict):  # may be nested as deep as it likes
        return "a list" if isinstance(value, list) else "a table"
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
