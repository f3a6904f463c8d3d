"""Asks for the next panel of weights while the tiles of this one are computed."""

from __future__ import annotations

from typing import Any

import tvm_ffi
from tvm import tirx

from dlcc.targets.cpu.tiles import FLOAT_BYTES

PREFETCH = "dlcc.prefetch"  # annotation of the loop over panels: which parameter has the weights
LINE_BYTES = 64
READ, TO_L2, DATA = 0, 2, 1  # operands of llvm.prefetch


def prefetch_panels(kernel: tirx.PrimFunc) -> tirx.PrimFunc:
    """Prefetch in loops over panels of weights that say so; the loop inside is over tiles.

    Weights come from memory once an inference, and the first tile of a panel would wait for them.

    Before:  for panel: for tile: for steps: …
    After:   for panel: for tile: for steps: prefetch(w[panel + 1, its share of the lines]); …
    """

    def panels(loop: tirx.For, mutator: Any) -> tirx.Stmt:
        if PREFETCH not in loop.annotations:
            return mutator.default_mutate(loop)
        weights = kernel.params[int(loop.annotations[PREFETCH])]
        tiles = loop.body

        def steps(inner: tirx.For, mutator: Any) -> tirx.Stmt:
            if PREFETCH not in inner.annotations:
                return mutator.default_mutate(inner)
            share = _share(weights, loop, tiles, inner)
            return _with_body(inner, tirx.SeqStmt([share, inner.body]))

        body = tvm_ffi.structural_mutate(tiles.body, [(tirx.For, steps)])
        return _with_body(loop, _with_body(tiles, body))

    return kernel.with_body(tvm_ffi.structural_mutate(kernel.body, [(tirx.For, panels)]))


def _share(weights: tirx.Buffer, panels: tirx.For, tiles: tirx.For, steps: tirx.For) -> tirx.Stmt:
    """The lines of the next panel that some steps of one tile ask for."""
    count, depth, columns = (int(e) for e in weights.shape)
    lines = depth * columns * FLOAT_BYTES // LINE_BYTES
    share = -(-lines // (int(tiles.extent) * int(steps.extent)))
    line = tirx.Var("line", "int64")
    place = (tiles.loop_var * steps.extent + steps.loop_var) * share + line
    element = tirx.min(place, lines - 1) * (LINE_BYTES // FLOAT_BYTES)
    panel = tirx.min(panels.loop_var + 1, count - 1)
    at = tirx.BufferLoad(weights, [panel, element // columns, element % columns])
    ask = tirx.call_llvm_intrin("void", "llvm.prefetch.p0", tirx.address_of(at), READ, TO_L2, DATA)
    return tirx.For(line, 0, share, tirx.ForKind.UNROLLED, tirx.Evaluate(ask))


def _with_body(loop: tirx.For, body: tirx.Stmt) -> tirx.For:
    """The loop around another body."""
    kept = {name: value for name, value in loop.annotations.items() if name != PREFETCH}
    return tirx.For(
        loop.loop_var, loop.min, loop.extent, loop.kind, body, loop.thread_binding, kept
    )
