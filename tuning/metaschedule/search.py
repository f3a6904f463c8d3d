"""Searches schedules of one kernel: asked for candidates, told what they cost."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule, Trace
from tvm.s_tir.meta_schedule import _ffi_api
from tvm.s_tir.meta_schedule.arg_info import ArgInfo
from tvm.s_tir.meta_schedule.cost_model import XGBModel
from tvm.s_tir.meta_schedule.cost_model.xgb_model import XGBConfig
from tvm.s_tir.meta_schedule.database import MemoryDatabase, TuningRecord
from tvm.s_tir.meta_schedule.runner import RunnerResult
from tvm.s_tir.meta_schedule.search_strategy import EvolutionarySearch, MeasureCandidate
from tvm.s_tir.schedule import ScheduleError

from dlcc.targets.chips import Chip
from dlcc.targets.errors import ToolchainError
from dlcc.targets.traces import apply_trace, read_trace, trace_text
from dlcc.tuning.metaschedule.space import design_space, search_target

log = logging.getLogger("dlcc")

ENOUGH = 1 << 20  # trials that TVM is told to stop at: when to stop is the caller's to say
MANY_BLOCKS = 8
ATTEMPTS = 4  # at populations without anything new before the space counts as exhausted


@dataclass(frozen=True, slots=True)
class Effort:
    """What a search spends on finding candidates; TVM's own values take seconds for each.

    population: schedules from which the model chooses.   generations: mutations of them.
    warm_up: measured candidates from which on the model is asked.   threads: of this process."""

    population: int = 32
    generations: int = 2
    warm_up: int = 16
    threads: int = 2


def effort_for(kernel: tirx.PrimFunc) -> Effort:
    """Less for kernels of many blocks, whose schedules take long to make: 13 s of CPU time a batch
    for Winograd's eleven blocks on a GPU, 5 s with this."""
    blocks = 0

    def visit(node: Any) -> None:
        nonlocal blocks
        blocks += isinstance(node, s_tir.SBlock)

    tvm_ffi.structural_walk(kernel.body, visit)
    return Effort(population=12, generations=1) if blocks > MANY_BLOCKS else Effort()


class KernelSearch:
    """The search for one kernel, unscheduled: of traces, which are schedules as JSON.

    `tell` first what is known of it. What our own rules make is no candidate: costs are what they
    are compared with."""

    def __init__(
        self, kernel: tirx.PrimFunc, chip: Chip, seed: int = 1, effort: Effort | None = None
    ) -> None:
        if importlib.util.find_spec("xgboost") is None:
            raise ToolchainError(
                "the search needs a model of costs: xgboost is not installed",
                hint="pip install 'dlcc[tune]'",
            )
        self.kernel, self.chip, self.seed = kernel, chip, seed
        self.effort = effort or effort_for(kernel)
        self._module = IRModule({"main": kernel.with_attr("global_symbol", "main")})
        self._target = search_target(chip)
        self._database = MemoryDatabase()
        self._workload = self._database.commit_workload(self._module)
        # its threads wait for each other in a loop: a busy machine makes two far slower than one
        config = XGBConfig(nthread=1)
        self._model = XGBModel(config=config, num_warmup_samples=self.effort.warm_up)
        self._context = self._new_context()
        self._spaces: Sequence[Any] | None = None
        self._batch = 0
        self._asked: dict[str, MeasureCandidate] = {}
        self._known: set[str] = set()
        self._waiting: list[tuple[MeasureCandidate, RunnerResult]] = []

    @property
    def learned(self) -> int:
        """How many measured schedules the model of costs knows."""
        return int(self._model.data_size)

    def ask(self, count: int) -> list[str]:
        """Up to `count` traces that were not measured; fewer where there are no more."""
        self._asked = {}
        found: list[str] = []
        attempts = 0
        while len(found) < count and attempts < ATTEMPTS:
            new = [c for c in self._generated(count) if c not in self._known and c not in found]
            attempts = 0 if new else attempts + 1
            found += new
        return found[:count]

    def tell(self, costs: Iterable[tuple[str, float | None]]) -> None:
        """Learn what traces cost, in whatever is counted; None where one did not run. They may be
        those of the last `ask`, or of earlier sessions.

        Raises UsageError for traces of another kernel."""
        learned: list[tuple[MeasureCandidate, RunnerResult]] = []
        for trace, cost in costs:
            if trace in self._known:
                continue
            candidate = self._asked.pop(trace, None) or self._replayed(trace)
            self._known.add(trace)
            learned.append((candidate, _result(cost)))
        self._learn(learned)

    def _new_context(self) -> Any:
        # TVM's own constructor imports the tensor instructions of all GPUs first, for 12 s
        strategy = EvolutionarySearch(
            population_size=self.effort.population,
            init_min_unmeasured=self.effort.population // 2,
            genetic_num_iters=self.effort.generations,
        )
        context = _ffi_api.TuneContext(
            self._module,
            self._target,
            design_space(self.chip),
            strategy,
            "main",
            self.effort.threads,
            self.seed,
            _log,
        )
        _ffi_api.TuneContextInitialize(context)
        return context

    def _generated(self, count: int) -> list[str]:
        """What TVM proposes next, which may have been measured before."""
        if self._spaces is None:
            self._spaces = self._sketches()
        if not self._spaces:
            return []
        if self._batch != count:
            if self._batch:
                self._context.post_tuning()
            self._context.pre_tuning(ENOUGH, count, self._spaces, self._database, self._model)
            self._batch = count
        made = self._context.generate_measure_candidates() or []
        by_trace = {trace_text(c.sch): c for c in made}
        self._asked = {**self._asked, **by_trace}
        return list(by_trace)

    def _sketches(self) -> list[Any]:
        try:
            return list(self._context.generate_design_space())
        except (ScheduleError, RuntimeError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            log.info("no schedules to search for this kernel: %s", lines[-1])
            return []

    def _replayed(self, trace: str) -> MeasureCandidate:
        """A candidate out of a record; raises UsageError where it is not for this kernel."""
        apply_trace(self.kernel, trace)  # looks it through, and tells why it does not fit
        schedule = Schedule(self._module, seed=1)
        Trace.apply_json_to_schedule(read_trace(trace), schedule)
        return MeasureCandidate(schedule, ArgInfo.from_entry_func(self._module, True))

    def _learn(self, rows: list[tuple[MeasureCandidate, RunnerResult]]) -> None:
        for candidate, result in rows:
            record = (candidate.sch.trace, self._workload, result.run_secs, self._target)
            if result.error_msg is None:
                self._database.commit_tuning_record(TuningRecord(*record, candidate.args_info))
        self._waiting += rows
        # costs are learned relative to the least: where none is known there is nothing to learn
        if all(result.error_msg is not None for _, result in self._waiting):
            return
        candidates, results = zip(*self._waiting, strict=True)
        self._waiting.clear()
        self._model.update(self._context, list(candidates), list(results))


def _result(cost: float | None) -> RunnerResult:
    if cost is None:
        return RunnerResult(None, "failed")
    return RunnerResult([cost], None)


def _log(*told: object) -> None:
    """Level, file, line and message of TVM's log."""
    lines = str(told[-1]).strip().splitlines()
    log.debug("meta schedule: %s", lines[-1] if lines else "")
