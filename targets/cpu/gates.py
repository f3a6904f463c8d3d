"""Gates of channels, as squeeze-and-excite has them: an image times one number a channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tvm import relax, te
from tvm.ir import IRModule, Op
from tvm.relax.expr_functor import PyExprMutator, mutator

from dlcc.targets.cpu.bindings import bindings
from dlcc.targets.cpu.conv2d import gated_conv2d
from dlcc.targets.cpu.layout import ELEMENTWISE
from dlcc.targets.cpu.matmul import FUSABLE, dims, is_const, static
from dlcc.targets.cpu.tiles import Cpu
from dlcc.targets.rewriting import relax_functions
from dlcc.targets.tuned import Tuned

PRODUCTS = ("relax.nn.conv2d", "relax.matmul")
MOST_STEPS = 8  # from a gate back to the product that it is made of


def apply_gates(mod: IRModule, cpu: Cpu, tuned: Tuned) -> IRModule:
    """Multiply by gates where that is cheap.

    Before:  y = conv2d(x * gate, const[1, 1, c, oc])      # gate: [1, 1, 1, c]
    After:   y = conv2d(x, const[1, 1, c, oc] * gate)      # fewer weights than elements of x

    The other gates get a kernel of their own: fused into the small product that the gate is made
    of, the whole image would be multiplied by one thread, out of order.
    """
    gates = _Gates(mod, cpu, tuned)
    for var in relax_functions(mod):
        gates.learn(mod[var])
        gates.builder_.update_func(var, gates.visit_expr(mod[var]))
    return gates.builder_.get() if gates.found else mod


@mutator
class _Gates(PyExprMutator):  # type: ignore[misc]
    def __init__(self, mod: IRModule, cpu: Cpu, tuned: Tuned) -> None:
        super().__init__(mod)
        self.cpu, self.tuned = cpu, tuned
        self.bound: dict[Any, relax.Expr] = {}
        self.uses: Counter[Any] = Counter()
        self.found = 0

    def learn(self, func: relax.Function) -> None:
        """What each variable of a function is bound to, and how often it is read."""
        self.bound, self.uses = bindings(func)

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        made = None
        if _is_call(call, "relax.nn.conv2d"):
            made = self._conv2d(call)
        elif (parts := gate_of(call, self.bound)) is not None:
            image, gate = map(self.visit_expr, parts)
            made = self.builder_.call_te(
                _multiply, image, gate, primfunc_name_hint="gate", primfunc_attrs=dict(FUSABLE)
            )
        if made is None:
            return self.visit_expr_post_order(call)
        self.found += 1
        return made

    def _conv2d(self, call: relax.Call) -> relax.Expr | None:
        x, w = call.args
        parts = gate_of(self.bound.get(x), self.bound) if self.uses[x] == 1 else None
        if parts is None or not is_const(w):
            return None
        image, gate = map(self.visit_expr, parts)
        plain = self.builder_.normalize(relax.Call(call.op, [image, w], call.attrs))
        return gated_conv2d(self.builder_, plain, gate, self.cpu, self.tuned)


def gate_of(
    call: relax.Expr | None, bound: Mapping[Any, relax.Expr]
) -> tuple[relax.Expr, relax.Expr] | None:
    """Image [n, h, w, c] and gate [n, 1, 1, c] of a product of both, of float32; None for any other
    call, and where the gate is not made of a product of matrices."""
    if not _is_call(call, "relax.multiply"):
        return None
    assert isinstance(call, relax.Call)
    for image, gate in (call.args, call.args[::-1]):
        if _numbers_of_channels(image, gate) and _made_of_product(gate, bound):
            return image, gate
    return None


def _numbers_of_channels(image: relax.Expr, gate: relax.Expr) -> bool:
    if any(str(a.ty.dtype) != "float32" or a.ty.shape is None for a in (image, gate)):
        return False
    whole, part = ([static(d) for d in dims(a)] for a in (image, gate))
    if None in whole or len(whole) != 4:
        return False
    return part == [whole[0], 1, 1, whole[3]] and whole[1:3] != [1, 1]


def _made_of_product(gate: relax.Expr, bound: Mapping[Any, relax.Expr]) -> bool:
    """Whether fusion would put what reads a gate behind a product."""
    for _ in range(MOST_STEPS):
        made = bound.get(gate)
        if any(_is_call(made, name) for name in PRODUCTS):
            return True
        if not (isinstance(made, relax.Call) and getattr(made.op, "name", "") in ELEMENTWISE):
            return False
        gate = next((a for a in made.args if isinstance(a, relax.Var)), made)
    return False


def _is_call(expr: relax.Expr | None, name: str) -> bool:
    return isinstance(expr, relax.Call) and expr.op == Op.get(name)


def _multiply(image: te.Tensor, gate: te.Tensor) -> te.Tensor:
    return te.compute(
        image.shape, lambda n, y, x, c: image[n, y, x, c] * gate[n, 0, 0, c], name="gate"
    )
