"""What goes into a container comes out of it again, and equal models give equal files."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import tvm
import tvm_ffi
from tvm import relax

from dlcc.compiler.container import Compiled, Container, TensorSpec, open_container
from dlcc.compiler.container.tensors import DTYPES, tensor_bytes, tensor_view
from dlcc.compiler.dlc import v4
from dlcc.compiler.dlc.flat import behind_prefix
from dlcc.compiler.dlc.read import read_dlc
from dlcc.compiler.errors import BadContainer, ModelError, UsageError
from dlcc.targets.artifact import Artifact
from dlcc.targets.atomic import written_whole
from tests.dlc.samples import same

WEIGHT = np.arange(48, dtype="float32").reshape(4, 12)


def toy_module() -> tvm.ir.IRModule:
    """y = x @ w + 1, z = bf16 table as float32; the first dimension of x is symbolic."""
    bb, n = relax.BlockBuilder(), tvm.tirx.Var("n", "int64")
    x = relax.Var("x", relax.TensorType((n, 4), "float32"))
    table = np.linspace(0, 1, 64).astype(ml_dtypes.bfloat16)
    with bb.function("main", [x]):
        with bb.dataflow():
            y = bb.emit(relax.op.matmul(x, relax.const(WEIGHT)))
            y = bb.emit(relax.op.add(y, relax.const(np.float32(1))))
            z = bb.emit(relax.op.astype(relax.const(table), "float32"))
            both = bb.emit_output(relax.Tuple([y, z]))
        bb.emit_func_output(both)
    return bb.get()


def artifact(chip: str = "some-chip/arm", weights: tuple[np.ndarray, ...] = (WEIGHT,)) -> Artifact:
    return Artifact("arm", chip, {"module.so": b"\x7fELF" + bytes(200)}, weights)


def toy(*artifacts: Artifact) -> Container:
    x = TensorSpec("x:0", "float32", ("n", 4))
    outputs = [TensorSpec("y", "float32", ("n", 12)), TensorSpec("z", "float32", (64,))]
    return Container.of("toy", [Compiled(toy_module(), [x], outputs, artifacts or (artifact(),))])


def test_signature_is_kept_as_asked(tmp_path: Path) -> None:
    c = open_container(toy().save(tmp_path / "toy.dlc"))
    assert c.model == "toy"
    assert c.inputs == (TensorSpec("x:0", "float32", ("n", 4)),)
    assert c.outputs == (
        TensorSpec("y", "float32", ("n", 12)),
        TensorSpec("z", "float32", (64,)),
    )
    assert c.signature().ops == {"relax.add": 1, "relax.astype": 1, "relax.matmul": 1}
    assert c.signature().parameters == 48 + 1 + 64
    assert c.manifest.tools["tvm"].startswith("0.27")


def test_module_comes_back_with_its_weights(tmp_path: Path) -> None:
    c = toy()
    opened = open_container(c.save(tmp_path / "toy.dlc"))
    assert tvm_ffi.structural_equal(c.module(), toy_module())
    assert tvm_ffi.structural_equal(opened.module(), toy_module())


def test_artifact_comes_back_for_every_target(tmp_path: Path) -> None:
    made = [artifact("a/arm"), artifact("a_arm", (WEIGHT, WEIGHT.T)), artifact("a_arm", ())]
    c = open_container(toy(*made).save(tmp_path / "toy.dlc"))
    assert [t.chip for t in c.targets] == ["a/arm", "a_arm", "a_arm"]
    for row, expected in zip(c.targets, made, strict=True):
        found = c.artifact(row)
        assert (found.kind, found.chip, found.files) == (
            expected.kind,
            expected.chip,
            expected.files,
        )
        for a, b in zip(found.weights, expected.weights, strict=True):
            np.testing.assert_array_equal(a, b)


def test_several_signatures_share_weights(tmp_path: Path) -> None:
    """Each has its graph, inputs and code; equal weights lie in the file once."""
    x, y = TensorSpec("x", "float32", ("n", 4)), TensorSpec("y", "float32", ("n", 12))
    z = TensorSpec("z", "float32", (64,))
    names = ("serving/default", "raw", "serving_default")
    parts = [Compiled(toy_module(), [x], [y, z], [artifact(), artifact("b")], n) for n in names]
    c = open_container(Container.of("toy", parts).save(tmp_path / "toy.dlc"))
    assert c.signatures == names
    assert (c.signature().name, c.signature("raw").name) == ("serving_default", "raw")
    assert tvm_ffi.structural_equal(c.module("raw"), toy_module())
    for row in c.manifest.signatures:
        assert [t.chip for t in row.targets] == ["some-chip/arm", "b"]
        np.testing.assert_array_equal(c.artifact(row.targets[1]).weights[0], WEIGHT)
    with zipfile.ZipFile(tmp_path / "toy.dlc") as z:
        assert not any(n.startswith("dlcc/weights/") for n in z.namelist())
        assert z.read("model.params").count(WEIGHT.tobytes()) == 1
        assert len(set(z.namelist())) == len(z.namelist())
    with pytest.raises(UsageError, match="no signature 'rw'") as caught:
        c.session(signature="rw")
    assert "'raw'" in caught.value.hint


def test_weights_are_stored_once_and_mapped(tmp_path: Path) -> None:
    """Those of the graph in its tables; what a target made of them in an entry of its own."""
    packed = np.ascontiguousarray(WEIGHT.T)
    made = artifact("a"), artifact("b", (WEIGHT.reshape(-1), packed)), artifact("c", (packed,))
    path = toy(*made).save(tmp_path / "t.dlc")
    with zipfile.ZipFile(path) as z:
        weights = [i for i in z.infolist() if i.filename.startswith("dlcc/weights/")]
        assert [i.file_size for i in weights] == [WEIGHT.nbytes]
    assert path.read_bytes().count(WEIGHT.tobytes()) == 1
    c = open_container(path)
    (first,), (second, third), (fourth,) = (c.artifact(row).weights for row in c.targets)
    (shown,) = (
        t.value for t in c.network().tensors.values() if t.shape == (4, 12) and t.value is not None
    )
    assert np.shares_memory(first, second)
    assert np.shares_memory(first, shown)
    assert np.shares_memory(third, fourth)
    for weight in (first, third):
        assert not weight.flags.writeable
        assert weight.ctypes.data % 64 == 0


def test_layers_are_read_from_the_tables(tmp_path: Path) -> None:
    """The same in memory and from the file, where no compiler is loaded."""
    c = toy()
    opened = open_container(c.save(tmp_path / "toy.dlc"))
    same(opened.network(), c.network())
    assert opened.network() is opened.network()
    assert [layer.op for layer in opened.network().layers] == [
        "FullyConnected",
        "ElementWiseAdd",
        "Cast",
    ]
    assert opened.network().metadata == c.manifest.options
    (found,) = read_dlc(tmp_path / "toy.dlc")
    same(found, c.network())


def test_the_default_signature_is_what_netron_shows(tmp_path: Path) -> None:
    x, y = TensorSpec("x", "float32", ("n", 4)), TensorSpec("y", "float32", ("n", 12))
    z = TensorSpec("z", "float32", (64,))
    names = ("a", "serving_default", "b")
    parts = [Compiled(toy_module(), [x], [y, z], [artifact()], n) for n in names]
    path = Container.of("toy", parts).save(tmp_path / "toy.dlc")
    assert [n.name for n in open_container(path).networks()] == list(names)
    assert [n.name for n in read_dlc(path)] == ["serving_default", "a", "b"]
    with zipfile.ZipFile(path) as archive:
        model = archive.read("model")
    flat, _ = behind_prefix(memoryview(model), "model", lambda what: BadContainer(what))
    assert [n.name for n in v4.networks(flat, None)] == ["a", "b", "serving_default"]


def test_a_weight_is_checked_when_first_read(tmp_path: Path) -> None:
    """By its own hash: nothing else of its entry is read for it."""
    path = toy().save(tmp_path / "toy.dlc")
    data = bytearray(path.read_bytes())
    data[data.index(WEIGHT.tobytes()) + 5] ^= 1
    path.write_bytes(data)
    c = open_container(path)
    with pytest.raises(BadContainer, match=r"the weight [0-9a-f]{12}… has changed"):
        c.artifact(c.targets[0])
    with pytest.raises(BadContainer, match=r"content of 'model\.params' has changed"):
        c.network()
    with pytest.raises(BadContainer, match=r"content of 'model\.params' has changed"):
        c.verify()


def test_file_is_a_plain_zip_of_aligned_entries(tmp_path: Path) -> None:
    path = toy().save(tmp_path / "toy.dlc")
    with zipfile.ZipFile(path) as z:
        assert z.testzip() is None
        for info in z.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            start = info.header_offset + 30 + len(info.filename) + len(info.extra)
            assert start % 64 == 0, info.filename


def test_equal_models_give_equal_files(tmp_path: Path) -> None:
    one = toy().save(tmp_path / "one.dlc").read_bytes()
    two = toy().save(tmp_path / "two.dlc").read_bytes()
    again = open_container(tmp_path / "one.dlc").save(tmp_path / "three.dlc").read_bytes()
    assert one == two == again


def test_saving_over_the_file_that_is_open(tmp_path: Path) -> None:
    path = toy().save(tmp_path / "toy.dlc")
    c = open_container(path)
    c.save(path)
    c.verify()
    open_container(path).verify()


@pytest.mark.parametrize("name", sorted(DTYPES))
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 1, 3)], ids=str)
def test_every_dtype_round_trips(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    raw = np.asarray(rng.integers(0, 2, shape)).astype(np.float32)
    tensor = raw.astype(DTYPES[name])
    view = tensor_view(tensor_bytes(tensor), name, shape)
    assert view.dtype == tensor.dtype
    assert view.tobytes() == tensor.tobytes()
    assert view.shape == shape


def test_odd_layouts_round_trip_through_a_file(tmp_path: Path) -> None:
    odd = (
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.asfortranarray(WEIGHT)[::2, ::-1],
        np.array(3 + 4j, "complex64"),
        np.zeros((0, 7), ml_dtypes.bfloat16),
        np.array([True, False]),
        np.array([np.nan, np.inf, -0.0], "float16"),
    )
    c = open_container(toy(artifact(weights=odd)).save(tmp_path / "odd.dlc"))
    for found, expected in zip(c.artifact(c.targets[0]).weights, odd, strict=True):
        assert found.dtype == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, expected)


def test_strings_are_refused() -> None:
    with pytest.raises(ModelError, match="dtype"):
        toy(artifact(weights=(np.array(["a"]),)))


def test_opening_loads_no_compiler(tmp_path: Path) -> None:
    path = toy().save(tmp_path / "toy.dlc")
    code = (
        "import sys; from dlcc.compiler.container import open_container; "
        "from dlcc.compiler.dlc.read import read_dlc; "
        f"open_container({str(path)!r}).verify(); read_dlc({str(path)!r}); "
        "print('tvm' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_content_is_checked_when_first_read(tmp_path: Path) -> None:
    path = toy().save(tmp_path / "toy.dlc")
    data = path.read_bytes().replace(b"\x7fELF", b"\x7fELG", 1)
    path.write_bytes(data)
    c = open_container(path)
    assert c.module() is not None
    with pytest.raises(BadContainer, match=r"module\.so' has changed"):
        c.artifact(c.targets[0])


class TestWrittenWhole:
    def test_an_error_leaves_the_old_file(self, tmp_path: Path) -> None:
        path = tmp_path / "f"
        path.write_bytes(b"old")
        with pytest.raises(KeyboardInterrupt), written_whole(path) as file:  # noqa: PT012
            file.write(b"new")
            raise KeyboardInterrupt
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]

    def test_links_are_followed_and_modes_are_usual(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path / "real")
        with written_whole(tmp_path / "link") as file:
            file.write(b"x")
        assert (tmp_path / "link").is_symlink()
        (tmp_path / "usual").touch()
        assert (tmp_path / "real").stat().st_mode == (tmp_path / "usual").stat().st_mode

    @pytest.mark.parametrize("where", ["missing/f", ".", "/dev/null"])
    def test_what_cannot_be_written_is_said(self, where: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot write"), written_whole(tmp_path / where):
            pass
