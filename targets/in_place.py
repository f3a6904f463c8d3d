"""Lets a kernel that sets one row of a tensor write into the tensor itself, where it dies there.

A loop that sets a row of a list an iteration would copy the list each time. The front end marks the
kernel with SETS_ROW: (rows, number, row) -> rows with one replaced. Here it goes:

    Before:  step(s) = call_tir(list_set, (s, k, x));   a = step(s0);  b = step(a)
    After:   step(s) = call_tir_inplace(put_row, (k, x, s));   b = step(step(copy(s0)))

A function that writes into a parameter owns it: a caller hands over a tensor that nothing reads any
more, or a copy. What a variable may share memory with is a set of roots: parameters, and results
made in the function. What is read later on the same path is live.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import count
from operator import mul
from typing import Any, TypeAlias

from tvm import relax, te, tirx
from tvm.ir import GlobalVar, IRModule
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

SETS_ROW = "dlcc.sets_row"

# ("param", i), ("made", n), or FOREIGN: somebody else's, such as a constant
Root: TypeAlias = tuple[str, int]
FOREIGN: Root = ("foreign", 0)
# what each tensor of a value may share memory with
Alias: TypeAlias = tuple[frozenset[Root], ...]


@dataclass
class _Summary:
    """owned: the parameters that a function writes into.   result: by its parameters' roots."""

    owned: set[int] = field(default_factory=set)
    result: Alias = ()


def write_in_place(mod: IRModule) -> IRModule:
    """The module without copies of tensors that die where they are changed."""
    kernels = {v for v in mod.get_global_vars() if _sets_row(mod[v])}
    if not kernels:
        return mod
    builder = relax.BlockBuilder(mod)
    summaries: dict[str, _Summary] = {}
    made: dict[GlobalVar, relax.Function] = {}
    for var in _callees_first(mod):
        owner = _Owner(mod, builder, kernels, summaries, str(var.name_hint) == "main")
        made[var] = owner.rewritten(mod[var])
        summaries[str(var.name_hint)] = owner.summary
    out = builder.get()
    for var, func in made.items():
        out.update_func(out.get_global_var(str(var.name_hint)), func)
    return relax.transform.DeadCodeElimination(["main"])(out)


def _sets_row(func: Any) -> bool:
    attrs = func.attrs if isinstance(func, tirx.PrimFunc) else None
    return attrs is not None and SETS_ROW in attrs


def _callees_first(mod: IRModule) -> list[GlobalVar]:
    order: dict[GlobalVar, None] = {}

    def place(var: GlobalVar) -> None:
        if var in order or not isinstance(mod[var], relax.Function):
            return
        called: list[GlobalVar] = []

        def visit(expr: Any) -> None:
            if isinstance(expr, relax.Call) and isinstance(expr.op, GlobalVar):
                called.append(expr.op)

        relax.analysis.post_order_visit(mod[var].body, visit)
        for callee in called:
            place(callee)
        order[var] = None

    for var in sorted(mod.get_global_vars(), key=lambda v: str(v.name_hint)):
        place(var)
    return list(order)


class _Owner:
    """One function on its way to owning what it writes."""

    def __init__(
        self,
        mod: IRModule,
        builder: relax.BlockBuilder,
        kernels: set[GlobalVar],
        summaries: Mapping[str, _Summary],
        is_main: bool,
    ) -> None:
        self.mod = mod
        self.builder = builder
        self.kernels = kernels
        self.summaries = summaries
        self.is_main = is_main
        self.summary = _Summary()
        self.alias: dict[relax.Var, Alias] = {}
        self.numbers = count()

    def rewritten(self, func: relax.Function) -> relax.Function:
        for i, param in enumerate(func.params):
            root = FOREIGN if self.is_main else ("param", i)
            self.alias[param] = (frozenset([root]),) * _width(param.ty)
        body = self._sequence(func.body, frozenset())
        self.summary.result = _condensed(self._of(func.body.body))
        return relax.Function(func.params, body, func.ret_ty, func.is_pure, func.attrs)

    def _sequence(self, seq: relax.SeqExpr, live: frozenset[Root]) -> relax.SeqExpr:
        """live: what is read behind the sequence."""
        bindings = [b for block in seq.blocks for b in block.bindings]
        later: dict[relax.Var, list[relax.Var]] = {}
        reads = list(_vars(seq.body))
        for binding in reversed(bindings):
            later[binding.var] = list(reads)
            reads += _vars(binding.value)
        blocks = []
        for block in seq.blocks:
            kept: list[relax.Binding] = []
            for binding in block.bindings:
                behind = live.union(*(self._roots(v) for v in later[binding.var]))
                kept += self._binding(binding, behind)
            kind = relax.DataflowBlock if isinstance(block, relax.DataflowBlock) else None
            blocks.append((kind or relax.BindingBlock)(kept))
        return relax.SeqExpr(blocks, seq.body)

    def _binding(self, binding: relax.Binding, live: frozenset[Root]) -> list[relax.Binding]:
        value = binding.value
        copies: list[relax.Binding] = []
        if isinstance(value, relax.If):
            return [self._choice(binding, live)]
        if isinstance(value, relax.Call) and isinstance(value.op, GlobalVar):
            value, copies = self._call(value, live)
        elif self._dies(value, live):
            value = self._in_place(value)
        self.alias[binding.var] = self._of(value)
        if value.same_as(binding.value):
            return [binding]
        return [*copies, relax.VarBinding(binding.var, value)]

    def _choice(self, binding: relax.Binding, live: frozenset[Root]) -> relax.Binding:
        choice, made = binding.value, []
        for branch in (choice.true_branch, choice.false_branch):
            made.append(self._sequence(branch, live))
        sides = [self._of(b.body) for b in made]
        self.alias[binding.var] = tuple(a | b for a, b in zip(*sides, strict=True))
        value = relax.If(choice.cond, *made)
        relax.expr._update_type(value, choice.ty)
        return relax.VarBinding(binding.var, value)

    # ---- calls

    def _call(
        self, call: relax.Call, live: frozenset[Root]
    ) -> tuple[relax.Call, list[relax.Binding]]:
        """A call of a function, with copies of what it owns and must not get."""
        args, copies = list(call.args), []
        for i in sorted(self.summaries[str(call.op.name_hint)].owned):
            beside = frozenset().union(*(self._roots(a) for k, a in enumerate(args) if k != i))
            roots = self._roots(args[i])
            if self._mine(roots) and not roots & (live | beside):
                self._own(roots)
                continue
            copy = relax.Var("own", args[i].ty)
            copies.append(relax.VarBinding(copy, self._copied(args[i])))
            self.alias[copy] = self._new()
            args[i] = copy
        if not copies:
            return call, []
        made = relax.Call(call.op, args, call.attrs, call.ty_args)
        relax.expr._update_type(made, call.ty)
        return made, copies

    def _dies(self, value: Any, live: frozenset[Root]) -> bool:
        """Whether a call of a kernel that copies changes a tensor that nothing reads later."""
        if not (_is_call_tir(value) and value.args[0] in self.kernels):
            return False
        old, *others = value.args[1].fields
        roots = self._roots(old)
        beside = frozenset().union(*map(self._roots, others))
        # a tensor that a kernel of this function made has its memory planned: left alone
        planned = any(kind == "made" for kind, _ in roots)
        return self._mine(roots) and not planned and not roots & (live | beside)

    def _in_place(self, call: relax.Call) -> relax.Call:
        rows, number, row, *_ = call.args[1].fields  # dimensions come behind
        self._own(self._roots(rows))
        kernel = self.builder.add_func(_put_row(rows.ty, number.ty), "put_row")
        given = relax.Tuple([number, row, rows])
        return relax.op.call_tir_inplace(kernel, given, [2], [rows.ty])

    def _copied(self, tensor: relax.Expr) -> relax.Call:
        return self.builder.call_te(_copy, tensor, primfunc_name_hint="own")

    def _own(self, roots: Iterable[Root]) -> None:
        self.summary.owned |= {i for kind, i in roots if kind == "param"}

    def _mine(self, roots: frozenset[Root]) -> bool:
        return bool(roots) and FOREIGN not in roots

    # ---- what shares memory with what

    def _roots(self, expr: Any) -> frozenset[Root]:
        return frozenset().union(*self._of(expr))

    def _new(self) -> Alias:
        return (frozenset([("made", next(self.numbers))]),)

    def _of(self, expr: Any) -> Alias:
        if isinstance(expr, relax.Var):
            return self.alias.get(expr, ())
        if isinstance(expr, relax.Tuple):
            return tuple(r for f in expr.fields for r in self._of(f))
        if isinstance(expr, relax.TupleGetItem):
            return self._item(expr)
        if isinstance(expr, relax.Call):
            return self._of_call(expr)
        return (frozenset([FOREIGN]),) * _width(expr.ty)

    def _item(self, expr: relax.TupleGetItem) -> Alias:
        fields = list(expr.tuple_value.ty.fields)
        start = sum(map(_width, fields[: expr.index]))
        return self._of(expr.tuple_value)[start : start + _width(fields[expr.index])]

    def _of_call(self, call: relax.Call) -> Alias:
        if isinstance(call.op, GlobalVar):
            return self._handed(call)
        if _is_call_tir(call) and not self._may_be_view(call):
            return tuple(self._new()[0] for _ in range(_width(call.ty)))
        if str(getattr(call.op, "name", "")) == "relax.call_tir_inplace":
            return (self._roots(call.args[1].fields[int(call.attrs.inplace_indices[0])]),)
        read = frozenset([FOREIGN]).union(*(self._roots(a) for a in call.args))
        return (read,) * _width(call.ty)

    def _may_be_view(self, call: relax.Call) -> bool:
        """Whether what a kernel computes becomes a view of what it reads."""
        one = len(call.args[1].fields) == 1
        return one and bool(relax.analysis.has_reshape_pattern(self.mod[call.args[0]]))

    def _handed(self, call: relax.Call) -> Alias:
        """What a function gives, by the roots of what it is given."""
        given = [self._roots(a) for a in call.args]
        renamed: dict[Root, Root] = {FOREIGN: FOREIGN}
        result = []
        for roots in self.summaries[str(call.op.name_hint)].result:
            found: set[Root] = set()
            for root in roots:
                if root[0] == "param":
                    found |= given[root[1]]
                else:
                    found.add(renamed.setdefault(root, ("made", next(self.numbers))))
            result.append(frozenset(found))
        return tuple(result)


def _condensed(result: Alias) -> Alias:
    """The result with one root for all that a tensor may be of those made in the function: each
    level of a loop makes its results in two ways, 2^40 in the end."""
    same: dict[Root, Root] = {}

    def first(root: Root) -> Root:
        while root in same:
            root = same[root]
        return root

    for roots in result:
        made = [first(r) for r in roots if r[0] == "made"]
        same |= {r: made[0] for r in made if r != made[0]}
    return tuple(frozenset(map(first, roots)) for roots in result)


def _is_call_tir(value: Any) -> bool:
    return isinstance(value, relax.Call) and str(getattr(value.op, "name", "")) == "relax.call_tir"


def _width(type_: Any) -> int:
    """How many tensors a value of a type holds."""
    if isinstance(type_, relax.TupleType):
        return sum(map(_width, type_.fields))
    return int(isinstance(type_, relax.TensorType))


def _vars(expr: Any) -> list[relax.Var]:
    """The variables that an expression reads, those of branches included."""
    return list(relax.analysis.free_vars(expr))


def _copy(x: te.Tensor) -> te.Tensor:
    """A copy that TVM does not take for a reshape, which would be a view."""

    def emit(old: Any, new: Any) -> None:
        with T.serial(0, _product(x.shape)) as i:
            new[i] = old[i]

    return _loops(x.shape, str(x.dtype), [x], emit, "own")


def _put_row(rows: relax.TensorType, number: relax.TensorType) -> tirx.PrimFunc:
    """A kernel (number, row, rows) that replaces one of the rows, where there is such a row."""
    dims = list(rows.shape.values)
    open_ = [tirx.Var(f"d{i}", "int64") for i in range(len(dims))]
    shape = [d if isinstance(d, tirx.IntImm) else v for d, v in zip(dims, open_, strict=True)]
    at = te.placeholder([], str(number.dtype), "number")
    row = te.placeholder(shape[1:], str(rows.dtype), "row")
    inner = _product(shape[1:])

    def emit(k: Any, new: Any, out: Any) -> None:
        k = tirx.Cast("int64", k[0])
        with T.If(tirx.all(k >= 0, k < shape[0])), T.Then(), T.serial(0, inner) as j:
            out[k * inner + j] = new[j]

    made = _loops(shape, str(rows.dtype), [at, row], emit, "put_row")
    return te.create_prim_func([at, row, made])


def _product(dims: Sequence[Any]) -> Any:
    return reduce(mul, dims, tirx.IntImm("int64", 1))


def _loops(
    shape: Sequence[Any], dtype: str, read: Sequence[te.Tensor], emit: Any, name: str
) -> te.Tensor:
    """A kernel of loops; `emit` gets a buffer, indexed by its flat position, for each tensor."""

    def body(ins: Sequence[Any], outs: Sequence[Any]) -> Any:
        with IRBuilder() as builder:
            with T.seq_scope():
                emit(*(T.buffer_proxy(b) for b in (*ins, *outs)))
            return builder.get()

    return te.extern(shape, read, body, dtype=dtype, name=name)
