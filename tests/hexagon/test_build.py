"""Programs for the DSP: what is in them, what they are told to be, what is refused."""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tvm import relax
from tvm.ir import IRModule

from dlcc.targets.aot import clang
from dlcc.targets.errors import ToolchainError
from dlcc.targets.hexagon.build import build, kernels
from dlcc.targets.hexagon.profile import has_floats, profile
from dlcc.targets.registry import DeviceOptions, find_chip, kind

CHIP = find_chip("hexagon")
DRAW = np.random.default_rng(0)
Make = Callable[[relax.BlockBuilder, relax.Expr], relax.Expr]
EM_HEXAGON, SHF_ALLOC = 164, 2


def module(make: Make, shape: tuple[int, ...] = (1, 8, 8, 3), dtype: str = "float32") -> IRModule:
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(shape, dtype))
    with bb.function("main", [x]):
        with bb.dataflow():
            out = bb.emit_output(relax.Tuple([make(bb, x)]))
        bb.emit_func_output(out)
    return bb.get()


def float_net(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    """Convolution, activations with mathematics, pooling, dense, softmax."""
    emit = bb.emit
    draw = np.random.default_rng(1).normal
    layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO", "padding": 1}
    y = emit(relax.op.nn.conv2d(x, const(draw(size=(3, 3, 3, 8))), **layouts))
    y = emit(relax.op.tanh(emit(relax.op.add(y, const(draw(size=8))))))
    y = emit(relax.op.add(emit(relax.op.exp(y)), const(np.ones(8))))
    y = emit(relax.op.sqrt(emit(relax.op.log(y))))
    y = emit(relax.op.nn.avg_pool2d(y, (2, 2), (2, 2), layout="NHWC"))
    y = emit(relax.op.erf(emit(relax.op.sin(y))))
    y = emit(relax.op.mean(y, [1, 2]))
    return emit(relax.op.nn.softmax(emit(relax.op.matmul(y, const(draw(size=(8, 10)))))))


def integer_net(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    """8-bit convolution, requantisation, pooling, division."""
    emit = bb.emit
    w = np.random.default_rng(2).integers(-127, 128, (3, 3, 3, 32)).astype("int32")
    wide = emit(relax.op.astype(x, "int32"))
    layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO", "padding": 1}
    y = emit(relax.op.nn.conv2d(wide, relax.const(w), **layouts))
    y = emit(relax.op.clip(emit(relax.op.right_shift(y, relax.const(9, "int32"))), 0, 255))
    y = emit(
        relax.op.nn.max_pool2d(emit(relax.op.astype(y, "uint8")), (2, 2), (2, 2), layout="NHWC")
    )
    y = emit(relax.op.sum(emit(relax.op.astype(y, "int32")), [1, 2]))
    return emit(relax.op.floor_divide(y, relax.const(7, "int32")))


def const(value: np.ndarray) -> relax.Expr:
    return relax.const(value.astype("float32"))


FLOAT = module(float_net)
INTEGER = module(integer_net, dtype="uint8")


@pytest.mark.parametrize(
    ("mod", "chip", "wanted"),
    [
        (FLOAT, "hexagon", "hexagonv66"),
        (FLOAT, "v65", "hexagonv65"),
        (FLOAT, "v75", "hexagonv66"),
        (INTEGER, "hexagon", "hexagonv68"),
        (INTEGER, "v65", "hexagonv65"),
        (INTEGER, "sd8gen2-dsp", "hexagonv73"),
    ],
)
def test_profile(mod: IRModule, chip: str, wanted: str) -> None:
    assert profile(mod, find_chip(chip)) == wanted


def test_floats_between_integers_count() -> None:
    def make(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
        half = bb.emit(
            relax.op.multiply(bb.emit(relax.op.astype(x, "float32")), const(DRAW.normal(size=1)))
        )
        return bb.emit(relax.op.astype(half, "int32"))

    assert has_floats(module(make, dtype="int32"))
    assert not has_floats(INTEGER)


def test_the_choice_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dlcc"):
        build(FLOAT, CHIP)
        build(INTEGER, CHIP)
    assert "hexagon-v68: the model has floats, its code is for hexagonv66" in caplog.text
    assert "hexagon-v68: code for hexagonv68" in caplog.text


def test_model_json() -> None:
    artifact = build(FLOAT, CHIP)
    told = json.loads(artifact.files["model.json"])
    assert artifact.weights == ()
    assert (told["format"], told["chip"], told["profile"]) == (1, "hexagon-v68", "hexagonv66")
    assert told["inputs"] == [
        {"name": "x", "dtype": "float32", "shape": [1, 8, 8, 3], "bytes": 768}
    ]
    assert [(o["dtype"], o["shape"], o["bytes"]) for o in told["outputs"]] == [
        ("float32", [1, 10], 40)
    ]
    assert sum(k["macs"] or 0 for k in told["kernels"]) == 8 * 8 * 9 * 3 * 8 + 8 * 10
    assert all(k["sources"] for k in told["kernels"])
    assert {k["name"] for k in told["kernels"]} == set(kernels(FLOAT, CHIP))


@pytest.mark.parametrize(("mod", "chip", "flags"), [(FLOAT, "v68", 0x66), (INTEGER, "v73", 0x73)])
def test_elf(mod: IRModule, chip: str, flags: int) -> None:
    """A static program for the processor of the profile, not much larger than its weights."""
    artifact = build(mod, find_chip(chip))
    elf = artifact.files["model.elf"]
    assert elf[:7] == b"\x7fELF\x01\x01\x01"
    kind_, machine, _, entry, headers, _, e_flags = struct.unpack_from("<HHIIIII", elf, 16)
    assert (kind_, machine, e_flags & 0xFF) == (2, EM_HEXAGON, flags)
    count = struct.unpack_from("<H", elf, 44)[0]
    segments = [struct.unpack_from("<8I", elf, headers + 32 * i) for i in range(count)]
    assert not any(s[0] in (2, 3) for s in segments)  # neither PT_DYNAMIC nor PT_INTERP
    assert any(s[2] <= entry < s[2] + s[5] and s[6] & 1 for s in segments)
    parameters = json.loads(artifact.files["model.json"])["parameter_bytes"]
    assert len(elf) <= parameters + (1 << 20)


def test_equal_modules_give_equal_programs() -> None:
    one, two = (build(module(float_net), CHIP).files for _ in range(2))
    assert one == two


def double(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    return bb.emit(relax.op.erf(bb.emit(relax.op.astype(x, "float64"), "wide")), "error")


def where(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    return bb.emit(relax.op.nonzero(x), "found")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (double, ("error", "the C function erf", "float64")),
        (where, ("found", "its shape is only known when the model runs")),
    ],
)
def test_what_is_refused(make: Make, words: tuple[str, ...]) -> None:
    with pytest.raises(ToolchainError) as error:
        build(module(make), CHIP)
    for word in words:
        assert word in f"{error.value.what} {error.value.hint}"
    assert error.value.hint


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DLCC_CLANG", raising=False)
    monkeypatch.setattr(clang.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ToolchainError, match="hexagon-freestanding-none") as error:
        build(INTEGER, CHIP)
    assert "dlcc[cross]" in error.value.hint


def test_a_compiler_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCC_CLANG", "false")
    with pytest.raises(ToolchainError, match="false") as error:
        build(INTEGER, CHIP)
    assert "DLCC_CLANG" in error.value.hint


def outputs(name: str, mod: IRModule, chip: str, feeds: list[np.ndarray]) -> list[Any]:
    device = "emulator" if name == "hexagon" else "local"
    with kind(name).open_device(device, DeviceOptions()) as opened:
        return opened.load(kind(name).build(mod, find_chip(chip))).run(feeds)


@pytest.mark.device("hexagon")
@pytest.mark.parametrize("chip", ["v65", "v66", "v68", "v69", "v73"])
def test_integers_are_exact(chip: str) -> None:
    x = DRAW.integers(0, 256, (1, 8, 8, 3)).astype("uint8")
    np.testing.assert_array_equal(
        outputs("hexagon", INTEGER, chip, [x])[0], outputs("host", INTEGER, "host", [x])[0]
    )


@pytest.mark.device("hexagon")
@pytest.mark.parametrize("chip", ["v65", "v68"])  # v65 has no instruction that adds doubles
def test_floats_are_close(chip: str) -> None:
    x = DRAW.normal(size=(1, 8, 8, 3)).astype("float32")
    found, wanted = (outputs(k, FLOAT, c, [x])[0] for k, c in (("hexagon", chip), ("host", "host")))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
