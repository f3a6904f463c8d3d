"""For which DSP code is generated: the chip's own, or an older one that an emulator can run."""

from __future__ import annotations

from typing import Any

import tvm
import tvm_ffi
from tvm import relax, tirx
from tvm.ir import IRModule

from dlcc.targets.chips import Chip

# The newest whose floating point an emulator runs: from v68 on LLVM makes vectors of floats, and
# qemu (7.2 to 10.0) aborts at the first HVX instruction on floats. v66 computes them one by one.
FLOAT_VERSION = 66
FLOATS = ("float", "bfloat")


def version(chip: Chip) -> int:
    """The number of the instruction set of a chip, 68 for v68."""
    return int(str(chip.tvm["mcpu"]).removeprefix("hexagonv"))


def profile(mod: IRModule, chip: Chip) -> str:
    """LLVM's name of the processor that code is generated for, "hexagonv66" for instance.

    A module that computes with floats gets code that every emulator runs, unless the chip is one
    whose code is for the device itself."""
    own = version(chip)
    emulated = has_floats(mod) and not chip.float_vectors
    return f"hexagonv{min(own, FLOAT_VERSION) if emulated else own}"


def vectors_of_floats(mod: IRModule, chip: Chip) -> bool:
    """Whether the code may compute with floats in HVX, which no emulator decodes."""
    return chip.float_vectors and version(chip) > FLOAT_VERSION and has_floats(mod)


def choice(mod: IRModule, chip: Chip) -> str:
    """`profile` in words, for the log."""
    mcpu = profile(mod, chip)
    if vectors_of_floats(mod, chip):
        return f"floats in vectors of {mcpu}: for the device itself, emulators do not run that"
    if mcpu != chip.tvm["mcpu"]:
        return f"the model has floats, its code is for {mcpu}: emulators run that"
    return f"code for {mcpu}"


def has_floats(mod: IRModule) -> bool:
    """Whether a tensor or a value anywhere in the module is of a floating type."""
    found = False

    def visit_tensor(expr: relax.Expr) -> None:
        nonlocal found
        found |= any(str(t.dtype).startswith(FLOATS) for t in _tensors(expr))

    def visit_value(node: Any) -> None:
        nonlocal found
        found |= str(getattr(node, "dtype", "")).startswith(FLOATS)

    for func in mod.functions.values():
        if isinstance(func, tirx.PrimFunc):
            tvm_ffi.structural_walk(func.body, visit_value)
        elif isinstance(func, relax.Function):
            for param in func.params:
                visit_tensor(param)
            relax.analysis.post_order_visit(func.body, visit_tensor)
    return found


def _tensors(expr: relax.Expr) -> list[relax.TensorType]:
    ty = getattr(expr, "ty", None)
    if isinstance(ty, relax.TensorType):
        return [ty]
    fields = ty.fields if isinstance(ty, relax.TupleType) else ()
    return [f for f in fields if isinstance(f, relax.TensorType)]


def tvm_target(mcpu: str) -> tvm.target.Target:
    """TVM's target for code of that processor, with vectors of 128 bytes.

    Of kind `llvm`: the kind `hexagon` (TVM 0.27) builds for the host or asks for the SDK, and
    both use the same code generator."""
    number = mcpu.removeprefix("hexagon")
    features = [f"+hvx{number}", "+hvx-length128b"]
    if int(number[1:]) >= 68:
        features += ["+hvx-qfloat", "-hvx-ieee-fp"]
    return tvm.target.Target(
        {
            "kind": "llvm",
            "mtriple": "hexagon-unknown-none-elf",
            "mcpu": mcpu,
            "mattr": features,
            "num-cores": 1,
        }
    )
