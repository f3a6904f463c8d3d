"""Optimised Relax module -> one program for the DSP."""

from __future__ import annotations

import json
import logging
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import tvm
from tvm.ir import IRModule

from dlcc.targets.aot import plan, unpacked
from dlcc.targets.aot.blob import blob
from dlcc.targets.aot.clang import compile_c, compile_once
from dlcc.targets.aot.driver import HEADERS, PARAMETERS, RUNTIME, driver, runtime_source
from dlcc.targets.aot.macs import note_macs
from dlcc.targets.aot.program import Program, Tensor, aligned
from dlcc.targets.artifact import Artifact
from dlcc.targets.chips import Chip
from dlcc.targets.cpu.fuse import fuse
from dlcc.targets.cpu.sources import kernels_of
from dlcc.targets.errors import ToolchainError
from dlcc.targets.hexagon.legalize import legalize
from dlcc.targets.hexagon.prepare import prepare
from dlcc.targets.hexagon.profile import choice, profile, tvm_target, vectors_of_floats
from dlcc.targets.hexagon.schedule import schedule
from dlcc.targets.link import link_program

log = logging.getLogger("dlcc")

FORMAT = 1
TRIPLE = "hexagon-freestanding-none"
HELPERS = ("integers.c", "doubles.c")  # what LLVM calls on Hexagon
MAKEFILE = """\
# A model as a library: make, then link libmodel.a and include dlcc_aot.h. With the Hexagon SDK:
# make CC=hexagon-clang AR=hexagon-ar
CC = clang --target=hexagon-unknown-none-elf
AR = llvm-ar
CFLAGS = -std=c11 -O2 -mcpu={mcpu} -ffreestanding -fno-builtin -ffp-contract=off

libmodel.a: {units} {objects}
\t$(AR) rcs $@ $^

clean:
\trm -f libmodel.a {units}
"""


def build(mod: IRModule, chip: Chip) -> Artifact:
    """One static program of kernels, driver, runtime, parameters and the emulator's main loop.

    mod: Relax module; `main` takes tensors of known shape and returns a tuple of tensors.
    Returns an artifact of `model.elf` and `model.json`, which tells what is in it. Raises
    ToolchainError, naming the node, for what a program without TVM cannot do, and where a
    compiler or linker is missing or fails.
    """
    times_s: dict[str, float] = {}
    made = _compile(mod, chip, times_s)
    with _step("link", times_s):
        elf = _linked(made)
    described = json.dumps(describe(made, chip), indent=1).encode()
    return Artifact(chip.kind, chip.name, {"model.elf": elf, "model.json": described}, (), times_s)


def sources(mod: IRModule, chip: Chip) -> dict[str, bytes]:
    """File name -> content of all that makes a library of the model, for `compile --emit c`:
    the driver and runtime in C, kernels and parameters as objects, and a Makefile."""
    made = _compile(mod, chip, {})
    code = {**driver(made.program), **{name: runtime_source(name) for name in RUNTIME}}
    code |= _own_sources(HELPERS)
    files = {name: text.encode() for name, text in code.items()}
    files["parameters.o"] = _parameters(made)
    if made.code:
        files["kernels.o"] = made.code
    files["Makefile"] = makefile(sorted(code), sorted(n for n in files if n.endswith(".o")), made)
    return files


@dataclass(frozen=True, slots=True)
class _Made:
    """A planned model and the object file of its kernels, for the processor `mcpu`.

    float_vectors: whether they compute with floats in HVX."""

    program: Program
    code: bytes
    mcpu: str
    float_vectors: bool


def _compile(mod: IRModule, chip: Chip, times_s: dict[str, float]) -> _Made:
    mcpu = profile(mod, chip)
    log.info("%s: %s", chip.name, choice(mod, chip))
    floats = vectors_of_floats(mod, chip)
    target = tvm_target(mcpu)
    with _step("schedule", times_s):
        mod = _scheduled(mod, chip, target)
    with _step("plan", times_s):
        mod = plan.lower(mod, target)
        plan.require_static(mod)
        kernels = unpacked.lower(mod, target, prepare)
        program = plan.plan(mod, unpacked.scratch_bytes(kernels))
    with _step("codegen", times_s):
        return _Made(program, unpacked.object_file(kernels, target), mcpu, floats)


def scheduled(mod: IRModule, chip: Chip) -> str:
    """The module with scheduled kernels as TVM script, for `compile --emit tir`."""
    return str(_scheduled(mod, chip, tvm_target(profile(mod, chip))).script())


def kernels(mod: IRModule, chip: Chip) -> dict[str, list[str]]:
    """Kernel -> the variables of `main` that it computes, for `check --why`."""
    return kernels_of(_scheduled(mod, chip, tvm_target(profile(mod, chip))))


def assembly(mod: IRModule, chip: Chip) -> str:
    """The kernels as assembly text, for `compile --emit asm`."""
    target = tvm_target(profile(mod, chip))
    lowered = plan.lower(_scheduled(mod, chip, target), target)
    return str(
        unpacked.code_of(unpacked.lower(lowered, target, prepare), target).inspect_source("asm")
    )


def describe(made: _Made, chip: Chip) -> dict[str, object]:
    """What `model.json` says: enough to feed the program and to name what it counts."""
    program = made.program
    return {
        "format": FORMAT,
        "chip": chip.name,
        "profile": made.mcpu,
        "float_vectors": made.float_vectors,
        "arena_bytes": program.arena_bytes,
        "parameter_bytes": len(program.parameters),
        "inputs": [_row(t) for t in program.inputs],
        "outputs": [_row(t) for t in program.outputs],
        "kernels": [
            {"name": c.kernel, "sources": list(c.sources), "macs": c.macs} for c in program.calls
        ],
    }


def _row(tensor: Tensor) -> dict[str, object]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "bytes": tensor.size_bytes,
    }


def _scheduled(mod: IRModule, chip: Chip, target: tvm.target.Target) -> IRModule:
    # schedules ask the chip what it can do: what counts is the processor that code is made for
    as_built = replace(chip, tvm={**chip.tvm, "mcpu": str(target.attrs["mcpu"])})
    return schedule(note_macs(fuse(legalize(mod, as_built, target), target)), as_built)


def makefile(code: Sequence[str], objects: Sequence[str], made: _Made) -> bytes:
    """Makes `libmodel.a`; the runtime in it gives way to a C library that is linked before it."""
    return MAKEFILE.format(
        mcpu=made.mcpu,
        units=" ".join(name.replace(".c", ".o") for name in code if name.endswith(".c")),
        objects=" ".join(objects),
    ).encode()


def _linked(made: _Made) -> bytes:
    with tempfile.TemporaryDirectory(prefix="dlcc-build-") as name:
        folder = Path(name)
        objects = [folder / "parameters.o"]
        objects[0].write_bytes(_parameters(made))
        if made.code:
            objects.append(folder / "kernels.o")
            objects[1].write_bytes(made.code)
        objects += _compiled(made, folder)
        try:
            return link_program(objects, "hexagon", ["_start"])
        except ToolchainError as error:
            raise (_missing(made.program, error.what) or error) from error


def _parameters(made: _Made) -> bytes:
    e_flags = int(made.mcpu.removeprefix("hexagonv"), 16)  # of v66: 0x66
    return blob(made.program.parameters, PARAMETERS, "hexagon", e_flags)


def _missing(program: Program, said: str) -> ToolchainError | None:
    """The error for a C function that a kernel calls and the runtime lacks, if that is what the
    linker said."""
    functions = dict.fromkeys(re.findall(r"undefined symbol: (\w+)", said))
    if not functions:
        return None
    callers = set(re.findall(rf"\({unpacked.PREFIX}(\w+)\)", said))
    nodes = dict.fromkeys(s for c in program.calls if c.kernel in callers for s in c.sources)
    return ToolchainError(
        f"{', '.join(nodes) or 'the model'}: it needs the C function {', '.join(functions)}, which "
        "programs for the DSP do not have",
        hint="float32 has all of mathematics there, float64 only the most common: cast it in the "
        "model, or compile for host or arm",
    )


def _compiled(made: _Made, folder: Path) -> list[Path]:
    """The driver and the main loop, made for this model, and the runtime, made once."""
    tensors = [*made.program.inputs, *made.program.outputs]
    size = max(1, sum(aligned(t.size_bytes) for t in tensors))
    flags = [f"-mcpu={made.mcpu}", "-DDLCC_COUNT_EMULATED"]
    flags += [f"-DDLCC_IO_BYTES={size}u", f"-DDLCC_IO_COUNT={max(1, len(tensors))}"]
    own = {**driver(made.program), **_own_sources(("serve.c", "system.h"))}
    shared = {n: runtime_source(n) for n in (*HEADERS, *RUNTIME)}
    shared |= _own_sources(("start.c", "system.h", *HELPERS))
    return [
        *compile_c(own, TRIPLE, flags, folder),
        *compile_once(shared, TRIPLE, [f"-mcpu={made.mcpu}"]),
    ]


def _own_sources(names: Sequence[str]) -> dict[str, str]:
    files = resources.files("dlcc.targets.hexagon.runtime")
    return {name: files.joinpath(name).read_text("utf-8") for name in names}


@contextmanager
def _step(name: str, times_s: dict[str, float]) -> Iterator[None]:
    start_s = time.perf_counter()
    try:
        yield
    except tvm.error.InternalError as error:
        lines = str(error).strip().splitlines() or ["no reason given"]
        raise ToolchainError(
            f"TVM cannot {name} the model: {lines[-1]}",
            hint="an operator may be used with a dtype that it does not have; "
            "`--output` cuts the graph before it",
        ) from error
    times_s[name] = time.perf_counter() - start_s
    log.debug("%s: %.0f ms", name, times_s[name] * 1e3)
