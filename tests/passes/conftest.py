"""Small Relax modules, what they compute, and which ops they are made of."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relax


def build(body, *shapes, dtype="float32"):
    """A module whose `main` takes tensors of these shapes and returns a tuple of body's result."""
    builder = relax.BlockBuilder()
    params = [relax.Var(f"x{i}", relax.TensorType(s, dtype)) for i, s in enumerate(shapes)]
    with builder.function("main", params, attrs={"num_input": len(params)}):
        with builder.dataflow():
            results = body(builder, *params)
            results = results if isinstance(results, list) else [results]
            made = [builder.emit_output(r) for r in results]
        builder.emit_func_output(relax.Tuple(made))
    return builder.finalize()


def run(mod, *arrays):
    """What a module computes, by TVM's own untouched pipeline."""
    executable = tvm.compile(mod, target="llvm")
    machine = relax.VirtualMachine(executable, tvm.cpu())
    return [t.numpy() for t in machine["main"](*(tvm.runtime.tensor(a) for a in arrays))]


def ops(mod):
    """Names of the ops that `main` calls, in order."""
    bindings = [b for block in mod["main"].body.blocks for b in block.bindings]
    calls = [b.value for b in bindings if isinstance(b.value, relax.Call)]
    return [c.op.name.removeprefix("relax.") for c in calls]


@pytest.fixture
def same():
    """Check that a pass leaves these ops, and every number as it was, on random data."""

    def check(rewrite, body, *shapes, leaves, rtol=1e-5):
        mod = build(body, *shapes)
        after = rewrite(mod)
        assert ops(after) == leaves
        rng = np.random.default_rng(7)
        arrays = [rng.standard_normal(s).astype("float32") for s in shapes]
        for got, want in zip(run(after, *arrays), run(mod, *arrays), strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * np.abs(want).max())
        return after

    return check
