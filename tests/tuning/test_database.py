"""The folder of records when things go wrong: real processes, real signals, real limits."""

from __future__ import annotations

import gzip
import logging
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dlcc.targets.errors import BadRecords, UsageError
from dlcc.tuning.database import RECORDS, read, writing
from dlcc.tuning.lines import line_of
from dlcc.tuning.record import Record
from tests.tuning.rows import record

BATCH = [record(choice={"tile_m": n}, label="é" * n) for n in range(1, 4)]
CONTENT = b"".join(map(line_of, BATCH))


def write(folder: Path, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORDS).write_bytes(content)
    return folder


def add(folder: Path, *rows: Record) -> None:
    with writing(folder) as database:
        database.append(rows)


class TestTornLines:
    def test_at_every_byte(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Whatever of a batch is on the disk, whole lines count and the next batch is whole."""
        ends = [n + 1 for n, byte in enumerate(CONTENT) if byte == 0x0A]
        for cut in range(len(CONTENT) + 1):
            write(tmp_path, CONTENT[:cut])
            # a record that lacks nothing but its end is whole
            whole = sum(end - 1 <= cut for end in ends)
            assert list(read(tmp_path)) == BATCH[:whole], cut
            caplog.clear()
            add(tmp_path, record(batch=cut))
            assert list(read(tmp_path)) == [*BATCH[:whole], record(batch=cut)], cut
            torn = cut not in (0, *ends, *(end - 1 for end in ends))
            assert bool(caplog.records) == torn

    def test_zeros_that_a_power_cut_leaves(self, tmp_path: Path) -> None:
        write(tmp_path, CONTENT + bytes(4096))
        add(tmp_path, record(batch=9))
        assert list(read(tmp_path)) == [*BATCH, record(batch=9)]

    def test_a_reader_beside_a_writer_sees_whole_batches(self, tmp_path: Path) -> None:
        add(tmp_path, *BATCH)
        with writing(tmp_path) as database:
            reader = read(tmp_path)
            assert next(reader) == BATCH[0]
            database.append(BATCH)
            assert list(read(tmp_path)) == BATCH * 2


WRITER = """
import sys
from dlcc.tuning.database import writing
from tests.tuning.rows import record
folder, first, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with writing(folder) as database:
    print("open", flush=True)
    for batch in range(first, first + batches):
        database.append([record(batch=batch, choice={"n": n}, label="x" * 900) for n in range(40)])
        print(batch, flush=True)
    sys.stdin.readline()
"""


def start(folder: Path, first: int = 0, batches: int = 0) -> subprocess.Popen[str]:
    """A process that adds batches of 40 records and tells the number of each that is added."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(first), str(batches)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


class TestProcesses:
    def test_the_second_writer_is_told_who_the_first_is(self, tmp_path: Path) -> None:
        with start(tmp_path) as first:
            assert first.stdout is not None
            assert first.stdout.readline() == "open\n"
            with pytest.raises(UsageError, match=f"process {first.pid} is writing") as caught:
                add(tmp_path, record())
            assert "name another folder" in caught.value.hint
            first.communicate("\n", timeout=60)
        add(tmp_path, record())
        assert len(list(read(tmp_path))) == 1

    def test_many_writers_at_once(self, tmp_path: Path) -> None:
        """One of them writes, or one after the other; what is there is whole and there once."""
        writers = [start(tmp_path, first=n * 100, batches=3) for n in range(6)]
        codes = [w.communicate("\n", timeout=120) and w.returncode for w in writers]
        won = [n for n, code in enumerate(codes) if code == 0]
        assert won
        found = [(r.batch, r.choice["n"]) for r in read(tmp_path)]
        assert sorted(found) == [(n * 100 + b, k) for n in won for b in range(3) for k in range(40)]

    def test_a_second_writer_in_this_process(self, tmp_path: Path) -> None:
        with writing(tmp_path) as database:
            with pytest.raises(UsageError, match=f"process {os.getpid()} is writing"):
                add(tmp_path, record())
            database.append(BATCH)
            with start(tmp_path) as other:  # that attempt did not take the lock away
                _, err = other.communicate("\n", timeout=60)
            assert f"process {os.getpid()} is writing" in err
        add(tmp_path, record())

    def test_a_child_that_outlives_its_session_holds_nobody_up(self, tmp_path: Path) -> None:
        code = (
            "import os, sys, time; from dlcc.tuning.database import writing\n"
            f"with writing({str(tmp_path)!r}):\n"
            "    child = os.fork()\n"
            "    if child: print(child, flush=True); os.kill(os.getpid(), 9)\n"
            "    time.sleep(600)\n"
        )
        killed = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert killed.stdout is not None
        child = int(killed.stdout.readline())
        try:
            assert killed.wait(60) == -signal.SIGKILL
            add(tmp_path, record())
        finally:
            os.kill(child, signal.SIGKILL)

    def test_killed_while_it_writes(self, tmp_path: Path) -> None:
        """After each of ten kills: every batch that was reported is there, and nothing twice."""
        moments, first, reported = random.Random(6), 0, set()
        for _ in range(10):
            with start(tmp_path, first, 10_000) as child:
                assert child.stdout is not None
                assert child.stdout.readline() == "open\n"
                timer = threading.Timer(moments.uniform(0.0, 0.05), child.kill)
                timer.start()
                reported |= {int(line) for line in child.stdout if line.endswith("\n")}
                child.wait(60)
            assert child.returncode == -signal.SIGKILL
            found = [(r.batch, r.choice["n"]) for r in read(tmp_path)]
            assert len(found) == len(set(found))
            assert {(b, n) for b in reported for n in range(40)} <= set(found)
            first = 1 + max([b for b, _ in found], default=first)
        add(tmp_path, record())
        assert reported

    def test_stopped_by_ctrl_c_between_batches(self, tmp_path: Path) -> None:
        with start(tmp_path, 0, 10_000) as child:
            assert child.stdout is not None
            for _ in range(3):
                child.stdout.readline()
            child.send_signal(signal.SIGINT)
            child.communicate(timeout=60)
        content = (tmp_path / RECORDS).read_bytes()
        assert content.endswith(b"\n")
        assert content.count(b"\n") % 40 == 0


FULL = """
import resource, sys
from dlcc.targets.errors import UsageError
from dlcc.tuning.database import writing
from tests.tuning.rows import record
with writing(sys.argv[1]) as database:
    database.append([record(batch=1)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
    try:
        database.append([record(batch=2, choice={"n": n}) for n in range(9)])
    except UsageError as error:
        print(error.what, error.hint, sep="|")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    database.append([record(batch=3)])
"""


class TestDisks:
    def test_a_full_disk_takes_a_batch_wholly_or_not_at_all(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-c", FULL, str(tmp_path)],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert done.returncode == 0, done.stderr
        what, hint = done.stdout.strip().split("|")
        assert what == f"cannot add records to {tmp_path}: File too large"
        assert "make room" in hint
        assert [r.batch for r in read(tmp_path)] == [1, 3]

    def test_a_folder_that_takes_no_files(self) -> None:
        with pytest.raises(UsageError, match="cannot write to /proc/self"):
            add(Path("/proc/self"), record())
        with pytest.raises(UsageError, match="cannot make the folder /proc/absent"):
            add(Path("/proc/absent"), record())

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_read_only_folder_can_be_read(self, tmp_path: Path) -> None:
        add(tmp_path, *BATCH)
        (tmp_path / RECORDS).chmod(0o444)
        tmp_path.chmod(0o555)
        assert list(read(tmp_path)) == BATCH
        with pytest.raises(UsageError, match="cannot write"):
            add(tmp_path, record())
        tmp_path.chmod(0o755)


class TestForeignFiles:
    def test_a_file_where_a_folder_is_meant(self, tmp_path: Path) -> None:
        (tmp_path / "db").write_text("x")
        with pytest.raises(UsageError, match="db is a file"):
            add(tmp_path / "db", record())

    def test_nothing_there(self, tmp_path: Path) -> None:
        for place in (tmp_path, tmp_path / "absent"):
            with pytest.raises(UsageError, match="there are no records in"):
                list(read(place))

    @pytest.mark.parametrize(
        "content",
        [b"hello", b"hello\n", b'{"a": 1}', b'{"a": 1}\n', b"[1]\n", b"\x7fELF\x00\n", b"\n"],
    )
    def test_a_file_of_something_else_is_left_alone(self, tmp_path: Path, content: bytes) -> None:
        write(tmp_path, content)
        with pytest.raises(BadRecords) as caught:
            add(tmp_path, record())
        assert str(tmp_path) in caught.value.what
        assert caught.value.hint
        assert (tmp_path / RECORDS).read_bytes() == content

    @pytest.mark.parametrize("line", [b"x\n", b'{"format":9}\n', b'{"format":1}\n', b"\n", b"\0\n"])
    def test_a_damaged_line_is_named(self, tmp_path: Path, line: bytes) -> None:
        write(tmp_path, CONTENT + line + CONTENT)
        with pytest.raises(BadRecords, match=r"records.jsonl, line 4: ") as caught:
            list(read(tmp_path))
        assert caught.value.hint
        assert caught.value.exit_code == 3

    def test_a_line_without_end_does_not_fill_the_memory(self, tmp_path: Path) -> None:
        write(tmp_path, b"")
        os.truncate(tmp_path / RECORDS, 8 << 30)  # sparse
        with pytest.raises(BadRecords, match="line 1: it has more than"):
            list(read(tmp_path))
        os.truncate(tmp_path / RECORDS, 64 << 20)
        with pytest.raises(BadRecords, match="its last line: it has more than"):
            add(tmp_path, record())

    def test_a_pipe_does_not_hang(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / RECORDS)
        for use in (lambda: add(tmp_path, record()), lambda: list(read(tmp_path))):
            with pytest.raises(BadRecords, match="not a regular file"):
                use()

    def test_compressed(self, tmp_path: Path) -> None:
        path = tmp_path / "shared.jsonl.gz"
        path.write_bytes(gzip.compress(CONTENT))
        assert list(read(path)) == BATCH
        for damaged in (gzip.compress(CONTENT)[:-9], b"not gzip", b"\x1f\x8b\x08" + b"\xff" * 90):
            path.write_bytes(damaged)
            with pytest.raises(BadRecords, match="cannot read"):
                list(read(path))


def test_mending_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, CONTENT[:-5])
    with caplog.at_level(logging.WARNING, "dlcc"):
        add(tmp_path, record())
        add(tmp_path, record())
    assert len(caplog.records) == 1
    assert "in the middle of a record" in caplog.messages[0]
