"""Jobs that misbehave, for the tests of workers."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable

from dlcc.targets.errors import UsageError
from dlcc.tuning.workers.wire import Message


def probe(message: Message) -> Message:
    """Do what the request says."""
    return DOING[str(message.fields["doing"])](message)


def echo(message: Message) -> Message:
    return Message({"value": message.fields["value"], "pid": os.getpid()}, message.pieces)


def fail(_: Message) -> Message:
    return Message({"value": 1 // 0})


def refuse(_: Message) -> Message:
    raise UsageError("it is refused", hint="ask for something else")


def crash(_: Message) -> Message:
    """Read address 0."""
    return Message({"value": ctypes.string_at(0)})


def leave(_: Message) -> Message:
    os._exit(3)


def chatter(message: Message) -> Message:
    """Answer with what is no message."""
    os.write(int(sys.argv[3]), b"\xff" * 64)
    return echo(message)


def hang(_: Message) -> Message:
    while True:
        time.sleep(60)


def sleep(message: Message) -> Message:
    time.sleep(3)
    return echo(message)


def spawn(_: Message) -> Message:
    """Start a process that nobody waits for."""
    child = subprocess.Popen(["sleep", "1000"])
    return Message({"child": child.pid, "pid": os.getpid()})


def printing(_: Message) -> Message:
    print("ahem", flush=True)  # noqa: T201  a candidate may
    return Message({"value": "printed"})


DOING: dict[str, Callable[[Message], Message]] = {
    "echo": echo,
    "fail": fail,
    "refuse": refuse,
    "crash": crash,
    "leave": leave,
    "chatter": chatter,
    "hang": hang,
    "sleep": sleep,
    "spawn": spawn,
    "print": printing,
}
JOBS = {"probe": probe}
