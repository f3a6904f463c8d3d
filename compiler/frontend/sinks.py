"""The results of a graph whose outputs nobody named: what is computed and read by no node.

A graph as it was built for training has more ends than its model: savers, initialisers, updates
of variables, summaries. Savers and initialisers are told apart by what they hang on and left out.
Where a graph trains, its loss and its metrics look like results too: then the result is the last
tensor that needs no label, and the user is asked where there are several of these.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping

from dlcc.compiler.errors import ModelError
from dlcc.compiler.frontend.frames import ENTER, EXIT, frame_paths
from dlcc.compiler.frontend.graph import Node, TensorRef
from dlcc.compiler.frontend.variables import VARIABLES

log = logging.getLogger("dlcc")

PLACEHOLDERS = ("Placeholder", "PlaceholderV2")
# what nobody reads and is no result all the same: side effects, and leftovers
_NO_RESULT = ("NoOp", "Assert", "Const", "Print", "PrintV2", *PLACEHOLDERS, *VARIABLES)
_STATE = (
    "Assign", "AssignVariableOp", "VarIsInitializedOp", "IsVariableInitialized",
    "InitializeTableV2", "InitializeTable", "InitializeTableFromTextFileV2", "LookupTableImportV2",
    "SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename",
)  # fmt: skip
_FORWARDED = ("Identity", "ReadVariableOp", *VARIABLES)
_LOSSES = ("CrossEntropy", "L2Loss", "CTCLoss", "SquaredDifference")
_SOURCES = (*PLACEHOLDERS, "PlaceholderWithDefault", "IteratorGetNext")
# what metrics make of a prediction before they compare it
_COMPARED = ("ArgMax", "Cast", "Identity", "Round", "StopGradient", "TopKV2", "ToInt64", "Greater")
_SHOWN = 6


def sinks(nodes: Mapping[str, Node]) -> list[str]:
    """Nodes that nobody reads and that are results.

    What is inside of a TF1 loop has no value outside; and a loop has an Exit for each variable, its
    counter too, so that one that nobody reads is a result only where there is no other.
    """
    read = {ref.node for node in nodes.values() for ref in node.inputs}
    machinery = _machinery(nodes)
    paths = frame_paths(nodes) if any(n.op in ENTER for n in nodes.values()) else {}
    found = [
        name
        for name, node in nodes.items()
        if name not in read
        and node.op not in _NO_RESULT
        and name not in machinery
        and not _is_pivot(node, nodes)
        and not paths.get(name)
    ]
    return [name for name in found if nodes[name].op not in EXIT] or found


def _is_pivot(node: Node, nodes: Mapping[str, Node]) -> bool:
    """Whether a node is a leftover of a TF1 condition: a Switch, or what only marks its branch."""
    sources = [nodes[r.node].op for r in node.inputs if r.node in nodes]
    return node.op == "Switch" or (node.op == "Identity" and sources == ["Switch"])


def results(nodes: Mapping[str, Node]) -> list[str]:
    """The sinks, or the prediction of a graph that trains.

    Raises ModelError with likely names where that may be several, and for a graph without sinks.
    """
    if training := [n for n in nodes.values() if _trains(n)]:
        likely = likely_outputs(nodes)
        if len(likely) == 1:
            log.info("the graph was built for training; its prediction is %s", likely[0])
            return likely
        options = " ".join(f"--output {name}" for name in likely[:_SHOWN])
        raise ModelError(
            f"the graph was built for training ({training[0].name} is {training[0].op}), so its "
            "ends are not its outputs",
            hint=f"name the outputs; these look like them: {options}"
            if options
            else "name the outputs with --output",
        )
    found = sinks(nodes)
    if not found:
        raise ModelError("the graph has no outputs", hint="name them with --output")
    return found


def likely_outputs(nodes: Mapping[str, Node]) -> list[str]:
    """The last nodes of the forward part: computed from a placeholder or a queue, and read by
    nothing but losses, metrics, gradients and updates."""
    readers = _readers(nodes)
    forward = {name for name in _from_inputs(nodes) if _is_forward(nodes[name])}
    forward -= _machinery(nodes)
    losses = [n for n in nodes if n in forward and _is_loss(nodes[n])]
    forward -= _behind(nodes, losses)
    forward -= _behind_tensors(nodes, _labels(nodes, losses))
    while compared := {n for n in _ends(nodes, forward) if nodes[n].op in _COMPARED and readers[n]}:
        forward -= compared
    nothing = (*_NO_RESULT, *_SOURCES)
    ends = [n for n in _ends(nodes, forward) if nodes[n].op not in nothing]
    kept = [n for n in ends if not _is_side(nodes, n, readers[n])] or ends
    # names in scopes of the training's own (summaries, accuracy) go last
    return sorted(kept, key=lambda n: "summar" in n.lower() or "accura" in n.lower())


def _ends(nodes: Mapping[str, Node], part: set[str]) -> list[str]:
    """The nodes of a part that no other of it reads."""
    read = {ref.node for n in part for ref in nodes[n].inputs}
    return [n for n in nodes if n in part and n not in read]


def _is_side(nodes: Mapping[str, Node], name: str, readers: Iterable[str]) -> bool:
    """Whether a node only serves a summary, an update of a variable, or a TF1 condition."""
    ops = [nodes[r].op for r in readers]
    shown = bool(ops) and all("Summary" in op for op in ops)
    return shown or _is_pivot(nodes[name], nodes) or any(op.startswith("Assign") for op in ops)


def _labels(nodes: Mapping[str, Node], losses: Iterable[str]) -> set[TensorRef]:
    """The tensors fed that losses compare with: no variable is between, and no prediction reads
    them."""
    labels: set[TensorRef] = set()
    features: set[TensorRef] = set()
    for ref in (r for name in losses for r in nodes[name].inputs):
        refs = set(_before(nodes, ref))
        learnt = any(nodes[r.node].op in VARIABLES for r in refs)
        (features if learnt else labels).update(r for r in refs if _is_source(nodes[r.node]))
    return labels - features


def _before(nodes: Mapping[str, Node], ref: TensorRef) -> Iterator[TensorRef]:
    """A tensor and all that it is computed from; what feeds a queue is not followed."""
    seen, stack = set[TensorRef](), [ref]
    while stack:
        ref = stack.pop()
        if ref in seen or ref.node not in nodes:
            continue
        seen.add(ref)
        yield ref
        if not _is_source(nodes[ref.node]):
            stack += nodes[ref.node].inputs


def _is_source(node: Node) -> bool:
    return node.op in _SOURCES or "Dequeue" in node.op


def _trains(node: Node) -> bool:
    """ApplyAdam, ResourceApplyMomentum, SparseApplyFtrl and their like."""
    stem = node.op.removeprefix("Resource").removeprefix("Sparse")
    return stem.startswith("Apply") and stem != "Apply"


def _is_forward(node: Node) -> bool:
    scopes = node.name.split("/")
    return (
        not any(scope.startswith("gradients") for scope in scopes)
        and not _trains(node)
        and "Summary" not in node.op
        and not node.op.startswith(("Assign", "Scatter", "ResourceScatter"))
        and node.op not in _STATE
        and node.op not in ("Shape", "ShapeN", "Size", "Rank")
    )


def _is_loss(node: Node) -> bool:
    return any(part in node.op for part in _LOSSES)


def _machinery(nodes: Mapping[str, Node]) -> set[str]:
    """Savers, initialisers, and bare reads of variables."""
    paths = {
        node.inputs[0].node
        for node in nodes.values()
        if node.op in ("SaveV2", "RestoreV2", "ShardedFilename") and node.inputs
    }
    state = {name for name, node in nodes.items() if node.op in _STATE}
    bare = {name for name in nodes if _is_bare_read(nodes, name)}
    return _behind(nodes, paths | state) | bare


def _is_bare_read(nodes: Mapping[str, Node], name: str) -> bool:
    """Whether it passes a variable on, and nothing else."""
    for _ in nodes:
        node = nodes[name]
        if node.op in VARIABLES:
            return True
        if node.op not in _FORWARDED or not node.inputs or node.inputs[0].node not in nodes:
            return False
        name = node.inputs[0].node
    return False


def _from_inputs(nodes: Mapping[str, Node]) -> set[str]:
    return _behind(nodes, (n.name for n in nodes.values() if _is_source(n)))


def _behind_tensors(nodes: Mapping[str, Node], first: set[TensorRef]) -> set[str]:
    """The nodes that are computed from these tensors."""
    return _behind(nodes, [n.name for n in nodes.values() if first & set(n.inputs)])


def _readers(nodes: Mapping[str, Node]) -> dict[str, list[str]]:
    readers: dict[str, list[str]] = {name: [] for name in nodes}
    for node in nodes.values():
        for ref in node.inputs:
            readers.setdefault(ref.node, []).append(node.name)
    return readers


def _behind(nodes: Mapping[str, Node], first: Iterable[str]) -> set[str]:
    """These nodes and all that are computed from them."""
    readers = _readers(nodes)
    seen = set(first)
    stack = list(seen)
    while stack:
        new = [reader for reader in readers.get(stack.pop(), ()) if reader not in seen]
        seen.update(new)
        stack += new
    return seen
