"""What schedules know of a CPU, and the register tile that suits a product of matrices on it."""

from __future__ import annotations

from dataclasses import dataclass

from dlcc.targets.chips import Chip

FLOAT_BYTES = 4
NEON_LANES = 4


@dataclass(frozen=True, slots=True)
class Cpu:
    """A chip in the units of schedules.

    lanes: float32 numbers of a vector register.
    registers: vector registers.
    threads: cores that share a parallel loop.
    l1_bytes, l2_bytes: data caches of one core.
    lane_fma: whether a multiply-add takes any lane of a register as a factor, so that one load
        brings the factors of `lanes` steps (Arm's FMLA by element); else each is broadcast.
    nan_extremes: whether one instruction gives the larger of two floats, and NaN for a NaN.
    memory_factors: whether a multiply-add reads one factor from memory by itself (x86).
    filters: whether 3x3 convolutions are by Winograd's filtering where that is estimated to be
        faster: the estimate is of CPUs, and half precision has too few bits for it.
    prefetches: whether kernels ask for weights ahead. Measured on x86; of Arm only instructions
        are counted, which cannot tell.
    blocks_rows: whether an expansion and the depthwise convolution behind it are one kernel, see
        `row_blocks`. Measured on x86; of Arm, too, only instructions are counted, and it adds some.
    """

    lanes: int
    registers: int
    threads: int
    l1_bytes: int
    l2_bytes: int
    lane_fma: bool = False
    nan_extremes: bool = False
    memory_factors: bool = True
    filters: bool = True
    prefetches: bool = True
    blocks_rows: bool = True

    @staticmethod
    def of(chip: Chip) -> Cpu:
        is_arm = str(chip.tvm.get("mtriple", "")).startswith("aarch64")
        lanes = chip.vector_bits // (8 * FLOAT_BYTES)
        return Cpu(
            lanes=lanes,
            registers=chip.vector_registers,
            threads=chip.cores,
            l1_bytes=chip.l1_bytes,
            l2_bytes=chip.l2_bytes,
            lane_fma=is_arm and lanes == NEON_LANES,  # SVE takes a lane of every four
            nan_extremes=is_arm,
            memory_factors=not is_arm,
            filters=chip.gpu is None or (chip.gpu.processor and not chip.gpu.half),
            prefetches=not is_arm,
            blocks_rows=not is_arm and chip.gpu is None,
        )


@dataclass(frozen=True, slots=True)
class Tile:
    """Results that one core keeps in registers: `pixels` rows by `channels` columns."""

    pixels: int
    channels: int


# Multiply-adds that must be in flight to hide their latency: 4 cycles, 2 a cycle.
# Source: uops.info, VFMADD231PS on Skylake and later, Zen 2 and later; Arm's Cortex-A76 software
# optimization guide, FMLA (4 cycles, 2 pipes).
LATENCY_CYCLES = 4.0
PER_CYCLE = 2
L2_BYTES_PER_CYCLE = 24.0
COLD_BYTES_PER_CYCLE = 6.0  # weights, which come from L3 or memory once an inference
TILE_OVERHEAD = 0.02  # loop control and the epilogue's call, in cycles a result and step
MOST_PIXELS = 8  # of a row of a depthwise tile
CROPPED = 1.04  # a tile that is cut off at the edge needs predicates
L2_SHARE = 0.4  # of L2 for a block of padded rows; the rest is for weights and results
MOST_ROWS = 16  # of a block
STEPS = 8  # of a reduction that are unrolled where factors are lanes
STEPS_OVERHEAD = 4  # instructions of the loop around them


def matmul_tile(pixels: int | None, channels: int, cpu: Cpu) -> Tile:
    """The cheapest tile for `pixels` x `channels` results, see `matmul_tiles`."""
    return matmul_tiles(pixels, channels, cpu)[0]


def matmul_tiles(pixels: int | None, channels: int, cpu: Cpu) -> list[Tile]:
    """The tiles for `pixels` x `channels` results, the cheapest first, by cycles a multiply-add.

    A step of the reduction costs max(multiply-adds / 2, loads / 2, latency, weights from L2);
    what a tile computes beyond the edges is waste. pixels: None where it is not known.
    """
    tiles = [
        Tile(p, vectors * cpu.lanes)
        for vectors in (1, 2, 3, 4)
        for p in range(1, 15)
        if tile_registers(p, vectors, cpu) <= cpu.registers and (pixels is None or p <= pixels)
    ]
    return sorted(tiles, key=lambda t: (_cost(t, pixels, channels, cpu), -t.pixels))


def whole_tile(pixels: int, channels: int, cpu: Cpu) -> Tile | None:
    """The cheapest tile that covers `pixels` x `channels` without a rest; None where none of these
    has enough sums in flight."""
    sums = PER_CYCLE * LATENCY_CYCLES * cpu.lanes
    able = (
        tile
        for tile in matmul_tiles(pixels, channels, cpu)
        if tile.pixels * tile.channels >= sums
        if pixels % tile.pixels == channels % tile.channels == 0
    )
    return next(able, None)


def tile_registers(pixels: int, vectors: int, cpu: Cpu) -> int:
    """Registers of a tile: its sums, the weights of a step, and the other factors."""
    return pixels * vectors + vectors + (pixels if cpu.lane_fma else 1)


def _cost(tile: Tile, pixels: int | None, channels: int, cpu: Cpu) -> float:
    vectors = tile.channels // cpu.lanes
    fmas = tile.pixels * vectors
    weight_cycles = tile.channels * FLOAT_BYTES / L2_BYTES_PER_CYCLE
    cycles = max(_issue_cycles(tile.pixels, vectors, cpu), LATENCY_CYCLES, weight_cycles)
    rows = 1.0 if pixels is None else round_up(pixels, tile.pixels) / pixels
    waste = rows * round_up(channels, tile.channels) / channels
    if rows > 1.0:
        waste *= CROPPED
    return (cycles + TILE_OVERHEAD) / fmas * waste


def _issue_cycles(pixels: int, vectors: int, cpu: Cpu) -> float:
    """Cycles that the instructions of one step take, without waiting for anything."""
    fmas = pixels * vectors
    if cpu.lane_fma:
        # two registers of weights are one load, and cores in order issue two of anything a cycle
        loads = pixels / cpu.lanes + vectors / 2
        return (fmas + loads + STEPS_OVERHEAD / STEPS) / PER_CYCLE
    # without factors from memory each takes a load and a slot of the multiply-adds' pipes
    slots = fmas if cpu.memory_factors else fmas + pixels
    cycles = max(slots, pixels + vectors) / PER_CYCLE
    # measured: one column of vectors is bound by its loads
    return max(cycles, 0.85 * fmas) if vectors == 1 else cycles


@dataclass(frozen=True, slots=True)
class Window:
    """What a depthwise convolution reads for a result, and how far it moves for the next."""

    height: int
    width: int
    strides: tuple[int, int]

    @property
    def size(self) -> int:
        return self.height * self.width

    def read(self, rows: int, pixels: int) -> int:
        """Pixels that so many results need."""
        down, right = self.strides
        return ((rows - 1) * down + self.height) * ((pixels - 1) * right + self.width)


DEPTHWISE_PIXELS = 4  # their sums and windows, times two vectors, fit 16 registers


def depthwise_tile(
    shape: tuple[int, int, int], window: Window, padded: tuple[int, int] | None, cpu: Cpu
) -> Tile:
    """Tile of a depthwise convolution: as many pixels as share what they read, then whole vectors
    of channels, as far as the sums of all and what a pixel reads fit the registers.

    shape: rows, columns and channels of the result. padded: rows and columns of the padded input,
    None where it is not padded."""
    height, width, channels = shape
    vector = largest_vector(channels, cpu.lanes)
    if not cpu.memory_factors:
        high, wide = padded or (0, 0)
        panels = depthwise_panels(channels, vector, cpu)
        row_bytes = wide * channels * FLOAT_BYTES
        rows = block_rows(height, window.height, window.strides[0], row_bytes, cpu, panels)
        if inlines_padding(high * wide, height * width, cpu):
            rows = 1  # the fewer rows a tile has, the fewer it compares
        return Tile(_loaded_tile(rows, width, window, cpu)[1], vector)
    pixels = min(DEPTHWISE_PIXELS, width)
    most = max(1, (cpu.registers - 4) // (pixels + 1))
    vectors = max(v for v in range(1, min(most, 4) + 1) if channels % (v * vector) == 0)
    return Tile(pixels, vectors * vector)


PANEL_CHANNELS = 32  # two cache lines


def depthwise_panels(channels: int, step: int, cpu: Cpu) -> int:
    """How many pieces the channels of a depthwise convolution are computed in, of whole `step`s.

    A padded input that is copied is copied for each piece: of few channels it has many rows, so
    that those which two pieces need are few."""
    if cpu.memory_factors:
        return 1
    widths = [w for w in range(step, PANEL_CHANNELS + 1, step) if channels % w == 0]
    return channels // widths[-1] if widths else 1


ALIASED_BYTES = 128  # pixels a multiple of it apart are in half of L1's sets, or in fewer


def pixels_outside_channels(channels: int, cpu: Cpu) -> bool:
    """Whether a depthwise convolution computes all channels of some pixels before the next pixels.

    Then memory is read in order. All pixels of some channels first makes do with fewer weights at
    a time, but what it reads must be in L1 for the next row, and there in different sets."""
    return cpu.memory_factors and channels * FLOAT_BYTES % ALIASED_BYTES == 0


MANY = 1.5  # elements to copy for a result, which cost more than comparing where they are read


def inlines_padding(padded: int, results: int, cpu: Cpu) -> bool:
    """Whether a depthwise convolution compares where it reads, and copies no padded input.

    padded, results: elements of the padded input and of the result."""
    return cpu.memory_factors or padded > MANY * results  # a stride, or a small image


def depthwise_rows(rows: int, tile: Tile, window: Window, cpu: Cpu) -> int:
    """How many rows of the result a tile has, of `rows` that are computed one after the other."""
    one = cpu.memory_factors or tile.channels > cpu.lanes
    return 1 if one else _loaded_tile(rows, tile.pixels, window, cpu, tile.pixels)[0]


def _loaded_tile(
    rows: int, width: int, window: Window, cpu: Cpu, pixels: int | None = None
) -> tuple[int, int]:
    """Rows and pixels of one vector that take the fewest instructions where all factors are loaded:
    rows of a tile share what they read, and small windows' weights stay in registers.

    pixels: the only choice."""
    kept = window.size if 2 * window.size < cpu.registers else 2
    tiles = [
        (r, p)
        for p in ([pixels] if pixels else range(1, min(width, MOST_PIXELS) + 1))
        for r in range(1, rows + 1)
        if rows % r == 0
        # the sums, the weights, a row of what is read, the bias
        and (r * p + kept + (p - 1) * window.strides[1] + window.width < cpu.registers or r == 1)
    ]

    def instructions(tile: tuple[int, int]) -> float:
        r, p = tile
        loads = window.read(r, p) + (0 if kept == window.size else window.size)
        return round_up(width, p) / width * (window.size + (loads + STEPS_OVERHEAD) / (r * p))

    return min(tiles, key=instructions)


def depthwise_tiles(width: int, channels: int, cpu: Cpu) -> list[Tile]:
    """Tiles of a depthwise convolution, those first that waste no pixels and hold most sums."""
    vector = largest_vector(channels, cpu.lanes)
    tiles = [
        Tile(p, v * vector)
        for v in (1, 2, 3, 4)
        for p in range(1, min(width, cpu.registers) + 1)
        if channels % (v * vector) == 0 and (p + 1) * v + 4 <= cpu.registers + v
    ]
    return sorted(tiles, key=lambda t: (round_up(width, t.pixels), -t.pixels * t.channels))


def largest_vector(extent: int, lanes: int) -> int:
    """The largest power of two up to `lanes` that divides `extent`."""
    width = 1
    while width * 2 <= lanes and extent % (width * 2) == 0:
        width *= 2
    return width


def round_up(n: int, step: int) -> int:
    """The least multiple of `step` from `n` on."""
    return -(-n // step) * step


def block_rows(
    height: int, window: int, stride: int, row_bytes: int, cpu: Cpu, panels: int = 1
) -> int:
    """Rows of a result that one piece of a parallel loop computes: the most that balance over the
    threads and whose padded input stays in L2.

    window, stride: rows of input for a row, and from one to the next. row_bytes: of the padded
    input, 0 where it is not padded. panels: of channels that are pieces of their own."""
    best = 1
    for rows in range(1, min(height, MOST_ROWS) + 1):
        pieces = height // rows * panels
        fits = ((rows - 1) * stride + window) * row_bytes <= panels * L2_SHARE * cpu.l2_bytes
        whole = height % rows == 0 and pieces >= cpu.threads
        if whole and fits and balanced(pieces, cpu.threads):
            best = rows
    return best


def balanced(count: int | None, threads: int) -> bool:
    """Whether `count` equal pieces keep all threads busy; an unknown count is taken to."""
    return count is None or count % threads == 0 or count >= 8 * threads
