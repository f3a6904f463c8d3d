"""The plug-in that gives TVM an OpenCL runtime, built on first use: TVM's wheels have none."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dlcc.targets.cache import build_once, cache_folder
from dlcc.targets.command import run_tool
from dlcc.targets.errors import DlccError, ToolchainError

log = logging.getLogger("dlcc")

RECIPE = 3  # raise when what the commands below make changes
NAME = "libdlcc_opencl.so"
SOURCES = Path(__file__).with_name("runtime")
PREBUILT = Path(__file__).with_name("prebuilt")  # what the installed wheel brought, if anything
COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-std=c++17", "-fPIC", "-fvisibility=hidden", "-Wall")
OPTIMISED = ("-O2", "-s")
HINT = "install a C++17 compiler (Debian, Ubuntu: apt-get install g++), or name one in DLCC_CXX"


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C++ compiler's command, and the variables that it runs with."""

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@functools.cache
def load_plugin() -> None:
    """Give TVM in this process its OpenCL runtime; built first where it is not there yet.

    Without effect where there is one. Raises ToolchainError when it cannot be built."""
    import tvm_ffi

    os.environ.setdefault("DLCC_OPENCL_CACHE", default_program_cache())
    if tvm_ffi.get_global_func("device_api.opencl", allow_missing=True) is not None:
        return
    import tvm  # noqa: F401  (its libraries must be there before the plug-in's)

    path = library()
    if not _loaded(path) and path.parent == PREBUILT:
        # built against a newer C++ library than this machine has, for instance
        path = _from_cache()
        _loaded(path)
    if tvm_ffi.get_global_func("device_api.opencl", allow_missing=True) is None:
        raise ToolchainError(
            f"the OpenCL plug-in cannot be loaded: {path}",
            hint=f"remove {path.parent} and try again",
        )


def _loaded(path: Path) -> bool:
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        log.warning("the OpenCL plug-in cannot be loaded: %s", error)
        return False
    return True


def default_program_cache() -> str:
    """Where the plug-in keeps compiled programs, unless `$DLCC_OPENCL_CACHE` says another place."""
    return str(cache_folder() / "opencl-programs")


def library() -> Path:
    """The plug-in's file: the installed one, else that in the cache, built on first use.

    Raises ToolchainError when it cannot be built."""
    return built_library() or _from_cache()


def built_library() -> Path | None:
    """The same where it is there already."""
    stamp = PREBUILT / "key"
    if stamp.is_file() and stamp.read_text().strip() == key():
        return PREBUILT / NAME
    path = cache_folder() / _folder() / NAME
    return path if path.is_file() else None


def key(machine: str = "") -> str:
    """What the plug-in depends on, as a hash: its sources, TVM, the machine, and the recipe."""
    versions = [importlib.metadata.version(name) for name in ("apache-tvm", "apache-tvm-ffi")]
    facts = [*versions, machine or platform.machine(), str(RECIPE)]
    digest = hashlib.sha256("\n".join(facts).encode())
    for path in sorted(p for p in SOURCES.rglob("*") if p.suffix in (".cc", ".h")):
        digest.update(f"\n{path.relative_to(SOURCES)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:32]


def build(
    folder: Path,
    compiler: Compiler,
    more: Sequence[str] = OPTIMISED,
    packages: Path | None = None,
) -> None:
    """Build the plug-in into a folder. more: further flags. packages: a folder of Python packages
    whose TVM it is for; by default those of this process. Raises ToolchainError."""
    began_s = time.monotonic()
    log.info("building the OpenCL plug-in with %s (once)", shlex.join(compiler.command))
    tvm, ffi = _package("tvm"), _package("tvm_ffi")
    includes = [tvm / "include", ffi / "include", SOURCES / "shim"]
    flags = [*FLAGS, *more, *(word for path in includes for word in ("-isystem", str(path)))]
    # All in one: each would read TVM's headers anew, which takes three times as long.
    whole = folder / "whole.cc"
    whole.write_text("".join(f'#include "{p.name}"\n' for p in sorted(SOURCES.glob("*.cc"))))
    if packages is not None:  # headers are the same for every machine
        tvm, ffi = packages / tvm.name, packages / ffi.name
    libraries = [f"-L{tvm / 'lib'}", "-ltvm_runtime", f"-L{ffi / 'lib'}", "-ltvm_ffi", "-ldl"]
    output = ["-shared", "-o", str(folder / NAME)]
    command = [*compiler.command, *flags, f"-I{SOURCES}", str(whole), *output, *libraries]
    run_tool(command, env=compiler.env, hint=HINT)
    whole.unlink()
    log.info("built in %.1f s", time.monotonic() - began_s)


def find_compiler() -> Compiler | None:
    """A C++ compiler of this machine: `$DLCC_CXX`, `$CXX`, or one on PATH."""
    for variable in ("DLCC_CXX", "CXX"):
        if value := os.environ.get(variable):
            return Compiler(tuple(shlex.split(value)))
    found = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    return Compiler((found,)) if found else None


def _from_cache() -> Path:
    return build_once(_folder(), _build) / NAME


def _folder() -> str:
    return f"opencl-plugin-{key()}"


def _build(folder: Path) -> None:
    """With a compiler of this machine, else with the clang that PoCL's packages bring."""
    said = "no C++ compiler on PATH"
    if compiler := find_compiler():
        try:
            build(folder, compiler)
            return
        except ToolchainError as error:
            if os.environ.get("DLCC_CXX"):
                raise
            said = error.what
            log.warning("%s; trying the clang of the distribution's packages", said)
    from dlcc.targets.opencl.pocl_files import COMPILER, PROGRAMS, pocl_folder

    try:
        clang = pocl_folder() / PROGRAMS / COMPILER
    except DlccError as error:
        raise ToolchainError(
            f"the OpenCL plug-in cannot be built: {said}, and none to unpack: {error.what}",
            hint=HINT,
        ) from error
    build(folder, Compiler((str(clang),)))


def _package(name: str) -> Path:
    """The folder of an installed package, which need not be imported for that."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ToolchainError(
            f"the package {name} is not installed", hint="pip install apache-tvm apache-tvm-ffi"
        )
    return Path(spec.submodule_search_locations[0])
