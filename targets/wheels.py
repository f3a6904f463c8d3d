"""Python packages for another machine, fetched by pip and unzipped."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from dlcc.targets.command import run_tool
from dlcc.targets.errors import ToolchainError

# Names of wheels that run on a distribution of 2021 or later (glibc 2.35): pip takes no range.
GLIBC_MINORS = (35, 34, 31, 28, 27, 24, 17)


def unpack_wheels(
    requirements: Sequence[str],
    *,
    machine: str,
    python: str,
    folder: Path,
    keep: Callable[[str], bool] = lambda _: True,
) -> None:
    """Fetch wheels (exactly those named, nothing that they ask for) and unzip them into `folder`.

    machine: as uname names it. python: "3.11". keep: which files, by their path in the wheel.
    Raises ToolchainError when a wheel cannot be had or wants to write outside the folder.
    """
    if importlib.util.find_spec("pip") is None:
        raise ToolchainError(
            "fetching the emulated device's packages needs pip, and this Python has none",
            hint=f"run: {sys.executable} -m ensurepip",
        )
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS]
    with tempfile.TemporaryDirectory(prefix="dlcc-wheels-") as name:
        run_tool(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--only-binary=:all:", "--implementation=cp", f"--python-version={python}"),
                *(*platforms, f"--platform=manylinux2014_{machine}", f"--dest={name}"),
                *requirements,
            ],
            hint="the package index must be reachable; pip's own settings name another one",
        )
        for wheel in sorted(Path(name).glob("*.whl")):
            _unzip(wheel, folder, keep)


def _unzip(wheel: Path, folder: Path, keep: Callable[[str], bool]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            path = PurePosixPath(entry.filename)
            if path.parts[0].endswith(".data"):
                if path.parts[1] not in ("purelib", "platlib"):
                    continue
                path = PurePosixPath(*path.parts[2:])
            if path.is_absolute() or ".." in path.parts:
                raise ToolchainError(f"{wheel.name} has a file outside its folder: {path}")
            if entry.is_dir() or not keep(str(path)):
                continue
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
