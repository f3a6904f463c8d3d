"""Branches, loops, lists and complex numbers on the emulated Arm device."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import normal
from test_control import FLOWS, Flow, built

from dlcc.compiler import compile

ON_ARM = (
    "loop", "nested loops", "condition in a loop", "loop in a condition",
    "branches of unlike shapes", "captured weights",
    "array written", "old list read behind a write", "map, open length", "state that grows",
    "case", "scan",
)  # fmt: skip


def spectrum(tf, x):
    z = tf.complex(x, x * 0.5)
    return [tf.signal.fft(z), tf.abs(z), tf.math.conj(z) * z, tf.signal.irfft(tf.signal.rfft(x))]


FOUND = [f for f in FLOWS if f.name in ON_ARM]
FOUND.append(Flow("complex numbers", spectrum, [[normal(3, 8)]]))


def test_all_are_there() -> None:
    assert len(FOUND) == len(ON_ARM) + 1


@pytest.mark.device("arm")
@pytest.mark.parametrize("flow", FOUND, ids=str)
def test_matches_tensorflow_on_arm(flow: Flow, arm_address: str) -> None:
    proto, names, outputs, wants = built(flow, functional=True)
    container = compile(proto, target="arm", outputs=outputs)
    needed = {spec.name.removesuffix(":0") for spec in container.inputs}
    with container.session(device=arm_address) as session:
        for feed, want in zip(flow.feeds, wants, strict=True):
            pairs = zip(names, feed, strict=True)
            found = session.run({n: a for n, a in pairs if n.removesuffix(":0") in needed})
            for name, expected in zip(outputs, want, strict=True):
                np.testing.assert_allclose(found[name], expected, rtol=2e-5, atol=1e-5)
