"""Rules about what an engine cannot do, or does one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from dlcc.compiler.lint.found import Found
from dlcc.compiler.lint.subject import Subject

FEW_NUMBERS = "it computes a few whole numbers"  # which is right where it is
# docs/hexagon.md: the least of 8-bit layers, 20.7, over mobilenet_v1's 568.7 M / 363.6 M in floats
FLOAT_TIMES = 13.0


def lacking(subject: Subject) -> Iterator[Found]:
    """Ops of the graph that the target can never run."""
    kind, users = subject.kind, subject.model.users
    for node, op in subject.model.ops.items():
        why = users[op][kind.name] if op in users else kind.lacks.get(op, "yes")
        if why != "yes":
            yield Found(node, f"{op}: {why}")


def floats_on_dsp(subject: Subject) -> Iterator[Found]:
    """All products of floats in one finding, of a DSP that has no vectors of them."""
    model = subject.model
    if subject.chip.float_vectors:
        return
    found = [p for p in model.products() if model.multiplied(p).startswith("float")]
    if found:
        share = sum(model.share(p) or 0.0 for p in found)
        yield Found(found[0].name, f"{len(found)} products of floats", FLOAT_TIMES, share)


def falls_to_cpu(subject: Subject) -> Iterator[Found]:
    """Layers of kernels that the GPU does not run, with the reason."""
    reasons: dict[str, list[str]] = defaultdict(list)
    kernels = subject.kind.kernels
    if any(lacking(subject)):  # there are no kernels of a model that cannot be built
        return
    for told, variables in kernels(subject.model.module, subject.chip).items():
        kernel, comma, reason = told.partition(", on the CPU (")
        reason = reason.rstrip(")")
        if comma and reason != FEW_NUMBERS:
            reasons[reason] += [f"{v} ({kernel})" for v in variables[-1:]]
    for reason, where in reasons.items():
        for node in where:
            yield Found(node.partition(" (")[0], f"{node.partition(' (')[2][:-1]}: {reason}")
