"""Profiles as a trace for Chrome's viewer, Perfetto or speedscope.

Source of the format: Google, "Trace Event Format": events of phase X have ts and
dur in microseconds, events of phase M name processes and threads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dlcc.compiler.profile.calls import SECONDS, Calls
from dlcc.targets.atomic import written_whole

PROCESS, THREAD = "process_name", "thread_name"


def write_trace(profiles: Sequence[Calls], path: Path) -> None:
    """Write a file, wholly or not at all.   Raises UsageError."""
    with written_whole(path) as file:
        file.write(json.dumps(trace(profiles), indent=1, ensure_ascii=False).encode() + b"\n")


def trace(profiles: Sequence[Calls]) -> dict[str, Any]:
    """The trace, one process for each profile, one thread for each placement.

    Calls follow one another without gaps: what lies between them was not measured. Where a device
    counts, one microsecond stands for one event, and the process says so."""
    events = [event for pid, of in enumerate(profiles, 1) for event in _events(of, pid)]
    units = {of.name: "microseconds" if of.unit == SECONDS else of.unit for of in profiles}
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"made by": "dlcc profile", "gaps": "not measured, left out", "unit": units},
    }


def _events(of: Calls, pid: int) -> Iterator[dict[str, Any]]:
    told = "" if of.unit == SECONDS else f" (1 us stands for 1 {of.unit.removesuffix('s')})"
    yield _named(PROCESS, f"{of.name}: {of.target} on {of.device}{told}", pid, 0)
    threads = {p: n for n, p in enumerate(dict.fromkeys(c.placement for c in of.calls), 1)}
    for placement, tid in threads.items():
        yield _named(THREAD, placement, pid, tid)
    scale = 1e6 if of.unit == SECONDS else 1
    at = 0.0
    for call in of.calls:
        args: dict[str, Any] = {"nodes": list(call.nodes), "share": call.share, "call": call.number}
        more = {"macs": call.macs, "bytes": call.bytes, "of_peak": call.of_peak}
        yield {
            "name": call.kernel,
            "cat": call.placement,
            "ph": "X",
            "ts": at,
            "dur": call.cost * scale,
            "pid": pid,
            "tid": threads[call.placement],
            "args": args | {name: value for name, value in more.items() if value is not None},
        }
        at += call.cost * scale


def _named(what: str, name: str, pid: int, tid: int) -> dict[str, Any]:
    return {"name": what, "ph": "M", "ts": 0, "pid": pid, "tid": tid, "args": {"name": name}}
