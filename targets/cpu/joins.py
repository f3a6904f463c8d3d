"""Concatenations that nothing is copied for: kernels write their parts into one tensor.

TVM fuses no kernel into a concatenation. So a part is written by a kernel of its own, which is
fused into what computes the part, and the tensor is handed from one of them to the next:

    Before:  a = conv(x);  b = pool(x);  y = concatenate(a, b)
    Split:   p = put(conv(x), at 0);  q = put(pool(x), at 64);  y = joined(p, q)
    Fused:   p = conv_put(x);  q = pool_put(x);  y = joined(p, q)
    Chained: p = conv_put(x);  y = pool_put(x, into p)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import relax, tirx
from tvm.ir import GlobalVar, IRModule
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from dlcc.targets.cpu.matmul import dims, static

AXIS = "dlcc.joins"  # attribute of a kernel that concatenates: along which axis
JOINED = "dlcc.joined"
# how TVM fuses a kernel, its OpPatternKind
ELEMENTWISE, INJECTIVE, OUT_FUSABLE, OPAQUE = 0, 2, 4, 8


@dataclass(frozen=True, slots=True)
class _Join:
    """One concatenation. offsets: where along the axis each part begins."""

    var: relax.Var
    parts: tuple[relax.Expr, ...]
    axis: int
    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """A concatenation that lies in a tensor, which a larger one may be. at: along the axis."""

    whole: relax.Var
    at: int

    def is_at(self, whole: relax.Var, at: int) -> bool:
        return self.whole.same_as(whole) and self.at == at


def split_joins(mod: IRModule) -> IRModule:
    """Write the parts of concatenations by kernels of their own, where these can be fused."""
    graph = _Graph.of(mod)
    places = graph.places()
    if not places:
        return mod
    splitter = _Splitter(mod, graph.joins, places)
    blocks = [_like(block, splitter.block(block)) for block in mod["main"].body.blocks]
    return _with_blocks(splitter.builder.get(), blocks)


def chain_joins(mod: IRModule) -> IRModule:
    """Hand the tensor of a concatenation from the kernel of one part to that of the next."""
    main = mod["main"]
    bindings = [b for block in main.body.blocks for b in block.bindings]
    group: dict[relax.Var, relax.Var] = {}  # what is written into -> the tensor
    for binding in reversed(bindings):
        if _is_joined(binding.value):
            own = group.setdefault(binding.var, binding.var)
            group |= dict.fromkeys(binding.value.args[1].fields, own)
    if not group:
        return mod
    latest: dict[relax.Var, relax.Var] = {}
    blocks = []
    for block in main.body.blocks:
        made = []
        for binding in block.bindings:
            value = binding.value
            if (own := group.get(binding.var)) is not None:
                value = latest[own] if _is_joined(value) else _into(value, latest.get(own))
                latest[own] = binding.var
            made.append(_bound(binding, value))
        blocks.append(_like(block, made))
    return relax.transform.CanonicalizeBindings()(_with_blocks(mod.clone(), blocks))


def _with_blocks(mod: IRModule, blocks: list[relax.BindingBlock]) -> IRModule:
    main = mod["main"]
    body = relax.SeqExpr(blocks, main.body.body)
    whole = relax.Function(main.params, body, main.ret_ty, main.is_pure, main.attrs)
    mod.update_func(mod.get_global_var("main"), whole)
    return mod


def _into(call: relax.Call, tensor: relax.Var | None) -> relax.Call:
    """The call of a kernel that writes into a tensor, if there is one yet."""
    if tensor is None:
        return call
    kernel, given = call.args[0], list(call.args[1].fields)
    return relax.op.call_tir_inplace(
        kernel, relax.Tuple([*given, tensor]), [len(given)], [tensor.ty]
    )


def _is_joined(value: Any) -> bool:
    called = str(getattr(value.op, "name", "")) if isinstance(value, relax.Call) else ""
    return called == "relax.call_dps_packed" and str(value.args[0].global_symbol) == JOINED


def _like(block: relax.BindingBlock, bindings: list[relax.Binding]) -> relax.BindingBlock:
    flow = isinstance(block, relax.DataflowBlock)
    return (relax.DataflowBlock if flow else relax.BindingBlock)(bindings)


def _bound(binding: relax.Binding, value: relax.Expr) -> relax.Binding:
    return binding if value.same_as(binding.value) else relax.VarBinding(binding.var, value)


def _uses(func: relax.Function) -> Counter[relax.Var]:
    """How often each variable is read; those that another block or the caller reads, twice."""
    uses: Counter[relax.Var] = Counter()
    for block in func.body.blocks:
        flow = isinstance(block, relax.DataflowBlock)
        for binding in block.bindings:
            if not (flow and isinstance(binding.var, relax.DataflowVar)):
                uses[binding.var] += 2
            uses.update(_read(binding.value))
    return uses


def _read(value: relax.Expr) -> list[relax.Var]:
    """The tensors that a call of a kernel reads, each as often as it does; else all variables."""
    if _kernel(value) is not None:
        return [a for a in value.args[1].fields if isinstance(a, relax.Var)]
    return list(relax.analysis.free_vars(value))


def _kernel(value: relax.Expr | None) -> GlobalVar | None:
    if isinstance(value, relax.Call) and getattr(value.op, "name", "") == "relax.call_tir":
        return value.args[0]
    return None


def _joins(mod: IRModule, bindings: dict[relax.Var, relax.Expr]) -> dict[relax.Var, _Join]:
    found = {}
    for var, value in bindings.items():
        kernel = _kernel(value)
        attrs = mod[kernel].attrs if kernel is not None else None
        if attrs is None or AXIS not in attrs:
            continue
        axis, parts = int(attrs[AXIS]), tuple(value.args[1].fields)
        extents = [static(dims(part)[axis]) or 0 for part in parts]
        offsets = tuple(sum(extents[:i]) for i in range(len(parts)))
        found[var] = _Join(var, parts, axis, offsets)
    return found


@dataclass(frozen=True, slots=True)
class _Graph:
    """What is asked about `main`. known: variables that others than kernels read, such as the
    tuple of the results.   uses: how often each variable is read."""

    mod: IRModule
    bindings: dict[relax.Var, relax.Expr]
    known: frozenset[relax.Var]
    uses: Counter[relax.Var]
    joins: dict[relax.Var, _Join]

    @staticmethod
    def of(mod: IRModule) -> _Graph:
        main = mod["main"]
        bindings = {b.var: b.value for block in main.body.blocks for b in block.bindings}
        others = (value for value in bindings.values() if _kernel(value) is None)
        known = frozenset(v for value in others for v in _read(value))
        return _Graph(mod, bindings, known, _uses(main), _joins(mod, bindings))

    def places(self) -> dict[relax.Var, _Place]:
        """Where each concatenation lies that is not left as it is."""
        places: dict[relax.Var, _Place] = {}
        for join in reversed(self.joins.values()):  # the larger come behind what they hold
            if join.var not in places:
                fused = sum(_size(part) for part in join.parts if self._fuses(part, join))
                if 2 * fused < _size(join.var):
                    continue
                places[join.var] = _Place(join.var, 0)
            own = places[join.var]
            for part, offset in zip(join.parts, join.offsets, strict=True):
                if self._lies_in(part, join):
                    places.setdefault(part, _Place(own.whole, own.at + offset))
        return places

    def _lies_in(self, part: relax.Expr, join: _Join) -> bool:
        """Whether a part is a concatenation that may lie in the larger one."""
        inner = self.joins.get(part)
        return inner is not None and inner.axis == join.axis and part not in self.known

    def _fuses(self, part: relax.Expr, join: _Join) -> bool:
        """Whether what computes a part can write it where it belongs."""
        if part in self.joins:
            return self._lies_in(part, join)
        kernel = _kernel(self.bindings.get(part))
        if kernel is None or self.uses[part] != 1:
            return False
        attrs = self.mod[kernel].attrs
        return attrs is not None and int(attrs.get("op_pattern", OPAQUE)) <= OUT_FUSABLE


def _size(x: relax.Expr) -> int:
    size = 1
    for extent in dims(x):
        size *= static(extent) or 1
    return size


class _Splitter:
    """Rewrites the bindings of `main`."""

    def __init__(
        self,
        mod: IRModule,
        joins: dict[relax.Var, _Join],
        places: dict[relax.Var, _Place],
    ) -> None:
        self.joins, self.places = joins, places
        self.builder = relax.BlockBuilder(mod)
        self.wholes: dict[relax.Var, relax.Var] = {}  # a concatenation -> the tensor it lies in
        self.made: list[relax.Binding] = []

    def block(self, block: relax.BindingBlock) -> list[relax.Binding]:
        self.made = []
        for binding in block.bindings:
            if binding.var in self.places:
                self._join(self.joins[binding.var])
            elif any(self._is_inside(v) for v in _read(binding.value)):
                self.made.append(_bound(binding, self._viewing(binding.value)))
            else:
                self.made.append(binding)
        return self.made

    def _is_inside(self, var: relax.Var) -> bool:
        return var in self.places and not self.places[var].whole.same_as(var)

    def _join(self, join: _Join) -> None:
        place = self.places[join.var]
        whole = place.whole.ty
        written = []
        for part, offset in zip(join.parts, join.offsets, strict=True):
            inner = self.places.get(part)
            at = place.at + offset
            lies_there = inner is not None and inner.is_at(place.whole, at)
            if lies_there:
                written.append(self.wholes[part])
            else:
                part = self._view(part) if self._is_inside(part) else part
                call = self._copy(part, whole, join.axis, 0, at, ELEMENTWISE)
                written.append(self._bind(call, join.var))
        joined = relax.op.call_dps_packed(JOINED, relax.Tuple(written), out_ty=[whole])
        var = join.var if place.whole.same_as(join.var) else None
        self.wholes[join.var] = self._bind(joined, join.var, var)

    def _viewing(self, value: relax.Expr) -> relax.Expr:
        """A call that reads its operands out of the tensors in which they lie."""
        inside = dict.fromkeys(v for v in _read(value) if self._is_inside(v))
        return _replaced(value, {v: self._view(v) for v in inside})

    def _view(self, var: relax.Var) -> relax.Var:
        place, join = self.places[var], self.joins[var]
        call = self._copy(self.wholes[var], var.ty, join.axis, place.at, 0, INJECTIVE)
        return self._bind(call, var)

    def _copy(
        self, x: relax.Var, to: relax.TensorType, axis: int, start: int, at: int, pattern: int
    ) -> relax.Call:
        """A call that copies x from `start` on to `at` in a tensor of the type `to`."""
        shapes = [[int(d) for d in t.shape.values] for t in (x.ty, to)]
        kernel = copy_kernel(shapes, axis, (start, at), str(to.dtype), pattern)
        return relax.op.call_tir(self.builder.add_func(kernel, "put"), [x], to)

    def _bind(self, call: relax.Call, like: relax.Var, var: relax.Var | None = None) -> relax.Var:
        call = self.builder.normalize(call)
        var = relax.DataflowVar(str(like.name), call.ty) if var is None else var
        self.made.append(relax.VarBinding(var, call))
        return var


def _replaced(call: relax.Call, new: dict[relax.Var, relax.Var]) -> relax.Call:
    args = [
        relax.Tuple([new.get(f, f) for f in a.fields])
        if isinstance(a, relax.Tuple)
        else new.get(a, a)
        for a in call.args
    ]
    made = relax.Call(call.op, args, call.attrs, call.ty_args)
    relax.expr._update_type(made, call.ty)
    return made


def copy_kernel(
    shapes: Sequence[Sequence[int]], axis: int, starts: tuple[int, int], dtype: str, pattern: int
) -> tirx.PrimFunc:
    """A kernel that copies a part of one tensor into a part of another.

    shapes: of both.   starts: of the parts, along the axis; the smaller tensor is one whole."""
    extents = [min(pair) for pair in zip(*shapes, strict=True)]

    def shifted(index: Sequence[Any], by: int) -> list[Any]:
        return [i + by if d == axis and by else i for d, i in enumerate(index)]

    with IRBuilder() as builder, T.prim_func(private=True, s_tir=True):
        T.func_attr({"op_pattern": pattern, "tirx.noalias": True})
        source, target = (
            T.arg(name, T.buffer([tirx.IntImm("int64", d) for d in shape], dtype))
            for name, shape in zip(("part", "whole"), shapes, strict=True)
        )
        sizes = [tirx.IntImm("int64", e) for e in extents]
        with T.grid(*sizes) as loops, T.sblock("put"):
            each = [loops] if len(sizes) == 1 else loops  # of one extent a grid is its loop
            index = [T.axis.spatial(e, loop) for e, loop in zip(sizes, each, strict=True)]
            read, write = shifted(index, starts[0]), shifted(index, starts[1])
            T.reads(source[tuple(read)])
            T.writes(target[tuple(write)])
            T.buffer_store(target, source[tuple(read)], write)
    return builder.get()
