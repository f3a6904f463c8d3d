"""What Netron shows of a container is the network that it holds, weights included."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcc.compiler import compile, open_container
from dlcc.compiler.container import Compiled, Container, TensorSpec
from dlcc.compiler.container.pieces import sha256
from dlcc.compiler.container.tensors import tensor_bytes
from dlcc.compiler.network.network import Attribute, Layer, Network, Tensor
from tests.dlc.samples import foreign, odd, small
from tests.networks.small import conv_model, softmax_model

Show = Callable[[Path], dict[str, Any]]
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
WITHOUT_CODE = {"float64", "complex64", "bfloat16"}


def agrees(shown: Mapping[str, Any], network: Network) -> None:
    """The graph that Netron shows has these layers."""
    assert shown["format"] == "DLC"
    assert shown["source"].startswith("dlcc v")
    (graph,) = shown["graphs"]
    assert len(graph["nodes"]) == len(network.layers)
    for node, layer in zip(graph["nodes"], network.layers, strict=True):
        assert (node["type"], node["name"]) == (layer.op, layer.name)
        same_tensors(node["inputs"], layer.inputs, network)
        same_tensors(node["outputs"], layer.outputs, network)
        same_attributes(node["attributes"], layer)


def same_tensors(shown: Sequence[Any], names: Sequence[str], network: Network) -> None:
    assert [value["name"] for value in shown] == list(names)
    for value in filter(lambda value: value["name"], shown):
        tensor = network.tensors[value["name"]]
        assert value["dtype"] == word(tensor)
        assert value["shape"] == [d if is_size(d) else -1 for d in tensor.shape or ()]
        if tensor.role != "constant":
            assert value["constant"] is None
            continue
        assert tensor.value is not None
        same_numbers(value["constant"], tensor.value, value["dtype"])


def is_size(dim: int | str) -> bool:
    return isinstance(dim, int) and dim < 2**31


def word(tensor: Tensor) -> str:
    """Netron's name of a dtype."""
    if tensor.dtype in WITHOUT_CODE:
        return "undefined"
    if tensor.dtype == "bool":
        return "boolean"
    return f"q{tensor.dtype}" if tensor.quantization else tensor.dtype


def same_numbers(shown: Mapping[str, Any], value: np.ndarray, dtype: str) -> None:
    """All bytes, and of small tensors what Netron makes of them."""
    assert shown["sha256"] == sha256(tensor_bytes(value))
    if "numbers" in shown:
        np.testing.assert_array_equal(np.array(shown["numbers"], float), value.reshape(-1))
    else:
        assert value.nbytes > 4096 or value.size == 0 or dtype == "undefined"


def same_attributes(shown: Mapping[str, Any], layer: Layer) -> None:
    expected: dict[str, Attribute] = dict(layer.attributes)
    if layer.nodes:
        expected["nodes"] = "\n".join(layer.nodes)
    assert shown.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, np.ndarray):
            same_numbers(shown[name], value, shown[name]["dtype"])
        elif isinstance(value, float):
            assert shown[name] is None or shown[name] == np.float32(value)  # JSON has no infinity
        elif isinstance(value, int) and not -(2**31) <= value < 2**31:
            assert shown[name] in (str(value), value - 2**32)
        else:
            assert shown[name] == value


@pytest.mark.parametrize("network", [small(), odd()], ids=["small", "odd"])
def test_tables(network: Network, netron: Show, tmp_path: Path) -> None:
    agrees(netron(foreign(tmp_path / "net.dlc", network)), network)


def specs(*shapes: tuple[int, ...]) -> list[TensorSpec]:
    return [TensorSpec(f"t{i}", "float32", shape) for i, shape in enumerate(shapes)]


def test_small_containers(netron: Show, tmp_path: Path) -> None:
    """Of two signatures the default is shown."""
    x, y = specs((1, 12, 12, 8), (1, 12, 12, 16))
    a, b = specs((64, 100), (64, 100))
    parts = [
        Compiled(conv_model(), [x], [y], (), "serving_default"),
        Compiled(softmax_model(), [a], [b], (), "other"),
    ]
    path = Container.of("two", parts).save(tmp_path / "two.dlc")
    network = open_container(path).network()
    assert "Conv2d" in {layer.op for layer in network.layers}
    agrees(netron(path), network)


DIGITS = """
import sys; sys.path.insert(0, sys.argv[1])
from digits import network
from zoo import freeze, tensorflow
tf = tensorflow()
graph = freeze(tf, network(tf), (None, 8, 8, 1), names=("image", "probabilities"))
open(sys.argv[2], "wb").write(graph.SerializeToString())
"""


def test_the_demo(netron: Show, tmp_path: Path) -> None:
    """The demo's network, not trained: training takes a minute and changes weights only."""
    model = tmp_path / "digits.pb"
    script = [sys.executable, "-c", DIGITS, str(SCRIPTS), str(model)]
    subprocess.run(script, check=True, capture_output=True)
    path = compile(model).save(tmp_path / "digits.dlc")
    network = open_container(path).network()
    assert [layer.op for layer in network.layers].count("Conv2d") == 2
    shown = netron(path)
    agrees(shown, network)
    assert shown["graphs"][0]["nodes"][0]["inputs"][0]["shape"] == [-1, 8, 8, 1]


ZOO = ["mobilenet_v1", "mobilenet_v2", "resnet50", "inception_v3", "efficientnet_b0"]


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo(name: str, netron: Show, tmp_path: Path) -> None:
    script = [sys.executable, str(SCRIPTS / "zoo.py"), name, "--out", str(tmp_path)]
    subprocess.run(script, check=True, capture_output=True)
    container = compile(tmp_path / f"{name}.pb")
    path = container.save(tmp_path / f"{name}.dlc")
    shown = netron(path)
    agrees(shown, container.network())
    agrees(shown, open_container(path).network())
