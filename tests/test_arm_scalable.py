"""Scalable vectors of 256 bits: code for them on an emulated core that has them, and on others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from tvm import relax
from tvm.ir import IRModule

from dlcc.targets.arm.device import open_device
from dlcc.targets.artifact import Artifact
from dlcc.targets.cpu import ahead
from dlcc.targets.cpu.build import assembly, build
from dlcc.targets.cpu.tiles import Cpu, matmul_tile
from dlcc.targets.errors import DeviceError
from dlcc.targets.host.detect import vector_unit
from dlcc.targets.registry import DeviceOptions, find_chip
from dlcc.targets.scalable import require_width, with_sve

R = relax.op
CHIP = find_chip("neoverse-v1")
CORE = "max,sve256=on,sve512=off,sve1024=off,sve2048=off"
SHAPE = (2, 13, 11, 24)


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape, "float32") / 4


def network() -> IRModule:
    """Every rule of convolutions, a product, softmax and a sigmoid, of sizes that fit no tile."""
    nhwc = {"data_layout": "NHWC", "kernel_layout": "HWIO"}
    bb, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType(SHAPE, "float32"))
    with bb.function("main", [x], attrs={"num_input": 1}):
        with bb.dataflow():
            y = bb.emit(R.nn.conv2d(x, relax.const(weights(3, 3, 24, 32)), padding=1, **nhwc))
            y = bb.emit(R.nn.relu(y))
            w = relax.const(weights(3, 3, 1, 32))
            y = bb.emit(R.nn.conv2d(y, w, 2, (0, 0, 1, 1), groups=32, **nhwc))
            y = bb.emit(R.nn.conv2d(y, relax.const(weights(1, 1, 32, 40)), **nhwc))
            y = bb.emit(R.multiply(y, bb.emit(R.sigmoid(y))))
            y = bb.emit(R.nn.conv2d(y, relax.const(weights(5, 3, 40, 19)), 2, **nhwc))
            y = bb.emit(R.reshape(y, (2, -1)))
            y = bb.emit(R.matmul(y, relax.const(weights(int(y.ty.shape[1]), 37))))
            y = bb.emit_output(R.nn.softmax(y))
        bb.emit_func_output(relax.Tuple([y]))
    return bb.get()


def multiply_adds(text: str) -> tuple[int, int]:
    """Of scalable vectors and of NEON's, in assembly text."""
    scalable = re.findall(r"fml?a\w*\s+z\d+\.s", text)
    return len(scalable), len(re.findall(r"fmla\s+v\d+\.4s", text))


@pytest.fixture(scope="module")
def made() -> Artifact:
    return build(network(), CHIP)


@pytest.fixture(scope="module")
def scalable() -> Iterator[str]:
    from dlcc.targets.arm.emulator import start_emulator

    server = start_emulator(cpu=CORE)
    yield f"rpc://127.0.0.1:{server.port}"
    server.stop()


def test_one_width_is_one_more_row_of_the_table() -> None:
    assert (CHIP.vector_bits, CHIP.vector_registers) == vector_unit("aarch64", {"sve": True}, 256)
    assert vector_unit("aarch64", {}, 0) == vector_unit("aarch64", {"sve": True}, 128)
    assert with_sve({}, 256)["cl-opt"] == CHIP.tvm["cl-opt"]


def test_a_tile_spreads_each_factor_over_several_vectors() -> None:
    """A factor is spread over a register by an instruction in the multiply-adds' pipes."""
    cpu = Cpu.of(CHIP)
    tile = matmul_tile(196, 96, cpu)
    factors, vectors = tile.pixels, tile.channels // cpu.lanes
    assert (factors + factors * vectors) / (factors * vectors) <= 1.35


def test_tiles_are_of_scalable_registers() -> None:
    scalable, fixed = multiply_adds(assembly(network(), CHIP))
    assert scalable > 100
    assert fixed < scalable / 10


def test_a_library_that_nothing_checks_has_none(caplog: pytest.LogCaptureFixture) -> None:
    scalable, fixed = multiply_adds(ahead.assembly(network(), CHIP))
    assert fixed > 100
    assert scalable < fixed / 10  # LLVM's own loops, which are right for any width
    assert "neoverse-v1 is made for vectors of 128 bits" in caplog.text


@pytest.mark.device("arm")
def test_results_are_the_hosts(made: Artifact, scalable: str) -> None:
    host = find_chip("host")
    x = np.random.default_rng(1).standard_normal(SHAPE, "float32")
    from dlcc.targets.local import LocalDevice

    with LocalDevice(DeviceOptions(threads=1)) as device:
        (expected,) = device.load(build(network(), host)).run([x])
    with open_device(scalable, DeviceOptions(threads=1)) as device:
        assert device.describe()["sve_bits"] == "256"
        program = device.load(made)
        (got,) = program.run([x])
        assert program.bench([x], 1).counts["instructions"] > 0
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.device("arm")
def test_a_core_without_them_refuses_the_code(made: Artifact, arm_address: str) -> None:
    assert made.processor == "neoverse-v1, SVE of 256 bits"
    with (
        open_device(arm_address, DeviceOptions()) as device,
        pytest.raises(DeviceError, match=r"needs scalable vectors \(SVE\) of 256 bits") as told,
    ):
        device.load(made)
    assert "has none" in told.value.what
    assert "neoverse-n1" in told.value.hint


def test_another_width_and_a_server_that_does_not_tell(made: Artifact) -> None:
    require_width(made, lambda: {"sve_bits": "256"})
    require_width(replace(made, processor=""), dict)
    with pytest.raises(DeviceError, match="phone has 512 bits"):
        require_width(made, lambda: {"sve_bits": "512", "address": "phone"})
    with pytest.raises(DeviceError, match="does not tell") as told:
        require_width(made, dict)
    assert "vectors.py" in told.value.hint
