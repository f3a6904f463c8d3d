"""Building for CPUs: determinism, weights outside the code, mathematics, what stays as it is."""

from __future__ import annotations

import hashlib
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relax, te, tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule

from dlcc.targets.artifact import Artifact
from dlcc.targets.cpu import ahead
from dlcc.targets.cpu.build import assembly, build, scheduled
from dlcc.targets.cpu.schedule import schedule_kernel
from dlcc.targets.cpu.tiles import (
    Cpu,
    Tile,
    Window,
    depthwise_rows,
    depthwise_tile,
    largest_vector,
    matmul_tile,
)
from dlcc.targets.cpu.vector_math import vector_math
from dlcc.targets.cpu.weights import lift_weights
from dlcc.targets.names import with_names
from dlcc.targets.registry import find_chip

HOST = find_chip("host")


def network() -> IRModule:
    """conv, depthwise, dense with a shared constant and a tiny one, a residual, softmax."""
    draw = np.random.default_rng(0).normal
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 12, 12, 16), "float32"))
    w = draw(size=(3, 3, 16, 16)).astype("float32")
    d = draw(size=(3, 3, 1, 16)).astype("float32")
    k = draw(size=(16, 10)).astype("float32")
    layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO", "padding": 1}
    with bb.function("main", [x]):
        with bb.dataflow():
            y = bb.emit(relax.op.nn.conv2d(x, relax.const(w), **layouts))
            y = bb.emit(relax.op.nn.relu(y))
            y = bb.emit(relax.op.nn.conv2d(y, relax.const(w.copy()), **layouts))
            y = bb.emit(relax.op.add(y, x))
            y = bb.emit(relax.op.nn.conv2d(y, relax.const(d), groups=16, **layouts))
            y = bb.emit(relax.op.mean(y, [1, 2]))
            y = bb.emit(relax.op.matmul(y, relax.const(k)))
            y = bb.emit(relax.op.add(y, relax.const(np.ones(10, "float32"))))
            out = bb.emit_output(relax.Tuple([bb.emit(relax.op.nn.softmax(y)), y]))
        bb.emit_func_output(out)
    return bb.get()


def digest(chip_name: str) -> str:
    made = build(network(), find_chip(chip_name))
    parts = [made.files["module.so"], *(w.tobytes() for w in made.weights)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.mark.parametrize("chip_name", ["host", "arm"])
def test_equal_modules_give_equal_bytes(chip_name: str) -> None:
    here = {digest(chip_name), digest(chip_name)}
    code = (
        f"import importlib.util as u; s = u.spec_from_file_location('t', {__file__!r});"
        f"m = u.module_from_spec(s); s.loader.exec_module(m); print(m.digest({chip_name!r}))"
    )
    for seed in ("1", "77"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True
        )
        here.add(done.stdout.strip())
    assert len(here) == 1


def test_weights_are_lifted_once_and_in_order() -> None:
    mod, weights = lift_weights(network())
    assert [w.shape for w in weights] == [(3, 3, 16, 16), (3, 3, 1, 16), (16, 10)]
    names = [str(p.name) for p in mod["main"].params]
    assert names == ["x", "weight_0", "weight_1", "weight_2"]


def test_constants_of_other_functions_come_through_main() -> None:
    bb = relax.BlockBuilder()
    big = relax.const(np.arange(100, dtype="float32"))
    x = relax.Var("x", relax.TensorType((100,), "float32"))
    with bb.function("inner", [x], private=True):
        bb.emit_func_output(bb.emit(relax.op.add(x, big)))
    inner = bb.get().get_global_var("inner")
    y = relax.Var("y", relax.TensorType((100,), "float32"))
    with bb.function("main", [y]):
        bb.emit_func_output(relax.Tuple([bb.emit(relax.Call(inner, [y]))]))
    mod, weights = lift_weights(bb.get())
    assert [w.tolist() for w in weights] == [np.arange(100).tolist()]
    others = [f for v, f in mod.functions.items() if v.name_hint != "main"]
    assert [len(f.params) for f in [mod["main"], *others]] == [2, 2]


def load(made: Artifact, folder: Path) -> tuple[relax.VirtualMachine, list[tvm.runtime.Tensor]]:
    path = folder / "module.so"
    path.write_bytes(made.files["module.so"])
    vm = relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
    return vm, [tvm.runtime.tensor(w) for w in made.weights]


def test_library_computes_and_times_are_given(tmp_path: Path) -> None:
    made = build(network(), HOST)
    assert set(made.times_s) == {"legalize", "fuse", "schedule", "codegen", "link"}
    vm, weights = load(made, tmp_path)
    x = np.random.default_rng(1).normal(size=(1, 12, 12, 16)).astype("float32")
    args = [tvm.runtime.tensor(x), *weights]
    first = [t.numpy() for t in vm["main"](*args)]
    again = [t.numpy() for t in vm["main"](*args)]
    e = np.exp(first[1] - first[1].max())
    np.testing.assert_allclose(first[0], e / e.sum(), rtol=1e-5)
    np.testing.assert_array_equal(first[0], again[0])


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1, 12, 12, 15), "float32"), ((12, 12, 16), "float32"), ((1, 12, 12, 16), "float64")],
)
def test_wrong_input_is_refused(shape, dtype, tmp_path: Path) -> None:
    vm, weights = load(build(network(), HOST), tmp_path)
    with pytest.raises((ValueError, TypeError, RuntimeError), match="main"):
        vm["main"](tvm.runtime.tensor(np.zeros(shape, dtype)), *weights)


def test_stages_for_people() -> None:
    assert "T.parallel" in scheduled(network(), HOST) or "T.vectorized" in scheduled(
        network(), HOST
    )
    assert "fmla" in assembly(network(), find_chip("arm"))


def ulps(got: np.ndarray, exact: np.ndarray) -> float:
    """Largest error in units of the last place, over results that are normal numbers."""
    normal = np.isfinite(got) & (np.abs(exact) > np.finfo("float32").tiny)
    ulp = np.spacing(np.abs(exact[normal]).astype("float32")).astype("float64")
    return float(np.max(np.abs(got[normal].astype("float64") - exact[normal]) / ulp))


MATH = [
    (te.exp, np.exp, 1.0),
    (te.tanh, np.tanh, 2.0),
    (te.sigmoid, lambda x: 1 / (1 + np.exp(-x)), 2.0),
    (te.erf, np.vectorize(math.erf, otypes=["float64"]), 2.0),
]


@pytest.mark.parametrize(("fn", "exact", "most_ulps"), MATH, ids=["exp", "tanh", "sigmoid", "erf"])
def test_vector_math(fn, exact, most_ulps) -> None:
    special = [np.inf, -np.inf, np.nan, 0.0, -0.0, 88.72, 88.73, 104.0, -104.0, -87.5, 1e-30, 3e38]
    spread = np.random.default_rng(0).uniform(-100, 95, 1 << 15)
    near = np.random.default_rng(1).uniform(-6, 6, (1 << 16) - 12)
    every = np.arange(0, 1 << 32, 65_537, dtype="uint64").astype("uint32").view("float32")
    parts = (spread, near, special, every[~np.isnan(every)])
    x = np.concatenate([np.asarray(part, "float32") for part in parts])
    x = x[: x.size // 8 * 8]
    a = te.placeholder(x.shape, name="a")
    s = Schedule(te.create_prim_func([a, te.compute(x.shape, lambda i: fn(a[i]), name="b")]))
    s.vectorize(s.split(s.get_loops(s.get_sblock("b"))[0], [None, 8])[1])
    with vector_math():
        lib = tvm.compile(s.mod, target=tvm.target.Target(dict(HOST.tvm)))
    out = tvm.runtime.tensor(np.zeros_like(x))
    lib["main"](tvm.runtime.tensor(x), out)
    with np.errstate(over="ignore"):
        want = exact(x.astype("float64"))
        want32 = want.astype("float32")
    assert ulps(out.numpy(), want) <= most_ulps
    odd = ~np.isfinite(want32)
    np.testing.assert_array_equal(out.numpy()[odd], want32[odd])
    np.testing.assert_array_equal(out.numpy()[want32 == 0], 0)
    np.testing.assert_array_equal(np.isfinite(out.numpy()), np.isfinite(want32))
    zeros = (x == 0.0) & (want32 == 0.0)
    np.testing.assert_array_equal(np.signbit(out.numpy()[zeros]), np.signbit(want32[zeros]))


def test_vector_math_leaves_the_process_as_it_was() -> None:
    op = tvm.ir.Op.get("tirx.exp")
    before = op.get_attr("llvm.FLowerIntrinsic")
    with vector_math():
        assert not op.get_attr("llvm.FLowerIntrinsic").same_as(before)
    assert op.get_attr("llvm.FLowerIntrinsic").same_as(before)


def test_module_without_kernels(tmp_path: Path) -> None:
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((2, 3), "float32"))
    with bb.function("main", [x]):
        bb.emit_func_output(relax.Tuple([x, relax.const(np.ones(40, "float32"))]))
    vm, weights = load(build(bb.get(), HOST), tmp_path)
    same, ones = vm["main"](tvm.runtime.tensor(np.full((2, 3), 7, "float32")), *weights)
    assert (same.numpy() == 7).all()
    assert (ones.numpy() == 1).all()


def _element(c: te.Tensor, i: tirx.Var) -> tvm.ir.Expr:
    return 0.5 * c[i] * c[i] + c[i] / (c[i] + 2)


def test_stages_read_several_times_do_not_blow_up() -> None:
    """Ten stages, each of which reads the one before four times: 4**10 reads if all inlined."""
    a = te.placeholder((64,), name="a")
    b = a
    for _ in range(10):
        b = te.compute((64,), partial(_element, b))
    kernel, verdict = schedule_kernel(te.create_prim_func([a, b]), "main", Cpu.of(HOST))
    assert verdict.rule == "stages"
    assert len(str(kernel.script())) < 50_000
    x, out = np.linspace(0.1, 1, 64, dtype="float32"), tvm.runtime.tensor(np.zeros(64, "float32"))
    kernel = kernel.with_attr("global_symbol", "main")
    tvm.compile(kernel, target="llvm")["main"](tvm.runtime.tensor(x), out)
    want = x.astype("float64")
    for _ in range(10):
        want = 0.5 * want * want + want / (want + 2)
    np.testing.assert_allclose(out.numpy(), want, rtol=1e-4)


@pytest.mark.parametrize(
    ("lanes", "registers", "lane_fma"),
    [(4, 32, False), (4, 32, True), (8, 16, False), (16, 32, False)],
)
def test_tiles_fit_the_registers(lanes: int, registers: int, lane_fma: bool) -> None:
    cpu = Cpu(lanes, registers, 2, 32 << 10, 512 << 10, lane_fma)
    for pixels in (1, 2, 7, 17, 35, 49, 196, 3136, None):
        for channels in (1, 3, 8, 17, 24, 64, 1001):
            tile = matmul_tile(pixels, channels, cpu)
            vectors = tile.channels // lanes
            assert tile.channels % lanes == 0
            factors = tile.pixels if lane_fma else 1
            assert tile.pixels * vectors + vectors + factors <= registers
            if pixels is not None:
                window = Window(3, 3, (1, 1))
                depthwise = depthwise_tile((pixels, pixels, channels), window, None, cpu)
                assert depthwise.pixels <= pixels
                assert channels % depthwise.channels == 0


@pytest.mark.parametrize("to_assembly", [assembly, ahead.assembly])
def test_wide_tiles_stay_in_registers(to_assembly) -> None:
    """Of AVX-512 a tile is larger than what TVM keeps on the stack."""
    tvm_row = {**HOST.tvm, "mtriple": "x86_64-linux-gnu", "mcpu": "skylake-avx512"}
    chip = replace(HOST, tvm=tvm_row, vector_bits=512, vector_registers=32)
    tile = matmul_tile(56, 96, Cpu.of(chip))
    assert tile.pixels * tile.channels * 4 > 1024
    bb, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((56, 64), "float32"))
    with bb.function("main", [x], attrs={"num_input": 1}):
        with bb.dataflow():
            y = bb.emit_output(relax.op.matmul(x, relax.const(np.ones((64, 96), "float32"))))
        bb.emit_func_output(relax.Tuple([y]))
    text = to_assembly(with_names(bb.get(), {}, ["y"]), chip)
    assert re.search("vfmadd.*zmm", text)
    assert "AllocWorkspace" not in text


def test_tiles_of_neon() -> None:
    """The tiles that were counted: 7 x 12 where rows and columns come out even, or nearly so."""
    cpu = Cpu.of(find_chip("cortex-a76"))
    chosen = {
        (rows, columns): matmul_tile(rows, columns, cpu)
        for rows, columns in ((49, 960), (196, 384), (196, 64), (12544, 96))
    }
    assert chosen == {
        (49, 960): Tile(7, 12),
        (196, 384): Tile(7, 12),
        (196, 64): Tile(4, 16),
        (12544, 96): Tile(7, 12),
    }


def test_depthwise_tiles_of_neon() -> None:
    """One vector of several rows, so that 9 weights stay in registers beside the sums."""
    cpu = Cpu.of(find_chip("cortex-a76"))
    small, large = Window(3, 3, (1, 1)), Window(7, 7, (1, 1))
    tile = depthwise_tile((112, 112, 32), small, (114, 114), cpu)
    assert tile == Tile(4, 4)
    assert [depthwise_rows(rows, tile, small, cpu) for rows in (1, 7, 8, 16)] == [1, 1, 4, 4]
    assert depthwise_tile((14, 14, 18), large, None, cpu).channels == 2
    assert depthwise_rows(14, Tile(4, 16), small, cpu) == 1


def test_largest_vector() -> None:
    assert [largest_vector(n, 8) for n in (1, 2, 12, 24, 64, 1001)] == [1, 2, 4, 8, 8, 1]


def test_kernel_with_its_own_control_flow_is_left_alone() -> None:
    from tvm.script import tirx as T

    @T.prim_func(s_tir=True)
    def count(x: T.Buffer((16,), "int32"), out: T.Buffer((4,), "int32")):
        T.func_attr({"global_symbol": "count"})
        with T.sblock("count"):
            T.reads(x[0:16])
            T.writes(out[0:4])
            for i in range(4):
                out[i] = 0
            for i in range(16):
                if x[i] < 4:
                    out[x[i]] = out[x[i]] + 1

    kernel, verdict = schedule_kernel(count, "count", Cpu.of(HOST))
    assert verdict.rule == ""
    assert verdict.declined["stages"]
    tvm.ir.assert_structural_equal(kernel, count)
    assert isinstance(kernel, tirx.PrimFunc)
