"""Optimised Relax module -> one program for the DSP."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import tvm
from tvm.ir import IRModule

from dlcc.targets.aot import build as aot
from dlcc.targets.aot.blob import blob
from dlcc.targets.aot.build import Made
from dlcc.targets.aot.clang import compile_c, compile_once
from dlcc.targets.aot.driver import HEADERS, PARAMETERS, RUNTIME, driver, runtime_source
from dlcc.targets.aot.macs import note_macs
from dlcc.targets.aot.program import aligned
from dlcc.targets.aot.sort import sort_on_own
from dlcc.targets.artifact import Artifact
from dlcc.targets.chips import Chip
from dlcc.targets.cpu.fuse import fuse
from dlcc.targets.cpu.sources import kernels_of
from dlcc.targets.errors import ToolchainError
from dlcc.targets.hexagon.legalize import legalize
from dlcc.targets.hexagon.prepare import prepare
from dlcc.targets.hexagon.profile import choice, profile, tvm_target, vectors_of_floats
from dlcc.targets.hexagon.schedule import schedule
from dlcc.targets.kernels import KERNELS, kernel_table
from dlcc.targets.link import link_program
from dlcc.targets.steps import step
from dlcc.targets.tuned import UNTUNED, Tuned
from dlcc.targets.user import c as users
from dlcc.targets.user.choose import chosen

log = logging.getLogger("dlcc")

TRIPLE = "hexagon-freestanding-none"
HELPERS = ("integers.c", "doubles.c")  # what LLVM calls on Hexagon
COMMENT = (
    "A model as a library: make, then link libmodel.a and include dlcc_aot.h. The runtime in it "
    "gives way\n# to a C library that is linked before it. With the Hexagon SDK: "
    "make CC=hexagon-clang AR=hexagon-ar"
)


def build(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> Artifact:
    """One static program of kernels, driver, runtime, parameters and the emulator's main loop.

    mod: Relax module; `main` takes tensors of known shape and returns a tuple of tensors.
    Returns an artifact of `model.elf`, of `model.json`, which tells what is in it, and of
    `kernels.json`, which names the workloads that tuning knows its kernels by. Raises
    ToolchainError, naming the node, for what a program without TVM cannot do, and where a
    compiler or linker is missing or fails.
    """
    times_s: dict[str, float] = {}
    mod = chosen(mod, chip.kind)
    made, table = _compile(mod, chip, tuned, times_s)
    with step("link", times_s):
        elf = _linked(made)
    more = {"float_vectors": vectors_of_floats(mod, chip)}
    files = {"model.elf": elf, "model.json": aot.describe(made, chip.name, more), KERNELS: table}
    return Artifact(chip.kind, chip.name, files, (), times_s, "aot", made.mcpu)


def sources(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> dict[str, bytes]:
    """File name -> content of all that makes a library of the model, for `compile --emit c`."""
    made, _ = _compile(chosen(mod, chip.kind), chip, tuned, {})
    tools = aot.Tools(
        comment=COMMENT,
        compiler="clang --target=hexagon-unknown-none-elf",
        archiver="llvm-ar",
        flags=f"-std=c11 -O2 -mcpu={made.mcpu} -ffreestanding -fno-builtin -ffp-contract=off",
    )
    own = _own_sources(HELPERS) | users.sources(made.users)
    return aot.sources(made, _parameters(made), RUNTIME, own, tools)


def _compile(
    mod: IRModule, chip: Chip, tuned: Tuned, times_s: dict[str, float]
) -> tuple[Made, bytes]:
    """A planned model, and the table of its kernels."""
    mcpu = profile(mod, chip)
    log.info("%s: %s", chip.name, choice(mod, chip))
    target = tvm_target(mcpu)
    with step("schedule", times_s):
        legal = note_macs(_legal(mod, chip, target, tuned))
        table = kernel_table(legal)  # before schedules change the loops that it counts
        mod = schedule(legal, _as_built(chip, target), tuned)
    return aot.make(mod, target, prepare, times_s), table


def scheduled(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> str:
    """The module with scheduled kernels as TVM script, for `compile --emit tir`."""
    mod = chosen(mod, chip.kind)
    return str(_scheduled(mod, chip, tvm_target(profile(mod, chip)), tuned).script())


def kernels(mod: IRModule, chip: Chip) -> dict[str, list[str]]:
    """Kernel -> the variables of `main` that it computes, for `check --why`."""
    mod = chosen(mod, chip.kind)
    return kernels_of(_scheduled(mod, chip, tvm_target(profile(mod, chip))))


def assembly(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> str:
    """The kernels as assembly text, for `compile --emit asm`."""
    mod = chosen(mod, chip.kind)
    target = tvm_target(profile(mod, chip))
    return aot.assembly(_scheduled(mod, chip, target, tuned), target, prepare)


def _scheduled(
    mod: IRModule, chip: Chip, target: tvm.target.Target, tuned: Tuned = UNTUNED
) -> IRModule:
    legal = note_macs(_legal(mod, chip, target, tuned))
    return schedule(legal, _as_built(chip, target), tuned)


def _legal(mod: IRModule, chip: Chip, target: tvm.target.Target, tuned: Tuned) -> IRModule:
    """Calls of kernels, not scheduled yet."""
    return fuse(legalize(sort_on_own(mod, target), _as_built(chip, target), target, tuned), target)


def unscheduled(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> IRModule:
    """Calls of kernels as schedules get them, for a search of schedules."""
    mod = chosen(mod, chip.kind)
    return _legal(mod, chip, tvm_target(profile(mod, chip)), tuned)


def _as_built(chip: Chip, target: tvm.target.Target) -> Chip:
    """Schedules ask the chip what it can do: what counts is the processor that code is for."""
    return replace(chip, tvm={**chip.tvm, "mcpu": str(target.attrs["mcpu"])})


def _linked(made: Made) -> bytes:
    with tempfile.TemporaryDirectory(prefix="dlcc-build-") as name:
        folder = Path(name)
        objects = [folder / "parameters.o"]
        objects[0].write_bytes(_parameters(made))
        if made.code:
            objects.append(folder / "kernels.o")
            objects[1].write_bytes(made.code)
        objects += users.compile_kernels(made.users, TRIPLE, made.mcpu, folder, hosted=False)
        objects += _compiled(made, folder)
        try:
            return link_program(objects, "hexagon", ["_start"])
        except ToolchainError as error:
            if lacking := users.missing_functions(made.users, error.what):
                raise lacking from error
            hint = (
                "float32 has all of mathematics there, float64 only the most common: cast it in "
                "the model, or compile for host or arm with the runtime tvm"
            )
            where = "programs for the DSP"
            raise (aot.missing(made.program, error.what, where, hint) or error) from error


def _parameters(made: Made) -> bytes:
    e_flags = int(made.mcpu.removeprefix("hexagonv"), 16)  # of v66: 0x66
    return blob(made.program.parameters, PARAMETERS, "hexagon", e_flags)


def _compiled(made: Made, folder: Path) -> list[Path]:
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
