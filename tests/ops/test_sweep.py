"""The first case of every op in every other dtype that its definition allows: takes minutes."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from op_cases import Bench, Case, Feed
from test_dtypes import TOLERANCE, cast

from dlcc.compiler.errors import BadNode

CASES: list[Case] = []  # those of the other tables
TABLES = sorted(
    p.stem for p in Path(__file__).parent.glob("test_*.py")
    if p.stem.removeprefix("test_") not in ("coverage", "dtypes", "properties", "sweep", "values")
)  # fmt: skip
NAMES = (
    "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8",
    "uint16", "uint32", "uint64", "bool",
)  # fmt: skip
# an op, or one type attribute of it in a dtype: ours is right, or TensorFlow's is no rule
DIFFERENT = {
    "RaggedTensorToTensor": "TensorFlow leaves elements unwritten, which hold numbers near 1e-43",
    "BesselY1": "TensorFlow's kernels of float32 and float64 differ at and below 0",
    "SplitV": "TensorFlow's process ends where sizes are int8",
    "Round": "TensorFlow's kernel for integers gives 0",
    "SparseAdd": "TensorFlow reads the threshold in the values' dtype, whatever its own is",
    "UniqueWithCounts": "TensorFlow's table of float16 keys tells 0.0 from -0.0",
    "Conv3D": "TensorFlow rounds each step to bfloat16",
    "FusedPadConv2D T float16": "TensorFlow sums in float16",
    "Conv3DBackpropFilterV2 T float16": "TensorFlow sums in float16",
    "ArgMax Tidx int16": "TensorFlow misreads the axis, not always the same way",
    "ArgMin Tidx int16": "TensorFlow misreads the axis, not always the same way",
    "Conv3DBackpropFilterV2 T bfloat16": "TensorFlow sums in bfloat16",
}
PRECISE = {  # TensorFlow or we compute these in float32, or by a series made for it
    "BatchNormWithGlobalNormalization", "BesselJ0", "BesselJ1", "BesselK0e", "BesselK1e",
    "BesselY0", "BesselY1", "CropAndResize", "ResizeArea", "ResizeBicubic", "ResizeBilinear",
}  # fmt: skip


def in_dtype(argument, dtype):
    if isinstance(argument, list):
        return [in_dtype(a, dtype) for a in argument]
    if isinstance(argument, Feed):
        return Feed(cast(argument.array.astype("float64"), dtype), argument.shape)
    return cast(argument.astype("float64"), dtype)


def variants(tf, case: Case) -> Iterator[Case]:
    """The case with the inputs of each type attribute in each of its dtypes."""
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(case.via or case.op)
    if case.build or definition is None or case.op in DIFFERENT:
        return
    names = list(inspect.signature(getattr(tf.raw_ops, case.via or case.op)).parameters)
    for attr in (a for a in definition.attr if a.type == "type"):
        allowed = {tf.dtypes.as_dtype(t).name for t in attr.allowed_values.list.type} or {*NAMES}
        tied = [names.index(a.name) for a in definition.input_arg if a.type_attr == attr.name]
        tied = [i for i in tied if i < len(case.args)]
        for dtype in NAMES:
            if f"{case.op} {attr.name} {dtype}" in DIFFERENT or dtype in case.note:
                continue
            if dtype in allowed and tied:
                yield _variant(case, tied, dtype)


def _variant(case: Case, tied: list[int], dtype: str) -> Case:
    args = [in_dtype(a, dtype) if i in tied else a for i, a in enumerate(case.args)]
    given = {} if case.op in PRECISE else TOLERANCE.get(dtype, {})
    looser = {k: max(v, getattr(case, k)) for k, v in given.items() if k != "why"}
    return replace(case, args=args, note=f"{case.note} {dtype}", **looser)


def table(name: str) -> list[Case]:
    spec = importlib.util.spec_from_file_location(
        f"sweep_{name}", Path(__file__).parent / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list({case.op: case for case in reversed(module.CASES)}.values())


def runs_in_tensorflow(tf, case: Case) -> bool:
    from op_cases import _build

    try:
        with tf.Graph().as_default() as graph:
            built = _build(tf, graph, case, "only")
            with tf.compat.v1.Session(graph=graph) as session:
                session.run(built.expected, built.feeds)
    except (tf.errors.OpError, ValueError, TypeError):
        return False  # its CPU has no kernel for the dtype
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_every_dtype(name):
    import tensorflow as tf

    cases = [v for case in table(name) for v in _made(tf, case) if runs_in_tensorflow(tf, v)]
    bench, wrong = Bench(), []
    for case in cases:
        try:
            bench.compare(case, cases)
        except BadNode:
            pass  # refused with a reason, at compile time
        except Exception as error:  # noqa: BLE001 - all that is wrong is told at once
            wrong.append(f"{case}: {type(error).__name__} {str(error)[:200]}")
    assert not wrong, "\n".join(wrong)


def _made(tf, case: Case) -> list[Case]:
    try:
        return list(variants(tf, case))
    except (AttributeError, ValueError):
        return []  # arguments that are no arrays
