"""The benchmark against other runtimes: its arithmetic, its child processes, what it says."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from dlcc.compiler.frontend.schema import message_class

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
MODEL = """
    node { name: "input" op: "Placeholder"
      attr { key: "dtype" value { type: DT_FLOAT } }
      attr { key: "shape" value { shape { dim { size: 4 } dim { size: 8 } } } } }
    node { name: "output" op: "Relu" input: "input"
      attr { key: "T" value { type: DT_FLOAT } } }
"""
X = np.random.default_rng(1).standard_normal((4, 8), "float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """max(x, 0) in place of a network of the zoo."""
    folder = tmp_path_factory.mktemp("peers")
    graph = text_format.Parse(MODEL, message_class("GraphDef")())
    (folder / "mobilenet_v1.pb").write_bytes(graph.SerializeToString())
    np.savez(folder / "mobilenet_v1.npz", input=X, output=np.maximum(X, 0))
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    command = ["peers.py", "dlcc", str(folder / "mobilenet_v1.pb"), str(folder / "model.dlc")]
    assert run(*command).returncode == 0
    return folder / "model.dlc"


def run(name: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / name), *args], capture_output=True, text=True, check=False
    )


def row(bench, ours: float, *peers: float, threads: int = 1):
    """A row with these milliseconds."""
    names = ("dlcc", "onnxruntime", "litert", "tensorflow")
    times = zip(names, (ours, *peers), strict=False)
    timings = {name: bench.Timing([ms / 1e3], 1e-6) for name, ms in times}
    return bench.Row("mobilenet_v1", threads, timings)


def test_the_ratio_is_to_the_fastest_peer(script) -> None:
    bench = script("bench_peers")
    measured = row(bench, 6.0, 4.0, 3.0, 9.0)
    assert measured.best_peer == "litert"
    assert measured.ratio == pytest.approx(2.0)


def test_a_time_is_the_median_of_the_rounds(script) -> None:
    timing = script("bench_peers").Timing([0.004, 0.9, 0.003])
    assert timing.time_s == 0.004


def test_means_are_geometric_and_for_each_number_of_threads(script) -> None:
    bench = script("bench_peers")
    rows = [row(bench, 2.0, 1.0), row(bench, 1.0, 2.0), row(bench, 3.0, 1.0, threads=2)]
    rows.append(row(bench, 5.0))  # no peer: no ratio
    assert bench.geometric_means(rows) == pytest.approx({1: 1.0, 2: 3.0})


def test_without_peers_there_is_no_ratio(script) -> None:
    alone = row(script("bench_peers"), 5.0)
    assert (alone.best_peer, alone.ratio, alone.passed) == (None, None, True)


@pytest.mark.parametrize("difference", [1e-3, math.nan, math.inf])
def test_a_wrong_result_of_any_runtime_fails(script, difference: float) -> None:
    bench = script("bench_peers")
    timings = {"dlcc": bench.Timing([1.0], 1e-6), "litert": bench.Timing([], difference, "wrong")}
    assert not bench.Row("mobilenet_v1", 1, timings).passed


def test_a_peer_that_cannot_be_had_is_no_failure_but_ours_is(script) -> None:
    bench = script("bench_peers")
    there, away = bench.Timing([1.0], 1e-6), bench.Timing(why="not installed: onnxruntime")
    rows = [bench.Row("a", n, {"dlcc": there, "onnxruntime": away}) for n in (1, 2)]
    assert all(r.passed for r in rows)
    (note,) = bench.notes(rows)
    assert note == "ONNX Runtime is not installed: onnxruntime\n  hint: scripts/setup bench"
    assert not bench.Row("a", 1, {"dlcc": away, "onnxruntime": there}).passed


def test_the_table_has_every_runtime(script, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    bench = script("bench_peers")
    measured = row(bench, 6.0, 4.0, 3.0)
    measured.timings["tensorflow"] = bench.Timing(why="cannot convert mobilenet_v1: no such op")
    bench.show([measured], list(measured.timings))
    said = capsys.readouterr().out
    cells = next(line for line in said.splitlines() if "mobilenet_v1" in line).split("│")
    assert [cell.strip() for cell in cells[1:-1]] == [
        *("mobilenet_v1", "1", "6.00", "4.00", "3.00", "–", "2.00", "LiteRT")
    ]
    assert "geometric mean 2.00" in said
    assert "TensorFlow, mobilenet_v1, 1 threads: cannot convert mobilenet_v1: no such op" in said


class Turn:
    """A worker that writes down when it is asked."""

    difference = 1e-6

    def __init__(self, name: str, asked: list[str], process) -> None:
        self.name, self.asked, self.process = name, asked, process

    def block(self, seconds: float):
        self.asked.append(self.name)
        return self.process.Block([seconds, 0.1, 9.0], 1.0, len(self.asked))


def test_runtimes_take_turns_and_none_is_always_first(script) -> None:
    bench, asked = script("bench_peers"), []
    workers = {name: Turn(name, asked, sys.modules["peer_process"]) for name in "abc"}
    timings = bench.take_turns(workers, 3, 0.5)
    assert "".join(asked) == "abcbcacab"
    assert {(t.time_s, t.fastest_s) for t in timings.values()} == {(0.5, 0.1)}
    assert [t.others for t in timings.values()] == [5, 5, 5]  # the mean of the turns
    assert bench.take_turns({}, 3, 0.5) == {}


def test_a_child_compares_once_and_times_blocks(script, model: Path, folder: Path) -> None:
    process = script("peer_process")
    with process.Worker("dlcc", model, folder / "mobilenet_v1.npz", 1) as worker:
        assert worker.difference == 0
        blocks = [worker.block(0.001), worker.block(0.001)]
    assert all(len(block.times_s) >= process.LEAST_RUNS for block in blocks)
    assert all(seconds > 0 for block in blocks for seconds in block.times_s)
    assert all(block.cores > 0 and block.others >= 0 for block in blocks)
    worker.close()  # again


def test_a_child_tells_how_far_a_result_is_off(script, model: Path, tmp_path: Path) -> None:
    process = script("peer_process")
    np.savez(tmp_path / "data.npz", input=X, output=2 * np.maximum(X, 0))
    with process.Worker("dlcc", model, tmp_path / "data.npz", 1) as worker:
        assert worker.difference == 0.5


def test_another_shape_or_not_a_number_is_no_small_difference(script) -> None:
    difference = script("peer_process").difference
    assert difference(np.ones(3), np.ones((3, 1))) == math.inf
    assert math.isnan(difference(np.array([1.0, math.nan]), np.ones(2)))


def test_a_child_that_fails_leaves_its_last_words(script, folder: Path) -> None:
    process = script("peer_process")
    with pytest.raises(process.WorkerError, match=r"no-such\.dlc"):
        process.Worker("dlcc", folder / "no-such.dlc", folder / "mobilenet_v1.npz", 1)


def test_threads_that_never_rest_are_an_error(script, monkeypatch) -> None:
    process, stop = script("peer_process"), threading.Event()
    monkeypatch.setattr(process, "LONGEST_SPIN_S", 0.2)
    process.come_to_rest()

    def spin() -> None:
        while not stop.is_set():
            sum(range(1000))

    spinning = threading.Thread(target=spin)
    spinning.start()
    try:
        with pytest.raises(RuntimeError, match="threads still work"):
            process.come_to_rest()
    finally:
        stop.set()
        spinning.join()


def test_the_whole_script(folder: Path) -> None:
    options = ["--runtimes", "dlcc", "--rounds", "2", "--block", "0.001", "--threads", "1"]
    done = run("bench_peers.py", "mobilenet_v1", *options, "--folder", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (only,) = told["rows"]
    assert (only["network"], only["threads"], only["ratio"]) == ("mobilenet_v1", 1, None)
    assert len(only["runtimes"]["dlcc"]["rounds_s"]) == 2
    assert told["geometric_means"] == {}


def test_a_network_that_there_is_not(folder: Path) -> None:
    done = run("bench_peers.py", "mobilenet_v9", "--folder", str(folder))
    assert done.returncode == 2
    assert "no network mobilenet_v9" in done.stderr
