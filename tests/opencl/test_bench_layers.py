"""The OpenCL benchmark: what it takes for a layer, and when it is not content."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relax

R = relax.op
RNG = np.random.default_rng(5)


def network(body, *shapes):
    """A module whose `main` takes tensors of these shapes and returns a tuple of body's result."""
    builder = relax.BlockBuilder()
    params = [relax.Var(f"x{i}", relax.TensorType(s, "float32")) for i, s in enumerate(shapes)]
    with builder.function("main", params):
        with builder.dataflow():
            made = builder.emit_output(relax.Tuple([body(builder, *params)]))
        builder.emit_func_output(made)
    return builder.finalize()


def const(*shape):
    return relax.const(RNG.normal(size=shape).astype("float32"))


def conv(x, *weight, **options):
    layout = {"data_layout": "NHWC", "kernel_layout": "HWIO", "out_layout": "NHWC"}
    return R.nn.conv2d(x, const(*weight), **layout, **options)


def run(mod, *arrays):
    machine = relax.VirtualMachine(tvm.compile(mod, target="llvm"), tvm.cpu())
    return machine["main"](*(tvm.runtime.tensor(a) for a in arrays))[0].numpy()


def block(b, x, outputs=8):
    """Convolution, bias, ReLU6."""
    y = b.emit(conv(x, 3, 3, int(x.ty.shape[-1]), outputs, padding=(1, 1)))
    y = b.emit(R.add(y, const(1, 1, 1, outputs)))
    y = b.emit(R.maximum(relax.const(0.0), y))
    return b.emit(R.minimum(relax.const(6.0), y))


def residual(b, x):
    """A block, another beside it, their sum, its mean."""
    left, right = block(b, x), block(b, x)
    return b.emit(R.mean(b.emit(R.nn.relu(b.emit(R.add(left, right)))), axis=[1, 2]))


def test_elementwise_operators_belong_to_the_layer_before_them(script) -> None:
    found = script("opencl_layers").layers({"n": network(block, (1, 6, 6, 8))})
    assert [row.name for row in found] == ["conv2d 3x3, add, maximum, minimum: 1x6x6x8 -> 1x6x6x8"]


def test_a_layer_computes_what_the_network_does(script) -> None:
    mod = network(block, (1, 6, 6, 8))
    x = RNG.normal(size=(1, 6, 6, 8)).astype("float32")
    layer = script("opencl_layers").layers({"n": mod})[0].module
    np.testing.assert_array_equal(run(layer, x), run(mod, x))


def test_a_sum_ends_the_layer_made_last_and_reads_the_other(script) -> None:
    found = script("opencl_layers").layers({"n": network(residual, (1, 6, 6, 8))})
    names = [row.name.split(":")[0] for row in found]
    assert names == [
        "conv2d 3x3, add, maximum, minimum",
        "conv2d 3x3, add, maximum, minimum, add, relu",
        "mean",
    ]
    assert [len(row.module["main"].params) for row in found] == [1, 2, 1]


def test_what_two_read_ends_its_layer(script) -> None:
    def body(b, x):
        y = b.emit(conv(x, 1, 1, 8, 8))
        return b.emit(R.multiply(y, b.emit(R.sigmoid(y))))

    found = script("opencl_layers").layers({"n": network(body, (1, 4, 4, 8))})
    assert [row.name.split(":")[0] for row in found] == ["conv2d 1x1", "sigmoid, multiply"]
    assert len(found[1].module["main"].params) == 1, "both operands are one tensor"


def test_a_sum_that_broadcasts_is_a_layer_of_its_own(script) -> None:
    def body(b, x):
        return b.emit(R.add(b.emit(R.mean(x, axis=[1], keepdims=True)), x))

    found = script("opencl_layers").layers({"n": network(body, (2, 3))})
    assert [row.name for row in found] == ["mean: 2x3 -> 2x1", "add: 2x1 -> 2x3"]


def test_reshapes_are_no_layers(script) -> None:
    def body(b, x):
        flat = b.emit(R.reshape(x, (1, 32)))
        return b.emit(R.nn.softmax(b.emit(R.matmul(flat, const(32, 10)))))

    found = script("opencl_layers").layers({"n": network(body, (1, 4, 8))})
    assert [row.name.split(":")[0] for row in found] == ["matmul", "softmax"]


def test_equal_layers_are_counted_in_each_network(script) -> None:
    def twice(b, x):
        return block(b, block(b, x))

    nets = {"one": network(block, (1, 6, 6, 8)), "two": network(twice, (1, 6, 6, 8))}
    assert [row.counts for row in script("opencl_layers").layers(nets)] == [{"one": 1, "two": 2}]


@pytest.mark.parametrize(
    "other",
    [
        lambda b, x: b.emit(conv(x, 1, 1, 8, 8, strides=(2, 2))),
        lambda b, x: b.emit(conv(x, 1, 1, 8, 4)),
        lambda b, x: b.emit(R.nn.relu(b.emit(conv(x, 1, 1, 8, 8)))),
    ],
    ids=["attributes", "weights", "what follows"],
)
def test_layers_differ_by(script, other) -> None:
    nets = {
        "a": network(lambda b, x: b.emit(conv(x, 1, 1, 8, 8)), (1, 6, 6, 8)),
        "b": network(other, (1, 6, 6, 8)),
    }
    assert [row.counts for row in script("opencl_layers").layers(nets)] == [{"a": 1}, {"b": 1}]


def test_limits_are_part_of_a_layer_and_weights_are_not(script) -> None:
    def clipped(limit):
        return network(lambda b, x: b.emit(R.minimum(relax.const(limit), x)), (2, 3))

    nets = {"six": clipped(6.0), "again": clipped(6.0), "one": clipped(1.0)}
    counts = [row.counts for row in script("opencl_layers").layers(nets)]
    assert counts == [{"six": 1, "again": 1}, {"one": 1}]


def test_work_of_layers(script) -> None:
    def body(b, x):
        y = b.emit(conv(x, 3, 3, 1, 8, groups=8, padding=(1, 1)))
        y = b.emit(conv(y, 3, 3, 8, 16, padding=(1, 1), strides=(2, 2)))
        y = b.emit(R.mean(y, axis=[1, 2]))
        return b.emit(R.matmul(y, const(16, 10)))

    found = script("opencl_layers").layers({"n": network(body, (1, 6, 6, 8))})
    products = [6 * 6 * 8 * 9, 3 * 3 * 16 * 9 * 8, 0, 16 * 10]
    assert [row.flops for row in found] == [2 * n for n in products]
    numbers = [2 * 6 * 6 * 8 + 9 * 8, 6 * 6 * 8 + 9 * 8 * 16 + 9 * 16, 9 * 16 + 16, 16 + 160 + 10]
    assert [row.size_bytes for row in found] == [4 * n for n in numbers]


def row(script, **changes):
    made = script("bench_opencl").Row("conv", {"n": 2}, 4_000_000, 2_000_000, 1e-3, 3e-3, 1e-7)
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, ""),
        ({"theirs_s": 0.95e-3}, ""),
        ({"theirs_s": 0.85e-3}, "SLOWER"),
        ({"difference": 1e-3}, "WRONG"),
        ({"difference": float("nan")}, "WRONG"),
        ({"on_cpu": ("conv",)}, "ON CPU"),
    ],
)
def test_verdict_of_a_layer(script, changes, verdict: str) -> None:
    made = row(script, **changes)
    assert made.verdict == verdict
    asked = script("bench_opencl").verdicts([made] + [row(script, theirs_s=1.0)] * 3)
    assert all(asked.values()) == (not verdict)


def test_the_mean_has_a_bar(script) -> None:
    bench = script("bench_opencl")
    rows = [row(script, theirs_s=1e-3), row(script, theirs_s=3.9e-3)]
    asked = bench.verdicts(rows)
    assert [what for what, holds in asked.items() if not holds] == [
        "geometric mean 2.0 times TVM's default (bar 2)"
    ]


def test_rows_are_shown_with_what_the_device_can_do(script) -> None:
    bench = script("bench_opencl")
    table = bench.markdown([row(script)], bench.Peak(gflops=8.0, gbytes=20.0))
    last = "| conv | 2 n | 3.000 | 1.000 | 3.0 | 4.0 (50%) | 2.0 (10%) |"
    assert table.splitlines()[2:] == [last]
    assert bench.networks([row(script)]) == {"n": (2e-3, 6e-3)}


def test_rows_as_json(script, tmp_path: Path) -> None:
    script("bench_opencl").write_json(tmp_path / "rows.json", "a GPU", [row(script)])
    assert json.loads((tmp_path / "rows.json").read_text())["rows"][0]["counts"] == {"n": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_runs_of_each_take_turns_and_the_best_counts(script, monkeypatch) -> None:
    bench = script("bench_opencl")
    monkeypatch.setattr(bench, "LEAST_S", 0.0)
    times = iter([3.0, 9.0, 2.0, 8.0, 4.0, 7.0])
    ran = []

    def seconds(run) -> float:
        ran.append(run)
        return next(times)

    assert bench.best_of_each(seconds, "ours", "theirs", repeat=3) == (2.0, 7.0)
    assert ran == ["ours", "theirs"] * 3
