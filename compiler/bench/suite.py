"""What to measure, as a TOML file says it: models x targets x devices x threads."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dlcc.compiler.errors import UsageError, did_you_mean

T = TypeVar("T")
D = TypeVar("D")
HINT = "docs/bench.md shows a file of each kind"
NO_NAME = ("/", "@")  # what stands between the names of a cell


@dataclass(frozen=True, slots=True)
class Model:
    """A model to compile, or a container that is measured as it is.

    inputs: shapes, as of `compile`.   feeds: a .npz of inputs, None: random values."""

    name: str
    path: Path
    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    signature: str | None
    feeds: Path | None


@dataclass(frozen=True, slots=True)
class Target:
    """A way to compile, and the devices to run that on; None: what the target's kind uses.

    threads: None: those of the suite.   database, runtime, fp16: as of `compile`."""

    name: str
    target: str
    devices: tuple[str | None, ...]
    threads: tuple[int | None, ...] | None
    runtime: str | None
    fp16: bool
    database: str | None


@dataclass(frozen=True, slots=True)
class Suite:
    """runs: inferences of a cell.   threads: None: all cores.   baseline: a target's name, or
    NAME@DEVICE; ratios are to its cells.   time_limit_s: of one remote call.
    cell_limit_s: of everything that a cell does, compiling not counted."""

    path: Path
    models: tuple[Model, ...]
    targets: tuple[Target, ...]
    baseline: str
    runs: int
    threads: tuple[int | None, ...]
    seed: int
    time_limit_s: float
    cell_limit_s: float

    @property
    def cache(self) -> Path:
        """The folder of compiled models, beside the file."""
        return self.path.with_suffix(".cache")

    @property
    def results(self) -> Path:
        """The file of results, where none is named."""
        return self.path.with_suffix(".results.jsonl")


def read_suite(path: Path) -> Suite:
    """Raises UsageError for what cannot be read, unknown keys and values that cannot be meant."""
    try:
        told = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", hint=HINT) from error
    except ValueError as error:  # of TOML, and of UTF-8
        raise UsageError(f"{path} is no TOML file: {error}", hint=HINT) from error
    table = Table(str(path), told)
    targets = tuple(map(_target, table.tables("target")))
    suite = Suite(
        path=path,
        models=tuple(_model(row, path.parent) for row in table.tables("model")),
        targets=targets,
        baseline=table.take("baseline", _text, targets[0].name),
        runs=table.take("runs", _natural, 20),
        threads=table.take("threads", _threads, (None,)),
        seed=table.take("seed", _seed, 0),
        time_limit_s=table.take("time_limit_s", _positive, 60.0),
        cell_limit_s=table.take("cell_limit_s", _positive, 600.0),
    )
    table.end()
    _require_names(suite)
    return suite


class Table:
    """A table of the file, whose keys are taken one by one; `end` refuses those that are left.

    where: the file, and which table of it, for errors."""

    def __init__(self, where: str, told: Mapping[str, Any]) -> None:
        self.where = where
        self._told = dict(told)
        self._known: list[str] = []

    def take(self, key: str, read: Callable[[Any], T], default: D) -> T | D:
        """The value of a key. read: raises ValueError with what is wanted in place of it."""
        self._known.append(key)
        return self.need(key, read) if key in self._told else default

    def need(self, key: str, read: Callable[[Any], T]) -> T:
        """The value of a key that must be there."""
        self._known.append(key)
        if key not in self._told:
            raise UsageError(f"{self.where}: {key} is missing", hint=HINT)
        value = self._told.pop(key)
        try:
            return read(value)
        except ValueError as error:
            what = f"{self.where}: {key} is {value!r}, it must be {error}"
            raise UsageError(what, hint=HINT) from error

    def tables(self, key: str) -> list[Table]:
        """The tables [[key]], at least one."""
        rows = self.take(key, _tables, ())
        if not rows:
            raise UsageError(f"{self.where}: there is no [[{key}]]", hint=HINT)
        return [Table(f"{self.where}: {key} {n}", row) for n, row in enumerate(rows, 1)]

    def end(self) -> None:
        """Raises UsageError for a key that was not taken."""
        if unknown := next(iter(self._told), ""):
            hint = (
                did_you_mean(unknown, self._known)
                or f"known: {', '.join(sorted(set(self._known)))}"
            )
            raise UsageError(f"{self.where}: unknown key {unknown!r}", hint=hint)


def _model(table: Table, folder: Path) -> Model:
    path = folder / table.need("path", _text)
    feeds = table.take("feeds", _text, "")
    model = Model(
        name=table.take("name", _name, path.stem),
        path=path,
        inputs=table.take("inputs", _shapes, {}),
        outputs=table.take("outputs", _texts, ()),
        signature=table.take("signature", _text, "") or None,
        feeds=folder / feeds if feeds else None,
    )
    table.end()
    for found in filter(None, (model.path, model.feeds)):
        if not found.exists() and not found.with_name(f"{found.name}.index").exists():
            raise UsageError(f"{table.where}: there is no {found}", hint="paths are the file's own")
    return model


def _target(table: Table) -> Target:
    target = table.need("target", _text)
    made = Target(
        name=table.take("name", _name, target.replace("/", "-")),
        target=target,
        devices=table.take("devices", _texts, ()) or (None,),
        threads=table.take("threads", _threads, ()) or None,
        runtime=table.take("runtime", _text, "") or None,
        fp16=table.take("fp16", _flag, False),
        database=table.take("database", _text, "") or None,
    )
    table.end()
    return made


def _require_names(suite: Suite) -> None:
    """Names must tell rows apart, and the baseline must be one."""
    for what, names in (
        ("model", [model.name for model in suite.models]),
        ("target", [target.name for target in suite.targets]),
    ):
        if twice := [name for name in names if names.count(name) > 1]:
            raise UsageError(
                f"{suite.path}: two of [[{what}]] are named {twice[0]!r}",
                hint='give one another name = "…"',
            )
    known = {target.name: target for target in suite.targets}
    name, _, device = suite.baseline.partition("@")
    if name not in known or (device and device not in known[name].devices):
        hint = did_you_mean(name, known) or f"targets: {', '.join(known)}, or NAME@DEVICE"
        raise UsageError(f"{suite.path}: no target is the baseline {suite.baseline!r}", hint=hint)


def _tables(value: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError("tables in [[ ]]")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def _name(value: Any) -> str:
    if any(mark in _text(value) for mark in NO_NAME):
        raise ValueError("a text without / and @")
    return _text(value)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("a list of texts")
    return tuple(map(_text, value))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _natural(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("a number from 1 on")
    return value


def _seed(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("a number from 0 on")
    return value


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError("seconds, more than 0")
    return float(value)


def _threads(value: Any) -> tuple[int | None, ...]:
    return tuple(map(_natural, value)) if isinstance(value, list) and value else (_natural(value),)


def _shapes(value: Any) -> Mapping[str, tuple[int, ...]]:
    if not isinstance(value, dict) or not all(isinstance(v, list) for v in value.values()):
        raise ValueError("a table of shapes, as { image = [1, 224, 224, 3] }")
    return {name: tuple(map(_natural, shape)) for name, shape in value.items()}
