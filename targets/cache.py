"""The cache folder, and things built in it once."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dlcc.targets.errors import ToolchainError

log = logging.getLogger("dlcc")


def cache_folder() -> Path:
    """`$DLCC_CACHE`, else `$XDG_CACHE_HOME/dlcc`, else `~/.cache/dlcc`; made if it is not there.

    Raises ToolchainError when it cannot be made."""
    if named := os.environ.get("DLCC_CACHE"):
        folder = Path(named).absolute()
    else:
        folder = (
            Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "dlcc"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolchainError(
            f"cannot make the cache folder {folder}: {error.strerror}",
            hint="set DLCC_CACHE to a folder that you may write to",
        ) from error
    return folder


def build_once(name: str, build: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache, filled by `build(folder)` if it is not there yet.

    A folder of that name is always whole: it is filled under another name, then renamed. Two
    processes at once build it once, the second waits. The lock is the kernel's, so that a process
    killed while building holds nobody up; its rest is swept by the next one.
    """
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    with _locked(folder.with_name(f"{name}.lock")):
        if folder.is_dir():
            return folder
        for rest in folder.parent.glob(f"{name}.part-*"):
            shutil.rmtree(rest, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f"{name}.part-", dir=folder.parent))
        try:
            part.chmod(0o755)
            build(part)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another process is building %s; waiting for it", path.stem)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
