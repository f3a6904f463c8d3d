"""The second half of scripts/test: each check with its seconds, stopping at the first failure.

DLCC_CORPUS names a folder with a `run.py` that runs outside models through the public API; where
it is set that is one more check.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from checkout import PYTHON, ROOT, environment

WORKERS = 4  # at most, each with TensorFlow, TVM and devices of its own: 2 GB

CHECKS: dict[str, list[str]] = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "mypy scripts": ["mypy", "scripts"],
    "layers": ["lint-imports"],
}


def checks() -> dict[str, list[str]]:
    """Every check before the tests, in the order in which they run: the quick ones first."""
    corpus = os.environ.get("DLCC_CORPUS")
    if not corpus:
        return CHECKS
    return CHECKS | {"corpus": [str(PYTHON), str(Path(corpus) / "run.py"), "--jobs", "2"]}


def run(name: str, command: Sequence[str]) -> None:
    """One check in silence; where it fails, show what it said and how to repeat it, and leave."""
    started = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    verdict = "failed" if done.returncode else "ok"
    print(f"{name:12} {verdict:6} {time.monotonic() - started:6.1f} s", flush=True)
    if done.returncode:
        print(done.stdout.rstrip())
        print(f"repeat with: {repeat(command)}")
        sys.exit(1)


def repeat(command: Sequence[str]) -> str:
    """The command as a user would type it in the checkout."""
    program = command[0] if os.path.isabs(command[0]) else f".venv/bin/{command[0]}"
    return shlex.join([program, *command[1:]])


def pytest_command(args: Sequence[str]) -> list[str]:
    """pytest with the slow tests left out, unless --slow or marks of the caller's own are given.

    All of them run in several processes, a file in one of them; what a caller picks, in this."""
    rest = [arg for arg in args if arg != "--slow"]
    marks = [] if "--slow" in args or "-m" in args else ["-m", "not slow"]
    workers = min(os.cpu_count() or 1, WORKERS)
    # the longest files first, as tests/conftest.py says: xdist would take those of most tests
    order = ["--dist", "loadfile", "--no-loadscope-reorder"]
    everything = ["-n", str(workers), *order, "--durations", "25"]
    return ["pytest", *marks, *(rest or everything)]


def main(args: Sequence[str]) -> int:
    for name, command in checks().items():
        run(name, command)
    command = pytest_command(args)
    print(f"tests        {shlex.join(command)}", flush=True)
    # pytest has the last word: its closing line counts what passed, failed and was skipped
    return subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
