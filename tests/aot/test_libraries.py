"""Libraries of models for CPUs, run by a session, against TensorFlow."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import platform
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcc.compiler import compile, open_container
from dlcc.compiler.container import Container
from dlcc.compiler.errors import ShapeNeeded
from dlcc.targets.aot import child
from dlcc.targets.aot.device import open_device
from dlcc.targets.aot.driver import API
from dlcc.targets.artifact import Artifact
from dlcc.targets.errors import BadFeed, DeviceError, ToolchainError, UsageError
from dlcc.targets.registry import DeviceOptions, kind

pytest.importorskip("ziglang")
tf = pytest.importorskip("tensorflow")

from tests.aot.graphs import GRAPHS, graph  # noqa: E402

SYSTEM = [ctypes.CDLL(name) for name in ("libc.so.6", "libm.so.6", "libpthread.so.0", None)]


@cache
def compiled(name: str, target: str = "host") -> Container:
    model, outputs, _, _ = graph(name)
    return compile(model, target, outputs=outputs, runtime="aot")


def artifact(name: str = "convolutions", target: str = "host") -> Artifact:
    container = compiled(name, target)
    return container.artifact(container.targets[0])


def check(name: str, target: str, **place: Any) -> None:
    _, outputs, value, wanted = graph(name)
    with compiled(name, target).session(**place) as session:
        for _ in range(3):
            found = session.run({"x": value})
            for output, expected in zip(outputs, wanted, strict=True):
                assert found[output].dtype == expected.dtype
                np.testing.assert_allclose(found[output], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("name", GRAPHS)
def test_matches_tensorflow(name: str, threads: int) -> None:
    check(name, "host", threads=threads)


@pytest.mark.device("arm")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", GRAPHS)
def test_matches_tensorflow_on_arm(name: str, threads: int) -> None:
    check(name, "arm", device="emulator", threads=threads)


def test_the_container_tells_the_runtime(tmp_path: Path) -> None:
    path = compiled("integers").save(tmp_path / "model.dlc")
    (row,) = open_container(path).targets
    assert row.runtime == "aot"
    libraries = {"libmodel.a", "libmodel.so", "dlcc_aot.h"}
    assert set(row.files) == libraries | {"model.json", "kernels.json"}
    assert row.weights == ()


def test_bench_measures_every_run() -> None:
    with compiled("convolutions").session(threads=1) as session:
        bench = session.bench({"x": graph("convolutions")[2]}, repeat=7)
    assert len(bench.times_s) == 7
    assert all(0 < t < 1 for t in bench.times_s)


def test_every_call_has_its_time(tmp_path: Path) -> None:
    """Readings of a clock around the calls of the last run, within the time of that run."""
    path = tmp_path / "libmodel.so"
    path.write_bytes(artifact().files["libmodel.so"])
    library = child.Library(str(path), 1)
    status, (first, last) = library.run(2)
    count = library.number("dlcc_call_count")
    loaded = ctypes.CDLL(str(path))
    clock = list((ctypes.c_uint64 * (count + 1)).in_dll(loaded, "dlcc_nanoseconds"))
    assert status == 0
    assert clock == sorted(clock)
    assert 0 < clock[0] < clock[-1] <= clock[0] + last
    assert first > 0
    loaded.dlcc_close()


@pytest.mark.device("arm")
def test_instructions_of_each_call_on_the_emulated_arm() -> None:
    """Counted in place of time, the same in every run, and the whole is the sum of the calls."""
    feeds = {"x": graph("convolutions")[2]}
    with compiled("convolutions", "arm").session(device="emulator") as session:
        before = session.run(feeds)
        first, second = session.profile(feeds), session.profile(feeds)
        total = session.bench(feeds).counts
        after = session.run(feeds)
    assert first == second
    assert sum(row.counts["instructions"] for row in first) == total["instructions"]
    product = first[0]
    assert product.macs is not None
    assert product.macs / 4 < product.counts["instructions"], "four products an instruction at most"
    assert (product.time_s, product.sources) == (None, ("Conv2D", "add", "Relu"))
    np.testing.assert_array_equal(before["y0"], after["y0"])


@pytest.mark.device("arm")
@pytest.mark.parametrize("threads", [2, None])
def test_what_is_not_counted(threads: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several threads, and of libraries from before, which have no such variable."""
    value = graph("convolutions")[2]
    if threads is None:
        monkeypatch.setattr("dlcc.targets.aot.device.EVENTS", b"no such variable")
        monkeypatch.setattr("dlcc.targets.arm.ahead.EVENTS", b"no such variable")
    way = kind("arm").run_by("aot")
    with way.open_device("emulator", DeviceOptions(threads=threads)) as device:
        program = device.load(artifact(target="arm"))
        with pytest.raises(UsageError, match="not counted") as caught:
            program.bench([value], 1)
        assert "--threads 1" in caught.value.hint
        with pytest.raises(UsageError, match="not counted"):
            program.profile([value])


def dynamic_symbols(library: bytes) -> tuple[set[str], set[str]]:
    """Names that a 64-bit ELF library defines, and that it needs. Source: System V ABI, ch. 4."""
    at, size, count = (
        struct.unpack_from(f, library, o)[0] for f, o in (("<Q", 40), ("<H", 58), ("<H", 60))
    )
    sections = [struct.unpack_from("<IIQQQQIIQQ", library, at + size * i) for i in range(count)]
    (table,) = [s for s in sections if s[1] == 11]  # SHT_DYNSYM
    strings = library[sections[table[6]][4] :]
    defined, needed = set(), set()
    for offset in range(table[4] + 24, table[4] + table[5], 24):
        name, _, _, section, *_ = struct.unpack_from("<IBBHQQ", library, offset)
        text = strings[name : strings.index(b"\0", name)].decode()
        (defined if section else needed).add(text)
    return defined, needed


@pytest.mark.parametrize("target", ["host", "arm"])
@pytest.mark.parametrize("name", GRAPHS)
def test_symbols(name: str, target: str) -> None:
    """It exports its interface alone, and needs nothing but the C library."""
    defined, needed = dynamic_symbols(artifact(name, target).files["libmodel.so"])
    assert defined == set(API)
    assert [n for n in needed if not any(hasattr(library, n) for library in SYSTEM)] == []
    assert not any("tvm" in n.lower() for n in defined | needed)


def test_equal_models_give_equal_libraries() -> None:
    model, outputs, _, _ = graph("convolutions")
    again = compile(model, "host", outputs=outputs, runtime="aot")
    assert again.artifact(again.targets[0]).files == artifact().files


def test_model_json() -> None:
    told = json.loads(artifact().files["model.json"])
    assert told["inputs"] == [
        {"name": "x", "dtype": "float32", "shape": [2, 17, 19, 3], "bytes": 2 * 17 * 19 * 3 * 4}
    ]
    products = 2 * (9 * 10 * 11 * 27 + 9 * 10 * 11 * 9 + 220 * 7)
    # kernels pad channels to whole tiles, and count what they do
    assert products <= sum(k["macs"] or 0 for k in told["kernels"]) < 1.5 * products


def changed(**fields: Any) -> Artifact:
    whole = artifact()
    told = {**json.loads(whole.files["model.json"]), **fields}
    return dataclasses.replace(
        whole, files={**whole.files, "model.json": json.dumps(told).encode()}
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (dataclasses.replace(artifact(), runtime="tvm"), "for TVM's runtime"),
        (dataclasses.replace(artifact(), files={}), "damaged"),
        (
            dataclasses.replace(
                artifact(), files={**artifact().files, "libmodel.so": b"\x7fELF, and no more"}
            ),
            "can load",
        ),
        (changed(arena_bytes=1), "other inputs, outputs or calls"),
        (changed(inputs=[]), "other inputs, outputs or calls"),
        (changed(format=9), "another version"),
    ],
    ids=["tvm", "empty", "no library", "arena", "inputs", "format"],
)
def test_what_does_not_load(code: Artifact, words: str) -> None:
    with open_device("local", DeviceOptions()) as device, pytest.raises(DeviceError) as error:
        device.load(code)
    assert words in error.value.what
    assert error.value.hint


@pytest.mark.skipif(platform.machine() == "aarch64", reason="this machine runs it")
def test_arm_code_does_not_load_here() -> None:
    code = artifact(target="arm")
    with open_device("local", DeviceOptions()) as device, pytest.raises(DeviceError) as error:
        device.load(code)
    assert "can load" in error.value.what


def test_feeds_are_checked() -> None:
    with open_device("local", DeviceOptions()) as device:
        program = device.load(artifact())
        with pytest.raises(BadFeed):
            program.run([])
        with pytest.raises(BadFeed):
            program.run([np.zeros((1, 17, 19, 3), "float32")])


@pytest.mark.parametrize("threads", [65, 1000])
def test_too_many_threads(threads: int) -> None:
    with open_device("local", DeviceOptions(threads=threads)) as device:
        program = device.load(artifact())
        with pytest.raises(DeviceError, match="threads") as error:
            program.run([graph("convolutions")[2]])
    assert "64" in error.value.hint


def test_threads_by_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCC_NUM_THREADS", "many")
    with open_device("local", DeviceOptions()) as device:
        with pytest.raises(DeviceError, match="threads"):
            device.load(artifact()).run([graph("convolutions")[2]])
        monkeypatch.setenv("DLCC_NUM_THREADS", "3")
        device.load(artifact()).run([graph("convolutions")[2]])


def test_other_addresses() -> None:
    for address in ("emulator", "rpc://127.0.0.1:9"):
        with pytest.raises(DeviceError, match=address):
            open_device(address, DeviceOptions())


def test_what_is_refused() -> None:
    with tf.Graph().as_default() as built:
        x = tf.compat.v1.placeholder(tf.float32, (None, 4), name="x")
        tf.unique(tf.sin(x)[:, 0], name="best")
    model = built.as_graph_def()
    with pytest.raises(ShapeNeeded, match="x"):
        compile(model, "host", outputs=["best"], runtime="aot")
    with pytest.raises(ToolchainError, match="best") as error:
        compile(model, "host", outputs=["best"], inputs={"x": (3, 4)}, runtime="aot")
    assert "runtime tvm" in error.value.hint
    with pytest.raises(UsageError, match="hexagon has no runtime 'tvm'") as usage:
        compile(model, "hexagon", outputs=["best"], inputs={"x": (3, 4)}, runtime="tvm")
    assert "aot" in usage.value.hint


def test_tvm_does_not_take_it() -> None:
    local = kind("host").open_device("local", DeviceOptions())
    with local as device, pytest.raises(DeviceError, match="made for the runtime aot"):
        device.load(artifact())
