"""Trials of kernels on devices: built by workers, measured where they are to run, compared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from dlcc.targets.errors import DeviceError
from dlcc.targets.registry import find_chip, kind
from dlcc.targets.tuned import UNTUNED
from dlcc.tuning.kernels import Kernel, kernels_of, random_inputs
from dlcc.tuning.metaschedule.search import Effort, Measured
from dlcc.tuning.trials import KernelTrials, Place, Trial
from dlcc.tuning.workers.jobs import difference
from dlcc.tuning.workers.pool import Outcome, Workers
from tests.networks.small import conv_model, softmax_model

SMALL = Effort(population=12, generations=1, warm_up=4, threads=1)
PATIENT = {"build_limit_s": 120.0, "run_limit_s": 120.0}  # the machine may be busy


@pytest.fixture(scope="module")
def workers() -> Iterator[tuple[Workers, Workers]]:
    with Workers(2) as builders, Workers(1) as runners:
        yield builders, runners


def kernel_of(chip: str, **shape: int) -> Kernel:
    there = find_chip(chip)
    return kernels_of(kind(there.kind).unscheduled(conv_model(**shape), there, UNTUNED))[0]


def trials_on(
    chip: str, device: str, workers: tuple[Workers, Workers], **limits: float
) -> KernelTrials:
    place = Place(device, threads=1, **{**PATIENT, **limits})
    return KernelTrials(kernel_of(chip), find_chip(chip), place, *workers, effort=SMALL)


def ran(rows: list[Trial]) -> list[Trial]:
    return [row for row in rows if row.cost is not None]


def test_trials_on_this_machine(workers: tuple[Workers, Workers]) -> None:
    trials = trials_on("host", "local", workers)
    assert trials.searchable
    rows = trials.batch(4) + trials.batch(4)
    assert [row.candidate.default for row in rows] == [True] + [False] * 7
    assert len(ran(rows)) >= 6
    assert {row.verified for row in ran(rows)} == {True}
    assert {row.reward for row in ran(rows)} == {"seconds"}
    assert trials.best == min(row.cost for row in ran(rows) if row.cost is not None)
    assert trials.trials == 8


def test_trials_go_on_from_records(workers: tuple[Workers, Workers]) -> None:
    first = trials_on("host", "local", workers)
    rows = [Measured(row.candidate, row.cost) for row in first.batch(4)]
    second = trials_on("host", "local", workers)
    assert second.restore(rows) == 4
    assert second.best == first.best
    more = second.batch(3)
    assert not {row.candidate for row in more} & {row.candidate for row in rows}
    assert second.trials == 7


def test_a_wrong_result_is_no_candidate(workers: tuple[Workers, Workers]) -> None:
    """The kernel is right and what is expected of it is not: one number of many."""
    trials = trials_on("host", "local", workers)
    right = trials._expected
    values = np.frombuffer(right.pieces[0], "float32").copy()
    values[7] += np.abs(values).max() * 0.01
    trials.__dict__["_expected"] = Outcome(right.fields, (values.tobytes(),))
    (row,) = trials.batch(1)
    assert row.cost is None
    assert row.verified is False
    assert "wrong result: result 0: off by" in row.error
    assert trials.best is None


def test_a_candidate_that_takes_too_long_has_failed(workers: tuple[Workers, Workers]) -> None:
    trials = trials_on("host", "local", workers, build_limit_s=0.001)
    rows = trials.batch(2)
    assert ["took longer" in row.error for row in rows] == [True, True]
    assert [row.cost for row in rows] == [None, None]
    assert trials.trials == 2
    patient = trials_on("host", "local", workers)
    assert ran(patient.batch(1))  # the workers are there again


def test_a_device_that_is_not_there_is_no_fault_of_a_candidate(
    workers: tuple[Workers, Workers],
) -> None:
    trials = trials_on("host", "rpc://127.0.0.1:9", workers)
    with pytest.raises(DeviceError, match="no device"):
        trials.batch(2)
    assert trials.trials == 0


@pytest.mark.device("arm")
def test_trials_by_instructions_over_rpc(
    workers: tuple[Workers, Workers], arm_address: str
) -> None:
    trials = trials_on("arm", arm_address, workers)
    rows = trials.batch(4)
    assert {row.reward for row in ran(rows)} == {"instructions"}
    assert {row.verified for row in ran(rows)} == {True}
    assert len(ran(rows)) >= 3
    again = trials_on("arm", arm_address, workers).batch(1)
    assert again[0].cost == pytest.approx(rows[0].cost, rel=0.01)  # it is counted


@pytest.mark.device("opencl")
def test_trials_on_opencl(workers: tuple[Workers, Workers]) -> None:
    rows = trials_on("opencl", "emulator", workers).batch(4)
    assert {row.reward for row in ran(rows)} == {"seconds"}
    assert {row.verified for row in ran(rows)} == {True}
    assert rows[0].cost is not None
    assert len(ran(rows)) >= 2


@pytest.mark.device("hexagon")
def test_trials_by_packets(workers: tuple[Workers, Workers]) -> None:
    rows = trials_on("hexagon-v66", "emulator", workers).batch(3)
    assert rows[0].reward == "packets"
    assert {row.verified for row in ran(rows)} == {True}


SAME = np.float32([1.0, -2.0, 0.5])
DIFFERENT = {
    "a number": (np.float32([1.0, -2.0, 0.6]), SAME, "off by"),
    "a shape": (SAME[:2], SAME, "(2,)"),
    "a type": (SAME.astype("float64"), SAME, "float64"),
    "no number": (np.float32([1.0, np.nan, 0.5]), SAME, "no number"),
    "infinite": (np.float32([np.inf, -2.0, 0.5]), SAME, "off by inf"),
    "infinite elsewhere": (np.float32([1.0, 2.0]), np.float32([1.0, np.inf]), "infinite"),
    "an integer": (np.int8([1, 2]), np.int8([1, 3]), "1 of 2"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_differences_are_seen(name: str) -> None:
    result, expected, why = DIFFERENT[name]
    assert why in difference(result, expected)


def test_sums_in_another_order_are_the_same() -> None:
    assert difference(SAME * np.float32(1 + 1e-6), SAME) == ""
    both = np.float32([np.nan, np.inf, 1.0])
    assert difference(both, both.copy()) == ""
    assert difference(np.zeros(3, "float32"), np.zeros(3, "float32")) == ""


def test_random_inputs_are_the_same_everywhere() -> None:
    tensors = kernel_of("host").inputs
    a, b = random_inputs(tensors, 5), random_inputs(tensors, 5)
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not np.array_equal(a[0], random_inputs(tensors, 6)[0])


def test_what_can_stand_alone_of_a_softmax() -> None:
    host = find_chip("host")
    found = kernels_of(kind("host").unscheduled(softmax_model(), host, UNTUNED))
    assert [(k.outputs, k.calls) for k in found] == [(1, 1)]
