"""Optimised Relax module -> libraries with a C API for a CPU, which need a C library and no TVM."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import tvm
from tvm.ir import IRModule

from dlcc.targets.aot import build as aot
from dlcc.targets.aot.blob import blob
from dlcc.targets.aot.build import Made
from dlcc.targets.aot.clang import HOSTED_FLAGS, archive, compile_c, compile_once, link_shared
from dlcc.targets.aot.driver import (
    API,
    HEADERS,
    HOSTED_RUNTIME,
    PARAMETERS,
    driver,
    runtime_source,
)
from dlcc.targets.aot.macs import note_macs
from dlcc.targets.aot.sort import sort_on_own
from dlcc.targets.artifact import Artifact
from dlcc.targets.chips import Chip
from dlcc.targets.cpu import codegen
from dlcc.targets.cpu.build import machine
from dlcc.targets.cpu.fuse import fuse
from dlcc.targets.cpu.legalize import legalize
from dlcc.targets.cpu.schedule import schedule
from dlcc.targets.cpu.stack import tiles_on_stack
from dlcc.targets.errors import ToolchainError
from dlcc.targets.kernels import KERNELS, kernel_table
from dlcc.targets.link import without_debug
from dlcc.targets.scalable import without_sve
from dlcc.targets.steps import step
from dlcc.targets.tuned import UNTUNED, Tuned
from dlcc.targets.user import c as users
from dlcc.targets.user.choose import chosen

GLIBC = "2.28"  # the oldest that the shared library loads with: Debian 10, RHEL 8
COMMENT = (
    "A model as a library: make, then link libmodel.a with -lm -lpthread and include dlcc_aot.h.\n"
    "# For a phone: make CC='…/ndk/…/clang --target=aarch64-linux-android28' AR=…/llvm-ar"
)


def build(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> Artifact:
    """A static and a shared library of kernels, driver, pool of threads, and parameters.

    mod: Relax module; `main` takes tensors of known shape and returns a tuple of tensors.
    Returns an artifact of `libmodel.a`, `libmodel.so`, `dlcc_aot.h`, of `model.json`, which tells
    what is in it, and of `kernels.json`, which names the workloads of its kernels. Raises
    ToolchainError, naming the node, for what a program without TVM cannot do, and where a compiler
    or linker is missing or fails.
    """
    times_s: dict[str, float] = {}
    made, target, table = _compile(mod, chip, tuned, times_s)
    with tempfile.TemporaryDirectory(prefix="dlcc-build-") as name, step("link", times_s):
        files = _libraries(made, machine(target), Path(name))
    files["dlcc_aot.h"] = runtime_source("dlcc_aot.h").encode()
    files |= {"model.json": aot.describe(made, chip.name), KERNELS: table}
    return Artifact(chip.kind, chip.name, files, (), times_s, "aot")


def sources(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> dict[str, bytes]:
    """File name -> content of all that makes a library of the model, for `compile --emit c`."""
    made, target, _ = _compile(mod, chip, tuned, {})
    tools = aot.Tools(
        comment=COMMENT,
        compiler=f"clang --target={target.attrs['mtriple']}",
        archiver="llvm-ar",
        flags="-std=c11 -O2 -fPIC -ffp-contract=off",
    )
    parameters = blob(made.program.parameters, PARAMETERS, machine(target))
    return aot.sources(made, parameters, HOSTED_RUNTIME, users.sources(made.users), tools)


def scheduled(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> str:
    """The module with scheduled kernels as TVM script, for `compile --emit tir`."""
    chip = without_sve(chip)
    target = codegen.tvm_target(dict(chip.tvm))
    return str(schedule(_legal(mod, chip, target, tuned), chip, tuned).script())


def assembly(mod: IRModule, chip: Chip, tuned: Tuned = UNTUNED) -> str:
    """The kernels as assembly text, for `compile --emit asm`."""
    chip = without_sve(chip)
    target = codegen.tvm_target(dict(chip.tvm))
    made = schedule(_legal(mod, chip, target, tuned), chip, tuned)
    return aot.assembly(made, target, tiles_on_stack)


def _legal(mod: IRModule, chip: Chip, target: tvm.target.Target, tuned: Tuned) -> IRModule:
    """Calls of kernels, not scheduled yet."""
    mod = sort_on_own(chosen(mod, chip.kind), target)
    legal = legalize(mod, chip, target, tuned)
    return note_macs(fuse(legal, target))


def _compile(
    mod: IRModule, chip: Chip, tuned: Tuned, times_s: dict[str, float]
) -> tuple[Made, tvm.target.Target, bytes]:
    """A planned model, what its code is for, and the table of its kernels."""
    chip = without_sve(chip)
    target = codegen.tvm_target(dict(chip.tvm))
    with step("schedule", times_s):
        legal = _legal(mod, chip, target, tuned)
        table = kernel_table(legal)  # before schedules change the loops that it counts
        mod = schedule(legal, chip, tuned)
    made = aot.make(mod, target, tiles_on_stack, times_s)
    code = without_debug(made.code, machine(target)) if made.code else b""
    return replace(made, code=code), target, table


def _libraries(made: Made, arch: str, folder: Path) -> dict[str, bytes]:
    """`libmodel.a` and `libmodel.so`, both of the same objects."""
    triple = f"{arch}-linux-gnu.{GLIBC}"
    objects = [folder / "parameters.o"]
    objects[0].write_bytes(blob(made.program.parameters, PARAMETERS, arch))
    if made.code:
        objects.append(folder / "kernels.o")
        objects[1].write_bytes(made.code)
    runtime = {name: runtime_source(name) for name in (*HEADERS, *HOSTED_RUNTIME)}
    objects += users.compile_kernels(made.users, triple, made.mcpu, folder)
    objects += compile_c(driver(made.program), triple, (), folder, HOSTED_FLAGS)
    objects += compile_once(runtime, triple, (), HOSTED_FLAGS)
    try:
        shared = link_shared(objects, triple, API, folder)
    except ToolchainError as error:
        hint = "compile for host or arm with the runtime tvm, or cut the graph with `--output`"
        where = f"the C libraries of {triple}"
        raise (aot.missing(made.program, error.what, where, hint) or error) from error
    return {"libmodel.a": archive(objects, folder), "libmodel.so": shared}
