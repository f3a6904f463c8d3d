"""Runs one kernel under qemu-hexagon and counts its packets: the ruler of Hexagon schedules."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tvm
from tvm import tirx

from dlcc.targets.cache import cache_folder
from dlcc.targets.errors import ToolchainError
from dlcc.targets.hexagon.prepare import prepare
from dlcc.targets.hexagon.qemu import find_qemu

HERE = Path(__file__).parent
TIME_LIMIT_S = 240


@dataclass(frozen=True, slots=True)
class Measured:
    """What a kernel left in its buffers, what it cost, and its assembly."""

    buffers: list[np.ndarray]
    packets: int
    instructions: int
    hvx: int
    assembly: str


def target(profile: str = "hexagonv66") -> tvm.target.Target:
    """TVM's target for the code that is run."""
    version = profile.removeprefix("hexagon")
    mattr = [f"+hvx{version}", "+hvx-length128b"]
    if int(version[1:]) >= 68:
        mattr += ["+hvx-qfloat", "-hvx-ieee-fp"]
    fields = {"kind": "llvm", "mtriple": "hexagon-unknown-linux-musl", "mcpu": profile}
    return tvm.target.Target({**fields, "mattr": mattr, "num-cores": 1})


def compiled(kernel: tirx.PrimFunc, goal: tvm.target.Target) -> tvm.runtime.Module:
    """A scheduled kernel as a module with one function `int kernel(void *, …)`."""
    whole = tvm.target.Target(goal, host=goal)
    mod = tvm.IRModule({"kernel": kernel.with_attr("global_symbol", "kernel")})
    before, after = _passes()
    with whole:
        mod = tirx.transform.BindTarget(whole)(mod)
        mod = after(prepare(_plain_pointers(before(mod))))
    return tvm.get_global_func("target.build.llvm")(mod, goal)


def measure(
    kernel: tirx.PrimFunc, arrays: Sequence[np.ndarray], profile: str = "hexagonv66"
) -> Measured:
    """Run `kernel` on `arrays`, results included: one array a parameter."""
    module = compiled(kernel, target(profile))
    with tempfile.TemporaryDirectory(prefix="dlcc-measure-") as name:
        folder = Path(name)
        module.write_to_file(str(folder / "kernel.o"), "o")
        _link(folder, [a.nbytes for a in arrays])
        fed = b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)
        command = [*find_qemu().command, "-cpu", "v67", str(folder / "kernel.elf")]
        ran = subprocess.run(command, input=fed, capture_output=True, timeout=TIME_LIMIT_S)
    if ran.returncode:
        raise ToolchainError(f"the kernel ended with {ran.returncode}: {ran.stderr[-500:]!r}")
    counts = np.frombuffer(ran.stdout[:12], "<u4")
    buffers, at = [], 12
    for a in arrays:
        piece = ran.stdout[at : at + a.nbytes]
        buffers.append(np.frombuffer(piece, a.dtype).reshape(a.shape))
        at += a.nbytes
    text = module.inspect_source("asm")
    return Measured(buffers, int(counts[0]), int(counts[1]), int(counts[2]), text)


def _link(folder: Path, sizes: Sequence[int]) -> None:
    count = len(sizes)
    lines = [
        f"#define ARGUMENTS {count}",
        f"#define SIZES {', '.join(map(str, sizes))}",
        f"#define TOTAL {sum(-(-size // 128) * 128 for size in sizes)}",
        f"int kernel({', '.join(['void *'] * count)});",
        f"#define KERNEL(b) kernel({', '.join(f'b[{i}]' for i in range(count))})",
    ]
    (folder / "kernel.h").write_text("\n".join(lines) + "\n")
    flags = "-target hexagon-freestanding-none -mcpu=hexagonv66 -O2 -ffreestanding -nostdlib"
    source = [*flags.split(), "-fno-builtin", "-include", str(folder / "kernel.h")]
    _zig("cc", *source, "-c", str(HERE / "measure.c"), "-o", str(folder / "measure.o"))
    objects = [str(folder / "measure.o"), str(folder / "kernel.o")]
    _zig("ld.lld", "-static", "-o", str(folder / "kernel.elf"), *objects)


def _zig(*arguments: str) -> None:
    cache = str(cache_folder() / "zig")
    env = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
    command = [sys.executable, "-m", "ziglang", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=TIME_LIMIT_S)
    if done.returncode:
        raise ToolchainError(f"{arguments[0]} failed: {done.stderr[-2000:]}")


def _passes() -> tuple[tvm.transform.Pass, tvm.transform.Pass]:
    """TVM's lowering of kernels around the change of calling convention; 32-bit indices."""
    s, t = tvm.s_tir.transform, tirx.transform
    before = [
        s.CanonicalizeLoop(), s.LowerCrossThreadReduction(), s.LowerInitBlock(),
        s.PlanAndUpdateBufferAllocationLocation(), s.ConvertBlocksToOpaque(),
        s.LiftThreadBinding(), s.ManifestSharedMemoryLocalStage(), s.CompactBufferAllocation(),
        s.LowerAutoCopy(), s.UnifyThreadBinding(), s.LowerMatchBuffer(), t.StmtSimplify(),
        s.AnnotateIrregularLoop(), s.InjectSoftwarePipeline(), s.LowerOpaqueBlock(),
        t.FlattenBuffer(), t.BF16ComputeLegalize(), t.NarrowDataType(32), s.LoopPartition(),
        t.VectorizeLoop(True), s.InjectVirtualThread(), s.InjectDoubleBuffer(),
        t.StorageRewrite(), s.HoistIfThenElse(), t.UnrollLoop(), s.RenormalizeSplitPattern(),
        t.StmtSimplify(), t.RemoveNoOp(), s.RewriteUnsafeSelect(), t.CommonSubexprElim(),
        t.FP8ComputeLegalize(), t.VerifyMemory(), t.AnnotateEntryFunc(),
    ]  # fmt: skip
    after = [t.LowerTVMBuiltin(), t.LowerIntrin()]
    return tvm.transform.Sequential(before), tvm.transform.Sequential(after)


def _plain_pointers(mod: tvm.IRModule) -> tvm.IRModule:
    """Buffers of a lowered kernel -> pointers, and a return code: C's calling convention.

    Before:  def kernel(x: Buffer[…]): body
    After:   def kernel(x_ptr: pointer) -> int32: x = buffer(x_ptr); body; return 0
    """
    return tvm.IRModule({var: _plain(func) for var, func in mod.functions.items()})


def _plain(func: tirx.PrimFunc) -> tirx.PrimFunc:
    params, declared = [], []
    for buffer in func.params:
        kind = tvm.ir.PointerType(tvm.ir.PrimType(buffer.dtype))
        pointer = tirx.Var(f"{buffer.name}_ptr", kind)
        params.append(pointer)
        declared.append(tirx.DeclBuffer(buffer, data=pointer))
    body = tirx.SeqStmt([*declared, func.body])
    for key, value in (("device_type", 1), ("device_id", 0)):  # LowerTVMBuiltin asks for both
        body = tirx.AttrStmt("default", key, tirx.IntImm("int32", value), body)
    body = tirx.SeqStmt([body, tirx.Return(tirx.IntImm("int32", 0))])
    made = tirx.PrimFunc(params, body, tvm.ir.PrimType("int32"), attrs=func.attrs)
    return made.without_attr("tirx.is_entry_func")
