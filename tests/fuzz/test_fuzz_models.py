"""Damaged models give a result or an error of ours: no crash, no hang, no other exception."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maker import Maker
from mutations import MUTATIONS, damaged, mutated
from seeds import seeds

from dlcc.compiler.errors import BadNode, DlccError, ModelError
from dlcc.compiler.frontend.load import load
from dlcc.compiler.frontend.translate import translate
from dlcc.compiler.passes.pipeline import optimize

pytestmark = pytest.mark.usefixtures("bounded")

SEEDS = st.integers(0, (1 << 32) - 1)
STEPS = st.lists(st.tuples(st.sampled_from(MUTATIONS), SEEDS), min_size=1, max_size=4)
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
FEW = settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
MANY = settings(max_examples=10_000, deadline=None, suppress_health_check=QUIET)


def convert(model: object) -> None:
    """Import a model; what dlcc says of a bad one is as good as a result."""
    with suppress(DlccError):
        optimize(translate(load(model)).module)


@pytest.mark.parametrize("data", seeds(), ids=("network", "shapes", "image", "frames", "functions"))
def test_seeds_are_sound(data: bytes) -> None:
    optimize(translate(load(mutated(data, []))).module)


@FEW
@given(st.sampled_from(seeds()), STEPS)
def test_damaged_graphs(data: bytes, steps: list) -> None:
    convert(mutated(data, steps))


@FEW
@given(st.sampled_from(seeds()), SEEDS)
def test_damaged_files(tmp_path_factory: pytest.TempPathFactory, data: bytes, seed: int) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.pb"
    path.write_bytes(damaged(data, seed))
    convert(path)


@pytest.mark.slow
@MANY
@given(st.sampled_from(seeds()), STEPS)
def test_damaged_graphs_at_length(data: bytes, steps: list) -> None:
    convert(mutated(data, steps))


PROGRAM = """
import random, sys
from maker import Maker
from mutations import MUTATIONS, mutated
from seeds import seeds
import numpy as np
from dlcc.compiler import compile
from dlcc.compiler.errors import DlccError

for seed in range(int(sys.argv[1]), int(sys.argv[2])):
    print(seed, flush=True)
    rng = random.Random(seed)
    graph = mutated(rng.choice(seeds()), [(rng.choice(MUTATIONS), rng.randrange(1 << 32))])
    try:
        made = compile(graph)
        sizes = [[3 if isinstance(d, str) else d for d in i.shape] for i in made.inputs]
        if any(np.prod(s, dtype=float) > 1e6 for s in sizes):
            continue
        feeds = {i.name: np.ones(s, i.dtype) for i, s in zip(made.inputs, sizes)}
        with made.session() as session:
            session.run(feeds)
    except DlccError:
        pass
"""


def run_in_child(first: int, last: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(first), str(last)],
        cwd=Path(__file__).parent, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    reached = done.stdout.split()[-1:]
    assert done.returncode == 0, f"at seed {reached}: {done.stderr[-2000:]}"


def test_damaged_graphs_built_and_run() -> None:
    run_in_child(0, 30)


@pytest.mark.slow
def test_damaged_graphs_built_and_run_at_length() -> None:
    for first in range(100, 400, 100):
        run_in_child(first, first + 100)


def test_a_huge_fill_is_refused() -> None:
    m = Maker()
    m.const("dims", [1_000_000, 1_000_000], "int32"), m.const("value", 1.0)
    m.node("fill", "Fill", "dims", "value", T="float32", index_type="int32")
    with pytest.raises(BadNode, match="fill"):
        translate(load(m.graph))


@pytest.mark.parametrize("op", ["Tile", "BroadcastTo", "Range", "LinSpace", "OneHot"])
def test_what_grows_without_bound_is_refused(op: str) -> None:
    m = Maker()
    m.const("v", 0.5), m.const("row", np.ones((1, 2))), m.const("huge", 2_000_000_000, "int32")
    m.ints("times", 2_000_000_000, 2_000_000_000), m.const("zero", 0, "int32")
    m.const("one", 1, "int32")
    inputs = {
        "Tile": ("row", "times"), "BroadcastTo": ("v", "times"), "Range": ("zero", "huge", "one"),
        "LinSpace": ("v", "v", "huge"), "OneHot": ("one", "huge", "v", "v"),
    }  # fmt: skip
    m.node("grown", op, *inputs[op], T="float32", Tidx="int32")
    if op == "Range":  # computed on the device: two thousand million numbers can be had
        convert(m.graph)
        return
    with pytest.raises(ModelError, match="grown"):
        translate(load(m.graph))


def test_an_input_of_absurd_shape_is_refused() -> None:
    m = Maker()
    m.node("y", "Relu", m.input("x", 1 << 40, 0), T="float32")
    with pytest.raises(ModelError, match="x"):
        translate(load(m.graph))


def test_a_cycle_is_named() -> None:
    m = Maker()
    m.node("a", "Relu", "b", T="float32"), m.node("b", "Relu", "a", T="float32")
    with pytest.raises(ModelError, match="cycle"):
        load(m.graph, outputs=["b"])


def test_a_constant_of_endless_repetition_is_refused() -> None:
    m = Maker()
    m.const("c", np.ones((1, 1)))
    tensor = m.graph.node[0].attr["value"].tensor
    tensor.tensor_content, tensor.tensor_shape.dim[0].size = b"", 1 << 31
    m.node("y", "Relu", "c", T="float32")
    with pytest.raises(BadNode, match="repeated to 2,147,483,648 elements"):
        translate(load(m.graph))


def test_a_loop_with_a_damaged_name_is_named() -> None:
    graph = mutated(seeds()[3], [])
    enter = next(n for n in graph.node if n.op == "Enter")
    enter.attr["frame_name"].type = 25
    with pytest.raises(BadNode, match="the name of its loop is damaged"):
        load(graph)
