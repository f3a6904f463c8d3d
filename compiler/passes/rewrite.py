"""Rewrites as rows: what one looks for, what it puts there, and why it declined."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import IRModule
from tvm.ir.expr import GenericConst
from tvm.relax.expr_functor import PyExprMutator, mutator
from tvm_ffi import structural_equal

log = logging.getLogger("dlcc")


@dataclass(frozen=True, slots=True)
class Declined:
    """A rule that matched in kind but does not hold here, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Event:
    """A rule spoke of a variable. why: why it declined; "" where it applied.

    variable: what is bound to the call.   reads: the variables that the call reads.
    """

    rule: str
    variable: str
    reads: tuple[str, ...]
    why: str


_EVENTS: ContextVar[list[Event] | None] = ContextVar("dlcc_rewrite_events", default=None)


@contextmanager
def recorded() -> Iterator[list[Event]]:
    """While this is open, what rules say is kept, in order, for `dlcc check --why`."""
    events: list[Event] = []
    token = _EVENTS.set(events)
    try:
        yield events
    finally:
        _EVENTS.reset(token)


# (call, scope) -> an equal expression, Declined, or None where the rule does not speak of the call
Rewrite = Callable[[Any, "Scope"], "relax.Expr | Declined | None"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rewrite of calls to `ops` (names as "relax.add")."""

    name: str
    ops: tuple[str, ...]
    rewrite: Rewrite


class Scope:
    """What a rule may ask about the expressions around a call."""

    def __init__(self, rewriter: Any, uses: Counter[Any]) -> None:
        self._rewriter = rewriter
        self._uses = uses

    def producer(self, expr: Any, op: str = "") -> Any:
        """The call that made a variable (of that op, if one is named), or None."""
        value = self._value(expr)
        return value if is_call(value, op) else None

    def sole_use(self, expr: Any) -> bool:
        """Whether nobody else reads this variable, nor an alias of it."""
        while is_var(expr):
            if self._uses[expr] != 1:
                return False
            value = self._rewriter.lookup_binding(expr)
            if not is_var(value):
                return True
            expr = value
        return True

    def number(self, expr: Any) -> np.ndarray | None:
        """The numbers of a constant, or None."""
        value = self._value(expr)
        return value.value.numpy() if isinstance(value, GenericConst) else None

    def fields(self, expr: Any) -> list[Any]:
        """What a tuple is made of; nothing where that is not known."""
        value = self._value(expr)
        return list(value.fields) if isinstance(value, relax.Tuple) else []

    def emit(self, expr: Any) -> Any:
        """Bind an expression that only the rewritten call reads, itself rewritten."""
        builder = self._rewriter.builder_
        var = builder.emit(self._rewriter.settled(builder.normalize(expr)))
        self._uses[var] = 1
        return var

    def _value(self, expr: Any) -> Any:
        while is_var(expr):
            bound = self._rewriter.lookup_binding(expr)
            if bound is None:
                return expr
            expr = bound
        return expr


def is_var(expr: Any) -> bool:
    """Whether an expression is a Relax variable."""
    return isinstance(expr, relax.Var)


def is_call(expr: Any, op: str = "") -> bool:
    """Whether an expression is a call of an operator (of that name, if one is given)."""
    if not isinstance(expr, relax.Call) or not hasattr(expr.op, "name"):
        return False
    return not op or expr.op.name == op


def count_uses(func: relax.Function) -> Counter[Any]:
    """How often each variable of a function is read."""
    uses: Counter[Any] = Counter()

    def visit(expr: Any) -> None:
        if is_var(expr):
            uses[expr] += 1

    relax.analysis.post_order_visit(func, visit)
    return uses


# a rule may enable another at the same call; a cycle of rules would be our bug
_MAX_STEPS = 64


@mutator
class _Rewriter(PyExprMutator):  # type: ignore[misc]
    """Applies rules at every call, operands first, until none applies."""

    def __init__(self, mod: IRModule, rules: Sequence[Rule], uses: Counter[Any]) -> None:
        super().__init__(mod)
        self.rules: dict[str, list[Rule]] = {}
        for rule in rules:
            for op in rule.ops:
                self.rules.setdefault(op, []).append(rule)
        self.uses = uses
        self.scope = Scope(self, uses)
        self.replaced: dict[Any, Any] = {}
        self.applied: Counter[str] = Counter()
        self.current = ""

    def visit_call_(self, call: Any) -> Any:
        """Rewrite one call."""
        return self.settled(self._with_new_operands(call))

    def _with_new_operands(self, call: Any) -> Any:
        """The call itself where its operands are the old ones: inferring a type is what costs."""
        old_args = list(call.args)
        args = [self._operand(a) for a in old_args]
        if all(new is old for new, old in zip(args, old_args, strict=True)):
            return call
        return self.builder_.normalize(relax.Call(call.op, args, call.attrs, call.ty_args))

    def _operand(self, expr: Any) -> Any:
        if is_var(expr):
            return self.replaced.get(expr, expr)
        if not isinstance(expr, relax.Tuple):
            return expr
        old_fields = list(expr.fields)
        fields = [self._operand(f) for f in old_fields]
        same = all(new is old for new, old in zip(fields, old_fields, strict=True))
        return expr if same else relax.Tuple(fields)

    def settled(self, call: Any) -> Any:
        """The call with rules applied until none speaks of it."""
        for _ in range(_MAX_STEPS):
            result = self._step(call)
            if result is None:
                return call
            if not is_call(result):
                return result
            call = self.builder_.normalize(result)  # rules ask for its type
        raise AssertionError(f"rules do not come to an end at {call}")

    def visit_var_binding_(self, binding: Any) -> None:
        """Emit the rewritten value, and count the uses of the variable that stands for it."""
        old = binding.var
        self.current = str(old.name)
        value = self.visit_expr(binding.value)
        if value.same_as(binding.value):
            self.builder_.emit_normalized(binding)
        elif is_call(value) and structural_equal(value.ty, old.ty):
            self.builder_.emit_normalized(relax.VarBinding(old, value))
        elif isinstance(old, relax.DataflowVar) and is_var(value):
            self.uses[value] += self.uses[old] - 1
            self._replace(old, value)
        else:
            inner = isinstance(old, relax.DataflowVar)
            output = self.builder_.current_block_is_dataflow() and not inner
            new = (self.builder_.emit_output if output else self.builder_.emit)(value, old.name)
            self.uses[new] = self.uses[old]
            self._replace(old, new)

    def _replace(self, old: Any, new: Any) -> None:
        self.replaced[old] = new
        self.set_var_remap(old, new)

    def _step(self, call: Any) -> Any:
        if not is_call(call):
            return None
        for rule in self.rules.get(call.op.name, ()):
            result = rule.rewrite(call, self.scope)
            if isinstance(result, Declined):
                log.debug("%s declined at %s: %s", rule.name, call.op.name, result.why)
                self._record(rule, call, result.why)
            elif result is not None:
                self._record(rule, call, "")
                self.applied[rule.name] += 1
                return result
        return None

    def _record(self, rule: Rule, call: Any, why: str) -> None:
        events = _EVENTS.get()
        if events is not None:
            reads = tuple(str(a.name) for a in call.args if is_var(a))
            events.append(Event(rule.name, self.current, reads, why))


def rewrite(mod: IRModule, rules: Sequence[Rule]) -> IRModule:
    """The module with the rules applied to every Relax function, and without what died of it."""
    for gvar, func in list(mod.functions.items()):
        if not isinstance(func, relax.Function):
            continue
        rewriter = _Rewriter(mod, rules, count_uses(func))
        new = rewriter.visit_expr(func)
        if rewriter.applied:
            log.debug("%s: %s", gvar.name_hint, dict(rewriter.applied))
            mod = rewriter.builder_.get()
            mod.update_func(gvar, new)
    mod = relax.transform.CanonicalizeBindings()(mod)
    return relax.transform.DeadCodeElimination()(mod)
