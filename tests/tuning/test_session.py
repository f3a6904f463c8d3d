"""Tuning small networks on this machine: real builds, real runs, real crashes."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple, replace
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
from dlcc.tuning.database import read, writing
from dlcc.tuning.finish import Ending, _right
from dlcc.tuning.request import Budget
from dlcc.tuning.session import tune, working
from dlcc.tuning.target import key_of
from dlcc.tuning.tasks import tasks_of
from dlcc.tuning.template import TemplateSearch
from dlcc.tuning.workers.jobs import Check, Checked, Measure, Measured
from tests.networks.small import softmax_model
from tests.tuning.nets import FEED, Heard, network, one_product, request, trials_in
from tests.tuning.odd_kind import space

HOST = find_chip("host")
ODD = "tests.tuning.odd_kind"


def run(artifact, feed: np.ndarray = FEED) -> np.ndarray:
    with LocalDevice(DeviceOptions(threads=1)) as device:
        return device.load(artifact).run([feed])[0]


def test_a_network(tmp_path: Path) -> None:
    heard = Heard()
    outcome = tune(request(tmp_path / "db", trials=16), heard)
    records = trials_in(tmp_path / "db")
    assert (outcome.trials, outcome.failed, len(records)) == (16, 0, 16)
    assert (heard.tasks, heard.restored) == (5, 0)  # the mean has no knobs, and is searched
    assert all(r.verified and r.cost for r in records)
    defaults = Counter(r.workload for r in records if r.default)
    assert set(defaults.values()) == {1}
    finals = [r for r in read(tmp_path / "db") if r.final]
    ((address, tried, failed, aside, _),) = map(astuple, outcome.devices)
    assert (address, tried, failed, aside) == ("local", 16 - len(defaults), 0, 0)
    left = psutil.Process().children(recursive=True)
    assert not [p for p in left if "dlcc.tuning.workers.child" in p.cmdline()]
    assert {r.workload for r in finals} == {row.workload for row in outcome.tasks}
    assert sum(row.share for row in outcome.tasks) <= 1.0 + 1e-9
    assert any(row.label.startswith("first/Conv2D") for row in outcome.tasks)

    found = best(tmp_path / "db", key_of(HOST), shipped=None)
    assert found.counted == len(records) + len(finals)
    chosen = {w: dict(k) for w, k in found.knobs.items() if k}
    assert chosen == {row.workload: row.choice for row in outcome.tasks if row.choice}
    own = kind("host")
    outputs = run(own.build(network(), HOST, Tuned(found.knobs)))
    assert distance([outputs], [run(own.build(network(), HOST))]) <= TOLERANCE


def test_the_same_command_goes_on(tmp_path: Path) -> None:
    """And with other threads it begins anew: that is another matter."""
    tune(request(tmp_path, one_product(), trials=4), Heard())
    first = trials_in(tmp_path)
    assert len(first) == 4
    heard = Heard()
    outcome = tune(request(tmp_path, one_product(), trials=7), heard)
    assert heard.restored == 4
    assert (outcome.trials, outcome.sessions) == (7, 2)
    assert trials_in(tmp_path)[:4] == first
    again, other = Heard(), Heard()
    assert tune(request(tmp_path, one_product(), trials=7), again).trials == 7
    assert again.batches == []
    options = DeviceOptions(threads=2)
    tune(replace(request(tmp_path, one_product(), trials=3), options=options), other)
    assert other.restored == 0


WHYS = {
    "wrong": "wrong result: off by",
    "crash": "it crashed: SIGSEGV",
    "refused": "this schedule cannot be",
    "hang": "it took more than its time limit",
}


def test_choices_that_go_wrong(tmp_path: Path) -> None:
    """Each says why, and is not taken. The session ends when all choices were measured."""
    asked = request(tmp_path, one_product(), kind=ODD, trials=10_000, job_limit_s=5.0)
    outcome = tune(asked, Heard())
    assert outcome.trials == len(space("matmul m32 k64 n48 float32 packed", HOST))
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
    asked = request(tmp_path / "db", one_product(), kind=ODD, job_limit_s=60.0)
    told = []

    class Ledger:
        def wrong(self, workload, knobs, why) -> None:
            told.append((knobs, why))

    with working(asked, print) as pipeline:
        first = pipeline.first()
        (task,) = tasks_of(first, lambda *_: TemplateSearch([{}, {"odd": "subtle"}]))
        good = {task.workload: {"order": "pixels"}}
        subtle = {task.workload: {"odd": "subtle"}}
        assert _right(pipeline, good, Ledger(), Ending()) == good
        assert _right(pipeline, subtle, Ledger(), Ending()) == {}
    assert told[0][0] == {"odd": "subtle"}
    assert "wrong result on random data" in told[0][1]


def test_of_two_devices_one_is_asked(tmp_path: Path) -> None:
    """An answer that comes late would be taken for the next job's. And of two builds at once none
    is measured before both are made: they would disturb it."""
    asked = replace(request(tmp_path / "db", one_product()), addresses=["local", "local"])
    with working(asked, print) as pipeline:
        assert isinstance(pipeline.first(), Measured)
        assert isinstance(pipeline.ask(Measure({}, 3)), Measured)  # starts a worker: takes seconds
        assert not pipeline.busy
        assert isinstance(pipeline.ask(Check({})), Checked)
        assert [lane.times for lane in pipeline.devices.lanes] == [0, 0]


def test_a_model_that_cannot_run_says_why(tmp_path: Path) -> None:
    asked = request(tmp_path, one_product())
    asked.feeds[0] = np.ones((3, 3), "float32")  # type: ignore[index]
    with pytest.raises(DlccError, match="without tuning"):
        tune(asked, Heard())


def test_a_database_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        tune(request(tmp_path / "db", one_product()), Heard())


def test_kernels_without_knobs_are_searched_by_traces(tmp_path: Path) -> None:
    asked = request(tmp_path, softmax_model(32, 64), trials=6)
    outcome = tune(asked, Heard())
    records = trials_in(tmp_path)
    assert outcome.trials == len(records) == 6
    assert [r.search for r in records] == ["template"] + ["metaschedule"] * 5
    assert sum(r.verified is True for r in records) > 3
    heard = Heard()
    assert tune(replace(asked, budget=Budget(8)), heard).trials == 8
    assert heard.restored == 6
    chosen = next(r for r in trials_in(tmp_path) if r.usable and not r.default)
    with writing(tmp_path) as database:  # by hand, as if the first one had been the best
        database.append([chosen._replace(cost=1e-9, final=True, session="later", batch=99)])
    found = best(tmp_path, key_of(HOST), shipped=None).tuned
    assert found.trace(chosen.workload) == chosen.choice["trace"]
    traced, plain = (kind("host").build(softmax_model(32, 64), HOST, t) for t in (found, Tuned()))
    assert traced.files["module.so"] != plain.files["module.so"]
    outputs = [run(artifact, np.ones((32, 64), "float32")) for artifact in (traced, plain)]
    assert distance(outputs[:1], outputs[1:]) <= TOLERANCE
