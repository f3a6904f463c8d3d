"""Checks that stop a model while it runs, where they are kept; else they pass their input on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import loop_kernel, product
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Complex, Known, ListValue, Value
from dlcc.targets.stops import stop

log = logging.getLogger("dlcc")

CHECKS = OpTable()

# TVM takes a loop that copies for an element-wise kernel, and would fuse it; 8 says opaque
ALONE = {"op_pattern": 8}


@CHECKS.op("Assert")
def assert_(g: Emitter, node: Node) -> Sequence[Value]:
    """A guard gives its second input; an Assert of the graph has no output: see guards.py."""
    if len(node.inputs) != 2 or not {"guards", "after"} & set(node.attrs):
        return []
    value, condition = g.value(node, 1), _condition(g, node)
    fails = condition is not None and not condition.all() and "guards" in node.attrs
    if fails and not g.inner:
        raise BadNode(
            node,
            f"the check fails whatever the inputs are: {node.attr('guards')}",
            hint="the shapes given may be wrong ones; --checks drop leaves checks out",
        )
    if isinstance(value, Known | ListValue | Complex):
        if condition is None or fails:
            log.info("%s: the check is left out: it guards %s", node.name, _kind(value))
        return [value]
    if condition is not None and ("after" in node.attrs or condition.all()):
        return [value]
    text = node.attr("guards")
    return [_passed(g, g.arg(node, 1), g.arg(node, 0), str(text) if text else None)]


def _condition(g: Emitter, node: Node) -> np.ndarray | None:
    """The condition of a guard where it is known."""
    return g.known(node, 0) if not isinstance(g.value(node, 0), ListValue | Complex) else None


def _kind(value: Value) -> str:
    kinds = {Known: "a constant", ListValue: "a list", Complex: "a complex tensor"}
    return next(text for kind, text in kinds.items() if isinstance(value, kind))


def _passed(g: Emitter, x: relax.Expr, condition: relax.Expr, text: str | None) -> relax.Expr:
    """x, behind the condition; stops with the text where it does not hold, never without one."""
    x, condition = g.normal(x), g.normal(condition)
    shape, dtype = g.shape(x), g.dtype(x)
    inputs = [x] if x.same_as(condition) else [x, condition]  # TVM fuses no kernel that reads twice

    def body(old: Any, *others: Any) -> None:
        *_, holds, new = (old, *others)
        if text is not None:
            with T.If(tirx.Not(tirx.Cast("bool", holds[0]))), T.Then():
                stop(text)
        with T.serial(0, product(shape)) as i:
            new[i] = old[i]

    outputs = [(shape or [1], dtype)]
    return _shaped(g, loop_kernel(g, "guard", inputs, outputs, body, attrs=ALONE)[0], shape)


def _shaped(g: Emitter, x: relax.Expr, shape: Sequence[Dim]) -> relax.Expr:
    """A scalar again: a kernel of loops has no scalar as its output."""
    return x if shape else g.reshape(x, [])


@CHECKS.op("CheckNumerics", "CheckNumericsV2")
def check_numerics(g: Emitter, node: Node) -> Value:
    """Stops at NaN and infinities. Source: tensorflow/core/kernels/check_numerics_op.cc."""
    value = g.value(node, 0)
    if not g.keep_checks or not isinstance(value, relax.Expr):
        return value
    shape, dtype = g.shape(g.normal(value)), g.dtype(value)
    says = f"{node.name} ({node.op}): {node.attr('message', '')} : Tensor had "

    def body(x: Any, y: Any, found: Any) -> None:
        with T.serial(0, 2) as i:
            found[i] = tirx.const(False, "bool")
        with T.serial(0, product(shape)) as i:
            y[i] = x[i]
            found[0] = tirx.Or(found[0], tirx.isnan(x[i]))
            found[1] = tirx.Or(found[1], tirx.isinf(x[i]))
        with T.If(tirx.And(found[0], found[1])), T.Then():
            stop(says + "Inf and NaN values")
        for k, what in enumerate(("NaN", "Inf")):
            with T.If(found[k]), T.Then():
                stop(f"{says}{what} values")

    outputs = [(shape or [1], dtype), ([2], "bool")]
    made = loop_kernel(g, "check_numerics", [value], outputs, body, attrs=ALONE)
    return _shaped(g, made[0], shape)
