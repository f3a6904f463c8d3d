"""The most that a chip can compute: what an achieved rate is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import psutil

from dlcc.targets.chips import Chip

Unit = Literal["second", "instruction", "packet"]

# Fused multiply-adds that begin in one cycle: Intel since Haswell, AMD since Zen 2 (uops.info).
PIPES = 2
BYTES = ("int8", "uint8")
# LLVM's names of what does four products of bytes in each 32-bit lane.
DOT_PRODUCTS = {"aarch64": ("dotprod",), "x86_64": ("avx512vnni", "avxvnni")}
# Products in one packet of a Hexagon: two vector multiplications of 128 bytes; of floats, which
# emulators have no vectors of, two scalar ones. Seen in the packets that LLVM makes
# (docs/hexagon.md, "What kernels cost").
PACKET = {"int8": 256, "uint8": 256, "float32": 2}


@dataclass(frozen=True, slots=True)
class Peak:
    """macs: multiply-accumulates in one second, instruction or packet at most.
    why: how that is known, in a few words."""

    macs: float
    why: str


def peak_of(chip: Chip, factors: str, unit: Unit, threads: int | None = None) -> Peak | None:
    """The most that a chip does with factors of a dtype; None where that is not known.

    Not known are the clocks of devices elsewhere and the arithmetic units of GPUs.
    threads: of a run whose time is measured, None: all cores of the chip."""
    if unit == "packet":
        most = PACKET.get(factors) if chip.kind == "hexagon" else None
        return None if most is None else Peak(most, f"{most} products of {factors} in a packet")
    cpu = host_of(chip)
    lanes = None if cpu is None else _products(chip, cpu, factors)
    if lanes is None:
        return None
    if unit == "instruction":
        return Peak(lanes, f"{lanes} multiply-accumulates of {factors} an instruction")
    clock = psutil.cpu_freq() if chip.kind in ("host", "opencl") else None
    if clock is None or not clock.current:
        return None
    count = min(threads or chip.cores, chip.cores)
    clock_hz = max(clock.current, clock.max) * 1e6
    text = f"{count} thread{'s'[: count > 1]} of {PIPES} x {lanes} multiply-accumulates"
    why = f"{text} of {factors} at {clock_hz / 1e9:.2f} GHz"
    return Peak(count * lanes * PIPES * clock_hz, why)


def host_of(chip: Chip) -> dict[str, Any] | None:
    """TVM's target of the CPU that computes; None where a GPU does, or a DSP."""
    if chip.gpu is not None:
        return dict(chip.gpu.host) if chip.gpu.processor else None
    return dict(chip.tvm) if chip.kind in ("host", "arm") else None


def _products(chip: Chip, cpu: dict[str, Any], factors: str) -> int | None:
    """Of the widest instruction that multiplies and adds."""
    if factors in BYTES:
        return chip.vector_bits // 8 if _has_dot_products(cpu) else None
    bits = {"float64": 64, "float32": 32}.get(factors)
    return None if bits is None else chip.vector_bits // bits


def _has_dot_products(cpu: dict[str, Any]) -> bool:
    from tvm.target import Target, codegen

    machine = str(cpu["mtriple"]).partition("-")[0]
    names = DOT_PRODUCTS.get(machine, ())
    return any(codegen.target_has_features(name, Target(cpu)) for name in names)
