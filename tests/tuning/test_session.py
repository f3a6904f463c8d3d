"""Tuning small networks on this machine: real builds, real runs, real crashes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest

from dlcc.targets.errors import DlccError, UsageError
from dlcc.targets.local import LocalDevice
from dlcc.targets.registry import DeviceOptions, find_chip, kind
from dlcc.targets.tuned import Tuned
from dlcc.tuning.best import best
from dlcc.tuning.checks import TOLERANCE, distance
from dlcc.tuning.database import read
from dlcc.tuning.session import tune
from dlcc.tuning.target import key_of
from dlcc.tuning.template import TemplateSearch
from tests.tuning.nets import FEED, Heard, network, one_product, request, trials_in

HOST = find_chip("host")
ODD = "tests.tuning.odd_kind"


def run(artifact) -> np.ndarray:
    with LocalDevice(DeviceOptions(threads=1)) as device:
        return device.load(artifact).run([FEED])[0]


def test_a_network(tmp_path: Path) -> None:
    heard = Heard()
    outcome = tune(request(tmp_path / "db", trials=24), heard)
    records = trials_in(tmp_path / "db")
    assert (outcome.trials, outcome.failed, len(records)) == (24, 0, 24)
    assert (heard.tasks, heard.restored) == (5, 0)  # the mean has no knobs, and is searched
    assert all(r.verified and r.cost for r in records)
    defaults = Counter(r.workload for r in records if r.default)
    assert set(defaults.values()) == {1}
    finals = [r for r in read(tmp_path / "db") if r.final]
    assert {r.workload for r in finals} == {row.workload for row in outcome.tasks}
    assert sum(row.share for row in outcome.tasks) <= 1.0
    assert any(row.label.startswith("first/Conv2D") for row in outcome.tasks)

    found = best(tmp_path / "db", key_of(HOST))
    assert found.counted == len(records) + len(finals)
    chosen = {w: dict(k) for w, k in found.knobs.items() if k}
    assert chosen == {row.workload: row.choice for row in outcome.tasks if row.choice}
    own = kind("host")
    outputs = run(own.build(network(), HOST, Tuned(found.knobs)))
    assert distance([outputs], [run(own.build(network(), HOST))]) <= TOLERANCE


def test_the_same_command_goes_on(tmp_path: Path) -> None:
    tune(request(tmp_path, trials=9), Heard())
    first = trials_in(tmp_path)
    assert len(first) == 9
    heard = Heard()
    outcome = tune(request(tmp_path, trials=17), heard)
    assert heard.restored == 9
    assert (outcome.trials, outcome.sessions) == (17, 2)
    assert trials_in(tmp_path)[:9] == first
    heard = Heard()
    assert tune(request(tmp_path, trials=17), heard).trials == 17
    assert heard.batches == []


def test_ends_when_all_is_measured(tmp_path: Path) -> None:
    space = kind("host").space("matmul m32 k64 n48 float32 packed", HOST)
    outcome = tune(request(tmp_path, one_product(), trials=10_000), Heard())
    assert 1 < outcome.trials <= len(space)


def test_other_threads_are_another_matter(tmp_path: Path) -> None:
    from dataclasses import replace

    tune(request(tmp_path, one_product(), trials=4), Heard())
    heard = Heard()
    other = replace(request(tmp_path, one_product(), trials=4), options=DeviceOptions(threads=2))
    tune(other, heard)
    assert heard.restored == 0


WHYS = {
    "wrong": "wrong result: off by",
    "crash": "it crashed: SIGSEGV",
    "refused": "this schedule cannot be",
    "hang": "it took more than its time limit",
}


def test_choices_that_go_wrong(tmp_path: Path) -> None:
    """Each says why, and is not taken."""
    asked = request(tmp_path, one_product(), kind=ODD, trials=9, job_limit_s=15.0)
    outcome = tune(asked, Heard())
    records = {r.choice["odd"]: r for r in trials_in(tmp_path) if "odd" in r.choice}
    for odd, why in WHYS.items():
        assert why in records[odd].error
        assert records[odd].verified is not True
    assert outcome.failed == len(WHYS)
    assert not any("odd" in row.choice for row in outcome.tasks)


def test_a_batch_that_fails_is_split(tmp_path: Path) -> None:
    """One of four workloads is to blame: the others of its batch are measured all the same."""
    asked = request(tmp_path, kind="tests.tuning.one_odd_kind", trials=15)
    tune(asked, Heard())
    records = trials_in(tmp_path)
    assert len(records) == 15
    failed = [r for r in records if r.error]
    assert {r.workload.split()[0] for r in failed} == {"matmul"}
    assert {r.choice["odd"] for r in failed} == {"crash", "wrong"}
    assert all(r.verified for r in records if not r.error)


def test_a_choice_that_is_wrong_on_other_values_is_never_taken(tmp_path: Path) -> None:
    from dlcc.tuning.finish import Ending, _right
    from dlcc.tuning.jobs import Setup
    from dlcc.tuning.lanes import Lanes
    from dlcc.tuning.session import _module_file
    from dlcc.tuning.tasks import tasks_of

    asked = request(tmp_path / "db", one_product(), kind=ODD, job_limit_s=60.0)
    told = []

    class Ledger:
        def wrong(self, workload, knobs, why) -> None:
            told.append((knobs, why))

    with _module_file(asked) as file:
        setup = Setup(file, asked.kind, asked.chip, "local", asked.options, asked.feeds)
        with Lanes(setup, ["local"], print, 60.0) as lanes:
            first = lanes.first()
            (task,) = tasks_of(first, lambda *_: TemplateSearch([{}, {"odd": "subtle"}]))
            good = {task.workload: {"order": "pixels"}}
            subtle = {task.workload: {"odd": "subtle"}}
            assert _right(lanes, good, Ledger(), Ending()) == good
            assert _right(lanes, subtle, Ledger(), Ending()) == {}
    assert told[0][0] == {"odd": "subtle"}
    assert "wrong result on random data" in told[0][1]


def test_of_two_devices_one_is_asked(tmp_path: Path) -> None:
    """An answer that comes late would be taken for the next job's."""
    from dlcc.tuning.jobs import Check, Checked, Measure, Measured, Setup
    from dlcc.tuning.lanes import Lanes
    from dlcc.tuning.session import _module_file

    asked = request(tmp_path / "db", one_product())
    with _module_file(asked) as file:
        setup = Setup(file, asked.kind, asked.chip, "local", asked.options, asked.feeds)
        with Lanes(setup, ["local", "local"], print, 300.0) as lanes:
            assert isinstance(lanes.ask(Measure({}, 3)), Measured)  # starts a worker: takes seconds
            assert not [lane for lane in lanes.lanes if lane.job]
            assert isinstance(lanes.ask(Check({})), Checked)


def test_a_model_that_cannot_run_says_why(tmp_path: Path) -> None:
    asked = request(tmp_path, one_product())
    asked.feeds[0] = np.ones((3, 3), "float32")  # type: ignore[index]
    with pytest.raises(DlccError, match="without tuning"):
        tune(asked, Heard())


def test_no_process_outlives_a_session(tmp_path: Path) -> None:
    tune(request(tmp_path, one_product(), trials=3), Heard())
    left = psutil.Process().children(recursive=True)
    assert not [p for p in left if "dlcc.tuning.child" in p.cmdline()]


def test_a_database_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        tune(request(tmp_path / "db", one_product()), Heard())


def test_kernels_without_knobs_are_searched_by_traces(tmp_path: Path) -> None:
    asked = request(tmp_path, trials=16, kind="tests.tuning.traced_kind")
    outcome = tune(asked, Heard())
    records = trials_in(tmp_path)
    assert outcome.trials == len(records) == 16
    traced = [r for r in records if r.search == "metaschedule"]
    assert len(traced) == len([r for r in records if not r.default]) > 8
    assert sum(r.verified is True for r in traced) > len(traced) / 2
    heard = Heard()
    asked = request(tmp_path, trials=20, kind="tests.tuning.traced_kind")
    assert tune(asked, heard).trials == 20
    assert heard.restored == 16
    trials_in(tmp_path)

    found = best(tmp_path, key_of(HOST))
    taken = {w: row.choice["trace"] for row in outcome.tasks if (w := row.workload) and row.choice}
    assert set(taken) <= {r.workload for r in traced}
    made = kind("host").build(network(), HOST, Tuned(by_kernel=found.traces))
    outputs = run(made)
    assert distance([outputs], [run(kind("host").build(network(), HOST))]) <= TOLERANCE
