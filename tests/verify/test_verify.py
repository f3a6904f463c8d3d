"""`verify` on models without bugs, its data, its errors, and the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from dlcc.compiler.cli.main import main
from dlcc.compiler.errors import BadFeed, UsageError
from dlcc.compiler.frontend import reference
from dlcc.compiler.npz import write_npz
from dlcc.compiler.verify import Data, Look, Making, layers, verify
from dlcc.compiler.verify.measure import error_of
from tests.verify.nets import branching, open_network


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, net: Any, right: Any, image: Any) -> Path:
    """The network, samples of it, and what TensorFlow makes of the first."""
    made = tmp_path_factory.mktemp("verify")
    (made / "net.pb").write_bytes(net.SerializeToString())
    write_npz(made / "right.npz", right)
    (made / "samples").mkdir()
    np.save(made / "samples" / "a.npy", image)
    np.savez(made / "samples" / "b.npz", x=2 * image)
    (2 * image).tofile(made / "samples" / "c.raw")
    return made


@pytest.fixture
def dlcc(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    monkeypatch.chdir(folder)

    def call(*args: object) -> Result:
        capsys.readouterr()
        code = main(["verify", *map(str, args)])
        return Result(code, *capsys.readouterr())

    return call


def test_layers_against_tensorflow_itself(dlcc: Callable[..., Result], folder: Path) -> None:
    told = dlcc("net.pb", "--data", "samples", "--layers", "--json", "--database", "none")
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert found["reference"].startswith("TensorFlow 2")
    assert (found["samples"], found["ok"], found["kernels"]) == (3, True, "same")
    assert [row["output"] for row in found["outputs"]] == ["prob", "best"]
    nodes = [row["node"] for row in found["layers"]]
    assert nodes[:2] == ["conv1/Relu", "pool"]
    assert nodes[-2:] == ["prob", "best"]
    assert all(row["local"]["snr_db"] is None or row["local"]["snr_db"] > 100
               for row in found["layers"])  # fmt: skip
    assert set(found["worst"]) == set(nodes)


def test_open_dimensions() -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=shape).astype("float32") for shape in ((3, 4), (4, 6)))
    dot = x @ w
    relu = np.maximum(dot, 0)
    data = Data({"3 rows": {"x": x}}, expect={"dot": dot, "relu": relu, "top": relu.max(1)})
    found = verify(open_network(w), data=data, look=Look(layers="tensors"))
    assert found.ok
    assert [row.node for row in found.layers] == ["dot", "relu", "top"]
    assert found.kernels != "same"  # the product and its ReLU are one kernel of the model
    assert not found.layers[0].same_kernel


def integers(wrong: int = 0) -> Data:
    x = np.arange(12, dtype="int32").reshape(2, 6)
    halves = x[:, :3], x[:, 3:]
    more = halves[1] * 7
    joined = np.concatenate([more, halves[0]], 1)
    named = {"halves:0": halves[0], "halves:1": halves[1], "more": more, "joined": joined}
    return Data({"one": {"x": x}}, expect=named | {"sum": joined + x + wrong})


def test_integers_and_outputs_of_one_node() -> None:
    found = verify(branching(), data=integers(), look=Look(layers="tensors"))
    assert found.ok
    nodes = [row.node for row in found.layers]
    assert nodes == ["halves", "halves:1", "more", "joined", "sum"]
    assert all(row.local.max_abs == 0 for row in found.layers)


def test_integers_are_compared_exactly_unless_a_tolerance_is_given() -> None:
    found = verify(branching(), data=integers(wrong=1))
    assert (found.ok, found.outputs[0].max_abs, found.outputs[0].beyond) == (False, 1, 12)
    assert verify(branching(), data=integers(wrong=1), look=Look(atol=1.0)).ok


@pytest.mark.slow
def test_chunks_do_not_show(net: Any, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    making = Making(outputs=["pool"], database="none")
    whole = verify(net, data=data, look=Look(layers="kernels"), making=making)
    monkeypatch.setattr(layers, "AT_ONCE_BYTES", 1)
    assert verify(net, data=data, look=Look(layers="kernels"), making=making) == whole


def test_the_worst_sample_is_named() -> None:
    worst = layers.Worst()
    one = np.ones(2, "float32")
    for name, factor in {"a": 1.01, "b": 1.5, "c": 1.2}.items():
        worst.add("y", error_of(factor * one, one, 1e-3, 0), name)
    error, sample = worst.errors["y"]
    assert (sample, error.max_abs) == ("b", pytest.approx(0.5))


def test_a_reference_is_for_one_sample(net: Any, image: np.ndarray, right: Any) -> None:
    with pytest.raises(UsageError, match="for one sample, and there are 2"):
        verify(net, data=Data({"a": {"x": image}, "b": {"x": image}}, expect=right))


def test_what_is_missing_in_a_reference_is_left_out(
    net: Any, image: np.ndarray, right: Mapping[str, np.ndarray]
) -> None:
    few = {name: right[name] for name in ("pool:0", "prob:0", "best:0")}
    data = Data({"a": {"x": image}}, expect=few)
    found = verify(net, data=data, look=Look(layers="kernels"), making=Making(database="none"))
    assert found.ok
    assert [row.node for row in found.layers] == ["pool", "prob", "best"]
    with pytest.raises(BadFeed, match="has no array for prob, best"):
        verify(net, data=Data({"a": {"x": image}}, expect={"pool": few["pool:0"]}))


def test_a_container_of_the_model(dlcc: Callable[..., Result], folder: Path) -> None:
    assert main(["compile", "-q", "net.pb", "-o", "net.dlc", "--database", "none"]) == 0
    asked = ("net.pb", "--against", "net.dlc", "--data", "samples/a.npy")
    told = dlcc(*asked, "--expect", "right.npz", "--database", "none")
    assert told.code == 0, told.err
    assert "other kernels" not in told.err
    told = dlcc("net.dlc")
    assert told.code == 2
    assert "--against net.dlc" in told.err


def test_without_tensorflow_the_error_says_what_to_do(
    dlcc: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference.importlib.util, "find_spec", lambda _: None)
    told = dlcc("net.pb", "--data", "samples/a.npy")
    assert told.code == 4
    assert "pip install 'dlcc[tensorflow]', or --expect FILE.npz" in told.err


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("net.pb", "-t", "host,arm"), 2, "verify one after another"),
        (("net.pb", "-t", "nowhere"), 2, "no target named"),
        (("net.pb", "--data", "empty"), 2, "empty has no samples"),
        (("net.pb", "--data", "samples/d.npy"), 2, "does not exist"),
        (("net.pb", "--data", "short.npy", "--expect", "right.npz"), 2, "has shape (1, 9, 9, 7)"),
        (("net.pb", "--output", "nothing"), 2, "no output named 'nothing'"),
        (("branch.pb", "--data", "two.npy", "--expect", "right.npz"), 2, "has no array for sum"),
        (("right.npz",), 3, "right.npz"),
        (("net.pb", "--data", "samples/a.npy", "--expect", "right.npz", "--reproducer", "samples"),
         2, "samples is there already"),
    ],
)  # fmt: skip
def test_what_cannot_be_verified(
    dlcc: Callable[..., Result], folder: Path, arguments: tuple[str, ...], code: int, text: str
) -> None:
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "branch.pb").write_bytes(branching().SerializeToString())
    np.save(folder / "short.npy", np.zeros((1, 9, 9, 7), "float32"))
    np.save(folder / "two.npy", np.zeros((2, 6), "int32"))
    told = dlcc(*arguments)
    assert told.code == code, told.err
    assert text in told.err
