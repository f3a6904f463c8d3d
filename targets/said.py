"""What an error of TVM's says, for people."""

from __future__ import annotations

OPENCL = "OpenCL device "  # how every error of our own runtime names the device
MOST_LINES = 20


def said(error: BaseException) -> str:
    """The last line, which is the message; of an OpenCL error all from where it begins: it names
    the kernel first, and then shows what the driver's compiler said."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    first = next((i for i, line in enumerate(lines) if OPENCL in line), None)
    if first is None:
        return lines[-1]
    shown = lines[first : first + MOST_LINES]
    shown[0] = shown[0].strip()
    return "\n".join(shown)
