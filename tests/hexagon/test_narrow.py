"""Clipped numbers to bytes by instructions that saturate; sums that start with a product."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tvm import ir, te, tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule

from dlcc.targets.hexagon.narrow import saturate
from dlcc.targets.hexagon.start import start_with_products
from tests.hexagon.measure import measure

Form = Callable[[ir.Expr, str], ir.Expr]
ENDS = {"uint8": (0, 255), "int8": (-128, 127)}


def clipped(x: ir.Expr, low: int, high: int) -> ir.Expr:
    return tirx.max(tirx.min(x, high), low)


FORMS: dict[str, Form] = {
    "clip": lambda x, d: clipped(x, *ENDS[d]),
    "shift": lambda x, d: clipped(x >> 9, *ENDS[d]),
    "longest shift": lambda x, d: clipped(x >> 15, *ENDS[d]),
    "zero point": lambda x, d: clipped((x >> 7) + 5, *ENDS[d]),
    "longer shift": lambda x, d: clipped(x >> 20, *ENDS[d]),
    "other order": lambda x, d: tirx.min(tirx.max(x >> 3, ENDS[d][0]), ENDS[d][1]),
    "narrower": lambda x, d: clipped(x >> 16, 3, 100),
}
AS_THEY_ARE: dict[str, Form] = {
    "wider": lambda x, d: clipped(x >> 9, ENDS[d][0], ENDS[d][1] + 1),
    "one end": lambda x, d: tirx.max(x >> 9, 0),
    "truncated": lambda x, d: x,
}


def numbers() -> np.ndarray:
    """int32 of every size, and those around which something is clipped."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(-(1 << 31), 1 << 31, 448) >> rng.integers(0, 31, 448)
    edges = [e + d for e in (0, 128, 256, 1 << 15, 1 << 16, 1 << 24) for d in (-1, 0, 1)]
    ends = [*edges, *(-e for e in edges), -(1 << 31), (1 << 31) - 1]
    return np.resize(np.concatenate([sizes, ends]), 512).astype(np.int32)


def kernel(form: Form, dtype: str) -> tirx.PrimFunc:
    x = te.placeholder((512,), "int32", name="x")
    y = te.compute((512,), lambda i: form(x[i], dtype).astype(dtype), name="y")
    s = Schedule(te.create_prim_func([x, y]))
    s.vectorize(s.split(s.get_loops(s.get_sblock("y"))[0], [None, 128])[1])
    return s.mod["main"]


def narrow(form: Form, dtype: str) -> tuple[np.ndarray, str]:
    """What 128 numbers at a time become, and the code."""
    arrays = [numbers(), np.zeros(512, dtype)]
    made = measure(kernel(form, dtype), arrays)
    return made.buffers[-1], made.assembly


def expected(form: Form, dtype: str) -> np.ndarray:
    """By TVM's scalar code."""
    x = te.placeholder((512,), "int32", name="x")
    y = te.compute((512,), lambda i: form(x[i], dtype).astype(dtype), name="y")
    plain = te.create_prim_func([x, y])
    return measure(plain, [numbers(), np.zeros(512, dtype)]).buffers[-1]


@pytest.mark.device("hexagon")
@pytest.mark.parametrize("dtype", sorted(ENDS))
@pytest.mark.parametrize("name", FORMS)
def test_clipped_numbers_saturate(name: str, dtype: str) -> None:
    found, code = narrow(FORMS[name], dtype)
    np.testing.assert_array_equal(found, expected(FORMS[name], dtype))
    assert "vpack(" in code
    assert ":sat" in code
    assert (".h = vasr(" in code) == (name in ("shift", "longest shift", "other order"))


@pytest.mark.device("hexagon")
@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_what_is_not_clipped_to_bytes_stays(name: str) -> None:
    found, code = narrow(AS_THEY_ARE[name], "uint8")
    np.testing.assert_array_equal(found, expected(AS_THEY_ARE[name], "uint8"))
    assert ":sat" not in code


def test_other_lanes_stay() -> None:
    x = tirx.Var("x", "int32")
    ramp = tirx.Cast("uint8x64", tirx.max(tirx.min(tirx.Ramp(x, 1, 64), 255), 0))
    mod = IRModule({"f": tirx.PrimFunc([x], tirx.Evaluate(ramp))})
    ir.assert_structural_equal(saturate(mod), mod)


ACC = "llvm.hexagon.V6.vrmpybusv.acc.128B"


def _sum(between: bool) -> IRModule:
    """c[0:32] = 0; c[32:64] = 0; perhaps something that reads both; c[0:32] = product + c[0:32]."""
    c = tirx.decl_buffer((64,), "int32", "c", scope="local")
    x = tirx.Var("x", "int32")
    zero, splat = tirx.Broadcast(tirx.const(0), 32), tirx.Broadcast(x, 32)

    def store(value: ir.Expr, at: int) -> tirx.Stmt:
        return tirx.BufferStore(c, value, [tirx.Ramp(at, 1, 32)])

    first = c[tirx.Ramp(0, 1, 32)]
    stmts = [store(zero, 0), store(zero, 32)]
    stmts += [store(first + splat, 32)] if between else []
    stmts += [store(tirx.call_llvm_pure_intrin("int32x32", ACC, first, splat, splat), 0)]
    body = tirx.SeqStmt([tirx.AllocBuffer(c), *stmts])
    return IRModule({"f": tirx.PrimFunc([x], body)})


def test_a_sum_starts_with_its_first_product() -> None:
    text = start_with_products(_sum(False))["f"].script()
    assert text.count("T.Broadcast(0, 32)") == 1  # of the other half, which nothing is added to
    assert "vrmpybusv.128B" in text
    assert ACC not in text


def test_a_zero_that_is_read_stays() -> None:
    mod = _sum(True)
    text = start_with_products(mod)["f"].script()
    assert text.count("T.Broadcast(0, 32)") == 2
    assert ACC in text
