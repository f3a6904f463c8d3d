"""Prints what kernels cost on the emulator, TVM's own and ours: `python -m tests.hexagon.table`."""

from __future__ import annotations

import sys

from tests.hexagon.kernels import (
    Inputs,
    Make,
    Product,
    module,
    packets,
    plain,
    random_inputs,
    run,
    scheduled,
)
from tests.hexagon.test_kernels import BARS, MAPS

MORE = [
    Product((1, 14, 14, 256), 256, zero=128, requantised=True),
    Product((1, 28, 28, 64), 64, 3, pad=1, zero=100, requantised=True),
    Product((1, 64, 64, 3), 32, 3, stride=2, pad=1, zero=100, requantised=True),
    Product((1, 14, 14, 24), 144, zero=1, requantised=True),
    Product((1, 28, 28, 64), 64, 3, 2, pad=1, depthwise=True, zero=100, requantised=True),
    Product((1, 1024), 1000),
]


def _costs(make: Make, inputs: Inputs) -> tuple[int, int]:
    """Packets of TVM's own kernels, and of ours."""
    xs = random_inputs(inputs)
    mod = module(make, inputs)
    return packets(run(plain(mod), xs)[1]), packets(run(scheduled(mod)[0], xs)[1])


def main() -> None:
    """One row a kernel: default packets, scheduled packets, multiplications a packet."""
    print("| kernel | default | scheduled | MACs per packet |\n|---|---|---|---|")  # noqa: T201
    products = [*(bar.case for bar in BARS), *MORE]
    rows = [(str(p), p.make, [(p.shape, p.dtype)], p.macs) for p in products]
    rows += [(m.name, m.make, m.inputs, 0) for m in MAPS]
    for name, make, inputs, macs in rows:
        default, ours = _costs(make, inputs)
        density = f"{macs / ours:.1f}" if macs else ""
        print(f"| {name} | {default:,} | {ours:,} | {density} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
