"""Traces of schedules: names of kernels, what is let through, and what a build does with one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import relax
from tvm.s_tir import Schedule

from dlcc.targets.cpu.build import build, unscheduled
from dlcc.targets.cpu.schedule import schedule_with_reasons
from dlcc.targets.errors import UsageError
from dlcc.targets.registry import find_chip
from dlcc.targets.traces import apply_trace, kernel_key, read_trace, trace_text
from dlcc.targets.tuned import Tuned
from dlcc.tuning.kernels import Kernel, kernels_of
from tests.networks.small import conv_model

HOST = find_chip("host")


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return kernels_of(unscheduled(conv_model(), HOST))[0]


def parallel(kernel: Kernel) -> str:
    """The trace of a schedule that runs rows of the convolution in parallel."""
    mod = tvm.IRModule({"main": kernel.func.with_attr("global_symbol", "main")})
    s = Schedule(mod)
    n, y, *_, k = s.get_loops(s.get_sblock("windows"))
    s.parallel(s.fuse(n, y))
    s.annotate(s.get_sblock("windows"), "meta_schedule.tiling_structure", "SSRSRS")
    s.split(k, [None, 4])
    return trace_text(s)


def test_a_kernel_has_the_same_name_in_every_process(kernel: Kernel) -> None:
    program = (
        "import tvm; from dlcc.targets.traces import kernel_key; import sys; "
        "print(kernel_key(tvm.ir.load_json(sys.stdin.read())))"
    )
    text = tvm.ir.save_json(kernel.func)
    said = set()
    for seed in ("0", "12345"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", program], input=text, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        said.add(done.stdout.strip())
    assert said == {kernel.key}
    assert len(kernel.key) == 32


def test_attributes_do_not_name_a_kernel_and_blocks_do(kernel: Kernel) -> None:
    named = kernel.func.with_attr("global_symbol", "other").with_attr("op_pattern", 4)
    assert kernel_key(named) == kernel.key
    text = tvm.ir.save_json(kernel.func)
    renamed = tvm.ir.load_json(text.replace('"windows"', '"panes"'))
    assert kernel_key(renamed) != kernel.key
    larger = kernels_of(unscheduled(conv_model(channels=24), HOST))[0]
    assert larger.key != kernel.key


def test_a_trace_gives_the_schedule_that_it_is_of(kernel: Kernel) -> None:
    text = parallel(kernel)
    mod = tvm.IRModule({"main": kernel.func.with_attr("global_symbol", "main")})
    again = Schedule(mod)
    tvm.s_tir.Trace.apply_json_to_schedule(json.loads(text), again)
    made = apply_trace(kernel.func, text)
    wanted = again.mod["main"].without_attr("global_symbol")
    assert tvm_ffi.structural_equal(made, wanted)
    assert "T.parallel" in made.script()
    assert "T.parallel" not in kernel.func.script()
    assert kernel_key(kernel.func) == kernel.key


def test_a_build_uses_a_trace_in_place_of_rules(kernel: Kernel, tmp_path: Path) -> None:
    tuned = Tuned(by_kernel={kernel.key: parallel(kernel)})
    _, verdicts = schedule_with_reasons(unscheduled(conv_model(), HOST), HOST, tuned)
    assert [v.rule for v in verdicts] == ["trace"]
    x = np.random.default_rng(1).normal(size=(1, 12, 12, 8)).astype("float32")
    results = []
    for choice in (tuned, Tuned()):
        made = build(conv_model(), HOST, choice)
        path = tmp_path / "module.so"
        path.write_bytes(made.files["module.so"])
        vm = relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
        results.append(vm["main"](*map(tvm.runtime.tensor, [x, *made.weights]))[0].numpy())
        path.unlink()
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_a_trace_of_another_kernel_is_an_error(kernel: Kernel) -> None:
    text = parallel(kernel).replace('"windows"', '"nowhere"')
    with pytest.raises(UsageError, match="does not fit") as raised:
        apply_trace(kernel.func, text)
    assert "records prune" in raised.value.hint


def changed(change: Callable[[list[Any]], None]) -> Callable[[str], str]:
    def apply(text: str) -> str:
        found = json.loads(text)
        change(found)
        return json.dumps(found)

    return apply


def instruction(*parts: Any) -> Callable[[str], str]:
    return changed(lambda found: found[0].append(list(parts)))


FOREIGN: dict[str, Callable[[str], str]] = {
    "no JSON": lambda text: text[:-3],
    "no list": lambda _: '{"trace": 1}',
    "nothing": lambda _: "",
    "deep": lambda _: "[" * 100_000,
    "long": lambda text: text + " " * (2 << 20),
    "source code": instruction("Annotate", ["l1", '"int main(){}"'], ["pragma_import_c"], []),
    "LLVM code": instruction("Annotate", ["l1", '"define"'], ["pragma_import_llvm"], []),
    "unsafe": instruction("UnsafeSetDType", ["b0"], [0, "float64"], []),
    "layout": instruction("TransformLayout", ["b0"], [0, 1, "{}"], []),
    "tensorize": instruction("Tensorize", ["b0"], ["evil", 1], []),
    "unknown": instruction("Reboot", [], [], []),
    "not decided": instruction("SamplePerfectTile", ["l1"], [4, 64], ["v1", "v2", "v3", "v4"]),
    "unrolled": instruction("Annotate", ["l1", 10**9], ["pragma_auto_unroll_max_step"], []),
    "thread": instruction("Bind", ["l1"], ["cpu.x"], []),
    "scope": instruction("SetScope", ["b0"], [0, "disk"], []),
    "large": instruction("StorageAlign", ["b0"], [0, 0, 10**18, 0], []),
    "object": instruction("Fuse", [{}], [1], ["l9"]),
    "many": changed(lambda found: found[0].extend([["EnterPostproc", [], [], []]] * 6_000)),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_traces_are_refused(kernel: Kernel, name: str) -> None:
    with pytest.raises(UsageError):
        apply_trace(kernel.func, FOREIGN[name](parallel(kernel)))


def test_what_our_own_search_writes_is_let_through(kernel: Kernel) -> None:
    assert read_trace(parallel(kernel))


MUTATED = """
import random, sys, tvm
from dlcc.targets.errors import UsageError
from dlcc.targets.traces import apply_trace
kernel = tvm.ir.load_json(open(sys.argv[1]).read())
text, refused = open(sys.argv[2]).read(), 0
generator = random.Random(7)
for _ in range(300):
    letters = list(text)
    for _ in range(generator.randint(1, 4)):
        at = generator.randrange(len(letters))
        letters[at] = generator.choice('0123456789bl[]{},":-eN')
    try:
        apply_trace(kernel, "".join(letters))
    except UsageError:
        refused += 1
print(refused)
"""


def test_damaged_traces_never_end_the_process(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "kernel").write_text(tvm.ir.save_json(kernel.func))
    (tmp_path / "trace").write_text(parallel(kernel))
    command = [sys.executable, "-c", MUTATED, str(tmp_path / "kernel"), str(tmp_path / "trace")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 200
