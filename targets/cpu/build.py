"""Optimised Relax module -> artifact, for every CPU: the steps in their order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import tvm
from tvm.ir import IRModule

from dlcc.targets.artifact import Artifact
from dlcc.targets.chips import Chip
from dlcc.targets.cpu import codegen
from dlcc.targets.cpu.arguments import own_arguments
from dlcc.targets.cpu.fuse import fuse
from dlcc.targets.cpu.legalize import legalize
from dlcc.targets.cpu.results import own_results
from dlcc.targets.cpu.schedule import schedule
from dlcc.targets.cpu.sources import kernels_of
from dlcc.targets.cpu.weights import lift_weights
from dlcc.targets.in_place import write_in_place
from dlcc.targets.kernels import KERNELS, kernel_table
from dlcc.targets.link import link
from dlcc.targets.scalable import processor_of
from dlcc.targets.steps import step
from dlcc.targets.storage import MEMORY, memory_table
from dlcc.targets.tuned import UNTUNED, Tuned
from dlcc.targets.user.c import compile_kernels, triple_of
from dlcc.targets.user.choose import chosen
from dlcc.targets.user.kernel import sources_of

REFUSALS = (tvm.error.InternalError, ValueError)


def build(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> Artifact:
    """Code for a CPU.

    mod: Relax module; `main` takes tensors and returns a tuple of tensors; dimensions may be
        symbolic.   tuned: choices of tuning.
    Returns an artifact with `module.so`, whose `main` takes the model's inputs and then the
    weights, and with the tables of its kernels and of its memory.
    Raises ToolchainError if there is no linker or if it fails.
    """
    times_s: dict[str, float] = {}
    target = codegen.tvm_target(dict(chip.tvm))
    with step("legalize", times_s, REFUSALS):
        mod = legalize(chosen(mod, chip.kind), chip, target, tuned)
    with step("fuse", times_s, REFUSALS):
        mod = fuse(mod, target, joins=True)
        mod, weights = lift_weights(mod)
        mod = own_arguments(
            own_results(mod)
        )  # after weights became parameters: they may be results too
        mod = write_in_place(mod)  # last: nothing may move a read behind a write
    with step("schedule", times_s, REFUSALS):
        table = kernel_table(mod)
        mod = schedule(mod, chip, tuned)
    with tempfile.TemporaryDirectory(prefix="dlcc-build-") as folder:
        with step("codegen", times_s, REFUSALS):
            lowered = codegen.lower(mod, target)
            executable = codegen.compile_lowered(lowered, target)
            objects = codegen.write_objects(executable, target, Path(folder))
            objects += users_objects(mod, target, Path(folder))
        with step("link", times_s, REFUSALS):
            code = link(objects, machine(target))
    files = {"module.so": code, KERNELS: table, MEMORY: memory_table(lowered)}
    return Artifact(chip.kind, chip.name, files, weights, times_s, processor=processor_of(chip))


def scheduled(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> str:
    """The module with scheduled kernels as TVM script, for `compile --emit tir`."""
    return str(_scheduled(mod, chip, tuned).script())


def kernels(mod: IRModule, chip: Chip) -> dict[str, list[str]]:
    """Kernel -> the variables of `main` that it computes, for `check --why`."""
    return kernels_of(_scheduled(mod, chip))


def assembly(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> str:
    """The kernels as assembly text, for `compile --emit asm`."""
    target = codegen.tvm_target(dict(chip.tvm))
    lowered = codegen.lower(_scheduled(mod, chip, tuned), target)
    return codegen.assembly(codegen.compile_lowered(lowered, target))


def unscheduled(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> IRModule:
    """Calls of kernels as schedules get them, for a search of schedules."""
    target = codegen.tvm_target(dict(chip.tvm))
    legal = legalize(chosen(mod, chip.kind), chip, target, tuned)
    mod, _ = lift_weights(fuse(legal, target, joins=True))
    return write_in_place(own_arguments(own_results(mod)))


def _scheduled(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> IRModule:
    return schedule(unscheduled(mod, chip, tuned), chip, tuned)


def users_objects(mod: IRModule, target: tvm.target.Target, folder: Path) -> list[Path]:
    """The object files of the kernels in C that users gave; raises ToolchainError."""
    triple, mcpu = triple_of(machine(target)), str(target.attrs.get("mcpu", ""))
    kernels = [kernel for kernel in sources_of(mod) if kernel.is_c]
    return compile_kernels(kernels, triple, mcpu, folder)


def machine(target: tvm.target.Target) -> str:
    """ELF machine of a target: the first part of its triple ("x86_64" or "aarch64")."""
    return str(target.attrs["mtriple"]).split("-", maxsplit=1)[0]
