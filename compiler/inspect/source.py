"""A file to look into: which of the three forms it has, and its network when that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlcc.compiler.container import Container, TargetRow, open_container
from dlcc.compiler.dlc.read import is_foreign
from dlcc.compiler.network.network import Dim, Network
from dlcc.compiler.network.read import is_container, read_network, refuse_choices

if TYPE_CHECKING:
    from dlcc.compiler.user_ops.load import OpsGiven

Shapes = Mapping[str, Sequence[Dim | None] | None]


@dataclass(frozen=True, slots=True)
class Source:
    """A file. container: where it is one of dlcc's.   foreign: whether it is one of Qualcomm's.
    signature, tag, inputs, outputs: which part of it, and ops: those of users, as for
    `read_network`."""

    path: Path
    signature: str | None
    tag: str | None
    inputs: Shapes | None = None
    outputs: Sequence[str] | None = None
    ops: OpsGiven = ()
    container: Container | None = None
    foreign: bool = False

    @property
    def is_model(self) -> bool:
        """Whether it is a model of TensorFlow's."""
        return self.container is None and not self.foreign

    @property
    def targets(self) -> tuple[TargetRow, ...]:
        """Those of the container's signature."""
        return () if self.container is None else self.container.signature(self.signature).targets

    def network(self) -> Network:
        """Its layers and tensors; raises what `read_network` does."""
        return read_network(
            self.path,
            signature=self.signature,
            tag=self.tag,
            inputs=self.inputs,
            outputs=self.outputs,
            ops=self.ops,
        )


def open_source(
    path: str | Path,
    signature: str | None = None,
    tag: str | None = None,
    inputs: Shapes | None = None,
    outputs: Sequence[str] | None = None,
    ops: OpsGiven = (),
) -> Source:
    """A file by its form; a model is not read yet.

    Raises BadContainer for a damaged container, UsageError for a signature it lacks, or for what
    only a model takes."""
    path = Path(path)
    if not is_container(path):
        return Source(path, signature, tag, inputs, outputs, ops)
    refuse_choices(path, tag, inputs, outputs, ops)
    if is_foreign(path):
        return Source(path, signature, tag, foreign=True)
    container = open_container(path)
    container.signature(signature)
    return Source(path, signature, tag, container=container)
