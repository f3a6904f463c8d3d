"""Scheduled kernels -> a program: what every kind of target does on this way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import tvm
from tvm.ir import IRModule

from dlcc.targets.aot import plan, unpacked
from dlcc.targets.aot.driver import driver, runtime_source
from dlcc.targets.aot.program import FORMAT, Program, Tensor
from dlcc.targets.errors import ToolchainError
from dlcc.targets.steps import step
from dlcc.targets.user.kernel import UserKernel, sources_of

MAKEFILE = """\
# {comment}
CC = {compiler}
AR = {archiver}
CFLAGS = {flags}

libmodel.a: {units} {objects}
\t$(AR) rcs $@ $^

clean:
\trm -f libmodel.a {units}
"""


@dataclass(frozen=True, slots=True)
class Made:
    """A planned model and the object file of its kernels, for the processor `mcpu`.

    users: the kernels in C that users gave, which are not in it."""

    program: Program
    code: bytes
    mcpu: str
    users: tuple[UserKernel, ...] = ()


@dataclass(frozen=True, slots=True)
class Tools:
    """What a Makefile says of a target: C compiler, archiver, the compiler's options."""

    comment: str
    compiler: str
    archiver: str
    flags: str


Prepare = Callable[[IRModule], IRModule]


def make(
    mod: IRModule, target: tvm.target.Target, prepare: Prepare | None, times_s: dict[str, float]
) -> Made:
    """Plan a module of scheduled kernels, and generate their code.

    prepare: as of `unpacked.lower`.   times_s: takes the seconds of each step.
    Raises ToolchainError, naming the node, for what a program without TVM cannot do."""
    users = sources_of(mod)
    with step("plan", times_s):
        mod = plan.lower(mod, target)
        plan.require_static(mod)
        kernels = unpacked.lower(mod, target, prepare)
        sizes = unpacked.scratch_bytes(kernels)
        program = plan.plan(mod, sizes, unpacked.task_bytes(kernels))
    with step("codegen", times_s):
        code = unpacked.object_file(kernels, target)
    return Made(program, code, str(target.attrs["mcpu"]), users)


def assembly(mod: IRModule, target: tvm.target.Target, prepare: Prepare | None) -> str:
    """Scheduled kernels as assembly text."""
    lowered = unpacked.lower(plan.lower(mod, target), target, prepare)
    return str(unpacked.code_of(lowered, target).inspect_source("asm"))


def describe(made: Made, chip: str, more: Mapping[str, object] | None = None) -> bytes:
    """`model.json`: enough to feed the program and to name what it counts.

    more: what a kind of target has to add."""
    program = made.program
    told = {
        "format": FORMAT,
        "chip": chip,
        "profile": made.mcpu,
        **(more or {}),
        "arena_bytes": program.arena_bytes,
        "parameter_bytes": len(program.parameters),
        "inputs": [_row(t) for t in program.inputs],
        "outputs": [_row(t) for t in program.outputs],
        "kernels": [
            {"name": c.kernel, "sources": list(c.sources), "macs": c.macs, "live_bytes": live}
            for c, live in zip(program.calls, program.live, strict=True)
        ],
    }
    return json.dumps(told, indent=1).encode()


def _row(tensor: Tensor) -> dict[str, object]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "bytes": tensor.size_bytes,
    }


def sources(
    made: Made, parameters: bytes, runtime: Sequence[str], own: Mapping[str, str], tools: Tools
) -> dict[str, bytes]:
    """File name -> content of all that makes a library of a model: the driver and runtime in C,
    kernels and parameters as objects, and a Makefile.

    parameters: their object file.   runtime: files of `targets/aot/runtime`.   own: further ones
    of the target."""
    code = {**driver(made.program), **{name: runtime_source(name) for name in runtime}, **own}
    files = {name: text.encode() for name, text in code.items()}
    files["parameters.o"] = parameters
    if made.code:
        files["kernels.o"] = made.code
    text = MAKEFILE.format(
        comment=tools.comment,
        compiler=tools.compiler,
        archiver=tools.archiver,
        flags=tools.flags,
        units=" ".join(name.replace(".c", ".o") for name in sorted(code) if name.endswith(".c")),
        objects=" ".join(sorted(name for name in files if name.endswith(".o"))),
    )
    return {**files, "Makefile": text.encode()}


def missing(program: Program, said: str, where: str, hint: str) -> ToolchainError | None:
    """The error for a C function that a kernel calls and that nothing has, if that is what the
    linker said.

    where: the programs that lack it, in words."""
    functions = dict.fromkeys(re.findall(r"undefined symbol: (\w+)", said))
    if not functions:
        return None
    callers = set(re.findall(rf"\({unpacked.PREFIX}(\w+)\)", said))
    nodes = dict.fromkeys(s for c in program.calls if c.kernel in callers for s in c.sources)
    return ToolchainError(
        f"{', '.join(nodes) or 'the model'}: it needs the C function {', '.join(functions)}, which "
        f"{where} do not have",
        hint=hint,
    )
