"""A tuning session: batches of choices for all workloads at once, measured in the whole network.

Each batch is the model with another choice for every workload; a profile of it tells what each
costs in place. A batch that fails is split until the choice that is to blame stands alone.
"""

from __future__ import annotations

import importlib
import logging
import pickle
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dlcc.targets.errors import DeviceError, ToolchainError, UsageError
from dlcc.targets.tuned import Knobs
from dlcc.tuning.checks import NETWORK_TOLERANCE
from dlcc.tuning.database import Database, writing
from dlcc.tuning.finish import Ending, finish
from dlcc.tuning.ledger import Ledger
from dlcc.tuning.noise import ratio
from dlcc.tuning.pipeline import DEFAULT, Done, Pipeline
from dlcc.tuning.record import Reward
from dlcc.tuning.request import DeviceRow, Outcome, Request, TaskRow, Watch, in_units, row_of
from dlcc.tuning.searches import Searches
from dlcc.tuning.tasks import Task, tasks_of
from dlcc.tuning.workers.builders import LocalBuilders
from dlcc.tuning.workers.cluster import ClusterBuilders
from dlcc.tuning.workers.devices import Devices, Lane
from dlcc.tuning.workers.jobs import BuildSetup, Choices, DeviceSetup, Failed, Measure, Measured

log = logging.getLogger("dlcc")

ROUNDS = 3  # how often a batch and the default take turns
LEAST_SHARE = 0.001  # of the run: below, a kernel is not worth a trial


@dataclass(slots=True)
class Trials:
    """The state of a session between batches."""

    request: Request
    tasks: Sequence[Task]
    ledger: Ledger
    watch: Watch
    end_s: float | None
    again: deque[Choices] = field(default_factory=deque)
    under_way: int = 0

    def next(self) -> Choices | None:
        """What to measure next; None when there is nothing now."""
        if self.again:
            return self.again.popleft()
        if self.end_s is not None and time.monotonic() > self.end_s:
            return None
        left = self._left()
        choices: dict[str, Knobs] = {}
        for task in self._eager():
            if len(choices) < left and (choice := task.search.ask()) is not None:
                choices[task.workload] = choice
        return choices or None

    def _left(self) -> float:
        wanted = self.request.budget.trials
        return float("inf") if wanted is None else wanted - self.ledger.trials - self.under_way

    def _eager(self) -> Sequence[Task]:
        """The tasks that still make progress; with a number of trials to spend, all when none is
        left that does."""
        eager = [task for task in self.tasks if not task.flat]
        return eager or (self.tasks if self.request.budget.trials is not None else ())

    def take(self, done: Done) -> None:
        """Record what came out of a batch, or split it."""
        choices, answer = done.ticket, done.answer
        assert isinstance(choices, dict)
        self.under_way -= len(choices)
        trials, failed = self.ledger.trials, self.ledger.failed
        if isinstance(answer, Measured) and answer.error <= NETWORK_TOLERANCE:
            self.ledger.measured(choices, answer)
        elif len(choices) > 1:
            items = list(choices.items())
            half = len(items) // 2
            self.again += [dict(items[:half]), dict(items[half:])]
            return
        else:
            self._blame(choices, answer)
        if done.lane is not None:
            done.lane.trials += self.ledger.trials - trials
            done.lane.failed += self.ledger.failed - failed
        self.watch.batch(self.tasks, self.ledger.trials, self.request.budget)

    def _blame(self, choices: Choices, answer: object) -> None:
        ((workload, knobs),) = choices.items()
        if isinstance(answer, Measured):
            cost = ratio(answer.tuned[workload], answer.default[workload])
            why = f"wrong result: off by {answer.error:.1e} of the largest output"
            self.ledger.refused(workload, knobs, why, cost)
        else:
            assert isinstance(answer, Failed)
            self.ledger.refused(workload, knobs, answer.what)


def tune(request: Request, watch: Watch) -> Outcome:
    """Tune a model. Raises DlccError; KeyboardInterrupt loses at most the batch under way."""
    with working(request, watch.said) as pipeline, writing(request.database) as database:
        first = _first(pipeline)
        ledger = _ledger(database, request, first)
        tasks = _tasks(request, first)
        ledger.begin(tasks)
        watch.began(tasks, first.reward, ledger.trials, ledger.restored)
        hours = request.budget.hours
        end_s = None if hours is None else time.monotonic() + hours * 3600
        _measure_all(Trials(request, tasks, ledger, watch, end_s), pipeline)
        if tasks:
            watch.said("verifying the best choices together")
        else:
            watch.said("nothing to tune: no kernel of the model has choices for this target")
        ending = finish(pipeline, tasks, ledger, first.reward)
        devices = [_device_row(lane) for lane in pipeline.devices.lanes]
    return _outcome(request, tasks, ledger, first.reward, ending, devices)


@contextmanager
def working(request: Request, say: Callable[[str], None]) -> Iterator[Pipeline]:
    """Those who build and measure for a session."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dlcc-tune-")))
        model, default = str(folder / "model"), str(folder / DEFAULT)
        Path(model).write_bytes(pickle.dumps(request.module))
        kind, chip = request.kind, request.chip
        setup = BuildSetup(model, kind, chip, str(folder))
        builders: LocalBuilders | ClusterBuilders
        if request.cluster:
            builders = stack.enter_context(ClusterBuilders(setup, request.cluster))
        else:
            builders = stack.enter_context(LocalBuilders(setup))
        there = DeviceSetup(kind, chip, "", request.options, request.feeds, default)
        devices = stack.enter_context(Devices(there, request.addresses, say))
        yield Pipeline(builders, devices, request.job_limit_s)


def _measure_all(trials: Trials, pipeline: Pipeline) -> None:
    while True:
        while pipeline.free and (batch := trials.next()) is not None:
            trials.under_way += len(batch)
            pipeline.submit(Measure(batch, ROUNDS), batch)
        if not pipeline.busy:
            return
        for done in pipeline.answers():
            trials.take(done)


def _first(pipeline: Pipeline) -> Measured:
    """The model as the compiler makes it; raises DeviceError, ToolchainError."""
    answer = pipeline.first()
    if isinstance(answer, Measured):
        return answer
    assert isinstance(answer, Failed)
    raised = next((e for e in (UsageError, DeviceError) if e.exit_code == answer.exit_code), None)
    raise (raised or ToolchainError)(f"without tuning: {answer.what}", hint=answer.hint)


def _tasks(request: Request, first: Measured) -> list[Task]:
    kind = importlib.import_module(request.kind).KIND
    tasks = tasks_of(first, Searches(request.module, request.chip, kind).of)
    return [task for task in tasks if task.share >= LEAST_SHARE]


def _ledger(database: Database, request: Request, first: Measured) -> Ledger:
    threads = request.options.threads or request.chip.cores
    reward: Reward = "seconds"
    if first.reward != "seconds":
        reward = "packets" if first.reward == "packets" else "instructions"
    return Ledger(database, request, reward, threads)


def _device_row(lane: Lane) -> DeviceRow:
    return DeviceRow(lane.address, lane.trials, lane.failed, lane.times, lane.why)


def _outcome(
    request: Request,
    tasks: Sequence[Task],
    ledger: Ledger,
    reward: str,
    ending: Ending,
    devices: Sequence[DeviceRow],
) -> Outcome:
    rows: list[TaskRow] = [
        row_of(task, reward, *ending.chosen.get(task.workload, ({}, 1.0))) for task in tasks
    ]
    before_s, before_count = in_units(ending.before, reward)
    after_s, after_count = in_units(ending.after, reward)
    return Outcome(
        reward=reward,
        device=", ".join(dict.fromkeys(request.addresses)),
        trials=ledger.trials,
        failed=ledger.failed,
        sessions=ledger.sessions,
        before_s=before_s,
        after_s=after_s,
        before_count=before_count,
        after_count=after_count,
        applied=sum(bool(row.choice) for row in rows),
        database=str(request.database),
        notes=ending.notes,
        tasks=rows,
        devices=devices,
    )
