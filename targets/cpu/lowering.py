"""Rules by which TVM lowers functions for a kind of code, changed for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tvm import ir
from tvm.ir import Op

Lower = Callable[[ir.Expr], ir.Expr]

LEVEL = 99  # above TVM's own rules


@contextmanager
def lowered_by(attr: str, rules: Mapping[str, Lower]) -> Iterator[None]:
    """Within it operators have these rules as their attribute, `llvm.FLowerIntrinsic` for instance.

    TVM keeps them for the whole process; on leaving, its own are back."""
    before = {name: Op.get(name).get_attr(attr) for name in rules}
    for name, rule in rules.items():
        _set(name, attr, rule)
    try:
        yield
    finally:
        for name, old in before.items():
            _set(name, attr, old)


def _set(name: str, attr: str, rule: Lower | None) -> None:
    op = Op.get(name)
    op.reset_attr(attr)
    if rule is not None:
        op.set_attr(attr, rule, LEVEL)
