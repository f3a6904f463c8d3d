"""A model and its container."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcc.compiler import compile
from tests.inspect.nets import net, write


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.pb, and net.dlc for host."""
    folder = tmp_path_factory.mktemp("lint")
    compile(write(folder / "net.pb", net())).save(folder / "net.dlc")
    return folder
