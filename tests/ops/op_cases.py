"""One record an op and variant, and the bench that runs it in TensorFlow and in dlcc."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

CHUNK = 24  # cases that are compiled at once


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def normal(*shape: int, dtype: str = "float32", seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return np.asarray(rng(seed).normal(size=shape) * scale).astype(dtype)


def uniform(
    *shape: int, dtype: str = "float32", low: float = 0.0, high: float = 1.0, seed: int = 0
) -> np.ndarray:
    return np.asarray(rng(seed).uniform(low, high, shape)).astype(dtype)


def ints(
    *shape: int, low: int = 0, high: int = 10, dtype: str = "int32", seed: int = 0
) -> np.ndarray:
    return np.asarray(rng(seed).integers(low, high, shape)).astype(dtype)


@dataclass(frozen=True, eq=False)
class Feed:
    """An input of the model. shape: that of the placeholder, None for a dimension left open."""

    array: np.ndarray
    shape: tuple[int | None, ...] | None = None


def feed(array: Any, shape: Sequence[int | None] | None = None) -> Feed:
    return Feed(np.asarray(array), None if shape is None else tuple(shape))


# arguments as they reach TensorFlow: tensors and numbers, nested in lists
Build = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Case:
    """An op of TensorFlow with its arguments.

    args: in the order of the op's definition; a Feed is an input of the model, anything else a
        constant; a list where the op takes one.
    note: what the variant is about.   rtol, atol: 0 compares exactly.   why: their reason.
    via: an op with the same inputs to build the node from, where TensorFlow makes none of this
        name any more; `patch` are the attributes that it then gets.
    renamed: ops of the nodes that `build` makes, and the name that each gets in dlcc's graph.
    build: builds the outputs from the arguments instead of one node of `op`.
    reference: likewise for TensorFlow's side, where its CPU has no kernel for the variant.
    outputs: which outputs to compare; default: all.
    """

    op: str
    args: Sequence[Any] = ()
    note: str = ""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    rtol: float = 1e-5
    atol: float = 1e-6
    why: str = ""
    via: str = ""
    patch: Mapping[str, bool | int | float | bytes] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    build: Build | None = None
    reference: Build | None = None
    outputs: tuple[int, ...] | None = None

    def __str__(self) -> str:
        return f"{self.op}-{self.note}" if self.note else self.op


@dataclass(eq=False)
class _Built:
    """A case in the graph: names of its inputs and outputs, what to feed, what to expect."""

    case: Case
    feeds: dict[str, np.ndarray]
    outputs: list[str]
    expected: list[str]


class Bench:
    """Runs tables: one graph and one TensorFlow session a table, one compilation a chunk."""

    def __init__(self) -> None:
        self._results: dict[int, Any] = {}

    def compare(self, case: Case, table: Sequence[Case]) -> None:
        """Raises AssertionError where dlcc's outputs differ from TensorFlow's."""
        if id(case) not in self._results:
            self._results |= _run_table(table)
        result = self._results[id(case)]
        if isinstance(result, Exception):
            raise result
        for index, (found, expected) in enumerate(result):
            _check(case, index, found, expected)


def stand_in(tf: Any, *args: Any) -> Any:
    """A node with these inputs, whatever they are, to get the name of an op: see Case.via."""
    return tf.raw_ops.IdentityN(input=[tf.convert_to_tensor(a) for a in args])[0]


def _check(case: Case, index: int, found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype, f"output {index}: {found.dtype} for {expected.dtype}"
    assert found.shape == expected.shape, f"output {index}: {found.shape} for {expected.shape}"
    if expected.dtype.kind in "biu":
        np.testing.assert_array_equal(found, expected)
        return
    width = np.complex128 if expected.dtype.kind == "c" else np.float64
    wide = [np.asarray(v, width) for v in (found, expected)]
    np.testing.assert_allclose(*wide, rtol=case.rtol, atol=case.atol, equal_nan=True)


def _run_table(table: Sequence[Case]) -> dict[int, Any]:
    import tensorflow as tf

    results: dict[int, Any] = {}
    built: list[_Built] = []
    with tf.Graph().as_default() as graph:
        for number, case in enumerate(table):
            try:
                built.append(_build(tf, graph, case, f"c{number}"))
            except Exception as error:  # noqa: BLE001 - the case is wrong; the others still run
                results[id(case)] = error
    expected = _reference(tf, graph, built, results)
    proto = graph.as_graph_def()
    _rename(proto, built)
    ready = [b for b in built if id(b.case) in expected]
    for start in range(0, len(ready), CHUNK):
        chunk = ready[start : start + CHUNK]
        found = _compiled(proto, chunk)
        for b in chunk:
            values = found[id(b.case)]
            pairs = zip(values, expected[id(b.case)], strict=True) if list is type(values) else None
            results[id(b.case)] = values if pairs is None else list(pairs)
    return results


def _build(tf: Any, graph: Any, case: Case, scope: str) -> _Built:
    feeds: dict[str, np.ndarray] = {}

    def tensor(value: Any) -> Any:
        if isinstance(value, list):
            return [tensor(v) for v in value]
        if not isinstance(value, Feed):
            return value
        shape = value.array.shape if value.shape is None else value.shape
        made = tf.compat.v1.placeholder(value.array.dtype, shape, name="input")
        feeds[made.name] = value.array
        return made

    with graph.name_scope(scope):
        args = [tensor(a) for a in case.args]
        made = case.build(tf, *args) if case.build else _node(tf, case, args)
        outputs = _chosen(case, made)
        twin = _chosen(case, case.reference(tf, *args)) if case.reference else outputs
    return _Built(case, feeds, [t.name for t in outputs], [t.name for t in twin])


def _node(tf: Any, case: Case, args: Sequence[Any]) -> Any:
    function = getattr(tf.raw_ops, case.via or case.op)
    names = list(inspect.signature(function).parameters)
    return function(**dict(zip(names, args, strict=False)), **case.attrs)


def _chosen(case: Case, made: Any) -> list[Any]:
    if hasattr(made, "outputs"):
        made = made.outputs
    flat = _flat(made)
    return [flat[i] for i in case.outputs] if case.outputs else flat


def _flat(made: Any) -> list[Any]:
    return [t for m in made for t in _flat(m)] if isinstance(made, list | tuple) else [made]


_FIELDS = {bool: "b", int: "i", float: "f", bytes: "s"}


def _rename(proto: Any, built: Sequence[_Built]) -> None:
    """Give nodes built `via` another op, and `renamed` ones, the name of the op under test."""
    cases = {b.outputs[0].split(":")[0]: b.case for b in built if b.case.via}
    renamed = {b.outputs[0].split("/")[0]: b.case.renamed for b in built}
    for node in proto.node:
        node.op = renamed.get(node.name.split("/")[0], {}).get(node.op, node.op)
        if case := cases.get(node.name):
            node.op = case.op
            for name, value in case.patch.items():
                setattr(node.attr[name], _FIELDS[type(value)], value)


def _reference(
    tf: Any, graph: Any, built: Sequence[_Built], results: dict[int, Any]
) -> dict[int, list[np.ndarray]]:
    """What TensorFlow computes; where the whole graph fails, case by case."""
    try:
        names = [b.expected for b in built]
        feeds = {k: v for b in built for k, v in b.feeds.items()}
        with tf.compat.v1.Session(graph=graph) as session:
            values = session.run(names, feeds)
        return {id(b.case): v for b, v in zip(built, values, strict=True)}
    except tf.errors.OpError:
        expected: dict[int, list[np.ndarray]] = {}
        for b in built:
            try:
                expected[id(b.case)] = _alone(tf, graph, b)
            except tf.errors.OpError as error:
                # TensorFlow's text repeats the stack: its first line says it all
                results[id(b.case)] = AssertionError(str(error).splitlines()[0])
        return expected


def _alone(tf: Any, graph: Any, built: _Built) -> list[np.ndarray]:
    nodes = [name.split(":")[0] for name in (*built.expected, *built.feeds)]
    part = tf.compat.v1.graph_util.extract_sub_graph(graph.as_graph_def(), nodes)
    with tf.Graph().as_default() as own:
        tf.import_graph_def(part, name="")
        with tf.compat.v1.Session(graph=own) as session:
            return session.run(built.expected, built.feeds)


def _compiled(proto: Any, chunk: Sequence[_Built]) -> dict[int, Any]:
    """Outputs of each case, or the exception; where the chunk fails, each case on its own."""
    try:
        outputs = [o for b in chunk for o in b.outputs]
        feeds = {k: v for b in chunk for k, v in b.feeds.items()}
        values = run_dlcc(proto, list(dict.fromkeys(outputs)), feeds)
        return {id(b.case): [values[o] for o in b.outputs] for b in chunk}
    except Exception as error:  # noqa: BLE001 - reported by the test of the case
        if len(chunk) == 1:
            return {id(chunk[0].case): error}
        return {k: v for b in chunk for k, v in _compiled(proto, [b]).items()}


def run_dlcc(
    proto: Any, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The outputs of a GraphDef, by dlcc's public interface on this machine."""
    from dlcc.compiler import compile

    container = compile(proto, target="host", outputs=outputs)
    wanted = {spec.name.removesuffix(":0") for spec in container.inputs}
    given = {k: v for k, v in feeds.items() if k.removesuffix(":0") in wanted}
    with container.session() as session:
        return session.run(given)
