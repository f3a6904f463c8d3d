"""Trials of one kernel: candidates are asked for, built, measured on a device and compared."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import tvm

from dlcc.targets.chips import Chip
from dlcc.targets.errors import DeviceError
from dlcc.targets.registry import kind
from dlcc.targets.tuned import UNTUNED
from dlcc.tuning.kernels import Kernel, kernels_of
from dlcc.tuning.metaschedule.search import Candidate, Effort, KernelSearch, Measured, effort_for
from dlcc.tuning.workers.jobs import chip_fields
from dlcc.tuning.workers.pool import Crew, Job, Outcome

log = logging.getLogger("dlcc")

REFERENCE_LIMIT_S = 120.0  # for a kernel without a schedule, once
OPEN_LIMIT_S = 300.0  # for an emulator to be unpacked and started
FAR = 2.0  # times the best cost: what costs more is measured once
ROUNDS, BUDGET_S = 7, 0.06  # of measuring a candidate where time is measured


@dataclass(frozen=True, slots=True)
class Place:
    """Where candidates run. threads: None = all cores of the device.

    call_limit_s: for an answer of a remote device. build_limit_s, run_limit_s: of one candidate."""

    device: str
    threads: int | None = None
    call_limit_s: float = 30.0
    build_limit_s: float = 20.0
    run_limit_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate that was tried.

    cost: the least of `costs`, None where it did not run or computed something else.
    reward: what costs are: "seconds", "instructions" or "packets"; "" without any.
    verified: whether it computed the right thing; None where that is not known.
    error: why there is no cost.   took_s: to build and to measure it."""

    candidate: Candidate
    cost: float | None
    costs: tuple[float, ...] = ()
    reward: str = ""
    verified: bool | None = None
    error: str = ""
    took_s: float = 0.0


class KernelTrials:
    """The search for one kernel of a model together with those who build and measure for it."""

    def __init__(
        self,
        kernel: Kernel,
        chip: Chip,
        place: Place,
        builders: Crew,
        runners: Crew,
        effort: Effort | None = None,
        seed: int = 1,
    ) -> None:
        self.kernel, self.chip, self.place = kernel, chip, place
        self._builders, self._runners = builders, runners
        self._search = KernelSearch(kernel.func, chip, seed, effort or effort_for(kernel.func))
        self._model = tvm.ir.save_json(kernel.alone()).encode()
        self._seed = seed
        self.best: float | None = None

    @property
    def trials(self) -> int:
        """How many candidates were tried, those of earlier sessions included."""
        return self._search.trials

    @cached_property
    def searchable(self) -> bool:
        """Whether a build of the kernel alone finds what was chosen for it in the whole model."""
        alone = kind(self.chip.kind).unscheduled(self.kernel.alone(), self.chip, UNTUNED)
        return [k.key for k in kernels_of(alone)] == [self.kernel.key]

    def restore(self, measured: Iterable[Measured]) -> int:
        """Take up where an earlier session stopped; returns how many trials it had."""
        rows = list(measured)
        self._note(rows)
        return self._search.restore(rows)

    def batch(self, count: int) -> list[Trial]:
        """Try up to `count` candidates; none are left when there are fewer. The first of all is
        the schedule of our rules.

        Raises DeviceError where the device is not there: then nothing was tried."""
        candidates = self._search.ask(count)
        built = self._builders.run([self._build_job(c) for c in candidates])
        ready = [n for n, outcome in enumerate(built) if not outcome.failed]
        ran = dict(zip(ready, self._measured([built[n] for n in ready]), strict=True))
        trials = [self._trial(c, built[n], ran.get(n)) for n, c in enumerate(candidates)]
        rows = [Measured(trial.candidate, trial.cost) for trial in trials]
        self._note(rows)
        self._search.tell(rows)
        return trials

    def in_turns(self, candidate: Candidate, rounds: int) -> tuple[list[float], list[float]]:
        """Costs of a candidate and of our own schedule, measured in turns; none where one of them
        does not run."""
        built = self._builders.run([self._build_job(c) for c in (candidate, Candidate())])
        if any(outcome.failed for outcome in built):
            return [], []
        ran = self._measured(list(built) * rounds, far=1e300)
        if any(outcome.failed or outcome.fields["wrong"] for outcome in ran):
            return [], []
        costs = [min(map(float, outcome.fields["costs"])) for outcome in ran]
        return costs[::2], costs[1::2]

    def _note(self, rows: Sequence[Measured]) -> None:
        costs = [row.cost for row in rows if row.cost is not None]
        self.best = min([*costs, *([] if self.best is None else [self.best])], default=None)

    def _build_job(self, candidate: Candidate) -> Job:
        fields = {"chip": chip_fields(self.chip), "trace": candidate.trace, "key": self.kernel.key}
        return Job("build", fields, (self._model,), self.place.build_limit_s)

    def _measured(self, built: Sequence[Outcome], far: float = FAR) -> list[Outcome]:
        if not built:
            return []
        expected = self._expected
        if self._runners.keeps_devices:
            self._open()
        shared = {**self._where(), **self._inputs(), "expected": expected.fields["expected"]}
        shared |= {"rounds": ROUNDS, "budget_s": BUDGET_S, "keep": self._runners.keeps_devices}
        shared["enough"] = 1e300 if self.best is None else far * self.best
        jobs = [
            Job(
                "measure",
                {**outcome.fields, **shared},
                (*outcome.pieces, *expected.pieces),
                self.place.run_limit_s + (OPEN_LIMIT_S if self.place.device == "emulator" else 0.0),
            )
            for outcome in built
        ]
        done = self._runners.run(jobs)
        for outcome in done:
            if outcome.error == "Unreachable":
                raise DeviceError(outcome.failed, hint=outcome.hint)
        return done

    def _open(self) -> None:
        """Open the device, which may take longer than a candidate may."""
        (opened,) = self._runners.run([Job("open", self._where(), limit_s=OPEN_LIMIT_S)])
        if opened.failed:
            raise DeviceError(opened.failed, hint=opened.hint)

    @cached_property
    def _expected(self) -> Outcome:
        """What the kernel gives without a schedule; where that is not known, nothing."""
        job = Job("reference", self._inputs(), (self._model,), REFERENCE_LIMIT_S)
        (done,) = self._builders.run([job])
        if not done.failed:
            return done
        log.warning("%s: results are not compared: %s", self.kernel.name, done.failed)
        return Outcome({"expected": []})

    def _where(self) -> dict[str, Any]:
        return {
            "kind": self.chip.kind,
            "device": self.place.device,
            "threads": self.place.threads,
            "limit_s": self.place.call_limit_s,
        }

    def _inputs(self) -> dict[str, Any]:
        tensors = [[list(t.shape), t.dtype, t.low, t.high] for t in self.kernel.inputs]
        return {"inputs": tensors, "seed": self._seed}

    def _trial(self, candidate: Candidate, built: Outcome, ran: Outcome | None) -> Trial:
        took_s = built.took_s + (ran.took_s if ran else 0.0)
        if ran is None or ran.failed:
            stage = "building" if ran is None else "running"
            why = built.failed if ran is None else ran.failed
            return Trial(candidate, None, error=f"{stage}: {why}", took_s=took_s)
        if wrong := str(ran.fields["wrong"]):
            error = f"wrong result: {wrong}"
            return Trial(candidate, None, verified=False, error=error, took_s=took_s)
        costs = tuple(float(cost) for cost in ran.fields["costs"])
        verified = True if self._expected.pieces else None
        reward = str(ran.fields["reward"])
        return Trial(candidate, min(costs), costs, reward, verified, took_s=took_s)
