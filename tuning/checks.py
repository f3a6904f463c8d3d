"""Models of one workload alone, with random values, to compare the results of two kernels."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from dlcc.targets.workload import Conv2d, Matmul, parse

# Sums in another order differ by some units of the last place of float32. A kernel that reads one
# wrong element differs by far more: values are around 1.
TOLERANCE = 1e-4
BYTES = {"uint8": (0, 256), "int8": (-128, 128)}  # values of dtypes that are multiplied exactly
NETWORK_TOLERANCE = 1e-3  # of a whole network: what its layers differ in adds up


def module_of(workloads: Sequence[str]) -> IRModule:
    """A model that computes each workload by itself; its weights are random constants."""
    bb, params, results = relax.BlockBuilder(), [], []
    works = [parse(text) for text in workloads]
    for i, work in enumerate(works):
        for j, shape in enumerate(_inputs(work)):
            params.append(relax.Var(f"x{i}_{j}", relax.TensorType(shape, work.dtype)))
    with bb.function("main", params):
        with bb.dataflow():
            left = list(params)
            for text, work in zip(workloads, works, strict=True):
                x = left.pop(0)
                packed = work.weights == "packed"
                w = _constant(text, work) if packed else left.pop(0)
                results.append(bb.emit(_apply(work, x, w)))
            out = bb.emit_output(relax.Tuple(results))
        bb.emit_func_output(out)
    return bb.get()


def _constant(text: str, work: Conv2d | Matmul) -> relax.Expr:
    rng, shape = _generator(text), _weights(work)
    if work.dtype in BYTES:
        return relax.const(rng.integers(-128, 128, shape, "int32"))
    return relax.const(_random(rng, shape))


def random_inputs(workloads: Sequence[str]) -> list[np.ndarray]:
    """Values for the parameters of `module_of`."""
    made: list[np.ndarray] = []
    for text in workloads:
        rng = _generator(text + " inputs")
        work = parse(text)
        for shape in _inputs(work):
            low_high = BYTES.get(work.dtype)
            values = rng.integers(*low_high, shape, work.dtype) if low_high else _random(rng, shape)
            made.append(values)
    return made


def distance(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference of two results, relative to the largest value of each output."""
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        if one.size == 0:
            continue
        a, b = one.astype("float64"), other.astype("float64")
        same = np.isfinite(a) == np.isfinite(b)
        if not same.all():
            return float("inf")
        finite = np.isfinite(a)
        if not finite.any():
            continue
        largest = max(float(np.abs(b[finite]).max()), 1e-30)
        worst = max(worst, float(np.abs(a[finite] - b[finite]).max()) / largest)
    return worst


def _apply(work: Conv2d | Matmul, x: relax.Expr, w: relax.Expr) -> relax.Expr:
    if work.dtype in BYTES:  # as front ends write it: sums are int32
        x = relax.op.astype(x, "int32")
    if isinstance(work, Matmul):
        return relax.op.matmul(x, w)
    return relax.op.nn.conv2d(
        x, w, list(work.s), list(work.p), list(work.d), work.g,
        data_layout="NHWC", kernel_layout="HWIO",
    )  # fmt: skip


def _inputs(work: Conv2d | Matmul) -> list[tuple[int, ...]]:
    x = (work.m, work.k) if isinstance(work, Matmul) else (work.n, work.h, work.w, work.c)
    return [x] if work.weights == "packed" else [x, _weights(work)]


def _weights(work: Conv2d | Matmul) -> tuple[int, ...]:
    if isinstance(work, Matmul):
        return work.k, work.n
    return *work.k, work.c // work.g, work.oc


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape).astype("float32")


def _generator(text: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(text.encode()))
