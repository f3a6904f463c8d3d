"""Temporaries of kernels on the stack, where LLVM makes registers of them.

TVM's LowerTVMBuiltin asks the runtime for memory from 1 KiB on (`kMaxStackAlloca`), a call for
each tile, and what LLVM cannot see through has to be in memory.
"""

from __future__ import annotations

from collections.abc import Callable

import tvm_ffi
from tvm import tirx

Change = Callable[[tirx.AllocBuffer], tirx.Stmt]


def on_stack(stmt: tirx.AllocBuffer) -> tirx.AllocBuffer:
    """A temporary that LowerTVMBuiltin leaves alone, so that code generation puts it there."""
    return tirx.AllocBuffer(stmt.buffer, {"disable_lower_builtin": tirx.const(True, "bool")})


def size_bytes(buffer: tirx.Buffer) -> int | None:
    """Of a buffer; None where it is known at run time only."""
    size = 1
    for extent in buffer.shape:
        if not isinstance(extent, int | tirx.IntImm):
            return None
        size *= int(extent)
    dtype = buffer.dtype
    return size * int(dtype.bits) * int(dtype.lanes) // 8


def with_temporaries(stmt: tirx.Stmt, change: Change) -> tirx.Stmt:
    """A statement with each allocation in it changed."""
    return tvm_ffi.structural_mutate(
        stmt, [(tirx.AllocBuffer, lambda allocation, _: change(allocation))]
    )
