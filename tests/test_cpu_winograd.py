"""Winograd's filtering: which convolutions it computes, and how far its results are off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcc.targets.cpu.tiles import Cpu, Tile
from dlcc.targets.cpu.winograd import (
    Winograd,
    matrices,
    transformed_weights,
    winograd_for,
    winograd_ways,
)
from dlcc.targets.errors import UsageError
from dlcc.targets.workload import Conv2d

AVX2 = Cpu(lanes=8, registers=16, threads=2, l1_bytes=32 << 10, l2_bytes=512 << 10)
AVX512 = Cpu(lanes=16, registers=32, threads=2, l1_bytes=48 << 10, l2_bytes=2 << 20)
A76 = Cpu(lanes=4, registers=32, threads=4, l1_bytes=64 << 10, l2_bytes=256 << 10)


def layer(size: int, c: int, oc: int) -> Conv2d:
    """A 3x3 convolution of a square input, padded to the same size."""
    once, pads = (1, 1), (1, 1, 1, 1)
    return Conv2d(1, size, size, c, oc, (3, 3), once, pads, once, 1, "float32", "packed")


@pytest.mark.parametrize("cpu", [AVX2, AVX512, A76], ids=["avx2", "avx512", "a76"])
@pytest.mark.parametrize(("size", "channels"), [(56, 64), (28, 128), (14, 256)])
def test_layers_of_resnet50_are_filtered(size: int, channels: int, cpu: Cpu) -> None:
    how = winograd_for(layer(size, channels, channels), cpu, {})
    assert how is not None
    assert -(-size // how.size) % how.rows == 0


def test_large_weights_are_transformed_to_smaller_tiles() -> None:
    """Weights of F(4x4) are four times as large, and come from memory once an inference."""
    few, many = (winograd_for(layer(*s), AVX2, {}) for s in ((56, 64, 64), (7, 512, 512)))
    assert (few and few.size, many and many.size) == (4, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"k": (5, 5)},
        {"s": (2, 2)},
        {"d": (2, 2)},
        {"g": 2},
        {"c": 60},
        {"oc": 60},
        {"c": 8, "oc": 8},
        {"h": 3, "w": 3},
    ],
    ids=str,
)
def test_others_are_summed(change: dict[str, object]) -> None:
    assert winograd_for(replace(layer(56, 64, 64), **change), AVX2, {}) is None


@pytest.mark.parametrize(("size", "most"), [(2, 1e-6), (4, 5e-6)])
def test_error_of_float32(size: int, most: float) -> None:
    """Of a sum over 256 channels, as a fraction of the largest result."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(size + 2, size + 2, 256)).astype("float32")
    w = (rng.normal(size=(3, 3, 256, 64)) / 48).astype("float32")
    b_t, _, a_t = (m.astype("float32") for m in matrices(size))
    u = transformed_weights(w, Winograd(size, 1), Tile(4, 16)).value.numpy()
    u = np.moveaxis(u, 0, 2).reshape(size + 2, size + 2, 256, 64)
    v = np.einsum("ui,ijc,vj->uvc", b_t, x, b_t, dtype="float32")
    products = np.einsum("uvc,uvco->uvo", v, u, dtype="float32")
    got = np.einsum("au,uvo,bv->abo", a_t, products, a_t, dtype="float32")
    views = np.lib.stride_tricks.sliding_window_view(x.astype("float64"), (3, 3), axis=(0, 1))
    want = np.einsum("abcij,ijco->abo", views, w.astype("float64"))
    assert np.abs(got - want).max() < most * np.abs(want).max()


def test_a_record_chooses_the_way() -> None:
    work = layer(56, 64, 64)
    for way in winograd_ways(work, AVX2):
        assert winograd_for(work, AVX2, {"winograd": str(way)}) == way
    assert winograd_for(work, AVX2, {"winograd": "no"}) is None
    with pytest.raises(UsageError, match="sets winograd to '4x5'"):
        winograd_for(work, AVX2, {"winograd": "4x5"})
