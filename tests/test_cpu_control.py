"""Branches and loops of Relax functions, built for the host and run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relax, tirx
from tvm.ir import IRModule
from tvm.script import ir as I
from tvm.script import relax as X

from dlcc.targets.cpu.build import build
from dlcc.targets.registry import find_chip

R = relax.op
STEPS = np.arange(100, dtype="float32")


def tensor(name: str, *shape: object, dtype: str = "float32") -> relax.Var:
    return relax.Var(name, relax.TensorType(shape, dtype))


def choice(bb: relax.BlockBuilder, cond: relax.Expr, yes, no) -> relax.Var:
    """An `if` whose branches are built by two functions that emit and return an expression."""
    branches = []
    for body in (yes, no):
        inner = relax.BlockBuilder(bb.get())
        inner._begin_binding_block()
        out = body(inner)
        branches.append(relax.SeqExpr([inner._end_block()], out))
    return bb.emit(relax.If(cond, *branches))


def branching(dim: object) -> IRModule:
    """(x, p, q) -> relu(x + x) if p else (-exp(x) if q else x * steps)."""
    bb = relax.BlockBuilder()
    x, p, q = tensor("x", dim, 100), tensor("p", dtype="bool"), tensor("q", dtype="bool")
    steps = relax.const(STEPS)

    def yes(b):
        return b.emit(R.nn.relu(b.emit(R.add(x, x))))

    def no(b):
        return choice(
            b,
            q,
            lambda c: c.emit(R.negative(c.emit(R.exp(x)))),
            lambda c: c.emit(R.multiply(c.emit(R.broadcast_to(steps, (dim, 100))), x)),
        )

    with bb.function("main", [x, p, q]):
        y = choice(bb, p, yes, no)
        bb.emit_func_output(relax.Tuple([y, bb.emit(R.add(y, x)), x]))
    return bb.get()


@pytest.mark.parametrize("dim", [8, tirx.Var("n", "int64")], ids=["static", "symbolic"])
def test_branches(dim: object, tmp_path: Path) -> None:
    made = build(branching(dim), find_chip("host"))
    (tmp_path / "module.so").write_bytes(made.files["module.so"])
    vm = relax.VirtualMachine(tvm.runtime.load_module(str(tmp_path / "module.so")), tvm.cpu())
    x = np.random.default_rng(0).normal(size=(8, 100)).astype("float32")
    wants = {
        (True, True): np.maximum(2 * x, 0),
        (False, True): -np.exp(x),
        (False, False): STEPS * x,
    }
    for (p, q), want in wants.items():
        inputs = [x, np.array(p), np.array(q), *made.weights]
        y, z, same = vm["main"](*map(tvm.runtime.tensor, inputs))
        np.testing.assert_array_equal(same.numpy(), x)
        np.testing.assert_allclose(y.numpy(), want, rtol=1e-5)
        np.testing.assert_allclose(z.numpy(), want + x, rtol=1e-5, atol=1e-5)


@I.ir_module
class Recursive:
    """s = 1.5 s + steps, i times."""

    @X.function
    def main(i: X.Tensor((), "int32"), s: X.Tensor((8, 100), "float32")) -> X.Tuple(
        X.Tensor((8, 100), "float32")
    ):
        out = Recursive.loop(i, s)
        result: X.Tuple(X.Tensor((8, 100), "float32")) = (out,)
        return result

    @X.function(private=True)
    def loop(i: X.Tensor((), "int32"), s: X.Tensor((8, 100), "float32")) -> X.Tensor(
        (8, 100), "float32"
    ):
        go = X.greater(i, X.const(0, "int32"))
        if go:
            less = X.subtract(i, X.const(1, "int32"))
            scaled = X.multiply(s, X.const(1.5, "float32"))
            more = X.add(scaled, X.const(np.arange(100, dtype="float32")))
            out = Recursive.loop(less, more)
        else:
            out = s
        return out


def test_recursive_loop(tmp_path: Path) -> None:
    made = build(Recursive, find_chip("host"))
    (tmp_path / "module.so").write_bytes(made.files["module.so"])
    vm = relax.VirtualMachine(tvm.runtime.load_module(str(tmp_path / "module.so")), tvm.cpu())
    start = np.random.default_rng(0).normal(size=(8, 100)).astype("float32")
    inputs = [np.array(5, "int32"), start, *made.weights]
    (got,) = vm["main"](*map(tvm.runtime.tensor, inputs))
    want = start
    for _ in range(5):
        want = want * 1.5 + STEPS
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-5)
