"""TVM's targets of a chip: its GPU, and the CPU beside it."""

from __future__ import annotations

from dataclasses import replace

import tvm

from dlcc.targets.chips import Chip
from dlcc.targets.cpu import codegen
from dlcc.targets.host.detect import host_chip

# Of a CPU that only runs what the GPU does not, little is known and little needed.
HOST_L1_BYTES, HOST_L2_BYTES = 32 << 10, 256 << 10
HOST_VECTORS = {"aarch64": (128, 32), "x86_64": (256, 16)}  # bits and number of registers


def tvm_target(chip: Chip) -> tvm.target.Target:
    """OpenCL for a chip's GPU, with the CPU beside it as host."""
    assert chip.gpu is not None
    fields = {
        "kind": "opencl",
        "max_num_threads": chip.gpu.work_group,
        "max_threads_per_block": chip.gpu.work_group,
        "max_shared_memory_per_block": chip.gpu.local_bytes,
        "thread_warp_size": chip.gpu.subgroup,
    }
    return tvm.target.Target(fields, host=host_target(chip))


def host_target(chip: Chip) -> tvm.target.Target:
    """The CPU beside a chip's GPU."""
    return codegen.tvm_target(dict(host_of(chip).tvm))


def host_of(chip: Chip) -> Chip:
    """The CPU beside a chip's GPU, for the rules of CPUs."""
    assert chip.gpu is not None
    host = chip.gpu.host
    if host == (here := host_chip()).tvm:
        return here
    bits, registers = HOST_VECTORS[str(host["mtriple"]).split("-", maxsplit=1)[0]]
    return replace(
        chip,
        kind="host",
        tvm=host,
        cores=int(host["num-cores"]),
        vector_bits=bits,
        vector_registers=registers,
        l1_bytes=HOST_L1_BYTES,
        l2_bytes=HOST_L2_BYTES,
        gpu=None,
    )
