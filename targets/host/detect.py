"""Reads the chip description of this machine off the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import psutil

from dlcc.targets.chips import Chip
from dlcc.targets.rpc.vectors import sve_bits
from dlcc.targets.scalable import NEON_BITS, with_sve

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
DEFAULT_L1_BYTES = 32 << 10
DEFAULT_L2_BYTES = 512 << 10


@cache
def host_chip() -> Chip:
    """This machine: LLVM's name for its processor, its cores, its vector width, its caches."""
    # the compiler library registers the functions that ask LLVM
    import tvm  # noqa: F401
    import tvm_ffi

    ask = tvm_ffi.get_global_func
    mcpu = str(ask("target.llvm_get_system_cpu")())
    triple = f"{platform.machine()}-linux-gnu"
    features = {str(k): bool(v) for k, v in ask("tvm.codegen.llvm.GetHostCPUFeatures")().items()}
    bits, registers = vector_unit(platform.machine(), features, sve_bits())
    cores = usable_cores()
    row = {"kind": "llvm", "mtriple": triple, "mcpu": mcpu, "num-cores": cores}
    l1_bytes, l2_bytes = cache_bytes(1), cache_bytes(2)
    return Chip(
        name="host",
        kind="host",
        summary=f"this machine: {mcpu}, {cores} cores",
        tvm=with_sve(row, bits) if "sve" in features and bits > NEON_BITS else row,
        cores=cores,
        vector_bits=bits,
        vector_registers=registers,
        l1_bytes=l1_bytes or DEFAULT_L1_BYTES,
        l2_bytes=l2_bytes or DEFAULT_L2_BYTES,
        source="LLVM's host detection, psutil"
        + (f", {CACHES}" if l1_bytes and l2_bytes else "; cache sizes assumed"),
    )


def vector_unit(machine: str, features: Mapping[str, bool], sve: int = 0) -> tuple[int, int]:
    """Width in bits and number of the vector registers, from LLVM's feature names. sve: bits of a
    scalable vector, which are NEON's at least; 0 where there are none.

    Sources: Intel SDM vol. 1, 15.1 (AVX-512: 32 registers of 512 bits) and 14.1 (AVX: 16 of 256);
    Arm ARM DDI 0487, A1.4 (Advanced SIMD: 32 of 128).
    """
    if machine == "aarch64":
        return max(NEON_BITS, sve), 32
    if features.get("avx512f") and features.get("avx512vl"):
        return 512, 32
    if features.get("avx2") and features.get("fma"):
        return 256, 16
    return 128, 16


def usable_cores() -> int:
    """Physical cores, but not more than the processors that this process may run on."""
    physical = psutil.cpu_count(logical=False) or 1
    return max(1, min(physical, len(os.sched_getaffinity(0))))


def cache_bytes(level: int) -> int:
    """Size of the first core's data or unified cache of a level; 0 where the system tells none."""
    units = {"K": 1 << 10, "M": 1 << 20}
    for index in sorted(CACHES.glob("index*")):
        if (index / "level").read_text().strip() != str(level):
            continue
        if (index / "type").read_text().strip() == "Instruction":
            continue
        size = (index / "size").read_text().strip()
        return int(size[:-1]) * units[size[-1]] if size[-1] in units else int(size)
    return 0
