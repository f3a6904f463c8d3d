"""`dlcc diff` as golden listings, its exit codes, and its tolerances."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dlcc.compiler import compile
from dlcc.compiler.cli.main import main
from dlcc.compiler.diff import diff
from dlcc.compiler.diff.weights import compare
from dlcc.compiler.errors import DlccError
from dlcc.compiler.inspect import tensor_table
from dlcc.compiler.network import Quantization, Tensor
from tests.golden import Golden
from tests.inspect.nets import net, write

Listing = Callable[..., tuple[int, str]]


@pytest.fixture
def listing(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Listing:
    """Exit code of `dlcc diff`, and what it says on both streams."""
    monkeypatch.chdir(files)

    def call(*args: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["diff", *args])
        return code, "".join(capsys.readouterr())

    return call


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("trained", {"seed": 1}),
        ("inserted", {"inserted": True}),
        ("strided", {"stride": 2}),
        ("replaced", {"act": "Elu"}),
        ("renamed", {"prefix": "model/"}),
    ],
)
def test_changed_models(
    name: str, changed: dict[str, object], listing: Listing, files: Path, golden: Golden
) -> None:
    write(files / f"{name}.pb", net(**changed))  # type: ignore[arg-type]
    code, said = listing("net.pb", f"{name}.pb")
    golden(f"diff/{name}.txt", said)
    assert code == 1


def test_a_model_and_its_container_are_equal(listing: Listing, golden: Golden) -> None:
    code, said = listing("net.pb", "net.dlc", "--ignore", "metadata")
    golden("diff/container.txt", said)
    assert code == 0
    assert listing("net.pb", "net.dlc")[0] == 0, "what one form alone can have does not count"


def test_containers(listing: Listing, files: Path, golden: Golden) -> None:
    compile(files / "net.pb", "host", runtime="aot").save(files / "ahead.dlc")
    code, said = listing("two.dlc", "ahead.dlc", "--only", "artifacts")
    golden("diff/targets.txt", said)
    assert code == 1
    assert listing("two.dlc", "two.dlc")[0] == 0


def test_tolerances(listing: Listing, files: Path) -> None:
    graph = net()
    for node in graph.node:
        if node.name == "dense/w":
            value = np.frombuffer(node.attr["value"].tensor.tensor_content, "float32")
            node.attr["value"].tensor.tensor_content = (value * np.float32(1.001)).tobytes()
    write(files / "near.pb", graph)
    (row,) = diff(files / "net.pb", files / "near.pb", sections=["weights"]).rows
    assert (row.name, row.what, row.beyond) == ("dense", "weight", 30)
    assert row.max_absolute == pytest.approx(1e-3 * np.abs(value).max(), rel=1e-3)
    assert row.mean_absolute == pytest.approx(1e-3 * np.abs(value).mean(), rel=1e-3)
    assert row.cosine == pytest.approx(1)
    assert listing("net.pb", "near.pb", "--rtol", "1e-2", "--ignore", "metadata")[0] == 0
    assert listing("net.pb", "near.pb", "--ignore", "weights")[0] == 0
    assert listing("net.pb", "near.pb", "--atol", "1e-6")[0] == 1


def constant(value: np.ndarray, quantization: Quantization | None = None) -> Tensor:
    return Tensor("w", value.dtype.name, value.shape, "constant", quantization, value)


def test_weights_are_compared_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_table, "CHUNK", 7)
    rng = np.random.default_rng(3)
    a = rng.normal(size=(10, 10)).astype("float32")
    b = a + rng.normal(size=(10, 10)).astype("float32") * (rng.random((10, 10)) < 0.3)
    found = compare(constant(a), constant(b))
    assert found is not None
    apart = np.abs(a.astype(float) - b)
    assert (found.max_absolute, found.beyond) == (apart.max(), np.count_nonzero(apart))
    assert found.mean_absolute == pytest.approx(apart.mean())
    cosine = np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
    assert found.cosine == pytest.approx(cosine, rel=1e-5)
    assert compare(constant(a), constant(a.copy())) is None


def test_stored_integers_are_compared_as_numbers() -> None:
    stored = np.array([0, 51, 255], np.uint8)
    a = constant(stored, Quantization(8, 2 / 255, 0, 0.0, 2.0))
    b = constant(np.array([0, 0.4, 2.0]))
    found = compare(a, b, atol=1e-9)
    assert found is None or not found.beyond
    nan = constant(np.array([np.nan, 1.0]))
    other = compare(nan, constant(np.array([np.nan, np.inf])))
    assert other is not None
    assert other.beyond == 1


def test_bad_files(files: Path, tmp_path: Path, listing: Listing) -> None:
    (tmp_path / "cut.dlc").write_bytes((files / "net.dlc").read_bytes()[:999])
    (tmp_path / "text.pb").write_bytes(b"\x0a\xff\xffno graph")
    for bad in ("absent.pb", "absent.dlc", "cut.dlc", "text.pb"):
        for pair in ((files / "net.dlc", tmp_path / bad), (tmp_path / bad, files / "net.dlc")):
            with pytest.raises(DlccError) as caught:
                diff(*pair)
            assert caught.value.exit_code == 3
    assert listing("net.dlc", "net.dlc", "--only", "shape")[0] == 2
    assert listing("net.dlc", "net.dlc", "--signature", "other")[0] == 2
