"""The design space of a kernel, by the kind of engine that is to run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tvm
from tvm.s_tir.meta_schedule.schedule_rule import ParallelizeVectorizeUnroll, ScheduleRule
from tvm.s_tir.meta_schedule.space_generator import PostOrderApply

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.tiles import FLOAT_BYTES
from dlcc.targets.errors import UsageError

# TVM's own rules for each. Those that it would choose for a CPU with dot products of bytes make
# x86 code that LLVM refuses, and Arm code that it refuses every second time.
RULES = {"host": "llvm", "arm": "llvm", "opencl": "cuda", "hexagon": "hexagon"}
JOBS_PER_CORE = 16  # pieces of a parallel loop, TVM's own number
# By the rules: steps that may be unrolled, and vectors of the innermost loop at most. Work-items
# have neither parallel loops nor vectors there.
UNROLLED = {"llvm": [0, 16, 64], "hexagon": [0, 16], "cuda": [0, 16, 64]}
VECTORS = {"llvm": 4, "hexagon": 1}
NONE = -1


def design_space(chip: Chip) -> PostOrderApply:
    """The generator of sketches for a chip; raises UsageError for a kind that has none."""
    if chip.kind not in RULES:
        raise UsageError(
            f"there is no search over schedules for the target {chip.kind}",
            hint=f"kinds with one: {', '.join(RULES)}",
        )
    name = RULES[chip.kind]
    rules = ScheduleRule.create(name)
    rules = [_unroll(chip) if isinstance(r, ParallelizeVectorizeUnroll) else r for r in rules]
    return PostOrderApply(sch_rules=rules, postprocs=name, mutator_probs=name)


def _unroll(chip: Chip) -> ParallelizeVectorizeUnroll:
    """As TVM's own, with vectors of this chip, and less unrolled: LLVM takes seconds for 512 steps,
    and minutes on Hexagon, where a float of a vector may be an instruction by itself, or on PoCL,
    which writes them out for every work-item of a group that a barrier parts."""
    name, lanes = RULES[chip.kind], chip.vector_bits // (8 * FLOAT_BYTES)
    return ParallelizeVectorizeUnroll(
        max_jobs_per_core=JOBS_PER_CORE if name in VECTORS else NONE,
        max_vectorize_extent=VECTORS[name] * lanes if name in VECTORS else NONE,
        unroll_max_steps=UNROLLED[name],
        unroll_explicit=True,
    )


def search_target(chip: Chip) -> tvm.target.Target:
    """TVM's target while it searches: it tells the rules how many cores, threads of a work-group
    and bytes of local memory there are. Code is generated for the target of the build."""
    return TARGETS.get(chip.kind, _cpu)(chip)


def _cpu(chip: Chip) -> tvm.target.Target:
    from dlcc.targets.cpu.codegen import tvm_target

    return tvm_target(dict(chip.tvm))


def _opencl(chip: Chip) -> tvm.target.Target:
    from dlcc.targets.opencl.target import tvm_target

    return tvm_target(chip)


def _hexagon(chip: Chip) -> tvm.target.Target:
    """Rules for its wide vectors look for a target of this kind, which our build does not use."""
    fields: dict[str, Any] = {
        "kind": "hexagon",
        "mtriple": "hexagon",
        "mcpu": str(chip.tvm["mcpu"]),
        "num-cores": chip.cores,
        "vtcm-capacity": 0,  # programs of ours keep everything in plain memory
    }
    return tvm.target.Target(fields)


TARGETS: dict[str, Callable[[Chip], tvm.target.Target]] = {"opencl": _opencl, "hexagon": _hexagon}
