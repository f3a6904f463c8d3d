"""The command line: what it says, where, and its exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dlcc.compiler.cli.main import compile_main, main

MODEL = """
node { name: "x" op: "Placeholder"
  attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "shape" value { shape { dim { size: 2 } dim { size: 3 } } } } }
node { name: "two" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape {} float_val: 2 } } } }
node { name: "y" op: "Mul" input: "x" input: "two" attr { key: "T" value { type: DT_FLOAT } } }
node { name: "z" op: "Neg" input: "y" attr { key: "T" value { type: DT_FLOAT } } }
"""
X = np.arange(6, dtype="float32").reshape(2, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a container of it, a container with an open dimension, an input."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "model.pbtxt").write_text(MODEL)
    (folder / "open.pbtxt").write_text(MODEL.replace("dim { size: 2 }", "dim { size: -1 }"))
    for name in ("model", "open"):
        source, made = folder / f"{name}.pbtxt", folder / f"{name}.dlc"
        assert main(["compile", "-q", str(source), "-o", str(made), "--output", "y"]) == 0
    np.save(folder / "x.npy", X)
    return folder


class Result:
    """Exit code, stdout and stderr of one call."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def dlcc(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Dlcc:
    monkeypatch.chdir(folder)
    return Dlcc(capsys)


class Dlcc:
    """`dlcc` within this process, for TVM takes seconds to load."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *args: object) -> Result:
        self.capsys.readouterr()
        code = main([str(a) for a in args])
        return Result(code, *self.capsys.readouterr())


def dlcc_process(*args: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dlcc.compiler.cli", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


class TestHelp:
    VERBS = (
        [],
        *([v] for v in ("compile", "check", "run", "bench", "info", "device", "target")),
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

    def test_help_on_a_terminal(self) -> None:
        """There rich-click draws it."""
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "dlcc.compiler.cli", "run", "--help"]
        with subprocess.Popen(command, stdout=theirs, stderr=theirs) as child:
            os.close(theirs)
            shown = b""
            with contextlib.suppress(OSError):  # how Linux says that the other end is closed
                while part := os.read(ours, 4096):
                    shown += part
        os.close(ours)
        assert child.returncode == 0
        assert "╭─" in shown.decode()

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
            (["compile", "m", "-i", "x=1,a"], "invalid value for '-i'", "`dlcc compile --help`"),
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


class TestCompile:
    def test_stdout_is_the_path(self, dlcc: Dlcc, tmp_path: Path) -> None:
        result = dlcc("compile", "model.pbtxt", "-o", tmp_path / "m.dlc")
        assert result.code == 0
        assert result.out == f"{tmp_path / 'm.dlc'}\n"
        assert "wrote" in result.err

    def test_default_output_and_json(
        self, dlcc: Dlcc, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        result = dlcc("compile", folder / "model.pbtxt", "--json")
        said = json.loads(result.out)
        assert said["path"] == "model.dlc"
        assert said["size_bytes"] == (tmp_path / "model.dlc").stat().st_size

    def test_equal_models_give_equal_files(self, dlcc: Dlcc, folder: Path, tmp_path: Path) -> None:
        dlcc("compile", "model.pbtxt", "-o", tmp_path / "again.dlc", "--output", "y")
        assert (tmp_path / "again.dlc").read_bytes() == (folder / "model.dlc").read_bytes()

    def test_shapes_and_outputs(self, dlcc: Dlcc, tmp_path: Path) -> None:
        made = tmp_path / "m.dlc"
        args = ["-i", "x:0=5,3", "--output", "z", "--output", "y:0"]
        assert dlcc("compile", "open.pbtxt", "-o", made, *args).code == 0
        shown = json.loads(dlcc("info", made, "--json").out)
        assert shown["inputs"] == [{"name": "x:0", "dtype": "float32", "shape": [5, 3]}]
        assert [o["name"] for o in shown["outputs"]] == ["z", "y:0"]

    @pytest.mark.parametrize(
        ("form", "mark"), [("relax", "R.function"), ("tir", "T.prim_func"), ("asm", "ret")]
    )
    def test_listings(self, form: str, mark: str, dlcc: Dlcc, folder: Path) -> None:
        before = set(folder.iterdir())
        result = dlcc("compile", "model.pbtxt", "--emit", form)
        assert result.code == 0
        assert mark in result.out
        assert set(folder.iterdir()) == before

    @pytest.mark.parametrize(
        ("args", "code"),
        [
            (["absent.pb"], 3),
            (["x.npy"], 3),
            (["model.pbtxt", "--output", "zz"], 2),
            (["model.pbtxt", "-o", "absent/m.dlc"], 2),
        ],
    )
    def test_failures_leave_nothing(
        self, args: list[str], code: int, dlcc: Dlcc, folder: Path
    ) -> None:
        before = set(folder.iterdir())
        result = dlcc("compile", *args)
        assert (result.code, result.out) == (code, "")
        assert result.err.splitlines()[-2 if "hint:" in result.err else -1].startswith("error: ")
        assert set(folder.iterdir()) == before


class TestRun:
    def test_shows_outputs(self, dlcc: Dlcc) -> None:
        result = dlcc("run", "model.dlc", "--input", "x=x.npy", "--json")
        assert result.code == 0
        (row,) = json.loads(result.out)
        assert (row["output"], row["shape"], row["max"]) == ("y", [2, 3], 10.0)

    def test_writes_and_compares(self, dlcc: Dlcc, tmp_path: Path) -> None:
        out = tmp_path / "out.npz"
        assert dlcc("run", "model.dlc", "-i", "x:0=x.npy", "-o", out).code == 0
        with np.load(out) as found:
            np.testing.assert_array_equal(found["y"], 2 * X)
        assert dlcc("run", "model.dlc", "-i", "x=x.npy", "--expect", out).code == 0

    def test_differences(self, dlcc: Dlcc, tmp_path: Path) -> None:
        reference = tmp_path / "ref.npz"
        np.savez(reference, y=2 * X + np.eye(2, 3, dtype="float32") / 8)
        args = ["run", "model.dlc", "-i", "x=x.npy", "--expect", reference]
        result = dlcc(*args, "--json")
        (row,) = json.loads(result.out)
        assert result.code == 1
        assert (row["max_absolute"], row["beyond"], row["ok"]) == (0.125, 2, False)
        assert (
            "beyond tolerance: y (2 of 6 values)"
            in json.loads(result.err.splitlines()[-1])["error"]
        )
        assert dlcc(*args, "--atol", "0.2").code == 0

    def test_reference_of_another_shape_or_name(self, dlcc: Dlcc, tmp_path: Path) -> None:
        args = ["run", "model.dlc", "-i", "x=x.npy", "--expect"]
        np.savez(tmp_path / "a.npz", y=np.zeros(3))
        assert dlcc(*args, tmp_path / "a.npz").code == 1
        np.savez(tmp_path / "b.npz", p=2 * X, q=X)
        result = dlcc(*args, tmp_path / "b.npz")
        assert result.code == 2
        assert "no array for y" in result.err

    def test_random_values_follow_from_the_seed(self, dlcc: Dlcc) -> None:
        outs = [dlcc("run", "model.dlc", "--random", s, "--json").out for s in (1, 1, 2)]
        assert outs[0] == outs[1] != outs[2]

    def test_open_dimensions(self, dlcc: Dlcc) -> None:
        result = dlcc("run", "open.dlc", "--random", 1)
        assert result.code == 2
        assert "--input x=FILE.npy" in result.err
        assert dlcc("run", "open.dlc", "--input", "x=x.npy").code == 0

    def test_missing_inputs(self, dlcc: Dlcc) -> None:
        result = dlcc("run", "model.dlc")
        assert result.code == 2
        assert "no value for input x (float32[2, 3])" in result.err

    @pytest.mark.parametrize("name", ["model.dlc", "open.dlc"])
    def test_raw_files(self, name: str, dlcc: Dlcc, tmp_path: Path) -> None:
        X.tofile(tmp_path / "x.raw")
        X.astype("float64").tofile(tmp_path / "wide.raw")
        for args in (["x.raw"], ["wide.raw", "--raw", "float64"]):
            file, *rest = args
            result = dlcc("run", name, "-i", f"x={tmp_path / file}", *rest, "--json")
            assert json.loads(result.out)[0]["max"] == 10.0
        result = dlcc("run", "model.dlc", "-i", f"x={tmp_path / 'wide.raw'}")
        assert result.code == 2
        assert "has 48 bytes; input x (float32[2, 3]) takes 24" in result.err

    def test_archives_of_inputs(self, dlcc: Dlcc, tmp_path: Path) -> None:
        np.savez(tmp_path / "all.npz", x=X, other=X)
        assert dlcc("run", "model.dlc", "-i", f"x={tmp_path / 'all.npz'}").code == 0
        result = dlcc("run", "model.dlc", "-i", tmp_path / "all.npz")
        assert "no input named 'other'" in result.err
        np.savez(tmp_path / "one.npz", **{"x:0": X})
        assert dlcc("run", "model.dlc", "-i", tmp_path / "one.npz").code == 0

    def test_pickles_are_never_loaded(self, dlcc: Dlcc, tmp_path: Path) -> None:
        np.save(tmp_path / "evil.npy", np.array([{}], object), allow_pickle=True)
        result = dlcc("run", "model.dlc", "-i", f"x={tmp_path / 'evil.npy'}")
        assert result.code == 2
        assert "cannot be read" in result.err

    @pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"nothing"])
    @pytest.mark.parametrize("suffix", ["npy", "npz"])
    def test_damaged_arrays(self, content: bytes, suffix: str, dlcc: Dlcc, tmp_path: Path) -> None:
        path = tmp_path / f"x.{suffix}"
        path.write_bytes(content)
        result = dlcc("run", "model.dlc", "-i", f"x={path}")
        assert result.code == 2, result.err

    def test_wrong_dtype_has_a_hint(self, dlcc: Dlcc, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", X.astype("float64"))
        result = dlcc("run", "model.dlc", "-i", f"x={tmp_path / 'x.npy'}")
        assert result.code == 2
        assert 'hint: x.astype("float32") converts it' in result.err

    def test_unreachable_device(self, dlcc: Dlcc) -> None:
        result = dlcc("run", "model.dlc", "--random", 1, "--device", "rpc://127.0.0.1:9")
        assert result.code == 5
        assert "host on rpc://127.0.0.1:9" in result.err

    def test_target_that_is_not_there(self, dlcc: Dlcc) -> None:
        result = dlcc("run", "model.dlc", "--random", 1, "-t", "arm")
        assert result.code == 2
        assert "it holds code for: host" in result.err


class TestBench:
    def test_times(self, dlcc: Dlcc) -> None:
        result = dlcc("bench", "model.dlc", "--repeat", 5, "--json")
        assert result.code == 0
        cost = json.loads(result.out)
        assert cost["runs"] == 5
        assert 0 < cost["min_s"] <= cost["median_s"] <= cost["p95_s"]
        assert cost["counts"] == {}
        assert "median" in dlcc("bench", "model.dlc").out

    @pytest.mark.device("arm")
    def test_counts_on_an_emulated_device(self, dlcc: Dlcc, tmp_path: Path) -> None:
        made = tmp_path / "arm.dlc"
        assert dlcc("compile", "model.pbtxt", "-t", "arm", "-o", made).code == 0
        result = dlcc("bench", made, "--json")
        assert result.code == 0
        cost = json.loads(result.out)
        assert (cost["target"], cost["device"]) == ("arm cortex-a76", "emulator")
        assert cost["counts"]["instructions"] > 0
        assert cost["min_s"] is None


class TestInfo:
    def test_container(self, dlcc: Dlcc, folder: Path) -> None:
        shown = json.loads(dlcc("info", "model.dlc", "--json").out)
        assert shown["form"] == "container"
        assert shown["size_bytes"] == (folder / "model.dlc").stat().st_size
        assert [t["kind"] for t in shown["targets"]] == ["host"]
        assert "relax.multiply" in dlcc("info", "model.dlc").out

    def test_model(self, dlcc: Dlcc) -> None:
        shown = json.loads(dlcc("info", "model.pbtxt", "--json").out)
        assert shown["form"] == "TensorFlow graph"
        counts = {row["op"]: row["count"] for row in shown["ops"]}
        assert (counts["Mul"], counts["Neg"], shown["parameters"]) == (1, 1, 1)

    def test_damaged_container(self, dlcc: Dlcc, folder: Path, tmp_path: Path) -> None:
        data = bytearray((folder / "model.dlc").read_bytes())
        data[data.index(b"\x7fELF") + 20] ^= 1
        (tmp_path / "m.dlc").write_bytes(data)
        result = dlcc("info", tmp_path / "m.dlc")
        assert result.code == 3
        assert "module.so' has changed" in result.err

    def test_control_characters_are_shown_as_such(self, dlcc: Dlcc, tmp_path: Path) -> None:
        (tmp_path / "m.pbtxt").write_text(MODEL.replace('"z"', r'"z\033[2J"'))
        result = dlcc("info", tmp_path / "m.pbtxt")
        assert "\x1b" not in result.out


class TestCheck:
    def test_all_converted(self, dlcc: Dlcc) -> None:
        rows = json.loads(dlcc("check", "model.pbtxt", "--json").out)
        assert {row["op"] for row in rows} >= {"Mul", "Neg"}
        assert all(row["converter"] for row in rows)

    def test_gaps_are_named_all_at_once(self, dlcc: Dlcc, tmp_path: Path) -> None:
        text = MODEL.replace('"Mul"', '"NoSuchOp"').replace('"Neg"', '"NorThis"')
        (tmp_path / "m.pbtxt").write_text(text)
        result = dlcc("check", tmp_path / "m.pbtxt")
        assert result.code == 1
        assert "NoSuchOp (1), NorThis (1)" in result.err
        assert "NoSuchOp" in result.out.splitlines()[1]


class TestTarget:
    def test_list(self, dlcc: Dlcc) -> None:
        rows = json.loads(dlcc("target", "list", "--json").out)
        assert {"host", "arm"} <= {row["kind"] for row in rows}

    def test_show(self, dlcc: Dlcc) -> None:
        assert json.loads(dlcc("target", "show", "arm", "--json").out)["kind"] == "arm"
        assert dlcc("target", "show", "arn").code == 2


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


@pytest.fixture
def server() -> Iterator[str]:
    """`dlcc device serve` on a free port: its address."""
    yield from _served("serve", "is at ")


@pytest.fixture
def tracker() -> Iterator[str]:
    """`dlcc device tracker` on a free port: its address."""
    yield from _served("tracker", "tracker at ")


def _served(verb: str, mark: str) -> Iterator[str]:
    child = subprocess.Popen(
        [sys.executable, "-m", "dlcc.compiler.cli", "device", verb, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stderr is not None
        line = next(line for line in child.stderr if mark in line)
        yield line.partition(mark)[2].strip()
        child.terminate()
        assert child.wait(timeout=20) == 0
    finally:
        child.kill()
        child.wait()


class TestDevice:
    def test_local(self, dlcc: Dlcc) -> None:
        rows = json.loads(dlcc("device", "check", "local", "--json").out)
        assert rows[0] == {"fact": "address", "value": "local"}

    def test_served(self, server: str, dlcc: Dlcc) -> None:
        assert server.startswith("rpc://127.0.0.1:")
        assert dlcc("device", "check", server).code == 0
        result = dlcc("run", "model.dlc", "-i", "x=x.npy", "--device", server, "--json")
        assert json.loads(result.out)[0]["max"] == 10.0

    def test_tracker(self, tracker: str, dlcc: Dlcc) -> None:
        result = dlcc("device", "list", tracker, "--json")
        assert (result.code, json.loads(result.out)) == (0, [])

    @pytest.mark.parametrize(
        ("args", "code"),
        [
            (["check", "rpc://127.0.0.1:9"], 5),
            (["check", "nowhere"], 2),
            (["list", "127.0.0.1:9"], 5),
            (["emulate", "toaster"], 2),
        ],
    )
    def test_failures(self, args: list[str], code: int, dlcc: Dlcc) -> None:
        result = dlcc("device", *args)
        assert (result.code, result.out) == (code, "")
        assert "error: " in result.err
