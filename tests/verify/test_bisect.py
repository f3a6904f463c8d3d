"""A bug is planted in each place where one can be; `verify` names the layer and the place."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcc.compiler.cli.main import main
from dlcc.compiler.frontend.ops import TF_OPS
from dlcc.compiler.passes import pipeline
from dlcc.compiler.tuning import Choices
from dlcc.compiler.verify import Bisection, Data, Look, Making, Place, Verification, verify
from dlcc.compiler.verify import subject as subjects
from dlcc.compiler.verify.bisect import bisect
from dlcc.compiler.verify.expected import ByFile
from dlcc.compiler.verify.layers import Comparison, layer_rows
from dlcc.targets.cpu import build, legalize, schedule
from dlcc.targets.hexagon import schedule as dsp
from dlcc.targets.hexagon.schedule.sums import sums
from dlcc.targets.kernels import planned
from dlcc.targets.opencl import schedule as gpu
from dlcc.targets.opencl.schedule import tiles
from dlcc.targets.tuned import Tuned
from tests.verify import bugs

WORKLOAD = "conv2d n1 h9 w9 c8 oc16 k3x3 s1x1 p1x1x1x1 d1x1 g1 float32 packed"


def verified(net: Any, data: Data, **look: Any) -> Verification:
    making = Making(outputs=["pool"], database="none")
    return verify(net, data=data, look=Look(bisect=True, **look), making=making)


def bisected(net: Any, data: Data) -> Bisection:
    found = verified(net, data)
    assert not found.ok
    assert found.bisection is not None
    assert found.first == found.bisection.node
    assert not found.bisection.trials[0].ok
    return found.bisection


def test_a_model_without_bugs_is_right_layer_by_layer(net: Any, data: Data) -> None:
    found = verified(net, data)
    assert (found.ok, found.first, found.bisection, found.kernels) == (True, None, None, "same")
    assert [(row.node, row.op) for row in found.layers] == [
        ("conv1/Relu", "Relu"),
        ("pool", "MaxPool"),
    ]
    assert found.layers[0].nodes == ("conv1/scaled", "conv1/shifted")
    assert all(row.local is not None and row.local.snr_db > 100 for row in found.layers)


def test_a_wrong_schedule(
    net: Any,
    data: Data,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also in the folder that is written: the command in it shows the bug until it is gone."""
    right = schedule.RULES
    rules = tuple(bugs.conv2d if r.__name__ == "conv2d" else r for r in right)
    monkeypatch.setattr(schedule, "RULES", rules)
    found = verified(net, data, reproducer=tmp_path / "layer")
    assert found.bisection is not None
    made = found.bisection
    assert (made.node, made.cause, made.culprit) == ("conv1/Relu", "schedule", "conv2d")
    assert "right with the unscheduled kernel, wrong with the rule conv2d" in made.said
    assert [trial.ok for trial in made.trials] == [False, True, True]
    assert found.reproducer is not None
    assert found.reproducer.reproduces
    monkeypatch.chdir(tmp_path / "layer")
    command = shlex.split(found.reproducer.command.splitlines()[-1])
    assert main([*command[1:], "--database", "none"]) == 1
    assert "beyond tolerance: the output conv1/Relu" in capsys.readouterr().err
    monkeypatch.setattr(schedule, "RULES", right)
    assert main([*command[1:], "--database", "none"]) == 0


def test_a_wrong_pass(net: Any, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "fold_scale_into_weights"
    rows = [(n, bugs.scales_of_other_channels if n == name else p) for n, p in pipeline.PIPELINE]
    monkeypatch.setattr(pipeline, "PIPELINE", tuple(rows))
    found = bisected(net, data)
    assert (found.node, found.cause, found.culprit) == ("conv1/Relu", "pass", name)
    assert f"right before pass {name}, wrong after it" in found.said


def test_a_wrong_converter(net: Any, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a node that has no row: only the kernel's result has one."""
    row = replace(TF_OPS["AddV2"], convert=bugs.difference)
    monkeypatch.setitem(TF_OPS.rows, "AddV2", row)
    found = bisected(net, data)
    assert (found.node, found.cause, found.culprit) == ("conv1/Relu", "converter", "AddV2")
    assert "the converter of op AddV2 (bugs:difference), at conv1/shifted" in found.said


@pytest.mark.slow
def test_a_wrong_choice_of_tuning(net: Any, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that is wrong with certain knobs alone."""

    def conv2d(s: Any, cpu: Any) -> None:
        tuned = "tile" in planned(s.mod["main"]).get("knobs", {})
        (bugs.conv2d if tuned else bugs.right_conv2d)(s, cpu)

    rules = tuple(conv2d if r.__name__ == "conv2d" else r for r in schedule.RULES)
    monkeypatch.setattr(schedule, "RULES", rules)
    chosen = Choices(Tuned({WORKLOAD: {"tile": "3x16"}}))
    monkeypatch.setattr(subjects, "choices_for", lambda *_: chosen)
    found = bisected(net, data)
    assert (found.node, found.cause) == ("conv1/Relu", "tuning")
    assert found.culprit == f"tile 3x16 for {WORKLOAD}"


@pytest.mark.slow
def test_a_wrong_fusion(net: Any, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "fuse", bugs.fused_without_bias)
    found = bisected(net, data)
    assert (found.node, found.cause) == ("conv1/Relu", "fusion")
    assert found.culprit.startswith("fused_conv2d")


@pytest.mark.slow
def test_a_wrong_kernel(net: Any, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(legalize.OURS, "relax.nn.relu", bugs.relu_at_one)
    found = bisected(net, data)
    assert (found.node, found.cause, found.culprit) == ("conv1/Relu", "kernel", "relax.nn.relu")


def test_a_layer_that_is_right_on_right_inputs(
    net: Any, data: Data, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What departs because of the layer before it is not searched for a bug."""
    monkeypatch.setitem(legalize.OURS, "relax.nn.relu", bugs.relu_at_one)
    subject = subjects.subject(net, "host", Making(outputs=["pool"], database="none"))
    expected = ByFile("right", data.expect or {}, subject)
    samples = {"image": {"x": image}}
    comparison = Comparison(subject, expected, samples, Place(), 1e-3, 1e-6)
    rows = layer_rows(comparison, "kernels")
    assert [(row.node, row.error.ok, row.local.ok) for row in rows] == [
        ("conv1/Relu", False, False),
        ("pool", False, True),
    ]
    found = bisect(comparison, rows, rows[1])
    assert (found.cause, found.culprit) == ("carried", "")
    assert "right on right inputs" in found.said


@pytest.mark.slow
@pytest.mark.device("hexagon")
def test_a_wrong_schedule_of_the_dsp(net: Any, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = bugs.short_sums(sums, "conv2d_nhwc_update")
    rules = tuple(wrong if r is sums else r for r in dsp.RULES)
    monkeypatch.setattr(dsp, "RULES", rules)
    making = Making(outputs=["pool"], database="none")
    found = verify(net, "hexagon", data=data, look=Look(bisect=True), making=making)
    assert found.bisection is not None
    made = found.bisection
    assert (made.node, made.cause, made.culprit) == ("conv1/Relu", "schedule", "sums")


@pytest.mark.slow
@pytest.mark.device("opencl")
def test_a_wrong_schedule_of_a_gpu(net: Any, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = bugs.short_sums(tiles.conv2d, "windows_update")
    rules = tuple(wrong if r is tiles.conv2d else r for r in gpu.RULES)
    monkeypatch.setattr(gpu, "RULES", rules)
    making = Making(outputs=["pool"], database="none")
    look, place = Look(bisect=True), Place(device="emulator")
    found = verify(net, "opencl", data=data, look=look, making=making, place=place)
    assert found.bisection is not None
    made = found.bisection
    assert (made.node, made.cause, made.culprit) == ("conv1/Relu", "schedule", "conv2d")
