"""The graph of a compiled function as layers: the Relax module before any target's passes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tvm
from tvm import relax, tirx
from tvm.ir import Call, GenericConst, GlobalVar, IRModule, is_prim_expr

from dlcc.compiler.network.merge import merged
from dlcc.compiler.network.network import Attribute, Dim, Layer, Network, Role, Tensor
from dlcc.compiler.network.words import KERNELS, Word, attribute, word_of
from dlcc.targets.names import nodes_of
from dlcc.targets.user.choose import one_form
from dlcc.targets.user.kernel import user_kernel
from dlcc.targets.views import view_of


class Spec(Protocol):
    """An input or output with the name that the user knows."""

    @property
    def name(self) -> str: ...


def network_of(
    module: IRModule,
    *,
    name: str,
    inputs: Sequence[Spec],
    outputs: Sequence[Spec],
    form: str = "container",
    metadata: Mapping[str, str] | None = None,
) -> Network:
    """The layers of `main`, with biases and bounds merged into the layers before them.

    inputs, outputs: the names of its parameters and results; each result is a tensor of that name.
    Values of constants are views of the module's, not copies. The body of a loop or branch is one
    layer. Functions that `main` calls are not looked into.
    """
    reading = _Reading(module := one_form(module))
    for param, spec in zip(module["main"].params, inputs, strict=False):
        reading.bind(param, reading.tensor(spec.name, param.ty, "input"))
    taken = tuple(reading.tensors)
    body = module["main"].body
    for block in body.blocks:
        for binding in block.bindings:
            reading.read(binding)
    given = tuple(reading.output(body.body, place, spec.name) for place, spec in enumerate(outputs))
    network = Network(
        name, form, tuple(reading.layers), reading.tensors, taken, given, dict(metadata or {})
    )
    return merged(network)


class _Reading:
    """What of a function was read so far: tensors by name, and the names of its variables."""

    def __init__(self, module: IRModule) -> None:
        self.module = module
        self.tensors: dict[str, Tensor] = {}
        self.layers: list[Layer] = []
        self._names: dict[Any, tuple[str, ...]] = {}  # variable -> a tensor, or those of a tuple
        self._constants: dict[tuple[int, str, tuple[int, ...]], str] = {}
        self._left = Counter(self._node(b.var) for b in _bindings(module["main"]))
        self._functions = {str(v.name_hint) for v in module.get_global_vars()}

    def bind(self, var: relax.Var, *names: str) -> None:
        """A variable is that tensor, or the tuple of these."""
        self._names[var] = names

    def tensor(
        self, wanted: str, ty: Any, role: Role = "intermediate", value: np.ndarray | None = None
    ) -> str:
        """A new tensor; its name, which differs where the wanted one is taken."""
        name = self._free(wanted, self.tensors)
        self.tensors[name] = Tensor(name, *_typed(ty), role, value=value)
        return name

    def read(self, binding: relax.Binding) -> None:
        """One binding as a layer; another name for a tensor is none."""
        value = binding.value
        node = self._node(binding.var)
        self._left[node] -= 1
        if isinstance(value, relax.TupleGetItem):
            whole = self._operand(value.tuple_value, node)
            self.bind(binding.var, *whole[value.index : value.index + 1])
        elif isinstance(value, Call | relax.If):
            self._layer(binding.var, value, node)
        else:
            self.bind(binding.var, *self._operand(value, node))

    def output(self, results: Any, place: int, wanted: str) -> str:
        """One of the results, under the name that the user gave it; where it has one already, a
        copy. results: a tensor, or a tuple of them, or a variable for such a tuple."""
        if isinstance(results, relax.Tuple):
            results, place = results.fields[place], 0
        name = self._operand(results, wanted)[place]
        found = self.tensors[name]
        if found.role != "intermediate" or (wanted != name and wanted in self.tensors):
            copy = self._free(wanted, self.tensors)
            self.tensors[copy] = Tensor(copy, found.dtype, found.shape, "output")
            layer = self._free(wanted, {each.name for each in self.layers})
            self.layers.append(Layer(layer, "Identity", (name,), (copy,)))
            return copy
        self.tensors = {
            wanted if key == name else key: Tensor(wanted, t.dtype, t.shape, "output")
            if key == name
            else t
            for key, t in self.tensors.items()
        }
        self.layers = [_renamed(layer, name, wanted) for layer in self.layers]
        self._names = {
            var: tuple(wanted if n == name else n for n in names)
            for var, names in self._names.items()
        }
        return wanted

    def _layer(self, var: relax.Var, value: Any, node: str) -> None:
        word, operands, attributes = self._call(value)
        wanted = f"{node}/{word.op}" if self._left[node] else node
        name = self._free(wanted, {layer.name for layer in self.layers})
        inputs: list[str] = []
        for place, operand in enumerate(operands):
            named = word.constants[place - 1 : place] if place else ()
            role = named[0] if named else "constant"
            inputs += self._operand(operand, f"{name}/{role}")
        types = list(var.ty.fields) if isinstance(var.ty, relax.TupleType) else [var.ty]
        several = len(types) > 1
        made = [self.tensor(f"{name}:{i}" if several else name, t) for i, t in enumerate(types)]
        self.bind(var, *made)
        nodes = () if _OWN.fullmatch(node) else (node,)
        self.layers.append(Layer(name, word.op, tuple(inputs), tuple(made), attributes, nodes))

    def _call(self, value: Any) -> tuple[Word, list[Any], dict[str, Attribute]]:
        """The type of a layer, its operands, and its attributes."""
        if isinstance(value, relax.If):
            reads = [v for v in relax.analysis.free_vars(value) if v != value.cond]
            return Word("If", dict), [value.cond, *reads], {}
        if isinstance(value.op, GlobalVar):
            return Word("While", dict), list(value.args), {"function": self._stem(value.op)}
        operator = str(value.op.name)
        if operator.startswith("relax.call_tir"):
            given = user_kernel(self.module[value.args[0]])
            kernel = given.op if given else self._stem(value.args[0])
            return Word(KERNELS.get(kernel, kernel), dict), _operands(value), {}
        word = _exact(word_of(operator), value)
        attributes = dict(word.attributes(value.attrs)) if value.attrs is not None else {}
        operands = []
        for place, arg in enumerate(value.args):
            found = _argument(arg)
            if found is None:
                operands.append(arg)
            elif operator != "relax.reshape":  # whose result has it
                name = _BOUND[place] if operator == "relax.clip" else f"argument_{place}"
                attributes[name] = found
        return word, operands, attributes

    def _operand(self, value: Any, constant: str) -> tuple[str, ...]:
        """The tensors that an expression stands for; a constant becomes one of that name."""
        if isinstance(value, relax.Tuple):
            return tuple(n for field in value.fields for n in self._operand(field, constant))
        if isinstance(value, GenericConst) and isinstance(value.value, tvm.runtime.Tensor):
            return (self._constant(value, constant),)
        if isinstance(value, relax.ShapeExpr):
            return ()
        return self._names.get(value, ())

    def _constant(self, const: GenericConst, wanted: str) -> str:
        value = view_of(const.value)
        key = (value.ctypes.data, value.dtype.name, value.shape)
        if key not in self._constants:
            self._constants[key] = self.tensor(wanted, const.ty, "constant", value)
        return self._constants[key]

    def _node(self, var: relax.Var) -> str:
        return nodes_of(self.module, [str(var.name)])[0]

    def _stem(self, function: GlobalVar) -> str:
        """A function's name without the number that makes it one of several."""
        name = str(function.name_hint)
        stem = name.rstrip("0123456789")
        return stem if stem in self._functions else name

    @staticmethod
    def _free(wanted: str, taken: Any) -> str:
        name, again = wanted, 1
        while name in taken:
            name, again = f"{wanted}_{again}", again + 1
        return name


def _operands(call: Call) -> list[Any]:
    """The tensors that a kernel reads."""
    given = call.args[1]
    return list(given.fields) if isinstance(given, relax.Tuple) else [given]


_OWN = re.compile(r"[lg]v\d*")  # what passes call their variables: no node of the model's
_BOUND = {1: "min_value", 2: "max_value"}


def _bindings(function: relax.Function) -> list[relax.Binding]:
    return [binding for block in function.body.blocks for binding in block.bindings]


def _exact(word: Word, call: Call) -> Word:
    """The type where it depends on the operands as well."""
    if word.op == "Conv2d":
        shape = _typed(call.args[0].ty)[1]
        channels = shape and shape[str(call.attrs.data_layout).index("C")]
        if 1 < int(call.attrs.groups) == channels:
            return Word("DepthWiseConv2d", word.attributes, word.constants)
    if word.op == "MatMul" and isinstance(call.args[1], GenericConst) and call.args[1].ty.ndim == 2:
        return Word("FullyConnected", word.attributes, ("weight", "bias"))
    return word


def _argument(arg: Any) -> Attribute | None:
    """An argument that is no tensor: a shape, a number, or a tuple of numbers."""
    if isinstance(arg, relax.ShapeExpr):
        dims = [_dim(d) for d in arg.values]
        return attribute(dims)
    if isinstance(arg, relax.Tuple) and all(_is_number(f) for f in arg.fields):
        return attribute([_number(field) for field in arg.fields])
    if _is_number(arg):
        return attribute(_number(arg))
    return None


def _is_number(arg: Any) -> bool:
    """A size or a number, known or symbolic."""
    return not isinstance(arg, relax.Var | Call) and bool(is_prim_expr(arg))


def _dim(value: Any) -> Dim:
    return int(value) if isinstance(value, int | tirx.IntImm) else str(value)


def _number(value: Any) -> Any:
    """A number, or the text of a symbolic one."""
    return value.value if isinstance(value, tirx.IntImm | tirx.FloatImm) else str(value)


def _typed(ty: Any) -> tuple[str, tuple[Dim, ...] | None]:
    """dtype and shape of a Relax type."""
    shape = getattr(ty, "shape", None)
    if shape is None:
        return str(getattr(ty, "dtype", "") or type(ty).__name__), None
    return str(ty.dtype), tuple(_dim(d) for d in shape)


def _renamed(layer: Layer, old: str, new: str) -> Layer:
    def swap(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new if name == old else name for name in names)

    return Layer(
        layer.name, layer.op, swap(layer.inputs), swap(layer.outputs), layer.attributes, layer.nodes
    )
