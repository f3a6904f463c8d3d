"""Which search a kernel gets: over the knobs of its rule, or MetaSchedule's where it has none."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from functools import cached_property

from tvm import tirx
from tvm.ir import IRModule

from dlcc.targets.chips import Chip
from dlcc.targets.registry import Kind
from dlcc.targets.tuned import UNTUNED
from dlcc.tuning.kernels import kernels_of
from dlcc.tuning.template import Search, TemplateSearch
from dlcc.tuning.tracing import TraceSearch

log = logging.getLogger("dlcc")

TRACED_SHARE = 0.01  # of the run: finding candidates takes more time than those of a rule


class Searches:
    """The searches for the kernels of one model."""

    def __init__(self, module: IRModule, chip: Chip, kind: Kind) -> None:
        self._module, self._chip, self._kind = module, chip, kind

    def of(self, name: str, share: float) -> Search | None:
        """The search for a workload with knobs, or for the key of a kernel; None where there is
        nothing to search, or too little to gain."""
        if " " in name:
            choices = self._kind.space(name, self._chip)
            return TemplateSearch(choices) if len(choices) > 1 else None
        if share < TRACED_SHARE or not self._can_trace or name not in self._kernels:
            return None
        return TraceSearch(self._kernels[name], self._chip)

    @cached_property
    def _kernels(self) -> Mapping[str, tirx.PrimFunc]:
        made = self._kind.unscheduled(self._module, self._chip, UNTUNED)
        return {kernel.key: kernel.func for kernel in kernels_of(made)}

    @cached_property
    def _can_trace(self) -> bool:
        if importlib.util.find_spec("xgboost") is not None:
            return True
        log.info("kernels without knobs are left alone: pip install 'dlcc[tune]' to search them")
        return False
