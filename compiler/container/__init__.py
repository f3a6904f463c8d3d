"""The `.dlc` container: one file with the graph, code for each target, and the weights."""

from dlcc.compiler.container.container import Container, open_container
from dlcc.compiler.container.manifest import SignatureRow, TargetRow, TensorSpec
from dlcc.compiler.container.pack import Compiled

__all__ = [
    "Compiled",
    "Container",
    "SignatureRow",
    "TargetRow",
    "TensorSpec",
    "open_container",
]
