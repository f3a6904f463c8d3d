"""Kernels in OpenCL C that users give: checked without a device, and put before their launches.

TVM makes a kernel for each launch, which calls the user's function. The function's source has to
stand in the same program: a device compiles every kernel by itself.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import tvm_ffi
from tvm import tirx

from dlcc.targets.command import run_tool
from dlcc.targets.cpu.matmul import static
from dlcc.targets.errors import ToolchainError
from dlcc.targets.user.c import no_function
from dlcc.targets.user.kernel import UserKernel

log = logging.getLogger("dlcc")

TYPES = "opencl_types.h"
CALLBACK = "tvm_callback_opencl_postproc"  # what TVM hands the code of each kernel to
# what stands before a launch, and what is checked
UNIT = """\
/* From {file}: the op {op} of {by}. */
#define {function} {symbol}
{text}
#undef {function}
"""
CHECKED = """\
#line 1 "dlcc, which calls it"
{prototype}
#line 1 "{file}"
{text}
"""
FLAGS = (
    "-x", "cl", "-cl-std=CL1.2", "-cl-no-stdinc", "-Xclang", "-fdeclare-opencl-builtins",
    "-ferror-limit=3", "-Wno-unused", "-S", "-emit-llvm",
)  # fmt: skip
# 64-bit, and of no device; LLVM's own name of it
TRIPLE = "spir64-unknown-unknown"


@contextmanager
def sources_in_place(kernels: Sequence[UserKernel]) -> Iterator[None]:
    """Within it, the code of a kernel that calls a function of a user has its source before it."""
    units = {k.symbol: _filled(UNIT, k) for k in kernels}
    if not units:
        yield
        return

    def complete(code: str, _target: object) -> str:
        called = [unit for symbol, unit in units.items() if f"{symbol}(" in code]
        return "\n".join([*called, code])

    tvm_ffi.register_global_func(CALLBACK, complete, override=True)
    try:
        yield
    finally:
        tvm_ffi.registry.remove_global_func(CALLBACK)


def require_group(func: tirx.PrimFunc, kernel: UserKernel, chip: str, most: int) -> None:
    """Raise ToolchainError for a kernel whose groups have more work-items than a chip takes."""
    items = 1

    def visit(node: Any) -> None:
        nonlocal items
        binding = node.thread_binding if isinstance(node, tirx.For) else None
        if binding is not None and str(binding.thread_tag).startswith("threadIdx"):
            items *= static(node.extent) or 1

    tvm_ffi.structural_walk(func.body, visit)
    if items > most:
        what = kernel.file or "the schedule"
        raise ToolchainError(
            f"{what} (op {kernel.op} of {kernel.by}) has groups of {items} work-items; {chip} "
            f"takes {most}",
            hint="give it a Grid with smaller groups" if kernel.file else "bind smaller loops",
        )


def check(kernel: UserKernel) -> None:
    """Raise ToolchainError, with the compiler's words, for a source that no device would take.

    Where there is no compiler the device is the first to see it, which the log says."""
    command = _clang()
    if command is None:
        log.info("%s is not checked: there is no ziglang here; the device compiles it", kernel.file)
        return
    with tempfile.TemporaryDirectory(prefix="dlcc-opencl-") as name:
        folder = Path(name)
        types = resources.files("dlcc.targets.user").joinpath(TYPES).read_text("utf-8")
        (folder / TYPES).write_text(types, "utf-8")
        (folder / "unit.cl").write_text(_filled(CHECKED, kernel), "utf-8")
        call = [*command, *FLAGS, f"--target={TRIPLE}", "-include", TYPES, "unit.cl", "-o", "out"]
        try:
            run_tool(call, folder=folder, limit_s=120.0, shown_lines=40)
        except ToolchainError as error:
            raise _refused(kernel, error) from error
        made = (folder / "out").read_text("utf-8")
    if f"@{kernel.function}(" not in "".join(ln for ln in made.splitlines() if ln[:6] == "define"):
        raise no_function(kernel)


def _filled(form: str, kernel: UserKernel) -> str:
    return form.format(
        file=kernel.file,
        op=kernel.op,
        by=kernel.by,
        function=kernel.function,
        symbol=kernel.symbol,
        prototype=kernel.prototype,
        text=kernel.text,
    )


def _clang() -> list[str] | None:
    if given := os.environ.get("DLCC_CLANG"):
        return shlex.split(given)
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "clang"]
    return None


def _refused(kernel: UserKernel, error: ToolchainError) -> ToolchainError:
    said = error.what.partition(":\n")[2]
    if not said:
        return error
    return ToolchainError(
        f"{kernel.file} (op {kernel.op} of {kernel.by}) is refused as OpenCL C:\n" + said,
        hint=f"dlcc calls it as `{kernel.prototype}`, by every work-item",
    )
