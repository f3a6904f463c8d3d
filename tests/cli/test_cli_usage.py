"""Help, mistakes, and how a call ends when something outside of it goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlcc.compiler.cli.main import compile_main

Dlcc = Callable[..., Any]


def dlcc_process(*args: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dlcc.compiler.cli", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


class TestHelp:
    VERBS = (
        [],
        *([v] for v in ("compile", "check", "run", "bench", "info", "records", "device", "target")),
        ["target", "list"],
        ["target", "show"],
    )

    @pytest.mark.parametrize("verb", VERBS, ids=" ".join)
    def test_every_verb_explains_itself(self, verb: list[str], dlcc: Dlcc) -> None:
        result = dlcc(*verb, "--help")
        assert result.code == 0
        assert result.out.startswith("Usage: dlcc")
        assert result.err == ""

    @pytest.mark.parametrize("verb", [[], ["compile"], ["run"], ["device"]], ids=" ".join)
    def test_help_is_light(self, verb: list[str]) -> None:
        code = (
            "import sys; from dlcc.compiler.cli.main import main; "
            f"code = main([*{verb!r}, '--help']); "
            "heavy = {'tvm', 'numpy', 'tensorflow', 'google.protobuf'} & set(sys.modules); "
            "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
        )
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert found.returncode == 0, found.stderr

    def test_help_is_quick(self) -> None:
        """Less than 0.2 s of CPU; the least of five, since other work disturbs it."""

        def cpu_s() -> float:
            before = os.times()
            assert dlcc_process("--help").returncode == 0
            after = os.times()
            return sum(after[2:4]) - sum(before[2:4])

        assert min(cpu_s() for _ in range(5)) < 0.2

    def test_help_is_light_on_a_terminal(self) -> None:
        """Nothing is loaded there that a pipe does without."""
        ours, theirs = pty.openpty()
        code = (
            "import sys; from dlcc.compiler.cli.main import main; main(['run', '--help']); "
            "sys.exit('rich' in sys.modules)"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs) as child:
            os.close(theirs)
            shown = b""
            with contextlib.suppress(OSError):  # how Linux says that the other end is closed
                while part := os.read(ours, 4096):
                    shown += part
        os.close(ours)
        assert child.returncode == 0
        assert "Usage: dlcc run" in shown.decode() or "Usage: run" in shown.decode()

    def test_compile_is_a_command_of_its_own(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["compile", "--help"])
        assert compile_main() == 0
        assert capsys.readouterr().out.startswith("Usage: dlcc compile")

    def test_versions(self, dlcc: Dlcc) -> None:
        result = dlcc("--version")
        assert result.code == 0
        assert [line.split()[0] for line in result.out.splitlines()] == [
            "dlcc",
            "TVM",
            "LLVM",
            "TensorFlow",
        ]

    def test_without_a_verb(self, dlcc: Dlcc) -> None:
        result = dlcc()
        assert result.code == 2
        assert result.out == ""
        assert "Usage: dlcc" in result.err


class TestUsage:
    @pytest.mark.parametrize(
        ("args", "what", "hint"),
        [
            (["rnu"], "no such command 'rnu'", "did you mean 'run'?"),
            (["run", "--devise", "x"], "no such option '--devise'", "did you mean '--device'?"),
            (["target", "lst"], "no such command 'lst'", "did you mean 'list'?"),
            (["run"], "missing argument 'FILE'", "`dlcc run --help` shows how"),
            (
                ["bench", "f", "--repeat", "0"],
                "invalid value for '--repeat'",
                "`dlcc bench --help`",
            ),
            (["compile", "m", "-i", "x=1,2.5"], "invalid value for '-i'", "`dlcc compile --help`"),
            (["compile", "model.pbtxt", "-t", "hots"], "no target named 'hots'", "host"),
        ],
    )
    def test_mistakes(self, args: list[str], what: str, hint: str, dlcc: Dlcc) -> None:
        result = dlcc(*args)
        assert result.code == 2
        assert result.out == ""
        first, second = result.err.splitlines()[-2:]
        assert first.startswith(f"error: {what}")
        assert second.startswith("  hint: ")
        assert hint in second

    def test_errors_as_json(self, dlcc: Dlcc) -> None:
        result = dlcc("info", "absent.dlc", "--json")
        assert (result.code, result.out) == (3, "")
        said = json.loads(result.err.splitlines()[-1])
        assert said.keys() == {"error", "hint", "exit_code"}
        assert said["exit_code"] == 3

    @pytest.mark.parametrize("args", [["-q", "check"], ["check", "-q"]])
    def test_quiet_before_and_after_the_verb(self, args: list[str], dlcc: Dlcc) -> None:
        result = dlcc(*args, "model.pbtxt")
        assert (result.code, result.err) == (0, "")

    def test_verbose_says_more(self, dlcc: Dlcc, tmp_path: Path) -> None:
        usual, loud = (
            dlcc(*extra, "compile", "model.pbtxt", "-o", tmp_path / "m.dlc")
            for extra in ([], ["-v"])
        )
        assert len(loud.err.splitlines()) > len(usual.err.splitlines())


class TestEndings:
    """How it ends when something outside of it goes wrong."""

    def test_a_bug(self, dlcc: Dlcc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        monkeypatch.setattr("dlcc.targets.registry.find_chip", None)
        result = dlcc("target", "show", "x")
        assert result.code == 70
        assert result.err.startswith("error: internal error: TypeError")
        (report,) = tmp_path.glob("dlcc-bug-*.txt")
        assert str(report) in result.err
        assert "Traceback" in report.read_text()
        assert "Traceback" not in result.err
        assert "Traceback" in dlcc("-v", "target", "show", "x").err

    def test_closed_pipe_is_quiet(self, folder: Path) -> None:
        command = f"{sys.executable} -m dlcc.compiler.cli info model.dlc; echo $? >&2"
        found = subprocess.run(
            ["bash", "-c", f"(sleep 0.1; {command}) | (exec <&-; sleep 1)"],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert found.stderr == "141\n"

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_interrupts_leave_nothing(self, number: int, code: int, folder: Path) -> None:
        before = set(folder.iterdir())
        child = subprocess.Popen(
            [sys.executable, "-m", "dlcc.compiler.cli", "compile", "model.pbtxt", "-o", "new.dlc"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stderr is not None
        assert child.stderr.readline().startswith("compiling")
        time.sleep(0.2)  # somewhere within the load of TVM
        child.send_signal(number)
        _, err = child.communicate(timeout=30)
        assert child.returncode == code
        assert "Traceback" not in err
        assert set(folder.iterdir()) == before

    def test_no_color(self, folder: Path) -> None:
        found = dlcc_process("rnu", env={**os.environ, "NO_COLOR": "1"})
        assert (found.returncode, found.stdout) == (2, "")
        assert "\x1b" not in found.stderr
