"""Bugs to plant: each is one line of wrong code in an otherwise right place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax, te, tirx
from tvm.ir import IRModule
from tvm.relax.expr_functor import PyExprMutator, mutator

from dlcc.compiler.passes.fold_scale import fold_scale_into_weights
from dlcc.compiler.passes.rewrite import Rule, rewrite
from dlcc.targets.cpu.fuse import fuse
from dlcc.targets.cpu.schedule.conv2d import conv2d as right_conv2d


def short_sums(rule: Callable[[Any, Any], None], block: str) -> Callable[[Any, Any], None]:
    """The rule, with a loop over a window's rows that ends one row early."""

    def wrong(s: Any, machine: Any) -> None:
        rule(s, machine)
        sums = [b for b in s.get_child_blocks(s.get_sblock("root")) if s.get(b).name_hint == block]
        rows = next(v for v in s.get_loops(sums[0]) if str(s.get(v).loop_var.name).startswith("ry"))
        loop = s.get(rows)
        extent = tirx.IntImm("int64", int(loop.extent) - 1)
        short = tirx.For(loop.loop_var, loop.min, extent, loop.kind, loop.body)
        s.state.replace(s.get_sref(rows), short)

    wrong.__name__ = rule.__name__
    return wrong


conv2d = short_sums(right_conv2d, "windows_update")


def scales_of_other_channels(mod: IRModule) -> IRModule:
    """`fold_scale_into_weights`, of scales in the reverse order."""
    done: list[object] = []

    def reverse(call: Any, scope: Any) -> Any:
        scale = scope.number(call.args[1])
        if scale is None or scale.ndim != 1 or done:
            return None
        done.append(call)
        return relax.op.multiply(call.args[0], relax.const(np.ascontiguousarray(scale[::-1])))

    return fold_scale_into_weights(rewrite(mod, [Rule("reverse", ("relax.multiply",), reverse)]))


def difference(g: Any, node: Any) -> Any:
    """A sum that is a difference."""
    return relax.op.subtract(*g.args(node))


def relu_at_one(bb: relax.BlockBuilder, call: relax.Call, *_: object) -> relax.Expr:
    """max(1, x)."""

    def compute(x: te.Tensor) -> te.Tensor:
        return te.compute(x.shape, lambda *i: tirx.max(tirx.const(1, x.dtype), x(*i)), "relu")

    return bb.call_te(compute, call.args[0], primfunc_name_hint="relu")


def fused_without_bias(mod: IRModule, *args: Any, **options: Any) -> IRModule:
    """`fuse`, with zeros for what is added in a kernel that begins with a convolution."""
    fused = fuse(mod, *args, **options)
    dropper = _Dropper(fused)
    fused.update_func(fused.get_global_var("main"), dropper.visit_expr(fused["main"]))
    return fused


@mutator
class _Dropper(PyExprMutator):  # type: ignore[misc]
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        if not str(getattr(call.args[0], "name_hint", "")).startswith("fused_conv2d"):
            return call
        fields = list(call.args[1].fields)
        zeros = relax.const(np.zeros_like(fields[-1].value.numpy()))
        operands = relax.Tuple([*fields[:-1], zeros])
        return relax.Call(call.op, [call.args[0], operands], call.attrs, call.ty_args)
