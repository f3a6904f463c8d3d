"""One op of each family in the dtypes that TensorFlow's CPU kernels have for it."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from op_cases import Case, feed, normal, run_dlcc, uniform

from dlcc.compiler import compile, open_container
from dlcc.targets.rpc.serve import start_server

BF16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = ("float16", "bfloat16", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
COMPLEX = ("complex64", "complex128")
INTS = SIGNED + UNSIGNED
REAL = FLOATS + INTS
ALL = (*REAL, "bool", *COMPLEX)

TOLERANCE = {
    "float16": {"rtol": 4e-3, "atol": 4e-3, "why": "11 bits"},
    "bfloat16": {"rtol": 3e-2, "atol": 3e-2, "why": "8 bits, rounded by TensorFlow between steps"},
    "float64": {"rtol": 1e-11, "atol": 1e-12},
    "complex128": {"rtol": 1e-11, "atol": 1e-12},
}


def numpy_dtype(name):
    return BF16 if name == "bfloat16" else np.dtype(name)


def cast(array, dtype):
    """Numbers of a dtype: fractions become small integers, which are not negative in unsigned."""
    kind = numpy_dtype(dtype).kind
    if kind in "iu":
        array = np.rint(array * 3)
        array = np.abs(array) if kind == "u" else array
    if kind == "b":
        return array > 0.2
    if kind == "c":
        return (array + 0.5j * np.roll(array, 1)).astype(dtype)
    return array.astype(numpy_dtype(dtype))


class Of:
    """A tensor of the dtype under test; fed, or a constant."""

    def __init__(self, array, fed=True):
        self.array, self.fed = np.asarray(array), fed

    def __call__(self, dtype):
        made = cast(self.array, dtype)
        return feed(made) if self.fed else made


def made_in(argument, dtype):
    if isinstance(argument, list):
        return [made_in(a, dtype) for a in argument]
    return argument(dtype) if isinstance(argument, Of) else argument


X, Y, IMAGE = normal(3, 5), normal(3, 5, seed=1), normal(1, 6, 7, 2)
POSITIVE = uniform(3, 5, low=0.4, high=3)
SHAPES = {"strides": [1, 1, 1, 1], "padding": "SAME"}
WINDOW = {"ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1], "padding": "VALID"}
SYMMETRIC = (normal(4, 4) @ normal(4, 4).T + 4 * np.eye(4)).astype("float32")

# family, op, arguments, attributes, dtypes
FAMILIES = [
    ("sum", "AddV2", [Of(X), Of(Y)], {}, (*REAL, *COMPLEX)),
    ("product", "Mul", [Of(X), Of(Y, fed=False)], {}, (*REAL, *COMPLEX)),
    ("difference", "Sub", [Of(X), Of(Y[:1])], {}, (*REAL, *COMPLEX)),
    ("quotient", "RealDiv", [Of(X), Of(POSITIVE)], {}, (*FLOATS, *COMPLEX)),
    ("floor", "FloorDiv", [Of(X), Of(POSITIVE)], {}, REAL),
    ("remainder", "FloorMod", [Of(X), Of(POSITIVE)], {}, (*FLOATS, "int32", "int64")),
    ("power", "Pow", [Of(POSITIVE), Of(POSITIVE)], {}, (*FLOATS, "int32", "int64")),
    ("extreme", "Maximum", [Of(X), Of(Y)], {}, REAL),
    ("bounds", "ClipByValue", [Of(X), Of(-0.4, fed=False), Of(0.4, fed=False)], {}, FLOATS),
    ("sign", "Sign", [Of(X)], {}, (*FLOATS, "int32", "int64")),
    ("exponential", "Exp", [Of(X)], {}, (*FLOATS, *COMPLEX)),
    ("logarithm", "Log1p", [Of(POSITIVE)], {}, FLOATS),
    ("sigmoid", "Sigmoid", [Of(X)], {}, FLOATS),
    ("tangent", "Tanh", [Of(X)], {}, (*FLOATS, *COMPLEX)),
    ("inverse", "Asin", [Of(X / 4)], {}, FLOATS),
    ("error", "Erfc", [Of(X)], {}, FLOATS),
    ("gamma", "Lgamma", [Of(POSITIVE)], {}, ("float16", "float64")),
    ("root", "Rsqrt", [Of(POSITIVE)], {}, (*FLOATS, *COMPLEX)),
    ("rounding", "Round", [Of(X)], {}, FLOATS),
    ("relu", "Relu", [Of(X)], {}, REAL),
    ("elu", "Elu", [Of(X)], {}, FLOATS),
    ("leaky", "LeakyRelu", [Of(X)], {}, FLOATS),
    ("softmax", "LogSoftmax", [Of(X)], {}, FLOATS),
    ("comparison", "Less", [Of(X), Of(Y)], {}, REAL),
    ("equality", "Equal", [Of(X), Of(Y)], {}, ALL),
    ("choice", "SelectV2", [feed(X > 0), Of(X), Of(Y)], {}, ALL),
    ("reduction", "Sum", [Of(X), np.int32([1])], {}, (*REAL, *COMPLEX)),
    ("mean", "Mean", [Of(X), np.int32([0])], {}, REAL),
    ("largest", "Max", [Of(X), np.int32([0])], {}, REAL),
    ("place", "ArgMax", [Of(X), np.int32(1)], {}, (*REAL, "bool")),
    ("running sum", "Cumsum", [Of(X), np.int32(1)], {}, (*REAL, *COMPLEX)),
    ("top", "TopKV2", [Of(X), np.int32(3)], {}, (*FLOATS, *SIGNED, "uint8", "uint16", "uint32")),
    ("segments", "UnsortedSegmentSum", [Of(X), feed(np.int32([1, 0, 1])), np.int32(3)], {},
     (*REAL, *COMPLEX)),
    ("unique", "Unique", [Of(np.float32([1, 0, 1, 2, 0]))], {}, (*INTS, "bool", "float64")),
    ("product of matrices", "MatMul", [Of(X), Of(normal(5, 4))], {},
     (*FLOATS, "int32", "int64", *COMPLEX)),
    ("batch of products", "BatchMatMulV2", [Of(normal(2, 3, 5)), Of(normal(2, 5, 4))], {},
     (*FLOATS, "int32", *COMPLEX)),
    ("einsum", "Einsum", [[Of(X), Of(Y)]], {"equation": "ab,cb->ac"}, (*FLOATS, *COMPLEX)),
    ("convolution", "Conv2D", [Of(IMAGE), Of(normal(3, 3, 2, 4), fed=False)], SHAPES, FLOATS),
    ("depthwise", "DepthwiseConv2dNative", [Of(IMAGE), Of(normal(3, 3, 2, 2), fed=False)], SHAPES,
     FLOATS),
    ("largest in window", "MaxPool", [Of(IMAGE)], WINDOW, (*FLOATS, *SIGNED, "uint8")),
    ("mean in window", "AvgPool", [Of(IMAGE)], WINDOW, FLOATS),
    ("bias", "BiasAdd", [Of(IMAGE), Of(normal(2))], {}, (*FLOATS, "int32")),
    ("resize", "ResizeBilinear", [Of(IMAGE), np.int32([9, 4])], {},
     ("float16", "bfloat16", *SIGNED, "uint8")),
    ("nearest", "ResizeNearestNeighbor", [Of(IMAGE), np.int32([9, 4])], {},
     (*FLOATS, "uint8", "int32")),
    ("factor", "Cholesky", [Of(SYMMETRIC)], {}, ("float64",)),
    ("solution", "MatrixSolve", [Of(SYMMETRIC), Of(normal(4, 2))], {}, ("float64",)),
    ("gather", "GatherV2", [Of(X), feed(np.int32([2, 0])), np.int32(0)], {}, ALL),
    ("gather of vectors", "GatherNd", [Of(X), feed(np.int32([[2, 0], [1, 4]]))], {}, ALL),
    ("scatter", "ScatterNd", [feed(np.int32([[2], [0]])), Of(X[:2]), np.int32([4, 5])], {}, ALL),
    ("join", "ConcatV2", [[Of(X), Of(Y, fed=False)], np.int32(1)], {}, ALL),
    ("stack", "Pack", [[Of(X), Of(Y)]], {"axis": 1}, ALL),
    ("cut", "StridedSlice", [Of(X), np.int32([0, 4]), np.int32([3, 0]), np.int32([2, -2])], {},
     ALL),
    ("turn", "Transpose", [Of(X), np.int32([1, 0])], {}, ALL),
    ("form", "Reshape", [Of(X), np.int32([5, 3])], {}, ALL),
    ("border", "PadV2", [Of(X), np.int32([[1, 0], [0, 2]]), Of(1.0, fed=False)], {}, ALL),
    ("spread", "BroadcastTo", [Of(X[:, :1]), np.int32([2, 3, 8])], {}, ALL),
    ("repetition", "Tile", [Of(X), np.int32([2, 1])], {},
     (*FLOATS, *SIGNED, "uint8", "uint32", "uint64", "bool", *COMPLEX)),
    ("fill", "Fill", [np.int32([3, 4]), Of(X[0, 0])], {}, ALL),
    ("one hot", "OneHot", [feed(np.int32([1, 0, 4])), np.int32(3), Of(1.0), Of(-1.0)], {},
     (*REAL, "bool")),
    ("diagonal", "MatrixDiag", [Of(X)], {}, (*REAL, "bool")),
    ("blocks", "SpaceToDepth", [Of(normal(1, 4, 6, 2))], {"block_size": 2}, ALL),
    ("reversal", "ReverseV2", [Of(X), np.int32([1])], {}, ALL),
    ("partition", "DynamicPartition", [Of(X), feed(np.int32([1, 0, 1]))], {"num_partitions": 2},
     (*REAL, "bool")),
    ("bits", "BitwiseXor", [Of(X), Of(Y)], {}, INTS),
    ("shift", "LeftShift", [Of(X), Of(np.ones((3, 5)))], {}, INTS),
    *(("cast from " + t, "Cast", [Of(X)], {"DstT": t}, ALL)
      for t in ("float16", "bfloat16", "int8", "uint8", "int64", "bool", "complex64")),
]  # fmt: skip

# kernels that TensorFlow's CPU lacks are not in the list of dtypes above
CASES = [
    Case(op, made_in(arguments, dtype), f"{family} {dtype}", attrs, **TOLERANCE.get(dtype, {}))
    for family, op, arguments, attrs, dtypes in FAMILIES
    for dtype in dtypes
    if (op, attrs.get("DstT")) != ("Cast", dtype)
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)


@pytest.fixture(scope="module")
def bfloat16_network():
    """A network with bfloat16 as input, weights, steps and outputs; a feed, what is expected."""
    import tensorflow as tf

    weights = tf.constant(normal(5, 4), tf.bfloat16)
    x = normal(3, 5).astype(BF16)
    with tf.Graph().as_default() as graph:
        fed = tf.compat.v1.placeholder(tf.bfloat16, (None, 5), name="x")
        h = tf.nn.relu(tf.matmul(fed, weights.numpy()) + tf.constant(0.5, tf.bfloat16))
        tf.concat([tf.nn.softmax(h), h[:, ::-1]], 1, name="y")
        tf.cast(h, tf.float32, name="wide")
    with tf.compat.v1.Session(graph=graph) as session:
        expected = session.run(["y:0", "wide:0"], {"x:0": x})
    return graph.as_graph_def(), {"x": x}, expected


def check_network(found, expected):
    assert found["y"].dtype == BF16
    assert found["wide"].dtype == np.float32
    for name, want in zip(("y", "wide"), expected, strict=True):
        wide = [np.asarray(v, np.float64) for v in (found[name], want)]
        np.testing.assert_allclose(*wide, rtol=2e-2, atol=2e-2)


def test_bfloat16_goes_through_a_saved_container(bfloat16_network, tmp_path):
    graph, feeds, expected = bfloat16_network
    compile(graph, outputs=["y", "wide"]).save(tmp_path / "net.dlc")
    with open_container(tmp_path / "net.dlc").session() as session:
        check_network(session.run(feeds), expected)


def test_bfloat16_goes_over_the_network(bfloat16_network):
    graph, feeds, expected = bfloat16_network
    server = start_server()
    try:
        container = compile(graph, outputs=["y", "wide"])
        with container.session(device=f"rpc://127.0.0.1:{server.port}") as session:
            check_network(session.run(feeds), expected)
    finally:
        server.stop()


def test_bfloat16_is_rounded_to_nearest_even():
    """Every half-way case between two numbers, its neighbours, overflow and NaN."""
    import tensorflow as tf

    low = np.arange(0x3F00, 0x4100, dtype=np.uint32) << 16
    bits = np.concatenate([low + k for k in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)])
    edges = np.uint32([0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0x7FC00000, 0x80000000])
    x = np.concatenate([bits, bits | 0x80000000, edges]).view(np.float32)
    with tf.Graph().as_default() as graph:
        tf.cast(tf.compat.v1.placeholder(tf.float32, x.shape, name="x"), tf.bfloat16, name="y")
    found = run_dlcc(graph.as_graph_def(), ["y"], {"x": x})["y"]
    np.testing.assert_array_equal(found.astype(np.float32), x.astype(BF16).astype(np.float32))
