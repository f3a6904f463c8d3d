"""`dlcc profile`, and a DSP's model within a container: run, bench and profile by their verbs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dlcc.compiler.cli.main import main
from dlcc.compiler.container import open_container
from dlcc.compiler.profile import Profile, profile, rows
from dlcc.targets import registry
from dlcc.targets.device import CallCost
from dlcc.targets.rpc.dsp import Emulator
from dlcc.targets.rpc.serve import dsp_arguments, start_server
from tests.hexagon.programs import N, expected, inputs

INPUT = """
node {{ name: "{}" op: "Placeholder" attr {{ key: "dtype" value {{ type: DT_INT32 }} }}
  attr {{ key: "shape" value {{ shape {{ dim {{ size: 8 }} dim {{ size: 8 }} }} }} }} }}
"""
ADD = """
node {{ name: "{}" op: "AddV2" input: "{}" input: "{}"
  attr {{ key: "T" value {{ type: DT_INT32 }} }} }}
"""
GRAPH = INPUT.format("a") + INPUT.format("b") + ADD.format("sum", "a", "b")
GRAPH += ADD.format("twice", "sum", "sum")


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """sum = a + b, twice = sum + sum, for this machine and for the DSP."""
    folder = tmp_path_factory.mktemp("profile")
    (folder / "model.pbtxt").write_text(GRAPH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.KINDS, "hexagon", "tests.hexagon.kind")
        made = folder / "model.dlc"
        arguments = ["--output", "sum", "--output", "twice", "-t", "host,hexagon"]
        assert (
            main(["compile", "-q", str(folder / "model.pbtxt"), "-o", str(made), *arguments]) == 0
        )
        yield made


def feeds(seed: int = 0) -> dict[str, np.ndarray]:
    return dict(zip("ab", inputs(seed), strict=True))


@pytest.mark.device("hexagon")
def test_a_session_profiles(container: Path) -> None:
    with open_container(container).session(target="hexagon") as session:
        found = session.run(feeds())
        for output, wanted in zip(found.values(), expected(inputs()), strict=True):
            np.testing.assert_array_equal(output, wanted)
        total = session.bench(feeds()).counts
        made = profile(session, feeds())
    assert isinstance(made, Profile)
    assert (made.target, made.device) == ("hexagon hexagon-v66", "emulator")
    assert {name: getattr(made, name) for name in total} == total
    assert [(k.call, k.kernel, k.nodes) for k in made.kernels] == [
        (1, "add", ("sum",)),
        (2, "scale", ("twice", "shift")),
    ]
    assert sum(k.packets for k in made.kernels) == made.packets
    # the first kernel's are not known, so only the second counts
    assert (made.macs, made.macs_per_packet) == (N, made.kernels[1].macs_per_packet)


@pytest.mark.device("hexagon")
def test_the_verb_shows_json_and_a_table(
    container: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["profile", str(container), "-t", "hexagon", "--device", "emulator"]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["packets"] == sum(k["packets"] for k in told["kernels"])
    assert sum(k["share"] for k in told["kernels"]) == pytest.approx(1)
    assert told["kernels"][0]["macs"] is None
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "macs per packet" in shown
    assert "twice, shift" in shown
    assert f"{told['kernels'][0]['share']:.1%}" in shown


@pytest.mark.device("hexagon")
def test_the_same_through_a_server(
    container: Path, hexagon: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    server = start_server(dsp_arguments(hexagon.command[-1]))
    try:
        counts = []
        for device in ("emulator", f"rpc://127.0.0.1:{server.port}"):
            arguments = [str(container), "-t", "hexagon", "--device", device, "--json"]
            assert main(["bench", *arguments]) == 0
            counts.append(json.loads(capsys.readouterr().out)["counts"])
            assert main(["profile", *arguments]) == 0
            assert json.loads(capsys.readouterr().out)["packets"] == counts[-1]["packets"]
        assert counts[0] == counts[1]
    finally:
        server.stop()


def test_rows_are_numbered_calls() -> None:
    cost = CallCost("k", ("x",), 10, 30, 5, 320, 32.0, 1.0)
    (row,) = rows([cost])
    assert (row.call, row.kernel, row.nodes, row.macs_per_packet) == (1, "k", ("x",), 32.0)
