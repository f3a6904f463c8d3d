"""What advice is given about: a network as one target compiles it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from dlcc.compiler.network.costs import macs
from dlcc.compiler.network.network import Layer, Network, Tensor
from dlcc.targets.chips import Chip
from dlcc.targets.registry import Kind, kind

if TYPE_CHECKING:
    from tvm.ir import IRModule

BYTES = ("uint8", "int8")
PRODUCTS = ("Conv2d", "DepthWiseConv2d", "FullyConnected", "MatMul")
MAX_STEPS = 4  # from a product back to the 8-bit tensor that it multiplies


@dataclass(frozen=True)
class Model:
    """A model as every target takes it.

    network: its layers in the layout that targets compute in, an open batch as it is.
    item: the same for one item of an open batch.   module: before any target's passes.
    ops: node -> op of TensorFlow's graph; {} of a container.
    users: op of a user's -> kind of target -> "yes", or why it cannot run there.
    """

    network: Network
    item: Network
    module: IRModule
    ops: Mapping[str, str]
    users: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @cached_property
    def macs(self) -> int:
        """Of the layers where they are known, of one item."""
        return sum(macs(self.item, layer) or 0 for layer in self.item.layers)

    def share(self, layer: Layer) -> float | None:
        """A layer's part of all multiply-accumulates, 0 to 1."""
        own = macs(self.item, layer)
        return own / self.macs if own and self.macs else None

    def tensor(self, name: str) -> Tensor | None:
        """A tensor, of one item; None for an input left out."""
        return self.item.tensors.get(name)

    def multiplied(self, layer: Layer) -> str:
        """The dtype of the data of a product: "uint8" or "int8" where these were widened to int32
        first, a zero point taken off them."""
        tensor = self.tensor(layer.inputs[0])
        for _ in range(MAX_STEPS):
            if tensor is None or tensor.dtype != "int32" or tensor.name not in self._makers:
                break
            maker = self._makers[tensor.name]
            if maker.op not in ("Cast", "ElementWiseSubtract", "ElementWiseAdd"):
                break
            before = self.tensor(maker.inputs[0])
            if before is None or before.dtype not in ("int32", *BYTES):
                break
            tensor = before
        return tensor.dtype if tensor is not None else ""

    @cached_property
    def _makers(self) -> dict[str, Layer]:
        return {name: layer for layer in self.item.layers for name in layer.outputs}

    def products(self, *ops: str) -> Sequence[Layer]:
        """The layers of these operations that have data and constant weights."""
        return [
            layer
            for layer in self.item.layers
            if layer.op in (ops or PRODUCTS)
            and len(layer.inputs) > 1
            and (weight := self.tensor(layer.inputs[1])) is not None
            and weight.role == "constant"
        ]


@dataclass(frozen=True, slots=True)
class Subject:
    """A model, and the chip that it is looked at for."""

    model: Model
    chip: Chip

    @property
    def kind(self) -> Kind:
        return kind(self.chip.kind)


def channels(tensor: Tensor | None) -> int | None:
    """The last dimension; None where it is open."""
    last = tensor.shape[-1] if tensor is not None and tensor.shape else None
    return last if isinstance(last, int) else None
