"""`dlcc`: parse, call one function, show. What fails becomes one clear line and an exit code.

`--help` must be quick, so this file and those with the verbs import click alone; what a verb needs
is imported when it runs.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import click

from dlcc.compiler.cli.advice import lint
from dlcc.compiler.cli.benches import bench
from dlcc.compiler.cli.devices import device
from dlcc.compiler.cli.inspection import diff, info
from dlcc.compiler.cli.look import view
from dlcc.compiler.cli.models import check, compile_model
from dlcc.compiler.cli.ops import ops
from dlcc.compiler.cli.profiles import profile
from dlcc.compiler.cli.records import records
from dlcc.compiler.cli.runs import run
from dlcc.compiler.cli.targets import target
from dlcc.compiler.cli.tune import tune
from dlcc.compiler.cli.verbs import Verbs, version_option
from dlcc.compiler.cli.verify import verify

TERMINATED = 143


@click.group(cls=Verbs)
@version_option
def cli() -> None:
    """Compile TensorFlow models for the CPU, GPU and DSP of a phone, and run them.

    Data goes to stdout, talk and progress to stderr. With --json, stdout holds JSON, and an error
    is one JSON object on stderr: {"error", "hint", "exit_code"}.

    Exit codes: 0 fine; 1 differs or an op is missing; 2 usage; 3 a model, container or record
    cannot be read; 4 toolchain; 5 device; 70 a bug of dlcc; 130 interrupted.
    """


VERBS = (
    *(compile_model, check, lint, tune, records),
    *(run, bench, profile, verify),
    *(info, diff, view),
    *(ops, device, target),
)
for _verb in VERBS:
    cli.add_command(_verb)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        colors = False if os.environ.get("NO_COLOR") else None  # None: where stdout is a terminal
        with _terminable(), cli.make_context("dlcc", list(args), color=colors) as ctx:
            cli.invoke(ctx)
            sys.stdout.flush()
        return 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  `explain` tells them apart
        from dlcc.compiler.cli.failures import explain

        return explain(error, args)


def compile_main() -> int:
    """The console script `compile`: `dlcc compile`."""
    return main(["compile", *sys.argv[1:]])


@contextmanager
def _terminable() -> Iterator[None]:
    """Leave by an exception when terminated, so that no half-written file remains."""

    def leave(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
