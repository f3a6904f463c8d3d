"""One op by itself: a graph of a single node, compiled and run, for tests of users' ops."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcc.compiler.container import Container
from dlcc.compiler.driver import compile
from dlcc.compiler.errors import UsageError
from dlcc.compiler.frontend.dtypes import dtype_enum
from dlcc.compiler.frontend.schema import message_class
from dlcc.compiler.user_ops.declared import UserOps

EMULATED = {"arm": "emulator", "opencl": "emulator", "hexagon": "emulator", "host": "local"}


def compile_op(
    op: str,
    inputs: Sequence[np.ndarray],
    attrs: Mapping[str, Any] | None = None,
    *,
    target: str = "host",
    outputs: int = 1,
    ops: Sequence[str | os.PathLike[str] | UserOps] = (),
) -> Container:
    """A container of one node.

    inputs: arrays, of whose shapes and dtypes its inputs are.   attrs: of the node: bool, int,
    float, str, or a `numpy.dtype` for a type.   outputs: how many it has.
    Raises DlccError as `compile` does."""
    graph = one_node(op, inputs, attrs or {})
    names = [f"{op}:{i}" for i in range(outputs)]
    return compile(graph, target, outputs=names, ops=ops)


def run_op(
    container: Container, inputs: Sequence[np.ndarray], device: str | None = None
) -> list[np.ndarray]:
    """The outputs of such a container's node.

    device: an address; None: this machine for the host, an emulated device for any other target.
    Raises DlccError as sessions do."""
    (target,) = container.targets
    feeds = {f"input_{number}": array for number, array in enumerate(inputs)}
    with container.session(device=device or EMULATED[target.kind]) as session:
        return list(session.run(feeds).values())


def one_node(op: str, inputs: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> Any:
    """A GraphDef of a placeholder for each input, `input_0` and so on, and a node named as its op.

    TensorFlow need not know the op."""
    graph = message_class("GraphDef")()
    for number, array in enumerate(inputs):
        node = graph.node.add(name=f"input_{number}", op="Placeholder")
        node.attr["dtype"].type = dtype_enum(array.dtype.name)
        shape = node.attr["shape"].shape
        shape.SetInParent()  # of a scalar it has no dimension, but is there
        for extent in array.shape:
            shape.dim.add(size=extent)
    made = graph.node.add(name=op, op=op, input=[f"input_{i}" for i in range(len(inputs))])
    for name, value in attrs.items():
        _set(made.attr[name], name, value)
    return graph


def _set(attr: Any, name: str, value: Any) -> None:
    if isinstance(value, bool):
        attr.b = value
    elif isinstance(value, int):
        attr.i = value
    elif isinstance(value, float):
        attr.f = value
    elif isinstance(value, str):
        attr.s = value.encode()
    elif isinstance(value, np.dtype):
        attr.type = dtype_enum(value.name)
    else:
        raise UsageError(
            f"attribute {name} is a {type(value).__name__}",
            hint="bool, int, float, str, or numpy.dtype",
        )
