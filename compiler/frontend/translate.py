"""Graph -> Relax: one function `main`, inputs in order, a tuple of the outputs."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tvm import relax, tirx
from tvm.ir import IRModule

from dlcc.compiler.errors import BadNode, DlccError, ModelError, UnsupportedOps
from dlcc.compiler.frontend.check import missing_nodes, way_out
from dlcc.compiler.frontend.complex_parts import PART_DTYPES, paired, unpaired, value_dtype
from dlcc.compiler.frontend.dims import static_int
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.extents import (
    RELAX_DTYPES,
    check_extent,
)
from dlcc.compiler.frontend.fold import as_list, fold
from dlcc.compiler.frontend.graph import ALL_OUTPUTS, Graph, Input, Node, TensorRef
from dlcc.compiler.frontend.guards import Checks
from dlcc.compiler.frontend.narrow import converted_wide
from dlcc.compiler.frontend.ops import TF_OPS
from dlcc.compiler.frontend.ops.complex_forms import COMPLEX_FORMS
from dlcc.compiler.frontend.ops.table import OpTable, Row
from dlcc.compiler.frontend.trace import Trace, trace
from dlcc.compiler.frontend.values import Complex, Known, ListValue, Value, is_complex, known
from dlcc.targets.names import with_names

log = logging.getLogger("dlcc")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name as the user knows it, dtype, and shape (int, or the name of a symbolic dimension)."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A translated graph: `main` takes `inputs` and returns a tuple of `outputs`.

    traces: what each node became.   tensors: variable of `main` -> the tensor that it holds.
    """

    name: str
    module: IRModule
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    traces: Mapping[str, Trace] = field(default_factory=dict)
    tensors: Mapping[str, TensorRef] = field(default_factory=dict)


def translate(graph: Graph, checks: Checks = "drop", table: OpTable = TF_OPS) -> Model:
    """Convert every node; raises UnsupportedOps with all missing ops, BadNode for a node."""
    if missing := missing_nodes(graph, table):
        raise UnsupportedOps(missing, hint=way_out(graph, missing))
    builder = relax.BlockBuilder()
    g = Emitter(graph, builder, _Converters(table))
    g.keep_checks = checks == "keep"
    params = parameters(graph.inputs)
    for entry, param in zip(graph.inputs, params, strict=True):
        if not entry.dtype.startswith("complex"):
            g.values[entry.ref] = g.empty(param) or param
    with builder.function("main", params, attrs={"num_input": len(params)}):
        for entry, param in zip(graph.inputs, params, strict=True):
            if entry.dtype.startswith("complex"):
                g.values[entry.ref] = unpaired(g, param)
        for node in graph.nodes:
            g.converters.convert(g, node)
        names, tensors, dtypes = _outputs(g)
        results = [builder.emit(t, identifier(n)) for n, t in zip(names, tensors, strict=True)]
        builder.emit_func_output(relax.Tuple(results))
    module = builder.finalize()
    left = dict(zip(tensors, results, strict=True))
    traces = trace(g.journal, module, left)
    inputs = tuple(_spec(i.name, p, i.dtype) for i, p in zip(graph.inputs, params, strict=True))
    outputs = tuple(map(_spec, names, results, dtypes))
    nodes = {v: node for node, made in traces.items() for v in made.variables}
    nodes |= {str(p.name): i.name for p, i in zip(params, graph.inputs, strict=True)}
    module = with_names(_in_dataflow(module), nodes, names)
    return Model(graph.name, module, inputs, outputs, traces, _tensors(g, left))


def _tensors(g: Emitter, left: Mapping[Any, relax.Var]) -> dict[str, TensorRef]:
    """Variables with the tensors that they hold: of several with one value, the first made.

    left: tensors that leave `main`, each with the variable that stands for it from now on."""
    fed = [g.values.get(i.ref) for i in g.graph.inputs]
    found: dict[str, TensorRef] = {}
    for ref, value in g.values.items():
        if isinstance(value, relax.Var) and not any(value.same_as(f) for f in fed):
            found.setdefault(str(left.get(value, value).name), ref)
    return found


def _in_dataflow(mod: IRModule) -> IRModule:
    """The bodies of functions as dataflow blocks, with what splits them between.

    Before:  x = f(a); match_cast(x, (k,)); y = g(x)
    After:   dataflow: x = f(a);  match_cast(x, (k,));  dataflow: y = g(x)

    That is the dimensions measured at run time, and branches.
    """
    for var in mod.get_global_vars():
        if isinstance(mod[var], relax.Function):
            mod.update_func(var, _function_in_dataflow(mod[var]))
    mod = relax.transform.DeadCodeElimination(["main"])(mod)  # trials of loops
    return relax.transform.CanonicalizeBindings()(mod)


def _function_in_dataflow(func: relax.Function) -> relax.Function:
    blocks: list[relax.BindingBlock] = []
    run: list[relax.Binding] = []
    for binding in (b for block in func.body.blocks for b in block.bindings):
        if isinstance(binding, relax.MatchCast) or isinstance(binding.value, relax.If):
            blocks += [relax.DataflowBlock(run), relax.BindingBlock([binding])]
            run = []
        else:
            run.append(binding)
    blocks.append(relax.DataflowBlock(run))
    body = relax.SeqExpr([b for b in blocks if b.bindings], func.body.body)
    return relax.Function(func.params, body, func.ret_ty, func.is_pure, func.attrs)


def parameters(inputs: Sequence[Input]) -> list[relax.Var]:
    """A parameter for each input; a symbol that stands in several is one dimension."""
    symbols = {d: tirx.Var(d, "int64") for i in inputs for d in i.shape if isinstance(d, str)}
    return [_parameter(i, symbols) for i in inputs]


def _parameter(entry: Input, symbols: Mapping[str, tirx.Var]) -> relax.Var:
    if entry.dtype in ("string", "resource", "variant"):
        raise ModelError(
            f"input {entry.name!r} is a {entry.dtype}, which no device of ours takes",
            hint="cut the graph behind it with --input NODE=SHAPE",
        )
    if entry.dtype not in RELAX_DTYPES | PART_DTYPES.keys():
        raise ModelError(f"input {entry.name!r} is of dtype {entry.dtype}, which is not supported")
    stem = identifier(entry.name)
    dims: list[Any] = []
    for i, dim in enumerate(entry.shape):
        name = f"{stem}_d{i}"
        while name in symbols:  # a symbol of the user's that looks like one of ours
            name += "_"
        if isinstance(dim, str):
            dims.append(symbols[dim])
        else:
            dims.append(tirx.Var(name, "int64") if dim is None else dim)
    if entry.dtype in PART_DTYPES:  # pairs of real and imaginary part along a last axis
        dims.append(2)
    made = relax.Var(stem, relax.TensorType(dims, PART_DTYPES.get(entry.dtype, entry.dtype)))
    check_extent(Node(entry.name, "input", (), {}), made)
    return made


def identifier(name: str) -> str:
    """A TensorFlow name as an identifier."""
    return re.sub(r"\W", "_", name.removesuffix(":0"))


class _Converters:
    """The table of ops for the emitter, which the converters themselves import."""

    def __init__(self, table: OpTable) -> None:
        self.table = table

    def convert(self, g: Emitter, node: Node) -> None:
        _convert(g, node, self.table)

    def folded(self, g: Emitter, node: Node) -> Sequence[Any]:
        if node.op not in self.table:
            return ()
        row = self.table[node.op]
        if node.op in ("Const", "Identity"):
            return [row.convert(g, node)]
        return as_list(converted_wide(g, node, lambda: fold(g, node, row)) or ())


def _convert(g: Emitter, node: Node, table: OpTable) -> None:
    first = TensorRef(node.name, 0)
    if first in g.values:
        return  # an input stands in for the node
    g.hint = identifier(node.name)
    entry = g.journal.open(g.scope + node.name)
    try:
        for index, result in enumerate(as_list(_results(g, node, table))):
            ref = TensorRef(node.name, index)
            if ref not in g.values:
                g.values[ref] = _bound(g, node, result)
            entry.folded = isinstance(g.values[ref], Known) and (entry.folded or not index)
    except DlccError:
        raise
    except Exception as error:
        detail = str(error).strip().splitlines() or [type(error).__name__]
        raise BadNode(
            node,
            f"cannot be converted: {detail[-1][:300]}",
            hint="the model may be inconsistent; `-v` shows where it failed",
        ) from error
    finally:
        g.journal.close()


def _results(g: Emitter, node: Node, table: OpTable) -> Any:
    if node.op in g.graph.functions:
        values = [g.value(node, i) for i in range(len(node.inputs))]
        return g.call(node, g.graph.functions[node.op], values)
    return converted_wide(g, node, lambda: _converted(g, node, table[node.op]))


def _converted(g: Emitter, node: Node, row: Row) -> Any:
    results = fold(g, node, row)
    if results is None:
        values = [g.value(node, i) for i in range(len(node.inputs))]
        if any(map(is_complex, values)):
            row = row if row.origin else COMPLEX_FORMS.get(node.op, row)
        results = row.convert(g, node)
        log.debug("%s (%s) -> %s", node.name, node.op, row.source)
    return results


def _bound(g: Emitter, node: Node, result: Any) -> Value:
    """The result bound to a variable; a tensor without elements is known, whatever made it."""
    if isinstance(result, Known | ListValue):
        return result
    if isinstance(result, np.ndarray | np.generic):
        return known(result)
    if isinstance(result, Complex):
        parts = [_bound(g, node, part) for part in (result.real, result.imag)]
        if isinstance(parts[0], Known):
            array = parts[0].array
            return known(array.astype(np.result_type(array, np.complex64)))
        return Complex(*parts)
    if not isinstance(result, relax.Var):
        result = g.emit(result, identifier(node.name))
    if getattr(result.ty, "shape", result) is None and result.ty.ndim != 0:
        raise BadNode(
            node,
            "the shapes of its inputs do not tell that of its result",
            hint="give the open dimensions: --input NAME=1,…",
        )
    check_extent(node, result)
    return g.empty(result) or result


def _outputs(g: Emitter) -> tuple[list[str], list[relax.Expr], list[str]]:
    """Names, tensors and TensorFlow's dtypes of the outputs."""
    names: list[str] = []
    tensors: list[relax.Expr] = []
    dtypes: list[str] = []
    for output in g.graph.outputs:
        for name, ref in _output_refs(g, output.name, output.ref):
            value = g.values[ref]
            if isinstance(value, ListValue):
                hint = "take what is read from it, for instance its stack"
                raise ModelError(f"output {name!r} is a list of tensors", hint=hint)
            names.append(name)
            tensors.append(paired(g, value))
            dtypes.append(value_dtype(g, value))
    return names, tensors, dtypes


def _output_refs(g: Emitter, name: str, ref: TensorRef) -> list[tuple[str, TensorRef]]:
    if ref.index != ALL_OUTPUTS:
        if ref not in g.values:
            node = g.graph.by_name[ref.node]
            raise BadNode(node, f"has no output {ref.index}", hint="number outputs from :0")
        return [(name, ref)]
    made = sorted(r for r in g.values if r.node == ref.node)
    return [(name if r.index == 0 else str(r), r) for r in made]


def _spec(name: str, tensor: relax.Var, dtype: str) -> TensorSpec:
    """The tensor as the user sees it: a pair of parts is one complex number."""
    shape = tensor.ty.shape
    if not isinstance(shape, relax.ShapeExpr):
        dims: tuple[int | str, ...] = ("?",) * int(tensor.ty.ndim)
    else:
        ints = [static_int(d) for d in shape.values]
        dims = tuple(str(d) if i is None else i for i, d in zip(ints, shape.values, strict=True))
    return TensorSpec(name, dtype, dims[:-1] if dtype in PART_DTYPES else dims)
