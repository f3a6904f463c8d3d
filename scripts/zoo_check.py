"""Compile nine well-known networks, run them, and compare with TensorFlow's own answers.

    .venv/bin/python scripts/zoo_check.py                            # all, for this machine
    .venv/bin/python scripts/zoo_check.py mobilenet_v2 -t arm        # one, on the emulated Arm

The frozen networks come from scripts/zoo.py and are kept in the cache. Each network is compiled
in a process of its own, without TensorFlow. Exit code 1 when any network fails.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from checkout import ROOT, cache_folder, environment
from rich.console import Console
from rich.progress import track
from rich.table import Table
from zoo import NETWORKS

BAR = 1e-3  # of the largest output; what is right is below 1e-5, what is wrong is near 1


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one network. difference: largest, as a fraction of the largest output."""

    network: str
    target: str
    passed: bool
    difference: float | None = None
    compile_s: float | None = None
    run_s: float | None = None
    error: str = ""


def folder_of(names: Iterable[str]) -> Path:
    """The cache folder with the frozen networks; those that are not there yet are made."""
    digest = hashlib.sha256((ROOT / "scripts" / "zoo.py").read_bytes()).hexdigest()
    folder = cache_folder() / "zoo" / digest[:12]
    if missing := [name for name in names if not (folder / f"{name}.pb").exists()]:
        command = [sys.executable, str(ROOT / "scripts" / "zoo.py"), *missing, "--out", str(folder)]
        done = subprocess.run(command, stdout=sys.stderr, env=environment(), check=False)
        if done.returncode:
            raise SystemExit("the networks could not be made")
    return folder


def check_here(name: str, target: str, device: str | None, folder: Path) -> Row:
    """Compile and run one network in this process."""
    from dlcc.compiler import compile

    data = np.load(folder / f"{name}.npz")
    started = time.perf_counter()
    container = compile(str(folder / f"{name}.pb"), target=target)
    compiled = time.perf_counter()
    with container.session(device=device, time_limit_s=600) as session:
        said = session.run({"input": data["input"]})["output"]
    ran = time.perf_counter()
    if "tensorflow" in sys.modules:
        return Row(name, target, passed=False, error="TensorFlow was loaded to compile")
    expected = data["output"]
    if said.shape != expected.shape or said.dtype != expected.dtype:
        why = f"{said.dtype}{said.shape} instead of {expected.dtype}{expected.shape}"
        return Row(name, target, passed=False, error=why)
    difference = float(np.abs(said - expected).max() / np.abs(expected).max())
    passed = difference < BAR  # not a number is no pass
    return Row(name, target, passed, difference, compiled - started, ran - compiled)


def check(name: str, target: str, device: str | None, folder: Path) -> Row:
    """Compile and run one network in a process of its own: a crash is a row like any other."""
    command = [sys.executable, __file__, "--worker", name, "-t", target, "--folder", str(folder)]
    command += ["--device", device] if device else []
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Row(**json.loads(done.stdout.splitlines()[-1]))
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return Row(name, target, passed=False, error=said[-1])


def show(rows: Iterable[Row]) -> None:
    table = Table()
    table.add_column("network")
    table.add_column("target")
    for heading in ("difference", "compile s", "run s"):
        table.add_column(heading, justify="right")
    table.add_column("", overflow="fold")
    for row in rows:
        verdict = "[green]PASS[/green]" if row.passed else f"[red]FAIL[/red] {row.error}"
        shown = "" if row.difference is None else f"{row.difference:.1e}"
        seconds = ["" if s is None else f"{s:.1f}" for s in (row.compile_s, row.run_s)]
        table.add_row(row.network, row.target, shown, *seconds, verdict)
    Console().print(table)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare compiled networks with TensorFlow.")
    parser.add_argument("names", nargs="*", help=f"default: all of {', '.join(NETWORKS)}")
    parser.add_argument("-t", "--target", default="host", help="target (default: host)")
    parser.add_argument("--device", help="address (default: the target's own)")
    parser.add_argument("--folder", type=Path, help="frozen networks (default: in the cache)")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if unknown := set(args.names) - set(NETWORKS):
        parser.error(f"no network {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    return args


def main() -> int:
    args = arguments()
    names = args.names or list(NETWORKS)
    folder = args.folder or folder_of(names)
    if args.worker:
        row = check_here(names[0], args.target, args.device, folder)
        print(json.dumps(dataclasses.asdict(row)))
        return 0
    steps = track(names, console=Console(stderr=True), transient=True)
    rows = [check(name, args.target, args.device, folder) for name in steps]
    if args.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        show(rows)
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
