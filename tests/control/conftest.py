"""TensorFlow as the reference of graphs with branches and loops."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# for op_cases.run_dlcc, and what test_control builds
sys.path[:0] = [str(Path(__file__).parents[1] / "ops"), str(Path(__file__).parent)]

pytest.importorskip("tensorflow")
