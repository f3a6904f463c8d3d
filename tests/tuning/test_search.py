"""The search for one kernel's schedule: candidates, costs, and going on where it stopped."""

from __future__ import annotations

import pytest
import tvm_ffi

from dlcc.targets.cpu.build import unscheduled
from dlcc.targets.errors import UsageError
from dlcc.targets.registry import find_chip, kind
from dlcc.targets.traces import apply_trace, kernel_key, read_trace
from dlcc.targets.tuned import UNTUNED
from dlcc.tuning.kernels import Kernel, kernels_of
from dlcc.tuning.metaschedule.search import Candidate, Effort, KernelSearch, Measured
from tests.networks.small import conv_model, softmax_model

HOST = find_chip("host")
SMALL = Effort(population=12, generations=1, warm_up=4, threads=1)


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return kernels_of(unscheduled(conv_model(), HOST))[0]


def costed(candidates: list[Candidate], first: float = 5.0) -> list[Measured]:
    """Costs that fall, and one candidate that did not run."""
    rows = [Measured(c, first - 0.1 * n) for n, c in enumerate(candidates)]
    return [Measured(c.candidate, None if n == 2 else c.cost) for n, c in enumerate(rows)]


def test_the_first_candidate_is_our_own_schedule(kernel: Kernel) -> None:
    search = KernelSearch(kernel.func, HOST, effort=SMALL)
    first, *others = search.ask(5)
    assert first.default
    assert len(others) == 4
    assert not any(c.default for c in others)
    search.tell(costed([first, *others]))
    assert not any(c.default for c in search.ask(5))


def test_no_candidate_comes_twice(kernel: Kernel) -> None:
    search = KernelSearch(kernel.func, HOST, effort=SMALL)
    seen: set[str | None] = set()
    for _ in range(4):
        candidates = search.ask(6)
        assert not seen & {c.trace for c in candidates}
        seen |= {c.trace for c in candidates}
        search.tell(costed(candidates))
    assert search.trials == len(seen) == 24


def test_a_candidate_is_the_kernel_that_its_trace_gives(kernel: Kernel) -> None:
    search = KernelSearch(kernel.func, HOST, effort=SMALL)
    for candidate in search.ask(6)[1:]:
        assert candidate.trace is not None
        assert read_trace(candidate.trace)
        made = search.applied(candidate)
        again = apply_trace(kernel.func, candidate.trace)
        assert tvm_ffi.structural_equal(made, again)
        assert not tvm_ffi.structural_equal(made, kernel.func)
    assert kernel_key(kernel.func) == kernel.key  # it is left as it was


def test_a_search_goes_on_where_another_stopped(kernel: Kernel) -> None:
    first = KernelSearch(kernel.func, HOST, effort=SMALL)
    rows = []
    for _ in range(2):
        rows += costed(first.ask(8))
        first.tell(rows[-8:])
    second = KernelSearch(kernel.func, HOST, effort=SMALL)
    assert second.restore(rows) == 16
    assert second.trials == 16
    assert second.restore(rows) == 0  # what is known does not count twice
    new = second.ask(8)
    assert not {c.trace for c in new} & {row.candidate.trace for row in rows}
    assert not any(c.default for c in new)


def test_the_model_of_costs_is_learned_again_from_records(kernel: Kernel) -> None:
    first = KernelSearch(kernel.func, HOST, effort=SMALL)
    rows = costed(first.ask(10))
    first.tell(rows)
    second = KernelSearch(kernel.func, HOST, effort=SMALL)
    second.restore(rows)
    assert first.learned == second.learned == 9


def test_records_of_another_kernel_are_refused(kernel: Kernel) -> None:
    rows = costed(KernelSearch(kernel.func, HOST, effort=SMALL).ask(4))
    other = kernels_of(unscheduled(softmax_model(), HOST))[0]
    with pytest.raises(UsageError, match="does not fit"):
        KernelSearch(other.func, HOST, effort=SMALL).restore(rows)


@pytest.mark.parametrize("chip", ["arm", "adreno-506", "hexagon-v66"])
def test_every_kind_has_a_design_space(chip: str) -> None:
    there = find_chip(chip)
    mod = kind(there.kind).unscheduled(conv_model(channels=32, depth=32), there, UNTUNED)
    found = kernels_of(mod)
    assert found
    search = KernelSearch(found[0].func, there, effort=SMALL)
    candidates = search.ask(4)
    assert len(candidates) == 4
    assert candidates[0].default


def test_kernels_alone_are_the_kernels_of_the_model() -> None:
    for chip in ("host", "arm", "opencl", "hexagon-v66"):
        there = find_chip(chip)
        unscheduled = kind(there.kind).unscheduled
        for kernel in kernels_of(unscheduled(softmax_model(), there, UNTUNED)):
            alone = kernels_of(unscheduled(kernel.alone(), there, UNTUNED))
            assert [k.key for k in alone] == [kernel.key], (chip, kernel.name)
