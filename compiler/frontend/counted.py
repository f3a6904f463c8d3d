"""Loops that count, made of the nodes of a While loop: For, and MapDefun over rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.function import Function
from dlcc.compiler.frontend.graph import Node, TensorRef
from dlcc.compiler.frontend.lists import rows_of
from dlcc.compiler.frontend.repeat import Loop
from dlcc.compiler.frontend.values import Known, ListValue, Value, known


def _refs(name: str, count: int) -> tuple[TensorRef, ...]:
    return tuple(TensorRef(name, i) for i in range(count))


def _node(
    name: str, op: str, inputs: Sequence[TensorRef], attrs: Mapping[str, Any] | None = None
) -> Node:
    return Node(name, op, tuple(inputs), attrs or {})


def for_loop(node: Node) -> Loop:
    """The loop of a For node, whose variables are start, limit, delta and the values.

    Before:  For(start, limit, delta, *values, body)
    After:   While(i = start, limit, delta, *values): i < limit; i + delta, body(i, *values)

    Source: tensorflow/core/kernels/functional_ops.cc, ForOp: a negative delta counts down.
    """
    state = _refs("state", len(node.inputs))
    i, limit, delta, *values = state
    attrs = {"f": node.attr("body")}
    cond = (
        _node("zero", "ZerosLike", [delta]),
        _node("up", "GreaterEqual", [delta, TensorRef("zero", 0)]),
        _node("below", "Less", [i, limit]),
        _node("above", "Greater", [i, limit]),
        _node("go", "SelectV2", [TensorRef(n, 0) for n in ("up", "below", "above")]),
    )
    body = (
        _node("next", "AddV2", [i, delta]),
        _node("call", "PartitionedCall", [i, *values], attrs),
    )
    results = (TensorRef("next", 0), limit, delta, *_refs("call", len(values)))
    return Loop(
        node,
        Function(f"{node.name}/cond", cond, state, (TensorRef("go", 0),)),
        Function(f"{node.name}/body", body, state, results),
    )


def mapped(g: Emitter, node: Node, values: Sequence[Value]) -> list[Value]:
    """f of each row of the arguments of a MapDefun node, the results stacked.

    Before:  MapDefun(*arguments, *captured, f)
    After:   While(i, *arguments, *captured, *lists): SetItem(list, i, f(arguments[i], *captured))
    """
    arguments = len(node.attr("Targuments"))
    rows = _rows(g, node, arguments)
    shapes = node.attr("output_shapes")
    lists = [
        ListValue(rows, shape, dtype)
        for shape, dtype in zip(shapes, node.attr("output_types"), strict=True)
    ]
    start = [known(np.asarray(0, np.int32)), _scalar(rows), *values, *lists]
    made = _map_loop(node, arguments, len(values), len(lists)).run(g, start)
    return [rows_of(g, node, v) for v in made[len(values) + 2 :] if isinstance(v, ListValue)]


def _rows(g: Emitter, node: Node, arguments: int) -> Any:
    """The extent of the first axis that all arguments share."""
    rows = [g.shape(g.arg(node, i))[0] for i in range(arguments) if g.rank(g.arg(node, i))]
    numbers = {r for r in rows if isinstance(r, int)}
    if len(rows) < arguments or not rows or len(numbers) > 1:
        raise BadNode(node, f"maps over arguments of {rows} rows, expected as many of each")
    return min(numbers, default=rows[0])


def _scalar(dim: Any) -> Known:
    array = np.empty((), object)
    array[()] = dim
    return known(array, "int32")


def _map_loop(node: Node, arguments: int, values: int, lists: int) -> Loop:
    """The loop with the variables i, number of rows, values of the node, and lists of results."""
    state = _refs("state", 2 + values + lists)
    i, rows, *rest = state
    given, kept = rest[:values], rest[values:]
    picked = [_node(f"row{k}", "GatherV2", [given[k], i, TensorRef("axis", 0)])
              for k in range(arguments)]  # fmt: skip
    row_refs = [TensorRef(n.name, 0) for n in picked]
    body = (
        _node("axis", "Const", [], {"value": np.int32(0), "dtype": "int32"}),
        _node("one", "Const", [], {"value": np.int32(1), "dtype": "int32"}),
        _node("next", "AddV2", [i, TensorRef("one", 0)]),
        *picked,
        _node("call", "PartitionedCall", [*row_refs, *given[arguments:]], {"f": node.attr("f")}),
        *(_node(f"set{k}", "TensorListSetItem", [kept[k], i, TensorRef("call", k)])
          for k in range(lists)),
    )  # fmt: skip
    results = (TensorRef("next", 0), rows, *given, *(TensorRef(f"set{k}", 0) for k in range(lists)))
    return Loop(
        node,
        Function(f"{node.name}/cond", (_node("go", "Less", [i, rows]),), state,
                 (TensorRef("go", 0),)),
        Function(f"{node.name}/body", body, state, results),
    )  # fmt: skip
