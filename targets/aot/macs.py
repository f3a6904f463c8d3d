"""How many multiplications with addition a kernel does."""

from __future__ import annotations

import math
from typing import Any

import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import IRModule

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
