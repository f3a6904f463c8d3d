"""The search over schedules of a model: real trials, real records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dlcc.targets.registry import DeviceOptions, find_chip, kind
from dlcc.targets.tuned import Tuned
from dlcc.tuning.best import best
from dlcc.tuning.database import read, writing
from dlcc.tuning.record import Record
from dlcc.tuning.request import Budget, Request
from dlcc.tuning.schedules import ScheduleSearch, ScheduleTask
from dlcc.tuning.target import key_of
from dlcc.tuning.workers.pool import Workers
from tests.networks.small import conv_model, softmax_model

HOST = find_chip("host")


@pytest.fixture(scope="module")
def crew() -> Iterator[tuple[Workers, Workers]]:
    with Workers(2) as builders, Workers(1) as runners:
        yield builders, runners


def request(folder: Path, trials: int, module: object = None) -> Request:
    feeds = [np.zeros((64, 100), "float32")]
    options = DeviceOptions(threads=1, time_limit_s=120.0)
    module = softmax_model() if module is None else module
    budget = Budget(trials)
    return Request(module, "dlcc.targets.host", HOST, ["local"], options, feeds, folder, budget)


def search(asked: Request, crew: tuple[Workers, Workers]) -> tuple[int, list[ScheduleTask]]:
    """How many trials were restored, and the tasks at the end."""
    with writing(asked.database) as database:
        found = ScheduleSearch(asked, database, *crew)
        return found.restored, list(found.run())


def trials_in(folder: Path) -> list[Record]:
    return [record for record in read(folder) if not record.final]


def test_schedules_are_searched_recorded_and_taken_up_again(
    tmp_path: Path, crew: tuple[Workers, Workers]
) -> None:
    restored, (task,) = search(request(tmp_path, 6), crew)
    assert (restored, task.trials.trials) == (0, 6)
    first = trials_in(tmp_path)
    assert [record.default for record in first] == [True] + [False] * 5
    assert {record.workload for record in first} == {task.kernel.key}
    restored, (again,) = search(request(tmp_path, 10), crew)
    assert (restored, again.trials.trials) == (6, 10)
    rows = trials_in(tmp_path)
    assert len(rows) == 10
    assert max(Counter(str(record.choice) for record in rows).values()) == 1
    finals = [record for record in read(tmp_path) if record.final]
    assert len(finals) == 2
    assert all(record.verified for record in finals)


def test_a_budget_that_is_spent_asks_for_nothing(
    tmp_path: Path, crew: tuple[Workers, Workers]
) -> None:
    search(request(tmp_path, 3), crew)
    before = list(read(tmp_path))
    restored, _ = search(request(tmp_path, 3), crew)
    assert restored == 3
    assert list(read(tmp_path)) == before


def test_what_was_found_is_what_a_build_takes(
    tmp_path: Path, crew: tuple[Workers, Workers]
) -> None:
    """By hand, as if the first schedule had been the best."""
    search(request(tmp_path, 4), crew)
    chosen = next(r for r in trials_in(tmp_path) if r.usable and not r.default)
    with writing(tmp_path) as database:
        database.append([chosen._replace(cost=1e-9, final=True, session="later", batch=99)])
    found = best(tmp_path, key_of(HOST), shipped=None).tuned
    assert found.trace(chosen.workload) == chosen.choice["trace"]
    build = kind("host").build
    traced, plain = build(softmax_model(), HOST, found), build(softmax_model(), HOST, Tuned())
    assert traced.files["module.so"] != plain.files["module.so"]


def test_kernels_with_knobs_are_left_to_the_search_in_the_network(
    tmp_path: Path, crew: tuple[Workers, Workers]
) -> None:
    _, tasks = search(request(tmp_path, 3, conv_model()), crew)
    assert tasks == []
