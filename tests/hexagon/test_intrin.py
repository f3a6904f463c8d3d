"""Tensor intrinsics against the loops that they stand for, on random bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tvm import te, tirx
from tvm.s_tir import Schedule

from dlcc.targets.hexagon import intrin
from tests.hexagon.measure import measure

WORDS = 5


def _dot(data: str) -> tirx.PrimFunc:
    x = te.placeholder((WORDS, 4), data, name="x")
    w = te.placeholder((WORDS, 32, 4), "uint8", name="w")
    k, t = te.reduce_axis((0, WORDS), "k"), te.reduce_axis((0, 4), "t")

    def value(j: tirx.Var) -> object:
        return te.sum(x[k, t].astype("int32") * w[k, j, t].astype("int32"), [k, t])

    return te.create_prim_func([x, w, te.compute((32,), value, name="sums")])


def _total(data: str) -> tirx.PrimFunc:
    x = te.placeholder((WORDS, 4), data, name="x")
    k, t = te.reduce_axis((0, WORDS), "k"), te.reduce_axis((0, 4), "t")
    value = te.compute((32,), lambda _j: te.sum(x[k, t].astype("int32"), [k, t]), name="sums")
    return te.create_prim_func([x, value])


def _taps(data: str) -> tirx.PrimFunc:
    x = te.placeholder((WORDS, 4, 128), data, name="x")
    w = te.placeholder((WORDS, 128, 4), "int8", name="w")
    k, t = te.reduce_axis((0, WORDS), "k"), te.reduce_axis((0, 4), "t")
    held = te.compute(x.shape, lambda *i: x(*i), name="held")

    def value(j: tirx.Var) -> object:
        return te.sum(held[k, t, j].astype("int32") * w[k, j, t].astype("int32"), [k, t])

    return te.create_prim_func([x, w, te.compute((128,), value, name="sums")])


def _tensorized(kernel: tirx.PrimFunc, name: str) -> tirx.PrimFunc:
    s = Schedule(kernel)
    sums = s.get_sblock("sums")
    if "taps" in name:
        s.set_scope(s.get_sblock("held"), 0, "local")
    s.cache_write(sums, 0, "local")
    lane, word, byte = s.get_loops(sums)
    s.reorder(word, lane, byte)
    s.decompose_reduction(sums, word)
    s.tensorize(lane, name)
    return s.mod["main"]


@pytest.mark.device("hexagon")
@pytest.mark.parametrize("data", intrin.DATA)
@pytest.mark.parametrize(
    ("make", "name"), [(_dot, intrin.dot), (_total, intrin.total), (_taps, intrin.taps)]
)
def test_intrinsics_do_what_their_loops_do(
    make: Callable[[str], tirx.PrimFunc], name: Callable[[str], str], data: str
) -> None:
    intrin.register()
    kernel = make(data)
    rng = np.random.default_rng(0)
    arrays = []
    for p in kernel.params:
        shape, dtype = [int(d) for d in p.shape], str(p.dtype)
        ends = np.iinfo(dtype)
        arrays.append(rng.integers(ends.min, ends.max, shape, endpoint=True).astype(dtype))
    plain, vector = measure(kernel, arrays), measure(_tensorized(kernel, name(data)), arrays)
    np.testing.assert_array_equal(vector.buffers[-1], plain.buffers[-1])
    assert "vrmpy" in vector.assembly
    assert "vrmpy" not in plain.assembly
