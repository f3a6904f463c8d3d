"""The words of DLC files for Relax's operators, as rows.

A row gives an operator's type and the names of its attributes there. The types are those of
Qualcomm's converters 2.x as their files show them, which Netron knows; an operator without a row
keeps the last part of its name in Relax.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcc.compiler.network.network import Attribute

Attributes = dict[str, Attribute]


@dataclass(frozen=True, slots=True)
class Word:
    """An operator's type, how its attributes are written, and names for constants it takes."""

    op: str
    attributes: Callable[[Any], Attributes]
    constants: tuple[str, ...] = ()


def plain(attrs: Any) -> dict[str, Attribute]:
    """Attributes under their own names; what is not set is left out."""
    names = [field.name for field in type(attrs).__tvm_ffi_type_info__.fields]
    named = ((str(name), attribute(getattr(attrs, name))) for name in names)
    return {name: value for name, value in named if value is not None}


def attribute(value: Any) -> Attribute | None:
    """A value of TVM's as a plain one: a number, a text, an array of integers; None for none."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    if type(value).__name__ in ("IntImm", "FloatImm"):
        return value.value  # type: ignore[no-any-return]
    try:
        items = [attribute(item) for item in value]
    except TypeError:
        return str(value)
    if all(isinstance(i, int) for i in items):
        return _integers(items, np.int32)
    return ", ".join(map(str, items))


def _integers(values: Iterable[Any], *kinds: type) -> np.ndarray:
    """In the first of the dtypes that holds them all, or in int64."""
    numbers = np.array([int(v) for v in values], np.int64)
    fits = (kind for kind in kinds if np.array_equal(numbers.astype(kind), numbers))
    return numbers.astype(next(fits, np.int64))


def _whole(values: Iterable[Any]) -> np.ndarray:
    """Unsigned, as in Qualcomm's files, where that holds them: a pad that cuts is negative."""
    return _integers(values, np.uint32, np.int32)


def _window(attrs: Any) -> dict[str, Attribute]:
    """Strides, pads and dilation of a window over any number of dimensions."""
    found: dict[str, Attribute] = {
        "stride": _whole(attrs.strides),
        "pad_amount": _whole(attrs.padding).reshape(2, -1).T.copy(),
    }
    return found | {"dilation": _whole(attrs.dilation)}


def _convolution(attrs: Any) -> Attributes:
    found: dict[str, Attribute] = _window(attrs) | {"group": int(attrs.groups)}
    if not str(attrs.data_layout).endswith("C"):  # DLC files have channels last, and no word for it
        found["layout"] = str(attrs.data_layout)
    if not str(attrs.kernel_layout).endswith("IO"):
        found["weight_layout"] = str(attrs.kernel_layout)
    return found


def _transposed(attrs: Any) -> Attributes:
    return _convolution(attrs) | {"output_padding": _whole(attrs.output_padding)}


def _pool(attrs: Any) -> Attributes:
    more: dict[str, Attribute] = {"filter_size": _whole(attrs.pool_size)}
    return _window(attrs) | more | {"rounding_mode": int(bool(attrs.ceil_mode))}


def _mean_pool(attrs: Any) -> Attributes:
    return {**_pool(attrs), "count_pad_for_edges": bool(attrs.count_include_pad)}


def _axes(attrs: Any) -> Attributes:
    axes = getattr(attrs, "axis", None)
    found: dict[str, Attribute] = {"keep_dims": bool(attrs.keepdims)}
    if axes is None:
        return found
    return found | {"axes": np.array([int(a) for a in axes], np.int32)}


def _permutation(attrs: Any) -> Attributes:
    return {} if attrs.axes is None else {"perm": _whole(attrs.axes)}


def _pad(attrs: Any) -> Attributes:
    found: dict[str, Attribute] = {"pad_amount": _whole(attrs.pad_width).reshape(-1, 2)}
    return found | {"scheme": str(attrs.pad_mode)}


def _nothing(attrs: Any) -> Attributes:  # noqa: ARG001  # attributes that the tensors tell
    return {}


_WEIGHTS = ("weight", "bias")
_NORM = ("gamma", "beta", "mean", "variance")
_ELEMENTWISE = {
    "add": "Add", "subtract": "Subtract", "multiply": "Multiply", "divide": "Divide",
    "floor_divide": "FloorDiv", "floor_mod": "Mod", "mod": "Fmod", "power": "Power",
    "maximum": "Maximum", "minimum": "Minimum", "equal": "Equal", "not_equal": "NotEqual",
    "less": "Less", "less_equal": "LessEqual", "greater": "Greater",
    "greater_equal": "GreaterEqual", "logical_and": "And", "logical_or": "Or",
    "logical_xor": "Xor", "logical_not": "Not", "abs": "Abs", "negative": "Neg", "exp": "Exp",
    "log": "Log", "sqrt": "SquareRoot", "rsqrt": "Rsqrt", "square": "Square", "floor": "Floor",
    "ceil": "Ceil", "round": "Round", "sign": "Sign", "sin": "Sin", "cos": "Cos", "tan": "Tan",
    "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh",
    "where": "Select",
}  # fmt: skip
_REDUCE = {"mean": "Mean", "sum": "Sum", "max": "Max", "min": "Min", "prod": "Prod"}

WORDS: dict[str, Word] = {
    "nn.conv1d": Word("Conv1d", _convolution, _WEIGHTS),
    "nn.conv2d": Word("Conv2d", _convolution, _WEIGHTS),
    "nn.conv3d": Word("Conv3d", _convolution, _WEIGHTS),
    "nn.conv2d_transpose": Word("TransposeConv2d", _transposed, _WEIGHTS),
    "nn.max_pool2d": Word("PoolMax2d", _pool),
    "nn.avg_pool2d": Word("PoolAvg2d", _mean_pool),
    "nn.max_pool3d": Word("PoolMax3d", _pool),
    "nn.avg_pool3d": Word("PoolAvg3d", _mean_pool),
    "nn.relu": Word("Relu", _nothing),
    "nn.softmax": Word("Softmax", plain),
    "nn.log_softmax": Word("LogSoftmax", plain),
    "nn.batch_norm": Word("Batchnorm", plain, _NORM),
    "nn.layer_norm": Word("LayerNorm", plain, _NORM),
    "nn.gelu": Word("Gelu", _nothing),
    "nn.silu": Word("Swish", _nothing),
    "nn.leakyrelu": Word("LeakyRelu", plain),
    "nn.prelu": Word("Prelu", plain, ("alpha",)),
    "nn.pad": Word("Pad", _pad),
    "sigmoid": Word("Sigmoid", _nothing),
    "tanh": Word("Tanh", _nothing),
    "erf": Word("Erf", _nothing),
    "clip": Word("ReluMinMax", _nothing),
    "matmul": Word("MatMul", _nothing),
    "concat": Word("Concat", plain),
    "split": Word("Split", plain),
    "stack": Word("Pack", plain),
    "strided_slice": Word("StridedSlice", plain),
    "reshape": Word("Reshape", _nothing),
    "flatten": Word("Reshape", _nothing),
    "squeeze": Word("Squeeze", plain),
    "expand_dims": Word("ExpandDims", plain),
    "permute_dims": Word("Transpose", _permutation),
    "broadcast_to": Word("Expand", _nothing),
    "astype": Word("Cast", _nothing),
    "take": Word("Gather", plain),
    "gather_nd": Word("GatherNd", plain),
    "gather_elements": Word("GatherElements", plain),
    "scatter_nd": Word("ScatterNd", plain),
    "scatter_elements": Word("ScatterElements", plain),
    "one_hot": Word("OneHot", plain),
    "argmax": Word("Argmax", plain),
    "argmin": Word("Argmin", plain),
    "topk": Word("TopK", plain),
    "cumsum": Word("CumulativeSum", plain),
    "tile": Word("Tile", plain),
    "image.resize2d": Word("Resize", plain),
    **{name: Word(f"ElementWise{word}", _nothing) for name, word in _ELEMENTWISE.items()},
    **{name: Word(f"Reduce{word}", _axes) for name, word in _REDUCE.items()},
}

# kernels that the front end writes itself, where there is a word for what they do
KERNELS: dict[str, str] = {
    "batch_matmul": "MatMul", "broadcast": "Expand",
    "depth_to_space": "DepthToSpace", "divide": "ElementWiseDivide",
    "floor_divide": "ElementWiseFloorDiv", "floor_mod": "ElementWiseMod", "gather": "Gather",
    "gather_nd": "GatherNd", "non_max_suppression": "NonMaxSuppression", "one_hot": "OneHot",
    "pad": "Pad", "reshape": "Reshape", "resize": "Resize", "resize_bilinear": "ResizeBilinear",
    "resize_nearest": "ResizeNearestNeighbor", "reverse_sequence": "ReverseSequence",
    "round_half_even": "ElementWiseRound", "scatter": "ScatterNd", "slice": "StridedSlice",
    "space_to_depth": "SpaceToDepth", "tanh": "Tanh", "topk": "TopK",
}  # fmt: skip


def word_of(operator: str) -> Word:
    """The row of an operator, `relax.nn.conv2d`; without one, a row of its own name."""
    name = operator.removeprefix("relax.")
    return WORDS.get(name) or Word(_camel(name), plain)


def _camel(name: str) -> str:
    """`special.log1p` -> `Log1p`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split(".")[-1].split("_"))
