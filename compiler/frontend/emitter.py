"""What a converter works with: the values of a graph so far, and a place to emit Relax into."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from tvm import relax, runtime, te, tirx
from tvm.ir import Type
from tvm_ffi import structural_equal

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.function import Function
from dlcc.compiler.frontend.graph import Graph, Node, TensorRef
from dlcc.compiler.frontend.journal import Journal

# an int, or a symbolic dimension: an integer expression over the dimensions left open
Dim: TypeAlias = int | Any

SHARED_FROM_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Known:
    """A tensor known at compile time.

    array: its numbers, or an object array whose elements are int or symbolic dimensions.
    dtype: NumPy's name of the dtype it has in TensorFlow.
    """

    array: np.ndarray
    dtype: str

    @property
    def symbolic(self) -> bool:
        return self.array.dtype == object and self.dtype != "string"


@dataclass(frozen=True, slots=True)
class Complex:
    """A complex tensor as two real ones of a shape: TVM has no complex dtype."""

    real: relax.Expr
    imag: relax.Expr


@dataclass(frozen=True, slots=True)
class ListValue:
    """A TensorList or TensorArray whose elements have one shape.

    rows: (size, *element), or None before the first element is there: then all are zero.
    element: shape of an element, None where it is not known; so may each of its dimensions be.
    grows: whether writing behind the end makes the list longer.
    """

    size: Dim
    element: tuple[Dim | None, ...] | None
    dtype: str
    rows: relax.Expr | None = None
    grows: bool = False


Value: TypeAlias = "relax.Expr | Known | Complex | ListValue"


class Converters(Protocol):
    """The table of ops, as the emitter knows it."""

    def convert(self, g: Emitter, node: Node) -> None:
        """Convert one node, and keep its results in the emitter's values."""

    def folded(self, g: Emitter, node: Node) -> Sequence[Any]:
        """A node's results where they are known now; else nothing. Nothing is emitted."""


# a function of the graph that calls itself would be translated without end
MAX_DEPTH = 50


def known(array: Any, dtype: str | None = None) -> Known:
    """A compile-time value; an object array of plain ints becomes an array of numbers."""
    array = np.asarray(array)
    if array.dtype == object and dtype not in (None, "string"):
        flat = [static_int(v) for v in array.reshape(-1)]
        if all(v is not None for v in flat):
            array = np.array(flat, dtype).reshape(array.shape)
    return Known(array, dtype or array.dtype.name)


def is_complex(value: Value) -> bool:
    return isinstance(value, Complex) or (
        isinstance(value, Known) and value.array.dtype.kind == "c"
    )


def part_of(value: Value, part: str) -> Value:
    """The "real" or "imag" part of a complex value; any other value itself."""
    if isinstance(value, Complex):
        return value.real if part == "real" else value.imag
    if isinstance(value, Known) and is_complex(value):
        return known(np.ascontiguousarray(getattr(value.array, part)))
    return value


def static_int(dim: Any) -> int | None:
    """The int that a dimension is, or None where it is symbolic."""
    if isinstance(dim, tirx.IntImm):
        return int(dim.value)
    return int(dim) if isinstance(dim, int | np.integer) else None


def same_dim(a: Dim, b: Dim) -> bool:
    """Whether two dimensions are equal whatever the open ones turn out to be."""
    if isinstance(a, int) or isinstance(b, int):
        return isinstance(a, int) and isinstance(b, int) and a == b
    return bool(structural_equal(a, b))


def smaller_dim(a: Dim, b: Dim) -> Dim:
    """The smaller of two dimensions."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    return a if same_dim(a, b) else tirx.min(a, b)


def larger_dim(a: Dim, b: Dim) -> Dim:
    """The larger of two dimensions."""
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    return a if same_dim(a, b) else tirx.max(a, b)


class Emitter:
    """Values by tensor, and the Relax function under construction."""

    def __init__(
        self,
        graph: Graph,
        builder: relax.BlockBuilder,
        converters: Converters,
        outer: Emitter | None = None,
    ) -> None:
        self.graph = graph
        self.builder = builder
        self.values: dict[TensorRef, Value] = {}
        self.converters = converters
        self.hint = ""  # names the variables of the node that is converted now
        self._tensors: dict[TensorRef, relax.Expr] = {}
        self._parts: Sequence[str] = ()
        self._narrow = self._wide = ""  # the dtype whose tensors are read in a wider one
        self._measured: list[tirx.Var] = outer._measured if outer else []
        # dimensions born on the way, in the order of their birth: see forms.py
        self.symbols: list[tirx.Var] = outer.symbols if outer else []
        self.keep_checks: bool = outer.keep_checks if outer else False
        self.depth: int = outer.depth + 1 if outer else 0
        self.inner: int = outer.inner if outer else 0  # > 0 in a block that may never run
        self.journal: Journal = outer.journal if outer else Journal()
        self.scope: str = outer.scope if outer else ""  # before the names of nodes: "FUNCTION/"

    def call(self, node: Node, function: Function, values: Sequence[Value]) -> list[Value]:
        """The results of a function of the graph, translated in place."""
        if self.depth > MAX_DEPTH:
            raise BadNode(node, f"calls {function.name!r} inside of itself, {MAX_DEPTH} deep")
        if len(values) != len(function.arguments):
            raise BadNode(
                node,
                f"{len(values)} arguments for {function.name!r}, "
                f"which takes {len(function.arguments)}",
            )
        inner = self.within(function)
        self.journal.note(f"calls {function.name}, whose nodes stand in its place")
        inner.values.update(zip(function.arguments, values, strict=True))
        for step in function.nodes:
            self.converters.convert(inner, step)
        return [inner.values[ref] for ref in function.results]

    def within(self, function: Function) -> Emitter:
        """An emitter for the nodes of a function, without values yet."""
        graph = Graph(function.name, function.nodes, (), (), self.graph.functions)
        inner = Emitter(graph, self.builder, self.converters, self)
        inner.scope = f"{function.name}/" if function.named else self.scope
        return inner

    # ---- inputs of a node

    def value(self, node: Node, index: int) -> Value:
        """Input `index` of a node, as a tensor or a compile-time value."""
        if index >= len(node.inputs):
            raise BadNode(node, f"has {len(node.inputs)} inputs, at least {index + 1} expected")
        ref = node.inputs[index]
        if ref not in self.values:
            raise BadNode(node, f"reads {str(ref)!r}, which its node does not make")
        value = self.values[ref]
        if self._narrow and self.input_dtype(node, index) == self._narrow:
            return self._widened(value)
        return part_of(value, self._parts[index]) if self._parts else value

    def input_dtype(self, node: Node, index: int) -> str:
        """NumPy's name of the dtype of an input; "" for a list of tensors and what is not there."""
        value = self.values.get(node.inputs[index])
        if isinstance(value, Known):
            return value.dtype
        return self.dtype(value) if isinstance(value, relax.Expr) else ""

    def _widened(self, value: Value) -> Value:
        if isinstance(value, Known):
            return known(value.array.astype(self._wide))
        return self.emit(relax.op.astype(value, self._wide))

    def arg(self, node: Node, index: int) -> relax.Expr:
        """Input `index` of a node as a Relax tensor."""
        value = self.value(node, index)
        if is_complex(value):
            raise BadNode(node, f"has no form for complex numbers (input {index})")
        if isinstance(value, ListValue):
            raise BadNode(node, f"reads a list of tensors as a tensor (input {index})")
        if not isinstance(value, Known):
            return value
        if self._parts or self._narrow:
            return self.tensor(value)
        ref = node.inputs[index]
        if ref not in self._tensors:
            self._tensors[ref] = self.tensor(value)
            self.values[ref] = _shared(value, self._tensors[ref])
        return self._tensors[ref]

    def args(self, node: Node) -> list[relax.Expr]:
        """All inputs of a node as Relax tensors."""
        return [self.arg(node, i) for i in range(len(node.inputs))]

    def known(self, node: Node, index: int) -> np.ndarray | None:
        """The numbers of an input where they are known at compile time, else None."""
        value = self.value(node, index)
        if isinstance(value, Known) and not value.symbolic:
            return value.array
        return None

    def static(self, node: Node, index: int, what: str) -> np.ndarray:
        """The numbers of an input that must be known at compile time; raises BadNode."""
        array = self.known(node, index)
        if array is None:
            raise BadNode(
                node,
                f"{what} (input {index}, {str(node.inputs[index])!r}) is computed at run time",
                hint="a constant is needed here; give fixed shapes with --input NAME=…, if it "
                "is computed from a shape",
            )
        return array

    def dims(self, node: Node, index: int) -> list[Dim]:
        """An input that holds dimensions: each an int or a symbolic dimension.

        Numbers computed at run time are measured: see `measured`. Raises BadNode where even
        their count is not known.
        """
        value = self.value(node, index)
        if not isinstance(value, Known):
            return self.measured(node, self.arg(node, index))
        return [v if isinstance(v, tirx.Expr) else int(v) for v in value.array.reshape(-1)]

    def measured(self, node: Node, numbers: relax.Expr) -> list[Dim]:
        """The integers in a tensor computed at run time, as symbolic dimensions; any may be < 0.

        `translate` starts a new dataflow block behind each of these points: TVM's fusion moves
        kernels within a block, also before the binding that their dimensions come from.
        """
        names = self.counted(node, numbers)
        self._measured += names
        return names

    def counted(self, node: Node, numbers: relax.Expr) -> list[Dim]:
        """As `measured`, of integers none of which is negative."""
        dims = self.shape(numbers)
        if not all(isinstance(d, int) for d in dims):
            raise BadNode(
                node,
                f"the rank of its result depends on values: a shape of {dims} numbers",
                hint="give the model fixed shapes there: --input NAME=…",
            )
        count = int(np.prod(dims))
        flat = self.reshape(relax.op.astype(numbers, "int64"), [count])
        shape = self.emit(relax.op.tensor_to_shape(self.emit(flat)))
        names = [self.symbol() for _ in range(count)]
        self.builder.match_cast(shape, relax.ShapeType(names))
        return list(names)

    def symbol(self) -> tirx.Var:
        """A new symbolic dimension."""
        self.symbols.append(tirx.Var(f"dim{len(self.symbols)}", "int64"))
        return self.symbols[-1]

    def wrapped(self, dim: Dim, extent: Dim) -> Dim:
        """A position that counts from the end where it is negative."""
        if isinstance(dim, int):
            return dim + extent if dim < 0 else dim
        if self.may_be_negative(dim):
            return tirx.Select(dim < 0, dim + extent, dim)
        return dim

    def may_be_negative(self, dim: Dim) -> bool:
        """Whether a symbolic dimension is a number measured at run time, not an extent."""
        return any(dim.same_as(m) for m in self._measured) if not isinstance(dim, int) else False

    @contextmanager
    def as_parts(self, parts: Sequence[str]) -> Iterator[None]:
        """Within it a node's inputs are their real or imaginary parts: one name an input."""
        self._parts = parts
        try:
            yield
        finally:
            self._parts = ()

    @contextmanager
    def widened(self, narrow: str, wide: str) -> Iterator[None]:
        """Within it inputs of one dtype are read in another that holds all its values."""
        self._narrow, self._wide = narrow, wide
        try:
            yield
        finally:
            self._narrow = self._wide = ""

    # ---- facts about tensors

    def shape(self, expr: relax.Expr) -> list[Dim]:
        """Dimensions of a tensor, each an int or symbolic; raises ValueError where unknown."""
        shape = self.normal(expr).ty.shape
        if not isinstance(shape, relax.ShapeExpr):
            raise ValueError("the shape of a tensor depends on its values")
        dims = [static_int(d) for d in shape.values]
        return [d if i is None else i for i, d in zip(dims, shape.values, strict=True)]

    def static_shape(self, node: Node, expr: relax.Expr) -> list[int]:
        """Dimensions of a tensor that must all be known; raises BadNode."""
        dims = self.shape(expr)
        if not all(isinstance(d, int) for d in dims):
            raise BadNode(
                node, f"needs fixed dimensions, has {dims}", hint="give them: --input NAME=1,…"
            )
        return [int(d) for d in dims]

    def empty(self, expr: relax.Expr) -> Known | None:
        """The value of a tensor that certainly has no elements; None for any other."""
        shape = getattr(expr.ty, "shape", None)
        dims = list(shape.values) if isinstance(shape, relax.ShapeExpr) else []
        sizes = [static_int(d) for d in dims]
        if 0 not in sizes or None in sizes:
            return None
        dtype = str(expr.ty.dtype)
        return Known(np.empty([int(s or 0) for s in sizes], np.dtype(dtype)), dtype)

    def rank(self, expr: relax.Expr) -> int:
        return int(self.normal(expr).ty.ndim)

    def dtype(self, expr: relax.Expr) -> str:
        return str(self.normal(expr).ty.dtype)

    # ---- emission

    def normal(self, expr: relax.Expr) -> relax.Expr:
        """The expression with its type inferred."""
        return expr if _typed(expr) else self.emit(expr)

    def emit(self, expr: relax.Expr, name: str = "") -> relax.Expr:
        """Bind an expression to a variable; its type is inferred."""
        return self._noted(self.builder.emit(expr, name or self.hint))

    def _noted(self, var: relax.Var) -> relax.Var:
        self.journal.bound(str(var.name))
        return var

    def te(
        self,
        compute: Callable[..., Any],
        *args: Any,
        name: str = "kernel",
        attrs: Mapping[str, Any] | None = None,
    ) -> relax.Expr:
        """Emit a kernel written as a tensor expression over `args` (tensors, or symbolic ints)."""
        args = tuple(self.normal(a) if isinstance(a, relax.Expr) else a for a in args)
        more = {"primfunc_attrs": dict(attrs)} if attrs else {}
        made = self.builder.emit_te(compute, *args, primfunc_name_hint=name, **more)
        return self._noted(made)

    def tensor(self, value: Known) -> relax.Expr:
        """A compile-time value as a Relax tensor."""
        if not value.array.size:  # TVM stores no constant without elements
            return self.emit(relax.op.zeros(relax.ShapeExpr(value.array.shape), value.dtype))
        if not value.symbolic:
            array = np.asarray(value.array, value.dtype, order="C")
            return relax.const(runtime.tensor(array), value.dtype)
        flat = list(value.array.reshape(-1))
        shape = value.array.shape

        def fill(*dims: Any) -> te.Tensor:
            def element(*index: Any) -> Any:
                at = _flat_index(index, shape)
                result = tirx.Cast(value.dtype, dims[-1])
                for i, dim in reversed(list(enumerate(dims[:-1]))):
                    result = tirx.Select(at == i, tirx.Cast(value.dtype, dim), result)
                return result

            return te.compute(shape, element, name="shape_values")

        dims = [d if isinstance(d, tirx.Expr) else tirx.IntImm("int64", int(d)) for d in flat]
        made = self.builder.emit_te(fill, *dims, primfunc_name_hint="shape_values")
        return self._noted(made)

    def const(self, array: Any, dtype: str) -> relax.Expr:
        """A constant tensor."""
        return relax.const(np.asarray(array, np.dtype(dtype)), dtype)

    def reshape(self, expr: relax.Expr, dims: Sequence[Dim]) -> relax.Expr:
        if empty := self.empty(self.normal(expr)):  # TVM cannot compare sizes that are 0
            return self.tensor(Known(np.empty(list(dims), empty.array.dtype), empty.dtype))
        return relax.op.reshape(expr, relax.ShapeExpr(list(dims)))


def _shared(value: Known, tensor: relax.Expr) -> Known:
    """A large compile-time value on the memory of the tensor made of it: weights lie there once."""
    if value.array.nbytes < SHARED_FROM_BYTES or value.array.dtype.kind not in "fiu":
        return value
    return Known(np.from_dlpack(tensor.value), value.dtype)


def _typed(expr: relax.Expr) -> bool:
    """Whether the type is inferred: a call that was not emitted yet has the bare base type."""
    return type(expr.ty) is not Type


def _flat_index(index: Sequence[Any], shape: Sequence[int]) -> Any:
    at: Any = tirx.IntImm("int64", 0)
    for i, extent in zip(index, shape, strict=True):
        at = at * extent + i
    return at
