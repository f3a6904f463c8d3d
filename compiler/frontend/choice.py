"""A choice between two functions of the graph at run time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import relax

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.closure import Closure, block_of, closure
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.forms import (
    Fixed,
    Form,
    Unlike,
    declared,
    form_of,
    joined,
    leaf,
    rebuilt,
    same,
)
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.values import Known, ListValue, Value

Branch = Callable[[], Sequence[Value]]


def truth(g: Emitter, node: Node, value: Value) -> bool | relax.Expr:
    """Whether a tensor is true, by TensorFlow's rule, as a bool or as a scalar tensor.

    A scalar is true where it is not 0, any other tensor where it has elements.
    Source: tensorflow/core/kernels/functional_ops.cc, ToBool.
    """
    if isinstance(value, ListValue):
        raise BadNode(node, "a list of tensors decides nothing")
    if isinstance(value, Known):
        if not value.symbolic:
            return bool(value.array.item() if value.array.ndim == 0 else value.array.size)
        value = g.tensor(value)
    if g.rank(value):
        return all(d > 0 for d in g.static_shape(node, value))
    if g.dtype(value) == "bool":
        return g.normal(value)
    return g.emit(relax.op.not_equal(value, g.const(0, g.dtype(value))))


def choose(g: Emitter, node: Node, condition: Value, yes: Branch, no: Branch) -> list[Value]:
    """The values of one of two branches; only the chosen one runs.

    Before:  y = exp(x) if p else relu(x)
    After:   y = branch_0(x) if p else branch_1(x)

    A condition known now emits its branch in place.
    """
    decided = truth(g, node, condition)
    if isinstance(decided, bool):
        g.journal.note(f"its condition is known: {str(decided).lower()}")
        return list((yes if decided else no)())
    arms = yes_arm, no_arm = _Arm.of(g, yes), _Arm.of(g, no)
    try:
        pairs = zip(yes_arm.values, no_arm.values, strict=True)
        forms = [_shared(g, a, b, yes_arm.mark) for a, b in pairs]
        made = [arm.closed(g, forms, "branch") for arm in arms]
    except Unlike as error:
        raise BadNode(node, f"its branches do not agree: {error}") from error
    if all(isinstance(f, Fixed) for f in forms):
        return [rebuilt(g, f, None) for f in forms]
    g.journal.note(f"a choice of {' and '.join(m.function.name_hint for m in made)}")
    whole = g.emit(relax.If(decided, *(m() for m in made)))
    return unpacked(g, forms, whole)


def unpacked(g: Emitter, forms: Sequence[Form], whole: relax.Expr) -> list[Value]:
    """Values from the tuple of the tensors that carry them."""
    values: list[Value] = []
    position = 0
    for form in forms:
        type_ = declared(g, form)
        tensor = None
        if type_ is not None:
            tensor = g.emit(relax.TupleGetItem(whole, position))
            position += 1
            if not isinstance(tensor.ty.shape, relax.ShapeExpr):
                tensor = g.builder.match_cast(tensor, type_)
        values.append(rebuilt(g, form, tensor))
    return values


def _shared(g: Emitter, a: Value, b: Value, mark: int) -> Form:
    return Fixed(a) if same(a, b) else joined(g, form_of(g, a), form_of(g, b), mark)


@dataclass(frozen=True)
class _Arm:
    """A branch translated into a block of its own. mark: dimensions born before it."""

    values: list[Value]
    block: relax.BindingBlock
    mark: int

    @classmethod
    def of(cls, g: Emitter, branch: Branch) -> _Arm:
        values: list[Value] = []
        mark = len(g.symbols)
        block = block_of(g, lambda: values.extend(branch()))
        return cls(values, block, mark)

    def closed(self, g: Emitter, forms: Sequence[Form], name: str) -> Closure:
        out: list[relax.Var] = []

        def emit() -> None:
            pairs = zip(self.values, forms, strict=True)
            leaves = [t for v, f in pairs for t in leaf(g, v, f)]
            out.append(g.emit(relax.Tuple(leaves)))

        last = block_of(g, emit)
        return closure(g, name, [], [self.block, last], out[0])
