"""Removes transpositions that undo each other across elementwise operations."""

from __future__ import annotations

import numpy as np

from dlcc.compiler.lint.rewrite.editable import Editable

UNARY = frozenset(
    (
        *("Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Sigmoid", "Tanh", "Softplus", "Softsign"),
        *("Exp", "Log", "Sqrt", "Rsqrt", "Square", "Neg", "Abs", "Floor", "Ceil", "Round", "Cast"),
    )
)
BINARY = frozenset(("Add", "AddV2", "Sub", "Mul", "RealDiv", "Maximum", "Minimum"))


def cancel_transposes(graph: Editable) -> list[tuple[str, str]]:
    """Let elementwise operations between two transpositions that undo each other do without them.

    Before:  a = Transpose(x, [0, 3, 1, 2]); b = Relu(Add(a, c)); y = Transpose(b, [0, 2, 3, 1])
    After:   b = Relu(Add(x, Transpose(c, [0, 2, 3, 1]))), read in place of y

    Only where nothing else reads what lies between them.
    """
    done = []
    for name in graph:
        if graph.op(name) != "Transpose" or name in graph.inputs | graph.outputs:
            continue
        if chain := _chain(graph, name):
            _cancel(graph, name, chain)
            done.append((name, f"cancelled across {len(chain) - 1} operations"))
    return done


def _permutation(graph: Editable, name: str) -> list[int] | None:
    inputs = graph.nodes[name].input
    value = graph.value(graph.source(inputs[1])) if len(inputs) == 2 else None
    return None if value is None else [int(v) for v in value.reshape(-1)]


def _chain(graph: Editable, first: str) -> list[str] | None:
    """The operations behind a transposition up to the one that undoes it; None where there is
    none."""
    forward = _permutation(graph, first)
    readers = graph.readers()
    if forward is None:
        return None
    chain, at = [], first
    while len(readers[at]) == 1 and readers[at][0][1] >= 0:
        reader, place = readers[at][0]
        chain.append(reader)
        if graph.op(reader) == "Transpose" and place == 0:
            back = _permutation(graph, reader)
            undone = back is not None and [forward[b] for b in back] == sorted(forward)
            return chain if undone and reader not in graph.outputs else None
        if reader in graph.outputs or not _moves(graph, reader, place, len(forward)):
            return None
        at = reader
    return None


def _moves(graph: Editable, name: str, place: int, rank: int) -> bool:
    """Whether an operation gives the same on tensors in another order of axes."""
    if graph.op(name) in UNARY:
        return True
    if graph.op(name) not in BINARY or len(graph.nodes[name].input) != 2:
        return False
    other = graph.value(graph.source(graph.nodes[name].input[1 - place]))
    return other is not None and other.ndim <= rank


def _cancel(graph: Editable, first: str, chain: list[str]) -> None:
    forward = _permutation(graph, first) or []
    back = np.argsort(forward)
    readers = graph.readers()
    at = first
    for name in chain[:-1]:
        place = readers[at][0][1]
        if graph.op(name) in BINARY:
            source = graph.source(graph.nodes[name].input[1 - place])
            value = graph.value(source)
            assert value is not None
            whole = value.reshape((1,) * (len(forward) - value.ndim) + value.shape)
            moved = graph.add_constant(f"{source}/moved", source, whole.transpose(back))
            graph.replace_input(name, 1 - place, moved)
        at = name
    begin, end = graph.nodes[first].input[0], chain[-1]
    if len(chain) == 1:
        graph.redirect(end, begin)
    else:
        graph.replace_input(chain[0], readers[first][0][1], begin)
        graph.redirect(end, chain[-2])
