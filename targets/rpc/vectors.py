"""How wide Arm's scalable vectors are on the device that runs this.

A file of its own that imports nothing of dlcc: `server.py` loads it from beside itself, so that
code for vectors of one width is not run on those of another, where it would compute nonsense.
"""

from __future__ import annotations

import ctypes
import platform

PR_SVE_GET_VL = 51  # linux/prctl.h; the result's low 16 bits are the width in bytes


def sve_bits() -> int:
    """Bits of a vector register of this process, 0 on a processor without SVE."""
    if platform.machine() != "aarch64":
        return 0
    told = ctypes.CDLL(None).prctl(PR_SVE_GET_VL, 0, 0, 0, 0)
    return (told & 0xFFFF) * 8 if told > 0 else 0
