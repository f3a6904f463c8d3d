"""Assert and CheckNumerics of a model: dropped, or kept and raised while it runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcc.compiler import compile
from dlcc.compiler.errors import BadNode, CheckFailed


def positive(tf: Any, x: Any) -> Any:
    check = tf.debugging.Assert(tf.reduce_all(x > 0.0), ["must be positive", x], name="check")
    with tf.control_dependencies([check]):
        return tf.sqrt(x, name="root")


def numbers(tf: Any, x: Any) -> Any:
    return tf.debugging.check_numerics(tf.sqrt(x), "no root", name="check")


def in_a_branch(tf: Any, x: Any) -> Any:
    return tf.cond(x[0] < 5.0, lambda: positive(tf, x), lambda: x * 2.0)


def in_a_loop(tf: Any, x: Any) -> Any:
    body = lambda i, s: (i + 1, positive(tf, s - 1.0))  # noqa: E731
    return tf.compat.v1.while_loop(lambda i, s: i < tf.cast(x[2], tf.int32), body, [0, x])[1]


def graph(build: Any, functional: bool) -> tuple[Any, str]:
    import tensorflow as tf

    (tf.compat.v1.enable_control_flow_v2 if functional else
     tf.compat.v1.disable_control_flow_v2)()  # fmt: skip
    try:
        with tf.Graph().as_default() as made:
            x = tf.compat.v1.placeholder(tf.float32, [3], "x")
            output = tf.identity(build(tf, x)).name
        return made.as_graph_def(), output
    finally:
        tf.compat.v1.enable_control_flow_v2()


FAILS, HOLDS = [-1.0, 2.0, 12.0], [4.0, 9.0, 0.5]
SAID = r"check.* \(Assert\): assertion failed: must be positive"
CASES = {
    "assert": (positive, HOLDS, FAILS, SAID),
    "numbers": (numbers, HOLDS, FAILS, r"check \(CheckNumerics\): no root : Tensor had NaN values"),
    "infinity": (numbers, HOLDS, [np.inf, 1.0, 1.0], "Tensor had Inf values"),
    "both": (numbers, HOLDS, [np.inf, -1.0, 1.0], "Tensor had Inf and NaN values"),
    "branch": (
        in_a_branch,
        [6.0, -1.0, 1.0],
        FAILS,
        SAID,
    ),
    "loop": (in_a_loop, HOLDS, FAILS, SAID),
}


@pytest.mark.parametrize("functional", [False, True], ids=["frames", "functions"])
@pytest.mark.parametrize("name", CASES)
def test_kept_checks_stop_the_model(name: str, functional: bool) -> None:
    build, holds, fails, match = CASES[name]
    proto, output = graph(build, functional)
    with compile(proto, outputs=[output], checks="keep").session() as session:
        assert np.isfinite(session.run({"x": np.asarray(holds, np.float32)})[output]).all()
        for work in (session.run, session.profile):
            with pytest.raises(CheckFailed, match=match):
                work({"x": np.asarray(fails, np.float32)})
        session.run({"x": np.asarray(holds, np.float32)})


@pytest.mark.parametrize("name", CASES)
def test_dropped_checks_are_counted(name: str, caplog: pytest.LogCaptureFixture) -> None:
    build, _, fails, _ = CASES[name]
    proto, output = graph(build, True)
    with caplog.at_level("INFO", "dlcc"):
        container = compile(proto, outputs=[output])
    assert "1 checks" in caplog.text
    with container.session() as session:
        session.run({"x": np.asarray(fails, np.float32)})


def small(tf: Any, x: Any) -> Any:
    check = tf.debugging.Assert(tf.constant(False), ["too small"], name="check")
    with tf.control_dependencies([check]):
        return tf.sqrt(x)


def guarded(tf: Any, x: Any) -> Any:
    return tf.cond(x[0] < 5.0, lambda: small(tf, x), lambda: x * 2.0)


@pytest.mark.parametrize("functional", [False, True], ids=["frames", "functions"])
def test_a_check_that_always_fails(functional: bool) -> None:
    proto, output = graph(small, functional)
    with pytest.raises(BadNode, match=r"fails whatever the inputs are.*too small"):
        compile(proto, outputs=[output], checks="keep")


@pytest.mark.parametrize("functional", [False, True], ids=["frames", "functions"])
def test_a_check_that_always_fails_in_a_branch(functional: bool) -> None:
    """A branch may be meant to fail."""
    proto, output = graph(guarded, functional)
    with compile(proto, outputs=[output], checks="keep").session() as session:
        session.run({"x": np.asarray([6.0, 1.0, 1.0], np.float32)})
        with pytest.raises(CheckFailed, match="too small"):
            session.run({"x": np.asarray(HOLDS, np.float32)})


def test_checks_that_nothing_waits_for_are_told(caplog: pytest.LogCaptureFixture) -> None:
    import tensorflow as tf

    with tf.Graph().as_default() as made:
        x = tf.compat.v1.placeholder(tf.float32, [3], "x")
        tf.debugging.Assert(tf.reduce_all(x > 0.0), ["positive"], name="alone")
        output = tf.sqrt(x).name
    with caplog.at_level("INFO", "dlcc"):
        compile(made.as_graph_def(), outputs=[output], checks="keep")
    assert "left out: alone" in caplog.text


@pytest.mark.device("arm")
@pytest.mark.parametrize("name", ["assert", "numbers", "loop"])
def test_kept_checks_stop_the_model_on_a_device(name: str, arm_address: str) -> None:
    build, holds, fails, match = CASES[name]
    proto, output = graph(build, True)
    made = compile(proto, "arm", outputs=[output], checks="keep")
    with made.session(device=arm_address) as session:
        session.run({"x": np.asarray(holds, np.float32)})
        for work in (session.run, session.profile):
            with pytest.raises(CheckFailed, match=match):
                work({"x": np.asarray(fails, np.float32)})
        session.run({"x": np.asarray(holds, np.float32)})
