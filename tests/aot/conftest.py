"""The runtime of compiled programs, compiled for this machine."""

from __future__ import annotations

import ctypes
import importlib.util
import platform
from importlib import resources
from pathlib import Path

import pytest

from dlcc.targets.aot.clang import compile_c
from dlcc.targets.aot.driver import MATH, runtime_source
from dlcc.targets.link import link

HELPERS = ("integers.c", "doubles.c")


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Memory, mathematics and Hexagon's helpers; each calls its own, not the C library's."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("no C compiler: ziglang is not installed")
    folder: Path = tmp_path_factory.mktemp("runtime")
    hexagon = resources.files("dlcc.targets.hexagon.runtime")
    sources = {name: runtime_source(name) for name in (*MATH, "memory.c")}
    sources |= {name: hexagon.joinpath(name).read_text() for name in HELPERS}
    flags = ["-fPIC", "-fvisibility=protected"]
    machine = platform.machine()
    objects = compile_c(sources, f"{machine}-linux-musl", flags, folder)
    (folder / "runtime.so").write_bytes(link(objects, machine))
    return ctypes.CDLL(str(folder / "runtime.so"))
