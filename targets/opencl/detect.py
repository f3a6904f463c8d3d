"""Reads the chip `opencl` off the device that this machine has."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from dlcc.targets.chips import Chip, Gpu
from dlcc.targets.errors import DlccError
from dlcc.targets.host.detect import host_chip
from dlcc.targets.opencl.found import found_devices

log = logging.getLogger("dlcc")

# What PoCL says of itself on any CPU. Source: clGetDeviceInfo of PoCL 3.1 on x86-64 and aarch64.
POCL = {
    "type": "cpu",
    "max_work_group": 4096,
    "local_bytes": 512 << 10,
    "fp16": False,
    "images": True,
    "unified_memory": True,
}
# A work-item of a GPU loads four float32 at once, and keeps 16 such vectors without spilling.
GPU_VECTOR_BITS, GPU_VECTORS = 128, 16


@cache
def opencl_chip() -> Chip:
    """This machine's first OpenCL device; where it has none, PoCL on its CPU."""
    host = host_chip()
    try:
        found = found_devices("local")[0]
    except DlccError as error:
        log.debug("the chip opencl is PoCL on this CPU: %s", error)
        facts = {**POCL, "name": "CPU, through PoCL", "compute_units": host.cores}
        return replace(chip_of(facts, host), source="PoCL 3.1's clGetDeviceInfo")
    return chip_of(found.facts, host)


def chip_of(facts: Mapping[str, Any], host: Chip) -> Chip:
    """The chip that a device is, by what its driver says, beside a CPU."""
    is_cpu = facts["type"] == "cpu"
    return Chip(
        name="opencl",
        kind="opencl",
        summary=f"this machine's {facts['name']}",
        tvm={"kind": "opencl"},
        cores=int(facts["compute_units"]),
        vector_bits=host.vector_bits if is_cpu else GPU_VECTOR_BITS,
        vector_registers=host.vector_registers if is_cpu else GPU_VECTORS,
        l1_bytes=host.l1_bytes if is_cpu else 0,
        l2_bytes=host.l2_bytes if is_cpu else 0,
        source="the device's driver, clGetDeviceInfo",
        gpu=Gpu(
            work_group=int(facts["max_work_group"]),
            local_bytes=int(facts["local_bytes"]),
            subgroup=1 if is_cpu else int(facts.get("preferred_work_group_multiple") or 32),
            fp16=bool(facts["fp16"]),
            images=bool(facts["images"]),
            unified_memory=bool(facts["unified_memory"]),
            host=host.tvm,
            processor=is_cpu,
        ),
    )
