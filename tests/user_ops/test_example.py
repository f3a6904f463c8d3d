"""The example of docs/user-ops.md: as tensor expressions and as sources, on every target, against
TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from dlcc.compiler.frontend.ops import TF_OPS
from dlcc.compiler.user_ops.trial import compile_op, run_op

OP = "FakeQuantWithMinMaxVarsPerChannelGradient"
FOLDER = Path(__file__).resolve().parents[2] / "docs/examples/fake_quant_gradient"


class Case(NamedTuple):
    """Shape of x, and attributes of the node."""

    shape: tuple[int, ...]
    num_bits: int
    narrow_range: bool


# ranks that the op takes, a prime number of channels, one channel, few levels
CASES = (Case((2, 5, 3, 37), 8, False), Case((9, 1), 4, True), Case((13,), 2, False))


def inputs(case: Case) -> list[np.ndarray]:
    """gradients, x, low, high: ranges of zero width, x at both ends, NaN, infinities, -0.0."""
    rng = np.random.default_rng(0)
    channels = case.shape[-1]
    gradients = rng.normal(size=case.shape)
    x = rng.normal(size=case.shape) * 3
    low, high = -np.abs(rng.normal(size=channels)), np.abs(rng.normal(size=channels))
    odd = [np.nan, np.inf, -np.inf, -0.0, 0.0][: x.size]
    x.reshape(-1)[-len(odd) :] = odd
    if channels > 3:
        low[1] = high[1] = 0.0
        low[2] = 0.0
        x[..., 2] = 0.0
    return [a.astype("float32") for a in (gradients, x, low, high)]


@pytest.fixture(scope="session")
def reference() -> Callable[[Case], list[Any]]:
    """What TensorFlow computes."""
    tf = pytest.importorskip("tensorflow")

    def compute(case: Case) -> list[Any]:
        names = ("gradients", "inputs", "min", "max")
        feeds = dict(zip(names, inputs(case), strict=True))
        return [t.numpy() for t in getattr(tf.raw_ops, OP)(**feeds, **attributes(case))]

    return compute


def attributes(case: Case) -> dict[str, Any]:
    return {"num_bits": case.num_bits, "narrow_range": case.narrow_range}


def test_dlcc_lacks_the_op() -> None:
    assert OP not in TF_OPS


DEVICES = [pytest.param(k, marks=pytest.mark.device(k)) for k in ("arm", "opencl", "hexagon")]


@pytest.mark.parametrize("way", ["by_te", "by_source"])
@pytest.mark.parametrize("target", ["host", *DEVICES])
def test_as_tensorflow(
    target: str,
    way: str,
    reference: Callable[[Case], list[Any]],
    request: pytest.FixtureRequest,
) -> None:
    device = request.getfixturevalue("arm_address") if target == "arm" else None
    check(CASES[0], target, way, reference, device)


@pytest.mark.parametrize("way", ["by_te", "by_source"])
@pytest.mark.parametrize("case", CASES[1:], ids=["one channel", "rank 1"])
def test_other_shapes(case: Case, way: str, reference: Callable[[Case], list[Any]]) -> None:
    check(case, "host", way, reference)


def check(
    case: Case,
    target: str,
    way: str,
    reference: Callable[[Case], list[Any]],
    device: str | None = None,
) -> None:
    arrays, attrs, files = inputs(case), attributes(case), [FOLDER / f"{way}.py"]
    container = compile_op(OP, arrays, attrs, target=target, outputs=3, ops=files)
    to_x, to_low, to_high = run_op(container, arrays, device)
    want = reference(case)
    np.testing.assert_array_equal(to_x, want[0])
    np.testing.assert_allclose(to_low, want[1], rtol=1e-5, atol=1e-6)  # sums in another order
    np.testing.assert_allclose(to_high, want[2], rtol=1e-5, atol=1e-6)
