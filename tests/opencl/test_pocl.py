"""PoCL as it lies in the cache: what is there, what is not, and what a process is told of it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from dlcc.targets.opencl import pocl
from dlcc.targets.opencl.pocl_files import LIBRARIES, OF_THE_PROCESS, pocl_folder, preloads
from tests.opencl import raw

pytestmark = pytest.mark.device("opencl")


def test_nothing_that_the_process_has_is_loaded_twice(opencl: Any) -> None:
    names = [path.name for path in preloads(pocl_folder())]
    assert all(path.is_file() for path in preloads(pocl_folder()))
    assert not [name for name in names if name.startswith(OF_THE_PROCESS)]
    assert len(names) == len(set(names))
    libraries = list((pocl_folder() / LIBRARIES).iterdir())
    assert all(path.exists() for path in libraries)


def test_the_folder_is_trimmed(opencl: Any) -> None:
    files = [path for path in pocl_folder().rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < 380e6
    assert not list(pocl_folder().glob("usr/share/doc"))
    links = [path for path in pocl_folder().rglob("*") if path.is_symlink()]
    assert all(link.exists() for link in links)


def test_pocl_is_told_of_in_variables_alone(
    opencl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POCL_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", "/a:/b")
    variables = pocl.pocl_environment()
    assert "LD_LIBRARY_PATH" not in variables
    assert variables["POCL_CACHE_DIR"] == str(tmp_path)
    assert variables["PATH"].startswith("/a:/b:")
    monkeypatch.setenv("PATH", variables["PATH"])
    assert pocl.pocl_environment()["PATH"] == variables["PATH"]


KEPT = """
x = on_device(np.ones(4, "float32"))
raw.scale()(raw.pointer(x), 3.0, 4, 1, 4)
print(x.numpy().sum())
"""


def test_kernels_are_linked_without_a_linker_on_path(tmp_path: Path) -> None:
    """Nor anything else: PATH has only what `use_pocl` puts there. Nothing is compiled before."""
    only = str(pocl_folder() / "run" / "bin")
    env = {"PATH": only, "POCL_CACHE_DIR": str(tmp_path), "DLCC_OPENCL_CACHE": ""}
    assert raw.checked(raw.run_program(KEPT, env)).split() == ["12.0"]
    assert list(tmp_path.rglob("*.so"))


def test_pocls_kernels_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go; what another process may be using stays."""
    now = time.time()
    for name, age_s in (("old", 9000), ("older", 9500), ("new", 10), ("newer", 5)):
        folder = tmp_path / "AB" / name
        folder.mkdir(parents=True)
        (folder / "program.bc").write_bytes(bytes(1000))
        (folder / "last_accessed").touch()
        os.utime(folder / "last_accessed", (now - age_s, now - age_s))
    kept = {3: {"old", "new", "newer"}, 2: {"new", "newer"}, 0: {"new", "newer"}}
    for many, names in kept.items():
        monkeypatch.setattr(pocl, "KERNELS_BYTES", many * 1000)
        pocl._trim(tmp_path)
        assert {path.name for path in (tmp_path / "AB").iterdir()} == names


def test_a_process_on_pocl_may_ask_for_it_again(
    opencl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pocl.use_pocl()
    assert opencl.exist
