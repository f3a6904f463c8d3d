"""Branches, loops and calls in functional form, and lists of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_cases import Case, feed, normal

X = feed(normal(2, 3))
ROWS = feed(normal(4, 2, 3))
N = feed(np.asarray(5, np.int32))
AT = feed(np.asarray(2, np.int32))
ONE_ROW = feed(normal(2, 3, seed=1))
OPEN = -1
LIST = "the ops that it takes to see a list"


def function(tf: Any, body: Any, *dtypes: str) -> Any:
    specs = [tf.TensorSpec(None, d) for d in dtypes]
    return tf.function(body).get_concrete_function(*specs)


def branch(op: str) -> Any:
    def build(tf, p, x):
        yes = function(tf, lambda x: tf.exp(x), "float32")
        no = function(tf, lambda x: tf.nn.relu(x), "float32")
        node = getattr(tf.raw_ops, op)
        return node(cond=p, input=[x], Tout=["float32"], then_branch=yes, else_branch=no)

    return build


def case(op: str) -> Any:
    def build(tf, k, x):
        branches = [
            function(tf, lambda x: tf.exp(x), "float32"),
            function(tf, lambda x: tf.nn.relu(x), "float32"),
            function(tf, lambda x: -x, "float32"),
        ]
        node = getattr(tf.raw_ops, op)
        return node(branch_index=k, input=[x], Tout=["float32"], branches=branches)

    return build


def loop(op: str) -> Any:
    def build(tf, n, x):
        cond = function(tf, lambda i, s, n: i < n, "int32", "float32", "int32")
        body = function(tf, lambda i, s, n: (i + 1, s * 1.5, n), "int32", "float32", "int32")
        return getattr(tf.raw_ops, op)(input=[0, x, n], cond=cond, body=body)

    return build


def call(op: str) -> Any:
    def build(tf, x):
        body = function(tf, lambda x: tf.nn.top_k(x, 2), "float32")
        return getattr(tf.raw_ops, op)(args=[x], Tout=["float32", "int32"], f=body)

    return build


def remote(tf, x):
    body = function(tf, lambda x: tf.nn.top_k(x, 2), "float32")
    node = tf.raw_ops.RemoteCall
    return node(target="/CPU:0", args=[x], Tout=["float32", "int32"], f=body)


def counted(tf, start, limit, delta, x):
    body = function(tf, lambda i, x: x * 1.5 + tf.cast(i, "float32"), "int32", "float32")
    return tf.raw_ops.For(start=start, limit=limit, delta=delta, input=[x], body=body)


def mapped(tf, x, y, bias):
    def body(x, y, bias):
        return tf.exp(x) + bias, tf.reduce_sum(x) * tf.cast(y, "float32")

    specs = [tf.TensorSpec([3], "float32"), tf.TensorSpec([], "int32"), tf.TensorSpec([3])]
    f = tf.function(body).get_concrete_function(*specs)
    return tf.raw_ops.MapDefun(
        arguments=[x, y], captured_inputs=[bias], output_types=["float32", "float32"],
        output_shapes=[[3], []], f=f,
    )  # fmt: skip


def listed(rest: Any) -> Any:
    """A list of the rows of the first argument; then the op under test on it."""

    def build(tf, rows, *args):
        made = tf.raw_ops.TensorListFromTensor(tensor=rows, element_shape=[2, 3])
        return rest(tf, made, *args)

    return build


def stacked(tf: Any, made: Any) -> Any:
    return tf.raw_ops.TensorListStack(
        input_handle=made, element_shape=[2, 3], element_dtype="float32"
    )


def reserved(tf, n, k, row):
    made = tf.raw_ops.TensorListReserve(element_shape=OPEN, num_elements=n, element_dtype="float32")
    made = tf.raw_ops.TensorListSetItem(input_handle=made, index=k, item=row)
    return [
        tf.raw_ops.TensorListStack(input_handle=made, element_shape=OPEN, element_dtype="float32"),
        tf.raw_ops.TensorListLength(input_handle=made),
    ]


def pushed(tf, a, b):
    made = tf.raw_ops.EmptyTensorList(
        element_shape=OPEN, max_num_elements=-1, element_dtype="float32"
    )
    for x in (a, b, a):
        made = tf.raw_ops.TensorListPushBack(input_handle=made, tensor=x)
    both = tf.raw_ops.TensorListConcatLists(input_a=made, input_b=made, element_dtype="float32")
    rest, last = tf.raw_ops.TensorListPopBack(
        input_handle=both, element_shape=OPEN, element_dtype="float32"
    )
    return [stacked(tf, rest), last]


def scattered(op: str, **extra: Any) -> Any:
    def build(tf, rows, at):
        node = getattr(tf.raw_ops, op)
        return stacked(tf, node(tensor=rows, indices=at, element_shape=[2, 3], **extra))

    return build


def concatenated(op: str, **extra: Any) -> Any:
    def build(tf, rows):
        made = tf.raw_ops.TensorListFromTensor(tensor=rows, element_shape=[2, 3])
        return getattr(tf.raw_ops, op)(input_handle=made, element_dtype="float32", **extra)

    return build


def array(tf: Any, size: Any, **how: Any) -> tuple[Any, Any]:
    return tf.raw_ops.TensorArrayV3(size=size, dtype="float32", clear_after_read=False, **how)


def written(tf, n, k, row):
    handle, flow = array(tf, n + 1)
    flow = tf.raw_ops.TensorArrayScatterV3(
        handle=handle, indices=tf.range(n), value=tf.zeros(tf.stack([n, 2, 3])), flow_in=flow
    )
    flow = tf.raw_ops.TensorArrayWriteV3(handle=handle, index=n, value=row, flow_in=flow)
    read = tf.raw_ops.TensorArrayReadV3(handle=handle, index=k, flow_in=flow, dtype="float32")
    whole = tf.raw_ops.TensorArrayGatherV3(
        handle=handle, indices=tf.range(n + 1), flow_in=flow, dtype="float32"
    )
    return [read, whole, tf.raw_ops.TensorArraySizeV3(handle=handle, flow_in=flow)]


def split_array(tf, x):
    handle, flow = array(tf, 2)
    flow = tf.raw_ops.TensorArraySplitV3(
        handle=handle, value=x, lengths=np.array([2, 2], np.int64), flow_in=flow
    )
    value, lengths = tf.raw_ops.TensorArrayConcatV3(handle=handle, flow_in=flow, dtype="float32")
    with tf.control_dependencies([value]):
        tf.raw_ops.TensorArrayCloseV3(handle=handle)
    return [value, lengths]


def older_array(tf, size):
    """An array as its first two versions are: the flow begins as a constant."""
    handle = array(tf, size)[0]
    with tf.control_dependencies([handle]):
        return handle, tf.constant(0.0)


def older(tf, n, k, x):
    handle, flow = older_array(tf, 5)
    flow = tf.raw_ops.TensorArrayScatterV3(
        handle=handle, indices=[1, 0, 3, 4], value=tf.stack([x, x + 1, x * 2, -x]), flow_in=flow
    )
    flow = tf.raw_ops.TensorArrayWriteV3(handle=handle, index=k, value=x - 3, flow_in=flow)
    read = tf.raw_ops.TensorArrayReadV3(handle=handle, index=k, flow_in=flow, dtype="float32")
    whole = tf.raw_ops.TensorArrayGatherV3(
        handle=handle, indices=tf.range(n), flow_in=flow, dtype="float32"
    )
    return [read, whole, tf.raw_ops.TensorArraySizeV3(handle=handle, flow_in=flow)]


def older_split(tf, x):
    handle, flow = older_array(tf, 2)
    flow = tf.raw_ops.TensorArraySplitV3(
        handle=handle, value=x, lengths=np.array([2, 2], np.int64), flow_in=flow
    )
    value, lengths = tf.raw_ops.TensorArrayConcatV3(handle=handle, flow_in=flow, dtype="float32")
    with tf.control_dependencies([value]):
        tf.raw_ops.TensorArrayCloseV3(handle=handle)
    return [value, lengths]


def older_packed(tf, x):
    """Inputs as Unpack and Pack have them, on ops that TensorFlow makes today."""
    handle, flow = older_array(tf, 4)
    flow = tf.raw_ops.TensorArraySplitV3(
        handle=handle, value=x, lengths=np.int64([1] * 4), flow_in=flow
    )
    return tf.raw_ops.TensorArrayConcatV3(handle=handle, flow_in=flow, dtype="float32")[0]


def older_loop(tf, n, x):
    """A frame of TensorFlow 1 whose flow begins as a constant outside of it."""
    handle, flow = older_array(tf, n)

    def body(i, flow):
        row = x * tf.cast(i, "float32")
        return i + 1, tf.raw_ops.TensorArrayWriteV3(handle=handle, index=i, value=row, flow_in=flow)

    tf.compat.v1.disable_control_flow_v2()
    _, flow = tf.compat.v1.while_loop(lambda i, f: i < n, body, [0, flow])
    return tf.raw_ops.TensorArrayGatherV3(
        handle=handle, indices=tf.range(n), flow_in=flow, dtype="float32"
    )


_MEMBERS = ("Write", "Read", "Gather", "Scatter", "Size", "Split", "Concat", "Close", "")


def versions(name: str) -> dict[str, str]:
    """V3 ops, and their names in another version."""
    return {f"TensorArray{m}V3": f"TensorArray{m}{name}" for m in _MEMBERS}


def _older_cases():
    for which in ("", "V2"):
        names = versions(which)
        for op in ("", "Write", "Read", "Gather", "Scatter", "Size"):
            yield Case(f"TensorArray{op}{which}", [N, AT, X], LIST, build=older, renamed=names)
        for op in ("Split", "Concat", "Close"):
            yield Case(f"TensorArray{op}{which}", [feed(normal(4, 3))], LIST, build=older_split,
                       renamed=names)  # fmt: skip
        yield Case(f"TensorArray{which}", [N, X], "loop", build=older_loop, renamed=names)
    packs = {"TensorArrayConcatV3": "TensorArrayPack", "TensorArraySplitV3": "TensorArrayUnpack"}
    for op in ("Pack", "Unpack"):
        yield Case(
            f"TensorArray{op}",
            [ROWS],
            build=older_packed,
            renamed=versions("") | packs,
            reference=lambda tf, x: tf.identity(x),
        )


NUMBERS = feed(np.asarray([3, 0, 2, 1], np.int32))
CASES = [
    *[Case(op, [feed(np.asarray(p)), X], build=branch(op), note=str(p))
      for op in ("If", "StatelessIf") for p in (True, False)],
    *[Case(op, [feed(np.asarray(k, np.int32)), X], build=case(op), note=str(k))
      for op in ("Case", "StatelessCase") for k in (0, 1, 2, 7, -1)],
    *[Case(op, [N, X], build=loop(op)) for op in ("While", "StatelessWhile")],
    *[Case(op, [X], build=call(op)) for op in ("PartitionedCall", "StatefulPartitionedCall")],
    Case("RemoteCall", [X], build=remote, reference=lambda tf, x: tf.nn.top_k(x, 2)),
    *[Case("For", [start, limit, delta, X], f"{start} {limit} {delta}", build=counted)
      for start, limit, delta in ((0, 3, 1), (1, 30, 4), (5, -20, -2), (2, 2, 1))],
    Case("For", [0, N, AT, X], "limit and step at run time", build=counted),
    Case("MapDefun", [X, feed(np.int32([4, -2])), feed(normal(3))], build=mapped),
    Case("MapDefun", [feed(normal(20, 3), (None, 3)), feed(np.arange(20, dtype="i4"), (None,)),
                      feed(normal(3))], "open", build=mapped),
    *[Case(op, [N, AT, ONE_ROW], build=reserved, note=LIST)
      for op in ("TensorListReserve", "TensorListSetItem", "TensorListLength")],
    *[Case(op, [X, ONE_ROW], build=pushed, note=LIST)
      for op in ("EmptyTensorList", "TensorListPushBack", "TensorListPopBack",
                 "TensorListConcatLists")],
    *[Case(op, [ROWS], build=listed(stacked)) for op in ("TensorListFromTensor",
                                                        "TensorListStack")],
    Case("TensorListGetItem", [ROWS, AT], build=listed(
        lambda tf, made, k: tf.raw_ops.TensorListGetItem(
            input_handle=made, index=k, element_shape=[2, 3], element_dtype="float32"))),
    Case("TensorListGather", [ROWS, NUMBERS], build=listed(
        lambda tf, made, at: tf.raw_ops.TensorListGather(
            input_handle=made, indices=at, element_shape=[2, 3], element_dtype="float32"))),
    *[Case("TensorListResize", [ROWS, feed(np.asarray(n, np.int32))], note=str(n), build=listed(
        lambda tf, made, n: stacked(tf, tf.raw_ops.TensorListResize(input_handle=made, size=n))))
      for n in (2, 6)],
    Case("TensorListElementShape", [ROWS], build=listed(
        lambda tf, made: tf.raw_ops.TensorListElementShape(
            input_handle=made, shape_type="int32"))),
    Case("TensorListScatterIntoExistingList", [ROWS, X], build=listed(
        lambda tf, made, x: stacked(tf, tf.raw_ops.TensorListScatterIntoExistingList(
            input_handle=made, tensor=x[None], indices=[1])))),
    Case("TensorListScatter", [ROWS, NUMBERS], build=scattered("TensorListScatter")),
    *[Case("TensorListScatterV2", [ROWS, NUMBERS], note=str(n),
           build=scattered("TensorListScatterV2", num_elements=n)) for n in (-1, 6)],
    Case("TensorListConcat", [ROWS], build=concatenated("TensorListConcat", element_shape=[2, 3])),
    Case("TensorListConcatV2", [ROWS], build=concatenated(
        "TensorListConcatV2", element_shape=[2, 3], leading_dims=np.zeros(0, np.int64))),
    Case("TensorListSplit", [feed(normal(8, 3))], build=lambda tf, x: stacked(
        tf, tf.raw_ops.TensorListSplit(
            tensor=x, element_shape=[2, 3], lengths=np.array([2] * 4, np.int64)))),
    *[Case(op, [N, AT, ONE_ROW], build=written, note=LIST)
      for op in ("TensorArrayV3", "TensorArrayWriteV3", "TensorArrayReadV3",
                 "TensorArrayGatherV3", "TensorArrayScatterV3", "TensorArraySizeV3")],
    *_older_cases(),
    *[Case(op, [feed(normal(4, 3))], build=split_array, note=LIST)
      for op in ("TensorArraySplitV3", "TensorArrayConcatV3", "TensorArrayCloseV3")],
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
