"""Scheduled kernels -> an object file of plain C functions, without TVM's calling convention.

A kernel becomes `int32_t dlcc_k_NAME(void *operand_0, …)`: pointers in the order of the kernel's
tensors, 0 if all went well. Temporaries above 1 KiB come from `__TVMBackendAllocWorkspace`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import IRModule, Op

from dlcc.targets.aot.program import aligned
from dlcc.targets.cpu.sources import kernels_of
from dlcc.targets.cpu.vector_math import vector_math
from dlcc.targets.errors import ToolchainError
from dlcc.targets.names import nodes_of

PREFIX = "dlcc_k_"  # a kernel may have the name of a C function, such as `exp`
CPU_DEVICE = 1  # DLDeviceType kDLCPU: what TVM puts into calls of its allocator

# TVM's own `s_tir` pipeline (tvm/s_tir/pipeline.py, 0.27) up to where it makes packed functions.
# Without its check of bounds; CPUs have no threads to bind.
TO_PLAIN_LOOPS: tuple[tvm.transform.Pass, ...] = (
    s_tir.transform.CanonicalizeLoop(),
    s_tir.transform.LowerInitBlock(),
    s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
    s_tir.transform.ConvertBlocksToOpaque(),
    s_tir.transform.CompactBufferAllocation(),
    s_tir.transform.LowerMatchBuffer(),
    tirx.transform.StmtSimplify(),
    s_tir.transform.AnnotateIrregularLoop(),
    s_tir.transform.LowerOpaqueBlock(),
    tirx.transform.FlattenBuffer(),
    tirx.transform.BF16ComputeLegalize(),
    tirx.transform.NarrowDataType(32),
    s_tir.transform.LoopPartition(),
    tirx.transform.VectorizeLoop(True),
    tirx.transform.StorageRewrite(),
    s_tir.transform.HoistIfThenElse(),
    tirx.transform.UnrollLoop(),
    s_tir.transform.RenormalizeSplitPattern(),
    tirx.transform.StmtSimplify(),
    tirx.transform.RemoveNoOp(),
    s_tir.transform.RewriteUnsafeSelect(),
    tirx.transform.CommonSubexprElim(),
)
TO_INTRINSICS: tuple[tvm.transform.Pass, ...] = (
    tirx.transform.BF16StorageLegalize(),
    tirx.transform.LowerTVMBuiltin(),
    tirx.transform.LowerIntrin(),
)
# What needs TVM's runtime library: its functions by name, and their arguments on a stack.
FOREIGN = ("tirx.call_packed", "tirx.call_cpacked", "tirx.tvm_call_packed", "tirx.tvm_call_cpacked")


def lower(
    mod: IRModule, target: tvm.target.Target, prepare: Callable[[IRModule], IRModule] | None = None
) -> IRModule:
    """The kernels of a module as plain functions, ready for code generation.

    prepare: what a kind of target does to them when their tensors are pointers already, and their
        temporaries not yet calls of an allocator. All of these lie on ALIGN_BYTES.
    Raises ToolchainError for a kernel that calls into TVM's runtime library."""
    kernels = {v: f for v, f in mod.functions.items() if isinstance(f, tirx.PrimFunc)}
    _require_own(mod)
    own = IRModule(
        {v: f.with_attr("global_symbol", PREFIX + str(v.name_hint)) for v, f in kernels.items()}
    )
    both = tvm.target.Target(target, host=target)
    with vector_math(), both, tvm.transform.PassContext(config={"tirx.disable_assert": True}):
        own = tirx.transform.BindTarget(both)(own)
        own = tvm.transform.Sequential(list(TO_PLAIN_LOOPS))(own)
        own = IRModule({v: with_plain_signature(f) for v, f in own.functions.items()})
        own = prepare(own) if prepare is not None else own
        return tvm.transform.Sequential(list(TO_INTRINSICS))(own)


def object_file(lowered: IRModule, target: tvm.target.Target) -> bytes:
    """Machine code of a module that went through `lower`, an ELF object; b"" without kernels."""
    if not lowered.functions:
        return b""
    with tempfile.TemporaryDirectory(prefix="dlcc-kernels-") as folder:
        path = Path(folder) / "kernels.o"
        code_of(lowered, target).write_to_file(str(path), "o")
        return path.read_bytes()


def unpacked(mod: IRModule, target: tvm.target.Target) -> bytes:
    """`object_file` of `lower`."""
    return object_file(lower(mod, target), target)


def code_of(lowered: IRModule, target: tvm.target.Target) -> Any:
    """TVM's runtime module of the kernels: their assembly is `inspect_source("asm")`."""
    return tvm_ffi.get_global_func("target.build.llvm")(lowered, target)


def with_plain_signature(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """Tensors as pointers, and a result that says whether memory sufficed.

    Before:  def k(x: Buffer, y: Buffer): body
    After:   def k(x: void*, y: void*) -> int32: body; return 0
    """
    params: list[Any] = []
    declared: list[Any] = []
    for param in func.params:
        if type(param.ty).__name__ == "BufferType":
            pointer = tirx.Var(
                f"{param.name}_data", tvm.ir.PointerType(tvm.ir.PrimType(str(param.dtype)))
            )
            params.append(pointer)
            declared += [*_bound(param), tirx.DeclBuffer(param, data=pointer)]
        else:
            params.append(param)
    body = tirx.SeqStmt([*declared, func.body]) if declared else func.body
    for name, value in (("device_type", CPU_DEVICE), ("device_id", 0)):
        body = tirx.AttrStmt("default", name, tirx.const(value, "int32"), body)
    body = tirx.SeqStmt([body, tirx.Return(tirx.const(0, "int32"))])
    return tirx.PrimFunc(params, body, tvm.ir.PrimType("int32"), attrs=func.attrs)


def _bound(buffer: Any) -> list[Any]:
    """Tensors of a program are whole and row-major: say so where a kernel leaves it open."""
    values = []
    stride = 1
    for extent, own in reversed([*zip(buffer.shape, buffer.strides, strict=False)]):
        values.append((own, stride))
        stride *= int(extent)
    values.append((buffer.elem_offset, 0))
    return [
        tirx.Bind(var, tirx.const(value, str(var.ty.dtype)))
        for var, value in values
        if isinstance(var, tirx.Var)
    ]


def scratch_bytes(lowered: IRModule) -> dict[str, int]:
    """Kernel -> bytes that it asks of `__TVMBackendAllocWorkspace`, each piece aligned.

    Counted in the code itself, so that the arena always suffices."""
    return {str(var.name_hint): _asked(func.body) for var, func in lowered.functions.items()}


def task_bytes(lowered: IRModule) -> int:
    """The most that one task of a parallel loop asks for: threads have that much each."""
    most = 0

    def visit(node: Any) -> None:
        nonlocal most
        if isinstance(node, tirx.For) and int(node.kind) == int(tirx.ForKind.PARALLEL):
            most = max(most, _asked(node.body))

    for func in lowered.functions.values():
        tvm_ffi.structural_walk(func.body, visit)
    return most


def _asked(body: tirx.Stmt) -> int:
    return sum(
        aligned(int(call.args[2]))
        for call in _calls(body)
        if call.op.name == "tirx.TVMBackendAllocWorkspace"
    )


def _require_own(mod: IRModule) -> None:
    named = kernels_of(mod)
    for var, func in mod.functions.items():
        if not isinstance(func, tirx.PrimFunc):
            continue
        for call in _calls(func.body):
            if call.op.name in FOREIGN:
                kernel = str(var.name_hint)
                node = ", ".join(nodes_of(mod, named.get(kernel, []))) or kernel
                callee = str(getattr(call.args[0], "value", call.args[0]))
                raise ToolchainError(
                    f"{node}: it needs {callee} of TVM's runtime library, which a program "
                    "without TVM cannot call",
                    hint="compile this model for host or arm with the runtime tvm, or cut the "
                    "graph before it with `--output`",
                )


def _calls(body: tirx.Stmt) -> Iterator[Any]:
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(getattr(node, "op", None), Op):
            found.append(node)

    tvm_ffi.structural_walk(body, visit)
    return iter(found)
