"""How many instructions dlcc's code for Arm takes beside ONNX Runtime and LiteRT.

    scripts/setup bench                                            # installs the peers
    .venv/bin/python scripts/bench_arm.py                          # three networks
    .venv/bin/python scripts/bench_arm.py mobilenet_v2 --json

Instructions of one inference of one image in float32, on one thread, on an emulated Cortex-A76.
All run in the same device and are counted by the same plug-in of QEMU's; the peers are their
makers' own packages for Arm, in the versions that are installed here, which convert the networks.
Each result is compared with TensorFlow's before it counts. Counts are not time, but on one kind of
core the one follows the other, and counts are the same at every run. Exit code 1 when a result is
wrong or dlcc has no count.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from bench_peers import OURS, converted
from checkout import ROOT, cache_folder
from peer_process import WorkerError
from peers import RUNTIMES, absent, all_versions, versions
from rich.console import Console
from rich.progress import track
from rich.table import Table
from zoo import NETWORKS
from zoo_check import BAR, folder_of

MEASURED = ("mobilenet_v1", "mobilenet_v2", "resnet50")
CHIP = "cortex-a76"  # what the emulator is
PEERS = {
    "onnxruntime": ("numpy", "onnxruntime", "flatbuffers", "protobuf", "packaging"),
    "litert": ("numpy", "ai-edge-litert", "flatbuffers", "backports.strenum"),
}
LONGEST_S = 1800.0


@dataclass(frozen=True, slots=True)
class Count:
    """instructions: of one inference, None where there are none; why: the reason for that.

    difference: of the result to TensorFlow's, as a fraction of the largest output."""

    instructions: int | None = None
    difference: float | None = None
    why: str = ""

    @staticmethod
    def of(instructions: int, difference: float) -> Count:
        if not difference < BAR:  # NaN is wrong too
            return Count(None, difference, f"wrong by {difference:.1e} of the largest")
        return Count(instructions, difference)


@dataclass(frozen=True, slots=True)
class Row:
    """One network: runtime -> its count."""

    network: str
    counts: dict[str, Count]

    @property
    def best_peer(self) -> str | None:
        """The runtime that is not ours with the fewest; None where no peer was counted."""
        known = {n: c.instructions for n, c in self.counts.items() if n != OURS and c.instructions}
        return min(known, key=lambda name: known[name]) if known else None

    @property
    def ratio(self) -> float | None:
        """Our instructions over the best peer's: below 1 ours are fewer."""
        ours = self.counts[OURS].instructions
        best = self.counts[self.best_peer].instructions if self.best_peer else None
        return None if ours is None or best is None else ours / best


def ours(network: str, zoo: Path, database: str | None = None) -> Count:
    """dlcc's count, as `dlcc compile` and `dlcc bench` make it."""
    from dlcc.compiler import compile

    data = np.load(zoo / f"{network}.npz")
    container = compile(str(zoo / f"{network}.pb"), target=CHIP, database=database)
    with container.session(device="emulator", time_limit_s=LONGEST_S) as session:
        feeds = {"input": data["input"]}
        said, expected = session.run(feeds)["output"], data["output"]
        counts = session.bench(feeds).counts
    difference = float(np.abs(said - expected).max() / np.abs(expected).max())
    return Count.of(counts["instructions"], difference)


def peer(name: str, network: str, zoo: Path, folder: Path) -> Count:
    """A peer's count; why there is none where it cannot be had.

    folder: for what may not be kept."""
    if missing := absent(name):
        return Count(why=f"not installed: {', '.join(missing)}; scripts/setup bench installs it")
    try:
        model = converted(name, zoo / f"{network}.pb", folder)
    except WorkerError as error:
        return Count(why=str(error))
    from dlcc.targets.arm.emulator import python_command
    from dlcc.targets.arm.qemu import COUNTERS_BYTES, find_qemu

    qemu = find_qemu()
    if qemu.counter is None:
        return Count(why=qemu.why_not)
    counters = folder / "counters"
    counters.write_bytes(bytes(COUNTERS_BYTES))
    packages = [packages_of(name), ROOT / "scripts"]
    command = python_command(qemu, packages, counters)
    script = str(ROOT / "scripts" / "arm_peer.py")
    done = subprocess.run(
        [*command, script, name, str(model), str(zoo / f"{network}.npz"), str(counters)],
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return Count(why=said[-1])
    return Count.of(**json.loads(done.stdout))


def packages_of(name: str) -> Path:
    """The folder of the cache with a peer's packages for Arm, fetched on first use."""
    from dlcc.targets.arm.qemu import find_qemu
    from dlcc.targets.arm.userland import python_of, userland
    from dlcc.targets.cache import build_once
    from dlcc.targets.wheels import unpack_wheels

    pinned = versions(name)
    wanted = [f"{p}=={pinned[p]}" if p in pinned else p for p in PEERS[name]]
    python = python_of(userland(find_qemu())).name.removeprefix("python")
    mark = hashlib.sha256(json.dumps([wanted, python]).encode()).hexdigest()[:12]
    fetch = partial(unpack_wheels, wanted, machine="aarch64", python=python)
    return build_once(f"arm64-{name}-{mark}", lambda folder: fetch(folder=folder))


def measure(network: str, runtimes: Sequence[str], zoo: Path, database: str | None = None) -> Row:
    """Count a network in each runtime, one after the other."""
    counts: dict[str, Count] = {}
    for name in runtimes:
        with tempfile.TemporaryDirectory(prefix="dlcc-bench-") as folder:
            counts[name] = (
                ours(network, zoo, database)
                if name == OURS
                else peer(name, network, zoo, Path(folder))
            )
    return Row(network, counts)


def show(rows: Sequence[Row], runtimes: Sequence[str]) -> None:
    """The table, and why a cell is empty."""
    table = Table()
    table.add_column("network", no_wrap=True)
    for name in runtimes:
        table.add_column(f"{RUNTIMES[name].title} M", justify="right")
    table.add_column("ratio", justify="right")
    table.add_column("best peer")
    for row in rows:
        millions = [row.counts[name].instructions for name in runtimes]
        cells = ["–" if n is None else f"{n / 1e6:.1f}" for n in millions]
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        best = RUNTIMES[row.best_peer].title if row.best_peer else ""
        table.add_row(row.network, *cells, ratio, best)
    Console().print(table)
    for row in rows:
        for name, count in row.counts.items():
            if count.why:
                print(f"{RUNTIMES[name].title}, {row.network}: {count.why}")


def as_json(rows: Sequence[Row], about: str) -> str:
    """All that was counted."""
    listed = [
        {
            "network": row.network,
            "runtimes": {name: dataclasses.asdict(count) for name, count in row.counts.items()},
            "best_peer": row.best_peer,
            "ratio": row.ratio,
        }
        for row in rows
    ]
    return json.dumps({"device": about, "rows": listed}, indent=2)


def device(runtimes: Sequence[str]) -> str:
    """The emulated device, and the versions of all runtimes."""
    from dlcc.targets.arm.qemu import find_qemu

    return f"{CHIP}, emulated by qemu {find_qemu().version}, one thread; {all_versions(runtimes)}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Count instructions beside other runtimes.")
    parser.add_argument("names", nargs="*", help=f"networks (default: {', '.join(MEASURED)})")
    parser.add_argument(
        "--peers", nargs="*", choices=PEERS, default=list(PEERS), help="(default: all)"
    )
    parser.add_argument("--folder", type=Path, help="frozen networks (default: in the cache)")
    parser.add_argument(
        "--database", metavar="DIR", help="of tuning records; none: not even those of dlcc"
    )
    parser.add_argument("--json", action="store_true", help="what was counted as JSON")
    args = parser.parse_args()
    if unknown := set(args.names) - set(NETWORKS):
        parser.error(f"no network {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    return args


def main() -> int:
    args = arguments()
    os.environ.setdefault("DLCC_CACHE", str(cache_folder()))
    names, runtimes = args.names or list(MEASURED), [OURS, *args.peers]
    zoo = args.folder or folder_of(names)
    about = device(runtimes)
    steps = track(names, console=Console(stderr=True), transient=True)
    rows = [measure(name, runtimes, zoo, args.database) for name in steps]
    if args.json:
        print(as_json(rows, about))
    else:
        print(about)
        show(rows, runtimes)
    wrong = any(c.why.startswith("wrong") for row in rows for c in row.counts.values())
    return 1 if wrong or any(row.counts[OURS].instructions is None for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
