"""From scheduled kernels and a fused Relax module to object files."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import tvm
import tvm_ffi
from tvm import relax
from tvm.ir import IRModule

from dlcc.targets.cpu.outline import outline_branches
from dlcc.targets.cpu.shipped import require_shipped
from dlcc.targets.cpu.stack import PIPELINE
from dlcc.targets.cpu.vector_math import vector_math

log = logging.getLogger("dlcc")

# Dataflow to VM: as TVM's own CPU pipeline goes on behind `reshape_in_place`, so that memory
# is planned statically and every pass runs once.
LOWER: tuple[tvm.transform.Pass, ...] = (
    relax.transform.ToNonDataflow(),
    relax.transform.RemovePurityChecking(),
    relax.transform.CallTIRRewrite(),
    relax.transform.StaticPlanBlockMemory(),
    relax.transform.LowerAllocTensor(),
    relax.transform.KillAfterLastUse(),
    relax.transform.LowerRuntimeBuiltin(),
    relax.transform.ComputePrimValue(),
    relax.transform.VMShapeLower(),
    relax.transform.AttachGlobalSymbol(),
)


def lower(mod: IRModule, target: tvm.target.Target) -> IRModule:
    """Relax of calls to kernels -> Relax of VM instructions with memory planned statically."""
    with target:
        mod = reshape_in_place(outline_branches(require_shipped(mod)))
        return tvm.transform.Sequential(list(LOWER))(mod)


def reshape_in_place(mod: IRModule) -> IRModule:
    """Calls of kernels that only reshape -> views of the same memory.

    TVM's proof of what only reshapes gives up on some products of symbolic extents with an error
    (0.27, CanProveDivisible); then all reshapes of that module are copied, which is as right.
    """
    try:
        return relax.transform.RewriteDataflowReshape()(mod)
    except tvm.error.InternalError as error:
        log.debug("reshapes are copied: %s", str(error).strip().splitlines()[-1])
        return mod


def compile_lowered(mod: IRModule, target: tvm.target.Target) -> relax.VMExecutable:
    """Machine code and bytecode of a module that went through `lower`.

    Kernels do not check their arguments: `main` checks what it is called with, and memory is
    planned for what it calls. The checks would be two thirds of the code and half of the time.
    """
    # temporaries of kernels for a GPU are allocated there, by functions that look like a CPU's
    pipeline = PIPELINE if target.kind.name == "llvm" else "default"
    with vector_math(), tvm.transform.PassContext(config={"tirx.disable_assert": True}):
        return relax.build(mod, target, relax_pipeline=None, tir_pipeline=pipeline)


def write_objects(
    executable: relax.VMExecutable, target: tvm.target.Target, folder: Path
) -> list[Path]:
    """Write the object files of the kernels and of the packed bytecode; returns their paths."""
    written: list[Path] = []

    def keep(_name: str, files: Sequence[str], **_: object) -> None:
        written.extend(map(Path, files))

    # a module without kernels tells no triple, and its bytecode would be written as C
    keep.get_target_triple = lambda: str(target.attrs["mtriple"])  # type: ignore[attr-defined]
    executable.mod.export_library("module.so", fcompile=keep, workspace_dir=str(folder))
    return written


def assembly(executable: relax.VMExecutable) -> str:
    """Assembly text of the kernels."""
    texts = [m.inspect_source("s") for m in executable.mod._collect_dso_modules()]
    return "\n".join(texts)


def tvm_target(fields: dict[str, object]) -> tvm.target.Target:
    """TVM's target of a chip's `tvm` row."""
    return tvm.target.Target(json.dumps(fields))


def is_known_cpu(mcpu: str, mtriple: str) -> bool:
    """Whether LLVM has a processor of that name: TVM itself accepts any."""
    target = tvm.target.Target({"kind": "llvm", "mtriple": mtriple})
    with target:
        names = tvm_ffi.get_global_func("target.llvm_get_cpu_archlist")(target)
    return mcpu in {str(n) for n in names}
