"""TensorFlow ops that a user adds to dlcc, or makes better kernels for: see docs/user-ops.md.

from dlcc.compiler.user_ops import Emitter, Node, Tensor, UserOps

OPS = UserOps("my_ops", version="1", file=__file__)

@OPS.op("Clipped")
def clipped(g: Emitter, node: Node):
    return g.te(..., g.arg(node, 0))
"""

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.user_ops.declared import Grid, Tensor, UserOps

__all__ = ["Emitter", "Grid", "Node", "Tensor", "UserOps"]
