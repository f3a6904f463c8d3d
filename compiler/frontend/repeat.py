"""Loops whose trip count is not known: functions that double the number of iterations.

Relax has no loop, and a function that calls itself once an iteration overflows the stack after
some thousands. So level 0 is one iteration, and level k is level k - 1, twice unless the condition
fails after the first time:

    step_0(state):  s = body(state);            return s, cond(s)
    step_k(state):  s, go = step_{k-1}(state);  return step_{k-1}(s) if go else (s, go)
    loop:           step_K(state) if cond(state) else state

The stack is K deep, and 2^K iterations are the most: K is 40, weeks of the fastest body.

What the loop carries is found by translating the body: a variable that the body hands on as it is
is no state but a constant of the loop; a dimension that an iteration changes is open in the types
of the functions; a list that gets its first element in the body has rows from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import relax

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.choice import choose, truth, unpacked
from dlcc.compiler.frontend.closure import Closure, block_of, closure
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.forms import (
    Fixed,
    Form,
    Unlike,
    declared,
    form_of,
    is_number,
    joined,
    leaf,
    rebuilt,
    same,
    wider,
)
from dlcc.compiler.frontend.function import Function
from dlcc.compiler.frontend.graph import Node, TensorRef
from dlcc.compiler.frontend.values import ListValue, Value

LEVELS = 40
# a loop of a known and small number of iterations is written out
MAX_TRIPS = 8
MAX_NODES = 256
# each round of finding the state leaves more open, or is the last
MAX_ROUNDS = 64


@dataclass(frozen=True)
class Loop:
    """A While node with its functions."""

    node: Node
    cond: Function
    body: Function

    def run(self, g: Emitter, start: Sequence[Value]) -> list[Value]:
        """The values of the loop's variables behind it."""
        trips = known_trips(g, self, start)
        if trips is not None:
            g.journal.note(f"a loop of {trips} iterations, written out")
            values = list(start)
            for _ in range(trips):
                values = g.call(self.node, self.body, values)
            return values
        return _Repeat(g, self).run(list(start))

    def go(self, g: Emitter, values: Sequence[Value]) -> Value:
        return g.call(self.node, self.cond, values)[0]


def known_trips(g: Emitter, loop: Loop, start: Sequence[Value]) -> int | None:
    """How often the body runs, where that is known now and little; else None."""
    most = min(MAX_TRIPS, MAX_NODES // max(len(loop.body.nodes), 1))
    state: list[Value | None] = [v if is_number(v) else None for v in start]
    for trips in range(most + 1):
        (go,) = _known_results(g, loop.cond, state)
        if go is None:
            return None
        if truth(g, loop.node, go) is False:
            return trips
        state = _known_results(g, loop.body, state)
    return None


def _known_results(
    g: Emitter, function: Function, args: Sequence[Value | None]
) -> list[Value | None]:
    """The results of a function that follow from what is known of its arguments."""
    inner = g.within(function)
    pairs = zip(function.arguments, args, strict=True)
    inner.values.update({ref: v for ref, v in pairs if v is not None})
    for node in function.nodes:
        if any(r not in inner.values for r in node.inputs):
            continue
        for index, value in enumerate(g.converters.folded(inner, node)):
            if is_number(value):
                inner.values[TensorRef(node.name, index)] = value
    return [inner.values.get(ref) for ref in function.results]


class _Repeat:
    def __init__(self, g: Emitter, loop: Loop) -> None:
        self.g = g
        self.loop = loop

    def run(self, start: list[Value]) -> list[Value]:
        """The loop, entered only where its condition holds at the start."""
        node, first = self.loop.node, self.loop.go(self.g, start)
        if is_number(first) and truth(self.g, node, first) is False:
            return start
        try:
            forms, step = self._settled(start)
            self.g.journal.note(f"a loop: {step.function.name_hint} is one iteration")
            for level in range(1, LEVELS + 1):
                step = self._doubled(step, forms, level)
            return choose(
                self.g, node, first, lambda: self._entered(step, forms, start), lambda: start
            )
        except Unlike as error:
            raise BadNode(
                node,
                f"a variable of the loop does not keep its kind: {error}",
                hint="its rank, its dtype and the shape of a list's elements must not change",
            ) from error

    def _entered(self, step: Closure, forms: list[Form], start: list[Value]) -> list[Value]:
        leaves = [t for v, f in zip(start, forms, strict=True) for t in leaf(self.g, v, f)]
        return unpacked(self.g, forms, self.g.emit(step(*leaves)))

    def _settled(self, start: list[Value]) -> tuple[list[Form], Closure]:
        """The forms of the state that one iteration keeps, and that iteration."""
        passed = _handed_on(self.loop.body)
        forms = [
            Fixed(v) if p or (isinstance(v, ListValue) and v.rows is None) else form_of(self.g, v)
            for v, p in zip(start, passed, strict=True)
        ]
        for _ in range(MAX_ROUNDS):
            mark, page = len(self.g.symbols), self.g.journal.mark()
            trial = _Trial.of(self, forms)
            new = [
                self._widened(f, v, n, s, mark)
                for f, v, n, s in zip(forms, trial.before, trial.after, start, strict=True)
            ]
            if not any(wider(a, b) for a, b in zip(forms, new, strict=True)):
                return forms, trial.closed(self, forms)
            forms = new
            self.g.journal.forget(page)
        raise BadNode(self.loop.node, "the shapes of its variables do not settle")

    def _widened(self, form: Form, before: Value, after: Value, start: Value, mark: int) -> Form:
        if same(before, after):
            return Fixed(start)
        return joined(self.g, form, form_of(self.g, after), mark)

    def _doubled(self, step: Closure, forms: list[Form], level: int) -> Closure:
        g = self.g
        params = _params(g, forms)
        out: list[relax.Var] = []

        def emit() -> None:
            once = g.emit(step(*params))
            values = unpacked(g, forms, once)
            leaves = [t for v, f in zip(values, forms, strict=True) for t in leaf(g, v, f)]
            go = g.emit(relax.TupleGetItem(once, len(leaves)))
            out.append(g.emit(relax.If(go, step(*leaves), once)))

        with g.journal.paused():
            block = block_of(g, emit)
        return closure(g, f"loop_{1 << level}", params, [block], out[0])


@dataclass(frozen=True)
class _Trial:
    """One iteration translated with a state of given forms."""

    params: list[relax.Var]
    before: list[Value]
    after: list[Value]
    block: relax.BindingBlock

    @classmethod
    def of(cls, repeat: _Repeat, forms: Sequence[Form]) -> _Trial:
        g, loop = repeat.g, repeat.loop
        params = _params(g, forms)
        tensors = iter(params)
        carriers: list[relax.Var | None] = []
        for form in forms:
            carried = not isinstance(form, Fixed) and getattr(form, "rows", True)
            carriers.append(next(tensors) if carried else None)
        before: list[Value] = []
        after: list[Value] = []

        def emit() -> None:
            before.extend(rebuilt(g, f, t) for f, t in zip(forms, carriers, strict=True))
            after.extend(g.call(loop.node, loop.body, before))

        block = block_of(g, emit)
        return cls(params, before, after, block)

    def closed(self, repeat: _Repeat, forms: Sequence[Form]) -> Closure:
        """The function of one iteration: the new state, and whether to go on."""
        g, loop = repeat.g, repeat.loop
        out: list[relax.Var] = []

        def emit() -> None:
            go = truth(g, loop.node, loop.go(g, self.after))
            if isinstance(go, bool):
                go = g.const(go, "bool")
            pairs = zip(self.after, forms, strict=True)
            leaves = [t for v, f in pairs for t in leaf(g, v, f)]
            out.append(g.emit(relax.Tuple([*leaves, go])))

        last = block_of(g, emit)
        return closure(g, "loop_1", self.params, [self.block, last], out[0])


def _params(g: Emitter, forms: Sequence[Form]) -> list[relax.Var]:
    types = [t for f in forms if (t := declared(g, f)) is not None]
    return [relax.Var(f"state{i}", t) for i, t in enumerate(types)]


def _handed_on(body: Function) -> list[bool]:
    """Which variables the body hands on as they are: the loop's invariants."""
    by_name = {n.name: n for n in body.nodes}
    found = []
    for argument, ref in zip(body.arguments, body.results, strict=True):
        while ref != argument and (node := by_name.get(ref.node)) and node.op == "Identity":
            ref = node.inputs[0]
        found.append(ref == argument)
    return found
