"""TensorFlow as the reference of every converter."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the tables import their record, op_cases.Case

pytest.importorskip("tensorflow")


@pytest.fixture(scope="session")
def compare():
    """Check one case of a table against TensorFlow; neighbours are compiled along with it."""
    from op_cases import Bench

    return Bench().compare
