"""How far half precision is from float32, computed on this machine's CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.ir import IRModule

from dlcc.targets.cpu import codegen
from dlcc.targets.cpu.matmul import static
from dlcc.targets.cpu.schedule import schedule
from dlcc.targets.host.detect import host_chip

SEED = 0


def half_error(
    full: IRModule,
    full_weights: Sequence[np.ndarray],
    half: IRModule,
    half_weights: Sequence[np.ndarray],
) -> float | None:
    """The largest difference of a floating-point output, over the largest of that output.

    Both modules take the model's inputs, then the weights; inputs are random: floats of a normal
    distribution, whole numbers 0 or 1. None where a shape is known only when it runs, or where
    the model puts out no floats.
    """
    params = full["main"].params[: len(full["main"].params) - len(full_weights)]
    inputs = _random_inputs(params)
    if inputs is None:
        return None
    expected = _run(full, [*inputs, *full_weights])
    found = _run(half, [*inputs, *half_weights])
    errors = [
        float(np.abs(f - e).max() / (np.abs(e).max() or 1.0))
        for f, e in zip(found, expected, strict=True)
        if e.dtype.kind == "f" and e.size
    ]
    return max(errors) if errors else None


def _random_inputs(params: Sequence[Any]) -> list[np.ndarray] | None:
    random = np.random.default_rng(SEED)
    made = []
    for param in params:
        if not isinstance(param.ty, relax.TensorType) or param.ty.shape is None:
            return None
        shape = [static(d) for d in param.ty.shape.values]
        if None in shape:
            return None
        sizes = [d for d in shape if d is not None]
        dtype = str(param.ty.dtype)
        floats = dtype.startswith("float")
        values = random.standard_normal(sizes) if floats else random.integers(0, 2, sizes)
        made.append(np.asarray(values).astype(dtype))
    return made


def _run(mod: IRModule, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of `main`, its kernels in this process's own code."""
    target = codegen.tvm_target(dict(host_chip().tvm))
    lowered = codegen.lower(schedule(mod, host_chip()), target)
    vm = relax.VirtualMachine(codegen.compile_lowered(lowered, target), tvm.cpu())
    result = vm["main"](*(tvm.runtime.tensor(np.asarray(a, order="C")) for a in arguments))
    fields = [result] if hasattr(result, "numpy") else list(result)
    return [np.asarray(f.numpy()) for f in fields]
