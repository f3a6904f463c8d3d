"""The folder in which tuning keeps its records: `DIR/records.jsonl`, one writer, many readers.

Lines are only ever added. A batch is on the disk when `append` returns; what a crash in the middle
of a write leaves behind is the beginning of a line, which has no end and therefore does not count.
"""

from __future__ import annotations

import fcntl
import gzip
import logging
import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dlcc.targets.errors import BadRecords, UsageError
from dlcc.tuning.lines import MAX_LINE_BYTES, Malformed, line_of, record_of
from dlcc.tuning.record import Record

log = logging.getLogger("dlcc")

RECORDS, LOCK = "records.jsonl", "lock"
CHUNK_BYTES = 1 << 20


class Database:
    """A folder that this process alone may add records to; `writing` opens it."""

    def __init__(self, folder: Path, descriptor: int, size_bytes: int) -> None:
        self.folder = folder
        self._descriptor = descriptor
        self._size_bytes = size_bytes

    def append(self, records: Sequence[Record]) -> None:
        """Add a batch; when this returns it is on the disk, when it raises nothing was added.

        Raises UsageError where the disk is full or refuses."""
        content = memoryview(b"".join(map(line_of, records)))
        end = self._size_bytes + len(content)
        try:
            while content:
                content = content[os.write(self._descriptor, content) :]
            os.fsync(self._descriptor)
        except OSError as error:
            self._take_back()
            raise UsageError(
                f"cannot add records to {self.folder}: {error.strerror or error}",
                hint="all records before are kept; make room and give the same command again",
            ) from error
        except BaseException:  # interrupted between two writes
            self._take_back()
            raise
        self._size_bytes = end

    def _take_back(self) -> None:
        """Remove what an append that failed has written. If even that fails, its last line has no
        end, and whoever opens the folder next removes it."""
        try:
            os.ftruncate(self._descriptor, self._size_bytes)
        except OSError as error:
            log.warning("cannot remove half a batch from %s: %s", self.folder, error.strerror)


@contextmanager
def writing(folder: str | Path) -> Iterator[Database]:
    """The database of a folder, which is made if it is not there, to add records to.

    One process at a time: another one is refused, and told the number of this one. Half a line that
    a crash left at the end is removed, and a warning says so.   Raises UsageError, BadRecords."""
    folder = Path(folder)
    _make(folder)
    with _locked(folder):
        path = folder / RECORDS
        descriptor = _open(path)
        try:
            try:
                size_bytes = _mend(path, descriptor)
            except OSError as error:
                raise UsageError(f"cannot write {path}: {error.strerror}") from error
            yield Database(folder, descriptor, size_bytes)
        finally:
            os.close(descriptor)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(
            f"{folder} is a file, and records are kept in a folder",
            hint="name a folder; it is made if it is not there",
        ) from None
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from error


def _open(path: Path) -> int:
    """A descriptor that writes at the end of the file, whatever else happens to it."""
    if path.exists() and not path.is_file():
        raise BadRecords(f"{path} is not a regular file", hint="name another folder")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        parent = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", hint="name a folder that you may write to"
        ) from error
    try:
        os.fsync(parent)  # so that the file itself outlives a power cut
    finally:
        os.close(parent)
    return descriptor


def _mend(path: Path, descriptor: int) -> int:
    """The size of the file in bytes, after half a line at its end was removed.

    Raises BadRecords where the file holds something else: then nothing is removed."""
    size_bytes = os.fstat(descriptor).st_size
    end = _end_of_lines(descriptor, size_bytes)
    _check_last_line(path, descriptor, end)
    if end == size_bytes:
        return end
    rest = os.pread(descriptor, min(size_bytes - end, MAX_LINE_BYTES + 1), end)
    if _is_record(rest):  # an editor may have dropped the last end of line
        os.write(descriptor, b"\n")
        return size_bytes + 1
    begins = _BEGIN.startswith(rest[: len(_BEGIN)]) or rest.startswith(b"\0")
    if len(rest) > MAX_LINE_BYTES or not begins:
        raise BadRecords(
            f"{path} does not end with a record", hint="name another folder, or move the file away"
        )
    os.ftruncate(descriptor, end)
    os.fsync(descriptor)
    log.warning(
        "%s ended in the middle of a record, which was removed (%d bytes): "
        "the last session was stopped while it wrote",
        path,
        len(rest),
    )
    return end


_BEGIN = b'{"format":'


def _is_record(line: bytes) -> bool:
    try:
        record_of(line)
    except Malformed:
        return False
    return True


def _end_of_lines(descriptor: int, size_bytes: int) -> int:
    """Where the last line that has an end does end, or where one that is too long begins to be."""
    position = size_bytes
    while position > 0 and size_bytes - position <= MAX_LINE_BYTES:
        begin = max(0, position - CHUNK_BYTES)
        chunk = os.pread(descriptor, position - begin, begin)
        if (found := chunk.rfind(b"\n")) >= 0:
            return begin + found + 1
        position = begin
    return position


def _check_last_line(path: Path, descriptor: int, end: int) -> None:
    """Check the last whole line, so that records are not added to a file of something else."""
    if end:
        begin = _end_of_lines(descriptor, end - 1)
        line = os.pread(descriptor, min(end - begin, MAX_LINE_BYTES + 1), begin)
        try:
            record_of(line)
        except Malformed as error:
            raise _damaged(path, "its last line", error) from error


_held: set[Path] = set()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The lock of a folder. It belongs to a process, not to a file that its children inherit: a
    worker that outlives a killed session holds nobody up."""
    path = Path(os.path.realpath(folder)) / LOCK
    if path in _held:  # locks of one process do not shut each other out
        raise _busy(folder, str(os.getpid()))
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UsageError(
            f"cannot write to {folder}: {error.strerror}",
            hint="name a folder that you may write to",
        ) from error
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(folder, os.pread(descriptor, 32, 0).decode("ascii", "replace")) from None
        _sign(descriptor, folder)
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)
    finally:
        os.close(descriptor)


def _sign(descriptor: int, folder: Path) -> None:
    """Leave the number of this process, for whoever comes next."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error


def _busy(folder: Path, holder: str) -> UsageError:
    who = holder.strip()
    process = f"process {who}" if who.isdigit() else "another process"
    return UsageError(
        f"{process} is writing records to {folder}",
        hint="wait until it has ended, end it, or name another folder",
    )


def records_file(place: str | Path) -> Path:
    """The file of records that a folder holds, or that is named itself.

    Raises UsageError where there is none."""
    path = Path(place)
    path = path / RECORDS if path.is_dir() else path
    if not path.exists():
        raise UsageError(
            f"there are no records in {place}", hint="`dlcc tune` writes them; is the name right?"
        )
    if not stat.S_ISREG(path.stat().st_mode):
        raise BadRecords(f"{path} is not a regular file", hint="name a folder of `dlcc tune`")
    return path


def read(place: str | Path) -> Iterator[Record]:
    """The records of a folder or file, in the order in which they were written; it may be written
    to at the same time. Half a line at the end does not count.   Raises UsageError, BadRecords."""
    for record, _ in read_lines(place):
        yield record


def read_lines(place: str | Path) -> Iterator[tuple[Record, bytes]]:
    """Like `read`, with the very line that holds each record."""
    path = records_file(place)
    for number, line in enumerate(_whole_lines(path), 1):
        try:
            record = record_of(line)
        except Malformed as error:
            raise _damaged(path, f"line {number}", error) from error
        yield record, line


def _whole_lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb", CHUNK_BYTES) as file:
            while content := file.readline(MAX_LINE_BYTES + 1):
                torn = not content.endswith(b"\n") and len(content) <= MAX_LINE_BYTES
                if torn and not _is_record(content):
                    return
                yield content
    except (OSError, EOFError, zlib.error) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise BadRecords(f"cannot read {path}: {what}") from error


def _damaged(path: Path, place: str, error: Malformed) -> BadRecords:
    hint = "the file was changed or damaged: take the line out, or restore the file"
    return BadRecords(f"{path}, {place}: {error.what}", hint=error.hint or hint)
