"""What TensorFlow makes of the network, computed once: most tests take it in TensorFlow's place."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from dlcc.compiler.frontend.reference import TensorFlow
from dlcc.compiler.verify import Data
from tests.verify.nets import network


@pytest.fixture(scope="session")
def net() -> Any:
    return network()


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(1, 9, 9, 8)).astype("float32")


@pytest.fixture(scope="session")
def right(net: Any, image: np.ndarray) -> Mapping[str, np.ndarray]:
    """Every tensor of the network."""
    if importlib.util.find_spec("tensorflow") is None:  # importing it here would take seconds
        pytest.skip("no TensorFlow")
    names = [f"{node.name}:0" for node in net.node if node.op not in ("Const", "Placeholder")]
    with TensorFlow(net) as process, process.computed({"x:0": image}, names) as computed:
        assert not computed.failed
        return {name: np.array(array) for name, array in computed.arrays.items()}


@pytest.fixture(scope="session")
def data(image: np.ndarray, right: Mapping[str, np.ndarray]) -> Data:
    return Data({"image": {"x": image}}, expect=right)
