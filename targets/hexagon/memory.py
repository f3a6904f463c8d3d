"""What LLVM is told of a kernel's memory, on which half of the packets depend."""

from __future__ import annotations

from tvm import tirx
from tvm.ir import IRModule

from dlcc.targets.stack import on_stack, size_bytes, with_temporaries

ALIGNMENT_BYTES = 128  # a vector register
MOST_STACK_BYTES = 16_384  # of one buffer that is kept in registers, or on the stack


def describe_memory(mod: IRModule) -> IRModule:
    """Say how buffers lie, and keep the small ones on the stack.

    For kernels behind StorageRewrite whose tensors are pointers, in front of LowerTVMBuiltin.
    Every tensor and temporary lies on 128 bytes: without that knowledge a vector is two loads
    and a shuffle, a word four loads. Temporaries of scope `local` stay on the stack, where LLVM
    makes registers of them; from 1 KiB on TVM would ask its runtime for memory.
    """
    return IRModule({var: _described(func) for var, func in mod.functions.items()})


def _described(func: tirx.PrimFunc) -> tirx.PrimFunc:
    body = with_temporaries(func.body, _temporary)
    for param in func.params:
        body = _aligned(param, body)
    return func.with_body(body)


def _temporary(stmt: tirx.AllocBuffer) -> tirx.Stmt:
    size = size_bytes(stmt.buffer)
    if str(stmt.buffer.scope()) == "local" and size is not None and size <= MOST_STACK_BYTES:
        return on_stack(stmt)
    return tirx.SeqStmt([_aligned(stmt.buffer, tirx.Evaluate(0)), stmt])


def _aligned(what: tirx.Var, body: tirx.Stmt) -> tirx.Stmt:
    alignment = tirx.const(ALIGNMENT_BYTES, "int32")
    return tirx.AttrStmt(what, "storage_alignment", alignment, body)
