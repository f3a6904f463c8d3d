"""TensorFlow as the reference of graphs with branches and loops."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ops"))  # for op_cases.run_dlcc

pytest.importorskip("tensorflow")
