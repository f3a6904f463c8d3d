"""What is in a model, a container or a DLC of Qualcomm's, as plain rows.

Of a container nothing is loaded but the file: no TVM and no TensorFlow.
"""

from dlcc.compiler.inspect.arena import MemoryInfo, memory
from dlcc.compiler.inspect.layer_table import LayerRow, layers
from dlcc.compiler.inspect.summary import Info, OpRow, TargetSize, info
from dlcc.compiler.inspect.tensor_table import TensorRow, tensors

__all__ = [
    "Info",
    "LayerRow",
    "MemoryInfo",
    "OpRow",
    "TargetSize",
    "TensorRow",
    "info",
    "layers",
    "memory",
    "tensors",
]
