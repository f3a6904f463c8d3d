"""Complex tensors at the edge of a module: pairs of real and imaginary part along a last axis."""

from __future__ import annotations

import numpy as np
from tvm import relax

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.values import Complex, Known, Value, is_complex, known

R = relax.op

PART_DTYPES = {"complex64": "float32", "complex128": "float64"}
COMPLEX_DTYPES = {part: whole for whole, part in PART_DTYPES.items()}


def unpaired(g: Emitter, pairs: relax.Expr) -> Value:
    """(…, 2) as a complex value (…)."""
    if empty := g.empty(pairs):
        whole = COMPLEX_DTYPES[empty.dtype]
        return known(np.empty(empty.array.shape[:-1], whole))
    rank, dims = g.rank(pairs), g.shape(pairs)[:-1]
    return Complex(*(
        g.emit(g.reshape(g.emit(R.strided_slice(pairs, [rank - 1], [i], [i + 1])), dims))
        for i in range(2)
    ))  # fmt: skip


def paired(g: Emitter, value: Value) -> relax.Expr:
    """A value as the tensor that leaves the module: (…, 2) for a complex one."""
    if isinstance(value, Known):
        if is_complex(value):
            value = known(np.stack([value.array.real, value.array.imag], -1))
        return g.tensor(value)
    if not isinstance(value, Complex):
        return value
    dims = g.shape(value.real)
    parts = [g.emit(g.reshape(p, [*dims, 1])) for p in (value.real, value.imag)]
    return R.concat(parts, len(dims))


def value_dtype(g: Emitter, value: Value) -> str:
    """NumPy's name of the dtype that a value has in TensorFlow."""
    if isinstance(value, Known):
        return value.dtype
    if isinstance(value, Complex):
        return COMPLEX_DTYPES[g.dtype(value.real)]
    return g.dtype(value)
