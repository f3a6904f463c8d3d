"""The `.dlc` container: one file with the graph, code for each target, and the weights."""

from dlcc.compiler.container.container import Container, open_container
from dlcc.compiler.container.manifest import TargetRow, TensorSpec

__all__ = ["Container", "TargetRow", "TensorSpec", "open_container"]
