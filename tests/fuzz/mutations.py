"""Ways to damage a GraphDef: each takes the message and a random generator, and edits in place."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from dlcc.compiler.frontend.ops import TF_OPS
from dlcc.compiler.frontend.schema import DATA_TYPES, message_class

Mutation = Callable[[Any, random.Random], None]

NUMBERS = (0, 1, -1, 2, 3, -7, 127, 255, 1 << 15, (1 << 31) - 1, 1 << 31, -(1 << 31), 10**12,
           (1 << 63) - 1, -(1 << 63))  # fmt: skip
FLOATS = (0.0, -0.0, 1e-30, 1e30, float("inf"), float("-inf"), float("nan"), -1.5)
WORDS = (b"", b"SAME", b"VALID", b"EXPLICIT", b"NHWC", b"NCHW", b"\xff\x00", b"REFLECT")


def _node(graph: Any, rng: random.Random) -> Any:
    """A node of the graph, or of one of its functions."""
    functions = graph.library.function
    if functions and rng.random() < 0.5:
        return rng.choice(rng.choice(functions).node_def)
    return rng.choice(graph.node)


def remove_attr(graph: Any, rng: random.Random) -> None:
    node = _node(graph, rng)
    if node.attr:
        del node.attr[rng.choice(sorted(node.attr))]


def set_attr(graph: Any, rng: random.Random) -> None:
    """An attribute gets a value of any kind."""
    node = _node(graph, rng)
    value = node.attr[rng.choice([*sorted(node.attr), "T", "axis"])]
    kind = rng.choice(("s", "i", "f", "b", "type", "shape", "list", "tensor", "func"))
    if kind == "shape":
        _fill_shape(value.shape, rng)
    elif kind == "tensor":
        _fill_shape(value.tensor.tensor_shape, rng)
        value.tensor.dtype = rng.choice(sorted(DATA_TYPES.values()))
        value.tensor.float_val.append(rng.choice(FLOATS))
    elif kind == "list":
        value.list.i.extend(rng.choice(NUMBERS) for _ in range(rng.randrange(6)))
    elif kind == "func":
        value.func.name = "nowhere"
    else:
        choices: dict[str, Any] = {
            "s": WORDS, "i": NUMBERS, "f": FLOATS, "b": (True, False),
            "type": sorted(DATA_TYPES.values()),
        }  # fmt: skip
        setattr(value, kind, rng.choice(choices[kind]))


def nudge_attr(graph: Any, rng: random.Random) -> None:
    """An attribute gets another value of its own kind."""
    node = _node(graph, rng)
    if not node.attr:
        return
    value = node.attr[rng.choice(sorted(node.attr))]
    kind = value.WhichOneof("value")
    if kind == "i":
        value.i = rng.choice(NUMBERS)
    elif kind == "f":
        value.f = rng.choice(FLOATS)
    elif kind == "b":
        value.b = not value.b
    elif kind == "s":
        value.s = rng.choice(WORDS)
    elif kind == "list" and value.list.i:
        value.list.i[rng.randrange(len(value.list.i))] = rng.choice(NUMBERS)
    elif kind == "type":
        value.type = rng.choice(sorted(DATA_TYPES.values()))


def rewire(graph: Any, rng: random.Random) -> None:
    """An input is read from another place, behind the node itself too: that makes cycles."""
    node = _node(graph, rng)
    source = _node(graph, rng).name + rng.choice(("", "", ":1", ":0", ":9"))
    if node.input:
        node.input[rng.randrange(len(node.input))] = source
    else:
        node.input.append(source)


def drop_input(graph: Any, rng: random.Random) -> None:
    node = _node(graph, rng)
    if node.input:
        del node.input[rng.randrange(len(node.input))]


def add_input(graph: Any, rng: random.Random) -> None:
    _node(graph, rng).input.append(rng.choice((_node(graph, rng).name, "nowhere", "^nowhere", "")))


def change_shape(graph: Any, rng: random.Random) -> None:
    shapes = [v.shape for n in graph.node for v in n.attr.values() if v.HasField("shape")]
    shapes += [
        v.tensor.tensor_shape for n in graph.node for v in n.attr.values() if v.HasField("tensor")
    ]
    if shapes:
        _fill_shape(rng.choice(shapes), rng)


def _fill_shape(shape: Any, rng: random.Random) -> None:
    if rng.random() < 0.1:
        shape.unknown_rank = not shape.unknown_rank
    elif shape.dim and rng.random() < 0.7:
        shape.dim[rng.randrange(len(shape.dim))].size = rng.choice(NUMBERS)
    elif shape.dim and rng.random() < 0.5:
        del shape.dim[rng.randrange(len(shape.dim))]
    else:
        shape.dim.add(size=rng.choice(NUMBERS))


def change_dtype(graph: Any, rng: random.Random) -> None:
    """One dtype everywhere in a node, or of a constant."""
    node = _node(graph, rng)
    dtype = rng.choice(sorted(DATA_TYPES.values()))
    for value in node.attr.values():
        if value.HasField("type"):
            value.type = dtype
        if value.HasField("tensor"):
            value.tensor.dtype = dtype


def change_numbers(graph: Any, rng: random.Random) -> None:
    """A number in a constant of integers becomes huge, negative or zero."""
    tensors = [
        v.tensor
        for n in graph.node
        for v in n.attr.values()
        if v.HasField("tensor") and v.tensor.dtype in (3, 9)
    ]
    if not tensors:
        return
    tensor = rng.choice(tensors)
    bits = 31 if tensor.dtype == 3 else 63
    number = max(min(rng.choice(NUMBERS), (1 << bits) - 1), -(1 << bits))
    width = (bits + 1) // 8
    values = tensor.int_val if bits == 31 else tensor.int64_val
    if len(tensor.tensor_content) >= width:
        at = width * rng.randrange(len(tensor.tensor_content) // width)
        content = bytearray(tensor.tensor_content)
        content[at : at + width] = number.to_bytes(width, "little", signed=True)
        tensor.tensor_content = bytes(content)
    elif values:
        values[rng.randrange(len(values))] = number


def change_op(graph: Any, rng: random.Random) -> None:
    _node(graph, rng).op = rng.choice(sorted(TF_OPS))


def rename(graph: Any, rng: random.Random) -> None:
    _node(graph, rng).name = rng.choice((_node(graph, rng).name, "", "a b/ü:1", "x" * 5000))


def repeat_node(graph: Any, rng: random.Random) -> None:
    graph.node.add().CopyFrom(_node(graph, rng))


MUTATIONS: tuple[Mutation, ...] = (
    remove_attr, set_attr, nudge_attr, rewire, drop_input, add_input, change_shape, change_dtype,
    change_numbers, change_op, rename, repeat_node,
)  # fmt: skip


def mutated(data: bytes, steps: list[tuple[Mutation, int]]) -> Any:
    """The GraphDef with these mutations; each has a seed of its own, so that cases shrink."""
    graph = message_class("GraphDef")()
    graph.ParseFromString(data)
    for mutate, seed in steps:
        mutate(graph, random.Random(seed))
    return graph


def damaged(data: bytes, seed: int) -> bytes:
    """The serialized graph with bytes changed, removed or cut off."""
    rng = random.Random(seed)
    content = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(content)) if content else 0
        kind = rng.randrange(4)
        if kind == 0:
            del content[at:]
        elif kind == 1:
            content[at : at + rng.randrange(1, 9)] = b""
        elif kind == 2:
            content[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif content:
            content[at] ^= 1 << rng.randrange(8)
    return bytes(content)
