"""Compiled code calls nothing that only Python has."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tvm import relax, te, tirx
from tvm.ir import IRModule

from dlcc.targets.cpu import codegen
from dlcc.targets.cpu.legalize import legalize
from dlcc.targets.cpu.shipped import PYTHON_ONLY, SHIPPED, foreign_calls, require_shipped
from dlcc.targets.errors import ToolchainError
from dlcc.targets.registry import find_chip

# the names that TVM's libraries register, asked of a process that imports nothing of TVM's Python
NAMES = """
import ctypes, json, sys
from tvm_ffi.registry import list_global_func_names
for path in sys.argv[1:]:
    ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
print(json.dumps([str(n) for n in list_global_func_names()]))
"""


@pytest.fixture(scope="module")
def native() -> set[str]:
    spec = importlib.util.find_spec("tvm")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    libraries = [p for n in ("", "_extra") for p in folder.rglob(f"libtvm_runtime{n}.so")]
    assert len(libraries) == 2
    command = [sys.executable, "-c", NAMES, *map(str, libraries)]
    return set(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


def _legal(op, *shapes: tuple[int, ...], **options: object) -> IRModule:
    builder = relax.BlockBuilder()
    params = [relax.Var(f"x{i}", relax.TensorType(s, "float32")) for i, s in enumerate(shapes)]
    with builder.function("main", params):
        with builder.dataflow():
            out = builder.emit_output(builder.emit(op(*params, **options)))
        builder.emit_func_output(out)
    chip = find_chip("host")
    return legalize(builder.finalize(), chip, codegen.tvm_target(dict(chip.tvm)))


def test_the_sort_of_the_runtime_is_there(native):
    calls = dict(foreign_calls(require_shipped(_legal(relax.op.sort, (3, 5)))))
    assert "tvm.contrib.sort.sort" in calls
    assert set(calls) <= native


@pytest.mark.parametrize("op", [relax.op.unique, relax.op.nonzero])
def test_python_is_refused(op, native):
    mod = _legal(op, (7,))
    names = [name for name, _ in foreign_calls(mod)]
    assert names
    assert not set(names) & native
    with pytest.raises(ToolchainError, match=r"main calls 'relax\.run\."):
        require_shipped(mod)


def test_kernels_are_searched():
    x = te.placeholder((4,), name="x")

    def call(ins, outs):
        return tirx.call_packed("my.python", ins[0], outs[0])

    kernel = te.create_prim_func([x, te.extern((4,), [x], call, name="y")])
    assert dict(foreign_calls(IRModule({"k": kernel}))) == {"my.python": "k"}


def test_the_prefixes_are_those_of_libraries(native):
    for prefix in SHIPPED:
        assert any(name.startswith(prefix) for name in native), prefix
    assert not set(PYTHON_ONLY) & native
