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


DAMAGES = {
    "cut": lambda whole: whole[:-100],
    "bit": lambda whole: whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
    "empty": lambda whole: b"",
    "binary": lambda whole: whole[: whole.index(b"\n") + 1] + sha256(JUNK) + JUNK,
}
JUNK = b"no binary of this driver" * 40


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def test_damaged_programs_are_built_anew_and_that_is_told(tmp_path: Path) -> None:
    """Each in a way of its own; one process finds them all."""
    several = RUN + f"assert [run(n)[0] for n in range({len(DAMAGES)})] == [0, 1, 2, 3]\n"
    cache = tmp_path / "cache"
    run(several, cache, tmp_path)
    for path, damage in zip(programs(cache), DAMAGES.values(), strict=True):
        path.write_bytes(damage(path.read_bytes()))
    said = run(several, cache, tmp_path)
    for path in programs(cache):
        assert f"{path}" in said
        assert len(path.read_bytes()) > 1000
    assert said.count("is built anew") == len(DAMAGES)
    assert "built anew" not in run(several, cache, tmp_path)


def test_the_folder_is_bounded_and_the_oldest_go_first(cache: Path, tmp_path: Path) -> None:
    (first,) = programs(cache)
    bound = first.stat().st_size * 5 // 2
    run(RUN + "run(3); run(4)\n", cache, tmp_path)
    newer, oldest = sorted(set(programs(cache)) - {first})
    os.utime(newer, (2000, 2000))
    os.utime(oldest, (1000, 1000))
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
    program = raw.START + RUN + "assert [run(n)[0] for n in (2, 3)] == [2, 3]\n"
    children = []
    for number in range(2):
        env = os.environ | pocl_environment() | {"DLCC_OPENCL_CACHE": str(cache)}
        env["POCL_CACHE_DIR"] = str(tmp_path / f"pocl{number}")
        env["PYTHONPATH"] = os.pathsep.join([str(raw.ROOT), os.environ.get("PYTHONPATH", "")])
        children.append(subprocess.Popen([sys.executable, "-c", program], env=env))
    while any(child.poll() is None for child in children):
        for path in programs(cache):
            assert path.stat().st_size > 1000
        time.sleep(0.01)
    assert [child.returncode for child in children] == [0, 0]
    assert len(programs(cache)) == 2
    assert not list(cache.glob("*.tmp"))
    assert "built anew" not in run(RUN + "run(2); run(3)\n", cache, tmp_path)
