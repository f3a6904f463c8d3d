"""Rules as rows: what a rule looks for, on which targets, and where its figures are from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dlcc.compiler.lint import engines, products, shapes
from dlcc.compiler.lint.found import Found
from dlcc.compiler.lint.subject import Subject

EVERYWHERE = ("host", "arm", "opencl", "hexagon")
CPUS = ("host", "arm")
LEAST_SHARE = 1e-3  # of all multiply-accumulates: a layer with less is not worth a word


@dataclass(frozen=True, slots=True)
class Finding:
    """One advice.

    target: chip that it is for.   layer: a layer, or an input of the model.
    times: by how much the layer is estimated to become faster; None where that is not known.
    share: the layer's part of all multiply-accumulates.   basis: where the estimate is from.
    fix: what `--fix` does about it, "" where it is for a person to do.
    """

    rule: str
    target: str
    layer: str
    found: str
    advice: str
    times: float | None
    share: float | None
    basis: str
    fix: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What is looked for on the kinds of targets where it matters. basis: of `Found.times`."""

    name: str
    kinds: tuple[str, ...]
    find: Callable[[Subject], Iterator[Found]]
    advice: str
    basis: str
    fix: str = ""


RULES: tuple[Rule, ...] = (
    Rule(
        "open-shape",
        ("hexagon",),
        shapes.open_shapes,
        "fix its size: this target compiles no model with an open one",
        "targets/hexagon: static_shapes",
        "batch",
    ),
    Rule(
        "open-batch",
        ("host", "arm", "opencl"),
        shapes.open_batch,
        "fix the batch if it is always the same: records of tuning and Winograd's filtering are "
        "for known sizes",
        "measured: docs/lint.md, 3x3 convolutions of 32 and 64 channels on a CPU",
        "batch",
    ),
    Rule(
        "no-kernel",
        EVERYWHERE,
        engines.lacking,
        "compute it before or behind the model, cut with --output and --input; an op of your own "
        "wants a converter, or a kernel for the target",
        "targets/aot/lacks.py, and the files of --ops",
    ),
    Rule(
        "float-on-dsp",
        ("hexagon",),
        engines.floats_on_dsp,
        "give the DSP 8-bit integers: vectors multiply them, floats are computed one by one",
        "measured: docs/hexagon.md, 1.6 multiply-accumulates a packet in float, 20 or more in 8 "
        "bits",
    ),
    Rule(
        "dsp-depthwise-channels",
        ("hexagon",),
        products.dsp_depthwise,
        "use a multiple of 32 channels, which are a vector of sums",
        "measured: docs/lint.md, packets of 28x28 depthwise layers",
        "channels",
    ),
    Rule(
        "dsp-channels",
        ("hexagon",),
        products.dsp_channels,
        "make the outputs a multiple of 32, which are a vector of sums",
        "measured: docs/lint.md, packets of 28x28 1x1 layers",
        "channels",
    ),
    Rule(
        "dsp-general-kernel",
        ("hexagon",),
        products.dsp_general,
        "8-bit vectors are for convolutions with one group, or one channel a group",
        "targets/hexagon/conv2d.py, depthwise.py; docs/hexagon.md: 130 to 240 times the packets",
    ),
    Rule(
        "gpu-falls-to-cpu",
        ("opencl",),
        engines.falls_to_cpu,
        "the CPU computes it, and tensors are copied there and back",
        "targets/opencl/suitable.py",
    ),
    Rule(
        "vector-rest",
        CPUS,
        products.cpu_channels,
        "use a multiple of the vector's numbers",
        "measured: docs/lint.md, layers of 18, 30 and 33 channels, and of the next multiple",
        "channels",
    ),
    Rule(
        "general-kernel",
        CPUS,
        products.cpu_general,
        "tiled kernels are for float32, with groups whose channels fill whole tiles",
        "docs/architecture.md: tens of times slower; targets/cpu/conv2d.py",
    ),
    Rule(
        "transpose",
        EVERYWHERE,
        shapes.transposes,
        "keep one layout: this moves every element through memory",
        "bytes read and written",
        "transposes",
    ),
    Rule(
        "repeated-constant",
        EVERYWHERE,
        shapes.repeated_constants,
        "store one row and let it be broadcast: every row is the same",
        "bytes of the file",
    ),
)


def findings(subject: Subject) -> Iterator[Finding]:
    """What the rules have to say about a model on one chip, rule by rule."""
    for rule in RULES:
        if subject.chip.kind not in rule.kinds:
            continue
        for found in rule.find(subject):
            if found.share is not None and found.share < LEAST_SHARE:
                continue
            yield Finding(
                rule.name,
                subject.chip.name,
                found.layer,
                found.what,
                rule.advice,
                found.times,
                found.share,
                rule.basis,
                rule.fix if found.fixable else "",
            )
