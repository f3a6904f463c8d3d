"""The order of the passes that every target shares, with the reason beside each."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from tvm import relax
from tvm.ir import IRModule

log = logging.getLogger("dlcc")

Pass = Callable[[IRModule], IRModule]

PIPELINE: tuple[tuple[str, Pass], ...] = (
    ("CanonicalizeBindings", relax.transform.CanonicalizeBindings()),
    ("DeadCodeElimination", relax.transform.DeadCodeElimination()),
)


def optimize(mod: IRModule) -> IRModule:
    """The module with everything done that holds for every target."""
    for name, run in PIPELINE:
        start_s = time.perf_counter()
        mod = run(mod)
        log.debug("pass %s: %.1f ms", name, 1e3 * (time.perf_counter() - start_s))
    return mod
