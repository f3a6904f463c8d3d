"""How fast dlcc's code for this machine is beside ONNX Runtime, LiteRT and TensorFlow.

    scripts/setup bench                                            # installs the peers
    .venv/bin/python scripts/bench_peers.py                        # five networks
    .venv/bin/python scripts/bench_peers.py resnet50 --threads 2 --json

Networks are in float32, one image at a time, with the same input for all. Each runtime has a
process of its own for each network and number of threads. They take turns, one block of inferences
each, for some rounds; the time of a runtime is the median over the rounds of the block's median.
Before a runtime is timed its result is compared with TensorFlow's. A peer that is not installed,
or that cannot take a network, is said so. Exit code 1 when a result is wrong or dlcc has no time.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from checkout import ROOT, cache_folder, environment
from peer_process import Block, Worker, WorkerError
from peers import DATABASE, RUNTIMES, absent, all_versions, versions
from rich.console import Console
from rich.progress import track
from rich.table import Table
from zoo import NETWORKS
from zoo_check import BAR, folder_of

OURS = "dlcc"
QUIET = 0.05  # cores that other work takes on an idle machine
MEASURED = ("mobilenet_v1", "mobilenet_v2", "resnet50", "inception_v3", "efficientnet_b0")


@dataclass(frozen=True, slots=True)
class Timing:
    """One runtime on one network.   rounds_s: the median inference of each round.

    difference: of its result to TensorFlow's, as a fraction of the largest output.
    why: there is no time.   fastest_s: the best inference of all rounds.
    cores, others: that it used, and that other work took meanwhile; means of the rounds."""

    rounds_s: Sequence[float] = ()
    difference: float | None = None
    why: str = ""
    fastest_s: float | None = None
    cores: float = 0.0
    others: float = 0.0

    @staticmethod
    def of(blocks: Sequence[Block], difference: float) -> Timing:
        return Timing(
            rounds_s=[statistics.median(block.times_s) for block in blocks],
            difference=difference,
            fastest_s=min(min(block.times_s) for block in blocks),
            cores=statistics.mean(block.cores for block in blocks),
            others=statistics.mean(block.others for block in blocks),
        )

    @property
    def wrong(self) -> bool:
        return self.difference is not None and not self.difference < BAR  # NaN is wrong too

    @property
    def time_s(self) -> float | None:
        """Of one inference; None where it was not measured."""
        return statistics.median(self.rounds_s) if self.rounds_s else None


@dataclass(frozen=True, slots=True)
class Row:
    """One network with a number of threads: a timing for each runtime."""

    network: str
    threads: int
    timings: Mapping[str, Timing]

    @property
    def best_peer(self) -> str | None:
        """The fastest runtime that is not ours; None where no peer was measured."""
        times = {n: t.time_s for n, t in self.timings.items() if n != OURS and t.time_s is not None}
        return min(times, key=lambda name: times[name]) if times else None

    @property
    def ratio(self) -> float | None:
        """Our time over the best peer's: below 1 we are faster."""
        ours = self.timings[OURS].time_s if OURS in self.timings else None
        best = self.timings[self.best_peer].time_s if self.best_peer else None
        return None if ours is None or best is None else ours / best

    @property
    def passed(self) -> bool:
        """No result is wrong, and ours has a time where it was asked for."""
        wrong = any(timing.wrong for timing in self.timings.values())
        return not wrong and (OURS not in self.timings or self.timings[OURS].time_s is not None)


def geometric_means(rows: Iterable[Row]) -> dict[int, float]:
    """Threads -> the mean of the ratios that there are."""
    known = [(row.threads, row.ratio) for row in rows if row.ratio is not None]
    return {
        threads: statistics.geometric_mean(ratio for t, ratio in known if t == threads)
        for threads in dict.fromkeys(threads for threads, _ in known)
    }


def converted(runtime: str, frozen: Path, folder: Path) -> Path:
    """What a runtime loads, made of a frozen graph in a process of its own.

    folder: for what may not be kept; the rest is in the cache. Raises WorkerError."""
    kind = RUNTIMES[runtime]
    if kind.kept:
        digest = hashlib.sha256(frozen.read_bytes())
        digest.update(json.dumps([runtime, versions(runtime)]).encode())
        digest.update((ROOT / "scripts" / "peers.py").read_bytes())
        folder = cache_folder() / "peers" / digest.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
    to = folder / f"{frozen.stem}{kind.suffix}"
    if not to.exists():
        command = [
            sys.executable,
            str(ROOT / "scripts" / "peers.py"),
            runtime,
            str(frozen),
            str(to),
        ]
        done = subprocess.run(
            command, env=environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise WorkerError(f"cannot convert {frozen.stem}: {said[-1]}")
    return to


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. block_s: of a block of inferences.   zoo: folder of frozen networks."""

    runtimes: Sequence[str]
    rounds: int
    block_s: float
    zoo: Path


def measure(network: str, threads: int, plan: Plan, folder: Path) -> Row:
    """Load a network into each runtime, compare results, and let those that are right take turns.

    folder: for what may not be kept."""
    timings: dict[str, Timing] = {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for name in plan.runtimes:
            if missing := absent(name):
                timings[name] = Timing(why=f"not installed: {', '.join(missing)}")
                continue
            try:
                model = converted(name, plan.zoo / f"{network}.pb", folder)
                worker = Worker(name, model, plan.zoo / f"{network}.npz", threads)
            except WorkerError as error:
                timings[name] = Timing(why=str(error))
                continue
            stack.enter_context(worker)
            timings[name] = Timing(difference=worker.difference)
            if timings[name].wrong:
                why = f"wrong by {worker.difference:.1e} of the largest output"
                timings[name] = Timing((), worker.difference, why)
            else:
                workers[name] = worker
        timings |= take_turns(workers, plan.rounds, plan.block_s)
    return Row(network, threads, {name: timings[name] for name in plan.runtimes})


def take_turns(workers: Mapping[str, Worker], rounds: int, block_s: float) -> dict[str, Timing]:
    """A block of each in every round; each round begins with another, so none is always first."""
    blocks: dict[str, list[Block]] = {name: [] for name in workers}
    failed: dict[str, str] = {}
    names = list(workers)
    for turn in range(rounds if names else 0):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            if name in failed:
                continue
            try:
                blocks[name].append(workers[name].block(block_s))
            except WorkerError as error:
                failed[name] = str(error)
    return {
        name: Timing((), worker.difference, failed[name])
        if name in failed
        else Timing.of(blocks[name], worker.difference)
        for name, worker in workers.items()
    }


def spread(rows: Iterable[Row]) -> float:
    """How far the rounds of one runtime lie apart at most, as a fraction of their median."""
    timings = [timing for row in rows for timing in row.timings.values()]
    return max(
        ((max(t.rounds_s) - min(t.rounds_s)) / t.time_s for t in timings if t.time_s), default=0.0
    )


def show(rows: Sequence[Row], runtimes: Sequence[str]) -> None:
    """The table, the means, and why a cell is empty."""
    table = Table()
    table.add_column("network", no_wrap=True)
    headings = ["threads", *(f"{RUNTIMES[name].title} ms" for name in runtimes), "ratio"]
    for heading in headings:
        table.add_column(heading, justify="right")
    table.add_column("best peer")
    for row in rows:
        times = [row.timings[name].time_s for name in runtimes]
        cells = ["–" if time_s is None else f"{time_s * 1e3:.2f}" for time_s in times]
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        best = RUNTIMES[row.best_peer].title if row.best_peer else ""
        table.add_row(row.network, str(row.threads), *cells, ratio, best)
    Console().print(table)
    for threads, mean in geometric_means(rows).items():
        print(f"{threads} threads: dlcc / best peer, geometric mean {mean:.2f}")
    others = max(timing.others for row in rows for timing in row.timings.values())
    told = f"{others:.2f} of {os.cpu_count()} cores" if others >= QUIET else "next to nothing"
    print(f"rounds of a runtime differ by up to {spread(rows):.0%}; other work took {told}")
    for note in notes(rows):
        print(note)


def notes(rows: Iterable[Row]) -> list[str]:
    """Why a runtime has no time, each reason once, with what to do next."""
    told: dict[str, None] = {}
    for row in rows:
        for name, timing in row.timings.items():
            if timing.why.startswith("not installed"):
                hint = "hint: scripts/setup bench"
                told[f"{RUNTIMES[name].title} is {timing.why}\n  {hint}"] = None
            elif timing.why:
                where = f"{row.network}, {row.threads} threads"
                told[f"{RUNTIMES[name].title}, {where}: {timing.why}"] = None
    return list(told)


def as_json(rows: Sequence[Row], machine: str) -> str:
    """All that was measured."""
    listed = [
        {
            "network": row.network,
            "threads": row.threads,
            "runtimes": {
                name: {
                    "time_s": timing.time_s,
                    **dataclasses.asdict(timing),
                }
                for name, timing in row.timings.items()
            },
            "best_peer": row.best_peer,
            "ratio": row.ratio,
        }
        for row in rows
    ]
    means = {str(threads): mean for threads, mean in geometric_means(rows).items()}
    content = {"machine": machine, "rows": listed, "geometric_means": means}
    return json.dumps(content, indent=2)


def machine(runtimes: Sequence[str]) -> str:
    """This machine, how busy it is before anything runs, and the versions of all runtimes."""
    from dlcc.targets.host.detect import host_chip

    return f"{host_chip().summary}, load {os.getloadavg()[0]:.1f}; {all_versions(runtimes)}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare dlcc with other runtimes.")
    parser.add_argument("names", nargs="*", help=f"networks (default: {', '.join(MEASURED)})")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="(default: 1 2)")
    parser.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=list(RUNTIMES))
    parser.add_argument("--rounds", type=int, default=5, help="blocks of each (default 5)")
    parser.add_argument("--block", type=float, default=1.0, help="seconds of a block (default 1)")
    parser.add_argument("--folder", type=Path, help="frozen networks (default: in the cache)")
    parser.add_argument(
        "--database", metavar="DIR", help="of tuning records; none: not even those of dlcc"
    )
    parser.add_argument("--json", action="store_true", help="what was measured as JSON")
    args = parser.parse_args()
    if unknown := set(args.names) - set(NETWORKS):
        parser.error(f"no network {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    if min(*args.threads, args.rounds) < 1 or args.block <= 0:
        parser.error("--threads and --rounds are at least 1, --block is more than 0")
    return args


def main() -> int:
    args = arguments()
    if args.database:
        os.environ[DATABASE] = args.database
    names = args.names or list(MEASURED)
    about = machine(args.runtimes)
    plan = Plan(args.runtimes, args.rounds, args.block, args.folder or folder_of(names))
    cases = [(name, threads) for name in names for threads in args.threads]
    steps = track(cases, console=Console(stderr=True), transient=True)
    with tempfile.TemporaryDirectory(prefix="dlcc-bench-") as folder:
        rows = [measure(name, threads, plan, Path(folder)) for name, threads in steps]
    if args.json:
        print(as_json(rows, about))
    else:
        print(about)
        show(rows, args.runtimes)
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
