"""The optimised Relax module of a container, with its constants outside of it.

Before:  main(x) = matmul(x, const)
After:   main(x, dlcc_weight_0) = matmul(x, dlcc_weight_0)      and const beside the module

Weights would otherwise stand in the file twice: as base64 in the graph and raw for the targets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import tvm
from tvm import relax
from tvm.ir import Call, GenericConst, IRModule
from tvm.relax.expr_functor import PyExprMutator, mutator

from dlcc.targets.user.choose import one_form
from dlcc.targets.user.kernel import user_kernel
from dlcc.targets.views import view_of

# Below this a reference costs more than the value, and shapes or axes are best left readable.
LIFT_FROM_BYTES = 64
_PREFIX = "dlcc_weight_"


@mutator
class _Lift(PyExprMutator):  # type: ignore[misc]  # TVM is not typed
    """Replaces constants by variables; equal constants by one."""

    def __init__(self, mod: IRModule) -> None:
        super().__init__(mod)
        self.found: dict[tuple[str, tuple[int, ...], bytes], tuple[relax.Var, np.ndarray]] = {}

    def visit_generic_const_(self, op: GenericConst) -> relax.Expr:
        if not isinstance(op.value, tvm.runtime.Tensor):
            return op
        tensor = view_of(op.value)
        if tensor.nbytes < LIFT_FROM_BYTES:
            return op
        key = (tensor.dtype.name, tensor.shape, _digest(tensor))
        if key not in self.found:
            var = relax.Var(f"{_PREFIX}{len(self.found)}", op.ty)
            self.found[key] = (var, tensor)
        return self.found[key][0]


def _digest(tensor: np.ndarray) -> bytes:
    from dlcc.compiler.container.pieces import sha256
    from dlcc.compiler.container.tensors import tensor_bytes

    return bytes.fromhex(sha256(tensor_bytes(tensor)))


def lift_constants(module: IRModule) -> tuple[IRModule, list[np.ndarray]]:
    """The module whose `main` takes its large constants as last parameters, and these constants.

    Only `main` is searched: other functions keep their constants, which are small where they exist.
    """
    lift, main = _Lift(module), module["main"]
    body = lift.visit_expr(main.body)
    found = list(lift.found.values())
    params = [*main.params, *(var for var, _ in found)]
    lifted = relax.Function(params, body, main.ret_ty, main.is_pure, main.attrs, main.span)
    result = IRModule(module.functions, attrs=module.attrs)
    result.update_func(module.get_global_var("main"), lifted)
    return result, [tensor for _, tensor in found]


def encode_graph(module: IRModule) -> bytes:
    """TVM's JSON of a module, the same bytes for equal modules."""
    return str(tvm.ir.save_json(module)).encode()


def decode_graph(content: bytes, weights: Sequence[np.ndarray]) -> IRModule:
    """The module with its constants back in place.

    Raises ValueError, TypeError or RuntimeError where the content is not a graph of ours.
    """
    module = tvm.ir.load_json(content.decode())
    if not isinstance(module, IRModule):
        raise ValueError("it holds no module")
    names = [p.name for p in module["main"].params if p.name.startswith(_PREFIX)]
    if len(names) != len(weights):
        raise ValueError(f"it takes {len(names)} weights, the manifest lists {len(weights)}")
    bound = {name: tvm.runtime.tensor(w) for name, w in zip(names, weights, strict=True)}
    return relax.transform.BindParams("main", bound)(module)


def count_ops(module: IRModule) -> tuple[dict[str, int], int]:
    """Operator -> number of calls in `main`, and the elements of all its constants.

    An op of a user's is one, whatever kernels it has."""
    module = one_form(module)
    ops: Counter[str] = Counter()
    elements = 0

    def visit(expr: relax.Expr) -> None:
        nonlocal elements
        if isinstance(expr, Call):
            ops[_op_name(expr, module)] += 1
        elif isinstance(expr, GenericConst) and isinstance(expr.value, tvm.runtime.Tensor):
            elements += int(np.prod(expr.value.shape, dtype=np.int64))

    visitor: Callable[[relax.Expr, Callable[[relax.Expr], None]], None]
    visitor = relax.analysis.post_order_visit
    visitor(module["main"].body, visit)
    return dict(sorted(ops.items())), elements


def _op_name(call: Call, module: IRModule) -> str:
    """`relax.nn.conv2d`; for a call of a kernel of the module, its name or the user's op."""
    name = str(getattr(call.op, "name", getattr(call.op, "name_hint", "call")))
    if name.startswith("relax.call_tir"):
        if (given := user_kernel(module[call.args[0]])) is not None:
            return given.op
        return str(call.args[0].name_hint)
    return name
