"""What libraries need, against what the loader says of the same files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dlcc.targets.errors import ToolchainError
from dlcc.targets.opencl.elf import load_order, needed


def tvm_library() -> Path:
    import importlib.util

    spec = importlib.util.find_spec("tvm")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "lib" / "libtvm_runtime.so"


def test_needed_is_what_a_linked_library_names() -> None:
    names = needed(tvm_library())
    assert "libtvm_ffi.so" in names
    assert "libc.so.6" in names
    assert len(names) == len(set(names))


def test_the_order_puts_a_library_behind_those_that_it_needs() -> None:
    runtime = tvm_library()
    import tvm_ffi.libinfo

    ffi = Path(tvm_ffi.libinfo.find_libtvm_ffi())
    assert load_order([runtime], {ffi.name: ffi}) == [ffi, runtime]
    assert load_order([runtime, ffi], {}) == [runtime, ffi]


@pytest.mark.parametrize(
    "content", [b"", b"#!/bin/sh\n", b"\x7fELF\x02\x01", b"\x7fELF\x01\x01\x01"]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(content)
    with pytest.raises(ToolchainError, match=r"no ELF file|damaged"):
        needed(path)


def test_a_cut_library_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(tvm_library().read_bytes()[:5000])
    with pytest.raises(ToolchainError, match="damaged"):
        needed(path)


def test_the_python_itself_can_be_read() -> None:
    program = Path(sys.executable).resolve()
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    assert all(name in said for name in needed(program))
