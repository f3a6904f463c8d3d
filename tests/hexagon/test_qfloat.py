"""Floats in HVX's own format: code for real devices, by disassembly; no emulator runs it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from dlcc.targets.aot import unpacked
from dlcc.targets.chips import chips
from dlcc.targets.errors import DeviceError
from dlcc.targets.hexagon.build import assembly, build
from dlcc.targets.hexagon.profile import choice, profile, version
from dlcc.targets.registry import DeviceOptions, find_chip, kind
from tests.hexagon.test_build import FLOAT, INTEGER, Make, const, module

DEVICES = ("sd888-dsp", "sd8gen1-dsp", "sd8gen2-dsp", "sd8gen3-dsp")
LAYOUTS = {"data_layout": "NHWC", "kernel_layout": "HWIO", "padding": 1}
SHAPE = (1, 8, 8, 32)


def draw(*shape: int) -> relax.Expr:
    return const(np.random.default_rng(1).normal(size=shape))


def conv(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    y = bb.emit(R.nn.conv2d(x, draw(3, 3, 32, 64), **LAYOUTS))
    return bb.emit(R.nn.relu(bb.emit(R.add(y, draw(64)))))


def depthwise(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    y = bb.emit(R.nn.conv2d(x, draw(3, 3, 1, 32), groups=32, **LAYOUTS))
    return bb.emit(R.clip(y, 0, 6))


def dense(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    return bb.emit(R.matmul(bb.emit(R.mean(x, [1, 2])), draw(32, 96)))


def add(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    return bb.emit(R.add(bb.emit(R.multiply(x, x)), x))


def average(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    return bb.emit(R.nn.avg_pool2d(x, (2, 2), (2, 2), layout="NHWC"))


def largest(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    return bb.emit(R.nn.max_pool2d(x, (2, 2), (2, 2), layout="NHWC"))


def relu(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    return bb.emit(R.nn.relu(x))


PRODUCT, SUM, MAX = r"\.qf32 = vmpy\(v", r"\.qf32 = vadd\(v", r"\.sf = vmax\(v"
CASES: list[tuple[Make, tuple[str, ...]]] = [
    (conv, (PRODUCT, SUM, MAX)),
    (depthwise, (PRODUCT, SUM, MAX)),
    (dense, (PRODUCT, SUM)),
    (add, (PRODUCT, SUM)),
    (average, (SUM,)),
    (largest, (MAX,)),
    (relu, (MAX,)),
]


@pytest.mark.parametrize("chip", DEVICES)
@pytest.mark.parametrize(("make", "wanted"), CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_code_for_devices_is_vectors(make: Make, wanted: tuple[str, ...], chip: str) -> None:
    text = assembly(module(make, SHAPE), find_chip(chip))
    kernels = text[text.index(f"{unpacked.PREFIX}") :]
    for pattern in wanted:
        assert re.search(pattern, kernels), pattern
    assert not re.search(r"\bsf(mpy|add|sub|max|min)\(", kernels)
    assert "call " not in kernels


@pytest.mark.parametrize("make", [conv, dense, relu])
def test_code_for_emulators_is_not(make: Make) -> None:
    for chip in ("hexagon", "v73", "sd865-dsp"):
        assert "qf32" not in assembly(module(make, SHAPE), find_chip(chip))


def test_chips_of_devices_say_so() -> None:
    for chip in chips().values():
        is_device = chip.kind == "hexagon" and chip.name.startswith("snapdragon")
        assert chip.float_vectors == (is_device and version(chip) >= 68), chip.name


@pytest.mark.parametrize("chip", DEVICES)
def test_the_choice_is_recorded(chip: str) -> None:
    found = find_chip(chip)
    assert profile(FLOAT, found) == found.tvm["mcpu"]
    assert "for the device itself" in choice(FLOAT, found)
    assert choice(INTEGER, found) == f"code for {found.tvm['mcpu']}"
    told = [json.loads(build(m, found).files["model.json"]) for m in (FLOAT, INTEGER)]
    assert [t["float_vectors"] for t in told] == [True, False]
    assert told[0]["profile"] == found.tvm["mcpu"]


def test_integers_are_untouched() -> None:
    assert assembly(INTEGER, find_chip("sd888-dsp")) == assembly(INTEGER, find_chip("v68"))


@pytest.mark.device("hexagon")
def test_emulators_refuse_it() -> None:
    artifact = build(module(conv, SHAPE), find_chip("sd888-dsp"))
    with (
        kind("hexagon").open_device("emulator", DeviceOptions()) as device,
        pytest.raises(DeviceError, match="snapdragon-888/hexagon itself") as error,
    ):
        device.load(artifact)
    assert "-t hexagon" in error.value.hint
