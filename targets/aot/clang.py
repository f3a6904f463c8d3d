"""Compiles C for a target with the clang that the ziglang package brings along."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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


def find_clang(triple: str) -> list[str]:
    """The command of a C compiler for `triple` (as zig writes it: machine-system-abi).

    In order: DLCC_CLANG, the ziglang package. Raises ToolchainError if there is none."""
    if given := os.environ.get("DLCC_CLANG"):
        return shlex.split(given)
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc", "-target", triple]
    raise ToolchainError(f"no C compiler for {triple} found (looked for ziglang)", hint=HINT)


def compile_c(
    sources: Mapping[str, str], triple: str, flags: Sequence[str], folder: Path
) -> list[Path]:
    """Compile the .c files among `sources` (name -> content; the rest are headers they include).

    flags: options of the target and definitions. Returns the objects, in `folder`.
    Raises ToolchainError if there is no compiler, or with its own words if it fails.
    """
    for name, content in sources.items():
        (folder / name).write_text(content, "utf-8")
    units = [name for name in sources if name.endswith(".c")]
    command = [*find_clang(triple), *FLAGS, *flags]
    with tempfile.TemporaryDirectory(prefix="dlcc-zig-") as local:
        env = {"ZIG_GLOBAL_CACHE_DIR": str(cache_folder() / "zig"), "ZIG_LOCAL_CACHE_DIR": local}
        # one call a file: `zig cc -c` of several leaves only the first object
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            return list(pool.map(lambda unit: _compiled(command, unit, folder, env), units))


def _compiled(command: Sequence[str], unit: str, folder: Path, env: Mapping[str, str]) -> Path:
    made = folder / Path(unit).with_suffix(".o")
    run_tool(
        [*command, "-c", unit, "-o", made.name], hint=HINT, env=env, folder=folder, limit_s=300.0
    )
    return made


def compile_once(sources: Mapping[str, str], triple: str, flags: Sequence[str]) -> list[Path]:
    """`compile_c`, kept in the cache by what goes in."""
    version = metadata.version("ziglang") if not os.environ.get("DLCC_CLANG") else "given"
    told = repr((version, find_clang(triple)[1:], FLAGS, list(flags), sorted(sources.items())))
    name = f"aot-runtime-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    kept = build_once(name, lambda folder: _fill(folder, sources, triple, flags))
    return sorted(kept.glob("*.o"))


def _fill(folder: Path, sources: Mapping[str, str], triple: str, flags: Sequence[str]) -> None:
    compile_c(sources, triple, flags, folder)
