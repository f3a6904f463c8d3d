"""Tiles of sums stay on the stack, however many vectors they have."""

from __future__ import annotations

import tvm
from tvm import tirx
from tvm.ir import IRModule

from dlcc.targets.stack import on_stack, size_bytes, with_temporaries

MOST_BYTES = 4096  # 28 registers of AVX-512 are 1792 bytes; the stack of a thread is 8 MiB
PIPELINE = "dlcc.cpu"


def tiles_on_stack(mod: IRModule) -> IRModule:
    """Keep temporaries of at most MOST_BYTES from TVM's allocator.

    For kernels alone, in front of LowerTVMBuiltin. A tile of AVX-512, 14 pixels of 32 channels,
    has 1792 bytes: it would cost two calls of the allocator and its way to memory and back."""
    kept = {
        var: func.with_body(with_temporaries(func.body, _temporary))
        for var, func in mod.functions.items()
    }
    return IRModule(kept, attrs=mod.attrs)


def _temporary(stmt: tirx.AllocBuffer) -> tirx.Stmt:
    size = size_bytes(stmt.buffer)
    small = size is not None and 0 < size <= MOST_BYTES
    return on_stack(stmt) if small and str(stmt.buffer.scope()) == "global" else stmt


def _pipeline() -> tuple[tvm.transform.Pass, object, object]:
    passes, host, device = tirx.get_tir_pipeline("s_tir")
    last = tvm.transform.module_pass(lambda mod, _: tiles_on_stack(mod), opt_level=0)
    return tvm.transform.Sequential([passes, last]), host, device


tirx.compilation_pipeline.register_tir_pipeline(PIPELINE, _pipeline)
