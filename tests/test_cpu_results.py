"""Models that hand back what they got: inputs, weights, views of both."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import relax

from dlcc.targets.registry import DeviceOptions, kind

R = relax.op
BIG = np.arange(100, dtype="float32").reshape(10, 10)


def model(results, *shapes):
    """A module whose `main` returns a tuple of `results(*params)`."""
    builder = relax.BlockBuilder()
    params = [relax.Var(f"x{i}", relax.TensorType(s, "float32")) for i, s in enumerate(shapes)]
    with builder.function("main", params, attrs={"num_input": len(params)}):
        with builder.dataflow():
            made = [builder.emit_output(r) for r in results(*params)]
        builder.emit_func_output(relax.Tuple(made))
    return relax.transform.CanonicalizeBindings()(builder.finalize())


def check(target, device):
    """One module with every kind of result."""
    x = np.random.default_rng(1).standard_normal((2, 3)).astype("float32")
    empty = np.empty((0, 4), "float32")

    def results(a, b):
        double = R.add(a, a)
        big = relax.const(BIG)
        return [a, double, R.reshape(a, (6,)), R.reshape(double, (3, 2)), a, big,
                R.reshape(big, (100,)), relax.const(np.float32(7)), b, R.add(b, b)]  # fmt: skip

    wanted = [x, 2 * x, x.reshape(6), 2 * x.reshape(3, 2), x, BIG, BIG.reshape(100),
              np.float32(7), empty, empty]  # fmt: skip
    owner = kind(target)
    artifact = owner.build(model(results, x.shape, empty.shape), owner.chips()[0])
    with owner.open_device(device, DeviceOptions()) as opened:
        got = opened.load(artifact).run([x, empty])
    for have, want in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(have, want)


def test_results_on_this_machine():
    check("host", "local")


@pytest.mark.device("arm")
def test_results_over_rpc(arm_address):
    check("arm", arm_address)
