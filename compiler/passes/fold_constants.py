"""Layout of weights settled at compile time, in NumPy, without building a kernel for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from dlcc.compiler.passes.rewrite import Rule, Scope, rewrite

_Numpy = Callable[[Any, np.ndarray], "np.ndarray | None"]


def fold_layout_constants(mod: IRModule) -> IRModule:
    """Compute what only moves or converts a constant's elements.

    Before:  w1 = reshape(permute_dims(w, axes=[2, 0, 1]), (1, 8))
    After:   w1 = a constant of shape (1, 8)
    """
    return rewrite(mod, (Rule("fold layout of constant", tuple(_NUMPY), _fold),))


def _fold(call: Any, scope: Scope) -> Any:
    array = scope.number(call.args[0])
    if array is None:
        return None
    result = _NUMPY[call.op.name](call, array)
    if result is None or result.size > max(array.size, 1024):
        return None
    # not ascontiguousarray, which gives a scalar an axis
    return relax.const(np.array(result, order="C"), result.dtype.name)


def _dims(shape: Any) -> list[int] | None:
    if not isinstance(shape, relax.ShapeExpr):
        return None
    values = [getattr(v, "value", None) for v in shape.values]
    known = [int(v) for v in values if v is not None]
    return known if len(known) == len(values) else None


def _reshape(call: Any, array: np.ndarray) -> np.ndarray | None:
    dims = _dims(call.args[1])
    return None if dims is None else array.reshape(dims)


def _permute(call: Any, array: np.ndarray) -> np.ndarray:
    axes = call.attrs.axes
    return np.transpose(array, None if axes is None else [int(a) for a in axes])


def _flip(call: Any, array: np.ndarray) -> np.ndarray:
    return np.flip(array, int(call.attrs.axis))


def _broadcast(call: Any, array: np.ndarray) -> np.ndarray | None:
    dims = _dims(call.args[1])
    return None if dims is None else np.broadcast_to(array, dims)


_NUMPY: dict[str, _Numpy] = {
    "relax.reshape": _reshape,
    "relax.permute_dims": _permute,
    "relax.flip": _flip,
    "relax.broadcast_to": _broadcast,
}
