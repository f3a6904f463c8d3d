"""Asserts as data: what runs behind one by a control input reads a tensor that went through it.

    Before:  y = f(x) ^assert;              assert = Assert(condition, data)
    After:   y = f(guard);                  guard = Assert(condition, x) {guards: message}

A guard gives x where the condition holds, and stops the model where it does not. Of a condition or
a call whose functions hold asserts, a tensor is read: the guard's condition is None then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np

from dlcc.compiler.frontend.frames import ENTER, EXIT, MERGE, NEXT, SWITCH
from dlcc.compiler.frontend.graph import FuncRef, Node, TensorRef

log = logging.getLogger("dlcc")

Checks: TypeAlias = Literal["drop", "keep"]
CHECKS = ("CheckNumerics", "CheckNumericsV2")
_FIXED = (*ENTER, *EXIT, *MERGE, *NEXT, *SWITCH, "LoopCond", "NoOp", "Assert")
_DEPTH = 8


def say_dropped(nodes: Mapping[str, Node], protos: Mapping[str, Any]) -> None:
    """Say in the log how many checks a graph and its functions lose."""
    every = [n.op for n in nodes.values()]
    every += [n.op for proto in protos.values() for n in proto.node_def]
    if dropped := sum(op in ("Assert", *CHECKS) for op in every):
        log.info("%d checks (Assert, CheckNumerics) are dropped; --checks keep keeps them", dropped)


def checking_functions(protos: Mapping[str, Any]) -> set[str]:
    """The functions with an Assert in them, or in what they call."""
    found: set[str] = set()
    grown = True
    while grown:
        grown = False
        for name, proto in protos.items():
            if name not in found and any(_asserts(n, found) for n in proto.node_def):
                found.add(name)
                grown = True
    return found


def _asserts(node: Any, found: set[str]) -> bool:
    if node.op == "Assert" or node.op in found:
        return True
    values = node.attr.values()
    names = {v.func.name for v in values} | {f.name for v in values for f in v.list.func}
    return bool(names & found)


def with_guards(nodes: Mapping[str, Node], checking: set[str], scope: str = "") -> dict[str, Node]:
    """The nodes with guards on what runs behind an Assert.

    checking: functions that hold some.   scope: "FUNCTION/" before the names of its nodes.
    """
    result = dict(nodes)
    tied: list[str] = []
    for node in nodes.values():
        if node.op in _FIXED or not node.inputs or not node.control_inputs:
            continue
        place = _place(node, nodes)
        ref = node.inputs[place]
        for i, before in enumerate(_checks(node.control_inputs, nodes, checking, _DEPTH)):
            guard = _guard(f"{node.name}/guard{i}", ref, before, nodes, scope)
            result[guard.name] = guard
            tied.append(before.name)
            ref = TensorRef(guard.name, 0)
        inputs = (*node.inputs[:place], ref, *node.inputs[place + 1 :])
        result[node.name] = replace(node, inputs=inputs)
    if lost := _asserts_but(nodes, tied):
        log.info("checks that nothing computed waits for are left out: %s",
                 ", ".join(scope + name for name in lost))  # fmt: skip
    return result


def _asserts_but(nodes: Mapping[str, Node], tied: list[str]) -> list[str]:
    """The Asserts of a graph that are not among the tied nodes, nor behind them."""
    seen: set[str] = set()
    stack = list(tied)
    while stack:
        name = stack.pop()
        if name in nodes and name not in seen:
            seen.add(name)
            stack += [*(r.node for r in nodes[name].inputs), *nodes[name].control_inputs]
    return [n.name for n in nodes.values() if n.op == "Assert" and n.name not in seen]


def _place(node: Node, nodes: Mapping[str, Node]) -> int:
    """The first input that is no constant: constants shall stay known."""
    sources = [nodes.get(ref.node) for ref in node.inputs]
    return next((i for i, s in enumerate(sources) if s is None or s.op != "Const"), 0)


def _checks(
    names: tuple[str, ...], nodes: Mapping[str, Node], checking: set[str], depth: int
) -> Iterator[Node]:
    """The Asserts behind control inputs, and the nodes that hold some."""
    for node in (nodes[n] for n in names if n in nodes and depth):
        if node.op == "NoOp":
            yield from _checks(node.control_inputs, nodes, checking, depth - 1)
        elif node.op == "Assert" or _holds(node, nodes, checking, depth):
            yield node


def _holds(node: Node, nodes: Mapping[str, Node], checking: set[str], depth: int) -> bool:
    refs = [v for v in node.attrs.values() if isinstance(v, FuncRef)] if checking else []
    if node.op in checking or any(r.name in checking for r in refs):
        return True
    if node.op not in (*MERGE, "Identity", "IdentityN"):
        return False
    before = (*(r.node for r in node.inputs), *node.control_inputs)
    return any(True for _ in _checks(before, nodes, checking, depth - 1))


def _guard(name: str, ref: TensorRef, before: Node, nodes: Mapping[str, Node], scope: str) -> Node:
    if before.op != "Assert":
        return Node(name, "Assert", (TensorRef(before.name, 0), ref), {"after": before.name})
    attrs = {"guards": f"{scope}{before.name} (Assert): {_message(before, nodes)}"}
    return Node(name, "Assert", (before.inputs[0], ref), attrs)


def _message(node: Node, nodes: Mapping[str, Node]) -> str:
    """What an Assert would say: its texts, and the names of the tensors that it would show."""
    parts = []
    for ref in node.inputs[1:]:
        source = nodes.get(ref.node)
        value = source.attr("value") if source and source.op == "Const" else None
        if isinstance(value, np.ndarray) and value.dtype == np.object_:
            parts += [bytes(v).decode("utf-8", "replace") for v in value.reshape(-1)]
        else:
            parts.append(f"[{ref.node}]" if value is None else str(value))
    return "assertion failed: " + " ".join(" ".join(parts).split())
