"""One form of an op: a call of a user's kernel, with what computes the same elsewhere behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tvm_ffi
from tvm import relax, tirx
from tvm.ir import IRModule
from tvm.ir import Op as IrOp
from tvm.s_tir import Schedule

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.user_ops.declared import Grid, Kernel, Op, Tensor, UserOps
from dlcc.targets.user.emit import (
    Array,
    Launch,
    Number,
    attributes,
    c_prototype,
    calling,
    opencl_prototype,
)
from dlcc.targets.user.kernel import UserKernel

MOST_ITEMS = 1024  # of a group; a device may take fewer

Ends = tuple[Sequence[Tensor], Sequence[Tensor]]


def source_form(
    own: UserOps,
    op: Op,
    kernel: Kernel,
    g: Emitter,
    node: Node,
    args: Sequence[relax.Expr],
    ends: Ends,
    others: Sequence[relax.Expr],
) -> list[relax.Expr]:
    """The outputs as a function in a source computes them. ends: inputs and outputs."""
    assert kernel.path is not None
    inputs, outputs = ends
    numbers = _numbers(kernel, node, inputs, outputs)
    kinds = "".join("f" if isinstance(n, float) else "i" for n in numbers)
    parts = None if kernel.parts is None else kernel.parts(node, inputs, outputs)
    kinds += "pp" if parts is not None else ""
    is_c = kernel.path.suffix == ".c"
    declare = c_prototype if is_c else opencl_prototype
    dtypes = [t.dtype for t in inputs], [t.dtype for t in outputs]
    told = UserKernel(
        op=op.name,
        by=str(own),
        targets=kernel.targets,
        inputs=len(args),
        file=kernel.path.name,
        text=kernel.text,
        function=kernel.function,
        prototype=declare(kernel.function, *dtypes, kinds),
    )
    launch = None if is_c else _launch(kernel, node, inputs, outputs)
    arrays = [Array(t.shape, t.dtype) for t in outputs]
    name = f"{told.name}_form"
    compute = calling(told, arrays, numbers, launch, parts)
    made = g.te(compute, *args, *others, name=name, attrs=attributes(told))
    return _parts(made, len(outputs))


def scheduled_form(
    own: UserOps,
    op: Op,
    kernel: Kernel,
    g: Emitter,
    node: Node,
    general: Sequence[relax.Expr],
    others: Sequence[relax.Expr],
) -> list[relax.Expr]:
    """The outputs by the kernel of the converter, with a schedule of the user's.

    general: what the converter made."""
    assert kernel.rule is not None
    call = _one_kernel(g, node, general)
    func = g.builder.get()[call.args[0]]
    # kept until the end: TVM takes a module that nobody else holds for its own, and would schedule
    # the converter's kernel itself
    mod = IRModule({"main": func.with_attr("global_symbol", "main")})
    s = Schedule(mod)
    kernel.rule(s)
    done = s.mod["main"].without_attr("global_symbol")
    if "opencl" in kernel.targets and not _binds_threads(done):
        raise BadNode(
            node,
            f"its schedule for opencl in {own} binds no loop to threads",
            hint='s.bind(loop, "blockIdx.x"), and "threadIdx.x"',
        )
    operands = list(call.args[1].fields)
    told = UserKernel(op.name, str(own), kernel.targets, len(operands))
    spare = [tirx.decl_buffer(g.shape(o), g.dtype(o), f"other{i}") for i, o in enumerate(others)]
    params = [*done.params[: len(operands)], *spare, *done.params[len(operands) :]]
    made = tirx.PrimFunc(params, done.body, done.ret_type, attrs=done.attrs)
    for key, value in attributes(told).items():
        made = made.with_attr(key, value)
    var = g.builder.add_func(made, f"{told.name}_form")
    types = [o.ty for o in others]
    again = relax.call_tir(var, relax.Tuple([*operands, *others]), types, *call.args[2:])
    return _parts(g.emit(again), len(others))


def _parts(made: relax.Expr, count: int) -> list[relax.Expr]:
    return [made] if count == 1 else [relax.TupleGetItem(made, i) for i in range(count)]


def _one_kernel(g: Emitter, node: Node, results: Sequence[relax.Expr]) -> relax.Call:
    """The call that makes all results; raises BadNode where there are several."""
    makers = []
    for result in results:
        value = g.builder.lookup_binding(result) if isinstance(result, relax.Var) else result
        if isinstance(value, relax.TupleGetItem):
            value = g.builder.lookup_binding(value.tuple_value)
        makers.append(value)
    first = makers[0]
    is_kernel = isinstance(first, relax.Call) and isinstance(first.op, IrOp)
    if (
        not is_kernel
        or first.op.name != "relax.call_tir"
        or any(not first.same_as(m) for m in makers)
    ):
        raise BadNode(
            node,
            "has a schedule, but its converter does not make it by one kernel",
            hint="write the converter as one g.te(…), whose results it returns",
        )
    return first


def _binds_threads(func: tirx.PrimFunc) -> bool:
    found = False

    def visit(part: Any) -> None:
        nonlocal found
        if isinstance(part, tirx.For):
            found = found or int(part.kind) == int(tirx.ForKind.THREAD_BINDING)

    tvm_ffi.structural_walk(func.body, visit)
    return found


def _numbers(
    kernel: Kernel, node: Node, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> list[Number]:
    """What the function takes behind its tensors."""
    if kernel.scalars is None:
        return [outputs[0].elements]
    numbers = list(kernel.scalars(node, inputs, outputs))
    for number in numbers:
        if not isinstance(number, int | float | tirx.Expr):
            raise BadNode(
                node,
                f"scalars of {kernel.function} gives {type(number).__name__}",
                hint="each is an int, a float, or a size that is open",
            )
    return [int(n) if isinstance(n, bool) else n for n in numbers]


def _launch(
    kernel: Kernel, node: Node, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> Launch:
    """Groups that cover the grid."""
    if kernel.grid is None:
        grid = Grid([outputs[0].elements])
    else:
        grid = kernel.grid(node, inputs, outputs)
    items = tuple(int(i) for i in grid.group)
    size = list(grid.size)
    fits = 1 <= len(items) == len(size) <= 3 and all(i > 0 for i in items)
    if not fits or math.prod(items) > MOST_ITEMS:
        raise BadNode(
            node,
            f"the grid of {kernel.function} is {size} in groups of {list(items)}",
            hint=f"up to three sizes, as many of groups, and at most {MOST_ITEMS} items in a group",
        )
    return Launch(tuple(_groups(n, i) for n, i in zip(size, items, strict=True)), items)


def _groups(size: Dim, items: int) -> Dim:
    if isinstance(size, int):
        return max(1, -(-size // items))
    return tirx.floordiv(size + items - 1, items)
