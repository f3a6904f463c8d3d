"""TensorFlow ops that cannot run on the DSP yet, and why."""

from __future__ import annotations

from collections.abc import Mapping

FUNCTIONS = "no loops or branches there yet"
SHAPES = "its result's shape depends on data"
LIBRARY = "sorting is in TVM's runtime, which is not there"

LACKS: Mapping[str, str] = {}
