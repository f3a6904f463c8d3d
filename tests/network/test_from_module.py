"""A module as layers: words, merges, names, shapes and values, and what each layer costs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from tvm import relax

from dlcc.compiler.network.costs import macs, parameters
from dlcc.compiler.network.from_module import network_of
from dlcc.targets.names import with_names

R = relax.op
RNG = np.random.default_rng(5)


def const(*shape):
    return relax.const(RNG.standard_normal(shape).astype("float32"))


@pytest.fixture
def network():
    """The network of a function of body's; a variable `a_b` was made for the node `a/b`."""

    def make(body, *shapes, dtype="float32", outputs=("y",)):
        builder = relax.BlockBuilder()
        params = [relax.Var(f"x{i}", relax.TensorType(s, dtype)) for i, s in enumerate(shapes)]
        with builder.function("main", params):
            results = body(builder, *params)
            results = results if isinstance(results, list) else [results]
            builder.emit_func_output(relax.Tuple(results))
        module = builder.finalize()
        names = [b.var.name for block in module["main"].body.blocks for b in block.bindings]
        nodes = {name: name.replace("_", "/") for name in names}
        module = with_names(module, nodes, outputs)
        specs = [SimpleNamespace(name=p.name) for p in params]
        given = [SimpleNamespace(name=name) for name in outputs]
        return network_of(module, name="net", inputs=specs, outputs=given)

    return make


def conv(x, w, **more):
    layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO", "out_layout": "NHWC"}
    return R.nn.conv2d(x, w, **layouts, **more)


def test_a_convolution_takes_its_bias_and_its_bounds_are_one_layer(network):
    weight, bias = const(3, 5, 3, 8), const(8)

    def body(b, x):
        y = b.emit(conv(x, weight, strides=[2, 1], padding=[1, 0, 2, 3]), "c_conv")
        y = b.emit(R.add(y, bias), "c_add")
        y = b.emit(R.maximum(relax.const(0.0), y), "r_low")
        return b.emit(R.minimum(relax.const(6.0), y), "r_relu6")

    net = network(body, (2, 7, 9, 3))
    assert [layer.op for layer in net.layers] == ["Conv2d", "ReluMinMax"]
    layer, bounds = net.layers
    assert layer.inputs == ("x0", "c/add/weight", "c/add/bias")
    assert layer.nodes == ("c/conv", "c/add")
    assert layer.attributes["stride"].tolist() == [2, 1]
    assert layer.attributes["pad_amount"].tolist() == [[1, 2], [0, 3]]
    assert bounds.attributes == {"min_value": 0.0, "max_value": 6.0}
    assert bounds.outputs == net.outputs == ("y",)
    assert net.tensors["y"].shape == (2, 4, 8, 8)
    assert net.tensors["y"].role == "output"
    np.testing.assert_array_equal(net.tensors["c/add/weight"].value, weight.value.numpy())
    assert parameters(net, layer) == 3 * 5 * 3 * 8 + 8
    assert macs(net, layer) == 2 * 4 * 8 * 8 * 3 * 5 * 3


@pytest.mark.parametrize(
    ("amounts", "dtype"),
    [((0, 1, 2, 3), "uint32"), ((0, -1, 2, 3), "int32"), ((0, 0, 0, 2**32), "int64")],
)
def test_pads_keep_their_values(network, amounts, dtype):
    """A negative one cuts."""
    net = network(lambda b, x: b.emit(R.nn.pad(x, list(amounts)), "pad"), (4, 5))
    found = net.layers[0].attributes["pad_amount"]
    assert (found.dtype, found.reshape(-1).tolist()) == (dtype, list(amounts))


def test_what_another_reads_stays_a_layer(network):
    def body(b, x):
        y = b.emit(R.matmul(x, const(6, 4)), "fc_product")
        return [b.emit(R.add(y, const(4)), "fc_bias"), y]

    net = network(body, (3, 6), outputs=("sum", "product"))
    assert [layer.op for layer in net.layers] == ["FullyConnected", "ElementWiseAdd"]
    assert net.outputs == ("sum", "product")
    assert net.layers[0].outputs == ("product",)


def test_a_bias_of_another_shape_stays_an_addition(network):
    def body(b, x):
        y = b.emit(R.matmul(x, const(6, 4)), "fc_product")
        return b.emit(R.add(y, const(3, 1)), "fc_add")

    assert [layer.op for layer in network(body, (3, 6)).layers] == [
        "FullyConnected",
        "ElementWiseAdd",
    ]


def test_bounds_that_cross_are_not_merged(network):
    def body(b, x):
        y = b.emit(R.maximum(relax.const(2.0), x), "low")
        return b.emit(R.minimum(relax.const(1.0), y), "high")

    assert len(network(body, (5,)).layers) == 2


def test_depthwise_is_known_by_its_groups(network):
    def body(b, x):
        return b.emit(conv(x, const(3, 3, 1, 12), groups=6), "d")

    (layer,) = network(body, (1, 5, 5, 6)).layers
    assert layer.op == "DepthWiseConv2d"
    assert layer.attributes["group"] == 6


def test_channels_first_costs_the_same(network):
    def body(b, x):
        first = {"data_layout": "NCHW", "kernel_layout": "OIHW", "out_layout": "NCHW"}
        y = b.emit(R.nn.conv2d(x, const(8, 3, 3, 5), **first), "c")
        return b.emit(R.nn.conv2d(y, const(8, 1, 3, 3), groups=8, **first), "d")

    net = network(body, (2, 3, 9, 11))
    assert [layer.op for layer in net.layers] == ["Conv2d", "DepthWiseConv2d"]
    assert net.layers[0].attributes["weight_layout"] == "OIHW"
    assert macs(net, net.layers[0]) == 2 * 8 * 7 * 7 * 3 * 3 * 5
    assert macs(net, net.layers[1]) == 2 * 8 * 5 * 5 * 3 * 3


def test_a_transposed_convolution_multiplies_for_each_input(network):
    def body(b, x):
        return b.emit(R.nn.conv2d_transpose(x, const(6, 4, 3, 5), strides=(2, 2)), "t")

    net = network(body, (2, 6, 4, 5))
    assert macs(net, net.layers[0]) == 2 * 6 * 4 * 5 * 4 * 3 * 5


def test_an_output_that_is_an_input_or_another_output_is_a_copy(network):
    def body(b, x):
        y = b.emit(R.exp(x), "e")
        return [x, y, y]

    net = network(body, (2, 3), outputs=("same", "first", "second"))
    assert net.outputs == ("same", "first", "second")
    made = {name: layer.op for layer in net.layers for name in layer.outputs}
    assert made == {"first": "ElementWiseExp", "same": "Identity", "second": "Identity"}


def test_tuples_give_each_tensor_a_name(network):
    def body(b, x):
        parts = b.emit(R.split(x, 3, axis=1), "s")
        return b.emit(b.emit(relax.TupleGetItem(parts, 2), "s2"), "last")

    net = network(body, (2, 9))
    (layer,) = net.layers
    assert layer.op == "Split"
    assert layer.outputs == ("s:0", "s:1", "y")
    assert net.tensors["y"].shape == (2, 3)


def test_a_shared_constant_is_one_tensor(network):
    shared = const(4)

    def body(b, x):
        y = b.emit(R.add(x, shared), "a")
        return b.emit(R.multiply(b.emit(R.exp(y), "e"), shared), "m")

    net = network(body, (3, 4))
    assert len([t for t in net.tensors.values() if t.role == "constant"]) == 1


def test_open_dimensions_keep_their_symbols(network):
    from tvm import tirx

    n = tirx.Var("n", "int64")

    def body(b, x):
        return b.emit(R.matmul(x, const(4, 2)), "fc")

    net = network(body, (n, 4))
    assert net.tensors["y"].shape == ("n", 2)
    assert macs(net, net.layers[0]) is None


def test_values_are_views_of_the_module(network):
    weight = const(6, 4)

    def body(b, x):
        return b.emit(R.matmul(x, weight), "fc")

    net = network(body, (3, 6))
    value = net.tensors["y/weight" if "y/weight" in net.tensors else "fc/weight"].value
    assert value.ctypes.data == np.from_dlpack(weight.value).ctypes.data
    assert not value.flags.writeable
