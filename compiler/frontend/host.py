"""What a host does before the model runs: decoding, parsing, queues, iterators.

Where only the numbers that such a node makes are needed, the graph is cut there: the tensor becomes
an input under the node's name. Its shape is what the node's attributes, its queue or a check of
the shape behind it tell.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from dlcc.compiler.errors import BadNode, ShapeNeeded
from dlcc.compiler.frontend.cut import dtype_of
from dlcc.compiler.frontend.frames import ENTER, frame_paths
from dlcc.compiler.frontend.graph import Node, TensorRef
from dlcc.compiler.frontend.order import reached

log = logging.getLogger("dlcc")

Shape: TypeAlias = "tuple[int | None, ...]"
Nodes: TypeAlias = Mapping[str, Node]
# (nodes, node, number of the output) -> shape, None where its rank is not known
ShapeOf = Callable[[Nodes, Node, int], "Shape | None"]

NO_NUMBERS = ("string", "resource", "variant")


def _decoded(_: Nodes, node: Node, __: int) -> Shape | None:
    """(h, w, channels); channels=0 means that the picture tells."""
    channels = int(node.attr("channels", 0) or 0)
    animated = node.op == "DecodeImage" and node.attr("expand_animations", True)
    return (None, None, channels) if channels and not animated else None


def _decoded_gif(_: Nodes, __: Node, ___: int) -> Shape:
    return (None, None, None, 3)


def _listed(_: Nodes, node: Node, index: int) -> Shape | None:
    return _item(node.attr("output_shapes"), index)


def _dequeued(nodes: Nodes, node: Node, index: int) -> Shape | None:
    """An element of the queue, or a batch of n or up to n of them."""
    queue = nodes.get(node.inputs[0].node) if node.inputs else None
    element = _item(queue.attr("shapes"), index) if queue else None
    if element is None or not node.op.startswith(("QueueDequeueUpTo", "QueueDequeueMany")):
        return element
    count = nodes.get(node.inputs[1].node) if len(node.inputs) > 1 else None
    value = count.attr("value") if count and count.op == "Const" else None
    known = isinstance(value, np.ndarray) and value.shape == () and "UpTo" not in node.op
    return (int(value) if known else None, *element)  # type: ignore[arg-type]


def _parsed(_: Nodes, node: Node, index: int) -> Shape | None:
    """The dense outputs stand behind three for each sparse feature."""
    element = _item(node.attr("dense_shapes"), index - 3 * len(node.attr("sparse_types") or ()))
    single = node.op == "ParseSingleExample"
    return element if element is None or single else (None, *element)


def _item(shapes: Any, index: int) -> Shape | None:
    if not isinstance(shapes, tuple) or not 0 <= index < len(shapes):
        return None
    shape = shapes[index]
    return shape if isinstance(shape, tuple) else None


CUT_HERE: dict[str, ShapeOf] = {
    **dict.fromkeys(
        ("DecodeAndCropJpeg", "DecodeBmp", "DecodeImage", "DecodeJpeg", "DecodePng"), _decoded
    ),
    "DecodeGif": _decoded_gif,
    **dict.fromkeys(("IteratorGetNext", "IteratorGetNextSync"), _listed),
    **dict.fromkeys(
        (
            "QueueDequeue", "QueueDequeueV2", "QueueDequeueMany", "QueueDequeueManyV2",
            "QueueDequeueUpTo", "QueueDequeueUpToV2",
        ),
        _dequeued,
    ),
    **dict.fromkeys(("ParseExample", "ParseExampleV2", "ParseSingleExample"), _parsed),
}  # fmt: skip


def cut_at_host(
    nodes: Nodes, cut: Iterable[TensorRef], results: Sequence[TensorRef]
) -> dict[str, Shape]:
    """Name -> shape of each tensor where the graph is cut of itself; each is said in the log.

    Raises ShapeNeeded with all whose shape nothing tells.
    """
    ends = set(cut)
    found = _numbers(nodes, reached(nodes, ends, results), ends)
    needed = reached(nodes, ends | set(found), results)
    read = {r for n in needed for r in nodes[n].inputs} | set(results)
    shapes: dict[str, Shape] = {}
    unknown: list[str] = []
    for ref in (r for r in found if r in read):
        node, name = nodes[ref.node], ref.node if ref.index == 0 else str(ref)
        shape = CUT_HERE[node.op](nodes, node, ref.index) or _ensured(nodes, ref)
        if shape is None:
            unknown.append(f"--input {name}=" + ("h,w,3" if "Decode" in node.op else "1,h,w,3"))
            continue
        shapes[name] = shape
        text = "x".join("?" if d is None else str(d) for d in shape) or "a scalar"
        log.info("input %s (%s, %s): cut here, %s is left to the host", name,
                 dtype_of(node, ref), text, node.op)  # fmt: skip
    if unknown:
        raise ShapeNeeded(
            "the graph is cut where a host makes the numbers, and their shapes are not known",
            hint=f"give them: {' '.join(unknown)}",
        )
    return shapes


def _numbers(nodes: Nodes, kept: Iterable[str], ends: set[TensorRef]) -> list[TensorRef]:
    """The tensors of numbers that kept nodes read from nodes of a host, outside of loops."""
    kept = list(kept)
    host = {n for n in kept if nodes[n].op in CUT_HERE}
    if not host:
        return []
    framed = any(n.op in ENTER for n in nodes.values())
    paths = frame_paths(nodes) if framed else {}
    read = dict.fromkeys(r for n in kept for r in nodes[n].inputs)
    read |= {TensorRef(n, 0): None for n in host}
    return [
        r
        for r in read
        if r.node in host and r not in ends and not paths.get(r.node) and _is_number(nodes, r)
    ]


def _is_number(nodes: Nodes, ref: TensorRef) -> bool:
    node = nodes[ref.node]
    if "Parse" in node.op and ref.index < 3 * len(node.attr("sparse_types") or ()):
        return False  # parts of sparse tensors, whose lengths nobody knows
    try:
        return dtype_of(node, ref) not in NO_NUMBERS
    except BadNode:
        return False


def _ensured(nodes: Nodes, ref: TensorRef) -> Shape | None:
    """The shape that a reader of a tensor demands of it."""
    for node in nodes.values():
        if node.op == "EnsureShape" and node.inputs[:1] == (ref,):
            shape = node.attr("shape")
            return shape if isinstance(shape, tuple) else None
    return None
