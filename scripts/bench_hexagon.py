"""Packets of 8-bit layers on the DSP: as the rules make them, and as records choose.

    .venv/bin/python scripts/bench_hexagon.py                        # those of docs/hexagon.md
    .venv/bin/python scripts/bench_hexagon.py mobilenet_v1 -t v68
    .venv/bin/python scripts/bench_hexagon.py --database DIR         # with records of one's own

Counted on the emulator, whose counts are the same every time. Records are those that come with
dlcc, or those of a folder. "Bound" is the packets over the multiply-accumulates / 128, what two
multiplications of vectors in every packet would take. Exit code 1 when a result with records
differs from that without.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from checkout import cache_folder
from quantised import NETWORKS, Layer, data_of, layers_of, module_of

from dlcc.targets.hexagon.program import DspProgram
from dlcc.targets.kernels import kernels_in
from dlcc.targets.registry import DeviceOptions, find_chip, kind
from dlcc.targets.tuned import UNTUNED, Knobs, Tuned
from dlcc.tuning.best import best
from dlcc.tuning.target import key_of

MACS_PER_PACKET = 128
AT_ONCE = 12  # layers of one program
LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Row:
    """One layer. same: whether both results are."""

    layer: Layer
    default: int
    tuned: int
    choice: Knobs
    same: bool

    def bound(self, packets: int) -> float:
        return packets * MACS_PER_PACKET / self.layer.macs

    def __str__(self) -> str:
        saved = 1 - self.tuned / self.default
        chosen = " ".join(f"{name} {value}" for name, value in self.choice.items())
        return (
            f"| {self.layer} | {self.default:,} | {self.tuned:,} | {saved:.0%} "
            f"| {self.bound(self.default):.2f} | {self.bound(self.tuned):.2f} | {chosen} |"
        )


def measured(layers: Sequence[Layer], target: str, tuned: Tuned) -> list[Row]:
    """Count layers, each a kernel of one program, with choices and without."""
    chip = find_chip(target)
    own = kind(chip.kind)
    feeds = data_of(layers)
    counts, results, choices = [], [], []
    for given in (UNTUNED, tuned):
        artifact = own.build(module_of(layers), chip, given)
        with own.open_device("emulator", DeviceOptions(time_limit_s=LIMIT_S)) as device:
            program = device.load(artifact)
            assert isinstance(program, DspProgram)
            results.append(program.run(feeds))
            calls = program.profile(feeds)
        table = kernels_in(artifact)
        counts.append([call.packets for call in calls])
        choices.append([table[call.name].knobs for call in calls])
    same = [bool(np.array_equal(a, b)) for a, b in zip(*results, strict=True)]
    return [Row(*row) for row in zip(layers, *counts, choices[1], same, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Count the packets of 8-bit layers.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NETWORKS)} (default: single)")
    parser.add_argument("-t", "--target", default="hexagon-v66", help="(default: hexagon-v66)")
    parser.add_argument("--database", type=Path, help="a folder of records")
    args = parser.parse_args()
    if unknown := set(args.names) - set(NETWORKS):
        parser.error(f"no network {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    os.environ.setdefault("DLCC_CACHE", str(cache_folder()))
    tuned = best(args.database, key_of(find_chip(args.target))).tuned
    layers = layers_of(*args.names or ["single"])
    print("| layer | default | tuned | saved | bound, default | bound, tuned | choice |")
    print("|---|---|---|---|---|---|---|", flush=True)
    same = True
    for start in range(0, len(layers), AT_ONCE):
        for row in measured(layers[start : start + AT_ONCE], args.target, tuned):
            print(row, flush=True)
            same &= row.same
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
