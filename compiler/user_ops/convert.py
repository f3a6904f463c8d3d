"""Converters of users' ops: the general form, then a call for each kernel that they give.

    y0 = call_tir(clipped, x)                    # the converter's, for every target
    y1 = call_tir(clipped_c, (x, y0))            # for host, arm and hexagon
    y2 = call_tir(clipped_opencl, (x, y1))       # for opencl

A target takes the last that is for it, and leaves out the others: `dlcc.targets.user.choose`.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tvm import relax

from dlcc.compiler.errors import BadNode, DlccError
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.fold import as_list
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.table import Converter
from dlcc.compiler.frontend.values import Known
from dlcc.compiler.user_ops.declared import Kernel, Op, Tensor, UserOps
from dlcc.compiler.user_ops.forms import scheduled_form, source_form
from dlcc.targets.user.emit import C_TYPES


def converter(own: UserOps, op: Op, general: Converter | None) -> Converter:
    """The converter of an op. general: the user's, or dlcc's own; None where kernels are all."""

    def convert(g: Emitter, node: Node) -> Any:
        results = None if general is None else as_list(_called(own, node, general, g, node))
        if op.shape is None and not op.kernels:
            assert results is not None
            _require_values(node, own, results)
            return results
        return _with_kernels(own, op, g, node, results)

    return convert


def _with_kernels(
    own: UserOps, op: Op, g: Emitter, node: Node, results: Sequence[Any] | None
) -> Sequence[Any]:
    """The outputs of a node by its kernels; on other targets the results of its converter."""
    if results is not None:
        _require_values(node, own, results)
        if all(isinstance(r, Known) for r in results):
            return results  # known when compiling: nothing is left to compute
        results = [g.tensor(r) if isinstance(r, Known) else g.normal(r) for r in results]
    inputs = _inputs(g, node)
    outputs = _outputs(own, op, g, node, inputs, results)
    if not op.kernels:
        return results or ()
    args = [g.normal(arg) for arg in g.args(node)]
    forms = list(results or ())
    for kernel in op.kernels:
        _require_types(own, node, kernel, [*inputs, *outputs])
        g.journal.note(f"{own} has a kernel of its own for {', '.join(kernel.targets)}")
        if kernel.rule is not None:
            general = results or ()
            forms = _called(own, node, scheduled_form, own, op, kernel, g, node, general, forms)
        else:
            ends = inputs, outputs
            forms = _called(own, node, source_form, own, op, kernel, g, node, args, ends, forms)
    return forms


def _called(own: UserOps, node: Node, function: Any, *arguments: Any) -> Any:
    """What a user's function gives; what it raises is told with its line."""
    try:
        return function(*arguments)
    except DlccError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f.lineno for f in frames if Path(f.filename).resolve() == own.file]
        where = f"{own.file.name}, line {lines[-1]}" if lines else own.file.name
        said = (str(error).strip().splitlines() or ["no reason given"])[-1]
        raise BadNode(
            node,
            f"cannot be converted by {own} ({where}): {type(error).__name__}: {said[:300]}",
            hint="`-v` shows the whole traceback",
        ) from error


def _require_values(node: Node, own: UserOps, results: Sequence[Any]) -> None:
    for result in results:
        if not isinstance(result, relax.Expr | Known) and not hasattr(result, "dtype"):
            raise BadNode(
                node,
                f"its converter in {own} gives {type(result).__name__}",
                hint="a converter returns a Relax expression, or a list of one for each output",
            )


def _inputs(g: Emitter, node: Node) -> list[Tensor]:
    found = []
    for i in range(len(node.inputs)):
        arg = g.arg(node, i)
        found.append(Tensor(tuple(g.shape(arg)), g.dtype(arg), g.known(node, i)))
    return found


def _outputs(
    own: UserOps,
    op: Op,
    g: Emitter,
    node: Node,
    inputs: Sequence[Tensor],
    results: Sequence[Any] | None,
) -> list[Tensor]:
    """The outputs by the shape rule, which the converter's results are held against."""
    made = [Tensor(tuple(g.shape(r)), g.dtype(r)) for r in results or ()]
    if op.shape is None:
        return made
    ruled = list(as_list(_called(own, node, op.shape, node, inputs)))
    if not ruled or not all(isinstance(t, Tensor) for t in ruled):
        raise BadNode(
            node, f"its shape rule in {own} gives no Tensor", hint="return Tensor(shape, dtype)"
        )
    if results is not None and [_facts(t) for t in made] != [_facts(t) for t in ruled]:
        raise BadNode(
            node,
            f"its converter in {own} gives {_told(made)}, its shape rule {_told(ruled)}",
            hint="one of the two is wrong",
        )
    return ruled


def _facts(tensor: Tensor) -> tuple[str, tuple[int | None, ...]]:
    """What must be equal: sizes that are open cannot be compared."""
    sizes = (d if isinstance(d, int) else None for d in tensor.shape)
    return tensor.dtype, tuple(sizes)


def _told(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{t.dtype}[{', '.join(map(str, t.shape))}]" for t in tensors)


def _require_types(own: UserOps, node: Node, kernel: Kernel, tensors: Sequence[Tensor]) -> None:
    odd = [t.dtype for t in tensors if t.dtype not in C_TYPES]
    if odd and kernel.path is not None:
        raise BadNode(
            node,
            f"{kernel.path.name} in {own} gets {odd[0]}, which kernels as source have no type for",
            hint=f"cast it in the converter; they have: {', '.join(C_TYPES)}",
        )
