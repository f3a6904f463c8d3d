"""Which of the trials of a database are worth shipping, and the file that they are shipped in."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.plan import NO_WINOGRAD
from dlcc.targets.cpu.tiles import Cpu
from dlcc.targets.cpu.winograd import winograd_for, winograd_ways
from dlcc.targets.tuned import Knobs
from dlcc.targets.workload import Conv2d, parse
from dlcc.tuning.checks import NETWORK_TOLERANCE
from dlcc.tuning.database import read, writing
from dlcc.tuning.installed import stale
from dlcc.tuning.noise import mostly_faster, ratio
from dlcc.tuning.record import Record
from dlcc.tuning.request import Request
from dlcc.tuning.session import working
from dlcc.tuning.tally import tallies_of
from dlcc.tuning.target import key_of
from dlcc.tuning.upkeep import export
from dlcc.tuning.workers.jobs import Measure, Measured

log = logging.getLogger("dlcc")

LEAST_GAIN = {"seconds": 0.05, "instructions": 0.01, "packets": 0.01}
ROUNDS = 15
LIMIT_S = 1800.0


class Trial(NamedTuple):
    """A choice that beats the default, and the default."""

    default: Record
    best: Record


def holding(folder: Path, chip: Chip, counted: bool) -> list[Trial]:
    """The choices of a database that save enough, by workload. Knobs alone: a trace holds for
    kernels of one network."""
    key = key_of(chip, threads=1, device="emulator" if counted else "local")
    found: dict[str, Trial] = {}
    if not folder.exists():
        return []
    for group, tallies in tallies_of(read(folder)).items():
        if key.foreign(group) or key.stale(group):
            continue
        for workload, tally in tallies.items():
            best, default = tally.winner(), tally.default
            if best is None or default is None or best.default or best.search != "template":
                continue
            if saves(best, default):
                found[workload] = Trial(default, best._replace(choice=pinned(best, chip)))
    return [trial for _, trial in sorted(found.items())]


def saves(best: Record, default: Record) -> bool:
    """Whether a choice is enough better than the default to be worth a line."""
    assert best.cost is not None
    assert default.cost is not None
    return best.cost <= default.cost * (1 - LEAST_GAIN[best.reward])


def pinned(record: Record, chip: Chip) -> Knobs:
    """The knobs, with what the cost model decides by the number of cores and their caches: other
    chips have others, and the other knobs were measured with this."""
    work = parse(record.workload)
    if chip.kind not in ("host", "arm") or not isinstance(work, Conv2d):
        return record.choice
    cpu = dataclasses.replace(Cpu.of(chip), threads=record.threads)
    if "winograd" in record.choice or not winograd_ways(work, cpu):
        return record.choice
    return {**record.choice, "winograd": str(winograd_for(work, cpu, {}) or NO_WINOGRAD)}


def confirmed(request: Request, trials: Sequence[Trial]) -> list[Trial]:
    """Those that win once more, in a process of its own and in place in the network, and those
    that the network does not have."""
    choices = {trial.best.workload: trial.best.choice for trial in trials}
    if not choices:
        return []
    with working(dataclasses.replace(request, job_limit_s=LIMIT_S), log.info) as pipeline:
        answer = pipeline.first()
        if isinstance(answer, Measured):
            answer = pipeline.ask(Measure(choices, ROUNDS))
    if not isinstance(answer, Measured):
        raise SystemExit(f"the choices cannot be measured together: {answer}")
    if answer.error > NETWORK_TOLERANCE:
        raise SystemExit(f"the choices together are wrong by {answer.error:.1e}")
    return [trial for trial in trials if _holds(trial.best, answer)]


def _holds(best: Record, answer: Measured) -> bool:
    if best.workload not in answer.default:
        return True
    tuned, default = answer.tuned[best.workload], answer.default[best.workload]
    least = 1 - LEAST_GAIN[best.reward]
    return ratio(tuned, default) <= least and mostly_faster(tuned, default)


def written(trials: Sequence[Trial], file: Path) -> str:
    """Write the file of a row, as `dlcc records export` does; says what is in it."""
    if not trials:
        file.unlink(missing_ok=True)
        return f"no choice holds: there is no {file.name}"
    with tempfile.TemporaryDirectory(prefix="dlcc-shipping-") as folder:
        with writing(folder) as database:
            database.append([record._replace(final=False) for pair in trials for record in pair])
        made = export([folder], file, stale)
    return f"{file.name}: {made.workloads} workloads, {made.size_bytes:,} bytes"
