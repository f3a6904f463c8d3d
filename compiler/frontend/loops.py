"""Kernels that are loops in an order, for ops whose steps depend on those before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import relax, te, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T
from tvm.tirx.analysis import undefined_vars

from dlcc.compiler.frontend.dims import Dim, static_int
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node

# (buffers, each indexed by its flat position; then the symbolic ints) -> emits statements
Body = Callable[..., None]


def loop_kernel(
    g: Emitter,
    name: str,
    inputs: Sequence[relax.Expr],
    outputs: Sequence[tuple[Sequence[Dim], str]],
    body: Body,
    dims: Sequence[Dim] = (),
    attrs: Mapping[str, Any] | None = None,
) -> list[relax.Expr]:
    """Emit one sequential kernel.

    outputs: (shape, dtype) of each; scratch memory is an output that nobody reads.
    dims: dimensions that the body speaks of, where they are in no shape of a tensor.
    attrs: of the kernel, for passes that know it by them.
    body(*input buffers, *output buffers): emits the loops; a buffer's index is flat, row-major.
        One without elements is never indexed when it runs.
    """
    inputs = [_not_empty(g, t) for t in inputs]
    made = [([1] if _is_empty(shape) else shape, dtype) for shape, dtype in outputs]
    results = _kernel(g, name, inputs, made, body, dims, attrs)
    return [
        g.emit(relax.op.zeros(relax.ShapeExpr(shape), dtype)) if _is_empty(shape) else result
        for (shape, dtype), result in zip(outputs, results, strict=True)
    ]


def _kernel(
    g: Emitter,
    name: str,
    inputs: Sequence[relax.Expr],
    outputs: Sequence[tuple[Sequence[Dim], str]],
    body: Body,
    dims: Sequence[Dim],
    attrs: Mapping[str, Any] | None,
) -> list[relax.Expr]:
    symbols = [d for shape, _ in outputs for d in shape if not isinstance(d, int)]
    outer = _variables([dims, *(shape for shape, _ in outputs), *(g.shape(t) for t in inputs)])

    def compute(*given: Any) -> Any:
        sizes = iter(given[len(inputs) :])
        shapes = [[d if isinstance(d, int) else next(sizes) for d in s] for s, _ in outputs]
        # TVM gives the kernel variables of its own; the body speaks of those of the graph
        bound = [tirx.Bind(var, inner) for var, inner in zip(outer, sizes, strict=True)]

        def emit(ins: Sequence[Any], outs: Sequence[Any]) -> Any:
            with IRBuilder() as builder:
                with T.seq_scope():
                    body(*(T.buffer_proxy(b) for b in (*ins, *outs)))
                return tirx.SeqStmt([*bound, builder.get()]) if bound else builder.get()

        tensors = list(given[: len(inputs)])
        return te.extern(shapes, tensors, emit, dtype=[d for _, d in outputs], name=name)

    made = g.te(compute, *inputs, *symbols, *outer, name=name, attrs=attrs)
    if len(outputs) == 1:
        return [made]
    return [g.emit(relax.TupleGetItem(made, i)) for i in range(len(outputs))]


def _not_empty(g: Emitter, tensor: relax.Expr) -> relax.Expr:
    """The tensor, or one element for none: TVM cannot write an index into nothing."""
    return g.const([0], g.dtype(tensor)) if _is_empty(g.shape(tensor)) else tensor


def _is_empty(shape: Sequence[Dim]) -> bool:
    return any(static_int(d) == 0 for d in shape)


def _variables(shapes: Sequence[Sequence[Dim]]) -> list[tirx.Var]:
    """The variables in shapes, each once."""
    found: dict[tirx.Var, None] = {}
    for dim in (d for shape in shapes for d in shape if not isinstance(d, int)):
        found |= dict.fromkeys(undefined_vars(dim))
    return list(found)


def first_rows(g: Emitter, node: Node, tensors: Sequence[Any], count: relax.Expr) -> list[Any]:
    """The first `count` rows of each tensor: a result whose length depends on values."""
    (rows,) = g.measured(node, count)
    return [cut_rows(g, t, rows) for t in tensors]


def cut_rows(g: Emitter, x: relax.Expr, rows: Dim) -> relax.Expr:
    """The first `rows` rows of a tensor."""

    def compute(t: te.Tensor, n: Any) -> te.Tensor:
        return te.compute([n, *t.shape[1:]], lambda *i: t(*i), name="rows")

    return g.te(compute, x, rows, name="rows")


def product(dims: Sequence[Any]) -> Any:
    """The product of dimensions, 1 for none, as a 64-bit expression or an int."""
    total: Any = 1
    for dim in dims:
        total = total * dim
    return total


def wide(value: Any) -> Any:
    """An element as a 64-bit index."""
    return tirx.Cast("int64", value)
