"""Finding the emulator of the DSP: one that is named, one on PATH, the distribution's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlcc.targets.check import check
from dlcc.targets.errors import DeviceError, ToolchainError
from dlcc.targets.hexagon.device import open_device
from dlcc.targets.hexagon.qemu import find_qemu, installed_qemu
from dlcc.targets.qemu import version_key
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.rpc.dsp import Emulator
from dlcc.targets.rpc.serve import dsp_arguments


@pytest.fixture
def nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without an emulator, and no package server: apt and dpkg alone are on PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("apt-get", "dpkg-deb", "dpkg"):
        if (path := Path("/usr/bin") / name).exists():
            (programs / name).symlink_to(path)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("DLCC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DLCC_APT_MIRROR", "file:/nonexistent")
    monkeypatch.delenv("DLCC_QEMU_HEXAGON", raising=False)
    return programs


def test_a_missing_emulator_is_an_error(nothing_there: Path) -> None:
    assert installed_qemu() is None
    assert dsp_arguments("") == []
    with pytest.raises(ToolchainError, match="no qemu-hexagon on PATH, and none") as caught:
        open_device("emulator", DeviceOptions())
    assert "DLCC_QEMU_HEXAGON" in caught.value.hint
    assert caught.value.exit_code == 4
    with pytest.raises(ToolchainError):
        dsp_arguments("auto")


@pytest.mark.device("hexagon")
def test_one_on_path_is_taken(hexagon: Emulator, nothing_there: Path) -> None:
    (nothing_there / "qemu-hexagon-static").symlink_to(hexagon.command[-1])
    found = find_qemu()
    assert found.command == [str(nothing_there / "qemu-hexagon-static")]
    assert (found.version, found.cpus) == (hexagon.version, hexagon.cpus)


@pytest.mark.device("hexagon")
def test_one_that_is_named_is_taken_before_others(
    hexagon: Emulator, nothing_there: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (nothing_there / "qemu-hexagon").symlink_to(hexagon.command[-1])
    mine = tmp_path / "mine"
    mine.symlink_to(hexagon.command[-1])
    monkeypatch.setenv("DLCC_QEMU_HEXAGON", str(mine))
    assert find_qemu().command == [str(mine)]
    assert dsp_arguments("none") == []
    assert dsp_arguments(str(nothing_there / "qemu-hexagon"))[1].endswith("qemu-hexagon")


@pytest.mark.parametrize(
    ("path", "said"), [("/nonexistent/qemu", "No such file"), ("/bin/true", "tell a version")]
)
def test_one_that_does_not_run_is_an_error(
    path: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLCC_QEMU_HEXAGON", path)
    with pytest.raises(ToolchainError, match=f"the emulator does not run: .*{said}") as caught:
        open_device("emulator", DeviceOptions())
    assert caught.value.hint


def test_versions_are_ordered_by_number() -> None:
    assert sorted(["7.2.22", "10.0.2", "8.1"], key=version_key) == ["7.2.22", "8.1", "10.0.2"]


@pytest.mark.device("hexagon")
def test_only_the_program_is_kept(hexagon: Emulator) -> None:
    program = Path(hexagon.command[-1])
    if program.name != "qemu-hexagon-static" or "dlcc" not in str(program):
        pytest.skip("it is not a static one out of the cache")
    files = [p for p in program.parents[2].rglob("*") if not p.is_dir()]
    assert files == [program]
    assert os.access(program, os.X_OK)


@pytest.mark.device("hexagon")
def test_check_tells_of_the_emulator(hexagon: Emulator) -> None:
    rows = {row.name: row for row in check("emulator", meant="hexagon")}
    assert rows["can run"].value == "hexagon"
    assert rows["dsp"].value == f"qemu {hexagon.version} ({', '.join(hexagon.cpus)})"
    assert rows["dsp counts"].value == "packets, instructions, hvx"
    assert all(row.good for row in rows.values())


def test_this_machine_has_no_dsp() -> None:
    with pytest.raises(DeviceError, match="no Hexagon DSP") as caught:
        open_device("local", DeviceOptions())
    assert "emulator" in caught.value.hint
