"""What a user writes: a set of ops with converters, shape rules, kernels and schedules."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from dlcc.compiler.errors import UsageError, did_you_mean
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import Converter
from dlcc.targets.user.kernel import IN_C, KINDS

LANGUAGES = {".c": "C", ".cl": "OpenCL C"}
LARGEST_SOURCE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that an op reads or gives.

    shape: sizes, or expressions over those left open.   dtype: NumPy's name.
    value: its numbers where they are known when compiling, else None.
    """

    shape: tuple[Dim, ...]
    dtype: str
    value: np.ndarray | None = None

    @property
    def elements(self) -> Dim:
        """How many elements it has."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Grid:
    """Which work-items run a kernel in OpenCL C: at least `size` of them along up to three axes,
    in groups of `group`."""

    size: Sequence[Dim]
    group: Sequence[int] = (64,)


Number: TypeAlias = "int | float | Dim"
Shape: TypeAlias = Callable[[Node, Sequence[Tensor]], "Tensor | Sequence[Tensor]"]
Scalars: TypeAlias = Callable[[Node, Sequence[Tensor], Sequence[Tensor]], Sequence[Number]]
GridRule: TypeAlias = Callable[[Node, Sequence[Tensor], Sequence[Tensor]], Grid]
PartsRule: TypeAlias = Callable[[Node, Sequence[Tensor], Sequence[Tensor]], Dim]
ScheduleRule: TypeAlias = Callable[[Any], None]  # takes tvm.s_tir.Schedule


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel of an op for some kinds of targets: a function in a source, or a schedule.

    path, text: of the source.   scalars: what the function takes behind the tensors.
    grid: of OpenCL C.   parts: of C, for threads.
    rule: a schedule of the converter's kernel, in place of a source."""

    targets: tuple[str, ...]
    path: Path | None = None
    text: str = ""
    function: str = ""
    scalars: Scalars | None = None
    grid: GridRule | None = None
    parts: PartsRule | None = None
    rule: ScheduleRule | None = None


@dataclass(slots=True)
class Op:
    """One op. replaces: whether it may stand for one of dlcc's own.
    outputs: their names, in their order; () where it has one."""

    name: str
    convert: Converter | None = None
    shape: Shape | None = None
    kernels: list[Kernel] = field(default_factory=list)
    replaces: bool = False
    outputs: tuple[str, ...] = ()


class UserOps:
    """A set of ops, in one Python file or one package.

    name, version: what containers record, and what errors call it.   file: `__file__`: paths of
    sources start in its folder.   Raises UsageError."""

    def __init__(self, name: str, *, file: str | Path, version: str = "0") -> None:
        if not re.fullmatch(r"[A-Za-z][\w.-]{0,63}", name):
            raise UsageError(
                f"{name!r} is no name for a set of ops", hint="letters, digits, '_', '.' and '-'"
            )
        self.name = name
        self.version = str(version)
        self.file = Path(file).resolve()
        self.ops: dict[str, Op] = {}

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def op(
        self, *names: str, replaces: bool = False, outputs: Sequence[str] = ()
    ) -> Callable[[Converter], Converter]:
        """Register a converter: (emitter, node) -> the outputs of a node, as Relax expressions.

        replaces: the op is one that dlcc has, and this converter is to be used instead.
        outputs: the names of the op's outputs, in their order, of an op that TensorFlow itself does
        not have: functions of a SavedModel tell them by name."""

        def register(convert: Converter) -> Converter:
            for op in self._own(names, replaces, outputs):
                if op.convert is not None:
                    raise UsageError(f"{self}: {op.name} has two converters")
                op.convert = convert
            return convert

        return register

    def shape(
        self, *names: str, replaces: bool = False, outputs: Sequence[str] = ()
    ) -> Callable[[Shape], Shape]:
        """Register a shape rule: (node, inputs) -> the outputs, as `Tensor`.

        Needed where kernels are given as source and there is no converter; where there is one, it
        is held against the rule.   replaces, outputs: as of `op`; without a converter dlcc's own
        stays in use for targets without a kernel."""

        def register(shape: Shape) -> Shape:
            for op in self._own(names, replaces, outputs):
                if op.shape is not None:
                    raise UsageError(f"{self}: {op.name} has two shape rules")
                op.shape = shape
            return shape

        return register

    def kernel(
        self,
        op: str,
        *,
        target: str,
        source: str | Path,
        function: str | None = None,
        scalars: Scalars | None = None,
        grid: GridRule | None = None,
        parts: PartsRule | None = None,
    ) -> None:
        """Add a kernel in C (.c; for host, arm, hexagon) or in OpenCL C (.cl; for opencl).

        target: kinds, joined by commas.   source: its file.   function: in it; default: the name of
        the file.   It takes a pointer for each input, one for each output, and `scalars`: ints as
        int64_t or long, floats as float; default: the elements of the first output.
        grid: of OpenCL C; default: a work-item for each element of the first output.
        parts: of C: how many parts threads may share out; the function then takes two more int32_t,
        the first part to compute and the one behind the last."""
        path = self.file.parent / source
        targets = self._targets(op, target)
        language = LANGUAGES.get(path.suffix)
        wrong = [t for t in targets if (t in IN_C) != (language == "C")]
        if language is None or wrong:
            raise UsageError(
                f"{self}: {path.name} is no kernel of {op} for {', '.join(wrong or targets)}",
                hint="sources are .c for host, arm and hexagon, and .cl for opencl",
            )
        name = path.stem if function is None else function
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise UsageError(
                f"{self}: {name!r} is no name of a function", hint="name it with function=…"
            )
        if (grid if language == "C" else parts) is not None:
            raise UsageError(
                f"{self}: {path.name} is {language}, which has no {'grid' if grid else 'parts'}",
                hint="grid is of OpenCL C, parts of C",
            )
        self._add(op, Kernel(targets, path, self._text(path), name, scalars, grid, parts))

    def schedule(self, op: str, *, target: str, rule: ScheduleRule) -> None:
        """Add a schedule of the one kernel that the op's converter makes.

        target: kinds, joined by commas.   rule: takes a `tvm.s_tir.Schedule`, and changes it."""
        self._add(op, Kernel(self._targets(op, target), rule=rule))

    def hashes(self, op_names: Sequence[str]) -> dict[str, str]:
        """File name -> SHA-256 of the Python file and of the sources of ops."""
        kernels = [k for name in op_names for k in self.ops[name].kernels]
        found = {self.file.name: self.file.read_bytes()} if self.file.is_file() else {}
        found |= {k.path.name: k.text.encode() for k in kernels if k.path is not None}
        return {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}

    def require_whole(self) -> None:
        """Raise UsageError for an op that is not told enough of."""
        for op in self.ops.values():
            if op.convert is None and op.shape is None:
                raise UsageError(
                    f"{self}: {op.name} has kernels, but neither a shape rule nor a converter",
                    hint=f'add @OPS.shape("{op.name}"), which tells the shapes of its outputs',
                )
            if op.convert is None and not op.kernels and not op.replaces:
                raise UsageError(
                    f"{self}: {op.name} has a shape rule, but neither a converter nor a kernel",
                    hint=f'add @OPS.op("{op.name}") or OPS.kernel("{op.name}", …)',
                )

    def _own(
        self, names: Sequence[str], replaces: bool = False, outputs: Sequence[str] = ()
    ) -> list[Op]:
        if not names or not all(names):
            raise UsageError(f"{self}: an op without a name")
        found = [self.ops.setdefault(name, Op(name)) for name in names]
        for op in found:
            op.replaces = op.replaces or replaces
            op.outputs = tuple(outputs) or op.outputs
        return found

    def _add(self, name: str, kernel: Kernel) -> None:
        (op,) = self._own([name])
        for target in kernel.targets:
            if any(target in other.targets for other in op.kernels):
                raise UsageError(f"{self}: {name} has two kernels for {target}")
        op.kernels.append(kernel)

    def _targets(self, op: str, target: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(t.strip() for t in target.split(",") if t.strip()))
        unknown = [t for t in names if t not in KINDS]
        if unknown or not names:
            odd = ", ".join(unknown) or repr(target)
            raise UsageError(
                f"{self}: a kernel of {op} is for {odd}, which is no kind of target",
                hint=did_you_mean(odd, KINDS) or f"kinds: {', '.join(KINDS)}",
            )
        return names

    def _text(self, path: Path) -> str:
        try:
            if path.stat().st_size > LARGEST_SOURCE_BYTES:
                raise UsageError(f"{self}: {path} is larger than a source can be")
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
            raise UsageError(
                f"{self}: cannot read the kernel {path}: {why}",
                hint=f"paths of sources start in the folder of {self.file.name}",
            ) from error


def recorded(ops: Mapping[str, Sequence[str]], sets: Sequence[UserOps]) -> dict[str, str]:
    """What a container records of the sets that a model uses. ops: name of a set -> ops of it.

    `ops.NAME`: version, ops, and the SHA-256 of each file."""
    return {
        f"ops.{own.name}": "; ".join(
            [
                f"version {own.version}",
                ", ".join(sorted(ops[own.name])),
                *(f"{n} sha256 {h}" for n, h in own.hashes(sorted(ops[own.name])).items()),
            ]
        )
        for own in sets
        if ops.get(own.name)
    }
