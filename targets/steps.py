"""The steps of a build: their seconds, and an error of ours for what TVM refuses in one."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import tvm

from dlcc.targets.errors import ToolchainError

log = logging.getLogger("dlcc")


@contextmanager
def step(
    name: str,
    times_s: dict[str, float],
    refusals: tuple[type[Exception], ...] = (tvm.error.InternalError,),
) -> Iterator[None]:
    """Time a step; raises ToolchainError for what TVM refuses in it, which `refusals` tell."""
    start_s = time.perf_counter()
    try:
        yield
    except refusals as error:
        lines = str(error).strip().splitlines() or ["no reason given"]
        raise ToolchainError(
            f"TVM cannot {name} the model: {lines[-1]}",
            hint="an operator may be used with a dtype that it does not have; "
            "`--output` cuts the graph before it",
        ) from error
    times_s[name] = time.perf_counter() - start_s
    log.debug("%s: %.0f ms", name, times_s[name] * 1e3)
