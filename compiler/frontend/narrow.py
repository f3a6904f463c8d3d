"""16-bit floats: an op computes in float32, and its results are rounded once, to nearest even."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from tvm import relax

from dlcc.compiler.frontend.emitter import Emitter, Known, is_complex, known
from dlcc.compiler.frontend.graph import Node

# Ops that move elements, or hand them on to functions: any dtype goes through them as it is.
MOVES = frozenset({
    "Concat", "ConcatV2", "ConjugateTranspose", "OneHot", "Pack", "Reverse", "ReverseSequence",
    "ReverseV2", "Roll", "Split", "SplitV", "Tile", "Transpose", "Unpack", "Bitcast",
    "Case", "If", "PartitionedCall", "StatefulPartitionedCall", "StatelessCase", "StatelessIf",
    "StatelessWhile", "While", "DynamicPartition", "DynamicStitch", "ParallelDynamicStitch",
    "Gather", "GatherNd", "GatherV2", "TensorScatterUpdate", "Select", "SelectV2",
    "BatchMatrixBandPart", "BatchMatrixDiag", "BatchMatrixDiagPart", "BatchMatrixSetDiag", "Diag",
    "DiagPart", "MatrixBandPart", "MatrixDiag", "MatrixDiagPart", "MatrixDiagPartV2",
    "MatrixDiagPartV3", "MatrixDiagV2", "MatrixDiagV3", "MatrixSetDiag", "MatrixSetDiagV2",
    "MatrixSetDiagV3", "MirrorPad", "Pad", "PadV2", "RaggedGather", "RaggedTensorToSparse",
    "RandomShuffle", "BroadcastTo", "ExpandDims", "Fill", "Rank", "Reshape", "Shape", "ShapeN",
    "Size", "Squeeze", "Slice", "StridedSlice", "Assert", "CheckNumerics", "Const",
    "DebugGradientIdentity", "DeepCopy", "EnsureShape", "HostConst", "Identity", "IdentityN",
    "NoOp", "OnesLike", "Placeholder", "PlaceholderV2", "PlaceholderWithDefault",
    "PreventGradient", "Print", "PrintV2", "ReadVariableOp", "RefIdentity", "Snapshot",
    "StopGradient", "ZerosLike", "BatchToSpace", "BatchToSpaceND", "DepthToSpace", "SpaceToBatch",
    "SpaceToBatchND", "SpaceToDepth", "SparseToDense",
})  # fmt: skip
_LISTS = ("TensorArray", "TensorList", "EmptyTensorList")

# Ops that no code generator has in float16, or whose sums need more than its 11 bits.
HALF = frozenset({
    "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atan2", "Atanh", "Cosh", "Sinh", "Tan", "Expm1",
    "Log1p", "Xlog1py", "Erf", "Erfc", "Erfinv", "Ndtri", "Lgamma", "Digamma", "FloorMod", "Mod",
    "TruncateMod", "Softmax", "LogSoftmax", "Sum", "Mean", "Prod", "Cumsum", "Cumprod", "L2Loss",
    "EuclideanNorm",
})  # fmt: skip

# op -> its first output that is float32 although an input is narrower. Source: op definitions.
_FLOAT32_FROM = {
    "Cast": 0, "CropAndResize": 0, "ResizeArea": 0, "ResizeBicubic": 0, "ResizeBilinear": 0,
    "FusedBatchNormV2": 1, "FusedBatchNormV3": 1,
}  # fmt: skip


def in_float32(g: Emitter, node: Node, convert: Callable[[], Any]) -> Any:
    """What `convert` makes of a node, whose narrow inputs it reads as float32.

    Its float32 results become as narrow as the inputs, but those that are float32 in TensorFlow.
    """
    narrow = _narrow_input(g, node)
    if narrow is None:
        return convert()
    with g.widened(narrow):
        results = convert()
    wide_from = 0 if node.attr("Tout") == "float32" else _FLOAT32_FROM.get(node.op)
    if not isinstance(results, list | tuple):
        return results if wide_from == 0 else _rounded(g, results, narrow)
    kept = len(results) if wide_from is None else wide_from
    return [_rounded(g, r, narrow) if i < kept else r for i, r in enumerate(results)]


def _narrow_input(g: Emitter, node: Node) -> str | None:
    """The dtype of an input that this op does not compute in; None where there is none."""
    if node.op in MOVES or node.op.startswith(_LISTS):
        return None
    found: Sequence[str] = [g.input_dtype(node, i) for i in range(len(node.inputs))]
    if "bfloat16" in found:
        return "bfloat16"
    return "float16" if "float16" in found and node.op in HALF else None


def _rounded(g: Emitter, result: Any, dtype: str) -> Any:
    """A float32 result in a narrower dtype; any other as it is."""
    if isinstance(result, Known):
        if result.dtype != "float32" or is_complex(result):
            return result
        return known(result.array.astype(_NUMPY[dtype]))
    if isinstance(result, np.ndarray | np.generic):
        return np.asarray(result).astype(_NUMPY[dtype]) if result.dtype == np.float32 else result
    if not isinstance(result, relax.Expr) or g.dtype(result := g.normal(result)) != "float32":
        return result
    return relax.op.astype(result, dtype)


_NUMPY: dict[str, Any] = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
