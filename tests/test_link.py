"""Linked libraries, read with a small ELF reader: nothing needed, big pages, few open symbols."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relax

from dlcc.targets import link as linking
from dlcc.targets.errors import ToolchainError
from dlcc.targets.registry import find_chip, kind

PT_LOAD, PT_DYNAMIC, SHT_DYNSYM, DT_NEEDED, SHN_UNDEF = 1, 2, 11, 1, 0
MACHINES = {62: "x86_64", 183: "aarch64"}
PAGE_BYTES = 16384

# What a kernel may leave to the process that loads it: mathematics and copies of the C library,
# and TVM's own entry points.
OPEN_SYMBOLS = {
    "TVMFFIErrorSetRaisedFromCStrParts",
    "TVMFFIErrorSetRaisedFromCStr",
    "TVMBackendParallelLaunch",
    "TVMBackendAllocWorkspace",
    "TVMBackendFreeWorkspace",
    *(f"{f}f" for f in ("exp", "log", "tanh", "pow", "sin", "cos", "erf", "fmod", "round")),
    *("memcpy", "memset", "memmove"),
}


@dataclass(frozen=True)
class Elf:
    """What the tests ask of a 64-bit little-endian ELF file."""

    machine: str
    alignments: list[int]
    needed: int
    undefined: set[str]


def read_elf(data: bytes) -> Elf:
    """Source of the layout: System V ABI, chapters 4 and 5."""
    assert data[:6] == b"\x7fELF\x02\x01"
    (machine,) = struct.unpack_from("<H", data, 18)
    phoff, shoff = struct.unpack_from("<QQ", data, 32)
    _, phsize, phnum, shsize, shnum, _ = struct.unpack_from("<6H", data, 52)
    segments = [struct.unpack_from("<IIQQQQQQ", data, phoff + i * phsize) for i in range(phnum)]
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, shoff + i * shsize) for i in range(shnum)]
    needed = 0
    for kind_, _, offset, *_, size, _, _ in (s for s in segments if s[0] == PT_DYNAMIC):
        assert kind_ == PT_DYNAMIC
        tags = [struct.unpack_from("<qQ", data, offset + i)[0] for i in range(0, size, 16)]
        needed += tags.count(DT_NEEDED)
    undefined: set[str] = set()
    for section in (s for s in sections if s[1] == SHT_DYNSYM):
        strings = sections[section[6]][4]
        for at in range(section[4] + 24, section[4] + section[5], 24):
            name, _, _, index = struct.unpack_from("<IBBH", data, at)
            if index == SHN_UNDEF:
                start = strings + name
                undefined.add(data[start : data.index(b"\0", start)].decode())
    alignments = [s[7] for s in segments if s[0] == PT_LOAD]
    return Elf(MACHINES[machine], alignments, needed, undefined)


def small_module() -> tvm.ir.IRModule:
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 40, 40, 24), "float32"))
    w = np.random.default_rng(0).normal(size=(3, 3, 24, 24)).astype("float32")
    with bb.function("main", [x]):
        with bb.dataflow():
            layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO"}
            y = bb.emit(relax.op.nn.conv2d(x, relax.const(w), padding=1, **layouts))
            y = bb.emit(relax.op.log(relax.op.exp(relax.op.sin(y))))
            out = bb.emit_output(relax.Tuple([bb.emit(relax.op.nn.softmax(y))]))
        bb.emit_func_output(out)
    return bb.get()


@pytest.fixture(scope="module", params=["host", "arm"])
def library(request) -> tuple[str, bytes]:
    chip = find_chip(request.param)
    artifact = kind(chip.kind).build(small_module(), chip)
    return chip.tvm["mtriple"].split("-")[0], artifact.files["module.so"]


def test_library_stands_alone(library: tuple[str, bytes]) -> None:
    machine, data = library
    elf = read_elf(data)
    assert elf.machine == machine
    assert elf.needed == 0
    assert elf.alignments
    assert all(a % PAGE_BYTES == 0 for a in elf.alignments)


def test_open_symbols_are_known(library: tuple[str, bytes]) -> None:
    assert read_elf(library[1]).undefined <= OPEN_SYMBOLS


def test_no_linker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DLCC_LINKER", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(linking.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ToolchainError) as error:
        linking.find_linker("aarch64")
    assert "aarch64" in error.value.what
    assert "dlcc[cross]" in error.value.hint


def test_given_linker_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCC_LINKER", "my-ld --fast")
    assert linking.find_linker("aarch64") == ["my-ld", "--fast"]


@pytest.mark.parametrize("command", ["false", "/no/such/linker"])
def test_linker_that_fails(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DLCC_LINKER", command)
    with pytest.raises(ToolchainError) as error:
        linking.link([tmp_path / "a.o"], "aarch64")
    assert command in error.value.what
    assert "DLCC_LINKER" in error.value.hint


def test_linker_error_shows_its_output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DLCC_LINKER", raising=False)
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"not an object file")
    with pytest.raises(ToolchainError) as error:
        linking.link([broken], "aarch64")
    assert "broken.o" in "".join(error.value.what.splitlines()[1:])
