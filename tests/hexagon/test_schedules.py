"""Kernels and schedules for Hexagon as they are written down: nothing here runs them."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from dlcc.targets.hexagon.dense import correction, pack
from dlcc.targets.hexagon.operands import as_unsigned
from dlcc.targets.hexagon.tiles import MOST_ROWS, tiles
from tests.hexagon.kernels import Product, module, scheduled
from tests.hexagon.measure import compiled, target


@pytest.mark.parametrize(
    ("low", "high", "offset"), [(0, 255, 0), (-128, 127, 128), (-200, 55, 200), (3, 258, -3)]
)
def test_weights_become_unsigned(low: int, high: int, offset: int) -> None:
    w = np.array([low, high, (low + high) // 2], np.int32)
    made = as_unsigned(w)
    assert made is not None
    unsigned, found = made
    assert found == offset
    np.testing.assert_array_equal(unsigned.astype(int) - found, w)


def test_weights_of_more_than_8_bits_are_declined() -> None:
    assert as_unsigned(np.array([-129, 127])) is None
    case = Product((4, 8), 32, low=-300, high=300)
    _, rules = scheduled(module(case.make, [(case.shape, case.dtype)]))
    assert set(rules.values()) == {"stages"}


def test_packed_weights_lie_as_vrmpy_reads_them() -> None:
    w = np.random.default_rng(0).integers(0, 255, (3, 2, 10, 40)).astype(np.uint8)
    packed = pack(w)
    assert packed.shape == (2, 3, 2, 3, 32, 4)
    assert packed[1, 2, 0, 1, 5, 3] == w[2, 0, 7, 37]
    assert not packed[:, :, :, 2, :, 2:].any()  # channels 10 and 11 are none
    assert not packed[1, :, :, :, 8:].any()


def test_correction_wraps_like_the_sums() -> None:
    w = np.full((70_000, 1), 255, np.int64)
    expected = np.int64(128 * 255 * 70_000).astype(np.int32)
    assert correction(w, -128)[0] == expected


@pytest.mark.parametrize(("rows", "channels"), [(1, 1), (13, 96), (196, 256), (49, 10)])
def test_tiles_fit_the_registers(rows: int, channels: int) -> None:
    tile = tiles(rows, channels)[0]
    assert tile.rows <= min(rows, MOST_ROWS[tile.vectors])
    assert -(-channels // 32) % tile.vectors == 0
    assert tile.rows * (tile.vectors + 1) + tile.vectors <= 32


def _add(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    return bb.emit(R.add(x, x))


def _dense(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    return bb.emit(R.matmul(x, relax.const(np.ones((64, 64), np.float32))))


@pytest.mark.parametrize(
    ("profile", "vectors"),
    [("hexagonv66", False), ("hexagonv68", True), ("hexagonv73", True), ("hexagonv75", True)],
)
@pytest.mark.parametrize("make", [_add, _dense])
def test_float_is_vectors_where_hvx_has_floats(make: object, profile: str, vectors: bool) -> None:
    mod, _ = scheduled(module(make, [((8, 64), "float32")]), profile)  # type: ignore[arg-type]
    kernels = [mod[v] for v in mod.get_global_vars() if str(v.name_hint) != "main"]
    text = compiled(kernels[0], target(profile)).inspect_source("asm")
    assert ("qf32" in text) == vectors


@pytest.mark.parametrize("profile", ["hexagonv65", "hexagonv66", "hexagonv68", "hexagonv75"])
def test_products_are_vrmpy_on_every_version(profile: str) -> None:
    case = Product((8, 64), 64)
    mod, _ = scheduled(module(case.make, [(case.shape, case.dtype)]), profile)
    kernel = next(mod[v] for v in mod.get_global_vars() if str(v.name_hint) != "main")
    text = compiled(kernel, target(profile)).inspect_source("asm")
    assert "vrmpy" in text
    assert "TVMBackendAllocWorkspace" not in text  # the sums are in registers
