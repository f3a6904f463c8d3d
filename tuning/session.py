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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dlcc.targets.errors import DeviceError, ToolchainError, UsageError
from dlcc.targets.tuned import Knobs
from dlcc.tuning.checks import NETWORK_TOLERANCE
from dlcc.tuning.database import Database, writing
from dlcc.tuning.finish import Ending, finish
from dlcc.tuning.jobs import Failed, Measure, Measured, Setup
from dlcc.tuning.lanes import MOST_LOSSES, Lanes
from dlcc.tuning.ledger import Ledger
from dlcc.tuning.noise import ratio
from dlcc.tuning.record import Reward
from dlcc.tuning.request import Outcome, Request, TaskRow, Watch, in_units, row_of
from dlcc.tuning.searches import Searches
from dlcc.tuning.tasks import Task, tasks_of

log = logging.getLogger("dlcc")

ROUNDS = 3  # how often a batch and the default take turns
LEAST_SHARE = 0.001  # of the run: below, a kernel is not worth a trial


@dataclass(slots=True)
class Batch:
    """Choices that are measured together. losses: devices that were lost with them."""

    choices: dict[str, Knobs]
    losses: int = 0


@dataclass(slots=True)
class Trials:
    """The state of a session between batches."""

    request: Request
    tasks: Sequence[Task]
    ledger: Ledger
    watch: Watch
    end_s: float | None
    again: deque[Batch] = field(default_factory=deque)
    under_way: int = 0

    def next(self) -> Batch | None:
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
        return Batch(choices) if choices else None

    def _left(self) -> float:
        wanted = self.request.budget.trials
        return float("inf") if wanted is None else wanted - self.ledger.trials - self.under_way

    def _eager(self) -> Sequence[Task]:
        """The tasks that still make progress; with a number of trials to spend, all when none is
        left that does."""
        eager = [task for task in self.tasks if not task.flat]
        return eager or (self.tasks if self.request.budget.trials is not None else ())

    def take(self, batch: Batch, answer: object) -> None:
        """Record what came out of a batch, or split it."""
        if isinstance(answer, Measured) and answer.error <= NETWORK_TOLERANCE:
            self.ledger.measured(batch.choices, answer)
        elif isinstance(answer, Failed) and answer.lost and batch.losses + 1 < MOST_LOSSES:
            self.again.append(Batch(batch.choices, batch.losses + 1))
            return
        elif len(batch.choices) > 1:
            items = list(batch.choices.items())
            half = len(items) // 2
            self.again += [Batch(dict(items[:half])), Batch(dict(items[half:]))]
            return
        else:
            self._blame(batch, answer)
        self.watch.batch(self.tasks, self.ledger.trials, self.request.budget)

    def _blame(self, batch: Batch, answer: object) -> None:
        ((workload, knobs),) = batch.choices.items()
        if isinstance(answer, Measured):
            cost = ratio(answer.tuned[workload], answer.default[workload])
            why = f"wrong result: off by {answer.error:.1e} of the largest output"
            self.ledger.refused(workload, knobs, why, cost)
        else:
            assert isinstance(answer, Failed)
            self.ledger.refused(workload, knobs, answer.what)


def tune(request: Request, watch: Watch) -> Outcome:
    """Tune a model. Raises DlccError; KeyboardInterrupt loses at most the batch under way."""
    with (
        writing(request.database) as database,
        _module_file(request) as module,
        Lanes(_setup(request, module), request.addresses, watch.said, request.job_limit_s) as lanes,
    ):
        first = _first(lanes)
        ledger = _ledger(database, request, first)
        tasks = _tasks(request, first)
        ledger.begin(tasks)
        watch.began(tasks, first.reward, ledger.trials, ledger.restored)
        hours = request.budget.hours
        end_s = None if hours is None else time.monotonic() + hours * 3600
        _measure_all(Trials(request, tasks, ledger, watch, end_s), lanes)
        if tasks:
            watch.said("verifying the best choices together")
        else:
            watch.said("nothing to tune: no kernel of the model has choices for this target")
        ending = finish(lanes, tasks, ledger, first.reward)
    return _outcome(request, tasks, ledger, first.reward, ending)


def _measure_all(trials: Trials, lanes: Lanes) -> None:
    while True:
        nothing_left = False
        for lane in lanes.idle():
            if (batch := trials.next()) is None:
                nothing_left = True
                break
            trials.under_way += len(batch.choices)
            lanes.submit(lane, Measure(batch.choices, ROUNDS), batch)
        if nothing_left and not trials.under_way:
            return
        for _, done, answer in lanes.answers():
            assert isinstance(done, Batch)
            trials.under_way -= len(done.choices)
            trials.take(done, answer)


def _first(lanes: Lanes) -> Measured:
    """The model as the compiler makes it; raises DeviceError, ToolchainError."""
    answer = lanes.first()
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


@contextmanager
def _module_file(request: Request) -> Iterator[str]:
    """The module as a file, which every worker reads."""
    with tempfile.TemporaryDirectory(prefix="dlcc-tune-") as folder:
        path = Path(folder) / "module"
        path.write_bytes(pickle.dumps(request.module))
        yield str(path)


def _setup(request: Request, module: str) -> Setup:
    return Setup(
        module, request.kind, request.chip, request.addresses[0], request.options, request.feeds
    )


def _outcome(
    request: Request, tasks: Sequence[Task], ledger: Ledger, reward: str, ending: Ending
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
    )
