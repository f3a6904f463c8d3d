"""A small model that is really tuned: what its report and its log say of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcc.compiler.cli.main import main
from dlcc.targets.workload import Conv2d, Matmul, parse
from dlcc.tuning.database import read
from dlcc.tuning.progress import LOG
from dlcc.tuning.report.page import REPORT
from tests.cli.test_cli_tune import MODEL
from tests.tuning.test_report import Page


@pytest.mark.parametrize(
    ("workload", "macs"),
    [
        (Conv2d(1, 14, 14, 32, 64, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 1, "float32", "packed"),
         7 * 7 * 64 * 32 * 9),
        (Conv2d(2, 8, 8, 32, 32, (3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 32, "float32", "packed"),
         2 * 6 * 6 * 32 * 9),
        (Matmul(49, 320, 1280, "float32", "packed"), 49 * 320 * 1280),
    ],
)  # fmt: skip
def test_multiply_accumulates(workload: Conv2d | Matmul, macs: int) -> None:
    assert parse(str(workload)).macs == macs


def test_a_session_leaves_a_log_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "m.tuning"
    model = tmp_path / "m.pbtxt"
    model.write_text(MODEL)
    command = ["tune", str(model), "--database", str(folder), "--trials"]
    assert main([*command, "3"]) == 0
    first = capsys.readouterr()
    assert f"report: {folder / REPORT}" in first.err
    assert main([*command, "5"]) == 0
    assert "continuing: 3 trials" in capsys.readouterr().err
    trials = [r for r in read(folder) if not r.final]
    assert len(trials) == 5
    lines = (folder / LOG).read_text().splitlines()
    assert sum("tuning m for host" in line for line in lines) == 2
    shown = Page((folder / REPORT).read_text("utf-8"))
    ((_, row), sessions) = shown.tables[0], shown.tables[-1]
    assert (row[1], row[3]) == ("1", "5")
    assert len(sessions) == 1 + 2
    assert "before" in shown.text
