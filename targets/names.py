"""TensorFlow's names of what a Relax module computes: attributes of `main`, kept by every pass.

Variables are identifiers, names of nodes are not: `block/conv:0` is the variable `block_conv`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tvm import relax
from tvm.ir import IRModule

NODES = "dlcc.nodes"
OUTPUTS = "dlcc.outputs"


def with_names(mod: IRModule, nodes: Mapping[str, str], outputs: Sequence[str]) -> IRModule:
    """The module with the node of each variable that is named otherwise, and names of results."""
    other = {variable: node for variable, node in nodes.items() if variable != node}
    out = mod.clone()
    out["main"] = mod["main"].with_attrs({NODES: other, OUTPUTS: list(outputs)})
    return out


def nodes_of(mod: IRModule, variables: Sequence[str]) -> tuple[str, ...]:
    """The nodes that variables of a module were made for, each once; of a pass's own, its name."""
    known = _attr(mod, NODES) or {}
    return tuple(dict.fromkeys(str(known.get(v, v)) for v in variables))


def output_names(mod: IRModule, count: int) -> tuple[str, ...]:
    """The model's names of the results of `main`; of a module without, `output_0` and so on."""
    return tuple(map(str, _attr(mod, OUTPUTS) or (f"output_{i}" for i in range(count))))


def _attr(mod: IRModule, name: str) -> Any:
    main = mod["main"]
    return main.attrs.get(name) if isinstance(main, relax.Function) and main.attrs else None
