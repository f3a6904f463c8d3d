"""How a kernel stops the model with a message of its own, on every device.

TVM's asserts are compiled away, and have no text that a node could be named in. A function of TVM's
C++ runtime that fails with a text that it is given raises instead: `check_prim_value_info` for a
dtype that it does not know. The runtime carries its error to the caller, over RPC too.
"""

from __future__ import annotations

import re

from tvm import tirx
from tvm.script.ir_builder import tirx as T

_BEGIN, _END = "dlcc stops at ", ", unsupported dtype bfloat16"


def stop(text: str) -> None:
    """Within a kernel under construction: raise with this text."""
    plain = _BEGIN + " ".join(text.split())
    one = tirx.const(1, "int64")
    T.evaluate(tirx.call_packed("vm.builtin.check_prim_value_info", one, "bfloat16", plain))


def reason_of(error: str) -> str | None:
    """The text that a model stopped with, in what a device says of it; None for other errors."""
    found = re.search(f"{_BEGIN}(.*?){_END}", error, re.DOTALL)
    return found.group(1) if found else None
