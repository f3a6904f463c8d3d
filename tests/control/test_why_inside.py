"""`why` of nodes inside of loops, branches and functions."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from test_control import FLOWS, built

from dlcc.compiler.errors import UsageError
from dlcc.compiler.why import Fate, why


@cache
def graph(name: str, functional: bool) -> tuple[Any, list[str]]:
    flow = next(f for f in FLOWS if f.name == name)
    proto, _, outputs, _ = built(flow, functional)
    return proto, outputs


def fate(name: str, functional: bool, node: str) -> tuple[Fate, str]:
    """The fate of a node; of a function's by the start of the function's name: TensorFlow
    numbers them."""
    proto, outputs = graph(name, functional)
    begin, _, rest = node.rpartition("*/")
    if begin:
        found = [f.signature.name for f in proto.library.function]
        node = next(f"{f}/{rest}" for f in found if f.startswith(begin))
    told = why(proto, node, outputs=outputs)
    return told, "\n".join(f"{s.where}: {s.what}" for s in told.steps)


@pytest.mark.parametrize(
    ("flow", "functional", "node", "outcome", "text"),
    [
        ("loop in a condition", False, "cond/while/mul", "kept", "in loop_1: cond_while_mul"),
        ("loop in a condition", False, "cond/while/mul", "kept", "in kernel fused_multiply"),
        ("loop in a condition", False, "cond/Relu", "kept", "in branch3: cond_Relu"),
        ("loop in a condition", False, "cond/Relu", "kept", "host: cond_Relu in kernel relu"),
        ("loop in a condition", False, "cond/while/Enter", "passed on", "a part of a loop"),
        ("loop in a condition", True, "cond_false*/Relu", "kept", "Relu in kernel relu"),
        ("loop in a condition", True, "while_body*/mul", "kept", "in loop_1: mul"),
        ("loop in a condition", True, "cond", "kept", "a choice of branch"),
        ("nested loops", True, "while", "kept", "a loop: loop_11 is one iteration"),
        ("nested loops", False, "while/while/Less", "kept", "translated 2 times"),
        ("known trips", True, "while", "passed on", "a loop of 3 iterations, written out"),
        ("known trips", True, "while_body*/mul_0", "kept", "translated 3 times"),
        ("known trips", True, "while_body*/add_0", "folded", "its value is known"),
        ("known trips", False, "while/mul", "kept", "translated 3 times: while_mul = "),
        ("known trips", False, "while/Less", "pruned", "settled at compile time"),
        ("dead branch", True, "cond_true*/MatMul", "pruned", "settled at compile time"),
    ],
)
def test_what_became_of_it(flow: str, functional: bool, node: str, outcome: str, text: str) -> None:
    found, said = fate(flow, functional, node)
    assert (found.outcome, text in said) == (outcome, True), said


def test_a_node_of_a_function_asked_for_without_it() -> None:
    proto, outputs = graph("loop in a condition", True)
    with pytest.raises(UsageError, match="no node named 'Relu'") as caught:
        why(proto, "Relu", outputs=outputs)
    assert "cond_false" in caught.value.hint
