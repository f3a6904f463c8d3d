"""Running the tools that this package needs, with errors that show what they said."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlcc.targets.errors import ToolchainError


def run_tool(
    command: Sequence[str],
    *,
    hint: str = "",
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    limit_s: float = 600.0,
    shown_lines: int = 12,
) -> str:
    """What a command wrote to stdout and stderr.

    env: variables set on top of this process's. limit_s: seconds after which it is killed.
    shown_lines: of the end of its output, in an error.
    Raises ToolchainError, with the command and the tail of its output, when it is not there, fails
    or does not end in time.
    """
    shown = shlex.join(command)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
            cwd=folder,
            timeout=limit_s,
            check=False,
        )
    except OSError as error:
        raise ToolchainError(f"cannot start {shown}: {error.strerror}", hint=hint) from error
    except subprocess.TimeoutExpired as error:
        raise ToolchainError(f"{shown} did not end in {limit_s:.0f} s", hint=hint) from error
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-shown_lines:])
        raise ToolchainError(f"{shown} failed with status {done.returncode}:\n{tail}", hint=hint)
    return done.stdout
