"""Which layer is which: by structure, around changes by name and neighbours, at any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from dlcc.compiler.diff.match import match
from dlcc.compiler.network import Layer, Network, Tensor


def network(*rows: tuple[str, str, Sequence[str]], **constants: np.ndarray) -> Network:
    """Layers (name, op, inputs), each with one output of its name; the last is the network's."""
    tensors = {"x": Tensor("x", "float32", (4,), "input")}
    tensors |= {
        name: Tensor(name, v.dtype.name, v.shape, "constant", value=v)
        for name, v in constants.items()
    }
    tensors |= {name: Tensor(name, "float32", (4,), "intermediate") for name, _, _ in rows}
    layers = tuple(Layer(name, op, tuple(inputs), (name,)) for name, op, inputs in rows)
    return Network("n", "", layers, tensors, ("x",), (rows[-1][0],))


def chain(*ops: str, prefix: str = "") -> Network:
    """One layer behind another."""
    names = [f"{prefix}{i}" for i in range(len(ops))]
    return network(*zip(names, ops, ([n] for n in ["x", *names]), strict=False))


def pairs(a: Network, b: Network) -> list[tuple[str, str]]:
    return [(a.layers[i].name, b.layers[j].name) for i, j in match(a, b).pairs]


def test_other_names_are_no_other_layers() -> None:
    a, b = (
        chain("Conv", "Relu", "Conv", "Softmax"),
        chain("Conv", "Relu", "Conv", "Softmax", prefix="l"),
    )
    assert pairs(a, b) == [(str(i), f"l{i}") for i in range(4)]


def test_a_layer_put_in_between_is_the_only_new_one() -> None:
    a = chain("Conv", "Conv", "Conv", "Softmax")
    b = chain("Conv", "Conv", "Pool", "Conv", "Softmax", prefix="l")
    found = match(a, b)
    assert (found.only_a, found.only_b) == ((), (2,))
    assert dict(found.pairs) == {0: 0, 1: 1, 2: 3, 3: 4}


def test_a_layer_of_another_operation_keeps_its_place() -> None:
    a, b = chain("Conv", "Relu", "Conv"), chain("Conv", "Tanh", "Conv", prefix="l")
    assert pairs(a, b) == [("0", "l0"), ("1", "l1"), ("2", "l2")]


def test_changes_at_both_ends_leave_the_middle() -> None:
    a = chain("Cast", "Conv", "Relu", "Pool", "MatMul", "Softmax")
    b = chain("Mul", "Sub", "Conv", "Relu", "Pool", "MatMul", "Argmax", prefix="l")
    assert {("1", "l2"), ("2", "l3"), ("3", "l4"), ("4", "l5")} <= set(pairs(a, b))


def test_twins_are_told_apart_by_name_then_by_weights() -> None:
    w, v = np.arange(4.0), np.arange(4.0) + 1

    def two(left: str, right: str, first: np.ndarray, second: np.ndarray) -> Network:
        rows = (left, "Add", ("x", "p")), (right, "Add", ("x", "q")), ("s", "Sum", ("x",))
        return network(*rows, p=first, q=second)  # nobody reads the twins: all else is equal

    by_name = pairs(two("l", "r", w, w), two("r", "l", w, w))
    assert {("l", "l"), ("r", "r")} <= set(by_name)
    by_weight = pairs(two("l", "r", w, v), two("a", "b", v, w))
    assert {("l", "b"), ("r", "a")} <= set(by_weight)


@pytest.mark.parametrize("change", [lambda ops: ops, lambda ops: [*ops[:900], "Pool", *ops[900:]]])
def test_two_thousand_layers(change: Callable[[list[str]], list[str]]) -> None:
    ops = ["Conv", "Relu", "Conv", "Add"] * 500
    found = match(chain(*ops), chain(*change(ops), prefix="l"))
    assert len(found.pairs) == 2000
    assert not found.only_a
