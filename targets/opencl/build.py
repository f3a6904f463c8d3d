"""Optimised Relax module -> one module for a GPU and the CPU beside it."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tvm
from tvm import relax, tirx
from tvm.ir import IRModule

from dlcc.targets.artifact import HALF, PLACEMENT, Artifact
from dlcc.targets.chips import Chip
from dlcc.targets.cpu import codegen
from dlcc.targets.cpu import schedule as cpu_schedule
from dlcc.targets.cpu.arguments import own_arguments
from dlcc.targets.cpu.build import REFUSALS, machine, users_objects
from dlcc.targets.cpu.fuse import fuse
from dlcc.targets.cpu.legalize import legalize
from dlcc.targets.cpu.outline import outline_branches
from dlcc.targets.cpu.results import own_results
from dlcc.targets.cpu.shipped import require_shipped
from dlcc.targets.cpu.sources import kernels_of
from dlcc.targets.cpu.tiles import Cpu
from dlcc.targets.cpu.weights import lift_weights
from dlcc.targets.in_place import write_in_place
from dlcc.targets.kernels import KERNELS, kernel_table
from dlcc.targets.link import link
from dlcc.targets.opencl.engine import Engine
from dlcc.targets.opencl.extremes import compare_extremes
from dlcc.targets.opencl.functions import opencl_functions
from dlcc.targets.opencl.half import halve
from dlcc.targets.opencl.half_error import half_error
from dlcc.targets.opencl.lower import lower
from dlcc.targets.opencl.place import Placed, Where, place
from dlcc.targets.opencl.schedule import schedule_kernel
from dlcc.targets.opencl.suitable import why_not
from dlcc.targets.opencl.target import host_of, host_target, tvm_target
from dlcc.targets.steps import step
from dlcc.targets.storage import MEMORY, memory_table
from dlcc.targets.tuned import UNTUNED, Tuned
from dlcc.targets.user.choose import chosen
from dlcc.targets.user.kernel import sources_of, user_kernel, user_kernels
from dlcc.targets.user.opencl import check, require_group, sources_in_place

log = logging.getLogger("dlcc")


@dataclass(frozen=True, slots=True)
class Grouped:
    """Calls of kernels without schedules. half_error: as of `Scheduled`."""

    module: IRModule
    weights: Sequence[np.ndarray]
    half_error: float | None = None


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Kernels with their schedules. table: what each computes. engines: where each runs.
    reasons: of those on the CPU.
    half_error: of half precision, over the largest output; None where it was not computed."""

    placed: Placed
    table: bytes
    engines: dict[str, Where]
    reasons: dict[str, str]
    half_error: float | None = None


def build(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> Artifact:
    """Code for a GPU and the CPU beside it.

    mod: Relax module; `main` takes tensors and returns a tuple of tensors; dimensions may be
        symbolic.   tuned: choices of tuning.
    Returns an artifact of `module.so`, code of the CPU with the GPU's kernels as OpenCL C inside,
    `placement.json`: which weights lie on the GPU, and where each kernel runs and why, and tables
    of its kernels and of its memory.
    Raises ToolchainError if there is no linker or if it fails.
    """
    times_s: dict[str, float] = {}
    target = tvm_target(chip)
    with step("schedule", times_s, REFUSALS):
        done = _scheduled(mod, chip, tuned)
    with tempfile.TemporaryDirectory(prefix="dlcc-build-") as folder:
        with step("codegen", times_s, REFUSALS):
            lowered = lower(done.placed.module, target, done.engines)
            executable = _compiled(lowered, target)
            objects = codegen.write_objects(executable, host_target(chip), Path(folder))
            objects += users_objects(done.placed.module, host_target(chip), Path(folder))
        with step("link", times_s, REFUSALS):
            code = link(objects, machine(host_target(chip)))
    files = {"module.so": code, PLACEMENT: _placement(done), KERNELS: done.table}
    files[MEMORY] = memory_table(lowered)
    processor = HALF if _is_half(chip) else ""
    return Artifact(chip.kind, chip.name, files, done.placed.weights, times_s, processor=processor)


def scheduled(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> str:
    """The module with scheduled kernels as TVM script, for `compile --emit tir`."""
    return str(_scheduled(mod, chip, tuned).placed.module.script())


def kernels(mod: IRModule, chip: Chip) -> dict[str, list[str]]:
    """Kernel -> the variables of `main` that it computes, for `check --why`; with the reason where
    the CPU runs it."""
    done = _scheduled(mod, chip)
    return {
        f"{name}, on the CPU ({done.reasons[name]})" if name in done.reasons else name: variables
        for name, variables in kernels_of(done.placed.module).items()
    }


def assembly(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> str:
    """The kernels in OpenCL C, and those of the CPU as assembly text, for `compile --emit asm`."""
    done, target = _scheduled(mod, chip, tuned), tvm_target(chip)
    executable = _compiled(lower(done.placed.module, target, done.engines), target)
    sources = [m.inspect_source() for m in executable.mod._collect_from_import_tree(_is_opencl)]
    return "\n".join([*sources, codegen.assembly(executable)])


def _is_opencl(module: tvm.runtime.Module) -> bool:
    return str(module.kind) == "opencl"


def unscheduled(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> IRModule:
    """Calls of kernels as schedules get them, for a search of schedules."""
    return _grouped(mod, chip, tuned).module


def _scheduled(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> Scheduled:
    grouped = _grouped(mod, chip, tuned)
    table = kernel_table(grouped.module)  # before schedules change the loops that it counts
    out, engines, reasons = _kernels(grouped.module, chip, tuned)
    placed = place(out, grouped.weights, engines)
    return Scheduled(placed, table, engines, reasons, grouped.half_error)


def _grouped(mod: IRModule, chip: Chip, tuned: Tuned) -> Grouped:
    host = host_target(chip)
    beside = "arm" if machine(host) == "aarch64" else "host"
    mod = chosen(mod, chip.kind, beside)
    mod, weights = lift_weights(fuse(legalize(mod, chip, host, tuned), host), least_bytes=1)
    mod = write_in_place(own_arguments(own_results(mod)))
    with host:
        mod = codegen.reshape_in_place(outline_branches(require_shipped(mod)))
        mod = relax.transform.DeadCodeElimination(["main"])(mod)  # kernels that are views by now
    if not _is_half(chip):
        return Grouped(mod, weights)
    half, half_weights = halve(mod, weights, _may_be_half)
    of_users = any(True for _ in user_kernels(mod))  # their kernels for a GPU run nowhere else
    error = None if of_users else half_error(mod, weights, half, half_weights)
    log.info("%s: %s", chip.name, _told(error))
    return Grouped(half, half_weights, error)


def _kernels(
    mod: IRModule, chip: Chip, tuned: Tuned
) -> tuple[IRModule, dict[str, Where], dict[str, str]]:
    """Every kernel with its schedule, where each runs, and why some run on the CPU."""
    out = mod.clone()
    engines: dict[str, Where] = {}
    reasons: dict[str, str] = {}
    for var in sorted(mod.get_global_vars(), key=lambda v: str(v.name_hint)):
        if isinstance(mod[var], tirx.PrimFunc):
            name = str(var.name_hint)
            out[var], reason = _kernel(mod[var], name, chip, tuned)
            engines[name] = "cpu" if reason else "gpu"
            reasons |= {name: reason} if reason else {}
    return out, engines, reasons


def _is_half(chip: Chip) -> bool:
    return chip.gpu is not None and chip.gpu.half


def _may_be_half(kernel: tirx.PrimFunc) -> bool:
    return user_kernel(kernel) is None and not why_not(kernel, fp16=True)


def _told(error: float | None) -> str:
    if error is None:
        return "half precision; its error is not known: shapes are, when it runs"
    return (
        f"half precision is off by {error:.1e} of the largest output, on random inputs "
        "(computed on this CPU)"
    )


def _kernel(
    kernel: tirx.PrimFunc, name: str, chip: Chip, tuned: Tuned
) -> tuple[tirx.PrimFunc, str]:
    """A kernel with its schedule, and why it runs on the CPU; "" on the GPU."""
    assert chip.gpu is not None
    given = user_kernel(kernel)
    if given is not None and chip.kind in given.targets:
        require_group(kernel, given, chip.name, chip.gpu.work_group)
        return kernel.with_attr("target", tvm_target(chip)), ""
    reason = (
        why_not(kernel, chip.gpu.fp16) if given is None else f"{given.op} has a form in C alone"
    )
    if not reason:
        made, verdict = schedule_kernel(kernel, name, Engine.of(chip), tuned)
        if verdict.rule:
            return compare_extremes(made).with_attr("target", tvm_target(chip)), ""
        reason = list(verdict.declined.values())[-1]
    log.debug("kernel %s runs on the CPU: %s", name, reason)
    made, _ = cpu_schedule.schedule_kernel(kernel, name, Cpu.of(host_of(chip)))
    return made.with_attr("target", host_target(chip)), reason


def _compiled(mod: IRModule, target: tvm.target.Target) -> relax.VMExecutable:
    users = [kernel for kernel in sources_of(mod) if not kernel.is_c]
    for kernel in users:
        check(kernel)
    with opencl_functions(), sources_in_place(users):
        return codegen.compile_lowered(mod, target)


def _placement(done: Scheduled) -> bytes:
    content = {
        "weights_on_gpu": done.placed.on_gpu,
        "kernels": done.engines,
        "reasons": done.reasons,
        "half_error": done.half_error,
    }
    return json.dumps(content, indent=1, sort_keys=True).encode()
