"""What the DSP asks of a kernel's code beyond its schedule."""

from __future__ import annotations

from tvm import tirx
from tvm.ir import IRModule

from dlcc.targets.hexagon.extremes import keep_nan
from dlcc.targets.hexagon.memory import describe_memory
from dlcc.targets.hexagon.narrow import saturate
from dlcc.targets.hexagon.start import start_with_products


def prepare(mod: IRModule) -> IRModule:
    """Kernels whose tensors are pointers -> the same, ready for LowerTVMBuiltin.

    Functions become arithmetic first, since there are maxima in it."""
    return describe_memory(
        keep_nan(tirx.transform.LowerIntrin()(start_with_products(saturate(mod))))
    )
