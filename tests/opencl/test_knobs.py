"""Knobs of OpenCL's rules: every choice computes the same on PoCL, and foreign ones are refused."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dlcc.targets.errors import UsageError
from dlcc.targets.local import LocalDevice
from dlcc.targets.opencl.build import build, scheduled
from dlcc.targets.opencl.device import open_device
from dlcc.targets.opencl.space import space
from dlcc.targets.registry import DeviceOptions, find_chip, kind
from dlcc.targets.tuned import Knobs, Tuned
from dlcc.tuning.checks import TOLERANCE, distance, module_of, random_inputs
from dlcc.tuning.session import tune
from tests.opencl.engines import CHIPS, HALF
from tests.tuning.nets import Heard, request, trials_in

WORKLOADS = {
    "first layer": "conv2d n2 h15 w18 c3 oc24 k3x3 s2x2 p0x1x1x1 d1x1 g1 float32 packed",
    "convolution": "conv2d n1 h12 w11 c20 oc12 k3x3 s1x2 p1x2x1x0 d2x1 g1 float32 packed",
    "groups": "conv2d n2 h9 w10 c16 oc32 k3x3 s1x1 p1x1x1x1 d1x1 g2 float32 packed",
    "filtering": "conv2d n2 h9 w7 c64 oc64 k3x3 s1x1 p1x1x1x1 d1x1 g1 float32 packed",
    "pointwise": "conv2d n2 h7 w5 c40 oc33 k1x1 s1x1 p0x0x0x0 d1x1 g1 float32 packed",
    "depthwise": "conv2d n2 h10 w13 c24 oc24 k5x5 s2x1 p2x1x1x2 d1x1 g24 float32 packed",
    "multiplier": "conv2d n1 h6 w7 c5 oc15 k3x3 s1x1 p0x0x0x0 d1x1 g5 float32 packed",
    "product": "matmul m13 k48 n70 float32 packed",
    "one row": "matmul m1 k96 n130 float32 packed",
    "computed weights": "matmul m9 k24 n64 float32 plain",
}
TEXTS = list(WORKLOADS.values())
KNOBS = {"tile", "group", "order", "lanes", "steps", "pad", "winograd"}


@cache
def expected() -> Sequence[np.ndarray]:
    """What the CPU's own kernels compute."""
    made = kind("host").build(module_of(TEXTS), find_chip("host"))
    with LocalDevice(DeviceOptions()) as device:
        return device.load(made).run(random_inputs(TEXTS))


def check(engine: str, choices: Sequence[Knobs]) -> None:
    """Compute each workload with a choice, all in one model."""
    chosen = dict(zip(TEXTS, choices, strict=True))
    artifact = build(module_of(TEXTS), CHIPS[engine], Tuned(chosen))
    with open_device("emulator", DeviceOptions()) as device:
        found = device.load(artifact).run(random_inputs(TEXTS))
    for text, value, wanted in zip(TEXTS, found, expected(), strict=True):
        assert distance([value], [wanted]) < TOLERANCE, (text, chosen[text])


def samples(engine: str, count: int) -> list[list[Knobs]]:
    """Choices for all workloads, at random, of as many knobs as go together."""
    generator = random.Random(engine)
    spaces = [space(text, CHIPS[engine]) for text in TEXTS]
    most = [[c for c in choices if len(c) == max(map(len, choices))] for choices in spaces]
    return [[generator.choice(choices) for choices in most] for _ in range(count)]


@pytest.mark.device("opencl")
@pytest.mark.parametrize("engine", CHIPS)
def test_choices_compute_what_they_are_to(engine: str) -> None:
    check(engine, samples(engine, 1)[0])


@pytest.mark.slow
@pytest.mark.device("opencl")
@pytest.mark.parametrize("engine", CHIPS)
@pytest.mark.parametrize("number", range(1, 12))
def test_more_choices_compute_what_they_are_to(engine: str, number: int) -> None:
    check(engine, samples(engine, number + 1)[number])


@pytest.mark.slow
@pytest.mark.device("opencl")
@pytest.mark.parametrize("engine", CHIPS)
@pytest.mark.parametrize("number", range(30))
def test_every_value_alone_computes_what_it_is_to(engine: str, number: int) -> None:
    spaces = [[c for c in space(text, CHIPS[engine]) if len(c) < 2] for text in TEXTS]
    check(engine, [choices[number % len(choices)] for choices in spaces])


@pytest.mark.parametrize("engine", CHIPS)
@pytest.mark.parametrize("name", WORKLOADS)
def test_the_space_begins_with_the_default_and_has_each_choice_once(name: str, engine: str) -> None:
    choices = space(WORKLOADS[name], CHIPS[engine])
    assert choices[0] == {}
    assert len(choices) > 10
    assert len({tuple(sorted(c.items())) for c in choices}) == len(choices)
    assert [len(c) for c in choices] == sorted(len(c) for c in choices)


def test_what_a_device_has_decides_what_is_tried() -> None:
    def names(engine: str) -> set[str]:
        return {name for text in TEXTS for c in space(text, CHIPS[engine]) for name in c}

    assert names("cpu") == KNOBS
    assert names("gpu") == {*KNOBS, "local", "shares"}
    groups = {c["group"] for c in space(TEXTS[0], CHIPS["gpu"]) if "group" in c}
    assert max(groups) == 256  # type: ignore[type-var]  # and no more: that is its limit
    half = {name for text in TEXTS for c in space(text, HALF) for name in c}
    assert half == KNOBS - {"winograd"}


CHANGES = {
    "group": ("pointwise", {"group": 2}, "threadIdx.x"),
    "lanes": ("pointwise", {"lanes": 2}, "T.vectorized(T.int64(2))"),
    "steps": ("pointwise", {"steps": 4}, "T.unroll(T.int64(4))"),
    "local": ("product", {"local": 16}, 'scope="shared"'),
    "shares": ("one row", {"shares": 8}, "threadIdx.y"),
    "winograd": ("filtering", {"winograd": "2x1"}, "columns_local"),
}


def text_of(name: str, engine: str, knobs: Knobs) -> str:
    workload = WORKLOADS[name]
    return scheduled(module_of([workload]), CHIPS[engine], Tuned({workload: knobs}))


@pytest.mark.parametrize("knob", CHANGES)
def test_a_choice_makes_another_kernel(knob: str) -> None:
    name, knobs, there = CHANGES[knob]
    default, chosen = text_of(name, "gpu", {}), text_of(name, "gpu", knobs)
    assert chosen != default
    assert there in chosen


def test_tiles_side_by_side_are_those_of_the_order() -> None:
    """The panel is the number of a work-item, or what all of a group share."""
    panels, pixels = (text_of("product", "gpu", {"order": o}) for o in ("panels", "pixels"))
    assert panels != pixels


def test_padding_is_compared_where_it_is_read_or_a_launch_of_its_own() -> None:
    launches = {
        pad: text_of("depthwise", "gpu", {"pad": pad}).count('thread="blockIdx.x"')
        for pad in ("inline", "whole")
    }
    assert launches == {"inline": 1, "whole": 2}


@pytest.mark.parametrize(
    ("name", "knobs"),
    [("pointwise", {"tile": "0x8"}), ("pointwise", {"group": 0}), ("pointwise", {"group": 257}),
     ("pointwise", {"group": "8"}), ("product", {"order": "diagonal"}), ("product", {"lanes": 3}),
     ("product", {"steps": 5}), ("product", {"steps": 0}), ("product", {"local": 7}),
     ("one row", {"shares": 3}), ("depthwise", {"pad": "block"}), ("filtering", {"winograd": "5"})],
)  # fmt: skip
def test_a_foreign_choice_is_refused(name: str, knobs: Knobs) -> None:
    with pytest.raises(UsageError, match="a tuning record sets"):
        text_of(name, "gpu", knobs)


def test_a_group_whose_operand_exceeds_local_memory_is_refused() -> None:
    gpu = CHIPS["gpu"].gpu
    assert gpu is not None
    small = replace(CHIPS["gpu"], gpu=replace(gpu, local_bytes=64))
    workload = WORKLOADS["product"]
    with pytest.raises(UsageError, match="sets local to 16"):
        scheduled(module_of([workload]), small, Tuned({workload: {"local": 16}}))


@pytest.mark.parametrize("engine", ["gpu", "cpu"])
def test_filtering_is_for_processors_where_nobody_chose(engine: str) -> None:
    assert ("columns_local" in text_of("filtering", engine, {})) == (engine == "cpu")


@pytest.mark.slow
@pytest.mark.device("opencl")
def test_a_network_is_tuned_by_its_knobs(tmp_path: Path) -> None:
    made = replace(
        request(tmp_path, trials=8, kind="dlcc.targets.opencl"),
        chip=CHIPS["cpu"],
        addresses=["emulator"],
    )
    outcome = tune(made, Heard())
    assert (outcome.reward, outcome.failed) == ("seconds", 0)
    records = trials_in(tmp_path)
    assert len(records) == 8
    assert {(r.kind, r.reward, r.verified) for r in records} == {("opencl", "seconds", True)}
    tried = {r.workload.split(" ")[0] for r in records if r.choice}
    assert "conv2d" in tried  # the product may be too small a share of the run
