"""Models of one workload alone, with random values, to compare the results of two kernels."""

from __future__ import annotations

import math
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
    """The largest difference of two results, relative to the largest value of each output; infinite
    where types, shapes, or places without a finite number differ."""
    pairs = zip(found, expected, strict=True)
    return max((_distance(one, other) for one, other in pairs), default=0.0)


def _distance(found: np.ndarray, expected: np.ndarray) -> float:
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return math.inf
    a, b = found.astype("float64"), expected.astype("float64")
    finite = np.isfinite(b)
    alike = np.array_equal(a[~finite], b[~finite], equal_nan=True)
    if not alike or not np.isfinite(a[finite]).all():
        return math.inf
    largest = float(np.abs(b[finite]).max(initial=0.0)) or 1e-30
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0)) / largest


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
