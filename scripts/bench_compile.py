"""How long compiling takes: from the command line, the start of the process included.

    .venv/bin/python scripts/bench_compile.py         # the best of three runs of each network
    .venv/bin/python scripts/bench_compile.py --json

The parts are those that `compile` reports; what they leave of the whole is start-up, saving and
leaving. Exit code 1 when a network takes longer than its bar. Bars are for two cores of 2023.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from checkout import environment
from rich.console import Console
from rich.table import Table
from zoo_check import folder_of

BARS_S = {"mobilenet_v2": 10.0, "resnet50": 25.0}
PART = re.compile(r"(?P<name>\w+) +(?P<seconds>\d+\.\d+) s")


@dataclass(frozen=True, slots=True)
class Timing:
    """One network. parts_s: seconds of each part of compiling; wall_s: of the whole command."""

    network: str
    target: str
    wall_s: float
    bar_s: float
    parts_s: dict[str, float]

    @property
    def passed(self) -> bool:
        return self.wall_s <= self.bar_s


def parts(said: str) -> dict[str, float]:
    """Seconds by part, from what `compile` says: lines like `codegen  2.021 s`."""
    matches = (PART.fullmatch(line.strip()) for line in said.splitlines())
    return {match["name"]: float(match["seconds"]) for match in matches if match}


def once(network: str, target: str, model: Path) -> Timing:
    """Compile in a fresh process, as a user would."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["compile", str(model), "-t", target, "-o", f"{folder}/model.dlc"]
        started = time.perf_counter()
        done = subprocess.run(
            command, env=environment(), capture_output=True, text=True, check=False
        )
        wall_s = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{network}: exit code {done.returncode}\n{done.stderr}")
    known = parts(done.stderr)
    rest = wall_s - sum(known.values())
    return Timing(network, target, wall_s, BARS_S[network], {"start-up and rest": rest} | known)


def show(rows: list[Timing]) -> None:
    """One line a network, the largest parts in words."""
    table = Table()
    for heading in ("network", "target"):
        table.add_column(heading)
    for heading in ("seconds", "bar"):
        table.add_column(heading, justify="right")
    table.add_column("largest parts")
    for row in rows:
        largest = sorted(row.parts_s.items(), key=lambda part: -part[1])[:6]
        told = ", ".join(f"{name} {seconds:.1f}" for name, seconds in largest)
        colour = "green" if row.passed else "red"
        table.add_row(
            row.network,
            row.target,
            f"[{colour}]{row.wall_s:.1f}[/{colour}]",
            f"{row.bar_s:.0f}",
            told,
        )
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how long compiling takes.")
    parser.add_argument("-t", "--target", default="host", help="target (default: host)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each network (default 3)")
    parser.add_argument("--folder", type=Path, help="frozen networks (default: in the cache)")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    args = parser.parse_args()
    folder = args.folder or folder_of(BARS_S)
    rows = [
        min(
            (once(name, args.target, folder / f"{name}.pb") for _ in range(args.repeat)),
            key=lambda timing: timing.wall_s,
        )
        for name in BARS_S
    ]
    if args.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        show(rows)
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
