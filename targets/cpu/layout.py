"""Convolutions in NCHW, computed in NHWC: vectors want the channels innermost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm import relax
from tvm.ir import IRModule, Op
from tvm.relax.expr_functor import PyExprMutator, mutator

from dlcc.targets.cpu.matmul import dims, is_const
from dlcc.targets.rewriting import rewritten

TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]
OIHW_TO_HWIO = [2, 3, 1, 0]

# Operators on elements, which are the same in any layout that all operands share.
ELEMENTWISE = {
    f"relax.{name}"
    for name in (
        *("add", "subtract", "multiply", "divide", "maximum", "minimum", "negative", "abs"),
        *("exp", "log", "sqrt", "rsqrt", "sigmoid", "tanh", "clip", "square"),
        *("nn.relu", "nn.relu6", "nn.leakyrelu", "nn.silu", "nn.gelu"),
    )
}


def to_nhwc(mod: IRModule) -> IRModule:
    """Compute convolutions and pools in NHWC, and what stands between them.

    Before:  y = nn.relu(nn.conv2d(x, w) + b)                              # NCHW, OIHW
    After:   t = nn.relu(nn.conv2d(permute_dims(x), permute_dims(w)) + permute_dims(b))
             y = permute_dims(t)                                           # NHWC, HWIO inside
    """
    mover = _Mover(mod)
    moved = rewritten(mod, mover)
    return moved if mover.moved else mod


@mutator
class _Mover(PyExprMutator):  # type: ignore[misc]
    def __init__(self, mod: IRModule) -> None:
        super().__init__(mod)
        self.moved = False
        self.name = ""

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = self.visit_expr_post_order(call)
        name = call.op.name if isinstance(call.op, Op) else ""
        made = None
        if name == "relax.nn.conv2d":
            made = self._conv2d(call)
        elif name in ("relax.nn.max_pool2d", "relax.nn.avg_pool2d"):
            made = self._pool(call, name)
        elif name in ELEMENTWISE:
            made = self._elementwise(call)
        if made is None:
            return call
        self.moved = True
        return relax.op.permute_dims(self.builder_.emit(made, self.name), TO_NCHW)

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        self.name = str(binding.var.name)  # what stands for the variable keeps its name
        super().visit_var_binding_(binding)

    def _conv2d(self, call: relax.Call) -> relax.Expr | None:
        a, (x, w) = call.attrs, call.args
        if (str(a.data_layout), str(a.kernel_layout)) != ("NCHW", "OIHW"):
            return None
        if str(a.out_layout or "NCHW") != "NCHW":
            return None
        w = self.builder_.emit(relax.op.permute_dims(w, OIHW_TO_HWIO))
        return relax.op.nn.conv2d(
            self._nhwc(x), w, _ints(a.strides), _ints(a.padding), _ints(a.dilation),
            int(a.groups), data_layout="NHWC", kernel_layout="HWIO", out_dtype=a.out_dtype,
        )  # fmt: skip

    def _pool(self, call: relax.Call, name: str) -> relax.Expr | None:
        a, (x,) = call.attrs, call.args
        if str(a.layout) != "NCHW" or self._twin(x) is None:
            return None
        pool = getattr(relax.op.nn, name.rpartition(".")[2])
        return pool(
            self._nhwc(x), _ints(a.pool_size), _ints(a.strides), _ints(a.padding),
            _ints(a.dilation), bool(a.ceil_mode), bool(a.count_include_pad), layout="NHWC",
        )  # fmt: skip

    def _elementwise(self, call: relax.Call) -> relax.Expr | None:
        """The operator on NHWC operands, if it is one on results that were moved."""
        if not any(self._twin(a) is not None for a in call.args):
            return None
        rank = len(dims(call))
        args = []
        for arg in call.args:
            if not hasattr(arg.ty, "shape"):  # an attribute-like operand, such as clip's bounds
                args.append(arg)
            elif is_const(arg):
                value = arg.value.numpy()
                value = value.reshape((1,) * (rank - value.ndim) + value.shape)
                args.append(relax.const(np.ascontiguousarray(value.transpose(TO_NHWC))))
            elif self._twin(arg) is not None:
                args.append(self._nhwc(arg))
            else:
                return None
        return relax.Call(call.op, args, call.attrs)

    def _nhwc(self, x: relax.Expr) -> relax.Expr:
        twin = self._twin(x)
        return self.builder_.emit(relax.op.permute_dims(x, TO_NHWC)) if twin is None else twin

    def _twin(self, x: relax.Expr) -> relax.Expr | None:
        """The NHWC tensor that x is a transposition of; None if it is none."""
        bound = self.lookup_binding(x) if isinstance(x, relax.Var) else None
        if not isinstance(bound, relax.Call) or bound.op != Op.get("relax.permute_dims"):
            return None
        return bound.args[0] if _ints(bound.attrs.axes or []) == TO_NCHW else None


def _ints(values: Sequence[object]) -> list[int]:
    return [int(v) for v in values]  # type: ignore[call-overload]
