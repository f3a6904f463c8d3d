"""What a converter works with: the values of a graph so far, and a place to emit Relax into."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from tvm import relax, runtime, tirx
from tvm.ir import Type

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.dims import Dim, static_int
from dlcc.compiler.frontend.function import Function
from dlcc.compiler.frontend.graph import Graph, Node, TensorRef
from dlcc.compiler.frontend.journal import Journal
from dlcc.compiler.frontend.shape_values import shape_values
from dlcc.compiler.frontend.values import (
    Known,
    ListValue,
    Value,
    is_complex,
    known,
    part_of,
)

SHARED_FROM_BYTES = 1 << 16


class Converters(Protocol):
    """The table of ops, as the emitter knows it."""

    def convert(self, g: Emitter, node: Node) -> None:
        """Convert one node, and keep its results in the emitter's values."""

    def folded(self, g: Emitter, node: Node) -> Sequence[Any]:
        """A node's results where they are known now; else nothing. Nothing is emitted."""


# a function of the graph that calls itself would be translated without end
MAX_DEPTH = 50


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
        return self._noted(shape_values(self.builder, value.array, value.dtype))

    def const(self, array: Any, dtype: str) -> relax.Expr:
        """A constant tensor."""
        return relax.const(np.asarray(array, np.dtype(dtype)), dtype)

    def reshape(self, expr: relax.Expr, dims: Sequence[Dim]) -> relax.Expr:
        if empty := self.empty(self.normal(expr)):  # TVM cannot compare sizes that are 0
            return self.emit(relax.op.zeros(relax.ShapeExpr(list(dims)), empty.dtype))
        return relax.op.reshape(expr, relax.ShapeExpr(list(dims)))


def _shared(value: Known, tensor: relax.Expr) -> Known:
    """A large compile-time value on the memory of the tensor made of it: weights lie there once."""
    if value.array.nbytes < SHARED_FROM_BYTES or value.array.dtype.kind not in "fiu":
        return value
    return Known(np.from_dlpack(tensor.value), value.dtype)


def _typed(expr: relax.Expr) -> bool:
    """Whether the type is inferred: a call that was not emitted yet has the bare base type."""
    return type(expr.ty) is not Type
