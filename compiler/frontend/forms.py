"""What is known of a value that several ways of computing it share: branches, or iterations.

A form is what both have in common. Dimensions on which they differ are open, and so are those that
only one of them knows: a dimension measured inside of a branch has no name outside of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from tvm import relax, sym, tirx
from tvm.tirx.analysis import undefined_vars

from dlcc.compiler.frontend.complex_parts import PART_DTYPES, paired, unpaired, value_dtype
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.values import Complex, Known, ListValue, Value

Dims: TypeAlias = tuple["Dim | None", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """The same value always: no tensor is passed for it."""

    value: Value


@dataclass(frozen=True, slots=True, eq=False)
class TensorForm:
    """A tensor. dims: None where it is open."""

    dims: Dims
    dtype: str


@dataclass(frozen=True, slots=True, eq=False)
class ListForm:
    """A list of tensors as the tensor of its rows.

    element: None before anything tells the shape of an element: then there are no rows.
    """

    size: Dim | None
    element: Dims | None
    dtype: str
    rows: bool
    grows: bool


Form: TypeAlias = Fixed | TensorForm | ListForm


class Unlike(ValueError):
    """Two values that have no form in common."""


def form_of(g: Emitter, value: Value) -> TensorForm | ListForm:
    """The form of one value."""
    if isinstance(value, Known):
        return TensorForm(value.array.shape, value.dtype)
    if not isinstance(value, ListValue):
        part = value.real if isinstance(value, Complex) else value
        return TensorForm(tuple(g.shape(part)), value_dtype(g, value))
    size, element = value.size, value.element
    if value.rows is not None:
        size, *rest = g.shape(value.rows)
        element = tuple(rest)
    return ListForm(size, element, value.dtype, value.rows is not None, value.grows)


def same(a: Value, b: Value) -> bool:
    """Whether two values are certainly the same."""
    if a is b:
        return True
    if isinstance(a, Known) and isinstance(b, Known):
        if a.symbolic or b.symbolic or a.dtype != b.dtype:
            return False
        return a.array.shape == b.array.shape and a.array.tobytes() == b.array.tobytes()
    if isinstance(a, ListValue) and isinstance(b, ListValue):
        if a.rows is None or b.rows is None:
            alike = a.rows is b.rows and a.dtype == b.dtype and equal(a.size, b.size)
            return alike and a.element is b.element
        return same(a.rows, b.rows)
    return isinstance(a, relax.Var) and isinstance(b, relax.Var) and bool(a.same_as(b))


def equal(a: Dim | None, b: Dim | None) -> bool:
    """Whether two dimensions are certainly equal."""
    if a is None or b is None:
        return False
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    return bool(sym.Analyzer().can_prove_equal(_wide(a), _wide(b)))


def _wide(dim: Dim) -> Any:
    return tirx.IntImm("int64", dim) if isinstance(dim, int) else dim


def joined(g: Emitter, a: Form, b: Form, mark: int) -> TensorForm | ListForm:
    """The form that covers both; raises Unlike.

    mark: dimensions that were born later (positions in g.symbols) have no name out here.
    """
    a, b = (form_of(g, f.value) if isinstance(f, Fixed) else f for f in (a, b))
    born = g.symbols[mark:]
    if isinstance(a, TensorForm) and isinstance(b, TensorForm):
        if a.dtype != b.dtype or len(a.dims) != len(b.dims):
            raise Unlike(f"{_text(a.dims, a.dtype)} and {_text(b.dims, b.dtype)}")
        return TensorForm(_joined_dims(a.dims, b.dims, born), a.dtype)
    if not isinstance(a, ListForm) or not isinstance(b, ListForm):
        raise Unlike("a list and a tensor")
    (size,) = _joined_dims((a.size,), (b.size,), born)
    return ListForm(size, _element(a, b, born), a.dtype, a.rows or b.rows, a.grows or b.grows)


def _element(a: ListForm, b: ListForm, born: Sequence[Any]) -> Dims | None:
    if a.rows != b.rows:
        settled = a if a.rows else b
        assert settled.element is not None
        return _joined_dims(settled.element, settled.element, born)
    if a.element is None or b.element is None:
        return a.element or b.element
    if len(a.element) != len(b.element):
        raise Unlike(f"elements of shape {a.element} and {b.element}")
    return _joined_dims(a.element, b.element, born)


def _joined_dims(a: Dims, b: Dims, born: Sequence[Any]) -> Dims:
    return tuple(
        p if equal(p, q) and not _uses(p, born) else None for p, q in zip(a, b, strict=True)
    )


def _uses(dim: Dim | None, names: Sequence[Any]) -> bool:
    if dim is None or isinstance(dim, int):
        return False
    return any(v.same_as(n) for v in undefined_vars(dim) for n in names)


def _text(dims: Dims, dtype: str) -> str:
    return f"{dtype} ({', '.join('?' if d is None else str(d) for d in dims)})"


def wider(a: Form, b: Form) -> bool:
    """Whether form b leaves more open than form a, of the same value."""
    if isinstance(a, Fixed) or isinstance(b, Fixed):
        return isinstance(a, Fixed) != isinstance(b, Fixed)
    return _open(a) != _open(b) or getattr(a, "rows", None) != getattr(b, "rows", None)


def _open(form: TensorForm | ListForm) -> list[bool]:
    return [d is None for d in _dims(form)]


def _dims(form: TensorForm | ListForm) -> Dims:
    if isinstance(form, TensorForm):
        return form.dims
    return (form.size, *(form.element or ()))


def leaf(g: Emitter, value: Value, form: Form) -> list[relax.Expr]:
    """The tensor that carries a value of this form: none, or one."""
    if isinstance(form, Fixed):
        return []
    if isinstance(value, ListValue):
        assert isinstance(form, ListForm)
        if not form.rows:
            if form.size is None:
                raise Unlike("lists of different size, of elements whose shape is not known")
            return []
        return [g.emit(value.rows if value.rows is not None else _zeros(value, form))]
    return [g.emit(paired(g, value))]


def _zeros(value: ListValue, form: ListForm) -> relax.Expr:
    element = form.element
    if element is not None and form.dtype == "variant":
        # encoded elements differ in length, and get more of it where it is needed
        element = tuple(1 if d is None else d for d in element)
    if element is None or None in element:
        raise Unlike("a list whose elements' shape is not known before its first one")
    return relax.op.zeros(relax.ShapeExpr([value.size, *element]), list_dtype(form.dtype))


def list_dtype(dtype: str) -> str:
    """The dtype of the tensor of a list's rows: variants are encoded, see variants.py."""
    return "int64" if dtype == "variant" else dtype


def declared(g: Emitter, form: Form) -> relax.TensorType | None:
    """The type of the tensor that carries a value of this form, with a name for what is open."""
    if isinstance(form, Fixed) or (isinstance(form, ListForm) and not form.rows):
        return None
    dims = [g.symbol() if d is None else d for d in _dims(form)]
    if form.dtype in PART_DTYPES:
        dims.append(2)
    return relax.TensorType(dims, PART_DTYPES.get(form.dtype, list_dtype(form.dtype)))


def rebuilt(g: Emitter, form: Form, tensor: relax.Expr | None) -> Value:
    """The value that a tensor carries."""
    if isinstance(form, Fixed):
        return form.value
    if isinstance(form, TensorForm):
        assert tensor is not None
        if form.dtype in PART_DTYPES:
            return unpaired(g, tensor)
        return g.empty(tensor) or tensor
    if tensor is None:
        assert form.size is not None
        return ListValue(form.size, form.element, form.dtype, None, form.grows)
    size, *element = g.shape(tensor)
    return ListValue(size, tuple(element), form.dtype, tensor, form.grows)


def is_number(value: Value) -> bool:
    """Whether a value is known at compile time as plain numbers."""
    return isinstance(value, Known) and not value.symbolic and value.array.dtype != np.object_
