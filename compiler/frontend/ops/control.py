"""Branches, loops and calls in their functional form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tvm import relax

from dlcc.compiler.errors import BadAttr, BadNode
from dlcc.compiler.frontend.choice import choose
from dlcc.compiler.frontend.counted import for_loop, mapped
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.function import Function
from dlcc.compiler.frontend.graph import FuncRef, Node
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.repeat import Loop
from dlcc.compiler.frontend.values import Value

CONTROL = OpTable()


def _values(g: Emitter, node: Node, first: int = 0) -> list[Value]:
    return [g.value(node, i) for i in range(first, len(node.inputs))]


def _function(g: Emitter, node: Node, attr: str) -> Function:
    return _named(g, node, attr, node.attr(attr))


def _named(g: Emitter, node: Node, attr: str, ref: object) -> Function:
    if not isinstance(ref, FuncRef):
        raise BadAttr(node, attr, found=ref, expected=("a function",))
    if ref.name not in g.graph.functions:
        raise BadNode(node, f"calls a function {ref.name!r}, which the graph lacks")
    function: Function = g.graph.functions[ref.name]
    return function


@CONTROL.op("PartitionedCall", "StatefulPartitionedCall")
def call(g: Emitter, node: Node) -> Sequence[Value]:
    return g.call(node, _function(g, node, "f"), _values(g, node))


@CONTROL.op("RemoteCall")
def remote_call(g: Emitter, node: Node) -> Sequence[Value]:
    """A call on the device that input 0 names: here all run on one."""
    return g.call(node, _function(g, node, "f"), _values(g, node, 1))


@CONTROL.op("If", "StatelessIf")
def if_(g: Emitter, node: Node) -> Sequence[Value]:
    values = _values(g, node, 1)
    branches = [
        partial(g.call, node, _function(g, node, attr), values)
        for attr in ("then_branch", "else_branch")
    ]
    return choose(g, node, g.value(node, 0), *branches)


@CONTROL.op("Case", "StatelessCase")
def case(g: Emitter, node: Node) -> Sequence[Value]:
    """One of n branches by number; a number outside takes the last."""
    values = _values(g, node, 1)
    branches = [_named(g, node, "branches", ref) for ref in node.attr("branches")]
    index = g.known(node, 0)
    if index is not None:
        last = len(branches) - 1
        number = int(index.item())
        return g.call(node, branches[number if 0 <= number <= last else last], values)
    return _one_of(g, node, g.arg(node, 0), branches, values)


def _one_of(
    g: Emitter,
    node: Node,
    index: relax.Expr,
    branches: Sequence[Function],
    values: Sequence[Value],
    number: int = 0,
) -> list[Value]:
    """The first branch where the index is its number, else one of the rest."""
    if len(branches) == 1:
        return g.call(node, branches[0], values)
    here = g.emit(relax.op.equal(index, g.const(number, g.dtype(index))))
    rest = partial(_one_of, g, node, index, branches[1:], values, number + 1)
    return choose(g, node, here, partial(g.call, node, branches[0], values), rest)


@CONTROL.op("While", "StatelessWhile")
def while_(g: Emitter, node: Node) -> Sequence[Value]:
    loop = Loop(node, _function(g, node, "cond"), _function(g, node, "body"))
    return loop.run(g, _values(g, node))


@CONTROL.op("For")
def for_(g: Emitter, node: Node) -> Sequence[Value]:
    """body(i, *values) for i from start by delta up to limit."""
    _function(g, node, "body")
    return for_loop(node).run(g, _values(g, node))[3:]


@CONTROL.op("MapDefun")
def map_defun(g: Emitter, node: Node) -> Sequence[Value]:
    """f of each row of the arguments, with the captured values as they are; results stacked."""
    _function(g, node, "f")
    return mapped(g, node, _values(g, node))
