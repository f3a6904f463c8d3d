"""Moves a model's constants out of its code."""

from __future__ import annotations

import hashlib

import numpy as np
from tvm import relax
from tvm.ir import IRModule
from tvm.relax.expr_functor import PyExprMutator, mutator

SMALL_BYTES = 64


def lift_weights(mod: IRModule) -> tuple[IRModule, list[np.ndarray]]:
    """Make every constant tensor of `main` above 64 bytes a parameter of `main`.

    Before:  main(x) = matmul(x, const_0) + const_1
    After:   main(x, weight_0, weight_1) = matmul(x, weight_0) + weight_1

    Equal tensors (dtype, shape, content) share one parameter. Constants of other functions stay
    where they are. Returns the module and the tensors in the order of their parameters.
    """
    main = mod["main"]
    lifter = _Lifter(mod)
    body = lifter.visit_expr(main.body)
    lifted = relax.Function(
        [*main.params, *lifter.params], body, main.ret_ty, main.is_pure, main.attrs
    )
    out = mod.clone()
    out[mod.get_global_var("main")] = lifted
    return out, lifter.weights


@mutator
class _Lifter(PyExprMutator):  # type: ignore[misc]
    def __init__(self, mod: IRModule) -> None:
        super().__init__(mod)
        self.params: list[relax.Var] = []
        self.weights: list[np.ndarray] = []
        self._seen: dict[tuple[str, tuple[int, ...], bytes], relax.Var] = {}

    def visit_generic_const_(self, const: relax.Expr) -> relax.Expr:
        if not hasattr(const.value, "numpy"):
            return const
        value = const.value.numpy()
        if value.nbytes <= SMALL_BYTES:
            return const
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).digest()
        key = (str(value.dtype), value.shape, digest)
        if key not in self._seen:
            self._seen[key] = relax.Var(f"weight_{len(self.params)}", const.ty)
            self.params.append(self._seen[key])
            self.weights.append(value)
        return self._seen[key]
