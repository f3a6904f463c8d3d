"""Concatenations that copy nothing new."""

from __future__ import annotations

from typing import Any

from tvm import relax
from tvm.ir import IRModule

from dlcc.compiler.passes.rewrite import Declined, Rule, Scope, rewrite


def simplify_concats(mod: IRModule) -> IRModule:
    """Merge concatenations, and read around them.

    Before:  y = concat(concat(a, b), c);   z = strided_slice(concat(p, q), where q lies)
    After:   y = concat(a, b, c);           z = q
    """
    return rewrite(mod, (_CONCAT, _SLICE))


def _parts(concat: Any, scope: Scope) -> tuple[list[Any], int] | None:
    """What a concatenation joins, and along which axis."""
    fields = scope.fields(concat.args[0])
    if not fields or fields[0].ty.ndim < 0:
        return None
    axis = concat.attrs.axis
    return fields, (0 if axis is None else int(axis) % fields[0].ty.ndim)


def _concat(call: Any, scope: Scope) -> Any:
    found = _parts(call, scope)
    if found is None:
        return None
    parts, axis = found
    if len(parts) == 1:
        return parts[0]
    flat: list[Any] = []
    for part in parts:
        inner = scope.producer(part, "relax.concat")
        below = None if inner is None or not scope.sole_use(part) else _parts(inner, scope)
        flat += below[0] if below is not None and below[1] == axis else [part]
    return None if len(flat) == len(parts) else relax.op.concat(flat, axis)


def _slice(call: Any, scope: Scope) -> Any:
    """What is cut out of a concatenation, if it is one of its parts."""
    concat = scope.producer(call.args[0], "relax.concat")
    found = None if concat is None else _parts(concat, scope)
    if found is None:
        return None
    parts, axis = found
    cut = _cut(call)
    if cut is None or cut[0] != axis:
        return Declined("it cuts along another axis, or in steps")
    begin = 0
    for part in parts:
        extent = getattr(list(part.ty.shape)[axis], "value", None)
        if extent is None:
            return Declined("the extent of a part is not known")
        if cut[1:] == (begin, begin + extent):
            return part
        begin += extent
    return Declined("it cuts through a part")


def _cut(call: Any) -> tuple[int, int, int] | None:
    """Axis, begin and end of a slice along one axis without steps."""
    numbers = [_numbers(arg) for arg in call.args[1:]]
    if any(n is None or len(n) != 1 for n in numbers):
        return None
    axis, begin, end, *steps = [n[0] for n in numbers if n is not None]
    shape = list(call.args[0].ty.shape)
    axis %= len(shape)
    extent = getattr(shape[axis], "value", None)
    if extent is None or steps not in ([], [1]):
        return None
    begin, end = (min(max(v + extent if v < 0 else v, 0), extent) for v in (begin, end))
    return axis, begin, end


def _numbers(values: Any) -> list[int] | None:
    if not isinstance(values, relax.Tuple):
        return None
    found = [getattr(v, "value", None) for v in values.fields]
    numbers = [v for v in found if isinstance(v, int)]
    return numbers if len(numbers) == len(found) else None


_CONCAT = Rule("concat of concat", ("relax.concat",), _concat)
_SLICE = Rule("slice of concat", ("relax.strided_slice",), _slice)
