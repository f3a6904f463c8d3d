"""What went wrong, as one clear line, a hint and an exit code."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence

import click

from dlcc.compiler.errors import DlccError

BUG, INTERRUPTED, BROKEN_PIPE = 70, 130, 141


def explain(error: BaseException, args: Sequence[str]) -> int:
    """Say an error on stderr and return its exit code.

    With --json among `args` it is one JSON object: {"error", "hint", "exit_code"}."""
    as_json = "--json" in args
    if isinstance(error, DlccError):
        return _complain(error.what, error.hint, error.exit_code, as_json)
    if isinstance(error, click.ClickException):
        return _usage(error, as_json)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _complain("interrupted", "", INTERRUPTED, as_json)
    if isinstance(error, BrokenPipeError):
        # Python flushes stdout once more at exit; that must not fail either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return _bug(error, args)


def _usage(error: click.ClickException, as_json: bool) -> int:
    """A mistake on the command line, with what was probably meant."""
    if type(error).__name__ == "NoArgsIsHelpError":  # of click 8.2 and later
        click.echo(error.format_message(), err=True)
        return error.exit_code
    what, hint = error.format_message(), getattr(error, "hint", "")
    if near := getattr(error, "possibilities", None):
        what, hint = error.message, f"did you mean {' or '.join(repr(n) for n in near)}?"
    ctx = getattr(error, "ctx", None)
    if not hint and ctx is not None:
        hint = f"`{ctx.command_path} --help` shows how"
    what = what.rstrip(".")
    return _complain(what[:1].lower() + what[1:], hint, error.exit_code, as_json)


def _complain(what: str, hint: str, exit_code: int, as_json: bool) -> int:
    if as_json:
        said = {"error": what, "hint": hint, "exit_code": exit_code}
        click.echo(json.dumps(said, ensure_ascii=False), err=True)
        return exit_code
    click.echo(f"{_styled('error:', fg='red')} {what}", err=True)
    if hint:
        click.echo(f"  {_styled('hint:')} {hint}", err=True)
    return exit_code


def _styled(text: str, fg: str | None = None) -> str:
    return text if os.environ.get("NO_COLOR") else click.style(text, fg=fg, bold=True)


def _bug(error: BaseException, args: Sequence[str]) -> int:
    """One line for people, the whole traceback in a file (and on stderr with -v)."""
    trace = "".join(traceback.format_exception(error))
    descriptor, path = tempfile.mkstemp(prefix="dlcc-bug-", suffix=".txt")
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(f"dlcc {' '.join(args)}\n{trace}")
    if logging.getLogger("dlcc").isEnabledFor(logging.DEBUG):
        click.echo(trace, err=True)
    line = (str(error).strip() or "no message").splitlines()[0]
    what = f"internal error: {type(error).__name__}: {line}"
    hint = f"this is a bug of dlcc; its traceback is in {path}"
    return _complain(what, hint, BUG, "--json" in args)
