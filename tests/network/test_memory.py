"""What is alive at each layer, and where it is put."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlcc.compiler.network import Network, Tensor
from dlcc.compiler.network.memory import PLAN, tensor_bytes, timeline
from tests.view.networks import Made, empty, small

KB = 1024 * 4  # bytes of a tensor of 1,024 floats


def branched() -> Network:
    """x -> a -> (b, c) -> d -> y: a is read until c is made, b until d."""
    made = Made()
    a = made.layer("a", "Relu", [made.input("x", (1024,))], (1024,))
    b = made.layer("b", "Relu", [a], (2, 1024))
    c = made.layer("c", "Relu", [a], (1024,))
    d = made.layer("d", "Concat", [b, c], (4, 1024))
    return made.network(made.layer("y", "Relu", [d], (1024,)))


def test_a_tensor_lives_from_its_layer_to_its_last_reader() -> None:
    found = timeline(branched())
    assert [(row.layer, row.live_bytes // KB, row.tensors) for row in found.rows] == [
        ("a", 1, 1),
        ("b", 3, 2),
        ("c", 4, 3),
        ("d", 7, 3),
        ("y", 4, 1),  # the output itself is the caller's
    ]
    assert (found.peak_bytes, found.peak_layer) == (7 * KB, "d")
    spans = {p.tensor: (p.first, p.last) for p in found.placed}
    assert spans == {"a": (0, 2), "b": (1, 3), "c": (2, 3), "d": (3, 4)}
    assert found.plan == PLAN


@pytest.mark.parametrize("network", [branched(), small()], ids=["branched", "small"])
def test_what_lives_at_the_same_time_is_apart(network: Network) -> None:
    found = timeline(network)
    for n, one in enumerate(found.placed):
        assert one.offset + one.size_bytes <= found.arena_bytes
        for other in found.placed[n + 1 :]:
            together = one.first <= other.last and other.first <= one.last
            apart = (
                one.offset + one.size_bytes <= other.offset
                or other.offset + other.size_bytes <= one.offset
            )
            assert apart or not together
    assert found.arena_bytes >= found.peak_bytes


def test_open_shapes_are_not_counted_but_named() -> None:
    network = branched()
    tensors = {**network.tensors, "b": replace(network.tensors["b"], shape=("n", 1024))}
    found = timeline(replace(network, tensors=tensors))
    assert found.unknown == ("b",)
    assert [row.live_bytes // KB for row in found.rows] == [1, 1, 2, 5, 4]
    assert [row.unknown for row in found.rows] == [0, 1, 1, 1, 0]


def test_a_result_that_nothing_reads_lives_while_it_is_made() -> None:
    made = Made()
    x = made.input("x", (1024,))
    made.layer("unread", "Relu", [x], (1024,))
    found = timeline(made.network(made.layer("y", "Relu", [x], (1024,))))
    assert [row.live_bytes for row in found.rows] == [KB, 0]


def test_of_nothing_there_is_nothing() -> None:
    found = timeline(empty())
    assert (found.arena_bytes, found.peak_bytes, found.rows, found.peak_layer) == (0, 0, (), "")


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [
        ("float32", (2, 3), 24),
        ("bool", (5,), 5),
        ("bfloat16", (4,), 8),
        ("float8_e4m3fn", (4,), 4),
        ("int4", (5,), 3),
        ("complex64", (2,), 16),
        ("float64", (), 8),
        ("float32", ("n", 3), None),
        ("float32", None, None),
        ("string", (2,), None),
    ],
)
def test_the_bytes_of_a_tensor(dtype: str, shape: tuple[int, ...], size: int | None) -> None:
    assert tensor_bytes(Tensor("t", dtype, shape, "intermediate")) == size
