"""What `dlcc tune` makes of its options, and what it says while it works."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dlcc.compiler.cli.arrays import gather_feeds
from dlcc.compiler.cli.talk import LOG
from dlcc.compiler.errors import UsageError
from dlcc.compiler.feeds import as_pairs, check_feeds
from dlcc.compiler.tuning import Prepared
from dlcc.targets.registry import KINDS, DeviceOptions, kind
from dlcc.tuning.request import Budget, Request
from dlcc.tuning.tasks import Task

SEED = 0
LEAST_BETWEEN_S = 2.0  # lines of progress


def budget_of(trials: int | None, hours: float | None, until_flat: bool) -> Budget:
    """Raises UsageError for two of them."""
    given = [
        n
        for n, on in (("--trials", trials), ("--hours", hours), ("--until-flat", until_flat))
        if on
    ]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} both say when to stop", hint="leave one away")
    return Budget(trials, hours)


def request_of(
    prepared: Prepared,
    device: str | None,
    database: Path | None,
    budget: Budget,
    threads: int | None,
    time_limit_s: float,
) -> Request:
    """The session that the options ask for."""
    chip = prepared.chip
    address = device or kind(chip.kind).default_device
    feeds = gather_feeds(prepared.inputs, (), None, SEED)
    folder = database or Path(f"{prepared.name}.tuning")
    if threads is None and address == "emulator":
        threads = 1  # emulators count instructions of one thread
    if database is None:
        LOG.info("records are kept in %s", folder)
    return Request(
        module=prepared.module,
        kind=KINDS[chip.kind],
        chip=chip,
        addresses=addresses_of(address, time_limit_s),
        options=DeviceOptions(threads, time_limit_s),
        feeds=as_pairs(check_feeds(prepared.inputs, feeds)),
        database=folder,
        budget=budget,
    )


def addresses_of(address: str, limit_s: float) -> Sequence[str]:
    """One address for each device that it means: of a key of a tracker, all that are free to use.

    Raises UsageError, DeviceError."""
    if not address.startswith("rpc://"):
        return [address]
    from dlcc.targets.rpc.address import parse_rpc
    from dlcc.targets.rpc.wire import TrackerClient

    where = parse_rpc(address)
    if not where.key:
        return [address]
    tracker = TrackerClient(where, limit_s)
    try:
        keys = [str(row["key"]).removeprefix("server:") for row in tracker.summary()["server_info"]]
    finally:
        tracker.close()
    return [address] * max(1, keys.count(where.key))


@contextmanager
def ended(request: Request) -> Iterator[Lines]:
    """Says at the end what is kept, and how to go on."""
    watch = Lines()
    try:
        yield watch
    except KeyboardInterrupt:
        LOG.info("nothing is lost: %d trials are in %s", watch.trials, request.database)
        LOG.info("the same command goes on from there")
        raise
    LOG.info("`dlcc compile --database %s` uses the records", request.database)


@dataclass(slots=True)
class Lines:
    """Progress as lines of the log."""

    trials: int = 0
    said_s: float = field(default_factory=time.monotonic)

    def began(self, tasks: Sequence[Task], reward: str, trials: int, restored: int) -> None:
        self.trials = trials
        share = sum(task.share for task in tasks)
        LOG.info("%d kernels have knobs, %.0f%% of the run, in %s", len(tasks), 100 * share, reward)
        if restored:
            LOG.info("continuing: %d trials, %s", restored, _so_far(tasks))

    def batch(self, tasks: Sequence[Task], trials: int, budget: Budget) -> None:
        self.trials = trials
        if time.monotonic() - self.said_s < LEAST_BETWEEN_S:
            return
        self.said_s = time.monotonic()
        of = f" of {budget.trials}" if budget.trials else ""
        flat = sum(task.flat for task in tasks)
        LOG.info(
            "%d%s trials, %s, %d of %d kernels are flat",
            trials,
            of,
            _so_far(tasks),
            flat,
            len(tasks),
        )

    def said(self, message: str) -> None:
        LOG.info("%s", message)


def _so_far(tasks: Sequence[Task]) -> str:
    """What the best choices would save if they held together."""
    saved = sum(task.share * (1.0 - task.best()[1]) for task in tasks)
    return f"the best so far save {100 * saved:.1f}%"
