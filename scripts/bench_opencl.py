"""How fast OpenCL's kernels are: dlcc's default schedules beside TVM's own, layer by layer.

    .venv/bin/python scripts/bench_opencl.py                          # this machine's device
    .venv/bin/python scripts/bench_opencl.py --device emulator        # PoCL on its CPU
    .venv/bin/python scripts/bench_opencl.py resnet50 --cold          # and its first inference

Each distinct layer of the networks is built twice for the same device, and both run in turn: the
best of some runs of each, in seconds of the device's clock, without copies. Exit code 1 when
results differ, when the geometric mean of the ratios is below its bar, or when a layer is slower
than TVM's. With --cold each network also runs once with no program cached and once from dlcc's
cache, in a process of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import track
from zoo_check import folder_of

if TYPE_CHECKING:
    from opencl_layers import Layer

    from dlcc.targets.chips import Chip
    from dlcc.targets.opencl.device import LocalGpu

NETWORKS = ("mobilenet_v2", "resnet50")
BAR_MEAN = 2.0  # TVM's seconds over ours, geometric mean of the layers
BAR_WORST = 1 / 1.1  # of one layer: it may be slower by a tenth
BAR_DIFFERENCE = 1e-4  # of the largest output
LEAST_S = 0.2  # short kernels run for so long, so that their best time is one without company
MOST_RUNS = 200


@dataclass(frozen=True, slots=True)
class Peak:
    """What a device is said to reach; None where it was not given."""

    gflops: float | None = None
    gbytes: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One layer.   counts: how often each network has it.   ours_s, theirs_s: of its kernels.

    difference: largest, over the largest output.   on_cpu: our kernels that run on the CPU, and
    whose time is missing."""

    layer: str
    counts: Mapping[str, int]
    flops: int
    size_bytes: int
    ours_s: float
    theirs_s: float
    difference: float
    on_cpu: Sequence[str] = ()

    @property
    def ratio(self) -> float:
        """How many times as fast as TVM's default."""
        return self.theirs_s / self.ours_s

    @property
    def gflops(self) -> float:
        return self.flops / self.ours_s / 1e9

    @property
    def gbytes(self) -> float:
        """Bytes that it must move, in 10^9 a second."""
        return self.size_bytes / self.ours_s / 1e9

    @property
    def verdict(self) -> str:
        """What is wrong with it, else ""."""
        if self.on_cpu:
            return "ON CPU"
        if not self.difference < BAR_DIFFERENCE:  # not a number is wrong too
            return "WRONG"
        return "SLOWER" if self.ratio < BAR_WORST else ""


class Bench:
    """An OpenCL device that runs both."""

    def __init__(self, address: str) -> None:
        """Raises DlccError where there is no such device."""
        from dlcc.targets.host.detect import host_chip
        from dlcc.targets.opencl.detect import chip_of
        from dlcc.targets.opencl.device import LocalGpu
        from dlcc.targets.opencl.found import found_devices
        from dlcc.targets.registry import DeviceOptions

        found = found_devices(address)[0]
        self.name = f"{found.facts['name']}, {found.facts['compute_units']} units"
        self.number = found.number
        self.chip: Chip = chip_of(found.facts, host_chip())
        self.device: LocalGpu = LocalGpu(address, DeviceOptions(), found)

    def row(self, layer: Layer, repeat: int) -> Row:
        """Build a layer twice, compare results, and time kernels."""
        inputs = feeds(layer)
        ours, on_cpu = self._ours(layer, inputs)
        theirs = self._theirs(layer, inputs)
        expected, said = theirs(), ours()
        ours_s, theirs_s = best_of_each(self._seconds, ours, theirs, repeat)
        largest = float(np.abs(expected).max()) or 1.0
        difference = float(np.abs(said - expected).max()) / largest
        sizes = layer.flops, layer.size_bytes
        return Row(layer.name, layer.counts, *sizes, ours_s, theirs_s, difference, on_cpu)

    def _ours(
        self, layer: Layer, inputs: Sequence[np.ndarray]
    ) -> tuple[Callable[[], np.ndarray], list[str]]:
        from dlcc.targets.artifact import PLACEMENT
        from dlcc.targets.opencl.build import build

        artifact = build(layer.module, self.chip)
        engines = json.loads(artifact.files[PLACEMENT])["kernels"]
        program = self.device.load(artifact)
        on_cpu = sorted(name for name, engine in engines.items() if engine == "cpu")
        return lambda: program.run(inputs)[0], on_cpu

    def _theirs(self, layer: Layer, inputs: Sequence[np.ndarray]) -> Callable[[], np.ndarray]:
        """TVM's default pipeline for OpenCL, told what the device can do."""
        import tvm
        from tvm import relax

        from dlcc.targets.opencl.target import tvm_target

        device = tvm.opencl(self.number)
        machine = relax.VirtualMachine(tvm.compile(layer.module, tvm_target(self.chip)), device)

        def run() -> np.ndarray:
            results = machine["main"](*(tvm.runtime.tensor(x, device) for x in inputs))
            return np.asarray(results[0].numpy())

        return run

    def _seconds(self, run: Callable[[], object]) -> float:
        """Of the kernels of one run, by the device's clock."""
        import tvm_ffi

        tvm_ffi.get_global_func("dlcc.opencl.profile_start")(self.number)
        try:
            run()
        finally:
            spans = json.loads(tvm_ffi.get_global_func("dlcc.opencl.profile_stop")(self.number))
        kernels = [span for span in spans if "bytes" not in span]  # the others are copies
        return sum(int(span["end_ns"]) - int(span["start_ns"]) for span in kernels) * 1e-9


def best_of_each(
    seconds: Callable[[Any], float], ours: object, theirs: object, repeat: int
) -> tuple[float, float]:
    """The best of at least `repeat` runs of each, in turn: a busy machine is busy for both."""
    best = [math.inf, math.inf]
    began_s = time.monotonic()
    for done in range(MOST_RUNS):
        if done >= repeat and time.monotonic() - began_s > LEAST_S:
            break
        best = [min(b, seconds(run)) for b, run in zip(best, (ours, theirs), strict=True)]
    return best[0], best[1]


def feeds(layer: Layer) -> list[np.ndarray]:
    """Random numbers for a layer's parameters."""
    rng = np.random.default_rng(0)
    return [
        rng.normal(size=[int(extent) for extent in p.ty.shape]).astype(str(p.ty.dtype))
        for p in layer.module["main"].params
    ]


def modules(names: Sequence[str], folder: Path) -> dict[str, Any]:
    """The optimised Relax module of each network."""
    from dlcc.compiler.frontend.load import load
    from dlcc.compiler.frontend.translate import translate
    from dlcc.compiler.passes.pipeline import optimize

    return {name: optimize(translate(load(folder / f"{name}.pb")).module) for name in names}


def verdicts(rows: Sequence[Row]) -> dict[str, bool]:
    """What is asked of all rows, and whether it holds."""
    mean = statistics.geometric_mean(row.ratio for row in rows)
    worst = min(rows, key=lambda row: row.ratio)
    failed = sum(row.verdict in ("WRONG", "ON CPU") for row in rows)
    return {
        f"geometric mean {mean:.1f} times TVM's default (bar {BAR_MEAN:g})": mean >= BAR_MEAN,
        f"worst {worst.ratio:.2f} times: {worst.layer}": worst.ratio >= BAR_WORST,
        f"{len(rows) - failed} of {len(rows)} layers compute on the device what TVM's do": (
            not failed
        ),
    }


def networks(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """Seconds of all layers of each network: ours, theirs."""
    names = dict.fromkeys(name for row in rows for name in row.counts)
    return {
        name: (
            sum(row.ours_s * row.counts.get(name, 0) for row in rows),
            sum(row.theirs_s * row.counts.get(name, 0) for row in rows),
        )
        for name in names
    }


def cells(row: Row, peak: Peak) -> list[str]:
    """A row of the table; layers without products have no GFLOP/s."""
    return [
        row.layer,
        ", ".join(f"{count} {name}" for name, count in row.counts.items()),
        f"{row.theirs_s * 1e3:.3f}",
        f"{row.ours_s * 1e3:.3f}",
        f"{row.ratio:.1f}",
        _of_peak(row.gflops, peak.gflops) if row.flops else "",
        _of_peak(row.gbytes, peak.gbytes),
        f"{row.difference:.0e}",
        row.verdict,
    ]


HEADINGS = ("layer", "in", "TVM ms", "dlcc ms", "ratio", "GFLOP/s", "GB/s", "difference", "")


def _of_peak(value: float, limit: float | None) -> str:
    return f"{value:.1f}" if limit is None else f"{value:.1f} ({value / limit:.0%})"


def markdown(rows: Sequence[Row], peak: Peak) -> str:
    """The table for the documentation."""
    shown = [cells(row, peak)[:-2] for row in rows]
    lines = [list(HEADINGS[:-2]), ["---", "---", *["--:"] * 5], *shown]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(rows: Sequence[Row], peak: Peak) -> str:
    """The table for a terminal."""
    shown = [list(HEADINGS), *(cells(row, peak) for row in rows)]
    widths = [max(len(line[i]) for line in shown) for i in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in shown
    )


def write_json(path: Path, device: str, rows: Sequence[Row]) -> None:
    """Rows as JSON, the whole file or none."""
    content = {"device": device, "rows": [dataclasses.asdict(row) for row in rows]}
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(path)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare OpenCL kernels with TVM's default.")
    parser.add_argument("names", nargs="*", default=NETWORKS, help="networks of scripts/zoo.py")
    parser.add_argument("--device", choices=("local", "emulator"), default="local")
    parser.add_argument("--folder", type=Path, help="frozen networks (default: in the cache)")
    parser.add_argument("--only", default="", help="layers whose name has this text")
    parser.add_argument("--repeat", type=int, default=10, help="least runs of each (default 10)")
    parser.add_argument("--peak-gflops", type=float, help="what the device can reach")
    parser.add_argument("--peak-gbs", type=float, help="10^9 bytes a second of its memory")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows as JSON")
    parser.add_argument("--markdown", action="store_true", help="the table of docs/opencl.md")
    parser.add_argument("--cold", action="store_true", help="first inferences too, nothing cached")
    return parser.parse_args()


def compare(args: argparse.Namespace, folder: Path) -> bool:
    """Measure, print the table, and tell whether all that is asked holds."""
    from opencl_layers import layers

    bench = Bench(args.device)
    found = [layer for layer in layers(modules(args.names, folder)) if args.only in layer.name]
    if not found:
        raise SystemExit(f"no layer has {args.only!r} in its name")
    steps = track(found, console=Console(stderr=True), transient=True)
    rows = [bench.row(layer, args.repeat) for layer in steps]
    peak = Peak(args.peak_gflops, args.peak_gbs)
    print(f"{bench.name}\n")
    print((markdown if args.markdown else plain)(rows, peak), end="\n\n")
    for name, (ours_s, theirs_s) in networks(rows).items():
        told = f"{ours_s * 1e3:.1f} ms, TVM's default {theirs_s * 1e3:.1f} ms"
        print(f"all kernels of {name}: {told}")
    if args.json:
        write_json(args.json, bench.name, rows)
    return _told(verdicts(rows))


def _told(asked: Mapping[str, bool]) -> bool:
    for what, holds in asked.items():
        print(f"{'ok' if holds else 'FAILED':7} {what}")
    return all(asked.values())


def main() -> int:
    from opencl_cold import cold_and_warm

    from dlcc.targets.errors import DlccError

    args = arguments()
    folder = args.folder or folder_of(args.names)
    try:
        passed = compare(args, folder)
        if args.cold:
            passed &= _told(cold_and_warm(args.names, args.device, folder))
    except DlccError as error:
        print(f"error: {error.what}\n  hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
