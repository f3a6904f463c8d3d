"""TensorList: lists of tensors as TensorFlow 2 has them, in loops and in recurrent networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tvm import relax

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.forms import equal
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.lists import (
    concatenated,
    first_size,
    gathered,
    get_row,
    list_of,
    of_rows,
    parted,
    resized,
    rows_of,
    scattered,
    scattered_size,
    set_row,
    shape_input,
    size_value,
)
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Known, ListValue, known
from dlcc.compiler.frontend.variants import set_encoded

TENSOR_LIST = OpTable()

R = relax.op


def _scalar(g: Emitter, node: Node, index: int) -> Dim:
    return g.dims(node, index)[0]


def _of_variants(node: Node) -> bool:
    """Whether the elements are ragged tensors: their encoded forms differ in length."""
    return bool(node.attr("element_dtype") == "variant")


@TENSOR_LIST.op("EmptyTensorList")
def empty(g: Emitter, node: Node) -> ListValue:
    return ListValue(0, shape_input(g, node, 0), node.attr("element_dtype"))


@TENSOR_LIST.op("TensorListReserve")
def reserve(g: Emitter, node: Node) -> ListValue:
    if _of_variants(node):
        return ListValue(_scalar(g, node, 1), None, "variant")
    return ListValue(_scalar(g, node, 1), shape_input(g, node, 0), node.attr("element_dtype"))


@TENSOR_LIST.op("TensorListFromTensor")
def from_tensor(g: Emitter, node: Node) -> ListValue:
    return of_rows(g, g.arg(node, 0))


@TENSOR_LIST.op("TensorListStack")
def stack(g: Emitter, node: Node) -> relax.Expr:
    return rows_of(g, node, list_of(g, node, 0), shape_input(g, node, 1))


@TENSOR_LIST.op("TensorListGetItem")
def get_item(g: Emitter, node: Node) -> relax.Expr:
    return get_row(g, node, rows_of(g, node, list_of(g, node, 0), shape_input(g, node, 2)), 1)


@TENSOR_LIST.op("TensorListSetItem")
def set_item(g: Emitter, node: Node) -> ListValue:
    value = list_of(g, node, 0)
    if _of_variants(node):
        return set_encoded(g, value, g.emit(g.arg(node, 1)), g.arg(node, 2))
    grows = bool(node.attr("resize_if_index_out_of_bounds", False))
    return replace(set_row(g, node, replace(value, grows=grows), 1, g.arg(node, 2)), grows=False)


@TENSOR_LIST.op("TensorListLength")
def length(g: Emitter, node: Node) -> Known:
    return size_value(list_of(g, node, 0))


@TENSOR_LIST.op("TensorListElementShape")
def element_shape(g: Emitter, node: Node) -> Known:
    """-1 where a dimension is not known, and -1 alone for an unknown rank."""
    element = list_of(g, node, 0).element
    dtype = node.attr("shape_type", "int32")
    if element is None:
        return known(np.asarray(-1, dtype))
    array = np.empty(len(element), object)
    array[:] = [-1 if d is None else d for d in element]
    return known(array, dtype)


@TENSOR_LIST.op("TensorListPushBack")
def push_back(g: Emitter, node: Node) -> ListValue:
    if _of_variants(node):
        raise BadNode(node, "a list of variants that grows", hint="give it a size where it is made")
    value, item = list_of(g, node, 0), g.arg(node, 1)
    row = g.emit(g.reshape(item, [1, *g.shape(item)]))
    if equal(value.size, 0):
        return of_rows(g, row)
    rows = rows_of(g, node, replace(value, element=tuple(g.shape(item))))
    return of_rows(g, R.concat([rows, row], 0))


@TENSOR_LIST.op("TensorListPopBack")
def pop_back(g: Emitter, node: Node) -> Sequence[Any]:
    value = list_of(g, node, 0)
    rows = rows_of(g, node, value, shape_input(g, node, 1))
    size, *element = g.shape(rows)
    if equal(size, 0):
        raise BadNode(node, "takes the last element of an empty list")
    last = g.emit(g.reshape(g.emit(g.tensor(known(np.array([size - 1], object), "int64"))), []))
    rest = g.emit(first_size(g, rows, size - 1))
    left = ListValue(size - 1, tuple(element), value.dtype, rest)
    return [left, gathered(g, rows, last)]


@TENSOR_LIST.op("TensorListGather")
def gather(g: Emitter, node: Node) -> relax.Expr:
    rows = rows_of(g, node, list_of(g, node, 0), shape_input(g, node, 2))
    return gathered(g, rows, g.emit(g.arg(node, 1)))


@TENSOR_LIST.op("TensorListScatter", "TensorListScatterV2")
def scatter(g: Emitter, node: Node) -> ListValue:
    """A new list; V2 may be told how long, otherwise it ends with the largest index."""
    size: Dim = _scalar(g, node, 3) if node.op.endswith("V2") else -1
    if isinstance(size, int) and size < 0:
        size = scattered_size(g, node, 1)
    tensor = g.arg(node, 0)
    return scattered(g, node, ListValue(size, None, g.dtype(tensor)), 1, tensor)


@TENSOR_LIST.op("TensorListScatterIntoExistingList")
def scatter_into(g: Emitter, node: Node) -> ListValue:
    value = replace(list_of(g, node, 0), grows=True)
    return replace(scattered(g, node, value, 2, g.arg(node, 1)), grows=False)


@TENSOR_LIST.op("TensorListResize")
def resize(g: Emitter, node: Node) -> ListValue:
    value, size = list_of(g, node, 0), _scalar(g, node, 1)
    if value.rows is None:
        return replace(value, size=size)
    return of_rows(g, resized(g, value.rows, size))


@TENSOR_LIST.op("TensorListConcat", "TensorListConcatV2")
def concat(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    given = shape_input(g, node, 1) if node.op.endswith("V2") else node.attr("element_shape")
    return concatenated(g, rows_of(g, node, list_of(g, node, 0), given))


@TENSOR_LIST.op("TensorListSplit")
def split(g: Emitter, node: Node) -> ListValue:
    return of_rows(g, parted(g, node, g.arg(node, 0), 2))


@TENSOR_LIST.op("TensorListConcatLists")
def concat_lists(g: Emitter, node: Node) -> ListValue:
    a, b = list_of(g, node, 0), list_of(g, node, 1)
    if equal(a.size, 0) or equal(b.size, 0):
        return a if equal(b.size, 0) else b
    rows = [rows_of(g, node, p, q.element) for p, q in ((a, b), (b, a))]
    return of_rows(g, R.concat(rows, 0))
