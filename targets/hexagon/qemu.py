"""The emulator of the DSP: qemu-hexagon, the newest on PATH or the distribution's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from dlcc.targets.cache import cache_folder
from dlcc.targets.errors import ToolchainError
from dlcc.targets.qemu import unpacked, version_key
from dlcc.targets.rpc.dsp import Emulator, Ended
from dlcc.targets.unpack import distribution, host_architecture

RECIPE = 1  # raise when what `targets/qemu.py` leaves there changes
PROGRAMS = ("qemu-hexagon", "qemu-hexagon-static")
# package -> its program. A static one brings no libraries; newer releases have only the second.
PACKAGES = {"qemu-user-static": "qemu-hexagon-static", "qemu-user": "qemu-hexagon"}
HINT = (
    "install qemu 7.2 or newer with its qemu-hexagon (qemu-user-static), or name one in "
    "DLCC_QEMU_HEXAGON"
)


def find_qemu(path: str | None = None) -> Emulator:
    """The emulator at `path` or `$DLCC_QEMU_HEXAGON`; else the newest on PATH; else the
    distribution's, unpacked into the cache on first use.

    Raises ToolchainError when there is none, or the one named does not run."""
    if found := installed_qemu(path):
        return found
    failures = []
    for package in PACKAGES:
        try:
            return _opened(_unpacked(package))
        except ToolchainError as error:
            failures.append(error)
    said = "; ".join(error.what.splitlines()[-1] for error in failures)
    raise ToolchainError(f"no qemu-hexagon on PATH, and none to unpack: {said}", hint=HINT)


def installed_qemu(path: str | None = None) -> Emulator | None:
    """As `find_qemu`, but None where one would have to be fetched."""
    if named := path or os.environ.get("DLCC_QEMU_HEXAGON"):
        return _opened([named])
    on_path = [_opened([found]) for name in PROGRAMS if (found := shutil.which(name))]
    if on_path:
        return max(on_path, key=lambda emulator: version_key(emulator.version))
    try:
        distribution(), host_architecture()
    except ToolchainError:
        return None  # so nothing of its packages can be in the cache
    for package in PACKAGES:
        if (cache_folder() / _folder(package)).is_dir():
            return _opened(_unpacked(package))
    return None


def _folder(package: str) -> str:
    return f"{PACKAGES[package]}-{distribution().codename}-{host_architecture()}-{RECIPE}"


def _unpacked(package: str) -> list[str]:
    return unpacked(_folder(package), package, PACKAGES[package], distribution())


def _opened(command: Sequence[str]) -> Emulator:
    try:
        return Emulator(command)
    except Ended as error:
        raise ToolchainError(f"the emulator does not run: {error.detail}", hint=HINT) from error
