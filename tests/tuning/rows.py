"""Records for tests: one that is as it should be, and how others differ from it."""

from __future__ import annotations

from typing import Any

from dlcc.tuning.record import Key, Record, Tools

WORKLOAD = "conv2d n1 h56 w56 c64 oc64 k3x3 s1x1 p1,1,1,1 d1x1 g1 float32"
RECORD = Record(
    kind="host",
    chip="host",
    processor="znver3",
    cores=2,
    device="local",
    reward="seconds",
    tools=Tools("0.1.0", "0.27.0.post1", 3),
    search="template",
    workload=WORKLOAD,
    label="conv1/Conv2D",
    choice={"tile_m": 6, "order": "panels"},
    cost=1.2e-4,
    verified=True,
    default=False,
    threads=2,
    session="5f2c",
    batch=7,
    at="2026-11-28T16:40:00Z",
    isa="x86_64 256x16",
)
KEY = Key("host", "host", "znver3", "0.27.0.post1", 3, "x86_64 256x16")


def record(**changes: Any) -> Record:
    """RECORD but for these fields."""
    return RECORD._replace(**changes)


def default(**changes: Any) -> Record:
    """What an untuned build takes, and its cost."""
    known = {"choice": {"tile_m": 4}, "cost": 2e-4, "verified": None, "default": True}
    return RECORD._replace(**{**known, **changes})
