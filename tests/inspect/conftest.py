"""Models, and containers of one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcc.compiler import compile
from tests.inspect.nets import net, write


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.pb, and containers of it: net.dlc for host, two.dlc for two targets."""
    folder = tmp_path_factory.mktemp("inspect")
    model = write(folder / "net.pb", net())
    compile(model).save(folder / "net.dlc")
    compile(model, "hexagon-v66,opencl-generic").save(folder / "two.dlc")
    return folder
