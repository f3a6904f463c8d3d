"""A file that is damaged, foreign or made to do harm gets one clear error, and runs nothing."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm import relax

from dlcc.compiler.container import Compiled, Container, TensorSpec, open_container
from dlcc.compiler.errors import BadContainer
from dlcc.targets.artifact import Artifact

MANIFEST = "dlcc/manifest.json"
Entries = dict[str, bytes]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a real container."""
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((2, 4), "float32"))
    weight = np.arange(48, dtype="float32").reshape(4, 12)
    with bb.function("main", [x]):
        with bb.dataflow():
            y = bb.emit_output(relax.op.matmul(x, relax.const(weight)))
        bb.emit_func_output(y)
    code = Artifact("arm", "a/arm", {"module.so": b"\x7fELF" + bytes(100)}, [weight])
    path = tmp_path_factory.mktemp("sound") / "sound.dlc"
    specs = TensorSpec("x", "float32", (2, 4)), TensorSpec("y", "float32", (2, 12))
    Container.of("toy", [Compiled(bb.get(), specs[:1], specs[1:], [code])]).save(path)
    return path.read_bytes()


def entries_of(data: bytes, folder: Path) -> Entries:
    path = folder / "entries.zip"
    path.write_bytes(data)
    with zipfile.ZipFile(path) as z:
        return {name: z.read(name) for name in z.namelist()}


def repacked(path: Path, entries: list[tuple[str, bytes]], method: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", method) as z:
        for name, content in entries:
            z.writestr(name, content)
    return path


def edited(data: bytes, folder: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """The container with another manifest."""
    entries = entries_of(data, folder)
    manifest = json.loads(entries[MANIFEST])
    edit(manifest)
    entries[MANIFEST] = json.dumps(manifest).encode()
    return repacked(folder / "edited.dlc", list(entries.items()))


def refusal(path: Path) -> BadContainer:
    """The error of opening and reading all of a file."""
    with pytest.raises(BadContainer) as caught:
        read_all(path)
    assert "\n" not in caught.value.what
    assert str(path) in caught.value.what
    return caught.value


def read_all(path: Path) -> Container:
    container = open_container(path)
    container.verify()
    for target in container.targets:
        container.artifact(target)
    return container


FILES = [
    (b"", "is empty"),
    (b"PK", "is not a container"),
    (b"hello world", "is not a container"),
    (b"PK\x03\x04" + bytes(100), "cut short or damaged"),
]


@pytest.mark.parametrize(("data", "said"), FILES)
def test_what_is_no_zip(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "f.dlc"
    path.write_bytes(data)
    error = refusal(path)
    assert said in error.what
    assert error.hint


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.dlc").what
    assert "folder" in refusal(tmp_path).what


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.txt", "b/c.txt"], "is a zip file but not a container"),
        (["model", "model.params", "dlc.metadata"], "Qualcomm"),
        ([], "it holds nothing"),
    ],
)
def test_foreign_zips(names: list[str], said: str, tmp_path: Path) -> None:
    path = repacked(tmp_path / "f.dlc", [(name, b"x") for name in names])
    assert said in refusal(path).what


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_entries(method: int, sound: bytes, tmp_path: Path) -> None:
    entries = [*entries_of(sound, tmp_path).items(), ("dlcc/bomb", bytes(1 << 20))]
    assert "compressed entry" in refusal(repacked(tmp_path / "f.dlc", entries, method)).what


NAMES = ["../x", "/etc/passwd", "a/../b", "a//b", "./a", "C:\\x", "a\\b", "dlcc/", "é", ".hidden"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_elsewhere(name: str, sound: bytes, tmp_path: Path) -> None:
    entries = [*entries_of(sound, tmp_path).items(), (name, b"x")]
    assert "name that is not allowed" in refusal(repacked(tmp_path / "f.dlc", entries)).what


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_names(sound: bytes, tmp_path: Path) -> None:
    entries = [*entries_of(sound, tmp_path).items(), (MANIFEST, b"{}")]
    assert "two entries named" in refusal(repacked(tmp_path / "f.dlc", entries)).what


def directory_rows(data: bytes) -> list[int]:
    """Offsets of the central directory's rows."""
    rows, at = [], data.index(b"PK\x01\x02")
    while data[at : at + 4] == b"PK\x01\x02":
        rows.append(at)
        name, extra, comment = struct.unpack_from("<HHH", data, at + 28)
        at += 46 + name + extra + comment
    return rows


# Offset within a row of the central directory, the value written there, and what is said of it.
LIES = [
    ("size", [(20, 0x7FFFFFFF), (24, 0x7FFFFFFF)], "larger than the file holds"),
    ("two sizes", [(24, 5)], "two sizes"),
    ("place", [(42, 0x7FFFFFF0)], "outside of the file"),
    ("no header", [(42, 3)], "damaged header"),
]


@pytest.mark.parametrize(("name", "lies", "said"), LIES, ids=[row[0] for row in LIES])
def test_directory_that_lies(
    name: str, lies: list[tuple[int, int]], said: str, sound: bytes, tmp_path: Path
) -> None:
    data = bytearray(sound)
    for offset, value in lies:
        struct.pack_into("<I", data, directory_rows(sound)[2] + offset, value)
    path = tmp_path / "f.dlc"
    path.write_bytes(data)
    assert said in refusal(path).what


def test_overlapping_entries(sound: bytes, tmp_path: Path) -> None:
    """An entry inside of another: how a small zip bomb declares a lot of content."""
    inner = repacked(tmp_path / "inner.zip", [("dlcc/inner", b"x" * 50)]).read_bytes()
    entries = [
        *entries_of(sound, tmp_path).items(),
        ("dlcc/outer", inner),
        ("dlcc/inner", b"x" * 50),
    ]
    path = repacked(tmp_path / "f.dlc", entries)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x03\x04", data.index(b"dlcc/outer"))
    struct.pack_into("<I", data, directory_rows_after(data)[-1] + 42, at)
    path.write_bytes(data)
    assert "overlapping entries" in refusal(path).what


def directory_rows_after(data: bytes) -> list[int]:
    """Rows of the last central directory, where an entry holds a zip of its own."""
    start = struct.unpack_from("<I", data, data.rindex(b"PK\x05\x06") + 16)[0]
    return [start + row for row in directory_rows(bytes(data[start:]))]


def test_tables_that_are_none(sound: bytes, tmp_path: Path) -> None:
    """Under hashes that fit: the tables are checked as they are read."""
    entries = entries_of(sound, tmp_path)
    for name, content in (("model", entries["model"][:-30]), ("dlcc/tables.json", b"{}")):
        changed = entries | {name: content}
        manifest = json.loads(entries[MANIFEST])
        manifest["entries"][name] = hashlib.sha256(content).hexdigest()
        changed[MANIFEST] = json.dumps(manifest).encode()
        container = read_all(repacked(tmp_path / "f.dlc", list(changed.items())))
        with pytest.raises(BadContainer, match=f"has a damaged '{name}'"):
            container.network()


def test_wrong_hash(sound: bytes, tmp_path: Path) -> None:
    entries = entries_of(sound, tmp_path)
    name = next(n for n in entries if n.endswith("module.so"))
    entries[name] = entries[name][:-1] + b"!"
    path = repacked(tmp_path / "f.dlc", list(entries.items()))
    assert "has changed" in refusal(path).what


def test_entry_that_no_manifest_lists(sound: bytes, tmp_path: Path) -> None:
    entries = [*entries_of(sound, tmp_path).items(), ("dlcc/extra", b"x")]
    assert "does not list" in refusal(repacked(tmp_path / "f.dlc", entries)).what


def test_entry_that_is_missing(sound: bytes, tmp_path: Path) -> None:
    entries = entries_of(sound, tmp_path)
    del entries["dlcc/graph.relax"]
    path = repacked(tmp_path / "f.dlc", list(entries.items()))
    assert "lacks its entry 'dlcc/graph.relax'" in refusal(path).what


RAW = [
    (b"", "not JSON"),
    (b"\xff\xfe", "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b'{"schema": NaN}', "not JSON"),
    (b'{"schema": 1, "schema": 1}', "says a key twice"),
    (b'{"schema": ' + b"9" * 5000 + b"}", "not JSON"),
    (b"[]", "not an object"),
    (b"{}", "lacks schema"),
    (b'{"schema": 1}', "lacks model"),
]


@pytest.mark.parametrize(("raw", "said"), RAW, ids=[row[1] + str(len(row[0])) for row in RAW])
def test_manifest_that_is_none(raw: bytes, said: str, sound: bytes, tmp_path: Path) -> None:
    entries = entries_of(sound, tmp_path) | {MANIFEST: raw}
    assert said in refusal(repacked(tmp_path / "f.dlc", list(entries.items()))).what


def put(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def edit(manifest: Any) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        manifest[path[-1]] = value

    return edit


def part(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    return put("signatures", 0, *path, value=value)


def place(**fields: object) -> Callable[[dict[str, Any]], None]:
    """Another place of the only weight within an entry."""

    def edit(manifest: dict[str, Any]) -> None:
        (found,) = manifest["weights"].values()
        found.update(fields)

    return edit


EDITS = [
    (put("schema", value=99), "schema version 99; this dlcc reads versions up to 3"),
    (put("schema", value=True), "schema is True, not a whole number"),
    (put("model", value=7), "model is 7, not a text"),
    (part("inputs", value={}), "signatures[0].inputs is {}, not a list"),
    (part("inputs", 0, value=3), "signatures[0].inputs[0] is not an object"),
    (part("inputs", 0, "dtype", value="float31"), "signatures[0].inputs[0].dtype is 'float31'"),
    (part("inputs", 0, "shape", value=[-1, 2]), "signatures[0].inputs[0].shape is [-1, 2]"),
    (part("inputs", 0, "shape", value=[1.5]), "signatures[0].inputs[0].shape"),
    (part("inputs", 0, "shape", value=[1 << 40, 1 << 40]), "at most"),
    (part("inputs", 0, "shape", value=[1] * 65), "signatures[0].inputs[0].shape"),
    (part("graph_weights", 0, "shape", value=["n", 12]), "a list of sizes"),
    (part("graph_weights", 0, "shape", value=[4, 13]), "wrong size"),
    (part("graph_weights", 0, "shape", value=[0, 12]), "wrong size"),
    (part("graph_weights", 0, "sha256", value="../../etc"), "64 hex digits"),
    (part("graph_weights", 0, "sha256", value="0" * 64), "lacks its weight"),
    (part("targets", 0, "files", value={"module.so": "/etc/passwd"}), "lacks its entry"),
    (part("targets", 0, "files", value={"module.so": 1}), "module.so is 1, not a text"),
    (put("entries", value=[]), "entries is not an object"),
    (part("ops", "relax.matmul", value="many"), "signatures[0].ops.relax.matmul is 'many'"),
    (lambda m: m["signatures"][0].pop("outputs"), "lacks signatures[0].outputs"),
    (put("signatures", value=[]), "signatures is empty"),
    (lambda m: m["signatures"].append(m["signatures"][0]), "names one twice"),
    (part("graph", value="dlcc/other"), "lacks its entry 'dlcc/other'"),
    (put("weights", value=[]), "weights is not an object"),
    (place(entry="dlcc/other"), "lacks its entry 'dlcc/other'"),
    (place(offset=1 << 50), "places a weight outside of its entry 'model.params'"),
    (place(offset=-1), "offset is -1, not a whole number"),
    (place(size=8), "wrong size"),
    (place(offset=0), "has changed"),
]


@pytest.mark.parametrize(("edit", "said"), EDITS, ids=[row[1] for row in EDITS])
def test_manifest_that_is_wrong(
    edit: Callable[[dict[str, Any]], object], said: str, sound: bytes, tmp_path: Path
) -> None:
    assert said in refusal(edited(sound, tmp_path, edit)).what


def test_file_names_cannot_leave_their_target(sound: bytes, tmp_path: Path) -> None:
    """A device writes files under the names of the artifact."""

    def edit(manifest: dict[str, Any]) -> None:
        files = manifest["signatures"][0]["targets"][0]["files"]
        files["../../evil.so"] = files.pop("module.so")

    assert "not a file name" in refusal(edited(sound, tmp_path, edit)).what


def test_graph_that_is_none(sound: bytes, tmp_path: Path) -> None:
    entries = entries_of(sound, tmp_path) | {"dlcc/graph.relax": b'{"root_index": 0}'}
    manifest = json.loads(entries[MANIFEST])
    manifest["entries"]["dlcc/graph.relax"] = hashlib.sha256(
        entries["dlcc/graph.relax"]
    ).hexdigest()
    entries[MANIFEST] = json.dumps(manifest).encode()
    container = read_all(repacked(tmp_path / "f.dlc", list(entries.items())))
    with pytest.raises(BadContainer, match="graph that cannot be read"):
        container.module()


def same_or_refused(data: bytes, sound: Container, path: Path) -> None:
    """Either a refusal, or all that matters is as it was."""
    path.write_bytes(data)
    try:
        found = read_all(path)
    except BadContainer:
        return
    assert found.manifest == sound.manifest
    for name in sound.manifest.entries:
        assert bytes(found.read(name)) == bytes(sound.read(name))


@pytest.fixture(scope="module")
def original(sound: bytes, tmp_path_factory: pytest.TempPathFactory) -> tuple[Container, Path]:
    folder = tmp_path_factory.mktemp("flips")
    path = folder / "original.dlc"
    path.write_bytes(sound)
    return open_container(path), folder / "damaged.dlc"


FEW = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(data=st.data())
def test_random_flips(data: st.DataObject, sound: bytes, original: tuple[Container, Path]) -> None:
    flips = st.tuples(st.integers(0, len(sound) - 1), st.integers(1, 255))
    damaged = bytearray(sound)
    for at, bits in data.draw(st.lists(flips, min_size=1, max_size=4)):
        damaged[at] ^= bits
    same_or_refused(bytes(damaged), *original)


def test_every_byte_of_the_directory(sound: bytes, original: tuple[Container, Path]) -> None:
    """Headers are few bytes of a file, so that random flips seldom hit them."""
    places = set(range(directory_rows(sound)[0], len(sound)))
    for at in directory_rows(sound):
        header = struct.unpack_from("<I", sound, at + 42)[0]
        places |= set(range(header, header + 64))
    for at in sorted(places):
        damaged = bytearray(sound)
        damaged[at] ^= 0xFF
        same_or_refused(bytes(damaged), *original)


@FEW
@given(data=st.data())
def test_truncations(data: st.DataObject, sound: bytes, original: tuple[Container, Path]) -> None:
    size = data.draw(st.integers(0, len(sound) - 1))
    _, path = original
    path.write_bytes(sound[:size])
    refusal(path)


@FEW
@given(noise=st.binary(max_size=400))
def test_noise(noise: bytes, original: tuple[Container, Path]) -> None:
    _, path = original
    path.write_bytes(b"PK\x03\x04" + noise)
    refusal(path)


def test_reader_of_graphs_is_tvms() -> None:
    """What `Container.module` promises to catch is what TVM raises."""
    for bad in ("", "{}", '{"root_index": 0, "nodes": [{"type": "no.such"}]}'):
        with pytest.raises((ValueError, TypeError, RuntimeError, AttributeError, KeyError)):
            tvm.ir.load_json(bad)["main"]
