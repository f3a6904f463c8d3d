"""Layout of constants, computed while compiling.

TVM's own pass compiles a kernel for each constant expression; NumPy needs no compiler, and what
it does not know is computed on the device.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tvm import relax
from tvm.ir import IRModule, Op
from tvm.relax.expr_functor import PyExprMutator, mutator

from dlcc.targets.cpu.matmul import dims, is_const, static
from dlcc.targets.rewriting import rewritten

Evaluate = Callable[[relax.Call, np.ndarray], np.ndarray]


def fold_layouts(mod: IRModule) -> IRModule:
    """Compute what only moves or converts a constant's elements.

    Before:  w = permute_dims(const[64, 3, 7, 7], [2, 3, 1, 0]); y = nn.conv2d(x, w)
    After:   y = nn.conv2d(x, const[7, 7, 3, 64])
    """
    return rewritten(mod, _Folder(mod))


def _permute(call: relax.Call, value: np.ndarray) -> np.ndarray:
    axes = call.attrs.axes
    return value.transpose(None if axes is None else [int(a) for a in axes])


def _reshape(call: relax.Call, value: np.ndarray) -> np.ndarray:
    return value.reshape([int(d) for d in dims(call)])


def _astype(call: relax.Call, value: np.ndarray) -> np.ndarray:
    return value.astype(np.dtype(str(call.ty.dtype)))


EVALUATE: dict[str, Evaluate] = {
    "relax.permute_dims": _permute,
    "relax.reshape": _reshape,
    "relax.expand_dims": _reshape,
    "relax.squeeze": _reshape,
    "relax.astype": _astype,
}


@mutator
class _Folder(PyExprMutator):  # type: ignore[misc]
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = self.visit_expr_post_order(call)
        if not isinstance(call.op, Op) or call.op.name not in EVALUATE:
            return call
        value = self._constant(call.args[0])
        if value is None or call.ty.shape is None or None in map(static, dims(call)):
            return call
        made = np.array(EVALUATE[call.op.name](call, value), order="C")
        return relax.const(
            made, made.dtype.name
        )  # not ascontiguousarray: it gives a scalar an axis

    def _constant(self, x: relax.Expr) -> np.ndarray | None:
        while isinstance(x, relax.Var):
            x = self.lookup_binding(x)
        return x.value.numpy() if x is not None and is_const(x) else None
