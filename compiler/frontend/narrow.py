"""Dtypes that an op does not compute in: inputs are read wider, and results made narrow again.

16-bit floats are computed in float32 and rounded once, to nearest even.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax

from dlcc.compiler.frontend.dtypes import numpy_dtype
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.values import Known, known

# Ops that hand tensors on as they are, or look at their bits or their shape alone. Any other
# computes bfloat16 in float32, also what only moves elements: TVM has no right vector code.
HANDED_ON = frozenset({
    "Bitcast", "Case", "If", "PartitionedCall", "StatefulPartitionedCall", "StatelessCase",
    "StatelessIf", "StatelessWhile", "While", "For", "MapDefun", "RemoteCall", "ExpandDims",
    "Rank", "Reshape", "Shape", "ShapeN",
    "Size", "Squeeze", "Assert", "CheckNumerics", "Const", "DebugGradientIdentity", "DeepCopy",
    "EnsureShape", "HostConst", "Identity", "IdentityN", "NoOp", "Placeholder", "PlaceholderV2",
    "PlaceholderWithDefault", "PreventGradient", "Print", "PrintV2", "ReadVariableOp",
    "RefIdentity", "Snapshot", "StopGradient",
})  # fmt: skip
_LISTS = ("TensorArray", "TensorList", "EmptyTensorList")

# Ops that no code generator has in float16, or whose sums need more than its 11 bits.
_HALF = frozenset({
    "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atan2", "Atanh", "Cosh", "Sinh", "Tan", "Expm1",
    "Log1p", "Xlog1py", "Erf", "Erfc", "Erfinv", "Ndtri", "Lgamma", "Digamma", "FloorMod", "Mod",
    "TruncateMod", "Softmax", "LogSoftmax", "Sum", "Mean", "Prod", "Cumsum", "Cumprod", "L2Loss",
    "EuclideanNorm", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "Conv2D",
    "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2", "DepthwiseConv2dNative", "AvgPool",
    "AvgPool3D", "LRN", "LRNGrad", "Softplus", "BlockLSTM", "BlockLSTMV2", "LSTMBlockCell",
    "GRUBlockCell",
    "SparseTensorDenseMatMul", "SoftmaxCrossEntropyWithLogits",
    "SparseSoftmaxCrossEntropyWithLogits", "CumulativeLogsumexp", "FusedPadConv2D",
    "FusedResizeAndPadConv2D", "Conv3DBackpropFilterV2", "Conv2DBackpropFilter",
    "DepthwiseConv2dNativeBackpropFilter",
})  # fmt: skip
# TVM compares single bits as if they were floats, and does not add them.
_BOOL = frozenset({
    "Equal", "NotEqual", "Unique", "UniqueV2", "UniqueWithCounts", "UniqueWithCountsV2",
    "ListDiff", "ScatterNd", "ScatterNdNonAliasingAdd", "EditDistance",
})  # fmt: skip
# TVM's library sorts floats and integers of 32 and 64 bits.
_SORTS = frozenset({"TopK", "TopKV2", "NthElement"})
_SORTED_AS = {
    "int8": "int32", "uint8": "int32", "int16": "int32", "uint16": "int32", "uint32": "int64",
}  # fmt: skip

# op -> its first output whose dtype is not that of the input. Source: the op definitions.
_OTHER_FROM = {
    "Cast": 0, "CropAndResize": 0, "EditDistance": 0, "ResizeArea": 0, "ResizeBicubic": 0,
    "ResizeBilinear": 0,
    "FusedBatchNormV2": 1, "FusedBatchNormV3": 1, "FusedBatchNormGradV2": 1,
    "FusedBatchNormGradV3": 1, "TopK": 1, "TopKV2": 1,
    "ScaleAndTranslate": 0, "SparseMatMul": 0, "Unique": 1, "UniqueV2": 1,
    "UniqueWithCounts": 1, "UniqueWithCountsV2": 1, "ListDiff": 1,
}  # fmt: skip


def converted_wide(g: Emitter, node: Node, convert: Callable[[], Any]) -> Any:
    """What `convert` makes of a node whose narrow inputs it reads wider.

    Its results of the wider dtype become narrow, but those that are not of the input's dtype in
    TensorFlow.
    """
    narrow, wide = _narrow_input(g, node)
    if not wide:
        return convert()
    with g.widened(narrow, wide):
        results = convert()
    first = 0 if wide in (node.attr("Tout"), node.attr("T")) else _OTHER_FROM.get(node.op)
    if not isinstance(results, list | tuple):
        return results if first == 0 else _narrowed(g, results, narrow, wide)
    kept = len(results) if first is None else first
    return [_narrowed(g, r, narrow, wide) if i < kept else r for i, r in enumerate(results)]


def _narrow_input(g: Emitter, node: Node) -> tuple[str, str]:
    """The dtype of an input that this op does not compute in, and a wider one; "" for none."""
    if node.op in HANDED_ON or node.op.startswith(_LISTS):
        return "", ""
    for dtype in (g.input_dtype(node, i) for i in range(len(node.inputs))):
        if dtype == "bfloat16" or (dtype == "float16" and node.op in _HALF):
            return dtype, "float32"
        if dtype == "bool" and node.op in _BOOL:
            return dtype, "int8"
        if dtype in _SORTED_AS and node.op in _SORTS:
            return dtype, _SORTED_AS[dtype]
    return "", ""


def _narrowed(g: Emitter, result: Any, narrow: str, wide: str) -> Any:
    """A result of the wider dtype in the narrow one; any other as it is."""
    if isinstance(result, Known | np.ndarray | np.generic):
        value = result if isinstance(result, Known) else known(result)
        return known(value.array.astype(numpy_dtype(narrow))) if value.dtype == wide else value
    if not isinstance(result, relax.Expr) or g.dtype(result := g.normal(result)) != wide:
        return result
    return relax.op.astype(result, narrow)
