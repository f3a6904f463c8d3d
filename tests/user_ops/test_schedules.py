"""Schedules that users give: used on the target that they are for, and left alone by tuning."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ops_files import IN_C, TE, write

from dlcc.compiler import compile
from dlcc.compiler.container import Container
from dlcc.compiler.errors import BadNode, ToolchainError
from dlcc.compiler.tuning import prepare
from dlcc.compiler.user_ops.trial import compile_op, one_node, run_op
from dlcc.targets.registry import kind
from dlcc.targets.tuned import UNTUNED
from dlcc.tuning.kernels import kernels_of

X = np.random.default_rng(0).normal(size=(8, 16)).astype("float32")
FOR_CPU = """
def by_rows(s):
    rows, _ = s.get_loops(s.get_sblock("compute"))
    s.parallel(rows)
    s.annotate(rows, "pragma_auto_unroll_max_step", 16)
OPS.schedule("Twice", target="host,hexagon", rule=by_rows)
"""
FOR_GPU = """
def by_groups(s):
    rows, columns = s.get_loops(s.get_sblock("compute"))
    s.bind(rows, "blockIdx.x")
    s.bind(columns, "threadIdx.x")
OPS.schedule("Twice", target="opencl", rule=by_groups)
"""


def kernels(container: Container) -> list[str]:
    (target,) = container.targets
    return list(json.loads(container.artifact(target).files["kernels.json"]))


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("host", "twice"),
        pytest.param("opencl", "twice", marks=pytest.mark.device("opencl")),
        pytest.param("hexagon", "twice", marks=pytest.mark.device("hexagon")),
    ],
)
def test_a_schedule_is_used(target: str, name: str, tmp_path: Path) -> None:
    container = compile_op("Twice", [X], target=target, ops=[write(tmp_path, TE, FOR_CPU, FOR_GPU)])
    assert kernels(container) == [name]
    np.testing.assert_array_equal(run_op(container, [X])[0], 2 * X)


def test_beside_a_kernel_as_source(tmp_path: Path) -> None:
    """The schedule is of the converter's kernel, not of the source that stands before it."""
    in_c = IN_C.replace("host,arm,hexagon", "host")
    path = write(tmp_path, TE, in_c, FOR_CPU.replace("host,hexagon", "hexagon"))
    np.testing.assert_array_equal(run_op(compile_op("Twice", [X], ops=[path]), [X])[0], 2 * X)
    assert kernels(compile_op("Twice", [X], target="hexagon", ops=[path])) == ["twice"]


def test_other_targets_keep_their_rules(tmp_path: Path) -> None:
    container = compile_op("Twice", [X], ops=[write(tmp_path, TE, FOR_GPU)])
    assert kernels(container) == ["twice_te"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('s.get_sblock("nothing")', r"mine.py, line \d+\): ScheduleError"),
        ("pass", "its schedule for opencl in mine 3 binds no loop to threads"),
    ],
)
def test_a_wrong_schedule_is_told(body: str, words: str, tmp_path: Path) -> None:
    rule = f"\ndef rule(s):\n    {body}\nOPS.schedule('Twice', target='opencl', rule=rule)\n"
    with pytest.raises(BadNode, match=words):
        compile_op("Twice", [X], target="opencl", ops=[write(tmp_path, TE, rule)])


def test_a_schedule_needs_one_kernel(tmp_path: Path) -> None:
    two = TE.replace("return g.te", "return g.arg(node, 0) + g.te")
    with pytest.raises(BadNode, match="does not make it by one kernel"):
        compile_op("Twice", [X], ops=[write(tmp_path, two, FOR_CPU)])


@pytest.mark.device("opencl")
def test_groups_that_are_too_large_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, TE, FOR_GPU)
    x = np.zeros((2, 5000), "float32")
    with pytest.raises(ToolchainError, match=r"the schedule .* has groups of 5000 work-items"):
        compile_op("Twice", [x], target="opencl", ops=[path])


def test_tuning_takes_converters_alone(tmp_path: Path) -> None:
    """A kernel of a converter is tuned as any other; one as source or with a schedule is not."""
    graph = one_node("Twice", [X], {})

    def tuned(*parts: str) -> list[str]:
        prepared = prepare(graph, "host", ops=[write(tmp_path, *parts)])
        chip = prepared.chip
        found = kernels_of(kind(chip.kind).unscheduled(prepared.module, chip, UNTUNED))
        return [kernel.name for kernel in found]

    assert tuned(TE) == ["twice_te"]
    assert tuned(TE, FOR_GPU) == ["twice_te"]
    assert tuned(TE, FOR_CPU) == []
    assert tuned(TE, IN_C) == []


def test_a_model_that_needs_none_is_as_before(tmp_path: Path) -> None:
    graph = one_node("Relu", [X], {})
    plain = compile(graph).save(tmp_path / "plain.dlc").read_bytes()
    path = write(tmp_path, TE, FOR_CPU)
    assert compile(graph, ops=[path]).save(tmp_path / "ops.dlc").read_bytes() == plain
