"""The order of the passes that every target shares, with the reason beside each."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from tvm import relax
from tvm.ir import IRModule

from dlcc.compiler.passes.affine import merge_affine_chains
from dlcc.compiler.passes.concat import simplify_concats
from dlcc.compiler.passes.fold_constants import fold_layout_constants
from dlcc.compiler.passes.fold_pad import fold_pads_into_windows
from dlcc.compiler.passes.fold_scale import fold_scale_into_weights
from dlcc.compiler.passes.pools import pool_after_projection
from dlcc.compiler.passes.simplify import simplify

log = logging.getLogger("dlcc")

Pass = Callable[[IRModule], IRModule]

PIPELINE: tuple[tuple[str, Pass], ...] = (
    # aliases of variables would hide producers from every rule below
    ("CanonicalizeBindings", relax.transform.CanonicalizeBindings()),
    ("fold_layout_constants", fold_layout_constants),  # weights must be constants to be scaled
    ("simplify", simplify),  # identities stand between a convolution and its scale
    ("merge_affine_chains", merge_affine_chains),  # leaves one scale a convolution
    ("fold_scale_into_weights", fold_scale_into_weights),
    ("merge_affine_chains again", merge_affine_chains),  # shifts meet where scales are gone
    ("fold_pads_into_windows", fold_pads_into_windows),  # after scales: they hide pads
    ("pool_after_projection", pool_after_projection),  # behind scales, which it would hide
    ("simplify_concats", simplify_concats),
    ("EliminateCommonSubexpr", relax.transform.EliminateCommonSubexpr()),
    ("DeadCodeElimination", relax.transform.DeadCodeElimination()),
)


def optimize(mod: IRModule) -> IRModule:
    """The module with everything done that holds for every target."""
    for name, run in PIPELINE:
        start_s = time.perf_counter()
        mod = run(mod)
        log.debug("pass %s: %.1f ms", name, 1e3 * (time.perf_counter() - start_s))
    return mod
