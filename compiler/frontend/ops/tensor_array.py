"""TensorArray of TensorFlow 1: a handle that says what it is, and a flow that carries the rows."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import relax

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.emitter import Emitter, Known, ListValue
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.lists import (
    concatenated,
    gathered,
    get_row,
    list_of,
    of_rows,
    parted,
    rows_of,
    scattered,
    set_row,
    size_value,
)
from dlcc.compiler.frontend.ops.table import OpTable

TENSOR_ARRAY = OpTable()


@TENSOR_ARRAY.op("TensorArrayV3")
def make(g: Emitter, node: Node) -> Sequence[ListValue]:
    """Handle and flow: the flow is the list, the handle only tells what was asked for."""
    made = ListValue(
        g.dims(node, 0)[0],
        node.attr("element_shape"),
        node.attr("dtype"),
        grows=bool(node.attr("dynamic_size", False)),
    )
    return [made, made]


@TENSOR_ARRAY.op("TensorArrayWriteV3")
def write(g: Emitter, node: Node) -> ListValue:
    return set_row(g, node, list_of(g, node, 3), 1, g.arg(node, 2))


@TENSOR_ARRAY.op("TensorArrayReadV3")
def read(g: Emitter, node: Node) -> relax.Expr:
    return get_row(g, node, rows_of(g, node, list_of(g, node, 2)), 1)


@TENSOR_ARRAY.op("TensorArrayGatherV3")
def gather(g: Emitter, node: Node) -> relax.Expr:
    rows = rows_of(g, node, list_of(g, node, 2), node.attr("element_shape"))
    return gathered(g, rows, g.emit(g.arg(node, 1)))


@TENSOR_ARRAY.op("TensorArrayScatterV3")
def scatter(g: Emitter, node: Node) -> ListValue:
    return scattered(g, node, list_of(g, node, 3), 1, g.arg(node, 2))


@TENSOR_ARRAY.op("TensorArraySizeV3")
def size(g: Emitter, node: Node) -> Known:
    return size_value(list_of(g, node, 1))


@TENSOR_ARRAY.op("TensorArrayConcatV3")
def concat(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    return concatenated(g, rows_of(g, node, list_of(g, node, 1)))


@TENSOR_ARRAY.op("TensorArraySplitV3")
def split(g: Emitter, node: Node) -> ListValue:
    whole = list_of(g, node, 3)
    rows = of_rows(g, parted(g, node, g.arg(node, 1), 2), grows=whole.grows)
    if not whole.grows and isinstance(whole.size, int) and whole.size != rows.size:
        raise BadNode(node, f"splits into {rows.size} elements, of {whole.size}")
    return rows


@TENSOR_ARRAY.op("TensorArrayCloseV3")
def close(g: Emitter, node: Node) -> Sequence[ListValue]:
    return []
