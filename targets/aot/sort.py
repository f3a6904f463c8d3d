"""Sorting without TVM's runtime library, which programs of their own do not have."""

from __future__ import annotations

import math
from typing import Any

import tvm
from tvm import relax, te, tirx
from tvm.ir import IRModule, Op
from tvm.relax.expr_functor import PyExprMutator, mutator
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from dlcc.targets.cpu.matmul import dims, static
from dlcc.targets.rewriting import rewritten

SORTS = ("relax.sort", "relax.argsort", "relax.topk")
RESULTS = {"both": "vi", "values": "v", "indices": "i"}


def sort_on_own(mod: IRModule, target: tvm.target.Target) -> IRModule:
    """Operators that sort tensors of known shape -> kernels that do it, in front of legalization.

    Before:  p = topk(x, k=2, largest=True)
    After:   p = call_tir(sorted, x)    its results, and scratch memory behind them
    """
    with target:
        return rewritten(mod, _Sorter(mod))


@mutator
class _Sorter(PyExprMutator):  # type: ignore[misc]
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = self.visit_expr_post_order(call)
        if not isinstance(call.op, Op) or call.op.name not in SORTS:
            return call
        shape = call.args[0].ty.shape
        if shape is None or not all(static(d) for d in dims(call.args[0])):
            return call
        both = call.op.name == "relax.topk" and str(call.attrs.ret_type) == "both"
        made = self.builder_.emit(_sorted(self.builder_, call))
        return made if both else relax.TupleGetItem(made, 0)


def _sorted(bb: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """The results of a call; then scratch memory."""
    x, attrs, name = call.args[0], call.attrs, call.op.name
    shape = [int(d) for d in dims(x)]
    axis = int(attrs.axis) % len(shape)
    if name == "relax.topk":
        results, down = RESULTS[str(attrs.ret_type)], bool(attrs.largest)
        count = int(attrs.k) if 0 < int(attrs.k) < shape[axis] else shape[axis]
    else:
        results, down = "v" if name == "relax.sort" else "i", bool(attrs.descending)
        count = shape[axis]
    kept = [*shape[:axis], count, *shape[axis + 1 :]]
    own = {"v": str(x.ty.dtype), "i": str(getattr(attrs, "dtype", "int32"))}
    size, inner = shape[axis], math.prod(shape[axis + 1 :])

    def compute(t: te.Tensor) -> Any:
        def emit(ins: list[Any], outs: list[Any]) -> Any:
            data, *buffers = (T.buffer_proxy(b) for b in (*ins, *outs))
            with IRBuilder() as builder:
                rows = T.serial(0, math.prod(shape) // (size * inner)), T.serial(0, inner)
                with T.seq_scope(), rows[0] as o, rows[1] as i:
                    start = o * size * inner + i
                    _row(data, buffers[-3:], start, (size, inner), down)
                    with T.serial(0, count) as j:
                        at = buffers[-3][j]
                        for kind, out in zip(results, buffers, strict=False):
                            value = data[start + at * inner] if kind == "v" else at
                            out[(o * count + j) * inner + i] = tirx.Cast(own[kind], value)
                return builder.get()

        shapes = [kept] * len(results) + [[size], [size], [3]]
        dtypes = [own[kind] for kind in results] + ["int32"] * 3
        return te.extern(shapes, [t], emit, dtype=dtypes, name="sorted")

    return bb.call_te(compute, x, primfunc_name_hint="sorted")


def _row(data: Any, scratch: list[Any], start: Any, size: tuple[int, int], down: bool) -> None:
    """Emit a merge sort of one row, stable: among equals the lower index comes first.

    data: flat.   start: of the row.   size: elements of the row, and their distance.
    scratch: order int32[n], which becomes the indices in their order; other int32[n]; steps
    int32[3]: the next of the left run and of the right, and whether it is the right one's turn.
    A NaN counts as equal to everything, as in TensorFlow's comparisons.
    """
    (order, other, steps), n = scratch, size[0]
    with T.serial(0, n) as j:
        order[j] = j
    with T.serial(0, max(0, n - 1).bit_length()) as level:
        half = tirx.const(1, "int32") << level
        with T.serial(0, tirx.floordiv(n + 2 * half - 1, 2 * half)) as run:
            low = run * 2 * half
            middle, high = tirx.min(low + half, n), tirx.min(low + 2 * half, n)
            steps[0] = low
            steps[1] = middle
            with T.serial(0, high - low) as p:
                _take_one(data, scratch, low + p, (middle, high), (start, *size), down)
        with T.serial(0, n) as j:
            order[j] = other[j]


def _take_one(
    data: Any,
    scratch: list[Any],
    place: Any,
    ends: tuple[Any, Any],
    row: tuple[Any, int, int],
    down: bool,
) -> None:
    """Emit the choice of the next element of two sorted runs that end at `ends`."""
    (order, other, steps), (middle, high), (start, n, distance) = scratch, ends, row
    left, right = (order[tirx.min(steps[side], n - 1)] for side in (0, 1))
    a, b = data[start + left * distance], data[start + right * distance]
    goes_first = b > a if down else b < a  # not its negation, which a NaN would make true
    taken = tirx.all(steps[1] < high, tirx.any(steps[0] >= middle, goes_first))
    steps[2] = tirx.Cast("int32", taken)
    other[place] = tirx.Select(steps[2] == 1, right, left)
    steps[0] = steps[0] + 1 - steps[2]
    steps[1] = steps[1] + steps[2]
