"""Networks made by hand, files that hold their tables, and a writer of version 3."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_dtypes
import numpy as np

from dlcc.compiler.dlc.build import Field, Layout, Scalar, Table, Vector
from dlcc.compiler.dlc.codes import MARK, METADATA, MODEL, MODEL_MARK, PARAMETERS, PARAMETERS_MARK
from dlcc.compiler.dlc.codes import PREFIX as HEAD
from dlcc.compiler.dlc.metadata import encode_metadata
from dlcc.compiler.dlc.write import Tables, write_tables
from dlcc.compiler.network.network import Layer, Network, Quantization, Tensor

KERNEL = np.random.default_rng(0).standard_normal((3, 3, 3, 8), np.float32)
BIAS = np.linspace(-1, 1, 8, dtype=np.float32)


def small() -> Network:
    """A convolution and its bound, with what DLC files have words for."""
    tensors = [
        Tensor("input", "float32", (1, 16, 16, 3), "input"),
        Tensor("conv/weight", "float32", KERNEL.shape, "constant", value=KERNEL),
        Tensor("conv/bias", "float32", (8,), "constant", value=BIAS),
        Tensor("conv", "float32", (1, 16, 16, 8), "intermediate"),
        Tensor(
            "bounded", "uint8", (1, 16, 16, 8), "output", Quantization(8, 0.0235, 0, 0.0, 5.9925)
        ),
    ]
    pads = np.array([[1, 1], [1, 1]], np.uint32)
    layers = (
        Layer(
            "conv",
            "Conv2d",
            ("input", "conv/weight", "conv/bias"),
            ("conv",),
            {"group": 1, "stride": np.array([1, 1], np.uint32), "pad_amount": pads},
            ("conv/Conv2D", "conv"),
        ),
        Layer("relu6", "ReluMinMax", ("conv",), ("bounded",), {"min_value": 0.0, "max": 6.5}),
    )
    return Network(
        "small", "container", layers, {t.name: t for t in tensors}, ("input",), ("bounded",)
    )


def odd() -> Network:
    """What the tables have no words for."""
    table = np.linspace(0, 1, 12).astype(ml_dtypes.bfloat16).reshape(3, 4)
    tensors = [
        Tensor("b", "float32", ("n", 4), "input"),
        Tensor("a", "complex64", ("n", 3, 2**33), "input"),
        Tensor("rank", "int64", None, "intermediate"),
        Tensor("scalar", "float64", (), "constant", value=np.array(1 / 3)),
        Tensor("none", "int8", (0, 7), "constant", value=np.zeros((0, 7), np.int8)),
        Tensor("table", "bfloat16", (3, 4), "constant", value=table),
        Tensor("flags", "bool", (3,), "constant", value=np.array([True, False, True])),
        Tensor("turned", "float32", (8, 3, 3, 3), "constant", value=KERNEL.transpose(3, 0, 1, 2)),
        Tensor("big", ">f4", (2,), "constant", value=np.array([1, 2], ">f4")),
        Tensor("second", "bool", ("n",), "output"),
        Tensor("first", "int16", (2,), "output", Quantization(16, 0.1 / 3, -7, -1 / 3, 2 / 3)),
    ]
    attributes = {
        "yes": True,
        "long": 2**40,
        "unsigned": 2**32 - 1,
        "negative": -3,
        "third": 1 / 3,
        "huge": 1e300,
        "infinite": float("inf"),
        "epsilon": 0.001,
        "text": "ü\n\x00",
        "double": np.array([1 / 3, 2 / 3]),
        "longs": np.array([2**40, -1]),
        "empty": np.zeros((0,), np.int32),
    }
    layers = (
        Layer("odd", "no.word", ("b", "", "a", "scalar"), ("rank",), attributes),
        Layer("more", "LSTM", ("rank", "table", "none", "flags", "turned"), ("second", "first")),
    )
    known = {t.name: t for t in tensors}
    known["big"] = Tensor("big", "float32", (2,), "constant", value=tensors[8].value)
    return Network("odd", "container", layers, known, ("a", "b"), ("first", "second"))


def same(found: Network, expected: Network) -> None:
    """All but `form` and `metadata` is equal, values of constants included."""
    for part in ("name", "inputs", "outputs"):
        assert getattr(found, part) == getattr(expected, part)
    assert list(found.tensors) == list(expected.tensors)
    for tensor in expected.tensors.values():
        other = found.tensors[tensor.name]
        assert (other.dtype, other.shape, other.role, other.quantization) == (
            tensor.dtype,
            tensor.shape,
            tensor.role,
            tensor.quantization,
        )
        equal(other.value, tensor.value)
    assert len(found.layers) == len(expected.layers)
    for layer, other in zip(expected.layers, found.layers, strict=True):
        for part in ("name", "op", "inputs", "outputs", "nodes"):
            assert getattr(layer, part) == getattr(other, part)
        assert layer.attributes.keys() == other.attributes.keys()
        for key, value in layer.attributes.items():
            equal(other.attributes[key], value)


def equal(found: object, expected: object) -> None:
    """Values and dtypes; a tensor in the order of the other machine's bytes is none of its own."""
    if not isinstance(expected, np.ndarray):
        assert (type(found), found) == (type(expected), expected)
        return
    assert isinstance(found, np.ndarray)
    assert found.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, expected)
    assert not found.flags.writeable


def joined(tables: Tables) -> tuple[bytes, bytes]:
    """`model` and `model.params`."""
    return tables.model, b"".join(bytes(part) for part in tables.params.buffers())


def foreign(path: Path, *networks: Network, long_from: int = 1 << 31) -> Path:
    """A file that holds the tables of networks and nothing of dlcc's."""
    model, params = joined(write_tables(networks, long_from=long_from))
    entries = {METADATA: encode_metadata("0", {}), MODEL: model, PARAMETERS: params}
    return zipped(path, entries)


def zipped(path: Path, entries: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


# Attributes of version 3: the number of their type, and the slot and form of their value.
def _attribute(name: str, value: object) -> Table:
    number, slot, field = _typed(value)
    return {0: name, 1: Scalar("B", number), slot: field}


def _typed(value: object) -> tuple[int, int, Field]:
    match value:
        case bool():
            return 1, 2, Scalar("B", value)
        case int():
            return (2, 3, Scalar("i", value)) if value < 0 else (3, 4, Scalar("I", value))
        case float():
            return 4, 5, Scalar("f", value)
        case str():
            return 5, 6, value
        case bytes():
            return 7, 8, Vector(value, 1)
        case np.ndarray():
            form, number = ("i", 8) if value.dtype.kind == "i" else ("f", 9)
            content = struct.pack(f"<{value.size}{form}", *value.reshape(-1).tolist())
            return number, number + 1, Vector(content, 4)
        case dict():
            return 11, 12, [_attribute(key, inner) for key, inner in value.items()]
    raise TypeError(value)


Node = tuple[str, str, Sequence[str], Sequence[str], Mapping[str, object]]
NODES: list[Node] = [
    ("x", "Input", ["x"], ["x"], {"OutputDims": {"0": np.array([1, 8, 8, 3])}}),
    ("two", "Const", [], ["two"], {"OutputDims": {"0": np.array([2])}}),
    (
        "conv",
        "Convolutional",
        ["x"],
        ["conv.out"],
        {
            "OutputDims": {"0": np.array([1, 8, 8, 8])},
            "groups": 1,
            "below": -2,
            "ratio": 0.5,
            "mode": "same",
            "flag": True,
            "order": b"\x01\x02",
            "pads": np.array([1, 1]),
            "scales": np.array([0.5, 1.5]),
            "encoding": {"min": 0.0, "max": 6.0},
        },
    ),
    ("sum", "Eltwise", ["conv.out", "two"], ["y"], {"OutputDims": {"0": np.array([1, 8, 8, 8])}}),
]
WEIGHTS: dict[str, dict[str, np.ndarray]] = {
    "two": {"value": np.array([2.0, 3.0], np.float32)},
    "conv": {"weights": KERNEL, "biases": np.arange(8, dtype=np.uint8)},
}


def version_3() -> tuple[bytes, bytes]:
    """`model` and `model.params` of version 3."""
    nodes: list[Table] = [
        {
            0: Scalar("i", number),
            1: name,
            2: op,
            3: inputs,
            4: outputs,
            5: [_attribute(key, value) for key, value in attributes.items()],
        }
        for number, (name, op, inputs, outputs, attributes) in enumerate(NODES)
    ]
    model = Layout({1: nodes}, MODEL_MARK, HEAD.pack(MARK, 3, 0, 0))
    weights: list[Table] = [
        {0: node, 1: [_weight(*row) for row in found.items()]} for node, found in WEIGHTS.items()
    ]
    params = Layout({0: weights}, PARAMETERS_MARK, HEAD.pack(MARK, 3, 0, 0))
    return bytes(model.content), bytes(params.content)


def _weight(name: str, value: np.ndarray) -> Table:
    bytes_ = value.dtype == np.uint8
    data: dict[int, Field] = {0: Scalar("B", 6 if bytes_ else 9)}
    data[1 if bytes_ else 2] = Vector(value.tobytes(), value.dtype.itemsize)
    shape = struct.pack(f"<{value.ndim}i", *value.shape)
    return {0: name, 1: Vector(shape, 4), 2: data}
