"""Programs for the DSP, compiled from `model.c`: one that is good and some that misbehave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dlcc.targets.artifact import Artifact
from dlcc.targets.cache import cache_folder

SOURCE = Path(__file__).with_name("model.c")
N, CALLS, ARENA_BYTES = 64, 2, 4096
# their order is that of the names at the head of model.c
BEHAVIOURS = (
    *("good", "crash", "spin", "status", "float_hvx", "wrong_sizes", "leave", "wrong_magic"),
    *("chatter", "late_start", "vectors"),
)
HVX = {
    "float_hvx": "hexagonv68+hvxv68+hvx_length128b+hvx_qfloat",
    "vectors": "hexagonv66+hvxv66+hvx_length128b",
}


@cache
def program(behaviour: str = "good", status: int = 0, mcpu: str = "", elements: int = N) -> bytes:
    """An ELF file. status: what it replies, if it behaves so. mcpu: as LLVM names it.
    elements: of each input and output."""
    cpu = HVX.get(behaviour) or mcpu or "hexagonv66"
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", "hexagon-freestanding-none"]
    flags = ["-O2", "-std=c11", "-Wall", "-ffreestanding", "-nostdlib", "-fno-builtin", "-static"]
    what = [f"-DBEHAVIOUR={BEHAVIOURS.index(behaviour)}", f"-DSTATUS_CODE={status}"]
    what.append(f"-DN={elements}")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model.elf"
        command = [*zig, f"-mcpu={cpu}", *flags, *what, "-o", str(output), str(SOURCE)]
        zig_cache = str(cache_folder() / "zig")
        env = {
            **os.environ,
            "ZIG_GLOBAL_CACHE_DIR": zig_cache,
            "ZIG_LOCAL_CACHE_DIR": str(Path(folder) / "zig"),
        }
        subprocess.run(command, env=env, check=True, capture_output=True)
        return output.read_bytes()


def description(elements: int = N, **changed: Any) -> dict[str, Any]:
    """model.json of the program, with some of it changed."""

    def tensor(name: str) -> dict[str, Any]:
        shape = [elements // 8, 8]
        return {"name": name, "dtype": "int32", "shape": shape, "bytes": 4 * elements}

    return {
        "format": 1,
        "chip": "hexagon-v66",
        "profile": "hexagonv66",
        "arena_bytes": ARENA_BYTES,
        "parameter_bytes": 0,
        "inputs": [tensor("a"), tensor("b")],
        "outputs": [tensor("sum"), tensor("twice")],
        "kernels": [
            {"name": "add", "sources": ["sum"], "macs": None},
            {"name": "scale", "sources": ["twice", "shift"], "macs": N},
        ],
        **changed,
    }


def artifact(elf: bytes | None = None, **changed: Any) -> Artifact:
    """The good program's, or another's; the description changed."""
    files = {
        "model.elf": program() if elf is None else elf,
        "model.json": json.dumps(description(**changed)).encode(),
    }
    return Artifact("hexagon", "hexagon-v66", files, ())


def inputs(seed: int = 0, elements: int = N) -> list[np.ndarray]:
    draw = np.random.default_rng(seed).integers
    return [draw(-(2**30), 2**30, (elements // 8, 8), "int32") for _ in range(2)]


def expected(values: list[np.ndarray]) -> list[np.ndarray]:
    """What numpy makes of the inputs; int32 wraps there as on the DSP."""
    a, b = values
    return [a + b, 2 * (a + b)]
