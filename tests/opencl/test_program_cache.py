"""The folder of compiled programs: what is in it serves, what is wrong with it does no harm."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.opencl import raw

pytestmark = pytest.mark.device("opencl")

# The number makes a source of its own; a launch and a synchronisation put it into the cache.
RUN = """
def run(number):
    x = on_device(np.ones(4, "float32"))
    code = raw.SCALE + f"// {number}\\n"
    kernel = raw.module(code, {"scale": [raw.POINTER, raw.FLOAT32, raw.INT32]})["scale"]
    kernel(raw.pointer(x), float(number), 4, 1, 4)
    return x.numpy().tolist()
"""
TWO = RUN + "assert run(2) == [2.0] * 4\n"


def run(program: str, cache: Path | str, tmp_path: Path, **env: str) -> str:
    """What it wrote to stderr. PoCL's own cache is emptied: it would hide ours."""
    own = tmp_path / "pocl"
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir()
    env |= {"DLCC_OPENCL_CACHE": str(cache), "POCL_CACHE_DIR": str(own)}
    done = raw.run_program(program, env)
    raw.checked(done)
    return done.stderr


def programs(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.clbin"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program of TWO, to be copied."""
    folder = tmp_path_factory.mktemp("built")
    run(TWO, folder / "cache", folder)
    return folder / "cache"


@pytest.fixture
def cache(built: Path, tmp_path: Path) -> Path:
    """A folder of the test's own with that program in it."""
    return Path(shutil.copytree(built, tmp_path / "cache"))


def test_a_program_is_built_once(cache: Path, tmp_path: Path) -> None:
    (first,) = programs(cache)
    assert len(first.stem) == 64
    written = first.read_bytes(), first.stat().st_ino
    os.utime(first, (1, 1))
    run(TWO, cache, tmp_path)
    assert programs(cache) == [first]
    assert (first.read_bytes(), first.stat().st_ino) == written
    assert first.stat().st_mtime > 1e9  # it was used just now


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "binary"])
def test_a_damaged_program_is_built_anew_and_that_is_told(
    cache: Path, tmp_path: Path, damage: str
) -> None:
    (path,) = programs(cache)
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    junk = b"no binary of this driver" * 40
    path.write_bytes(
        {
            "cut": whole[:-100],
            "bit": whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
            "empty": b"",
            "binary": whole[:start] + hashlib.sha256(junk).hexdigest().encode() + junk,
        }[damage]
    )
    said = run(TWO, cache, tmp_path)
    assert str(path) in said
    assert "is built anew" in said
    assert len(path.read_bytes()) > 1000
    assert "built anew" not in run(TWO, cache, tmp_path)


def test_the_folder_is_bounded_and_the_oldest_go_first(cache: Path, tmp_path: Path) -> None:
    (first,) = programs(cache)
    bound = first.stat().st_size * 5 // 2
    for number, used_s in ((3, 2000), (4, 1000)):
        before = set(programs(cache))
        run(RUN + f"run({number})\n", cache, tmp_path)
        (new,) = set(programs(cache)) - before
        os.utime(new, (used_s, used_s))
        if number == 4:
            oldest = new
    abandoned, recent = cache / "a.1-0.tmp", cache / "b.1-0.tmp"
    abandoned.touch()
    os.utime(abandoned, (1, 1))
    recent.touch()
    os.utime(first, (3000, 3000))
    run(RUN + "run(5)\n", cache, tmp_path, DLCC_OPENCL_CACHE_BYTES=str(bound))
    assert len(programs(cache)) == 2
    assert oldest not in programs(cache)
    assert first in programs(cache)
    assert not abandoned.exists()
    assert recent.exists()


def test_no_folder_no_files(tmp_path: Path) -> None:
    run(TWO, "", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"pocl"}


def test_a_folder_that_cannot_be_written_to_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = run(TWO, tmp_path / "file" / "cache", tmp_path)
    assert "cannot write to the cache" in said


def test_processes_at_once_share_it(tmp_path: Path) -> None:
    """All build the same programs at the same time; each file is whole at any moment."""
    from dlcc.targets.opencl.pocl import pocl_environment

    cache = tmp_path / "cache"
    program = raw.START + RUN + "assert [run(n)[0] for n in (2, 3, 4)] == [2, 3, 4]\n"
    children = []
    for number in range(3):
        env = os.environ | pocl_environment() | {"DLCC_OPENCL_CACHE": str(cache)}
        env["POCL_CACHE_DIR"] = str(tmp_path / f"pocl{number}")
        env["PYTHONPATH"] = os.pathsep.join([str(raw.ROOT), os.environ.get("PYTHONPATH", "")])
        children.append(subprocess.Popen([sys.executable, "-c", program], env=env))
    while any(child.poll() is None for child in children):
        for path in programs(cache):
            assert path.stat().st_size > 1000
        time.sleep(0.01)
    assert [child.returncode for child in children] == [0, 0, 0]
    assert len(programs(cache)) == 3
    assert not list(cache.glob("*.tmp"))
    assert "built anew" not in run(RUN + "run(2); run(3); run(4)\n", cache, tmp_path)
