"""Lists of tensors of one shape, kept as one tensor of rows: what the list ops share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tvm import relax, te, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.forms import Dims, equal
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import cut_rows, loop_kernel, product, wide
from dlcc.compiler.frontend.values import Known, ListValue, known
from dlcc.targets.in_place import SETS_ROW

_HINT = "set the element shape where the list is made, or write to it before it is read"


def list_of(g: Emitter, node: Node, index: int) -> ListValue:
    """Input `index` of a node, which must be a list."""
    value = g.value(node, index)
    if not isinstance(value, ListValue):
        raise BadNode(node, f"input {index} is no list of tensors made by an op known here")
    return value


def shape_input(g: Emitter, node: Node, index: int) -> Dims | None:
    """An element shape given as a tensor: -1 is an open dimension, a scalar an unknown rank."""
    value = g.value(node, index)
    if isinstance(value, Known) and value.array.ndim == 0:
        return None
    if not isinstance(value, Known):
        return tuple(g.dims(node, index))
    return tuple(None if isinstance(d, int) and d < 0 else d for d in g.dims(node, index))


def of_rows(g: Emitter, rows: relax.Expr, *, grows: bool = False) -> ListValue:
    """The list of a tensor's rows."""
    rows = g.normal(rows)
    size, *element = g.shape(rows)
    return ListValue(size, tuple(element), g.dtype(rows), rows, grows)


def rows_of(g: Emitter, node: Node, value: ListValue, element: Dims | None = None) -> relax.Expr:
    """The rows of a list: zeros where nothing was written. element: its shape, if known here."""
    if value.rows is not None:
        return value.rows
    dims = _merged(value.element, element)
    if dims is None or None in dims:
        raise BadNode(node, "reads a list before anything tells its elements' shape", hint=_HINT)
    return g.emit(relax.op.zeros(relax.ShapeExpr([value.size, *dims]), value.dtype))


def _merged(a: Dims | None, b: Dims | None) -> Dims | None:
    if a is None or b is None or len(a) != len(b):
        return a if a is not None else b
    return tuple(q if p is None else p for p, q in zip(a, b, strict=True))


def get_row(g: Emitter, node: Node, rows: relax.Expr, index: int) -> relax.Expr:
    """Row `index` (a scalar input of the node) of a tensor (n, …): shape (…)."""
    number = g.known(node, index)
    dims = g.shape(rows)
    if number is not None and isinstance(dims[0], int) and 0 <= int(number.item()) < dims[0]:
        at = int(number.item())
        return g.reshape(g.emit(relax.op.strided_slice(rows, [0], [at], [at + 1])), dims[1:])
    return gathered(g, rows, g.emit(g.arg(node, index)))


def gathered(g: Emitter, rows: relax.Expr, indices: relax.Expr) -> relax.Expr:
    """rows[indices]; 0 for an index outside, where TensorFlow fails."""
    depth = g.rank(indices)

    def compute(t: te.Tensor, at: te.Tensor) -> te.Tensor:
        def element(*i: Any) -> Any:
            k = wide(at[i[:depth]])
            inside = tirx.all(k >= 0, k < t.shape[0])
            value = t[(k, *i[depth:])]
            return tirx.if_then_else(inside, value, tirx.const(0, t.dtype))

        return te.compute([*at.shape, *t.shape[1:]], element, name="list_get")

    return g.te(compute, rows, indices, name="list_get")


def set_row(g: Emitter, node: Node, value: ListValue, index: int, item: relax.Expr) -> ListValue:
    """The list with one row replaced; longer, where it grows and the row is behind the end."""
    item = g.normal(item)
    dims = tuple(g.shape(item))
    rows = _fitting(g, node, value, dims)
    at = g.emit(g.arg(node, index))
    if value.grows:
        rows = _grown(g, rows, g.dims(node, index)[0])

    shape, inner = g.shape(rows), product(dims)

    def body(old: Any, k: Any, x: Any, out: Any) -> None:
        with T.serial(0, product(shape)) as i:
            out[i] = old[i]
        inside = tirx.all(wide(k[0]) >= 0, wide(k[0]) < shape[0])
        with T.If(inside), T.Then(), T.serial(0, inner) as j:
            out[wide(k[0]) * inner + j] = x[j]

    given, marked = [rows, at, item], {SETS_ROW: True}
    (made,) = loop_kernel(g, "list_set", given, [(shape, value.dtype)], body, attrs=marked)
    return of_rows(g, made, grows=value.grows)


def _fitting(g: Emitter, node: Node, value: ListValue, dims: Sequence[Dim]) -> relax.Expr:
    """The rows of a list, checked to have elements of these dimensions."""
    rows = rows_of(g, node, replace(value, element=tuple(dims)) if value.rows is None else value)
    own = g.shape(rows)[1:]
    clash = len(own) != len(dims) or any(
        isinstance(p, int) and isinstance(q, int) and p != q for p, q in zip(own, dims, strict=True)
    )
    if clash:
        raise BadNode(
            node, f"puts an element of shape {list(dims)} into a list of elements {own}",
            hint="a list whose elements differ in shape has no form as one tensor; pad them",
        )  # fmt: skip
    return rows


def _grown(g: Emitter, rows: relax.Expr, index: Dim) -> relax.Expr:
    size = g.shape(rows)[0]
    if isinstance(size, int) and isinstance(index, int):
        return resized(g, rows, max(size, index + 1))
    return resized(g, rows, tirx.max(size, index + 1))


def resized(g: Emitter, rows: relax.Expr, size: Dim) -> relax.Expr:
    """The rows cut, or filled up with zeros."""
    old = g.shape(rows)[0]
    if equal(old, size):
        return rows
    if isinstance(old, int) and isinstance(size, int) and size < old:
        return relax.op.strided_slice(rows, [0], [0], [size])

    def compute(t: te.Tensor, *given: Any) -> te.Tensor:
        n = given[0] if given else size

        def element(*i: Any) -> Any:
            return tirx.if_then_else(i[0] < t.shape[0], t[i], tirx.const(0, t.dtype))

        return te.compute([n, *t.shape[1:]], element, name="list_resize")

    symbols = [] if isinstance(size, int) else [size]
    return g.te(compute, rows, *symbols, name="list_resize")


def scattered(
    g: Emitter, node: Node, value: ListValue, indices: int, tensor: relax.Expr
) -> ListValue:
    """The list with rows of a tensor put where the indices (an input of the node) say."""
    tensor = g.normal(tensor)
    count, *dims = g.shape(tensor)
    numbers = g.known(node, indices)
    whole = equal(count, value.size) and numbers is not None
    if whole and np.array_equal(numbers, np.arange(len(numbers))):  # type: ignore[arg-type]
        return of_rows(g, tensor, grows=value.grows)
    rows = _fitting(g, node, value, dims)
    if value.grows:
        rows = _grown(g, rows, _last(g, node, indices))
    shape, inner = g.shape(rows), product(dims)

    def body(old: Any, at: Any, new: Any, out: Any) -> None:
        with T.serial(0, product(shape)) as i:
            out[i] = old[i]
        with T.serial(0, count) as k, T.serial(0, inner) as j:
            out[wide(at[k]) * inner + j] = new[k * inner + j]

    given = [rows, g.emit(g.arg(node, indices)), tensor]
    made = loop_kernel(g, "list_scatter", given, [(shape, value.dtype)], body)
    return of_rows(g, made[0], grows=value.grows)


def _last(g: Emitter, node: Node, indices: int) -> Dim:
    """The largest of the indices that an input holds."""
    numbers = g.known(node, indices)
    if numbers is not None:
        return int(numbers.max()) if numbers.size else -1
    return g.measured(node, g.emit(relax.op.max(g.arg(node, indices))))[0]


def scattered_size(g: Emitter, node: Node, indices: int) -> Dim:
    """How many rows a new list has that is scattered to the indices in an input."""
    return _last(g, node, indices) + 1


def concatenated(g: Emitter, rows: relax.Expr) -> tuple[relax.Expr, relax.Expr]:
    """(n, d, …) as (n * d, …), and the length d of each of the n elements (int64)."""
    count, length, *rest = g.shape(rows)
    lengths = g.tensor(known(np.array([length], object), "int64"))
    each = relax.op.broadcast_to(lengths, relax.ShapeExpr([count]))
    return g.reshape(rows, [count * length, *rest]), each


def parted(g: Emitter, node: Node, tensor: relax.Expr, lengths: int) -> relax.Expr:
    """A tensor (n * d, …) as n rows of length d; the lengths, an input, must all be d."""
    numbers = g.static(node, lengths, "the lengths").reshape(-1)
    if not numbers.size or (numbers != numbers[0]).any():
        raise BadNode(node, f"splits into elements of different lengths {list(numbers[:8])}")
    return g.reshape(tensor, [len(numbers), int(numbers[0]), *g.shape(tensor)[1:]])


def size_value(value: ListValue, dtype: str = "int32") -> Known:
    """The size of a list as a scalar."""
    array = np.empty((), object)
    array[()] = value.size
    return known(array, dtype)


def first_size(g: Emitter, rows: relax.Expr, size: Dim) -> relax.Expr:
    """The first rows of a tensor."""
    if isinstance(size, int):
        return relax.op.strided_slice(rows, [0], [0], [size])
    return cut_rows(g, rows, size)
