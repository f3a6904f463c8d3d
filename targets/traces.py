"""Traces: schedules of single kernels that a search found, as text, and how they are applied.

A trace is a list of TVM's schedule instructions with the decisions of those that sample. It may
come out of a file of another machine, so only instructions that rearrange loops are let through:
annotations, for instance, can also carry source code for the compiler.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule, Trace
from tvm.s_tir.schedule import ScheduleError

from dlcc.targets.errors import UsageError

LONGEST_CHARS = 1 << 20
MOST_INSTRUCTIONS = 5_000
LARGEST_NUMBER = 1 << 31
MOST_UNROLLED = 4_096  # steps that a pragma may ask the compiler to write out

HINT = (
    "the record is damaged, or of another version or model; `dlcc records prune` drops such records"
)

# What rules of TVM's search are made of. Each keeps what a kernel computes, or refuses.
INSTRUCTIONS = frozenset(
    (
        *("AddUnitLoop", "Annotate", "Bind", "CacheRead", "CacheWrite", "ComputeAt"),
        *("ComputeInline", "DecomposeReduction", "EnterPostproc", "Fuse", "GetChildBlocks"),
        *("GetConsumers", "GetLoops", "GetProducers", "GetSBlock", "Parallel", "RFactor"),
        *("Reorder", "ReverseComputeAt", "ReverseComputeInline", "SampleCategorical"),
        *("SampleComputeLocation", "SamplePerfectTile", "SetScope", "Split", "StorageAlign"),
        *("Unannotate", "Unroll", "Vectorize"),
    )
)
SAMPLES = frozenset(name for name in INSTRUCTIONS if name.startswith("Sample"))
NOTES = frozenset(
    (
        *("meta_schedule.tiling_structure", "meta_schedule.parallel", "meta_schedule.vectorize"),
        *("meta_schedule.unroll_explicit", "meta_schedule.unroll_implicit"),
        *("meta_schedule.cooperative_fetch", "meta_schedule.random_compute_producer"),
        "meta_schedule.thread_extent_low_inclusive",
        "meta_schedule.thread_extent_high_inclusive",
    )
)
PRAGMAS = frozenset(("pragma_auto_unroll_max_step", "pragma_unroll_explicit"))
SCOPES = frozenset(("global", "global.vtcm", "local", "shared"))
AXES = re.compile(r"(blockIdx|threadIdx|vthread)(\.[xyz])?")
VARIABLE = re.compile(r"[blv]\d{1,9}|None")
STRUCTURE = re.compile(r'"[A-Z]{0,16}"')

# What TVM raises for an instruction that does not fit: its own errors are RuntimeErrors.
REFUSALS = (ScheduleError, RuntimeError, ValueError, TypeError, IndexError, KeyError)


def kernel_key(kernel: tirx.PrimFunc) -> str:
    """Names what an unscheduled kernel computes and how its blocks are called, 32 hex digits.

    The same in every process; attributes, the kernel's own name and those of its variables do not
    count. Blocks do: a trace names them."""
    bare = kernel
    for name in [] if kernel.attrs is None else map(str, kernel.attrs.keys()):
        if name != "s_tir":
            bare = bare.without_attr(name)
    told = [str(tvm_ffi.structural_hash(bare))]

    def visit(node: Any) -> None:
        if isinstance(node, s_tir.SBlock):
            told.append(str(node.name_hint))

    tvm_ffi.structural_walk(bare.body, visit)
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]


def trace_text(s: Schedule) -> str:
    """What was done to a kernel, as JSON."""
    return json.dumps(s.trace.as_json(), default=lambda n: n.value, separators=(",", ":"))


def apply_trace(kernel: tirx.PrimFunc, text: str) -> tirx.PrimFunc:
    """The kernel with the schedule of a trace; raises UsageError for one that is not for it."""
    steps = read_trace(text)
    # kept until the end: TVM takes a module that nobody else holds for its own, and would schedule
    # the given kernel itself, whose body the module shares
    mod = IRModule({"main": kernel.with_attr("global_symbol", "main")})
    s = Schedule(mod, seed=1)
    try:
        Trace.apply_json_to_schedule(steps, s)
    except REFUSALS as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(f"a trace does not fit its kernel: {lines[-1]}", hint=HINT) from error
    done = s.mod["main"].without_attr("global_symbol")
    if kernel.attrs is not None and "global_symbol" in kernel.attrs:
        done = done.with_attr("global_symbol", kernel.attrs["global_symbol"])
    return done


def read_trace(text: str) -> list[Any]:
    """A trace's instructions and decisions, looked through; raises UsageError."""
    if len(text) > LONGEST_CHARS:
        raise _refused(f"it has {len(text)} characters, at most {LONGEST_CHARS} are read")
    try:
        found = json.loads(text)
        instructions, decisions = found
        decided = {int(number): decision for number, decision in decisions}
        if len(instructions) > MOST_INSTRUCTIONS:
            raise _refused(f"it has {len(instructions)} instructions")
        for number, (name, inputs, attributes, outputs) in enumerate(instructions):
            _check(str(name), inputs, attributes, outputs)
            if name in SAMPLES and number not in decided:
                raise _refused(f"instruction {number}, {name}, is not decided")
        for decision in decided.values():
            _check_numbers(decision)
    except (ValueError, TypeError, RecursionError) as error:
        raise _refused(f"it is no list of instructions ({type(error).__name__})") from error
    return list(found)


def _check(name: str, inputs: list[Any], attributes: list[Any], outputs: list[Any]) -> None:
    """Raises UsageError for an instruction that may do more than rearrange loops."""
    if name not in INSTRUCTIONS:
        raise _refused(f"it has the instruction {name[:40]!r}")
    if not all(isinstance(part, list) for part in (inputs, attributes, outputs)):
        raise TypeError("parts of an instruction are lists")
    given = str(attributes[0]) if attributes else ""
    known: Mapping[str, Callable[[], object]] = {
        "Annotate": lambda: given in NOTES | PRAGMAS and _is_plain(given, inputs[1:]),
        "Unannotate": lambda: given in NOTES | PRAGMAS | {"schedule_rule"},
        "Bind": lambda: AXES.fullmatch(given),
        "SetScope": lambda: attributes[1] in SCOPES,
        "CacheRead": lambda: attributes[1] in SCOPES,
        "CacheWrite": lambda: attributes[1] in SCOPES,
    }
    try:
        fits = known[name]() if name in known else True
    except (IndexError, TypeError) as error:
        raise _refused(f"{name} lacks what it needs") from error
    if not fits:
        raise _refused(f"{name} is asked for {given[:40]!r}")
    _check_numbers([attributes, [i for i in inputs if not isinstance(i, str)]])


def _is_plain(key: str, values: list[Any]) -> bool:
    """Whether an annotation is a number, a variable or the letters of a tiling."""
    (value,) = values
    if isinstance(value, str):
        return key not in PRAGMAS and bool(VARIABLE.fullmatch(value) or STRUCTURE.fullmatch(value))
    return isinstance(value, int) and (key not in PRAGMAS or 0 <= value <= MOST_UNROLLED)


def _check_numbers(value: Any, depth: int = 0) -> None:
    """Raises UsageError for numbers, or nesting, that no search makes."""
    if depth > 8:
        raise _refused("it is nested too deeply")
    if isinstance(value, list):
        for part in value:
            _check_numbers(part, depth + 1)
    elif isinstance(value, int | float) and abs(value) > LARGEST_NUMBER:
        raise _refused(f"the number {value} is too large")
    elif isinstance(value, dict):
        raise _refused("it has an object where numbers are")


def _refused(why: str) -> UsageError:
    return UsageError(f"a trace of a schedule cannot be used: {why}", hint=HINT)
