"""Files that earlier versions of dlcc wrote: they open, show their layers, and run.

tests/data/schema-N-arm.dlc is relu(x @ w + b) for an Arm CPU, compiled by a dlcc of that schema.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tvm_ffi

from dlcc.compiler.container import open_container
from dlcc.compiler.dlc.read import read_dlc
from dlcc.compiler.errors import BadContainer
from dlcc.compiler.inspect import info
from dlcc.compiler.network.read import read_network
from tests.test_container import WEIGHT, toy_module

DATA = Path(__file__).parent / "data"
X = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
W = np.arange(48, dtype=np.float32).reshape(4, 12) / 16 - 1
B = np.linspace(-1, 1, 12, dtype=np.float32)
SCHEMAS = pytest.mark.parametrize("schema", [1, 2, 3])


def test_schema_1_without_code(tmp_path: Path) -> None:
    c = open_container(DATA / "schema-1.dlc")
    c.verify()
    assert (c.signatures, [t.chip for t in c.targets]) == (("",), ["some-chip/arm"])
    assert tvm_ffi.structural_equal(c.module(), toy_module())
    np.testing.assert_array_equal(c.artifact(c.targets[0]).weights[0], WEIGHT)
    again = open_container(c.save(tmp_path / "again.dlc"))
    assert again.manifest == c.manifest


@pytest.mark.parametrize("schema", [1, 2])
def test_layers_come_from_the_graph_where_there_are_no_tables(schema: int) -> None:
    path = DATA / f"schema-{schema}-arm.dlc"
    with pytest.raises(BadContainer, match="has no tables") as caught:
        open_container(path).network()
    assert "compile the model again" in caught.value.hint
    assert [layer.op for layer in read_network(path).layers] == ["FullyConnected", "Relu"]


def test_layers_come_from_the_tables() -> None:
    (network,) = read_dlc(DATA / "schema-3-arm.dlc")
    full, bound = network.layers
    assert (full.op, full.inputs[0], bound.op, bound.outputs) == (
        "FullyConnected",
        "x",
        "Relu",
        ("y",),
    )
    assert full.nodes == ("product", "sum")
    values = [t.value for t in network.tensors.values() if t.value is not None]
    np.testing.assert_array_equal(values[0], W)
    np.testing.assert_array_equal(values[1], B)


@SCHEMAS
def test_a_file_opens(schema: int, tmp_path: Path) -> None:
    path = DATA / f"schema-{schema}-arm.dlc"
    c = open_container(path)
    c.verify()
    assert [str(spec) for spec in (*c.inputs, *c.outputs)] == ["float32[2, 4]", "float32[2, 12]"]
    (weight,) = c.artifact(c.targets[0]).weights
    np.testing.assert_array_equal(weight.reshape(W.shape), W)
    assert info(path).parameters == 60
    (found,) = (t for t in read_network(path).tensors.values() if t.shape == B.shape)
    np.testing.assert_array_equal(found.value, B)
    assert open_container(c.save(tmp_path / "again.dlc")).manifest == c.manifest


@pytest.mark.device("arm")
@SCHEMAS
def test_its_code_runs(schema: int, arm_address: str) -> None:
    c = open_container(DATA / f"schema-{schema}-arm.dlc")
    with c.session(device=arm_address) as session:
        found = session.run({"x": X})["y"]
    np.testing.assert_allclose(found, np.maximum(X @ W + B, 0), rtol=1e-5, atol=1e-6)
