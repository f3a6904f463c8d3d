"""A worker that misbehaves, for the tests of workers. Jobs are (what to do, a value)."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dlcc.targets.errors import UsageError


@contextmanager
def probing() -> Iterator[Callable[[tuple[str, Any]], object]]:
    """Do what jobs say."""
    yield lambda job: DOING[job[0]](job[1])


@contextmanager
def never() -> Iterator[None]:
    """A worker that ends before it is ready."""
    sys.exit("no memory left")
    yield


def echo(value: object) -> object:
    return value, os.getpid()


def fail(_: object) -> object:
    return 1 // 0


def refuse(_: object) -> object:
    raise UsageError("it is refused", hint="ask for something else")


def crash(_: object) -> object:
    """Read address 0."""
    return ctypes.string_at(0)


def leave(_: object) -> object:
    print("farewell", flush=True)  # noqa: T201
    os._exit(3)


def chatter(_: object) -> object:
    """Answer with what is no message."""
    return os.write(int(sys.argv[1]), b"\xff" * 64)


def chat(value: object) -> object:
    print("ahem", flush=True)  # noqa: T201  a candidate may
    return value


def hang(_: object) -> object:
    while True:
        time.sleep(60)


def spawn(_: object) -> object:
    """Start a process that nobody waits for."""
    return subprocess.Popen(["sleep", "1000"]).pid


DOING: dict[str, Callable[[Any], object]] = {
    "echo": echo,
    "fail": fail,
    "refuse": refuse,
    "crash": crash,
    "leave": leave,
    "chatter": chatter,
    "hang": hang,
    "spawn": spawn,
    "print": chat,
}
