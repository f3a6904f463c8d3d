"""The second half of scripts/setup, in Python's standard library only.

A stamp in the venv says what it was made from. It is written last, so that an interrupted run
is taken up again, and compared first, so that a run with nothing to do takes no time.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

from checkout import PYTHON, ROOT, VENV, cache_folder

STAMP = VENV / "dlcc-setup.json"


class SetupError(Exception):
    """A step that failed. `what`: one line; `hint`: what to do next."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def say(line: str) -> None:
    print(f"setup: {line}", flush=True)


def run(command: Sequence[str | Path], why: str, hint: str) -> None:
    """Run a command in silence; where it fails, raise with the end of what it said."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(f"  {line}" for line in done.stdout.strip().splitlines()[-12:])
        raise SetupError(f"{why} failed:\n{tail}", hint)


def facts() -> dict[str, str]:
    """What a venv depends on: when any of these changes it is brought up to date."""
    project = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return {
        "project": project,
        "python": sys.version,
        "base": sys.base_prefix,
        "place": str(
            VENV
        ),  # the commands in a venv hold its path: a moved checkout needs a new one
    }


def stamped() -> dict[str, object]:
    """The stamp of the venv, or {} where there is none or it is not whole."""
    try:
        stamp = json.loads(STAMP.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) and PYTHON.exists() else {}


def with_implied(extras: Sequence[str]) -> set[str]:
    """These extras and those that they name themselves, as `dlcc[demo]` does in `dev`.

    Refuses an extra that pyproject.toml does not have: pip would only warn."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    known = project["optional-dependencies"]
    found: set[str] = set()
    waiting = list(extras)
    while waiting:
        if (extra := waiting.pop()) not in known:
            raise SetupError(f"no extra named {extra}", f"extras: {', '.join(known)}")
        found.add(extra)
        own = re.findall(rf"^{project['name']}\[(.*)\]", "\n".join(known[extra]), re.MULTILINE)
        waiting += {name.strip() for names in own for name in names.split(",")} - found
    return found


def apt_fetch(package: str, folder: Path) -> None:
    """Unpack a Debian package into a folder, with package lists of our own: no root needed."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / "apt" / part).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State": folder / "apt/state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": folder / "apt/cache",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    hint = "install python3-venv, or name a Python that has ensurepip: DLCC_PYTHON=… scripts/setup"
    run([*apt, "update"], "apt-get update", hint)
    fetch = f"cd {str(folder)!r} && {' '.join(f'{word!r}' for word in apt)} download {package}"
    run(["sh", "-c", fetch], f"apt-get download {package}", hint)
    for deb in folder.glob(f"{package}_*.deb"):
        run(["dpkg", "-x", deb, folder], f"unpacking {deb.name}", hint)


def pip_wheel() -> Path:
    """pip as a wheel of the Linux distribution: one that is installed, else one fetched."""
    fetched = cache_folder() / "pip"
    wheels = "usr/share/python-wheels"
    for place in (Path("/"), fetched):
        if found := sorted((place / wheels).glob("pip-*.whl")):
            return found[-1]
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise SetupError(
            f"{sys.executable} has no ensurepip, and there is no apt-get to fetch pip with",
            "install your distribution's package for venv, or set DLCC_PYTHON to another Python",
        )
    say("this Python has no pip: fetching python3-pip-whl")
    fetched.mkdir(parents=True, exist_ok=True)
    apt_fetch("python3-pip-whl", fetched)
    return max((fetched / wheels).glob("pip-*.whl"))


def make_venv() -> None:
    """A venv with pip in it, from nothing."""
    version = ".".join(map(str, sys.version_info[:3]))
    say(f"making .venv with Python {version}")
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    flags = ["--clear", *([] if has_ensurepip else ["--without-pip"])]
    hint = "check that this folder can be written to and that the disk is not full"
    # run from inside a venv, this is the Python that the venv stands on
    base = getattr(sys, "_base_executable", sys.executable)
    run([base, "-m", "venv", *flags, VENV], "making .venv", hint)
    if not has_ensurepip:
        wheel = pip_wheel()
        run([PYTHON, f"{wheel}/pip", "install", "--quiet", "--no-index", wheel], "pip", hint)


def install(extras: Sequence[str]) -> None:
    """dlcc, editable, with its extras; then the console commands are there."""
    say(f"installing dlcc[{','.join(extras)}] (some minutes the first time)")
    pip: list[str | Path] = [
        PYTHON,
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]
    hint = "check network and disk, then run scripts/setup again: it goes on where it stopped"
    run([*pip, "install", "--editable", f"{ROOT}[{','.join(extras)}]"], "pip install", hint)


def write_stamp(content: dict[str, object]) -> None:
    """At once or not at all."""
    part = STAMP.with_suffix(".part")
    part.write_text(json.dumps(content), "utf-8")
    part.replace(STAMP)


def bring_up_to_date(wanted: Sequence[str]) -> None:
    """Do what the stamp says is left to do."""
    stamp, now = stamped(), facts()
    had = [str(extra) for extra in stamp.get("extras", [])]  # type: ignore[attr-defined]
    if {key: stamp.get(key) for key in now} == now and set(wanted) <= set(had):
        return
    started = time.monotonic()
    if any(stamp.get(key) != now[key] for key in ("python", "base", "place")):
        STAMP.unlink(missing_ok=True)
        had = []
        make_venv()
    extras = sorted(with_implied([*had, *wanted]))
    write_stamp(now | {"project": "not installed", "extras": had})
    install(extras)
    write_stamp(now | {"extras": extras})
    say(f"ready in {time.monotonic() - started:.0f} s")


def main(wanted: Sequence[str]) -> int:
    folder = os.open(ROOT, os.O_RDONLY)  # a lock on the checkout: two runs at once take turns
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with_implied(wanted)
        bring_up_to_date(wanted)
    except SetupError as error:
        print(f"setup: {error}\n  hint: {error.hint}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("setup: interrupted; run it again to go on", file=sys.stderr)
        return 130
    finally:
        os.close(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
