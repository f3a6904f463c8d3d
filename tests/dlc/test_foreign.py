"""DLC files of other tools: what stands in them, and one clear error for what does not."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dlcc.compiler.container import open_container
from dlcc.compiler.dlc.read import read_dlc
from dlcc.compiler.dlc.write import write_tables
from dlcc.compiler.errors import BadContainer, UsageError
from dlcc.compiler.network.read import read_network
from tests.dlc.samples import KERNEL, WEIGHTS, foreign, joined, odd, same, small, version_3, zipped

METADATA = b"converter-command=snpe-tensorflow-to-dlc x=1\nmodel-version=N/A\n"


def three(path: Path, method: int = zipfile.ZIP_STORED) -> Path:
    model, params = version_3()
    entries = {"dlc.metadata": METADATA, "model": model, "model.params": params}
    return zipped(path, entries, method)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_version_3(method: int, tmp_path: Path) -> None:
    (found,) = read_dlc(three(tmp_path / "net.dlc", method))
    assert (found.name, found.form) == ("net", "Qualcomm DLC 3")
    assert (found.inputs, found.outputs) == (("x",), ("y",))
    assert found.metadata["converter-command"] == "snpe-tensorflow-to-dlc x=1"
    conv, add = found.layers
    assert conv.inputs == ("x", "conv/weights", "conv/biases")
    assert (add.op, add.inputs) == ("Eltwise", ("conv.out", "two"))
    assert [str(t) for t in found.tensors.values()] == [
        "float32[1, 8, 8, 3]",
        "float32[2]",
        "float32[1, 8, 8, 8]",
        "float32[3, 3, 3, 8]",
        "uint8[8]",
        "float32[1, 8, 8, 8]",
    ]
    np.testing.assert_array_equal(found.tensors["two"].value, [2, 3])
    np.testing.assert_array_equal(found.tensors["conv/weights"].value, KERNEL)
    np.testing.assert_array_equal(found.tensors["conv/biases"].value, WEIGHTS["conv"]["biases"])


def test_attributes_of_version_3(tmp_path: Path) -> None:
    (found,) = read_dlc(three(tmp_path / "net.dlc"))
    attributes = dict(found.layers[0].attributes)
    arrays = {k: v.tolist() for k, v in attributes.items() if isinstance(v, np.ndarray)}
    assert arrays == {"order": [1, 2], "pads": [1, 1], "scales": [0.5, 1.5]}
    assert {k: v for k, v in attributes.items() if k not in arrays} == {
        "groups": 1,
        "below": -2,
        "ratio": 0.5,
        "mode": "same",
        "flag": True,
        "encoding/min": 0.0,
        "encoding/max": 6.0,
    }


@pytest.mark.parametrize("long_from", [1 << 31, 0], ids=["short", "long"])
def test_version_4(long_from: int, tmp_path: Path) -> None:
    path = foreign(tmp_path / "net.dlc", small(), long_from=long_from)
    (found,) = read_dlc(path)
    same(found, small())
    with pytest.raises(BadContainer, match="Qualcomm's tools"):
        open_container(path)


def test_a_graph_is_chosen_by_name(tmp_path: Path) -> None:
    path = foreign(tmp_path / "net.dlc", odd(), small())  # the first is written last
    assert read_network(path).name == "small"
    assert read_network(path, signature="odd").name == "odd"
    with pytest.raises(UsageError, match="no graph 'smal'") as caught:
        read_network(path, signature="smal")
    assert "'small'" in caught.value.hint


def test_a_model_without_parameters_has_no_values(tmp_path: Path) -> None:
    path = zipped(tmp_path / "net.dlc", {"model": joined(write_tables([small()]))[0]})
    (found,) = read_dlc(path)
    assert found.metadata == {}
    assert found.tensors["conv/weight"].value is None
    assert found.layers[0].attributes["stride"] == "uint32[2]"


MODEL, PARAMS = joined(write_tables([small()]))
MODEL_3, PARAMS_3 = version_3()
ENTRIES = [
    ({}, "no 'model'"),
    ({"model": b""}, "'model' that is cut short"),
    ({"model": bytes(64)}, "'model' that is no table"),
    ({"model": b"\xd5\x0a\x02\0\0\0\0\0" + MODEL[8:]}, "'model' of version 2"),
    ({"model": MODEL[:8]}, "'model': it is no model"),
    ({"model": MODEL[:12] + b"NETX" + MODEL[16:]}, "'model': it is no model"),
    ({"model": MODEL[:40]}, "leads outside of the entry"),
    ({"model": MODEL, "model.params": MODEL}, "'model.params': it holds no parameters"),
    ({"model": MODEL, "model.params": PARAMS_3}, "'model' of version 4 and parameters of 3"),
    ({"model": MODEL_3, "model.params": MODEL_3}, "'model.params': it holds no parameters"),
    ({"model": MODEL, "model.params": PARAMS[:-100]}, "leads outside of the entry"),
]


@pytest.mark.parametrize(("entries", "said"), ENTRIES, ids=[str(n) for n in range(len(ENTRIES))])
def test_what_is_no_table(entries: dict[str, bytes], said: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "bad.dlc", {"x": b"", **entries})
    with pytest.raises(BadContainer) as caught:
        read_dlc(path)
    assert said in caught.value.what
    assert str(path) in caught.value.what
    assert caught.value.hint


def edited(old: bytes, new: bytes) -> bytes:
    assert MODEL.count(old) >= 1
    return MODEL.replace(old, new)


FLOAT = struct.pack("<2i", 0x232, 0x232)  # dtype and output_dtype of a tensor
SHAPE = struct.pack("<5i", 4, 3, 3, 3, 8)
LIES = [
    (edited(FLOAT, struct.pack("<2i", 0x999, 0x232)), "no dtype has the code 0x999"),
    (edited(SHAPE, struct.pack("<5i", 4, 3, 3, 3, 9)), "864 bytes are not a float32 tensor"),
    (edited(SHAPE, struct.pack("<5i", 4, *[1 << 30] * 4)), "no tensor has such a shape"),
    (edited(b"\x09\0\0\0conv/bias", b"\x04\0\0\0conv/bias"), "second tensor is named 'conv'"),
]


@pytest.mark.parametrize(("model", "said"), LIES)
def test_tables_that_lie(model: bytes, said: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "bad.dlc", {"model": model, "model.params": PARAMS})
    with pytest.raises(BadContainer, match=said):
        read_dlc(path)


def test_names_that_are_no_utf8_are_shown(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bad.dlc", {"model": edited(b"conv/bias", b"conv\xff\xfeias")})
    (found,) = read_dlc(path)
    assert r"conv\xff\xfeias" in found.tensors


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    entries = {"model": MODEL, "model.params": bytes(80 << 20)}
    path = zipped(tmp_path / "bomb.dlc", entries, zipfile.ZIP_DEFLATED)
    with pytest.raises(BadContainer, match="of 83886080 bytes in"):
        read_dlc(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(method: int, tmp_path: Path) -> None:
    path = zipped(tmp_path / "net.dlc", {"model": MODEL * 9}, method)
    with pytest.raises(BadContainer, match="another method than deflate"):
        read_dlc(path)


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    path = foreign(tmp_path / "net.dlc", small())
    data = path.read_bytes()
    path.write_bytes(data.replace(KERNEL.tobytes()[:8], b"otherweb"))
    with pytest.raises(BadContainer, match=r"damaged 'model\.params': its checksum"):
        read_dlc(path)


@pytest.mark.skipif("DLCC_QUALCOMM_DLCS" not in os.environ, reason="needs DLCC_QUALCOMM_DLCS")
def test_files_of_qualcomms_tools() -> None:
    """A folder of files that the SDK wrote; each adds 2.0 to its input."""
    paths = sorted(Path(os.environ["DLCC_QUALCOMM_DLCS"]).glob("*add2*.dlc"))
    assert paths
    for path in paths:
        (found,) = read_dlc(path)
        assert len(found.inputs) == len(found.outputs) == len(found.layers) == 1
        assert found.metadata["converter-command"].startswith("snpe-tflite-to-dlc")
        (constant,) = (t for t in found.tensors.values() if t.role == "constant")
        assert constant.value is not None
        number = constant.value.astype(np.float64)
        if constant.quantization is not None:
            number = constant.quantization.scale * (number + constant.quantization.offset)
        np.testing.assert_allclose(number, [2.0], rtol=1e-6)
