"""Compiles C for a target with the clang that the ziglang package brings along."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from dlcc.targets.cache import build_once, cache_folder
from dlcc.targets.command import run_tool
from dlcc.targets.errors import ToolchainError

HINT = "pip install 'dlcc[cross]', or name clang, with the options for the target, in DLCC_CLANG"

# No C library and no calls of one: what the code needs is in it.
FLAGS = (
    "-std=c11",
    "-O2",
    "-ffreestanding",
    "-nostdlib",
    "-fno-builtin",
    "-fno-stack-protector",
    "-fno-sanitize=all",  # zig turns it on
    "-ffp-contract=off",  # the mathematics counts on every rounding where it is written
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Wextra",
    "-Werror",
)
# Beside a C library, for static and shared libraries alike.
HOSTED_FLAGS = (
    "-g0",  # zig notes the folder, which is another one in every run
    "-std=c11",
    "-O2",
    "-fPIC",
    "-fno-sanitize=all",
    "-ffp-contract=off",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Wextra",
    "-Werror",
)
# 16 KiB pages: what Android 15 asks of shared libraries; harmless where pages are smaller.
SHARED_FLAGS = ("-shared", "-s", "-Wl,-z,max-page-size=16384", "-Wl,-z,defs", "-Wl,--gc-sections")
LIBRARIES = ("-lm", "-lpthread")


def find_clang(triple: str) -> list[str]:
    """The command of a C compiler for `triple` (as zig writes it: machine-system-abi).

    In order: DLCC_CLANG, the ziglang package. Raises ToolchainError if there is none."""
    if given := os.environ.get("DLCC_CLANG"):
        return shlex.split(given)
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc", "-target", triple]
    raise ToolchainError(f"no C compiler for {triple} found (looked for ziglang)", hint=HINT)


def compile_c(
    sources: Mapping[str, str],
    triple: str,
    flags: Sequence[str],
    folder: Path,
    base: Sequence[str] = FLAGS,
) -> list[Path]:
    """Compile the .c files among `sources` (name -> content; the rest are headers they include).

    flags: options of the target and definitions, beside those of `base`: FLAGS or HOSTED_FLAGS.
    Returns the objects, in `folder`.
    Raises ToolchainError if there is no compiler, or with its own words if it fails.
    """
    for name, content in sources.items():
        (folder / name).write_text(content, "utf-8")
    units = [name for name in sources if name.endswith(".c")]
    command = [*find_clang(triple), *base, *flags]
    # one call a file: `zig cc -c` of several leaves only the first object
    with _caches() as env, ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda unit: _compiled(command, unit, folder, env), units))


def _compiled(command: Sequence[str], unit: str, folder: Path, env: Mapping[str, str]) -> Path:
    made = folder / Path(unit).with_suffix(".o")
    call = [*command, "-c", unit, "-o", made.name]
    run_tool(call, hint=HINT, env=env, folder=folder, limit_s=300.0, shown_lines=40)
    return made


def compile_once(
    sources: Mapping[str, str], triple: str, flags: Sequence[str], base: Sequence[str] = FLAGS
) -> list[Path]:
    """`compile_c`, kept in the cache by what goes in."""
    version = metadata.version("ziglang") if not os.environ.get("DLCC_CLANG") else "given"
    told = repr((version, find_clang(triple)[1:], [*base, *flags], sorted(sources.items())))
    name = f"aot-runtime-{hashlib.sha256(told.encode()).hexdigest()[:16]}"

    def fill(folder: Path) -> None:
        compile_c(sources, triple, flags, folder, base)

    return sorted(build_once(name, fill).glob("*.o"))


def link_shared(
    objects: Sequence[Path], triple: str, exports: Sequence[str], folder: Path
) -> bytes:
    """A shared library that exports the symbols of `exports` and needs the C library alone.

    Raises ToolchainError if there is no compiler, or with its own words if it fails, for instance
    because a function is missing."""
    script, output = folder / "exports.map", folder / "libmodel.so"
    script.write_text(f"{{ global: {'; '.join(exports)}; local: *; }};\n", "utf-8")
    command = [*find_clang(triple), *SHARED_FLAGS, "-Wl,-soname,libmodel.so"]
    command += [f"-Wl,--version-script={script}", "-o", str(output), *map(str, objects)]
    with _caches() as env:
        run_tool([*command, *LIBRARIES], hint=HINT, env=env, folder=folder, limit_s=300.0)
    return output.read_bytes()


def archive(objects: Sequence[Path], folder: Path) -> bytes:
    """A static library of objects, with its table of symbols; raises ToolchainError."""
    output = folder / "libmodel.a"
    run_tool([*find_archiver(), "rcsD", str(output), *map(str, objects)], folder=folder)
    return output.read_bytes()


def find_archiver() -> list[str]:
    """The command of an `ar`, in order: DLCC_AR, the ziglang package, llvm-ar or ar on PATH.

    Raises ToolchainError if there is none."""
    if given := os.environ.get("DLCC_AR"):
        return shlex.split(given)
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "ar"]
    for name in ("llvm-ar", "ar"):
        if found := shutil.which(name):
            return [found]
    raise ToolchainError(
        "no archiver found (looked for ziglang, llvm-ar and ar)",
        hint="pip install 'dlcc[cross]', or name one in DLCC_AR",
    )


@contextmanager
def _caches() -> Iterator[dict[str, str]]:
    """Where zig keeps what it makes, as environment variables."""
    with tempfile.TemporaryDirectory(prefix="dlcc-zig-") as local:
        yield {"ZIG_GLOBAL_CACHE_DIR": str(cache_folder() / "zig"), "ZIG_LOCAL_CACHE_DIR": local}
