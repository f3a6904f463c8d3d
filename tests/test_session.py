"""A container on a device: outputs by name, the choice of a target, errors that name the place."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tvm import relax, tirx

from dlcc.compiler.container import Compiled, Container, TensorSpec, open_container
from dlcc.compiler.container.manifest import TargetRow
from dlcc.compiler.errors import BadFeed, DeviceError, UnknownTarget, UsageError
from dlcc.compiler.places import choose_targets
from dlcc.targets.artifact import Artifact
from dlcc.targets.registry import find_chip, kind

WEIGHT = np.arange(12, dtype="float32").reshape(3, 4)
X = np.float32([[1, 2, 3], [4, 5, 6]])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = x @ w, z = x + x; the first dimension of x is open."""
    bb, n = relax.BlockBuilder(), tirx.Var("n", "int64")
    x = relax.Var("x", relax.TensorType((n, 3), "float32"))
    with bb.function("main", [x], attrs={"num_input": 1}):
        with bb.dataflow():
            y = bb.emit_output(relax.op.matmul(x, relax.const(WEIGHT)))
            z = bb.emit_output(relax.op.add(x, x))
        bb.emit_func_output(relax.Tuple([y, z]))
    module, chip = bb.finalize(), find_chip("host")
    inputs = [TensorSpec("in/x:0", "float32", ("n", 3))]
    outputs = [TensorSpec("y:0", "float32", ("n", 4)), TensorSpec("z", "float32", ("n", 3))]
    container = Container.of(
        "toy", [Compiled(module, inputs, outputs, [kind("host").build(module, chip)])]
    )
    return container.save(tmp_path_factory.mktemp("session") / "toy.dlc")


@pytest.fixture
def container(path: Path) -> Container:
    return open_container(path)


def test_outputs_have_the_names_and_the_order_asked_for(container: Container) -> None:
    with container.session() as s:
        result = s.run({"in/x": X})
        assert list(result) == ["y:0", "z"]
        np.testing.assert_allclose(result["y:0"], X @ WEIGHT)
        np.testing.assert_array_equal(result["z"], 2 * X)


def test_open_dimensions_take_any_size(container: Container) -> None:
    with container.session(threads=1) as s:
        for n in (1, 7, 2):
            x = np.ones((n, 3), "float32")
            np.testing.assert_allclose(s.run({"in/x:0": x})["y:0"], x @ WEIGHT)


def test_results_do_not_change_with_the_next_run(container: Container) -> None:
    with container.session() as s:
        first = s.run({"in/x": X})["z"]
        s.run({"in/x": 5 * X})
        np.testing.assert_array_equal(first, 2 * X)


def test_a_container_that_was_not_saved_runs_too(path: Path) -> None:
    opened = open_container(path)
    artifact = opened.artifact(opened.targets[0])
    made = Container.of(
        "again", [Compiled(opened.module(), opened.inputs, opened.outputs, [artifact])]
    )
    with made.session() as s:
        np.testing.assert_array_equal(s.run({"in/x": X})["z"], 2 * X)


def test_a_bad_feed_leaves_the_session_usable(container: Container) -> None:
    with container.session() as s:
        with pytest.raises(BadFeed):
            s.run({"in/x": X.astype("float64")})
        assert s.run({"in/x": X})


def test_bench(container: Container) -> None:
    with container.session() as s:
        bench = s.bench({"in/x": X}, repeat=3)
        assert len(bench.times_s) == 3
        assert all(t > 0 for t in bench.times_s)
        with pytest.raises(UsageError, match="repeat is 0"):
            s.bench({"in/x": X}, repeat=0)


def test_closing(container: Container) -> None:
    s = container.session()
    assert (s.target, s.device) == ("host", "local")
    s.close()
    s.close()
    with pytest.raises(UsageError, match="closed"):
        s.run({"in/x": X})


def test_a_device_error_names_target_and_device(container: Container) -> None:
    with pytest.raises(DeviceError, match=r"^host on rpc://127\.0\.0\.1:9: ") as caught:
        container.session(device="rpc://127.0.0.1:9")
    assert "\n" not in caught.value.what


def test_an_address_that_is_none(container: Container) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        container.session(device="nowhere")


def with_targets(container: Container, *artifacts: Artifact) -> Container:
    return Container.of(
        "more", [Compiled(container.module(), container.inputs, container.outputs, artifacts)]
    )


def test_the_first_target_that_opens_is_taken(
    container: Container, caplog: pytest.LogCaptureFixture
) -> None:
    """Code that no loader takes stands before code that runs."""
    good = container.artifact(container.targets[0])
    bad = replace(good, chip="broken", files={"module.so": b"\x7fELF" + bytes(100)})
    both = with_targets(container, bad, good)
    with both.session() as s:
        assert s.target == "host"
        assert s.run({"in/x": X})
    assert any("host broken on local" in message for message in caplog.messages)
    with pytest.raises(DeviceError, match=r"^host broken on local: "):
        both.session(target="broken")
    with pytest.raises(DeviceError, match=r"no target can run: host broken on local: .*; host "):
        with_targets(container, bad, replace(bad, chip="worse")).session()


def test_a_target_that_runs_at_once_is_not_talked_of(
    container: Container, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dlcc")
    with container.session() as s:
        assert s.passed_over == ()
    with pytest.raises(DeviceError):
        container.session(device="rpc://127.0.0.1:9")
    assert caplog.messages == []


@pytest.fixture(scope="module")
def three(path: Path) -> Container:
    """Code for this machine, code for Arm, and code that no loader takes, in this order."""
    container = open_container(path)
    good = container.artifact(container.targets[0])
    arm = kind("arm").build(container.module(), find_chip("arm"))
    bad = replace(good, chip="broken", files={"module.so": b"\x7fELF" + bytes(100)})
    return with_targets(container, good, arm, bad)


def test_the_order_asked_for_decides(three: Container, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "dlcc")
    with three.session(target="broken, a76,host", device="local") as s:
        assert (s.target, s.device) == ("host", "local")
        assert s.run({"in/x": X})
        broken, arm = s.passed_over
    assert broken.startswith("host broken on local: ")
    assert arm.startswith("arm cortex-a76 on local: ")
    assert "64-bit Arm" in arm
    assert caplog.messages[-3:] == [broken, arm, "host on local was chosen"]
    with three.session(target="host,arm") as s:
        assert (s.target, s.passed_over) == ("host", ())


def test_a_known_target_without_code_is_passed_over(three: Container) -> None:
    with three.session(target="hexagon,host") as s:
        assert s.target == "host"
        assert s.passed_over == ("hexagon: the container has no code for it",)
    with pytest.raises(DeviceError, match=r"can run: hexagon: the container has .*; host broken"):
        three.session(target="hexagon,broken")
    for wanted in ("hexagon,a53", "hots,host", "host,"):
        with pytest.raises(UnknownTarget) as caught:
            three.session(target=wanted)
        assert "it holds code for: host, arm cortex-a76, host broken" in caught.value.hint


@pytest.mark.device("arm")
def test_a_further_device_is_said(
    three: Container, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Code for Arm runs on the emulator where this machine, tried first, is none."""
    own = replace(kind("arm"), default_device="local", further_devices=("emulator",))
    monkeypatch.setattr("dlcc.targets.arm.KIND", own)
    if platform.machine() in ("aarch64", "arm64"):
        pytest.skip("this machine runs it itself")
    with three.session(target="arm") as s:
        assert (s.target, s.device) == ("arm cortex-a76", "emulator")
        np.testing.assert_array_equal(s.run({"in/x": X})["z"], 2 * X)
        (reason,) = s.passed_over
    assert reason.startswith("arm cortex-a76 on local: ")
    assert reason in caplog.messages
    with pytest.raises(DeviceError, match=r"^arm cortex-a76 on local: "):
        three.session(target="arm", device="local")


@pytest.mark.device("arm")
def test_the_order_holds_at_an_address(three: Container, arm_address: str) -> None:
    with three.session(target="broken,host,arm", device=arm_address) as s:
        assert (s.target, s.device) == ("arm cortex-a76", arm_address)
        assert len(s.passed_over) == 2
        np.testing.assert_array_equal(s.run({"in/x": X})["z"], 2 * X)


ROWS = [TargetRow(k, c, {}, ()) for k, c in (("host", "host"), ("arm", "cortex-a76"))]


@pytest.mark.parametrize(
    ("wanted", "chips"),
    [
        (None, ["host", "cortex-a76"]),
        ("host", ["host"]),
        ("arm", ["cortex-a76"]),
        ("cortex-a76", ["cortex-a76"]),
        ("a76", ["cortex-a76"]),
        ("arm,host", ["cortex-a76", "host"]),
        ("a76,host,arm", ["cortex-a76", "host"]),
        ("hexagon,arm", ["cortex-a76"]),
    ],
)
def test_targets_by_kind_chip_and_short_name(wanted: str | None, chips: list[str]) -> None:
    assert [row.chip for row in choose_targets(ROWS, wanted).rows] == chips


@pytest.mark.parametrize("wanted", ["hots", "hexagon", ""])
def test_targets_that_are_not_there(wanted: str) -> None:
    with pytest.raises(UnknownTarget) as caught:
        choose_targets(ROWS, wanted)
    assert "it holds code for: host, arm cortex-a76" in caught.value.hint
    with pytest.raises(UnknownTarget, match="no target"):
        choose_targets([], None)
