"""Kernels in C that users give -> object files for a processor."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from dlcc.targets.aot.clang import compile_c, link_shared
from dlcc.targets.errors import ToolchainError
from dlcc.targets.user.kernel import UserKernel

HEADER = "dlcc_kernel.h"
GLIBC = "2.28"  # as of libraries ahead of time: the oldest that code loads with
# -g0: notes for debuggers would tell a folder, which is another one in every run.
FLAGS = (
    "-g0",
    "-std=c11",
    "-O2",
    "-ffp-contract=off",
    "-fno-sanitize=all",  # zig turns it on
    "-ffunction-sections",
    "-fdata-sections",
    "-ferror-limit=3",
    "-Wno-unused",
)
HOSTED = ("-fPIC",)
FREESTANDING = ("-ffreestanding", "-nostdlib", "-fno-builtin", "-fno-stack-protector")
UNIT = """\
/* Made by dlcc of {file}: the op {op} of {by}. */
#include <stdint.h>
#line 1 "dlcc, which calls it"
{prototype}
#line 1 "{file}"
{text}
#line 1 "dlcc, which looks for {function}"
extern __typeof__({function}) {symbol}_is_there __attribute__((alias("{symbol}")));
"""


def triple_of(machine: str) -> str:
    """What C is compiled for on a CPU with a C library ("x86_64" or "aarch64")."""
    return f"{machine}-linux-gnu.{GLIBC}"


def sources(kernels: Sequence[UserKernel]) -> dict[str, str]:
    """File name -> content: a unit for each kernel, and the header that they may include.

    A unit declares the function as it is called before the user's text, so that the compiler sees
    one that differs, and refers to it behind, so that it sees one that is missing."""
    units = {k.unit: _unit(k) for k in kernels}
    return {**units, HEADER: header()} if units else {}


def header() -> str:
    """The content of `dlcc_kernel.h`."""
    return resources.files("dlcc.targets.user").joinpath(HEADER).read_text("utf-8")


def compile_kernels(
    kernels: Sequence[UserKernel], triple: str, mcpu: str, folder: Path, hosted: bool = True
) -> list[Path]:
    """Compile each kernel for a processor; the objects are in `folder`.

    hosted: whether there is a C library.
    Raises ToolchainError with the compiler's own words, which name the user's lines."""
    flags = [*(HOSTED if hosted else FREESTANDING), *_processor(triple, mcpu)]
    made = []
    for kernel in kernels:
        own = folder / kernel.symbol
        own.mkdir()
        try:
            made += compile_c(sources([kernel]), triple, flags, own, FLAGS)
        except ToolchainError as error:
            raise _refused(kernel, error) from error
    if hosted and kernels:
        _require_functions(kernels, made, triple, folder)
    return made


def _unit(kernel: UserKernel) -> str:
    return UNIT.format(
        file=kernel.file,
        op=kernel.op,
        by=kernel.by,
        function=kernel.function,
        symbol=kernel.symbol,
        prototype=f'{kernel.prototype[:-1]} __asm__("{kernel.symbol}");',
        text=kernel.text,
    )


def _processor(triple: str, mcpu: str) -> list[str]:
    """The option that names a processor as LLVM does."""
    if not mcpu or mcpu == "generic":
        return []
    if os.environ.get("DLCC_CLANG") is None:
        return [f"-mcpu={mcpu.replace('-', '_')}"]  # as zig writes it
    return [f"-march={mcpu}" if triple.startswith("x86") else f"-mcpu={mcpu}"]


def _require_functions(
    kernels: Sequence[UserKernel], objects: Sequence[Path], triple: str, folder: Path
) -> None:
    """Raise ToolchainError for a function that is neither in a source nor in the C library."""
    try:
        link_shared(objects, triple, [kernel.symbol for kernel in kernels], folder)
    except ToolchainError as error:
        if missing := missing_functions(kernels, error.what):
            raise missing from error
        raise


def missing_functions(kernels: Sequence[UserKernel], said: str) -> ToolchainError | None:
    """The error for functions that a kernel calls and nobody has, if a linker said that.

    The objects of a kernel are in a folder that has its symbol for a name."""
    for kernel in kernels:
        told = said.split("undefined symbol: ")[1:]
        names = dict.fromkeys(re.findall(r"^\w+", t)[0] for t in told if kernel.symbol in t)
        if names:
            return ToolchainError(
                f"{kernel.file} (op {kernel.op} of {kernel.by}) calls {', '.join(names)}, which is "
                "nowhere",
                hint=f"define it in {kernel.file}; what every target has is in {HEADER}",
            )
    return None


def _refused(kernel: UserKernel, error: ToolchainError) -> ToolchainError:
    """The error of a compiler, in the user's words."""
    said = error.what.partition(":\n")[2]
    if not said:
        return error  # there is no compiler, or it did not end
    if "alias must point to" in said:
        return no_function(kernel)
    return ToolchainError(
        f"the C compiler refuses {kernel.file} (op {kernel.op} of {kernel.by}):\n{said}",
        hint=f"dlcc calls it as `{kernel.prototype}`",
    )


def no_function(kernel: UserKernel) -> ToolchainError:
    """For a source that lacks what it is there for."""
    return ToolchainError(
        f"{kernel.file} (op {kernel.op} of {kernel.by}) defines no function {kernel.function}",
        hint=f"dlcc calls it as `{kernel.prototype}`; name another with function=…",
    )
