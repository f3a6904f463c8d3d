"""`dlcc records …`: rows on stdout, what may go wrong on stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dlcc.compiler.cli.main import main
from dlcc.tuning.database import RECORDS, read, writing
from dlcc.tuning.installed import tools
from dlcc.tuning.record import Tools
from tests.tuning.rows import WORKLOAD, default, record

HOST, HEXAGON = tools("host"), tools("hexagon")
COUNTED = {"kind": "hexagon", "chip": "hexagon-v68", "reward": "packets", "device": "emulator"}


class Result(NamedTuple):
    """Exit code, stdout and stderr of one call."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def dlcc(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    def call(*args: object) -> Result:
        capsys.readouterr()
        code = main(["records", *map(str, args)])
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Two sessions: a host's, with a failed trial, and a stale one of a DSP's emulator."""
    with writing(tmp_path / "db") as database:
        database.append([default(tools=HOST), record(tools=HOST)])
        database.append([record(cost=None, error="it\x1b[31m crashed", tools=HOST, choice={})])
        old = {**COUNTED, "tools": HEXAGON._replace(tvm="0.25.0"), "session": "old"}
        database.append([default(cost=900, **old), record(cost=300, **old)])
    return tmp_path / "db"


Dlcc = Callable[..., Result]


class TestRows:
    def test_sessions(self, dlcc: Dlcc, db: Path) -> None:
        host, old = dlcc("list", db, "--json").rows
        assert (host["session"], host["records"], host["failed"], host["stale"]) == (
            *("5f2c", 3, 1),
            "",
        )
        assert (old["session"], old["target"], old["reward"]) == (
            *("old", "hexagon hexagon-v68"),
            "packets",
        )
        assert old["stale"] == "made with TVM 0.25.0"
        table = dlcc("list", db)
        assert len(table.out.splitlines()) == 3
        assert table.err == ""

    def test_trials(self, dlcc: Dlcc, db: Path) -> None:
        rows = dlcc("list", db, "--trials", "--json").rows
        assert [row["cost_s"] for row in rows] == [2e-4, 1.2e-4, None, None, None]
        assert [row["count"] for row in rows] == [None, None, None, 900, 300]
        assert rows[1]["choice"] == record().choice
        assert len(dlcc("list", db, "--trials", "--limit", 2, "--json").rows) == 2
        assert len(dlcc("list", db, "--trials", "--session", "old", "--json").rows) == 2
        shown = dlcc("list", db, "--trials").out
        assert "0.120 ms" in shown
        assert "\x1b" not in shown  # a file is not obeyed by the terminal

    def test_best(self, dlcc: Dlcc, db: Path) -> None:
        rows = {row["target"]: row for row in dlcc("best", db, "--json").rows}
        host, dsp = rows["host"], rows["hexagon hexagon-v68"]
        assert (host["workload"], host["records"], host["failed"]) == (WORKLOAD, 3, 1)
        assert host["times_faster"] == pytest.approx(2e-4 / 1.2e-4)
        assert (dsp["default_count"], dsp["best_count"], dsp["best_s"]) == (900, 300, None)
        assert dsp["stale"] == "made with TVM 0.25.0"

    def test_a_trace_is_not_shown_but_its_size(self, dlcc: Dlcc, db: Path) -> None:
        trace = {"search": "metaschedule", "choice": {"trace": "[" * 5000}, "workload": "0xab"}
        with writing(db) as database:
            database.append([default(workload="0xab", tools=HOST), record(tools=HOST, **trace)])
        result = dlcc("best", db)
        assert "5.0 kB" in result.out
        assert "[[" not in result.out

    @pytest.mark.parametrize(("target", "count"), [("host", 1), ("hexagon", 1), ("arm", 0)])
    def test_one_target(self, dlcc: Dlcc, db: Path, target: str, count: int) -> None:
        for verb in ("list", "best"):
            assert len(dlcc(verb, db, "-t", target, "--json").rows) == count
        assert dlcc("list", db, "-t", "snapdragon-865/hexagon", "--json").rows == []

    def test_a_file_instead_of_a_folder(self, dlcc: Dlcc, db: Path) -> None:
        assert dlcc("best", db / RECORDS, "--json").rows == dlcc("best", db, "--json").rows


class TestFiles:
    def test_prune(self, dlcc: Dlcc, db: Path) -> None:
        with writing(db) as database:
            database.append([record(tools=Tools("0.0.1", "0.20.0", 1), verified=False)])
        dry = dlcc("prune", db, "--dry-run", "--json").rows
        assert (dry["stale"], dry["kept"]) == (1, 5)
        assert len(list(read(db))) == 6
        assert dlcc("prune", db, "--json").rows == dry
        assert len(list(read(db))) == 5
        best = dlcc("prune", db, "--only-best", "--json").rows
        assert (best["not_best"], best["kept"]) == (1, 4)

    def test_merge_and_export(self, dlcc: Dlcc, db: Path, tmp_path: Path) -> None:
        shared, new = tmp_path / "shared.jsonl.gz", tmp_path / "new"
        assert dlcc("export", db, "-o", shared, "--json").rows["records"] == 2
        merged = dlcc("merge", db, shared, db, "-o", new, "--json").rows
        assert (merged["read"], merged["duplicates"], merged["records"]) == (12, 5, 7)
        assert dlcc("merge", db, "-o", new, "--json").rows["records"] == 7

    def test_talk_is_no_data(self, dlcc: Dlcc, db: Path, tmp_path: Path) -> None:
        result = dlcc("merge", db, "-o", tmp_path / "new")
        assert "merging" in result.err
        assert "merging" not in result.out
        assert dlcc("-q", "merge", db, "-o", tmp_path / "new").err == ""


MISTAKES = [
    (["list", "absent"], 2, "there are no records in absent"),
    (["list"], 2, "missing argument 'DIR…'"),
    (["best", "db", "-t", "hots"], 2, "no target named 'hots'"),
    (["list", "db", "--limit", "3"], 2, "--session and --limit are about trials"),
    (["merge", "db"], 2, "missing option '-o'"),
    (["merge", "db", "-o", "file"], 2, "file is a file"),
    (["export", "db", "-o", "x.txt"], 2, "has no name of a file of records"),
    (["prune", "absent"], 2, "there are no records in absent"),
    (["best", "foreign"], 3, "line 1: it is not JSON"),
    (["list", "file"], 3, "line 1: it is not JSON"),
    (["lst", "db"], 2, "no such command 'lst'"),
]


@pytest.mark.parametrize(("args", "code", "what"), MISTAKES, ids=lambda v: str(v)[:40])
def test_mistakes(
    args: list[str],
    code: int,
    what: str,
    dlcc: Dlcc,
    db: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(db.parent)
    Path("file").write_text("this is a letter\n")
    Path("foreign").mkdir()
    (Path("foreign") / RECORDS).write_text("this is a letter\n")
    result = dlcc(*args)
    assert (result.code, result.out) == (code, "")
    error, hint = result.err.splitlines()[-2:]
    assert what in error
    assert hint.startswith("  hint: ")


def test_neither_help_nor_rows_load_tvm(db: Path) -> None:
    code = (
        "import sys; from dlcc.compiler.cli.main import main; "
        "codes = [main(['records', *args.split('|')]) for args in sys.argv[1:]]; "
        "print({'tvm', 'numpy', 'tensorflow'} & set(sys.modules), codes, file=sys.stderr)"
    )
    calls = ["--help", "list|--help", f"list|{db}", f"best|{db}"]
    done = subprocess.run([sys.executable, "-c", code, *calls], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "set() [0, 0, 0, 0]", done.stderr
