"""Files that are either whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dlcc.targets.errors import UsageError


@contextmanager
def written_whole(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` only when the block ends well.

    It is written beside its final place (a rename is atomic only within one file system), flushed
    to the disk and renamed; an error or an interrupt removes it. A symbolic link is followed.
    Raises UsageError where `path` cannot be written.
    """
    final = Path(os.path.realpath(path))
    if final.exists() and not final.is_file():
        # A rename would put a plain file in the place of a folder, a pipe or /dev/null.
        raise UsageError(f"cannot write {path}: it is not a regular file")
    part = final.with_name(f".{final.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            with open(part, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, final)
            _flush_folder(final.parent)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}", hint=_hint(final)
        ) from error


def _flush_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hint(final: Path) -> str:
    return "" if final.parent.is_dir() else f"there is no folder {final.parent}"
