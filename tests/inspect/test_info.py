"""What `dlcc info` tells: layers, kernels, constants, memory, and in which forms."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dlcc.compiler import compile
from dlcc.compiler.cli.main import main
from dlcc.compiler.diff import diff
from dlcc.compiler.errors import DlccError
from dlcc.compiler.inspect import info, layers, memory, tensors
from dlcc.compiler.inspect.layer_table import item, total_macs
from dlcc.compiler.inspect.tensor_table import tensor_rows
from dlcc.compiler.network import Layer, Network, Quantization, Tensor
from tests.dlc.samples import BIAS, foreign, small
from tests.fuzz.maker import Maker
from tests.inspect.nets import write

MACS = 2 * 8 * 8 * 4 * 27 + 8 * 8 * 6 * 4 + 6 * 5


def test_summary(files: Path) -> None:
    found = info(files / "net.dlc")
    assert found.macs == MACS == info(files / "net.pb").macs
    assert found.command == "dlcc compile net -t host"
    assert {row.op: row.count for row in found.ops}["Conv2d"] == 3
    (target,) = found.targets
    assert target.kernels
    assert target.kernels >= target.tunable > target.tuned == 0
    two = info(files / "two.dlc")
    assert [t.runtime for t in two.targets] == ["aot", "tvm"]
    assert two.command == "dlcc compile net -t hexagon-v66,opencl-generic"


def test_layers_name_the_kernels_that_compute_them(files: Path) -> None:
    rows = {row.name: row for row in layers(files / "two.dlc")}
    assert [row.id for row in rows.values()] == list(range(len(rows)))
    mix, act = rows["mix/bias"], rows["mix/act"]
    assert (mix.op, mix.shape, mix.parameters, mix.macs) == ("Conv2d", (1, 8, 8, 6), 30, 1536)
    assert mix.inputs[1:] == ("mix/bias/weight", "mix/bias/bias")
    dsp, gpu = "hexagon hexagon-v66", "opencl opencl-generic"
    assert set(mix.kernels) == set(mix.placement) == {dsp, gpu}
    assert mix.placement == {dsp: "dsp", gpu: "gpu"}
    assert set(act.kernels[gpu]) <= set(mix.kernels[gpu]), "a fused layer names the kernel"
    assert not next(iter(layers(files / "net.pb"))).kernels


def test_constants_are_shown_with_what_they_hold(files: Path) -> None:
    row = next(r for r in tensors(files / "net.dlc") if r.name == "mix/bias/bias")
    assert (row.role, row.dtype, row.shape) == ("constant", "float32", (6,))
    (model,) = [r for r in tensors(files / "net.pb") if r.name == row.name]
    assert model == row
    assert row.min <= row.mean <= row.max
    assert len(row.values) == 4


def test_stored_integers_are_shown_as_the_numbers_they_stand_for() -> None:
    quantization = Quantization(8, 2 / 255, 0, 0.0, 2.0)
    value = np.array([255, 0, 51], np.uint8)
    tensor = Tensor("two", "uint8", (3,), "constant", quantization, value)
    (row,) = tensor_rows(Network("n", "Qualcomm DLC 4", (), {"two": tensor}, (), ()))
    assert (row.bits, row.least, row.greatest) == (8, 0.0, 2.0)
    assert (row.min, row.max) == (0.0, pytest.approx(2.0))
    assert row.values == pytest.approx((2.0, 0.0, 0.4))


def test_a_dlc_of_other_tools(tmp_path: Path) -> None:
    path = foreign(tmp_path / "small.dlc", small())
    found = info(path)
    assert (found.form, found.targets) == ("Qualcomm DLC 4", ())
    assert found.macs == 16 * 16 * 8 * 27
    assert found.parameters == 27 * 8 + 8
    assert [str(spec) for spec in found.inputs] == ["float32[1, 16, 16, 3]"]
    conv, bounds = layers(path)
    assert (conv.op, conv.inputs[0], bounds.op) == ("Conv2d", "input", "ReluMinMax")
    rows = {row.name: row for row in tensors(path)}
    assert rows["conv/bias"].values == pytest.approx(BIAS[:4], rel=1e-5)
    assert (rows["bounded"].bits, rows["bounded"].scale) == (8, pytest.approx(0.0235))
    assert memory(path).arena_bytes == 16 * 16 * 8 * 4
    assert diff(path, path).equal


@pytest.mark.skipif("DLCC_QUALCOMM_DLCS" not in os.environ, reason="needs DLCC_QUALCOMM_DLCS")
def test_files_of_qualcomms_tools() -> None:
    """A folder of files that the SDK wrote; each adds 2.0 to its input."""
    paths = sorted(Path(os.environ["DLCC_QUALCOMM_DLCS"]).glob("*add2*.dlc"))
    assert paths
    for path in paths:
        (constant,) = (row for row in tensors(path) if row.role == "constant")
        assert constant.values == pytest.approx((2.0,), rel=1e-6)
        (layer,) = layers(path)
        assert constant.name in layer.inputs
        assert info(path).command.startswith("snpe-tflite-to-dlc")


def test_a_container_without_tables_is_shown_all_the_same() -> None:
    old = Path(__file__).parents[1] / "data" / "schema-1.dlc"
    assert info(old).macs is None
    assert [row.op for row in layers(old)] == ["FullyConnected", "ElementWiseAdd", "Cast"]


def test_an_open_batch_counts_as_one() -> None:
    shapes = {"x": ("n", 5), "w": (5, 7), "y": ("n", 7)}
    known = {k: Tensor(k, "float32", s, "intermediate") for k, s in shapes.items()}
    net = Network("n", "", (Layer("y", "MatMul", ("x", "w"), ("y",)),), known, ("x",), ("y",))
    assert total_macs(net) == 35
    both = {**known, "x": Tensor("x", "float32", ("n", "n"), "input")}
    square = Network("n", "", net.layers, both, ("x",), ("y",))
    assert item(square) is square, "a symbol that is not the batch alone stays open"
    assert total_macs(square) is None


def test_memory_says_whose_plan_it_is(files: Path) -> None:
    found = memory(files / "two.dlc")
    assert found.plan.startswith("planned layer by layer")
    assert found.peak_bytes <= found.arena_bytes
    assert {row.layer for row in found.layers} == {row.name for row in layers(files / "two.dlc")}
    dsp, gpu = found.targets
    assert (dsp.plan, gpu.plan) == ("one arena", "storages")
    for target in (dsp, gpu):
        live = [call.live_bytes for call in found.calls if call.target == target.target]
        assert 0 < max(live) == target.peak_bytes <= target.arena_bytes
        assert target.weights_bytes > 0
    # two branches are alive at their sum; results of the model are storages of TVM's runtime
    assert gpu.peak_bytes >= 2 * 8 * 8 * 4 * 4


def test_memory_of_code_for_the_virtual_machine(tmp_path: Path) -> None:
    m = Maker()
    y = m.node("a", "Exp", m.input("x", -1, 100), T="float32")
    y = m.node("b", "Tanh", y, T="float32")
    m.node("y", "MatMul", y, m.const("w", np.ones((100, 10))), T="float32")
    compile(write(tmp_path / "n.pb", m.graph), inputs={"x": ("n", 100)}).save(tmp_path / "n.dlc")
    (target,) = memory(tmp_path / "n.dlc").targets
    assert target.open, "sizes depend on the batch"
    assert memory(Path(__file__).parents[1] / "data" / "schema-1.dlc").targets[0].plan == "not told"


@pytest.mark.parametrize("view", [(), ("--layers",), ("--tensors",), ("--memory",)], ids=str)
def test_every_view_has_every_form(
    view: tuple[str, ...], files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["info", str(files / "net.dlc"), *view]
    assert main(command) == main([*command, "--json"]) == 0
    capsys.readouterr()
    main([*command, "--json"])
    told = json.loads(capsys.readouterr().out)
    main([*command, "--csv"])
    text = capsys.readouterr().out
    table = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert text.endswith("\r\n")
    assert len({len(line) for line in table}) == 1
    if isinstance(told, list):
        assert table[0] == list(told[0])
        assert len(table) == len(told) + 1
    else:
        assert table[0] == ["field", "value"]
        assert ["path", str(files / "net.dlc")] in table
    assert main([*command, "--json", "--csv"]) == 2


def test_a_container_is_shown_without_a_compiler(files: Path) -> None:
    code = (
        "import sys; from dlcc.compiler.cli.main import main\n"
        f"codes = [main(['info', {str(files / 'net.dlc')!r}, *v]) for v in "
        "([], ['--layers'], ['--tensors'], ['--memory'])]\n"
        "assert codes == [0] * 4, codes\n"
        "assert not {'tvm', 'tvm_ffi', 'tensorflow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("view", [info, layers, tensors, memory])
def test_bad_files(view: Callable[..., object], files: Path, tmp_path: Path) -> None:
    whole = (files / "net.dlc").read_bytes()
    (tmp_path / "cut.dlc").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pb").write_bytes(b"\x0a\xff\xffno graph")
    for path, said in (
        (tmp_path / "absent.pb", "no such file"),
        (tmp_path / "absent.dlc", "cannot read"),
        (tmp_path / "cut.dlc", "damaged"),
        (tmp_path / "text.pb", "not a GraphDef"),
    ):
        with pytest.raises(DlccError, match=said) as caught:
            view(path)
        assert caught.value.exit_code == 3
    with pytest.raises(DlccError, match="no signature 'other'"):
        view(files / "net.dlc", signature="other")
    with pytest.raises(DlccError, match="no tags"):
        view(files / "net.dlc", tag="serve")
