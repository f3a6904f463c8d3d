"""Programs planned from Relax, run on this machine from C, against NumPy."""

from __future__ import annotations

import ctypes
import importlib.util
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tvm import relax
from tvm.ir import IRModule

from dlcc.targets.aot import plan, unpacked
from dlcc.targets.aot.blob import blob
from dlcc.targets.aot.child import Tensor
from dlcc.targets.aot.clang import compile_c, compile_once
from dlcc.targets.aot.driver import HEADERS, PARAMETERS, RUNTIME, driver, runtime_source
from dlcc.targets.aot.program import ALIGN_BYTES, Program
from dlcc.targets.cpu.codegen import tvm_target
from dlcc.targets.cpu.fuse import fuse
from dlcc.targets.errors import ToolchainError
from dlcc.targets.hexagon.legalize import legalize
from dlcc.targets.hexagon.schedule import schedule
from dlcc.targets.link import link
from dlcc.targets.registry import find_chip

MACHINE = platform.machine()
TARGET = tvm_target({"kind": "llvm", "mtriple": f"{MACHINE}-linux-gnu", "num-cores": 1})
CHIP = find_chip("hexagon")
Make = Callable[[relax.BlockBuilder, relax.Expr], relax.Expr]

DRAW = np.random.default_rng(0).normal
X = DRAW(size=(1, 12, 12, 4)).astype("float32")
KERNEL = DRAW(size=(3, 3, 4, 4)).astype("float32")


def module(make: Make, x: np.ndarray = X) -> IRModule:
    """`main(x)` that returns what `make` returns."""
    bb = relax.BlockBuilder()
    var = relax.Var("x", relax.TensorType(x.shape, str(x.dtype)))
    with bb.function("main", [var]):
        with bb.dataflow():
            out = bb.emit_output(make(bb, var))
        bb.emit_func_output(out)
    return bb.get()


def planned(mod: IRModule) -> tuple[Program, bytes]:
    """The program and the object file of its kernels, for this machine."""
    mod = plan.lower(schedule(fuse(legalize(mod, CHIP, TARGET), TARGET), CHIP), TARGET)
    kernels = unpacked.lower(mod, TARGET)
    program = plan.plan(mod, unpacked.scratch_bytes(kernels))
    return program, unpacked.object_file(kernels, TARGET)


def library(program: Program, code: bytes, folder: Path) -> ctypes.CDLL:
    """The program as a shared library."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("no C compiler: ziglang is not installed")
    flags = ["-fPIC", "-fvisibility=protected"]
    triple = f"{MACHINE}-linux-musl"
    shared = {name: runtime_source(name) for name in (*HEADERS, *RUNTIME)}
    objects = compile_c(driver(program), triple, flags, folder)
    objects += compile_once(shared, triple, flags)
    (folder / "parameters.o").write_bytes(blob(program.parameters, PARAMETERS, MACHINE))
    (folder / "kernels.o").write_bytes(code)
    kernels = [folder / "kernels.o"] if code else []
    (folder / "model.so").write_bytes(link([*objects, *kernels, folder / "parameters.o"], MACHINE))
    return ctypes.CDLL(str(folder / "model.so"))


def empty(shape: tuple[int, ...], dtype: str, offset: int = 0) -> np.ndarray:
    """An array that begins `offset` bytes behind a multiple of 128."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 2 * ALIGN_BYTES, np.uint8)
    at = -memory.ctypes.data % ALIGN_BYTES + offset
    return memory[at : at + size].view(dtype).reshape(shape)


def run(model: ctypes.CDLL, program: Program, x: np.ndarray, offset: int = 0) -> list[np.ndarray]:
    """Outputs of one run.   Raises ValueError with the error's number."""
    given = empty(x.shape, str(x.dtype), offset)
    given[...] = x
    outputs = [empty(t.shape, t.dtype) for t in program.outputs]
    pointers = ctypes.c_void_p * max(1, len(outputs))
    assert model.dlcc_init() == 0
    status = model.dlcc_run(
        (ctypes.c_void_p * 1)(given.ctypes.data), pointers(*(o.ctypes.data for o in outputs))
    )
    if status:
        raise ValueError(status)
    return outputs


def convolution(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO", "padding": 1}
    return bb.emit(relax.op.nn.conv2d(x, relax.const(KERNEL), **layouts))


def convolved(x: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).astype("float64")
    shifted = [padded[:, i : i + 12, j : j + 12] @ KERNEL[i, j] for i in range(3) for j in range(3)]
    return np.sum(shifted, axis=0)


def network(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
    """Two convolutions of one constant, a residual, a view, two results."""
    y = bb.emit(relax.op.add(convolution(bb, convolution(bb, x)), x))
    flat = bb.emit(relax.op.reshape(y, (12, 48)))
    return relax.Tuple([bb.emit(relax.op.sum(flat, [0])), y])


def test_network(tmp_path: Path) -> None:
    program, code = planned(module(network))
    total, y = run(library(program, code, tmp_path), program, X)
    wanted = convolved(convolved(X)) + X
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(total, wanted.reshape(12, 48).sum(0), rtol=1e-4, atol=1e-3)
    assert len(program.parameters) == -(-KERNEL.nbytes // ALIGN_BYTES) * ALIGN_BYTES
    assert program.live_bytes <= program.arena_bytes <= 1.3 * program.live_bytes
    assert program.copies == ()


def test_runs_do_not_disturb_each_other(tmp_path: Path) -> None:
    program, code = planned(module(network))
    model = library(program, code, tmp_path)
    first, second = (run(model, program, x)[1] for x in (X, 2 * X))
    np.testing.assert_array_equal(run(model, program, X)[1], first)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("offset", [4, 64])
def test_memory_that_is_not_aligned_is_refused(tmp_path: Path, offset: int) -> None:
    program, code = planned(module(network))
    with pytest.raises(ValueError, match="1"):  # DLCC_E_ALIGN
        run(library(program, code, tmp_path), program, X, offset)


def test_results_that_no_kernel_makes(tmp_path: Path) -> None:
    """The input, a view of it, a constant, and one result twice."""

    def make(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
        y = bb.emit(relax.op.exp(x))
        view = bb.emit(relax.op.reshape(x, (24, 24)))
        return relax.Tuple([x, view, relax.const(KERNEL), y, y])

    program, code = planned(module(make))
    found = run(library(program, code, tmp_path), program, X)
    for result, wanted in zip(found, (X, X.reshape(24, 24), KERNEL), strict=False):
        np.testing.assert_array_equal(result, wanted)
    np.testing.assert_allclose(found[3], np.exp(X), rtol=1e-6)
    np.testing.assert_array_equal(found[4], found[3])
    assert len(program.copies) == 4


def test_a_program_without_kernels(tmp_path: Path) -> None:
    program, code = planned(module(lambda _bb, x: relax.Tuple([x])))
    assert code == b""
    np.testing.assert_array_equal(run(library(program, code, tmp_path), program, X)[0], X)


def test_tables_in_c(tmp_path: Path) -> None:
    program, code = planned(module(network))
    model = library(program, code, tmp_path)

    def number(name: str) -> int:
        return int(ctypes.c_uint32.in_dll(model, name).value)

    assert number("dlcc_arena_bytes") == program.arena_bytes
    assert number("dlcc_parameter_bytes") == len(program.parameters)
    assert number("dlcc_input_count") == 1
    outputs = (Tensor * number("dlcc_output_count")).in_dll(model, "dlcc_outputs")
    assert [tuple(t.dims[: t.rank]) for t in outputs] == [(48,), X.shape]
    assert [t.bytes for t in outputs] == [192, X.nbytes]
    x = Tensor.in_dll(model, "dlcc_inputs")
    assert (x.name, x.dtype, x.bytes) == (b"x", 0, X.nbytes)
    names = (ctypes.c_char_p * number("dlcc_call_count")).in_dll(model, "dlcc_kernel_names")
    assert [n.decode() for n in names] == [call.kernel for call in program.calls]


def test_a_kernel_that_asks_for_more_than_was_planned(tmp_path: Path) -> None:
    """The driver reports it and which call it was; nothing is written outside the arena."""
    mod = module(lambda bb, x: relax.Tuple([bb.emit(relax.op.nn.softmax(x, axis=1))]))
    mod = plan.lower(schedule(fuse(legalize(mod, CHIP, TARGET), TARGET), CHIP), TARGET)
    kernels = unpacked.lower(mod, TARGET)
    assert max(unpacked.scratch_bytes(kernels).values()) > 0
    program = plan.plan(mod, {})
    model = library(program, unpacked.object_file(kernels, TARGET), tmp_path)
    with pytest.raises(ValueError, match="3"):  # DLCC_E_ARENA
        run(model, program, X)
    assert ctypes.c_int32.in_dll(model, "dlcc_failed_call").value == 0


def test_parallel_loops_run_on_one_thread(tmp_path: Path) -> None:
    """TVM's own kernel of a scan is parallel, with branches and buffers of its own."""
    program, code = planned(
        module(lambda bb, x: relax.Tuple([bb.emit(relax.op.cumsum(x, axis=1))]))
    )
    found = run(library(program, code, tmp_path), program, X)[0]
    np.testing.assert_allclose(found, np.cumsum(X, axis=1), rtol=1e-5, atol=1e-5)


def test_what_a_program_cannot_do() -> None:
    def sort(bb: relax.BlockBuilder, x: relax.Expr) -> relax.Expr:
        return relax.Tuple([bb.emit(relax.op.sort(x), "my_sort")])

    with pytest.raises(ToolchainError, match=r"my_sort.*sort"):
        planned(module(sort))


def test_names_in_c() -> None:
    from dlcc.targets.aot.driver import _quoted

    assert _quoted('a"b\\c?') == r'"a\042b\134c\077"'
    assert _quoted("é/1") == r'"\303\251/1"'
