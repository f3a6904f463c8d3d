"""Sets of ops from Python files that the user names, and from installed packages."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from dlcc.compiler.errors import DlccError, UsageError
from dlcc.compiler.user_ops.declared import UserOps

GROUP = "dlcc.ops"  # of entry points
NONE = "none"  # in place of a file: not even the sets of installed packages

log = logging.getLogger("dlcc")

OpsGiven = Sequence[str | os.PathLike[str] | UserOps]


def load_sets(given: OpsGiven = ()) -> tuple[UserOps, ...]:
    """The sets of installed packages, and those of files, each once; a file's code is run.

    given: paths, or sets themselves.
    Raises UsageError for a file or package whose ops cannot be had, and for an op that is in two
    sets."""
    found = [] if NONE in given else list(_installed())
    found += [(item, "given") for item in given if isinstance(item, UserOps)]
    paths = [Path(i) for i in given if not isinstance(i, UserOps) and i != NONE]
    for path in {path.resolve(): path for path in paths}.values():
        found += [(own, str(path)) for own in _of_file(path)]
    found = list({id(own): (own, where) for own, where in found}.values())
    _require_distinct(found)
    for own, _ in found:
        own.require_whole()
    return tuple(own for own, _ in found)


def _require_distinct(found: Sequence[tuple[UserOps, str]]) -> None:
    names: dict[str, str] = {}
    ops: dict[str, str] = {}
    for own, where in found:
        told = f"{own} ({where})"
        if own.name in names:
            raise UsageError(
                f"two sets of ops are called {own.name}: {names[own.name]} and {told}",
                hint="leave one away; `--ops none` leaves out those of installed packages",
            )
        names[own.name] = told
        for op in own.ops:
            if op in ops:
                raise UsageError(
                    f"{op} is in two sets of ops: {ops[op]} and {told}",
                    hint="leave one away; `--ops none` leaves out those of installed packages",
                )
            ops[op] = told


def _installed() -> Iterator[tuple[UserOps, str]]:
    for entry in metadata.entry_points(group=GROUP):
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module
        hint = f"`--ops {NONE}` leaves installed ops out, or pip uninstall {package.split()[0]}"
        try:
            made = entry.load()
        except Exception as error:
            raise UsageError(
                f"the installed package {package} has ops that cannot be loaded "
                f"({entry.value}): {_told(error)}",
                hint=hint,
            ) from error
        sets = _sets_in(made) if isinstance(made, ModuleType) else [made]
        if not sets or not all(isinstance(own, UserOps) for own in sets):
            raise UsageError(
                f"the installed package {package} gives no UserOps as {entry.value}", hint=hint
            )
        yield from ((own, f"package {package}") for own in sets)


def _of_file(path: Path) -> list[UserOps]:
    """The sets that a Python file declares. Raises UsageError."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise UsageError(f"{path}, which should hold ops, {what}", hint="`dlcc ops new NAME`")
    module = _run(path)
    sets = _sets_in(module)
    if not sets:
        raise UsageError(
            f"{path} declares no ops",
            hint='write OPS = UserOps("my_ops", file=__file__) in it; `dlcc ops new NAME`',
        )
    return sets


def _run(path: Path) -> ModuleType:
    """The file as a module, run anew each time: the sources that it names may have changed."""
    key = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    name = f"dlcc_user_ops_{key}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file", hint="its name has to end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, DlccError) or not isinstance(error, Exception):
            raise
        raise UsageError(f"{path}{_line(error, path)}: {_told(error)}") from error
    return module


def _sets_in(module: ModuleType) -> list[UserOps]:
    return [own for own in vars(module).values() if isinstance(own, UserOps)]


def _line(error: BaseException, path: Path) -> str:
    """`, line N`: where in a file an error came up, "" where that is not known."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in frames if Path(f.filename) == path]
    return f", line {lines[-1]}" if lines else ""


def _told(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg}"
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: Any) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]
