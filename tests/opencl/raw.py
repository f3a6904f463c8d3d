"""OpenCL modules written by hand, to the byte, and programs that run in a process of their own."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

POINTER, INT32, UINT8, BOOL = (3, 64, 1), (0, 32, 1), (1, 8, 1), (6, 8, 1)
INT64, FLOAT16, FLOAT32, FLOAT64 = (0, 64, 1), (2, 16, 1), (2, 32, 1), (2, 64, 1)
BFLOAT16 = (4, 16, 1)
Type = tuple[int, int, int]
ROOT = Path(__file__).resolve().parents[2]
GRID = ("blockIdx.x", "threadIdx.x")

SCALE = """\
// Function: scale
__kernel void scale(__global float* x, float a, int n) {
  int i = get_global_id(0);
  if (i < n) x[i] = a * x[i];
}
"""


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def blob(
    code: str,
    kernels: Mapping[str, Sequence[Type]],
    launch: Sequence[str] = GRID,
    form: str = "cl",
) -> bytes:
    """The code of an `opencl` module as TVM 0.27 writes it. kernels: types of the arguments."""
    out = text(form) + struct.pack("<Q", len(kernels))
    for name, types in kernels.items():
        out += text(name) * 2 + struct.pack("<Q", len(types))
        out += b"".join(struct.pack("<BBH", *each) for each in types)
        out += struct.pack("<Q", len(launch)) + b"".join(map(text, launch))
        out += struct.pack("<Q", len(types)) + bytes(4 * len(types))  # a tag for each, none set
    return out + text(code)


def load(content: bytes) -> Any:
    import tvm_ffi

    return tvm_ffi.get_global_func("ffi.Module.load_from_bytes.opencl")(content)


def module(code: str, kernels: Mapping[str, Sequence[Type]], launch: Sequence[str] = GRID) -> Any:
    return load(blob(code, kernels, launch))


def scale() -> Any:
    return module(SCALE, {"scale": [POINTER, FLOAT32, INT32]})["scale"]


def vector_module() -> Any:
    """TVM's own code for `c = a * b + s` of 1000 numbers."""
    import tvm
    from tvm.script import tirx as T

    @T.prim_func(s_tir=True)
    def main(
        a: T.Buffer((1000,), "float32"),
        b: T.Buffer((1000,), "float32"),
        s: T.float32,
        c: T.Buffer((1000,), "float32"),
    ) -> None:
        for i in T.thread_binding(8, thread="blockIdx.x"):
            for j in T.thread_binding(128, thread="threadIdx.x"):
                with T.sblock("c"):
                    T.where(i * 128 + j < 1000)
                    v = T.axis.spatial(1000, i * 128 + j)
                    c[v] = a[v] * b[v] + s

    named = main.with_attr("global_symbol", "main")
    return tvm.compile(tvm.IRModule({"main": named}), tvm.target.Target("opencl", host="llvm"))


def saved(built: Any) -> bytes:
    """The files that a module would be linked of, in which its blob stands as it is."""
    content = b""

    def collect(_: str, files: Sequence[str], **options: object) -> None:
        nonlocal content
        content = b"".join(Path(file).read_bytes() for file in files)

    collect.output_format = "so"  # type: ignore[attr-defined]
    built.export_library("unused.so", fcompile=collect)
    return content


def pointer(tensor: Any) -> ctypes.c_void_p:
    """A tensor's memory, as TVM's host code hands it to a kernel."""
    return ctypes.c_void_p(tensor.data_ptr())


START = """\
import json, os, sys
import numpy as np
from dlcc.targets.opencl.plugin import load_plugin
load_plugin()
import tvm, tvm_ffi
from tests.opencl import raw
call = lambda name, *given: tvm_ffi.get_global_func("dlcc.opencl." + name)(*given)
device = tvm.opencl(0)
on_device = lambda array: tvm.runtime.tensor(array, device)
"""


def run_program(
    program: str, env: Mapping[str, str] | None = None, *, pocl: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run Python with the plug-in in a process of its own; on PoCL, unless it is said not to."""
    from dlcc.targets.opencl.pocl import pocl_environment

    everything = dict(os.environ)
    for name in ("DLCC_OPENCL_LIBRARY", "DLCC_OPENCL_PRELOAD", "OCL_ICD_VENDORS"):
        everything.pop(name, None)
    if pocl:
        everything |= pocl_environment()
    everything["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", START + program],
        env=everything | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def checked(done: subprocess.CompletedProcess[str]) -> str:
    """What a program printed; it must have ended in order."""
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr[-3000:])
    return done.stdout
