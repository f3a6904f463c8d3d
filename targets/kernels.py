"""What each kernel of code for TVM's runtime computes, and what each call of one costs.

The build writes the first into the artifact as `kernels.json`; devices measure the second.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dlcc.targets.device import CallTime
from dlcc.targets.errors import DeviceError
from dlcc.targets.tuned import KNOBS, WORKLOAD, Knobs

if TYPE_CHECKING:
    from tvm import tirx
    from tvm.ir import IRModule

    from dlcc.targets.artifact import Artifact
    from dlcc.targets.rpc.instrument import Call

KERNELS = "kernels.json"
PROFILED_RUNS = 5  # of a model whose time is measured


@dataclass(frozen=True, slots=True)
class Kernel:
    """nodes: what of the graph it computes.   macs: multiply-accumulates, None where not known.
    workload: what tuning records name it by, "" for a kernel without knobs.
    knobs: what tuning chose, {} where the cost model did.
    key: names the kernel before its schedule, see `traces`.
    operand_bytes: of all that it reads and writes, None where not known.
    factors: dtype of what it multiplies and sums, "" where it has no such products.
    calls: how often the model's functions call it, 0 where not known."""

    nodes: tuple[str, ...] = ()
    macs: int | None = None
    workload: str = ""
    knobs: Knobs = field(default_factory=dict)
    key: str = ""
    operand_bytes: int | None = None
    factors: str = ""
    calls: int = 0


def kernel_table(mod: IRModule) -> bytes:
    """The file of a module whose kernels carry the names of what they compute, not scheduled yet:
    a schedule rewrites the loops that multiply-accumulates are counted from."""
    from dlcc.targets.aot.macs import counted, factors, operand_bytes
    from dlcc.targets.cpu.sources import kernels_of
    from dlcc.targets.names import nodes_of
    from dlcc.targets.traces import kernel_key

    calls = _calls(mod)
    rows = {
        name: {"nodes": nodes_of(mod, variables), "macs": counted(mod[name]) or None}
        | {"key": kernel_key(mod[name]), "operand_bytes": operand_bytes(mod[name])}
        | {"factors": factors(mod[name]), "calls": calls[name]}
        | planned(mod[name])
        for name, variables in kernels_of(mod).items()
    }
    return json.dumps(rows, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"


def _calls(mod: IRModule) -> Counter[str]:
    """How often each kernel is called, by all functions of a module together."""
    from tvm import relax
    from tvm.ir import GlobalVar

    found: Counter[str] = Counter()

    def visit(expr: Any) -> None:
        if isinstance(expr, relax.Call):
            found.update(str(a.name_hint) for a in expr.args[:1] if isinstance(a, GlobalVar))

    for func in mod.functions.values():
        if isinstance(func, relax.Function):
            relax.analysis.post_order_visit(func.body, visit)
    return found


def planned(kernel: tirx.PrimFunc) -> dict[str, Any]:
    """Workload and knobs of a kernel that is not scheduled yet, {} of one that has none."""
    import tvm_ffi
    from tvm import s_tir

    found: dict[str, Any] = {}

    def visit(node: Any) -> None:
        if isinstance(node, s_tir.SBlock) and WORKLOAD in node.annotations:
            knobs = {
                str(name): value if isinstance(value, int) else str(value)
                for name, value in node.annotations[KNOBS].items()
            }
            found.update(workload=str(node.annotations[WORKLOAD]), knobs=knobs)

    tvm_ffi.structural_walk(kernel.body, visit)
    return found


def kernels_in(artifact: Artifact) -> dict[str, Kernel]:
    """Kernel -> what it computes; of an artifact without the file, nothing. Raises DeviceError."""
    content = artifact.files.get(KERNELS, b"{}")
    try:
        rows = {
            str(name): Kernel(
                tuple(map(str, row["nodes"])),
                row["macs"],
                str(row.get("workload", "")),
                dict(row.get("knobs", {})),
                str(row.get("key", "")),
                row.get("operand_bytes"),
                str(row.get("factors", "")),
                int(row.get("calls", 0)),
            )
            for name, row in json.loads(content).items()
        }
        numbers = [n for k in rows.values() for n in (k.macs, k.operand_bytes)]
        if not all(n is None or isinstance(n, int) for n in numbers):
            raise ValueError("multiply-accumulates or bytes are no number")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DeviceError(
            f"the table of kernels for {artifact.chip} is damaged: {error}",
            hint="compile the model again",
        ) from error
    return rows


def calls_of(machine: Any, arguments: Sequence[Any]) -> list[Call]:
    """The calls of kernels in one run of `main`, in a virtual machine of this process, in ns."""
    from dlcc.targets.rpc.instrument import Instrument

    instrument = Instrument()
    attach = machine.module["set_instrument"]
    attach(instrument)
    try:
        machine["main"](*arguments)
    finally:
        attach(None)
    return instrument.take()


def typical(runs: Sequence[Sequence[Call]]) -> list[Call]:
    """Of several runs the median of each call; where not all make the same calls, the last run."""
    if len({tuple(call.name for call in run) for run in runs}) > 1:
        return list(runs[-1])
    return [
        replace(calls[0], spent=round(statistics.median(call.spent for call in calls)))
        for calls in zip(*runs, strict=True)
    ]


def nodes_by_call(names: Sequence[str], kernels: Mapping[str, Kernel]) -> Iterator[tuple[str, ...]]:
    """What each call of an inference computes. names: the kernel of each call, in order.

    Equal layers share a kernel, which lists the nodes of all of them in order. Where it is called
    as often as the model says, each call has its part; in a loop it is called more often, and each
    call has all."""
    total, seen = Counter(names), Counter[str]()
    for name in names:
        kernel = kernels.get(name, Kernel())
        size, rest = divmod(len(kernel.nodes), max(1, kernel.calls))
        at = seen[name] * size
        seen[name] += 1
        whole = rest or kernel.calls != total[name]
        yield kernel.nodes if whole else kernel.nodes[at : at + size]


def call_times(
    calls: Sequence[Call], kernels: Mapping[str, Kernel], counted: str = ""
) -> list[CallTime]:
    """A row for each call. counted: the name of the events that were counted; "" for
    nanoseconds."""
    total = sum(call.spent for call in calls)
    rows = []
    computed = nodes_by_call([call.name for call in calls], kernels)
    for call, nodes in zip(calls, computed, strict=True):
        kernel = kernels.get(call.name, Kernel())
        row = CallTime(
            name=call.name,
            sources=nodes,
            placement=call.placement,
            time_s=None if counted else call.spent * 1e-9,
            counts={counted: call.spent} if counted else {},
            bytes=call.bytes,
            share=call.spent / total if total else 0.0,
            macs=kernel.macs,
            operand_bytes=kernel.operand_bytes,
            factors=kernel.factors,
        )
        rows.append(row)
    return rows
