"""How large a tensor may be: what a damaged graph asks for is refused before it is allocated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dlcc.compiler.errors import BadNode

# what is folded at compile time may not grow the container without bound
MAX_FOLDED_BYTES = 64 << 20
# a tensor of a node: TVM indexes kernels by 32 bits where it can
MAX_ELEMENTS = (1 << 31) - 1
# what a Relax tensor may hold: TensorFlow's numbers without complex ones, and no references
RELAX_DTYPES = frozenset(
    {"bool", "bfloat16", "float16", "float32", "float64"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)


def fits(dims: Iterable[Any], dtype: Any = np.int64) -> bool:
    """Whether a tensor of these dimensions may be computed at compile time."""
    itemsize = np.dtype(dtype).itemsize or 1
    return math.prod(max(int(d), 0) for d in dims) * itemsize <= MAX_FOLDED_BYTES


def spread_fits(arrays: Sequence[np.ndarray]) -> bool:
    """Whether the tensor that these spread to, as operands do, may be computed at compile time.

    Operands that do not spread are no concern of this: the op itself says what it makes of them.
    """
    shapes = [a.shape for a in arrays]
    rank = max((len(s) for s in shapes), default=0)
    padded = [(1,) * (rank - len(s)) + s for s in shapes]
    spread = [max(column) for column in zip(*padded, strict=True)]
    if any(d not in (1, whole) for s in padded for d, whole in zip(s, spread, strict=True)):
        return True
    largest = max((a.size for a in arrays), default=0)
    return math.prod(spread) <= largest or fits(spread)


def check_extent(node: Any, tensor: Any) -> None:
    """Raises BadNode for a result (or a field of one) that no device could hold."""
    for part in getattr(tensor.ty, "fields", None) or [tensor.ty]:
        dims = getattr(getattr(part, "shape", None), "values", None)
        fixed = [int(d.value) for d in dims or () if hasattr(d, "value")]
        if any(d < 0 for d in fixed):
            raise BadNode(node, f"makes a tensor of shape {fixed}: a size is negative")
        if max(math.prod(fixed), *fixed, 0) > MAX_ELEMENTS:
            raise BadNode(
                node,
                f"makes a tensor of shape {fixed}: {MAX_ELEMENTS:,} elements can be had",
                hint="the model may be damaged, or an input's shape too large",
            )


def checked_count(node: Any, count: int, what: str) -> int:
    """A number of elements that a table is made of at compile time; raises BadNode."""
    if not 0 <= count * 8 <= MAX_FOLDED_BYTES:
        raise BadNode(node, f"{what} is {count:,}, at most {MAX_FOLDED_BYTES // 8:,} can be had")
    return count
