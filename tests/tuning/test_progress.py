"""Progress on a terminal, without one, and in the log file."""

from __future__ import annotations

import logging
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlcc.tuning.progress import (
    LOG,
    MOST_LOG_BYTES,
    Progress,
    State,
    TaskState,
    left_s,
    mode_of,
    summary,
)
from dlcc.tuning.wording import cost_text, duration_text, gain_text

CONV = TaskState("conv2d …", "conv1/Conv2D", 0.6, 30, 2, 2e-4, 1e-4)
DENSE = TaskState("dense …", "[bold]fc[/]", 0.4, 20, 0, 1e-4, 1e-4, flat=True)
STATE = State("seconds", 50, (CONV, DENSE), wanted=90)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


class TestNumbers:
    def test_a_summary(self) -> None:
        line = summary(STATE, 20)
        assert line == (
            "50 of 90 trials, 2 failed; the best so far save 30.0% of the run; "
            "1 of 2 kernels are flat; 20 s left"
        )

    @pytest.mark.parametrize(
        ("changes", "made", "left"),
        [
            ({}, 40, 20.0),
            ({"wanted": None}, 40, None),
            ({}, 0, None),
            ({"trials": 95}, 40, 0.0),
            ({"left_s": 7.0}, 40, 7.0),
            ({"left_s": -7.0}, 0, 0.0),
        ],
        ids=str,
    )
    def test_time_left(self, changes: dict[str, Any], made: int, left: float | None) -> None:
        assert left_s(replace(STATE, **changes), made, 20) == left

    def test_what_came_before_does_not_slow_it_down(self, caplog: pytest.LogCaptureFixture) -> None:
        clock = Clock()
        with caplog.at_level(logging.INFO, "dlcc"), Progress("m", None, "lines", now=clock) as seen:
            clock.s += 1000  # the first build
            seen.show(STATE)
            clock.s += 10
            seen.show(replace(STATE, trials=60))
        assert "left" not in caplog.messages[1]
        assert caplog.messages[2].endswith("; 30 s left")

    def test_units(self) -> None:
        assert [cost_text(c, "seconds") for c in (1.8e-4, 2.5, None)] == [
            "0.180 ms",
            "2.500 s",
            "-",
        ]
        assert cost_text(12345.0, "packets") == "12,345 packets"
        assert (gain_text(2, 1), gain_text(None, 1)) == ("2.00x", "-")
        times = [duration_text(s) for s in (-1, 48.4, 200, 25500)]
        assert times == ["0 s", "48 s", "3 min 20 s", "7 h 05 min"]


class TestLines:
    def test_not_more_often_than_they_can_be_read(self, caplog: pytest.LogCaptureFixture) -> None:
        clock = Clock()
        with caplog.at_level(logging.INFO, "dlcc"), Progress("m", None, "lines", now=clock) as seen:
            for _ in range(25):
                seen.show(STATE)
                clock.s += 1.0
        assert caplog.messages[0] == "tuning m"
        assert [m.split(" trials")[0] for m in caplog.messages[1:]] == ["50 of 90"] * 3

    def test_the_log_file_tells_what_became_faster(self, tmp_path: Path) -> None:
        clock = Clock()
        with Progress("m for host", tmp_path, "silent", now=clock) as seen:
            seen.show(replace(STATE, tasks=(replace(CONV, best_cost=2e-4), DENSE)))
            seen.show(STATE)
            seen.show(replace(STATE, tasks=(replace(CONV, best_cost=0.999e-4), DENSE)))  # noise
            clock.s += 60
            seen.show(STATE)
            seen.say("a device\x1b[2J is set\naside")
        lines = (tmp_path / LOG).read_text().splitlines()
        assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S", line) for line in lines)
        assert [line[21:] for line in lines] == [
            "tuning m for host",
            summary(replace(STATE, tasks=(replace(CONV, best_cost=2e-4), DENSE))),
            "conv1/Conv2D: 0.100 ms, 2.00x (trial 30)",
            summary(STATE),
            r"a device\x1b[2J is set\naside",
        ]

    def test_the_next_session_goes_on_in_the_same_file(self, tmp_path: Path) -> None:
        for title in "ab":
            with Progress(title, tmp_path / "made", "silent"):
                pass
        lines = (tmp_path / "made" / LOG).read_text().splitlines()
        assert [line.split()[-1] for line in lines] == ["a", "b"]

    def test_a_large_log_is_put_aside(self, tmp_path: Path) -> None:
        (tmp_path / LOG).write_bytes(b"x" * (MOST_LOG_BYTES + 1))
        with Progress("m", tmp_path, "silent"):
            pass
        assert (tmp_path / LOG).stat().st_size < 100
        assert (tmp_path / f"{LOG}.1").stat().st_size > MOST_LOG_BYTES

    def test_a_log_that_cannot_be_written_stops_nothing(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / LOG).mkdir()
        with Progress("m", tmp_path, "silent") as seen:
            seen.show(STATE)
        assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == [
            f"no more lines in {tmp_path / LOG}: Is a directory"
        ]

    def test_a_disk_that_fills_up(self, tmp_path: Path) -> None:
        code = (
            "import resource, sys; from pathlib import Path; import logging\n"
            "from dlcc.tuning.progress import Progress\n"
            "logging.basicConfig(format='%(message)s')\n"
            "with Progress('m', Path(sys.argv[1]), 'silent') as seen:\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))\n"
            "    for n in range(20): seen.say(f'line {n}')\n"
            "print('went on')\n"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout == "went on\n", done.stderr
        assert done.stderr.splitlines() == [f"no more lines in {tmp_path / LOG}: File too large"]


LIVE = """
import sys, time
from dlcc.tuning.progress import Progress, mode_of
from tests.tuning.test_progress import STATE
assert mode_of(0) == "live", mode_of(0)
with Progress("m for host", None, "live") as seen:
    seen.show(STATE)
    time.sleep(0.5)
    if sys.argv[1] == "raise":
        raise KeyboardInterrupt
"""


@pytest.mark.parametrize(("how", "code"), [("end", 0), ("raise", -2)])
def test_on_a_terminal(how: str, code: int) -> None:
    """A table that is gone in the end, with the cursor back, however the session ends."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", LIVE, how],
        stderr=theirs,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
    except OSError:  # Linux: the other end is closed
        assert seen
    finally:
        os.close(ours)
    assert child.wait(60) == code
    text = seen.decode()
    assert "conv1/Conv2D" in text
    assert "[bold]fc[/]" in text
    assert "20 of 90" not in text
    assert "50 of 90 trials" in text
    hidden, shown = text.rindex("\x1b[?25l"), text.rindex("\x1b[?25h")
    assert hidden < shown


def test_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mode_of(-1) == "silent"
    assert mode_of(0) == "lines"  # pytest takes stderr
