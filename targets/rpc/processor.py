"""What the processor is on the device that runs this, what it can do, and how much memory there is.

A file of its own that imports nothing of dlcc: `server.py` loads it from beside itself, so that
devices which are no more than a server tell of themselves too.
"""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
MIB = 1 << 20
# Flags of /proc/cpuinfo on x86 that code for it depends on -> what they are called here.
X86 = {
    "avx2": "avx2",
    "fma": "fma",
    "f16c": "fp16 loads",
    "avx512f": "avx512",
    "avx512_vnni": "vnni",
    "avx_vnni": "vnni",
    "amx_int8": "amx",
}
# Bits of the kernel's hardware capabilities (linux, arch/arm64/include/uapi/asm/hwcap.h), which an
# emulator of user mode answers for the processor that it emulates: AT_HWCAP, then AT_HWCAP2.
AT_HWCAP, AT_HWCAP2 = 16, 26
ARM = (
    (AT_HWCAP, 10, "fp16"),
    (AT_HWCAP, 20, "dotprod"),
    (AT_HWCAP, 22, "sve"),
    (AT_HWCAP2, 1, "sve2"),
    (AT_HWCAP2, 13, "i8mm"),
    (AT_HWCAP2, 14, "bf16"),
)
# Part numbers of Arm's own cores, implementer 0x41 (Arm's Main ID Register, MIDR_EL1).
PARTS = {
    0xD03: "Cortex-A53",
    0xD05: "Cortex-A55",
    0xD08: "Cortex-A72",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse N1",
    0xD0D: "Cortex-A77",
    0xD40: "Neoverse V1",
    0xD41: "Cortex-A78",
}


def facts() -> dict[str, str]:
    """For people; "" for what is not known."""
    return {
        "processor": processor(),
        "features": ", ".join(features()),
        "memory": f"{memory_bytes() // MIB:,} MiB" if memory_bytes() else "",
    }


def processor() -> str:
    """Its name as the system has it, "" where it has none."""
    rows = _cpuinfo()
    if platform.machine() != "aarch64":
        return rows.get("model name", "")
    part = rows.get("CPU part", "")
    known = PARTS.get(int(part, 16)) if part and rows.get("CPU implementer") == "0x41" else None
    return known or part


def features() -> list[str]:
    """What it can do that code may depend on, by short names."""
    if platform.machine() == "aarch64":
        ask = ctypes.CDLL(None).getauxval
        ask.restype, ask.argtypes = ctypes.c_ulong, (ctypes.c_ulong,)
        return [name for word, bit, name in ARM if ask(word) >> bit & 1]
    flags = _cpuinfo().get("flags", "").split()
    return list(dict.fromkeys(name for flag, name in X86.items() if flag in flags))


def memory_bytes() -> int:
    """All that the machine has, 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0


def _cpuinfo() -> dict[str, str]:
    """Of the first processor; nothing where the system has no such file."""
    try:
        text = CPUINFO.read_text("utf-8", "replace")
    except OSError:
        return {}
    rows = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in rows}
