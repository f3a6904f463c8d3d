"""What `dlcc tune` makes of its options, and what it says while it works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from dlcc.compiler.cli.arrays import gather_feeds
from dlcc.compiler.cli.talk import LOG
from dlcc.compiler.cli.watching import Shown
from dlcc.compiler.errors import DeviceError, ToolchainError, UsageError
from dlcc.compiler.feeds import as_pairs, check_feeds
from dlcc.compiler.tuning import Prepared
from dlcc.targets.chips import Chip
from dlcc.targets.registry import KINDS, DeviceOptions, kind
from dlcc.tuning.progress import mode_of
from dlcc.tuning.request import Budget, Request

SEED = 0


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
    options: DeviceOptions,
    cluster: str,
) -> Request:
    """The session that the options ask for."""
    chip = prepared.chip
    address = device or _first_that_opens(chip, options.time_limit_s)
    feeds = gather_feeds(prepared.inputs, (), None, SEED)
    folder = database or Path(f"{prepared.name}.tuning")
    if options.threads is None and address == "emulator" and chip.gpu is None:
        options = replace(options, threads=1)  # emulators of CPUs count those of one thread
    if database is None:
        LOG.info("records are kept in %s", folder)
    return Request(
        module=prepared.module,
        kind=KINDS[chip.kind],
        chip=chip,
        addresses=addresses_of(address, options.time_limit_s),
        options=options,
        feeds=as_pairs(check_feeds(prepared.inputs, feeds)),
        database=folder,
        budget=budget,
        cluster=cluster,
    )


def _first_that_opens(chip: Chip, limit_s: float) -> str:
    """The device that sessions of the kind use where none is named; raises DeviceError."""
    own = kind(chip.kind)
    *preferred, last = (own.default_device, *own.further_devices)
    for address in preferred:
        try:
            own.open_device(address, DeviceOptions(None, limit_s)).close()
        except (DeviceError, ToolchainError) as error:
            LOG.warning("%s", error.what)
        else:
            return address
    return last


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
def ended(request: Request, title: str) -> Iterator[Shown]:
    """Shows a session, and says at the end what is kept, and how to go on."""
    verbosity = click.get_current_context().obj.verbosity
    with Shown(title, request, mode_of(verbosity)) as watch:
        try:
            yield watch
        except KeyboardInterrupt:
            watch.said(f"nothing is lost: {watch.trials} trials are in {request.database}")
            watch.said("the same command goes on from there")
            raise
    LOG.info("`dlcc compile --database %s` uses the records", request.database)
