"""Makes GraphDefs without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from dlcc.compiler.frontend.schema import message_class

_ENUM = {
    "float32": 1,
    "int32": 3,
    "uint8": 4,
    "bool": 10,
    "int64": 9,
    "resource": 20,
    "variant": 21,
}


class Maker:
    """A GraphDef under construction."""

    def __init__(self) -> None:
        self.graph = message_class("GraphDef")()
        self._nodes = self.graph.node

    def node(self, name: str, op: str, *inputs: str, **attrs: Any) -> str:
        """One node; a tuple is a list, a str of `_ENUM` a type, "@name" a function."""
        made = self._nodes.add(name=name, op=op, input=inputs)
        for key, value in attrs.items():
            attr = made.attr[key]
            if isinstance(value, bool):
                attr.b = value
            elif isinstance(value, int):
                attr.i = value
            elif isinstance(value, float):
                attr.f = value
            elif isinstance(value, tuple) and value and isinstance(value[0], str):
                attr.list.type.extend(_ENUM[v] for v in value)
            elif isinstance(value, tuple):
                attr.list.i.extend(value)
            elif value.startswith("@"):
                attr.func.name = value[1:]
            elif value in _ENUM:
                attr.type = _ENUM[value]
            else:
                attr.s = value.encode()
        return name

    def input(self, name: str, *shape: int) -> str:
        self.node(name, "Placeholder", dtype="float32")
        for size in shape:
            self._nodes[-1].attr["shape"].shape.dim.add(size=size)
        return name

    def scalar(self, name: str, dtype: str) -> str:
        self.node(name, "Placeholder", dtype=dtype)
        self._nodes[-1].attr["shape"].shape.SetInParent()
        return name

    def const(self, name: str, value: Any, dtype: str = "float32", after: str = "") -> str:
        array = np.asarray(value, dtype)
        self.node(name, "Const", *([f"^{after}"] if after else []), dtype=dtype)
        tensor = self._nodes[-1].attr["value"].tensor
        tensor.dtype, tensor.tensor_content = _ENUM[dtype], array.tobytes()
        for size in array.shape:
            tensor.tensor_shape.dim.add(size=size)
        return name

    def ints(self, name: str, *values: int) -> str:
        return self.const(name, values, "int32")

    @contextmanager
    def function(
        self, name: str, arguments: Mapping[str, str], results: Mapping[str, str]
    ) -> Iterator[None]:
        """Within it nodes are those of a function of the library. results: name -> tensor."""
        made = self.graph.library.function.add()
        made.signature.name = name
        for argument, dtype in arguments.items():
            made.signature.input_arg.add(name=argument, type=_ENUM[dtype])
        for result, tensor in results.items():
            made.signature.output_arg.add(name=result, type=1)
            made.ret[result] = tensor
        self._nodes = made.node_def
        yield
        self._nodes = self.graph.node
