"""OpenCL devices that this process can use."""

from __future__ import annotations

import ctypes
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import tvm_ffi

from dlcc.targets.errors import DeviceError

# Those that the runtime tries (runtime/loader.cc), in its order.
LIBRARIES = (
    "libOpenCL.so.1",
    "libOpenCL.so",
    "libOpenCL_adreno.so.1",
    "libOpenCL_adreno.so",
    "/vendor/lib64/libOpenCL.so",
    "/system/vendor/lib64/libOpenCL.so",
    "/vendor/lib64/libOpenCL_adreno.so",
    "/vendor/lib64/egl/libGLES_mali.so",
    "libmali.so.1",
    "libmali.so",
)
# Half precision, sub-groups, products of bytes, and what vendors add.
NOTABLE = re.compile("cl_khr_fp16|subgroup|integer_dot|8bit_storage|cl_qcom|cl_arm_|cl_intel_")


@dataclass(frozen=True, slots=True)
class Found:
    """An OpenCL device. number: TVM's. facts: what the driver says of it."""

    number: int
    facts: Mapping[str, Any]

    def describe(self) -> dict[str, str]:
        """For people: the device, its driver, and what it has."""
        facts = self.facts
        return {
            "opencl": str(facts["name"]),
            "opencl version": f"{facts['version']}; driver {facts['driver']}",
            "opencl units": f"{facts['compute_units']} at {facts['clock_mhz']} MHz",
            "opencl memory": f"{int(facts['global_bytes']) >> 20} MiB, "
            f"local {int(facts['local_bytes']) >> 10} KiB",
            "opencl fp16": "yes" if facts["fp16"] else "no",
            "opencl extensions": ", ".join(notable(facts.get("extensions", ()))) or "none",
        }


def notable(extensions: Iterable[str]) -> list[str]:
    """Of all extensions those that kernels for neural networks are made with."""
    return [name for name in extensions if NOTABLE.search(name)]


def found_devices(address: str) -> list[Found]:
    """The devices of `local`, or PoCL as `emulator`; at least one.

    Raises DeviceError where there is none, ToolchainError where the runtime cannot be built or
    PoCL cannot be had."""
    from dlcc.targets.opencl.plugin import load_plugin

    if address == "emulator":
        from dlcc.targets.opencl.pocl import use_pocl

        use_pocl()
    elif not has_library():  # then the plug-in need not be built to know
        names = ", ".join(name for name in LIBRARIES if not name.startswith("/"))
        raise _no_device(f"there is none of {names}")
    load_plugin()
    rows = json.loads(tvm_ffi.get_global_func("dlcc.opencl.devices")())
    if not rows:
        raise _no_device(str(tvm_ffi.get_global_func("dlcc.opencl.why_not")()))
    return [Found(number, row) for number, row in enumerate(rows)]


def has_library() -> bool:
    """Whether the dynamic loader finds an OpenCL library, or a user names one."""
    return "DLCC_OPENCL_LIBRARY" in os.environ or any(map(_can_open, LIBRARIES))


def _can_open(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _no_device(why: str) -> DeviceError:
    return DeviceError(
        f"this machine has no OpenCL device: {why}",
        hint="install the driver of its GPU, or use --device emulator: PoCL on its CPU",
    )
