"""Small models for tests of devices, built without the compiler under test."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from dlcc.targets.artifact import Artifact

TARGETS = {
    "host": {"kind": "llvm"},
    "arm": {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a76"},
}
ROWS, DEPTH, COLUMNS = 8, 64, 32
SLOW = 1600  # side of matrices whose product takes seconds, in code without any schedule


def link(output: str, objects: list[str], options: object = None, **_: object) -> None:
    flags = ["-shared", "-s", "-z", "max-page-size=16384", "--hash-style=both", "-o", output]
    subprocess.run([sys.executable, "-m", "ziglang", "ld.lld", *flags, *objects], check=True)


link.output_format = "so"  # type: ignore[attr-defined]


@cache
def layer_code(kind: str) -> bytes:
    """`main(x, w, b)` -> (x @ w + b, its sum as a scalar, b as int8, an empty tensor)."""
    from tvm import relax

    def body(bb: relax.BlockBuilder, x: relax.Var, w: relax.Var, b: relax.Var) -> relax.Expr:
        y = bb.emit(relax.op.add(relax.op.matmul(x, w), b))
        empty = bb.emit(relax.op.zeros((0, 3), "float32"))
        total, small = bb.emit(relax.op.sum(y)), bb.emit(relax.op.astype(b, "int8"))
        return relax.Tuple([y, total, small, empty])

    return _code(kind, body, x=(ROWS, DEPTH), w=(DEPTH, COLUMNS), b=(COLUMNS,))


@cache
def slow_code(kind: str) -> bytes:
    """`main(x)` -> (x @ x,), which takes some seconds."""
    from tvm import relax

    def body(bb: relax.BlockBuilder, x: relax.Var) -> relax.Expr:
        return relax.Tuple([bb.emit(relax.op.matmul(x, x))])

    return _code(kind, body, x=(SLOW, SLOW))


def layer(kind: str) -> tuple[Artifact, np.ndarray, list[np.ndarray]]:
    """A layer, an input for it, and what numpy makes of that."""
    draw = np.random.default_rng(7).standard_normal
    x, w, b = (draw(s).astype("f") for s in ((ROWS, DEPTH), (DEPTH, COLUMNS), (COLUMNS,)))
    y = x @ w + b
    expected = [y, y.sum(), b.astype("int8"), np.zeros((0, 3), "f")]
    return Artifact(kind, kind, {"module.so": layer_code(kind)}, [w, b]), x, expected


def slow(kind: str) -> tuple[Artifact, np.ndarray]:
    return Artifact(kind, kind, {"module.so": slow_code(kind)}, []), np.ones((SLOW, SLOW), "f")


def _code(kind: str, body: object, **shapes: tuple[int, ...]) -> bytes:
    import tvm
    from tvm import relax

    bb = relax.BlockBuilder()
    names = [relax.Var(n, relax.TensorType(shape, "float32")) for n, shape in shapes.items()]
    with bb.function("main", names):
        with bb.dataflow():
            output = bb.emit_output(body(bb, *names))  # type: ignore[operator]
        bb.emit_func_output(output)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "module.so"
        built = tvm.compile(bb.get(), target=tvm.target.Target(TARGETS[kind]))
        built.export_library(str(path), fcompile=link)
        return path.read_bytes()
