"""Models as layers and tensors, whatever file they come from."""

from dlcc.compiler.network.network import (
    Attribute,
    Layer,
    Network,
    Quantization,
    Tensor,
)

__all__ = ["Attribute", "Layer", "Network", "Quantization", "Tensor"]
