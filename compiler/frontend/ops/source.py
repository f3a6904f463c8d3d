"""Where values come from and what only passes them on: placeholders, constants, identities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm import relax

from dlcc.compiler.errors import BadAttr, BadNode
from dlcc.compiler.frontend.dtypes import numpy_dtype
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Known, Value, known

SOURCE = OpTable()


@SOURCE.op("Const", "HostConst")
def const(g: Emitter, node: Node) -> Known:
    try:
        array = node.attr("value")
    except ValueError as error:
        raise BadNode(node, f"its value is damaged: {error}") from error
    if array is None:
        raise BadAttr(node, "value", found=None, expected=("a tensor",))
    dtype = node.attr("dtype", array.dtype.name)
    return known(array, dtype)


@SOURCE.op("Placeholder", "PlaceholderV2")
def placeholder(g: Emitter, node: Node) -> Value:
    raise BadNode(node, "is read but is not an input", hint=f"name it: --input {node.name}=SHAPE")


@SOURCE.op(
    "Identity", "PlaceholderWithDefault", "StopGradient", "PreventGradient", "Snapshot",
    "ReadVariableOp", "EnsureShape",
    "DebugGradientIdentity", "DeepCopy", "RefIdentity", "GuaranteeConst",
    "Copy", "CopyHost", "DebugIdentity", "DebugIdentityV2", "DebugIdentityV3",
)  # fmt: skip
def identity(g: Emitter, node: Node) -> Value:
    """A value passed on; PlaceholderWithDefault comes here when it is not fed: its default."""
    return g.value(node, 0)


@SOURCE.op("IdentityN")
def identity_n(g: Emitter, node: Node) -> Sequence[Value]:
    return [g.value(node, i) for i in range(len(node.inputs))]


@SOURCE.op("NoOp", "Print", "PrintV2", "ControlTrigger")
def nothing(g: Emitter, node: Node) -> Sequence[Value]:
    """Side effects only, which a deployed model does not have."""
    return [g.value(node, 0)] if node.op == "Print" else []


@SOURCE.op("ZerosLike")
def zeros_like(g: Emitter, node: Node) -> relax.Expr:
    return _filled_like(g, node, 0)


@SOURCE.op("OnesLike")
def ones_like(g: Emitter, node: Node) -> relax.Expr:
    return _filled_like(g, node, 1)


@SOURCE.op("Empty")
def empty(g: Emitter, node: Node) -> relax.Expr:
    """A tensor of any numbers, or of zeros with `init`: zeros."""
    dtype = str(node.attr("dtype", "float32"))
    return relax.op.full(relax.ShapeExpr(g.dims(node, 0)), g.const(0, dtype), dtype)


@SOURCE.op("FakeParam")
def fake_param(g: Emitter, node: Node) -> Known:
    """A result that a branch lacks, which nobody reads when the branch runs."""
    shape = [int(d) if d is not None and d > 0 else 0 for d in node.attr("shape") or ()]
    return known(np.zeros(shape, numpy_dtype(str(node.attr("dtype", "float32")))))


def _filled_like(g: Emitter, node: Node, number: int) -> relax.Expr:
    x = g.arg(node, 0)
    dtype = g.dtype(x)
    return relax.op.full(relax.ShapeExpr(g.shape(x)), g.const(number, dtype), dtype)
