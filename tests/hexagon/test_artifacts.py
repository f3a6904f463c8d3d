"""Artifacts that are damaged, or of another kind or chip: each is refused with a reason."""

from __future__ import annotations

import contextlib
import copy
import json
import re
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from dlcc.targets.artifact import Artifact
from dlcc.targets.errors import DeviceError
from dlcc.targets.hexagon.device import open_device
from dlcc.targets.hexagon.model import read_model
from dlcc.targets.hexagon.program import STATUS
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.rpc.dsp import Emulator, Ended
from tests.hexagon.programs import ARENA_BYTES, N, artifact, description, expected, inputs, program

HEADER = Path(__file__).parents[2] / "targets/aot/runtime/dlcc_aot.h"
MACHINE_AT, FLAGS_AT = 18, 36  # of an ELF-32 header, bytes


def patched(at: int, value: int, size: int) -> bytes:
    """The good program with one field of its header changed."""
    content = bytearray(program())
    content[at : at + size] = value.to_bytes(size, "little")
    return bytes(content)


def test_a_good_artifact_is_read() -> None:
    model = read_model(artifact())
    assert (model.architecture, model.arena_bytes) == (66, ARENA_BYTES)
    assert [(t.name, t.dtype.name, t.shape) for t in model.inputs] == [
        ("a", "int32", (N // 8, 8)),
        ("b", "int32", (N // 8, 8)),
    ]


@pytest.mark.parametrize("dtype", ["bool", "float16", "bfloat16", "int64", "float8_e4m3fn"])
def test_dtypes_are_numpys(dtype: str) -> None:
    row = {"name": "x", "dtype": dtype, "shape": [2, 3], "bytes": 0}
    row["bytes"] = 6 * np.dtype(getattr(ml_dtypes, dtype, dtype)).itemsize
    (tensor,) = read_model(artifact(inputs=[row])).inputs
    assert (tensor.dtype.name, tensor.size_bytes) == (dtype, row["bytes"])


DAMAGED_ELFS = {
    "empty": (lambda: b"", "no ELF file"),
    "text": (lambda: b"#!/bin/sh\n" + b" " * 100, "no ELF file"),
    "cut in the header": (lambda: program()[:40], "no ELF file"),
    "cut in the segments": (lambda: program()[:1000], "cut off"),
    "of another machine": (lambda: patched(MACHINE_AT, 183, 2), "no program for Hexagon"),
    "of 64 bits": (lambda: patched(4, 2, 1), "no program for Hexagon"),
    "with headers elsewhere": (lambda: patched(28, 2**31, 4), "cut off"),
    "of another profile": (lambda: patched(FLAGS_AT, 0x68, 4), "v68 code, said to be v66"),
}


@pytest.mark.parametrize("name", DAMAGED_ELFS)
def test_a_damaged_program_is_refused(name: str) -> None:
    make, said = DAMAGED_ELFS[name]
    with pytest.raises(DeviceError, match=f"the code is damaged: model.elf .*{said}") as caught:
        read_model(artifact(make()))
    assert "compile" in caught.value.hint


DAMAGED_DESCRIPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"format": 2}, "format 2 of another version"),
    ({"format": None}, "format None of another version"),
    ({"profile": "armv8"}, "unknown profile 'armv8'"),
    ({"profile": 66}, "TypeError"),
    ({"arena_bytes": -1}, "-1 is no size"),
    ({"arena_bytes": "many"}, "'many' is no size"),
    ({"inputs": [{"name": "x"}]}, "KeyError"),
    ({"inputs": 3}, "TypeError"),
    ({"inputs": [{"name": "x", "dtype": "int99", "shape": [], "bytes": 1}]}, "int99"),
    ({"inputs": [{"name": "x", "dtype": "int8", "shape": [-2, -2], "bytes": 4}]}, "is no size"),
    ({"outputs": [{"name": "y", "dtype": "int8", "shape": [3], "bytes": 4}]}, "has not 4 bytes"),
    ({"kernels": [{"macs": 1}]}, "KeyError"),
    ({"kernels": ["k"]}, "AttributeError"),
]


@pytest.mark.parametrize(("changed", "said"), DAMAGED_DESCRIPTIONS)
def test_a_damaged_description_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(DeviceError, match=rf"the code is damaged: model\.json: .*{said}"):
        read_model(artifact(**changed))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"null", b"{}"])
def test_what_is_no_description_is_refused(content: bytes) -> None:
    files = {"model.elf": program(), "model.json": content}
    with pytest.raises(DeviceError, match=r"the code is damaged: model\.json"):
        read_model(Artifact("hexagon", "hexagon-v66", files, ()))


def test_missing_files_are_named() -> None:
    with pytest.raises(DeviceError, match=r"model\.json"):
        read_model(Artifact("hexagon", "hexagon-v66", {"model.elf": program()}, ()))
    told = {"model.json": json.dumps(description()).encode()}
    with pytest.raises(DeviceError, match=r"model\.elf is no ELF file"):
        read_model(Artifact("hexagon", "hexagon-v66", told, ()))


def test_code_for_another_kind_is_refused() -> None:
    other = Artifact("arm", "arm/cortex-a76", {"module.so": b"\x7fELF"}, ())
    with pytest.raises(DeviceError, match="for arm/cortex-a76, not for a Hexagon DSP") as caught:
        read_model(other)
    assert "hexagon" in caught.value.hint


@pytest.mark.device("hexagon")
def test_code_for_a_newer_chip_is_refused() -> None:
    newer = artifact(patched(FLAGS_AT, 0x79, 4), profile="hexagonv79")
    said = r"another chip: qemu .* runs code up to v73"
    with (
        open_device("emulator", DeviceOptions()) as device,
        pytest.raises(DeviceError, match=said),
    ):
        device.load(newer)


@pytest.mark.device("hexagon")
@pytest.mark.parametrize("mcpu", ["hexagonv65", "hexagonv68", "hexagonv69", "hexagonv73"])
def test_integer_code_for_other_chips_runs(mcpu: str) -> None:
    with open_device("emulator", DeviceOptions()) as device:
        outputs = device.load(artifact(program(mcpu=mcpu), profile=mcpu)).run(inputs())
    for output, wanted in zip(outputs, expected(inputs()), strict=True):
        np.testing.assert_array_equal(output, wanted)


@pytest.mark.device("hexagon")
@pytest.mark.parametrize("seed", range(8))
def test_a_program_with_wrong_bytes_never_hangs(seed: int) -> None:
    """It may still be right, if what was hit is not used; else it ends with an error."""
    content = bytearray(program())
    (start,) = struct.unpack_from("<I", content, 24)
    draw = np.random.default_rng(seed)
    text = slice(start & 0xFFFF, (start & 0xFFFF) + 600)  # the code begins at its file's offset
    noise = draw.integers(0, 256, 600, "uint8")
    hit = draw.random(600) < 0.05
    content[text] = bytes(np.where(hit, noise, np.frombuffer(content[text], "uint8")))
    limit = DeviceOptions(time_limit_s=1)
    with contextlib.suppress(DeviceError), open_device("emulator", limit) as device:
        device.load(artifact(bytes(content))).run(inputs())


CPUS = ["v66", "v67", "v68", "v69", "v71", "v73"]


@pytest.mark.device("hexagon")
@pytest.mark.parametrize(
    ("cpus", "architecture", "cpu"),
    [
        (["v67"], 65, "v67"),
        (["v67"], 73, "v67"),
        (CPUS, 65, "v66"),
        (CPUS, 66, "v66"),
        (CPUS, 69, "v69"),
        (CPUS, 73, "v73"),
        (["v67"], 75, None),
        (CPUS, 75, None),
        ([*CPUS, "v75"], 75, "v75"),
    ],
)
def test_the_cpu_follows_from_the_code(
    hexagon: Emulator, cpus: list[str], architecture: int, cpu: str | None
) -> None:
    emulator = copy.copy(hexagon)
    emulator.cpus = cpus
    if cpu is None:
        with pytest.raises(Ended, match="chip"):
            emulator.cpu_for(architecture)
    else:
        assert emulator.cpu_for(architecture) == cpu


def test_every_error_code_is_explained() -> None:
    if not HEADER.is_file():
        pytest.skip("the runtime's header is not there")
    codes = re.findall(r"DLCC_E_\w+ = (\d+)", HEADER.read_text())
    assert {int(code) for code in codes} == STATUS.keys()
