"""3x3 convolutions by Winograd's filtering: a launch each to transform tiles of the input, to
multiply matrices, and to transform back."""

from __future__ import annotations

import math
from dataclasses import replace

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

from dlcc.targets.cpu.plan import STAGE
from dlcc.targets.cpu.schedule.loops import TiledKernel, blocks, extent
from dlcc.targets.cpu.tiles import largest_vector
from dlcc.targets.cpu.winograd import WAY
from dlcc.targets.opencl.engine import Engine
from dlcc.targets.opencl.plan import PIXELS
from dlcc.targets.opencl.schedule.loops import bind
from dlcc.targets.opencl.schedule.stages import of_map
from dlcc.targets.opencl.schedule.tiles import Loops, in_registers, tile


def winograd(s: Schedule, engine: Engine) -> None:
    """A work-item a vector of channels of a tile; of the products a tile in its registers.

    Raises Declined for kernels that were not made for it."""
    kernel = in_registers(s, "winograd")
    stage = {str(s.get(b).annotations.get(STAGE, "")): b for b in blocks(s)}
    if kernel.pad is not None:
        of_map(s, kernel.pad, engine)
    _transform_input(s, stage["columns"], stage["inputs"], engine)
    _transform_back(s, kernel, stage["rows"], stage["results"], engine)
    *pixels, channels, depth = s.get_loops(kernel.anchor)
    product = replace(kernel, epilogue=stage["products"], pad=None)
    # along the pixels: the weights of a position are read once for all of its tiles
    tile(s, product, Loops(pixels, channels, [], depth), engine, PIXELS)


def _transform_input(s: Schedule, columns: SBlockRV, inputs: SBlockRV, engine: Engine) -> None:
    block, u, v, q, c = s.get_loops(inputs)
    channels, lane = s.split(c, [None, largest_vector(extent(s, c) or 1, engine.lanes)])
    s.reorder(block, q, channels, u, v, lane)
    item = bind(s, [block, q, channels], engine)
    _unroll(s, [u, v, lane])
    _in_item(s, columns, item)


def _transform_back(
    s: Schedule, kernel: TiledKernel, rows: SBlockRV, results: SBlockRV, engine: Engine
) -> None:
    size = int(s.get(kernel.anchor).annotations[WAY][0])
    n, y, x, c = s.get_loops(kernel.epilogue)
    row, in_y = s.split(y, [None, size])
    column, in_x = s.split(x, [None, size])
    width = largest_vector(math.gcd(extent(s, c) or 1, kernel.tile.channels), engine.lanes)
    channels, lane = s.split(c, [None, width])
    s.reorder(n, row, column, channels, in_y, in_x, lane)
    item = bind(s, [n, row, column, channels], engine)
    _unroll(s, [in_y, in_x, lane])
    _in_item(s, results, item)
    _in_item(s, rows, item)


def _in_item(s: Schedule, transform: SBlockRV, item: LoopRV) -> None:
    """Half of a transformation, in the registers of a work-item."""
    s.set_scope(transform, 0, "local")
    s.compute_at(transform, item, preserve_unit_loops=True)
    _unroll(s, s.get_loops(transform)[-3:])


def _unroll(s: Schedule, loops: list[LoopRV]) -> None:
    *directions, lane = loops
    for loop in directions:
        s.unroll(loop)
    s.vectorize(lane)
