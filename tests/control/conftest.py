"""TensorFlow as the reference of graphs with branches and loops."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "ops")]  # for test_control.FLOWS, op_cases.run_dlcc

pytest.importorskip("tensorflow")
