"""How many multiplications with addition a kernel does, of what, and on how many bytes."""

from __future__ import annotations

import math
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import IRModule, TensorLoad
from tvm.tirx.buffer import BufferType

from dlcc.targets.stack import size_bytes

MACS = "dlcc.macs"  # kernel attribute: the number, noted before a schedule rewrites the loops
REDUCTION = 2  # tirx.IterVar.iter_type


def note_macs(mod: IRModule) -> IRModule:
    """The module with the number as an attribute of each kernel; call it before scheduling."""
    out = mod.clone()
    for var, func in mod.functions.items():
        if isinstance(func, tirx.PrimFunc) and (count := counted(func)):
            out[var] = func.with_attr(MACS, count)
    return out


def macs_of(func: tirx.PrimFunc) -> int | None:
    """What `note_macs` noted; None for a kernel without products that are summed."""
    attrs = func.attrs or {}
    return int(attrs[MACS]) if MACS in attrs else None


def counted(func: tirx.PrimFunc) -> int:
    """Products in the sums of an unscheduled kernel: the points of each block
    `c[i] = c[i] + a * b`."""
    total = 0

    def visit(node: Any) -> None:
        nonlocal total
        if isinstance(node, s_tir.SBlock) and _sums_products(node):
            total += math.prod(_extent(v) for v in node.iter_vars)

    tvm_ffi.structural_walk(func.body, visit)
    return total


def factors(func: tirx.PrimFunc) -> str:
    """The dtype of what an unscheduled kernel multiplies and sums, the widest where there are
    several; "" for a kernel without such products."""
    found: set[str] = set()

    def load(node: Any) -> None:
        if isinstance(node, TensorLoad):
            found.add(str(node.ty.dtype))

    def visit(node: Any) -> None:
        if isinstance(node, s_tir.SBlock) and _sums_products(node):
            for factor in (_uncast(node.body.value.b).a, _uncast(node.body.value.b).b):
                tvm_ffi.structural_walk(factor, load)

    tvm_ffi.structural_walk(func.body, visit)
    return max(found, key=lambda name: (tvm.DataType(name).bits, name), default="")


def operand_bytes(func: tirx.PrimFunc) -> int | None:
    """Bytes of all that a kernel reads and writes, each once; None where a size is open."""
    sizes = [size_bytes(param) for param in func.params if isinstance(param.ty, BufferType)]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _sums_products(block: s_tir.SBlock) -> bool:
    store = block.body
    if not isinstance(store, tirx.BufferStore) or not isinstance(store.value, tirx.Add):
        return False
    if all(int(v.iter_type) != REDUCTION for v in block.iter_vars):
        return False
    return isinstance(_uncast(store.value.b), tirx.Mul)


def _uncast(value: Any) -> Any:
    return value.value if isinstance(value, tirx.Cast) else value


def _extent(var: tirx.IterVar) -> int:
    extent = var.dom.extent
    return int(extent) if isinstance(extent, int | tirx.IntImm) else 0
