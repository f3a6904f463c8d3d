"""A tensor inside a graph made an input: its dtype and shape, which only its node can tell."""

from __future__ import annotations

from typing import Any

from dlcc.compiler.errors import BadAttr, BadNode
from dlcc.compiler.frontend.graph import Node, TensorRef

# attributes that may name the dtype of the first output, the most telling one first
_ATTRS = ("dtype", "Tout", "out_type", "output_type", "DstT", "T")
_LISTS = ("output_types", "component_types")
_FIXED: dict[str, tuple[str, ...]] = {
    "bool": (
        "Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual", "ApproximateEqual",
        "IsNan", "IsInf", "IsFinite", "InTopK", "InTopKV2",
    ),
    "uint8": ("DecodeJpeg", "DecodeAndCropJpeg", "DecodePng", "DecodeGif", "DecodeBmp"),
    "int64": ("StringToHashBucket", "StringToHashBucketFast", "StringToHashBucketStrong", "Where"),
    "int32": ("Size", "Rank"),
}  # fmt: skip
# they give elements of a list, whose own dtype is variant
_OF_LISTS = (
    "TensorListConcat", "TensorListConcatV2", "TensorListGather", "TensorListGetItem",
    "TensorListStack",
)  # fmt: skip
_EACH = {"DecodeWav": ("float32", "int32")}


def dtype_of(node: Node, ref: TensorRef) -> str:
    """The dtype of an output of a node; raises BadNode where the graph does not tell it."""
    try:
        found = _told(node, ref.index)
    except (ValueError, TypeError, IndexError) as error:
        raise BadNode(node, f"cannot become an input: {error}") from error
    if not isinstance(found, str):
        raise BadNode(node, "cannot become an input: its dtype is not known")
    return found


def _told(node: Node, index: int) -> Any:
    if "Parse" in node.op and node.attr("Tdense") is not None:
        return _parsed(node)[index]
    if node.op in _OF_LISTS and index == 0:
        return node.attr("element_dtype")
    if node.op in _EACH:
        return _EACH[node.op][index]
    if dtype := _listed(node, _LISTS, index):
        return dtype
    fixed = next((dtype for dtype, ops in _FIXED.items() if node.op in ops), None)
    # of these, T is the dtype of what they read
    attrs = [a for a in _ATTRS if not (fixed and a == "T")]
    types = [node.attr(attr) for attr in attrs]
    return next((t for t in types if isinstance(t, str)), fixed)


def shape_of_source(node: Node, ref: TensorRef) -> tuple[int | None, ...] | None:
    """The shape that a placeholder or an iterator has of its own, or None; raises BadAttr."""
    own: Any
    try:
        if node.op.startswith("Placeholder"):
            own = node.attr("shape")
        else:
            own = _listed(node, ("output_shapes",), ref.index)
    except ValueError as error:
        raise BadNode(node, f"its shape is damaged: {error}") from error
    if not isinstance(own, tuple | None) or not all(isinstance(d, int | None) for d in own or ()):
        raise BadAttr(node, "shape", found=own, expected=("a shape",))
    # of the older op, () means that nothing is known
    return None if node.op == "PlaceholderV2" and own == () else own


def _listed(node: Node, attrs: tuple[str, ...], index: int) -> Any:
    """What a list among the attributes says of an output."""
    for attr in attrs:
        values = node.attr(attr)
        if isinstance(values, tuple) and index < len(values):
            return values[index]
    return None


def _parsed(node: Node) -> list[str]:
    """Outputs of ParseExample: of sparse features indices, values and shapes, then the dense."""
    sparse = list(node.attr("sparse_types") or ())
    return ["int64"] * len(sparse) + sparse + ["int64"] * len(sparse) + list(node.attr("Tdense"))
