"""TensorArray of TensorFlow 1: a handle that says what it is, and a flow that carries the rows.

The first two versions make no flow: theirs begins as a constant, behind which the handle's list
stands (see lowering.py for the constants that loops begin with).
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import relax

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.emitter import Emitter
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
from dlcc.compiler.frontend.values import Known, ListValue

TENSOR_ARRAY = OpTable()


def _array(g: Emitter, node: Node, flow: int) -> ListValue:
    """The list that a flow carries; before anything was written, that of the handle."""
    return list_of(g, node, flow if isinstance(g.value(node, flow), ListValue) else 0)


@TENSOR_ARRAY.op("TensorArrayV3", "TensorArrayV2", "TensorArray")
def make(g: Emitter, node: Node) -> Sequence[ListValue]:
    """Handle and flow: the flow is the list, the handle only tells what was asked for."""
    made = ListValue(
        g.dims(node, 0)[0],
        node.attr("element_shape"),
        node.attr("dtype"),
        grows=bool(node.attr("dynamic_size", False)),
    )
    return [made, made] if node.op == "TensorArrayV3" else [made]


@TENSOR_ARRAY.op("TensorArrayWriteV3", "TensorArrayWriteV2", "TensorArrayWrite")
def write(g: Emitter, node: Node) -> ListValue:
    return set_row(g, node, _array(g, node, 3), 1, g.arg(node, 2))


@TENSOR_ARRAY.op("TensorArrayReadV3", "TensorArrayReadV2", "TensorArrayRead")
def read(g: Emitter, node: Node) -> relax.Expr:
    return get_row(g, node, rows_of(g, node, _array(g, node, 2)), 1)


@TENSOR_ARRAY.op("TensorArrayGatherV3", "TensorArrayGatherV2", "TensorArrayGather")
def gather(g: Emitter, node: Node) -> relax.Expr:
    rows = rows_of(g, node, _array(g, node, 2), node.attr("element_shape"))
    return gathered(g, rows, g.emit(g.arg(node, 1)))


@TENSOR_ARRAY.op("TensorArrayPack")
def pack(g: Emitter, node: Node) -> relax.Expr:
    return rows_of(g, node, _array(g, node, 1), node.attr("element_shape"))


@TENSOR_ARRAY.op("TensorArrayUnpack")
def unpack(g: Emitter, node: Node) -> ListValue:
    return of_rows(g, g.arg(node, 1), grows=_array(g, node, 2).grows)


@TENSOR_ARRAY.op("TensorArrayScatterV3", "TensorArrayScatterV2", "TensorArrayScatter")
def scatter(g: Emitter, node: Node) -> ListValue:
    return scattered(g, node, _array(g, node, 3), 1, g.arg(node, 2))


@TENSOR_ARRAY.op("TensorArraySizeV3", "TensorArraySizeV2", "TensorArraySize")
def size(g: Emitter, node: Node) -> Known:
    return size_value(_array(g, node, 1))


@TENSOR_ARRAY.op("TensorArrayConcatV3", "TensorArrayConcatV2", "TensorArrayConcat")
def concat(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    return concatenated(g, rows_of(g, node, _array(g, node, 1)))


@TENSOR_ARRAY.op("TensorArraySplitV3", "TensorArraySplitV2", "TensorArraySplit")
def split(g: Emitter, node: Node) -> ListValue:
    whole = _array(g, node, 3)
    rows = of_rows(g, parted(g, node, g.arg(node, 1), 2), grows=whole.grows)
    if not whole.grows and isinstance(whole.size, int) and whole.size != rows.size:
        raise BadNode(node, f"splits into {rows.size} elements, of {whole.size}")
    return rows


@TENSOR_ARRAY.op("TensorArrayCloseV3", "TensorArrayCloseV2", "TensorArrayClose")
def close(g: Emitter, node: Node) -> Sequence[ListValue]:
    return []
