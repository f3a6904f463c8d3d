"""Every rule finds what it is for, on the targets where it matters, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op as R

from dlcc.compiler.lint.lint import model_of
from dlcc.compiler.lint.rules import RULES, Finding, findings
from dlcc.compiler.lint.subject import Subject
from dlcc.targets.registry import find_chip
from tests.hexagon.kernels import Product

Body = Callable[[relax.BlockBuilder, relax.Expr], relax.Expr]
NHWC = {"data_layout": "NHWC", "kernel_layout": "HWIO"}


def found(
    body: Body,
    shape: Sequence[int | str],
    target: str,
    dtype: str = "float32",
    ops: dict[str, str] | None = None,
) -> list[Finding]:
    """What the rules say of a function of one input for a target. A text is an open dimension."""
    from tvm import tirx

    dims = [tirx.Var(d, "int64") if isinstance(d, str) else d for d in shape]
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(dims, dtype))
    with bb.function("main", [x]):
        with bb.dataflow():
            out = bb.emit_output(relax.Tuple([body(bb, x)]))
        bb.emit_func_output(out)
    specs = [SimpleNamespace(name=name) for name in ("x", "y")]
    model = model_of("net", bb.get(), specs[:1], specs[1:], ops or {})
    return list(findings(Subject(model, find_chip(target))))


def conv(ci: int, co: int, k: int = 1, groups: int = 1, dtype: str = "float32") -> Body:
    w = relax.const(np.ones((k, k, ci // groups, co)), dtype)
    return lambda bb, x: bb.emit(R.nn.conv2d(x, w, groups=groups, padding=k // 2, **NHWC))


def softmax_in_double(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    return bb.emit(R.nn.softmax(bb.emit(R.astype(x, "float64"))))


def moved(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    return bb.emit(R.exp(bb.emit(R.permute_dims(x, [0, 2, 1]))))


def repeated(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    rows = np.broadcast_to(np.arange(64, dtype="float32"), (1, 300, 64))
    return bb.emit(R.add(x, relax.const(np.ascontiguousarray(rows))))


def in_nchw(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    y = bb.emit(R.nn.conv2d(x, relax.const(np.ones((8, 8, 1, 1), "float32"))))
    return bb.emit(R.nn.relu(y))


def product(**given: object) -> tuple[Body, tuple[int, ...], str]:
    made = Product(**given)  # type: ignore[arg-type]
    return made.make, made.shape, "uint8"


ROWS = [
    ("open-shape", "hexagon", conv(8, 8), ("n", 4, 4, 8), "float32", "x"),
    ("open-batch", "host", conv(8, 8, 3), ("n", 4, 4, 8), "float32", "x"),
    ("float-on-dsp", "hexagon-v66", conv(32, 32), (1, 4, 4, 32), "float32", "lv"),
    ("gpu-falls-to-cpu", "opencl-generic", softmax_in_double, (4, 9), "float32", None),
    ("vector-rest", "arm", conv(8, 30), (1, 4, 4, 8), "float32", "lv"),
    ("vector-rest", "host", conv(8, 30, 3), (1, 4, 4, 8), "float32", "lv"),
    ("general-kernel", "host", conv(8, 8, dtype="float64"), (1, 4, 4, 8), "float64", "lv"),
    ("general-kernel", "arm", conv(6, 6, groups=2), (1, 4, 4, 6), "float32", "lv"),
    ("transpose", "arm", moved, (1, 200, 100), "float32", None),
    ("transpose", "host", in_nchw, (1, 8, 50, 50), "float32", None),
    ("repeated-constant", "host", repeated, (1, 300, 64), "float32", "lv"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_rules(row: tuple[str, str, Body, Sequence[int | str], str, str | None]) -> None:
    rule, target, body, shape, dtype, layer = row
    told = [f for f in found(body, shape, target, dtype) if f.rule == rule]
    assert told, f"{rule} found nothing"
    if layer is not None:
        assert {f.layer for f in told} == {layer}
    assert all(f.target == find_chip(target).name and f.advice and f.basis for f in told)


BYTES = [
    ("dsp-depthwise-channels", {"shape": (1, 8, 8, 48), "channels": 48, "depthwise": True}, 7.2),
    ("dsp-depthwise-channels", {"shape": (1, 8, 8, 144), "channels": 144, "depthwise": True}, 5.1),
    ("dsp-channels", {"shape": (1, 8, 8, 32), "channels": 40}, 1.2),
    ("dsp-general-kernel", {"shape": (1, 8, 8, 32), "channels": 64, "depthwise": True}, None),
]


@pytest.mark.parametrize(("rule", "given", "times"), BYTES)
@pytest.mark.parametrize("zero", [0, 7])
def test_8_bit_rules(rule: str, given: dict[str, object], times: float | None, zero: int) -> None:
    kernel = 3 if given.get("depthwise") else 1
    more = {"kernel": kernel, "pad": kernel // 2, "zero": zero, "requantised": True}
    if rule == "dsp-general-kernel":
        more |= {"requantised": False}
    body, shape, dtype = product(**given, **more)
    told = found(body, shape, "hexagon-v66", dtype)
    assert [(f.rule, f.times) for f in told] == [(rule, times)]


def test_ops_that_a_target_never_runs() -> None:
    told = found(conv(32, 32), (1, 4, 4, 32), "hexagon", ops={"u": "Unique", "e": "Exp"})
    assert [(f.layer, f.rule) for f in told if f.rule == "no-kernel"] == [("u", "no-kernel")]


def test_what_suits_a_target_gets_no_advice() -> None:
    body, shape, dtype = product(shape=(1, 8, 8, 32), channels=64, requantised=True)
    assert not found(body, shape, "hexagon-v66", dtype)
    for target in ("host", "arm", "opencl-generic"):
        assert not found(conv(16, 32, 3), (1, 8, 8, 16), target), target


def test_every_rule_has_a_case() -> None:
    cased = {row[0] for row in ROWS} | {row[0] for row in BYTES} | {"no-kernel"}
    assert cased == {rule.name for rule in RULES}
