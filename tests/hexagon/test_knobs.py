"""Knobs of the DSP's 8-bit rules: every choice computes the same, and foreign ones are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tvm import relax
from tvm.ir import IRModule

from dlcc.targets.errors import UsageError
from dlcc.targets.hexagon.build import build
from dlcc.targets.hexagon.space import space
from dlcc.targets.kernels import planned
from dlcc.targets.names import with_names
from dlcc.targets.registry import find_chip
from dlcc.targets.tuned import Knobs, Tuned
from dlcc.targets.workload import parse
from dlcc.tuning.checks import module_of, random_inputs
from dlcc.tuning.session import tune
from tests.hexagon.kernels import Product, legal, module, packets, run, scheduled
from tests.hexagon.kernels import random_inputs as random_data
from tests.tuning.nets import Heard, request, trials_in

TRIED = 4  # choices of each workload, from all over its space
CASES = [
    Product((7, 64), 96, zero=3, low=0, high=255),
    Product((1, 6, 6, 32), 64, requantised=True, zero=9),
    Product((1, 9, 11, 12), 64, 3, pad=1, zero=3, requantised=True),
    Product((1, 8, 6, 64), 64, 3, pad=1, depthwise=True, zero=100, requantised=True),
    Product((2, 6, 8, 40), 40, 3, pad=1, depthwise=True, zero=1, dtype="int8"),
    Product((1, 8, 8, 160), 160, 5, 2, pad=2, depthwise=True, zero=3, low=-255, high=255),
    Product((1, 9, 8, 64), 64, 3, pad=2, dilation=2, depthwise=True, zero=7, requantised=True),
    Product((1, 15, 15, 32), 32, 7, pad=2, dilation=2, depthwise=True),
]


def graph(case: Product) -> IRModule:
    return module(case.make, [(case.shape, case.dtype)])


def as_model(case: Product) -> IRModule:
    """The same, with a tuple of results."""
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(case.shape, case.dtype))
    with bb.function("main", [x], attrs={"num_input": 1}):
        with bb.dataflow():
            y = bb.emit_output(case.make(bb, x))
        bb.emit_func_output(relax.Tuple([y]))
    return with_names(bb.get(), {}, ["y"])


def workload(case: Product) -> str:
    mod = legal(graph(case))
    kernels = [planned(f) for v, f in mod.functions.items() if str(v.name_hint) != "main"]
    (found,) = {k["workload"] for k in kernels if k}
    return str(found)


def with_knobs(case: Product, knobs: Knobs) -> IRModule:
    return scheduled(graph(case), tuned=Tuned({workload(case): knobs}))[0]


@pytest.mark.device("hexagon")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_choice_computes_the_product(case: Product) -> None:
    choices = space(workload(case), find_chip("hexagon"))
    assert choices[0] == {}
    assert len(choices) > 1
    xs = random_data([(case.shape, case.dtype)])
    want = case.expected(xs[0])
    step = max(1, len(choices) // TRIED)
    for knobs in choices[1::step]:
        found, _ = run(with_knobs(case, knobs), xs)
        np.testing.assert_array_equal(found, want, err_msg=f"{knobs}")


@pytest.mark.device("hexagon")
def test_a_choice_makes_another_kernel() -> None:
    case = CASES[3]
    xs = random_data([(case.shape, case.dtype)])
    choices: list[Knobs] = [{}, {"window": "taps"}, {"window": "words", "tile": "1x2"}]
    counts = [packets(run(with_knobs(case, knobs), xs)[1]) for knobs in choices]
    assert len(set(counts)) == len(counts)


@pytest.mark.parametrize(
    ("case", "knobs"),
    [(CASES[0], {"tile": "13x1"}), (CASES[0], {"tile": 3}), (CASES[0], {"steps": 0}),
     (CASES[0], {"steps": "2"}), (CASES[2], {"tile": "1x9"}), (CASES[3], {"window": "columns"}),
     (CASES[3], {"tile": "3x2"}), (CASES[3], {"window": "words", "tile": ""})],
)  # fmt: skip
def test_a_foreign_choice_is_refused(case: Product, knobs: Knobs) -> None:
    text = workload(case)
    with pytest.raises(UsageError, match="a tuning record sets"):
        build(graph(case), find_chip("hexagon"), Tuned({text: knobs}))


def test_a_way_that_channels_do_not_allow_is_refused() -> None:
    case = Product((1, 8, 8, 8), 8, 3, pad=1, depthwise=True)
    assert space(workload(case), find_chip("hexagon")) == [{}]
    with pytest.raises(UsageError, match="that its channels allow"):
        with_knobs(case, {"window": "words"})


def test_workloads_are_checked_alone_with_random_bytes() -> None:
    """Their models get the kernels that the workloads name."""
    texts = [workload(case) for case in CASES]
    made = legal(module_of(texts))
    kernels = [planned(f) for v, f in made.functions.items() if str(v.name_hint) != "main"]
    assert {k["workload"] for k in kernels if k} == set(texts)
    for text, x in zip(texts, random_inputs(texts), strict=True):
        assert str(x.dtype) == parse(text).dtype


@pytest.mark.slow
@pytest.mark.device("hexagon")
def test_a_network_is_tuned_by_packets(tmp_path: Path) -> None:
    case = Product((1, 12, 12, 64), 64, 3, pad=1, depthwise=True, zero=3, requantised=True)
    made = replace(
        request(tmp_path, as_model(case), trials=8, kind="dlcc.targets.hexagon"),
        chip=find_chip("hexagon"),
        addresses=["emulator"],
        feeds=random_data([(case.shape, case.dtype)]),
    )
    outcome = tune(made, Heard())
    assert (outcome.reward, outcome.failed) == ("packets", 0)
    records = trials_in(tmp_path)
    assert len(records) == 8
    assert {(r.kind, r.reward, r.verified) for r in records} == {("hexagon", "packets", True)}
    assert len({r.cost for r in records}) > 1
