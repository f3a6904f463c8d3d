"""The layers of a network: an operator that reads around, with the elementwise ones after it.

What a compiler fuses into one kernel is one layer, so that two compilers can be compared on it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tvm import relax
from tvm.ir import GenericConst, IRModule, Op

# One element of each operand makes one of the result: what a kernel does on its way out.
ELEMENTWISE = frozenset(
    f"relax.{name}"
    for name in (
        *("add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "negative"),
        *("nn.relu", "nn.leakyrelu", "nn.gelu", "nn.silu", "clip", "sigmoid", "tanh", "erf"),
        *("exp", "log", "sqrt", "rsqrt", "abs", "floor", "where", "astype"),
    )
)
# The same memory by another shape: no kernel.
VIEWS = frozenset(
    f"relax.{name}" for name in ("reshape", "expand_dims", "squeeze", "flatten", "memory.view")
)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, whatever its weights are.

    name: its operators and shape, for people.   module: `main(x, …) -> (y,)` with the weights of
    the first place where it was met.   flops: additions and multiplications of convolutions and
    products; 0 where it has none.   size_bytes: of what it reads and writes, each once.
    counts: how often each network has it.
    """

    name: str
    module: IRModule
    flops: int
    size_bytes: int
    counts: Mapping[str, int] = field(default_factory=dict)


def layers(networks: Mapping[str, IRModule]) -> list[Layer]:
    """The distinct layers of networks, in the order in which they are met."""
    made: dict[str, Layer] = {}
    counts: dict[str, Counter[str]] = {}
    for network, mod in networks.items():
        for chain in chains(mod["main"]):
            key = identity(chain)
            if key not in made:
                made[key] = _layer(chain)
            counts.setdefault(key, Counter())[network] += 1
    return [
        Layer(row.name, row.module, row.flops, row.size_bytes, dict(counts[key]))
        for key, row in made.items()
    ]


def chains(main: relax.Function) -> list[list[Any]]:
    """The bindings of a function as layers, in the order of their last operators.

    An elementwise operator joins a layer whose result it reads, if nobody else reads that and it
    has the shape of its own; of several the last one, since the others are done by then."""
    uses = _uses(main)
    ending: dict[Any, list[Any]] = {}  # the last variable of a layer -> its bindings
    for binding in _bindings(main):
        call, var = binding.value, binding.var
        if not isinstance(call, relax.Call) or _name(call) in VIEWS:
            continue
        fits = [] if _name(call) not in ELEMENTWISE else _variables(call.args)
        last = [v for v in ending if v in fits and uses[v] == 1 and _shape(v) == _shape(var)][-1:]
        if last:
            ending[var] = [*ending.pop(last[0]), binding]
        else:
            ending[var] = [binding]
    return list(ending.values())


def identity(chain: Sequence[Any]) -> str:
    """Equal for two layers that differ in nothing but their weights."""
    places: dict[Any, str] = {}

    def told(arg: Any) -> str:
        if isinstance(arg, relax.Tuple):
            return f"({', '.join(told(a) for a in arg.fields)})"
        if isinstance(arg, GenericConst):
            scalar = math.prod(_shape(arg)) == 1
            return f"{arg.ty} {arg.value.numpy().tolist()}" if scalar else f"const {arg.ty}"
        if isinstance(arg, relax.Var):
            return places.setdefault(arg, f"v{len(places)} {arg.ty}")
        return str(arg)

    lines = []
    for binding in chain:
        call = binding.value
        args = ", ".join(told(arg) for arg in call.args)
        lines.append(f"{told(binding.var)} = {_name(call)}({args}) {call.attrs}")
    return "\n".join(lines)


def flops(call: relax.Call) -> int:
    """Additions and multiplications of a convolution or a product of matrices, else 0."""
    out = math.prod(_shape(call))
    if _name(call) == "relax.matmul":
        return 2 * out * _shape(call.args[0])[-1]
    if _name(call) == "relax.nn.conv2d":
        # of a kernel all but the axis of outputs is summed
        weight, layout = _shape(call.args[1]), str(call.attrs.kernel_layout)
        return 2 * out * math.prod(weight) // weight[layout.index("O")]
    return 0


def _layer(chain: Sequence[Any]) -> Layer:
    module = _module(chain)
    main = module["main"]
    constants = [a for b in chain for a in b.value.args if isinstance(a, GenericConst)]
    tensors = [*main.params, *constants, chain[-1].var]
    return Layer(
        name=_title(chain),
        module=module,
        flops=sum(flops(binding.value) for binding in chain),
        size_bytes=sum(_bytes(tensor.ty) for tensor in tensors),
    )


def _module(chain: Sequence[Any]) -> IRModule:
    """A layer by itself; what it reads of other layers are its parameters."""
    made = {binding.var for binding in chain}
    read = [v for binding in chain for v in _variables(binding.value.args) if v not in made]
    now = {v: relax.Var(f"x{i}", v.ty) for i, v in enumerate(dict.fromkeys(read))}
    bb = relax.BlockBuilder()
    with bb.function("main", list(now.values())):
        with bb.dataflow():
            for binding in chain:
                call = binding.value
                args = [_replaced(arg, now) for arg in call.args]
                now[binding.var] = bb.emit(relax.Call(call.op, args, call.attrs, call.ty_args))
            result = bb.emit_output(relax.Tuple([now[chain[-1].var]]))
        bb.emit_func_output(result)
    return bb.get()


def _replaced(arg: Any, now: Mapping[Any, relax.Var]) -> Any:
    if isinstance(arg, relax.Tuple):
        return relax.Tuple([_replaced(a, now) for a in arg.fields])
    return now[arg] if isinstance(arg, relax.Var) else arg


def _title(chain: Sequence[Any]) -> str:
    """`conv2d 3x3 s2, add, relu -> 1x112x112x32`."""
    first, *rest = chain
    steps = [_short(first.value), *(_short(b.value) for b in rest)]
    read = _variables(first.value.args) or [first.var]
    return f"{', '.join(steps)}: {_dims(_shape(read[0]))} -> {_dims(_shape(chain[-1].var))}"


def _short(call: relax.Call) -> str:
    name = _name(call).removeprefix("relax.").removeprefix("nn.")
    if name == "conv2d":
        weight, layout = _shape(call.args[1]), str(call.attrs.kernel_layout)
        window = "x".join(str(weight[layout.index(axis)]) for axis in "HW")
        stride = int(call.attrs.strides[0])
        kind = "depthwise" if int(call.attrs.groups) > 1 else "conv2d"
        return f"{kind} {window}" + (f" s{stride}" if stride > 1 else "")
    return name


def _dims(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _bindings(main: relax.Function) -> Iterator[Any]:
    for block in main.body.blocks:
        yield from block.bindings


def _uses(main: relax.Function) -> Counter[Any]:
    """How often each variable is read."""
    found: Counter[Any] = Counter()
    for binding in _bindings(main):
        value = binding.value
        found.update(_variables(value.args if isinstance(value, relax.Call) else [value]))
    found.update(_variables([main.body.body]))
    return found


def _variables(args: Sequence[Any]) -> list[Any]:
    found = []
    for arg in args:
        if isinstance(arg, relax.Tuple):
            found += _variables(arg.fields)
        elif isinstance(arg, relax.TupleGetItem):
            found += _variables([arg.tuple_value])
        elif isinstance(arg, relax.Var):
            found.append(arg)
    return found


def _name(call: relax.Call) -> str:
    return str(call.op.name) if isinstance(call.op, Op) else str(call.op)


def _shape(expr: Any) -> tuple[int, ...]:
    return tuple(int(extent) for extent in expr.ty.shape)


def _bytes(ty: Any) -> int:
    bits = int(str(ty.dtype).lstrip("abcdefghijklmnopqrstuvwxyz") or 8)
    return math.prod(int(extent) for extent in ty.shape) * max(bits // 8, 1)
