"""`dlcc profile` of code for TVM's runtime: here, behind a server, on the emulated Arm device."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tvm_ffi
from tvm import relax
from tvm.ir import IRModule

from dlcc.compiler import compile
from dlcc.compiler.errors import UsageError
from dlcc.compiler.profile import TimeProfile, placements, profile, time_rows
from dlcc.targets.artifact import Artifact
from dlcc.targets.device import CallTime
from dlcc.targets.errors import DeviceError
from dlcc.targets.kernels import KERNELS, kernels_in, typical
from dlcc.targets.local import LocalDevice
from dlcc.targets.names import with_names
from dlcc.targets.registry import DeviceOptions, find_chip, kind
from dlcc.targets.rpc import server as server_program
from dlcc.targets.rpc.client import connect
from dlcc.targets.rpc.instrument import GO_ON, SKIP, Call, Instrument
from dlcc.targets.rpc.process import ServerProcess, server_folder
from dlcc.targets.rpc.serve import start_server

ROOT = Path(__file__).resolve().parent.parent
ROWS, DEPTH, COLUMNS = 16, 64, 32
X = np.random.default_rng(3).standard_normal((ROWS, DEPTH), "float32")
W = np.random.default_rng(4).standard_normal((DEPTH, COLUMNS), "float32")


def network(rows: int | str = ROWS) -> IRModule:
    """soft = softmax(relu(x @ w)), total = sum(x); with names as a model has them."""
    from tvm import tirx

    extent = tirx.Var(rows, "int64") if isinstance(rows, str) else rows
    bb, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((extent, DEPTH), "float32"))
    with bb.function("main", [x], attrs={"num_input": 1}):
        with bb.dataflow():
            product = bb.emit(relax.op.matmul(x, relax.const(W)), "product")
            rectified = bb.emit(relax.op.nn.relu(product), "rectified")
            soft = bb.emit_output(relax.op.nn.softmax(rectified), "soft")
            total = bb.emit_output(relax.op.sum(x), "total")
        bb.emit_func_output(relax.Tuple([soft, total]))
    return with_names(bb.get(), {"product": "layer/MatMul", "soft": "soft"}, ["soft", "total"])


@pytest.fixture(scope="module")
def here() -> Artifact:
    return kind("host").build(network(), find_chip("host"))


NAMES = ["fused_matmul_relu", "softmax", "sum"]
NODES = [("layer/MatMul", "rectified"), ("soft",), ("total",)]


def test_times_of_each_kernel(here: Artifact) -> None:
    with LocalDevice(DeviceOptions(threads=1)) as device:
        program = device.load(here)
        before = program.run([X])
        found = program.profile([X])
        after = program.run([X])
    assert [row.name for row in found] == NAMES
    assert [row.sources for row in found] == NODES
    assert [row.macs for row in found] == [ROWS * DEPTH * COLUMNS, None, None]
    assert all(row.time_s is not None and row.time_s > 0 for row in found)
    assert all((row.placement, row.counts, row.bytes) == ("cpu", {}, None) for row in found)
    assert sum(row.share for row in found) == pytest.approx(1)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_instrument_changes_no_result(here: Artifact) -> None:
    """Kernels run once, by the instrument: the results of a measured run are those of another."""
    from dlcc.targets.kernels import calls_of

    with LocalDevice(DeviceOptions(threads=1)) as device:
        program = device.load(here)
        arguments = program._arguments([X])
        plain = program._main(*arguments)
        instrument = Instrument()
        program._vm.module["set_instrument"](instrument)
        measured = program._main(*arguments)
        assert [call.name for call in instrument.calls] == NAMES
        for a, b in zip(plain, measured, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
        calls_of(program._vm, arguments)
        program._main(*arguments)
        assert len(instrument.calls) == len(NAMES), "it is off again"


def test_open_dimensions_have_no_macs() -> None:
    made = kind("host").build(network("n"), find_chip("host"))
    with LocalDevice(DeviceOptions(threads=1)) as device:
        found = device.load(made).profile([X])
    rows = {row.name: row for row in found}
    assert rows["fused_matmul_relu"].macs is None
    assert rows["fused_matmul_relu"].sources == NODES[0]


def test_a_table_that_is_not_there(here: Artifact) -> None:
    """Containers of before have none: kernels are named then, and no nodes."""
    old = replace(here, files={"module.so": here.files["module.so"]})
    with LocalDevice(DeviceOptions(threads=1)) as device:
        found = device.load(old).profile([X])
    assert [(row.name, row.sources, row.macs) for row in found] == [(n, (), None) for n in NAMES]


@pytest.mark.parametrize("content", [b"", b"[]", b"[1]", b'{"k": {}}', b'{"k": {"nodes": 3}}'])
def test_a_damaged_table(content: bytes) -> None:
    with pytest.raises(DeviceError, match="table of kernels for a is damaged") as caught:
        kernels_in(Artifact("host", "a", {KERNELS: content}, []))
    assert caught.value.hint


def test_equal_modules_give_equal_tables(here: Artifact) -> None:
    again = kind("host").build(network(), find_chip("host"))
    assert again.files[KERNELS] == here.files[KERNELS]
    assert set(json.loads(here.files[KERNELS])) == set(NAMES)


def test_a_loop_is_seen_call_by_call(tmp_path: Path) -> None:
    """The body of a loop is a function of the module: the kernels inside are what costs."""
    tf = pytest.importorskip("tensorflow")

    @tf.function(input_signature=[tf.TensorSpec([8, 8], tf.float32)])
    def model(x):  # type: ignore[no-untyped-def]
        for _ in tf.range(3):
            x = tf.tanh(tf.matmul(x, x))
        return x

    tf.saved_model.save(tf.Module(), str(tmp_path), signatures=model)
    with compile(tmp_path).session(target="host") as session:
        name = session.signature.inputs[0].name
        made = profile(session, {name: np.eye(8, dtype="float32")})
    products = [k for k in made.kernels if k.macs == 8**3]
    assert len(products) == 3
    assert len({k.kernel for k in products}) == 1


class TestServer:
    def test_times(self, here: Artifact) -> None:
        server = start_server([])
        try:
            with connect(f"rpc://127.0.0.1:{server.port}", DeviceOptions()) as device:
                program = device.load(here)
                before = program.run([X])
                for _ in range(2):
                    found = program.profile([X])
                    assert [row.name for row in found] == NAMES
                    assert [row.sources for row in found] == NODES
                    assert all(row.time_s is not None and row.time_s > 0 for row in found)
                for a, b in zip(before, program.run([X]), strict=True):
                    np.testing.assert_array_equal(a, b)
        finally:
            server.stop()

    def test_a_server_alone_says_what_it_lacks(self, here: Artifact, tmp_path: Path) -> None:
        alone = shutil.copy(server_program.__file__, tmp_path / "server.py")
        server = ServerProcess([sys.executable, alone], [], env={}, folder=server_folder())
        try:
            with connect(f"rpc://127.0.0.1:{server.port}", DeviceOptions()) as device:
                program = device.load(here)
                with pytest.raises(UsageError, match="cannot measure each kernel") as caught:
                    program.profile([X])
                assert "instrument.py" in caught.value.hint
                assert len(program.run([X])) == 2
        finally:
            server.stop()

    @pytest.mark.device("arm")
    def test_instructions_on_the_emulated_arm(self, arm_address: str) -> None:
        made = kind("arm").build(network(), find_chip("arm"))
        with connect(arm_address, DeviceOptions(threads=1)) as device:
            program = device.load(made)
            first, second = program.profile([X]), program.profile([X])
            total = program.bench([X], 1).counts["instructions"]
        assert [row.name for row in first] == NAMES
        assert [row.sources for row in first] == NODES
        assert all(row.time_s is None for row in first)
        counted = [row.counts["instructions"] for row in first]
        assert counted[0] > ROWS * DEPTH * COLUMNS / 16, "no more than 16 products an instruction"
        # A call of an instrument costs some thousand, which are taken off but for some hundred.
        np.testing.assert_allclose([r.counts["instructions"] for r in second], counted, atol=2000)
        assert 0.5 * total < sum(counted) < 1.1 * total
        assert sum(row.share for row in first) == pytest.approx(1)


ON_A_GPU = """
import json, sys
import numpy as np
from dataclasses import asdict
from dlcc.targets.errors import DlccError
from dlcc.targets.registry import DeviceOptions, find_chip, kind
from tests.test_profile import X, network

try:
    device = kind("opencl").open_device("emulator", DeviceOptions(threads=1))
except DlccError as error:
    sys.exit(f"no device: {error}")
with device:
    program = device.load(kind("opencl").build(network(), find_chip("opencl")))
    before, rows, after = program.run([X]), program.profile([X]), program.run([X])
for a, b in zip(before, after, strict=True):
    np.testing.assert_array_equal(a, b)
print(json.dumps([asdict(row) for row in rows]))
"""


def test_kernels_of_a_gpu_and_copies() -> None:
    """In a process of its own: PoCL is one device for all that a process does."""
    program = [sys.executable, "-c", ON_A_GPU]
    done = subprocess.run(program, capture_output=True, text=True, cwd=ROOT)
    if "no device: " in done.stderr and os.environ.get("DLCC_REQUIRE_DEVICES") != "1":
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    assert [row["placement"] for row in rows] == ["copy", *["gpu"] * 3, "copy", "copy"]
    assert [row["bytes"] for row in rows] == [X.nbytes, *[None] * 3, 4 * ROWS * COLUMNS, 4]
    kernels = [row for row in rows if row["placement"] == "gpu"]
    assert [row["name"] for row in kernels] == NAMES
    assert [tuple(row["sources"]) for row in kernels] == NODES
    assert kernels[0]["macs"] == ROWS * DEPTH * COLUMNS
    assert all(row["time_s"] > 0 for row in rows)
    assert sum(row["share"] for row in rows) == pytest.approx(1)


def test_a_library_tells_each_call(tmp_path: Path) -> None:
    graph = """
node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "shape" value { shape { dim { size: 4 } } } } }
node { name: "y" op: "Neg" input: "x" attr { key: "T" value { type: DT_FLOAT } } }
"""
    (tmp_path / "m.pbtxt").write_text(graph)
    with compile(tmp_path / "m.pbtxt", runtime="aot").session() as session:
        found = profile(session, {"x": np.zeros(4, "float32")})
    assert isinstance(found, TimeProfile)
    (row,) = found.kernels
    assert (row.nodes, row.placement, row.operand_bytes) == (("y",), "cpu", 32)
    assert row.time_s is not None
    assert row.time_s >= 0
    assert found.counts == {}


def test_only_kernels_are_called_by_the_instrument() -> None:
    returning = tvm_ffi.get_global_func("ffi.Array")
    ran: list[int] = []
    writing = tvm_ffi.convert(ran.append)
    instrument = Instrument()
    assert instrument(returning, "vm.builtin.make_tuple", True, None, 1) == GO_ON
    assert instrument(writing, "kernel", False, None, 1) == GO_ON
    assert instrument(object(), "function_of_the_module", True, None, 1) == GO_ON
    assert (instrument.calls, ran) == ([], [])
    assert instrument(writing, "kernel", True, None, 1) == SKIP
    assert instrument(returning, "external", True, None, 1) == GO_ON
    assert ran == [1]
    assert [call.name for call in instrument.take()] == ["kernel", "external"]
    assert instrument.take() == []


def test_a_counter_is_read_around_the_kernel_alone() -> None:
    """What the call itself costs is taken off: here two events a call, and five of the kernel."""
    events = 0

    def counter() -> int:
        nonlocal events
        events += 2
        return events

    def kernel() -> None:
        nonlocal events
        events += 5

    instrument = Instrument(counter)
    instrument(tvm_ffi.convert(kernel), "kernel", True, None)
    assert instrument.take() == [Call("kernel", 5)]


def test_typical_runs() -> None:
    runs = [[Call("a", spent), Call("b", 7, "copy", 40)] for spent in (9, 1, 5)]
    assert typical(runs) == [Call("a", 5), Call("b", 7, "copy", 40)]
    assert typical([runs[0], [Call("a", 3)]]) == [Call("a", 3)]
    assert typical([[], []]) == []


def test_placements_are_summed() -> None:
    times = [
        CallTime("x", (), "copy", 0.25, {}, 400, 0.25),
        CallTime("conv", ("c",), "gpu", 0.5, {}, None, 0.5, 64),
        CallTime("y", (), "copy", 0.25, {}, 100, 0.25),
    ]
    copy, gpu = placements(times)
    assert (copy.placement, copy.calls, copy.time_s, copy.copied_bytes) == ("copy", 2, 0.5, 500)
    assert (gpu.placement, gpu.calls, gpu.copied_bytes, gpu.share) == ("gpu", 1, None, 0.5)
    assert [(r.call, r.placement, r.kernel, r.macs) for r in time_rows(times)] == [
        (1, "copy", "x", None),
        (2, "gpu", "conv", 64),
        (3, "copy", "y", None),
    ]


def test_the_instrument_needs_nothing_of_dlcc() -> None:
    path = Path(server_program.__file__).with_name("instrument.py")
    program = f"import runpy, sys; runpy.run_path({str(path)!r}); "
    program += "print([m for m in sys.modules if m.split('.')[0] in ('dlcc', 'tvm')])"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
