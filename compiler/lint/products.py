"""Rules about convolutions and products of matrices: channels, groups, dtypes."""

from __future__ import annotations

from collections.abc import Iterator

from dlcc.compiler.lint.found import Found
from dlcc.compiler.lint.subject import BYTES, Subject, channels
from dlcc.compiler.network.network import Layer
from dlcc.targets.chips import Chip
from dlcc.targets.cpu.tiles import Cpu, matmul_tile
from dlcc.targets.hexagon.intrin import LANES

# Packets of a depthwise layer over those of the next multiple of 32 channels, counted for 24, 48
# and 144 channels: docs/lint.md. (fewer channels than, times)
DEPTHWISE_TIMES = ((32, 11.5), (64, 7.2), (1 << 30, 5.1))
# The same of 1x1 layers with 24, 40 and 144 outputs; 16 outputs and fewer gain nothing.
PRODUCT_TIMES = 1.2
LEAST_REST = 17
# Of a product whose outputs are no multiple of a vector, over the next multiple, the least that was
# measured: docs/lint.md. Kind -> (1x1, other windows); None: it is not slower.
CPU_TIMES: dict[str, tuple[float | None, float]] = {"arm": (1.3, 1.6), "host": (None, 1.2)}


def dsp_depthwise(subject: Subject) -> Iterator[Found]:
    """Depthwise layers of 8-bit integers whose channels are no multiple of a vector of sums."""
    for layer in _of_bytes(subject, "DepthWiseConv2d"):
        count = channels(subject.model.tensor(layer.inputs[0]))
        if count is not None and count % LANES and not _multiplies(subject, layer):
            times = next(t for below, t in DEPTHWISE_TIMES if count < below)
            yield _found(subject, layer, f"{count} channels", times, fixable=True)


def dsp_channels(subject: Subject) -> Iterator[Found]:
    """Convolutions of 8-bit integers whose outputs leave a rest of a vector of sums."""
    for layer in _of_bytes(subject, "Conv2d"):
        count = channels(subject.model.tensor(layer.outputs[0]))
        if count is not None and count >= LEAST_REST and count % LANES and _groups(layer) == 1:
            yield _found(subject, layer, f"{count} outputs", PRODUCT_TIMES, fixable=True)


def dsp_general(subject: Subject) -> Iterator[Found]:
    """Convolutions of 8-bit integers that have no kernel of their own."""
    for layer in _of_bytes(subject, "Conv2d", "DepthWiseConv2d"):
        if layer.op == "Conv2d" and _groups(layer) > 1:
            yield _found(subject, layer, f"{_groups(layer)} groups of several channels")
        elif layer.op == "DepthWiseConv2d" and _multiplies(subject, layer):
            yield _found(subject, layer, "several outputs of one channel")


def cpu_general(subject: Subject) -> Iterator[Found]:
    """Products of another dtype than float32, and groups that do not fill tiles."""
    cpu = Cpu.of(subject.chip)
    for layer in subject.model.products():
        data = subject.model.tensor(layer.inputs[0])
        if data is not None and data.dtype != "float32":
            yield _found(subject, layer, f"it multiplies {data.dtype}")
        elif layer.op == "Conv2d" and (groups := _groups(layer)) > 1:
            outputs = channels(subject.model.tensor(layer.outputs[0])) or 0
            width = (subject.model.item.tensors[layer.outputs[0]].shape or (0, 0, None))[2]
            pixels = width if isinstance(width, int) else None
            tile = matmul_tile(pixels, outputs // groups, cpu).channels
            if outputs // groups % tile:
                what = f"{outputs // groups} outputs a group, tiles have {tile}"
                yield _found(subject, layer, what)


def _of_bytes(subject: Subject, *ops: str) -> Iterator[Layer]:
    for layer in subject.model.products(*ops):
        if subject.model.multiplied(layer) in BYTES:
            yield layer


def _groups(layer: Layer) -> int:
    groups = layer.attributes.get("group", 1)
    return groups if isinstance(groups, int) else 1


def _multiplies(subject: Subject, layer: Layer) -> bool:
    """Whether a depthwise layer makes several channels of one."""
    before, after = (subject.model.tensor(n) for n in (layer.inputs[0], layer.outputs[0]))
    return channels(before) != channels(after)


def _found(
    subject: Subject,
    layer: Layer,
    what: str,
    times: float | None = None,
    *,
    fixable: bool = False,
) -> Found:
    return Found(layer.name, what, times, subject.model.share(layer), fixable)


def cpu_channels(subject: Subject) -> Iterator[Found]:
    """Convolutions of floats whose outputs leave a rest of a vector."""
    lanes = padded_to(subject.chip)
    for layer in subject.model.products("Conv2d"):
        count = channels(subject.model.tensor(layer.outputs[0]))
        if count is None or count % lanes == 0 or subject.model.multiplied(layer) != "float32":
            continue
        window = (subject.model.item.tensors[layer.inputs[1]].shape or ())[:2]
        times = CPU_TIMES[subject.chip.kind][window != (1, 1)]
        if times is not None:
            yield _found(subject, layer, f"{count} outputs", times, fixable=True)


def padded_to(chip: Chip) -> int:
    """The multiple of channels that a chip's vectors want."""
    return LANES if chip.kind == "hexagon" else Cpu.of(chip).lanes
