"""The search for one kernel's schedule: candidates, costs, and going on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import tvm_ffi
from tvm import relax
from tvm.ir import IRModule

from dlcc.targets.cpu.build import unscheduled
from dlcc.targets.errors import UsageError
from dlcc.targets.registry import find_chip, kind
from dlcc.targets.traces import apply_trace, kernel_key, read_trace
from dlcc.targets.tuned import UNTUNED
from dlcc.tuning.kernels import Kernel, kernels_of, random_inputs
from dlcc.tuning.metaschedule.search import MANY_BLOCKS, Effort, KernelSearch
from tests.networks.small import conv_model, softmax_model

HOST = find_chip("host")
SMALL = Effort(population=12, generations=1, warm_up=4, threads=1)


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return kernels_of(unscheduled(conv_model(), HOST))[0]


def costed(traces: list[str], first: float = 5.0) -> list[tuple[str, float | None]]:
    """Costs that fall, and one candidate that did not run."""
    return [(trace, None if n == 2 else first - 0.1 * n) for n, trace in enumerate(traces)]


def test_no_candidate_comes_twice(kernel: Kernel) -> None:
    search = KernelSearch(kernel.func, HOST, effort=SMALL)
    seen: set[str] = set()
    for _ in range(3):
        traces = search.ask(6)
        assert len(traces) == 6
        assert not seen & set(traces)
        seen |= set(traces)
        search.tell(costed(traces))
    assert len(seen) == 18


def test_a_candidate_is_another_schedule_of_the_kernel(kernel: Kernel) -> None:
    for trace in KernelSearch(kernel.func, HOST, effort=SMALL).ask(4):
        assert read_trace(trace)
        made = apply_trace(kernel.func, trace)
        assert not tvm_ffi.structural_equal(made, kernel.func)
    assert kernel_key(kernel.func) == kernel.key  # it is left as it was


def test_a_search_goes_on_where_another_stopped(kernel: Kernel) -> None:
    """With what the model of costs had learned, and without what was tried."""
    first = KernelSearch(kernel.func, HOST, effort=SMALL)
    rows = []
    for _ in range(2):
        rows += costed(first.ask(6))
        first.tell(rows[-6:])
    second = KernelSearch(kernel.func, HOST, effort=SMALL)
    second.tell(rows)
    assert first.learned == second.learned == 12
    second.tell(rows)  # what is known does not count twice
    assert second.learned == 12
    assert not set(second.ask(6)) & {trace for trace, _ in rows}


def test_records_of_another_kernel_are_refused(kernel: Kernel) -> None:
    rows = costed(KernelSearch(kernel.func, HOST, effort=SMALL).ask(4))
    other = kernels_of(unscheduled(softmax_model(), HOST))[0]
    with pytest.raises(UsageError, match="does not fit"):
        KernelSearch(other.func, HOST, effort=SMALL).tell(rows)


def test_kernels_of_many_blocks_get_less_effort(kernel: Kernel) -> None:
    assert KernelSearch(kernel.func, HOST).effort == Effort()
    blocks = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 8, 8, 8), "float32"))
    with blocks.function("main", [x]):
        with blocks.dataflow():
            y = x
            for _ in range(MANY_BLOCKS + 1):
                y = blocks.emit(relax.op.exp(y))
            out = blocks.emit_output(relax.Tuple([y]))
        blocks.emit_func_output(out)
    (long,) = kernels_of(unscheduled(blocks.get(), HOST))
    assert KernelSearch(long.func, HOST).effort.population < Effort().population


CONV = partial(conv_model, channels=32, depth=32)


@pytest.mark.parametrize(
    ("chip", "model"),
    [
        ("arm", CONV),
        ("hexagon-v66", CONV),
        ("adreno-506", softmax_model),
        # of its candidates most do not fit a GPU: half a minute for the first that do
        pytest.param("adreno-506", CONV, marks=pytest.mark.slow),
    ],
)
def test_every_kind_has_a_design_space(chip: str, model: Callable[[], IRModule]) -> None:
    there = find_chip(chip)
    kernel = kernels_of(kind(there.kind).unscheduled(model(), there, UNTUNED))[0]
    candidates = KernelSearch(kernel.func, there, effort=SMALL).ask(2)
    assert len(candidates) == 2
    choices = [n for c in candidates for n in sampled(c)]
    assert choices
    if model is CONV:  # of a softmax threads are sampled too
        assert max(choices) <= 64  # steps that are unrolled: for more compilers take minutes


def sampled(trace: str) -> list[int]:
    """The numbers of which a trace took one, such as steps to unroll."""
    instructions, _ = json.loads(trace)
    lists = [
        attributes[0] for name, _, attributes, _ in instructions if name == "SampleCategorical"
    ]
    return [int(number) for numbers in lists for number in numbers]


def test_kernels_alone_are_the_kernels_of_the_model() -> None:
    for chip in ("host", "arm", "opencl", "hexagon-v66"):
        there = find_chip(chip)
        unscheduled = kind(there.kind).unscheduled
        for kernel in kernels_of(unscheduled(softmax_model(), there, UNTUNED)):
            alone = kernels_of(unscheduled(kernel.alone(), there, UNTUNED))
            assert [k.key for k in alone] == [kernel.key], (chip, kernel.name)


def test_random_inputs_are_the_same_everywhere(kernel: Kernel) -> None:
    a, b = random_inputs(kernel.inputs, 5), random_inputs(kernel.inputs, 5)
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not np.array_equal(a[0], random_inputs(kernel.inputs, 6)[0])


def test_what_can_stand_alone_of_a_softmax() -> None:
    found = kernels_of(unscheduled(softmax_model(), HOST))
    assert [(k.outputs, k.calls) for k in found] == [(1, 1)]
