"""What LLVM is told of a kernel's memory, on which half of the packets depend."""

from __future__ import annotations

from tvm import tirx
from tvm.ir import IRModule

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
    body = _rewritten(func.body)
    for param in func.params:
        body = _aligned(param, body)
    return func.with_body(body)


def _rewritten(stmt: tirx.Stmt) -> tirx.Stmt:
    if isinstance(stmt, tirx.SeqStmt):
        return tirx.SeqStmt([_rewritten(s) for s in stmt])
    if isinstance(stmt, tirx.For):
        body, annotations = _rewritten(stmt.body), stmt.annotations
        args = (stmt.loop_var, stmt.min, stmt.extent, stmt.kind, body, stmt.thread_binding)
        return tirx.For(*args, annotations, stmt.step)
    if isinstance(stmt, tirx.AttrStmt):
        return tirx.AttrStmt(stmt.node, stmt.attr_key, stmt.value, _rewritten(stmt.body))
    if isinstance(stmt, tirx.IfThenElse):
        other = stmt.else_case
        then, other = _rewritten(stmt.then_case), other and _rewritten(other)
        return tirx.IfThenElse(stmt.condition, then, other)
    if isinstance(stmt, tirx.AllocBuffer):
        return _temporary(stmt)
    return stmt


def _temporary(stmt: tirx.AllocBuffer) -> tirx.Stmt:
    if str(stmt.buffer.scope()) == "local" and _size_bytes(stmt.buffer) <= MOST_STACK_BYTES:
        return tirx.AllocBuffer(stmt.buffer, {"disable_lower_builtin": tirx.const(True, "bool")})
    return tirx.SeqStmt([_aligned(stmt.buffer, tirx.Evaluate(0)), stmt])


def _aligned(what: tirx.Var, body: tirx.Stmt) -> tirx.Stmt:
    alignment = tirx.const(ALIGNMENT_BYTES, "int32")
    return tirx.AttrStmt(what, "storage_alignment", alignment, body)


def _size_bytes(buffer: tirx.Buffer) -> int:
    size = 1
    for extent in buffer.shape:
        if not isinstance(extent, int | tirx.IntImm):
            return MOST_STACK_BYTES + 1
        size *= int(extent)
    dtype = buffer.dtype
    return size * int(dtype.bits) * int(dtype.lanes) // 8
