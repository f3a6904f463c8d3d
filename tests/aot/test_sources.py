"""`compile --emit c`: its Makefile makes a library, which a program of one's own links."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from tvm import relax
from tvm.ir import IRModule

from dlcc.targets.cache import cache_folder
from dlcc.targets.cpu import ahead
from dlcc.targets.hexagon import build as hexagon_build
from dlcc.targets.registry import find_chip
from dlcc.targets.rpc.dsp import Emulator

pytest.importorskip("ziglang")
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")

MAIN = Path(__file__).with_name("main.c")
WEIGHT = np.random.default_rng(3).uniform(0, 1, (16, 5)).astype("float32")
ZIG = f"{shlex.quote(sys.executable)} -m ziglang"
CPU = "-mcpu=hexagonv66"


def module() -> IRModule:
    """exp(x @ w / 16) of x [3, 16]."""
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((3, 16), "float32"))
    with bb.function("main", [x]):
        with bb.dataflow():
            y = bb.emit(relax.op.matmul(x, relax.const(WEIGHT / 16)))
            out = bb.emit_output(relax.Tuple([bb.emit(relax.op.exp(y))]))
        bb.emit_func_output(out)
    return bb.get()


def wanted() -> int:
    """The sum that `main.c` prints for an input of ones, in thousandths."""
    y = np.exp(np.ones((3, 16)) @ (WEIGHT.astype("float64") / 16))
    return round(float(y.sum()) * 1000)


def run(folder: Path, *command: str) -> None:
    caches = {"ZIG_GLOBAL_CACHE_DIR": str(cache_folder() / "zig")}
    environment = {**os.environ, **caches, "ZIG_LOCAL_CACHE_DIR": str(folder / "zig")}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def made(folder: Path, files: dict[str, bytes], triple: str) -> list[str]:
    """Write the files, call make; returns the C compiler's command."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    compiler = f"{ZIG} cc -target {triple} -fno-sanitize=all"
    run(folder, "make", f"CC={compiler}", f"AR={ZIG} ar")
    return shlex.split(compiler)


def test_host(tmp_path: Path) -> None:
    files = ahead.sources(module(), find_chip("host"))
    compiler = made(tmp_path, files, f"{platform.machine()}-linux-gnu")
    strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I."]
    run(tmp_path, *compiler, *strict, str(MAIN), "libmodel.a", "-lm", "-lpthread", "-o", "main")
    said = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    assert abs(int(said.stdout) - wanted()) <= 1


@pytest.mark.device("hexagon")
def test_hexagon(tmp_path: Path, hexagon: Emulator) -> None:
    files = hexagon_build.sources(module(), find_chip("v66"))
    compiler = made(tmp_path, files, "hexagon-freestanding-none")
    for name in ("start.c", "system.h"):
        source = resources.files("dlcc.targets.hexagon.runtime").joinpath(name)
        (tmp_path / name).write_text(source.read_text())
    flags = ["-std=c11", "-O2", "-ffreestanding", "-fno-builtin", CPU, "-I."]
    for unit in (str(MAIN), "start.c"):
        run(tmp_path, *compiler, *flags, "-c", unit, "-o", f"{Path(unit).stem}_user.o")
    linker = [sys.executable, "-m", "ziglang", "ld.lld", "-static"]
    run(tmp_path, *linker, "start_user.o", "main_user.o", "libmodel.a", "-o", "main")
    command = [*hexagon.command, "-cpu", hexagon.cpu_for(66), str(tmp_path / "main")]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert abs(int(said.stdout) - wanted()) <= 1
