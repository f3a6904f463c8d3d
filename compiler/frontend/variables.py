"""Variables of a graph as constants, with their values from a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dlcc.compiler.errors import BadNode, ModelError
from dlcc.compiler.frontend.checkpoint import Checkpoint
from dlcc.compiler.frontend.graph import Node, TensorRef

VARIABLES = ("Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable")
# writes without a result: what they change is read elsewhere. Those with one: ops/update.py
_WRITES = re.compile("Assign.*VariableOp|Resource(Scatter|Apply)|Count|Apply|SparseApply")
_READS = ("Identity", "ReadVariableOp", "Enter", "RefEnter", "Switch", "RefSwitch")


def with_constants(
    kept: Mapping[str, Node], nodes: Mapping[str, Node], checkpoint: Checkpoint | None
) -> dict[str, Node]:
    """The kept nodes with a constant in place of every variable; nothing is run.

    nodes: the whole graph, whose saver says under which key each variable is saved.
    Raises ModelError for variables without a value, and for nodes that change one.
    """
    variables = [node for node in kept.values() if node.op in VARIABLES]
    if not variables:
        return dict(kept)
    if checkpoint is None:
        raise ModelError(
            f"the graph has {_listed(variables)} and no checkpoint to take their values from",
            hint="give the .meta file beside its .index and .data-* files, or freeze the graph",
        )
    if writers := [n for n in kept.values() if _WRITES.match(n.op)]:
        raise ModelError(
            f"the outputs need {writers[0].name} ({writers[0].op}), which changes a variable",
            hint="export the model for inference; a compiled model has no state",
        )
    keys = _keys(nodes)
    missing = [v for v in variables if keys.get(v.name, _own_key(v)) not in checkpoint]
    if missing:
        raise ModelError(
            f"the checkpoint {checkpoint.prefix} has no value for {_listed(missing)}",
            hint="is it the checkpoint of this graph?",
        )
    frozen = {v.name: _constant(v, checkpoint, keys.get(v.name, _own_key(v))) for v in variables}
    return {name: frozen.get(name) or _reading(node) for name, node in kept.items()}


def _listed(variables: list[Node]) -> str:
    names = [v.name for v in variables]
    more = ", …" if len(names) > 4 else ""
    return f"{len(names)} variable{'s'[: len(names) > 1]} ({', '.join(names[:4])}{more})"


def _own_key(variable: Node) -> str:
    """The key of a variable that no saver names: that of the saver's default."""
    return str(variable.attr("shared_name") or variable.name)


def _keys(nodes: Mapping[str, Node]) -> dict[str, str]:
    """Variable -> key, as the graph's savers pair them: inputs of SaveV2 are the path, the keys,
    the slices, and then the tensors."""
    keys: dict[str, str] = {}
    for node in nodes.values():
        if node.op != "SaveV2" or len(node.inputs) < 3 or node.inputs[1].node not in nodes:
            continue
        source = nodes[node.inputs[1].node]
        try:
            names = source.attr("value")
        except ValueError as error:
            raise BadNode(source, f"its value is damaged: {error}") from error
        if not isinstance(names, np.ndarray) or names.dtype != object:
            continue
        for name, ref in zip(names.reshape(-1), node.inputs[3:], strict=False):
            if variable := _variable_behind(nodes, ref):
                keys[variable] = bytes(name).decode("utf-8", "replace")
    return keys


def _variable_behind(nodes: Mapping[str, Node], ref: TensorRef) -> str | None:
    seen: set[str] = set()
    while (node := nodes.get(ref.node)) and node.name not in seen:
        if node.op in VARIABLES:
            return node.name
        if node.op not in _READS or not node.inputs:
            return None
        seen.add(node.name)
        ref = node.inputs[0]
    return None


class _Stored(Mapping[str, Any]):
    """Attributes of a constant whose value stays in the checkpoint until it is asked for."""

    def __init__(self, checkpoint: Checkpoint, key: str) -> None:
        self._checkpoint, self._key = checkpoint, key
        self._dtype = checkpoint.dtype(key)

    def __getitem__(self, name: str) -> Any:
        if name == "value":
            return self._checkpoint.array(self._key)
        return {"dtype": self._dtype}[name]

    def __iter__(self) -> Iterator[str]:
        return iter(("dtype", "value"))

    def __len__(self) -> int:
        return 2


def _constant(variable: Node, checkpoint: Checkpoint, key: str) -> Node:
    return Node(variable.name, "Const", (), _Stored(checkpoint, key))


def _reading(node: Node) -> Node:
    """A read of a variable as the same read of a tensor."""
    if node.op == "ReadVariableOp":
        return replace(node, op="Identity", attrs={"T": node.attr("dtype")})
    return node
