"""Make the tuning records that come with dlcc, tuning/shipped/*.jsonl, of well-known networks.

    .venv/bin/python scripts/tune_shipped.py --list          # the rows, and which can be made here
    .venv/bin/python scripts/tune_shipped.py v66 a76
    .venv/bin/python scripts/tune_shipped.py avx2 --minutes 60
    .venv/bin/python scripts/tune_shipped.py --minutes 0     # files from what was measured before

A row is tuned network by network, as `dlcc tune` does, with one thread. What is measured is kept
in a database in the cache: the same command goes on where it stopped, and within its minutes the
networks share what is left. Then a row's file is written, with the choices that hold: those that
save enough again, all together, in a process of its own, in every network that has the kernel. Of
counts 1 % is enough, since counts are exact. Of times it is 5 %, once with one thread and once with
all cores. Exit code 1 when a row that was asked for cannot be made here.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from checkout import ROOT, cache_folder
from quantised import NETWORKS as EIGHT_BIT
from quantised import data_of, layers_of, module_of
from shipping import Trial, confirmed, holding, written
from zoo_check import folder_of

from dlcc.targets.chips import Chip
from dlcc.targets.errors import DlccError
from dlcc.targets.registry import KINDS, DeviceOptions, find_chip, kind
from dlcc.tuning.request import Budget, Request
from dlcc.tuning.target import isa

FLOAT = ("mobilenet_v1", "mobilenet_v2", "resnet50", "inception_v3", "efficientnet_b0")
SHIPPED = ROOT / "tuning" / "shipped"
LONGEST_S = 1800.0  # of a call: emulators take their time


@dataclass(frozen=True, slots=True)
class Row:
    """One file of records. isa: what a chip needs whose records they are; "" where the target
    itself tells.   file: its name begins with the kind."""

    target: str
    device: str
    networks: Sequence[str]
    file: str
    isa: str = ""

    @property
    def eight_bit(self) -> bool:
        """Whether its networks are those of `quantised`."""
        return find_chip(self.target).kind == "hexagon"

    @property
    def counted(self) -> bool:
        """Whether costs are counts of an emulator."""
        return self.device == "emulator"

    def why_not(self) -> str:
        """Why the row cannot be made on this machine; "" if it can."""
        chip = find_chip(self.target)
        if self.isa and isa(chip) != self.isa:
            return f"it needs vectors of {self.isa}, this machine has {isa(chip)}"
        try:
            kind(chip.kind).open_device(self.device, DeviceOptions(1, LONGEST_S)).close()
        except DlccError as error:
            return error.what
        return ""


ROWS = {
    # of all versions: v68 takes the same packets for each of these layers
    "v66": Row("hexagon-v66", "emulator", tuple(EIGHT_BIT), "hexagon-v66.jsonl"),
    "a76": Row("cortex-a76", "emulator", FLOAT, "arm-a76.jsonl"),
    "avx2": Row("host", "local", FLOAT, "host-avx2.jsonl", "x86_64 256x16"),
    "avx512": Row("host", "local", FLOAT, "host-avx512.jsonl", "x86_64 512x32"),
}


def request_of(row: Row, network: str, zoo: Path, folder: Path) -> Request:
    """The session for one network, on one thread."""
    chip = find_chip(row.target)
    options = DeviceOptions(1, LONGEST_S)
    if row.eight_bit:
        layers = layers_of(network)
        module, feeds = module_of(layers), data_of(layers)
    else:
        from dlcc.compiler.tuning import prepare

        module = prepare(zoo / f"{network}.pb", row.target).module
        feeds = [np.load(zoo / f"{network}.npz")["input"]]
    return Request(module, KINDS[chip.kind], chip, [row.device], options, feeds, folder)


def alone(chip: Chip) -> Chip:
    """The chip with one core: what only several threads need has no choices then."""
    return replace(chip, cores=1, tvm={**chip.tvm, "num-cores": 1})


def search(request: Request, title: str, minutes: float | None) -> None:
    """Tune one network until nothing makes progress, or so long."""
    from dlcc.compiler.cli.watching import Shown
    from dlcc.tuning.progress import mode_of
    from dlcc.tuning.session import tune

    hours = None if minutes is None else minutes / 60
    asked = replace(request, chip=alone(request.chip), budget=Budget(hours=hours))
    with Shown(title, asked, mode_of(0)) as watch:
        outcome = tune(asked, watch)
    for note in outcome.notes:
        print(f"{title}: {note}", flush=True)
    print(f"{title}: {outcome.trials} trials, {outcome.applied} choices hold", flush=True)


def make(name: str, networks: Sequence[str], work: Path, end_s: float | None, zoo: Path) -> None:
    """Tune some networks of a row, and write the row's file."""
    row, folder = ROWS[name], work / name
    requests = {n: request_of(row, n, zoo, folder) for n in row.networks}
    for number, network in enumerate(networks):
        left_s = None if end_s is None else end_s - time.monotonic()
        if left_s is not None and left_s <= 0:
            continue
        share = None if left_s is None else left_s / 60 / (len(networks) - number)
        search(requests[network], f"{name} {network}", share)
    found = holding(folder, find_chip(row.target), row.counted)
    print(written(in_all(requests, found), SHIPPED / row.file), flush=True)


def in_all(requests: Mapping[str, Request], trials: Sequence[Trial]) -> Sequence[Trial]:
    """Those that win again in every network that has them, in code for all cores of the chip: with
    one thread, and with all of them where times are measured."""
    for network, request in requests.items():
        counted = request.addresses == ["emulator"]
        for threads in dict.fromkeys((1,) if counted else (1, request.chip.cores)):
            options = replace(request.options, threads=threads)
            before = len(trials)
            trials = confirmed(replace(request, options=options), trials)
            print(f"{network}, {threads} threads: {len(trials)} of {before} hold", flush=True)
    return trials


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the tuning records that come with dlcc.")
    parser.add_argument("rows", nargs="*", help=f"default: all of {', '.join(ROWS)} that can be")
    parser.add_argument("--minutes", type=float, help="to search, in all (default: until flat)")
    parser.add_argument("--networks", nargs="+", help="to search (default: all of each row)")
    parser.add_argument("--list", action="store_true", help="tell what can be made here")
    parser.add_argument("--work", type=Path, help="databases (default: in the cache)")
    parser.add_argument("--folder", type=Path, help="frozen networks (default: in the cache)")
    args = parser.parse_args()
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    known = {*EIGHT_BIT, *FLOAT}
    if unknown := set(args.networks or known) - known:
        parser.error(f"no network {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return args


def main() -> int:
    args = arguments()
    os.environ.setdefault("DLCC_CACHE", str(cache_folder()))
    log = logging.getLogger("dlcc")
    log.addHandler(logging.StreamHandler())
    log.setLevel(logging.INFO)
    whys = {name: ROWS[name].why_not() for name in args.rows or ROWS}
    for name, why in whys.items():
        print(f"{name}: {why or 'can be made here'}", flush=True)
    able = [name for name, why in whys.items() if not why]
    if not args.list:
        work = args.work or cache_folder() / "tune-shipped"
        floats = [n for name in able for n in ROWS[name].networks if not ROWS[name].eight_bit]
        zoo = args.folder or folder_of(dict.fromkeys(floats))
        end_s = None if args.minutes is None else time.monotonic() + args.minutes * 60
        for name in able:
            wanted = [n for n in ROWS[name].networks if n in (args.networks or ROWS[name].networks)]
            make(name, wanted, work, end_s, zoo)
    return 1 if args.rows and len(able) < len(whys) else 0


if __name__ == "__main__":
    sys.exit(main())
