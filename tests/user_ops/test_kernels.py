"""Kernels that users give: which of them a target takes, that they are right, and how they fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ops_files import IN_C, IN_OPENCL, OPENCL, SHAPE, TE, C, write
from tvm import tirx

from dlcc.compiler import compile
from dlcc.compiler.container import Container
from dlcc.compiler.errors import BadNode, NoFormForTarget, ToolchainError
from dlcc.compiler.frontend.schema import message_class
from dlcc.compiler.user_ops.trial import compile_op, one_node, run_op
from dlcc.targets.user.emit import C_TYPES, OPENCL_TYPES
from dlcc.targets.user.kernel import ATTRIBUTE, UserKernel, user_kernel

X = np.random.default_rng(0).normal(size=(7, 13)).astype("float32")

DTYPES = ("bool", "int8", "uint16", "int64", "float64")
TARGETS = [
    "host",
    pytest.param("opencl", marks=pytest.mark.device("opencl")),
    pytest.param("hexagon", marks=pytest.mark.device("hexagon")),
]


def kernels(container: Container) -> dict[str, str]:
    """Node -> its kernel."""
    (target,) = container.targets
    table = json.loads(container.artifact(target).files["kernels.json"])
    return {node: name for name, row in table.items() for node in row["nodes"]}


def run(container: Container, nodes: list[tuple[np.ndarray, str]]) -> list[np.ndarray]:
    """The outputs for the inputs of `_graph`."""
    (target,) = container.targets
    feeds = {f"x{number}": x for number, (x, _) in enumerate(nodes)}
    device = "emulator" if target.kind == "opencl" else None
    with container.session(device=device) as session:
        return list(session.run(feeds).values())


def engines(container: Container) -> dict[str, str]:
    (target,) = container.targets
    found = json.loads(container.artifact(target).files["placement.json"])
    return dict(found["kernels"])


# op -> its parts, and the kernels that it becomes on the host, on OpenCL and on Hexagon
FORMS = {
    "Converter": ((TE,), ("te", "te", "te")),
    "Sources": ((SHAPE, IN_C, IN_OPENCL), ("source", "source", "source")),
    "ForGpu": ((TE, IN_OPENCL), ("te", "source", "te")),
    "Every": ((TE, SHAPE, IN_OPENCL, IN_C), ("source", "source", "source")),
    "ForCpu": ((TE, IN_C), ("source", "te", "source")),
    "CAlone": ((SHAPE, IN_C), ("source", "source", "source")),  # beside the GPU
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_takes_what_is_for_it(target: str, tmp_path: Path) -> None:
    place = ["host", "opencl", "hexagon"].index(target)
    parts = ["".join(FORMS[op][0]).replace("Twice", op) for op in FORMS]
    path = write(tmp_path, *parts)
    nodes = [(X + number, op) for number, op in enumerate(FORMS)]
    container = compile(_graph(nodes), target, ops=[path])
    for (x, op), found in zip(nodes, run(container, nodes), strict=True):
        np.testing.assert_array_equal(found, 2 * x, err_msg=op)
    for op, name in kernels(container).items():
        assert name.startswith("twice_te") == (FORMS[op][1][place] == "te"), op
    if target == "opencl":
        cpu = [name for name, engine in engines(container).items() if engine == "cpu"]
        assert cpu == [kernels(container)["CAlone"]]


def test_a_target_without_a_form_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, SHAPE, IN_OPENCL)
    with pytest.raises(NoFormForTarget, match="Twice has no form for the target host") as error:
        compile_op("Twice", [X], ops=[path])
    assert 'OPS.kernel("Twice", target="host", source=…) in C' in error.value.hint
    assert error.value.exit_code == 3


BAD_C = {
    "void twice(const float *x, float *y, int64_t n) { y[0] = x[0] }": r"twice.c:1:\d+: error: exp",
    "void twice(const float *x, float *y, int n) { y[0] = x[n]; }": r"twice.c:1:6: .*conflicting",
    "void twice(const double *x, float *y, int64_t n) { y[n] = 1; }": "conflicting types",
    "int other;": "twice.c .* defines no function twice",
    "void thrice(void); void twice(const float *x, float *y, int64_t n) { thrice(); }": (
        "calls thrice, which is nowhere"
    ),
}


@pytest.mark.parametrize("target", [TARGETS[0], TARGETS[2]])
@pytest.mark.parametrize("text", BAD_C)
def test_c_that_does_not_compile_is_told(text: str, target: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a folder", SHAPE, IN_C, c=text)
    with pytest.raises(ToolchainError, match=BAD_C[text]):
        compile_op("Twice", [X], target=target, ops=[path])


BAD_OPENCL = {
    "void twice(__global const float *x, __global float *y, long n) { y[0] = foo(x[0]); }": (
        r"twice.cl:1:\d+: error: .*'foo'"
    ),
    "void twice(__global const float *x, __global float *y) { y[0] = x[0]; }": "conflicting types",
    "void other(int i) {}": "defines no function twice",
}


@pytest.mark.parametrize("text", BAD_OPENCL)
def test_opencl_c_that_does_not_compile_is_told(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, SHAPE, IN_OPENCL, opencl=text)
    with pytest.raises(ToolchainError, match=BAD_OPENCL[text]):
        compile_op("Twice", [X], target="opencl", ops=[path])


@pytest.mark.parametrize("target", TARGETS)
def test_dtypes(target: str, tmp_path: Path) -> None:
    """The types that prototypes have are those of the tensors."""
    ops, nodes = [], []
    for dtype in DTYPES:
        for text, types, suffix in ((C, C_TYPES, "c"), (OPENCL, OPENCL_TYPES, "cl")):
            own = text.replace("float", types[dtype]).replace("twice", f"twice_{dtype}")
            once = "x[i]" if dtype == "bool" else "2 * x[i]"
            own = own.replace("2.0f * x[i]", once)
            (tmp_path / f"twice_{dtype}.{suffix}").write_text(own)
        parts = SHAPE + IN_C + IN_OPENCL
        ops.append(parts.replace("Twice", f"Twice_{dtype}").replace("twice.", f"twice_{dtype}."))
        nodes.append(((np.arange(77).reshape(7, 11) % 5).astype(dtype), f"Twice_{dtype}"))
    container = compile(_graph(nodes), target, ops=[write(tmp_path, *ops)])
    for (x, op), found in zip(nodes, run(container, nodes), strict=True):
        assert found.dtype == x.dtype
        want = x if x.dtype == bool else 2 * x
        np.testing.assert_array_equal(found, want.astype(x.dtype), err_msg=op)


def _graph(nodes: list[tuple[np.ndarray, str]]) -> Any:
    graph = message_class("GraphDef")()
    for number, (x, op) in enumerate(nodes):
        part = one_node(op, [x], {})
        part.node[0].name = f"x{number}"
        part.node[1].input[0] = f"x{number}"
        graph.node.extend(part.node)
    return graph


def test_a_dtype_without_a_type_in_c_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadNode, match="gets float16, which kernels as source have no type for"):
        compile_op("Twice", [X.astype("float16")], ops=[write(tmp_path, SHAPE, IN_C)])


@pytest.mark.parametrize("target", TARGETS[:2])
def test_open_dimensions(target: str, tmp_path: Path) -> None:
    path = write(tmp_path, SHAPE, IN_C, IN_OPENCL)
    graph = one_node("Twice", [X], {})
    graph.node[0].attr["shape"].shape.dim[0].size = -1
    container = compile(graph, target, inputs={"input_0": ("n", 13)}, ops=[path])
    for rows in (1, 7, 40):
        x = np.random.default_rng(rows).normal(size=(rows, 13)).astype("float32")
        np.testing.assert_array_equal(run_op(container, [x])[0], 2 * x)


SCALARS = """
def scalars(node, inputs, outputs):
    return [outputs[0].elements, node.attr("k"), node.attr("f"), node.attr("k") - 2**40, True]
def grid(node, inputs, outputs):
    return Grid([outputs[0].shape[1], outputs[0].shape[0]], [8, 4])
@OPS.shape("Mix")
def mixed(node, inputs):
    return [Tensor((inputs[0].shape[0], inputs[1].shape[0]), "float32"), Tensor((), "int64")]
OPS.kernel("Mix", target="host,arm,hexagon", source="mix.c", scalars=scalars)
OPS.kernel("Mix", target="opencl", source="mix.cl", scalars=scalars, grid=grid)
"""
MIX_C = """
void mix(const float *a, const int8_t *b, float *y, int64_t *total,
         int64_t count, int64_t k, float f, int64_t large, int64_t one)
{
    for (int64_t i = 0; i < count; i++) {
        y[i] = a[i / 11] * b[i % 11] * f + k;
    }
    *total = large + one;
}
"""
MIX_OPENCL = """
void mix(__global const float *a, __global const char *b, __global float *y, __global long *total,
         long count, long k, float f, long large, long one)
{
    long i = get_global_id(1) * 11 + get_global_id(0);
    if (get_global_id(0) < 11 && i < count) {
        y[i] = a[i / 11] * b[i % 11] * f + k;
    }
    if (i == 0) {
        *total = large + one;
    }
}
"""


@pytest.mark.parametrize("target", TARGETS)
def test_scalars_grids_and_several_outputs(target: str, tmp_path: Path) -> None:
    (tmp_path / "mix.c").write_text("#include <stdint.h>\n" + MIX_C)
    (tmp_path / "mix.cl").write_text(MIX_OPENCL)
    path = write(tmp_path, SCALARS)
    a, b = X[:, 0].copy(), np.arange(-5, 6, dtype="int8")
    attrs = {"k": 3, "f": 0.5}
    container = compile_op("Mix", [a, b], attrs, target=target, outputs=2, ops=[path])
    y, total = run_op(container, [a, b])
    np.testing.assert_allclose(y, np.outer(a, b) * 0.5 + 3, rtol=1e-6)
    assert int(total) == 3 - 2**40 + 1


@pytest.mark.device("opencl")
def test_groups_that_are_too_large_are_told(tmp_path: Path) -> None:
    wide = IN_OPENCL.replace('cl")', 'cl", grid=lambda *_: Grid([91], [1000]))')
    path = write(tmp_path, SHAPE, wide)
    with pytest.raises(ToolchainError, match=r"twice.cl .* has groups of 1000 work-items"):
        compile_op("Twice", [X], target="adreno-610", ops=[path])
    path.write_text(path.read_text().replace("[1000]", "[2000]"))
    with pytest.raises(BadNode, match=r"the grid of twice is \[91\] in groups of \[2000\]"):
        compile_op("Twice", [X], target="opencl", ops=[path])


def test_two_sets_may_name_their_functions_alike(tmp_path: Path) -> None:
    one = write(tmp_path / "one", SHAPE, IN_C)
    other = write(tmp_path / "other", SHAPE, IN_C, c=C.replace("2.0f", "3.0f"))
    other.write_text(other.read_text().replace("Twice", "Thrice").replace('"mine"', '"yours"'))
    graph = _graph([(X, "Twice"), (X, "Thrice")])
    found = run(compile(graph, ops=[one, other]), [(X, ""), (X, "")])
    np.testing.assert_array_equal(found[0], 2 * X)
    np.testing.assert_array_equal(found[1], 3 * X)


@pytest.mark.parametrize("target", TARGETS[:2])
def test_within_a_branch(target: str, tmp_path: Path) -> None:
    """A function of the graph with the op is called where a condition holds."""
    graph = one_node("Twice", [X, np.zeros((), bool)], {})
    twice = graph.node[2]
    for name, op in (("then", "Twice"), ("otherwise", "Neg")):
        function = graph.library.function.add()
        function.signature.name = name
        function.signature.input_arg.add(name="x", type=1)
        function.signature.output_arg.add(name="y", type=1)
        node = function.node_def.add(name="made", op=op, input=["x"])
        node.attr["T"].type = 1
        function.ret["y"] = "made:y:0"
    twice.op, twice.input[:] = "StatelessIf", ["input_1", "input_0"]
    twice.attr["then_branch"].func.name = "then"
    twice.attr["else_branch"].func.name = "otherwise"
    container = compile(graph, target, ops=[write(tmp_path, TE, IN_C, IN_OPENCL)])
    for condition in (True, False):
        (found,) = run_op(container, [X, np.array(condition)])
        np.testing.assert_array_equal(found, 2 * X if condition else -X)


def test_ahead_of_time(tmp_path: Path) -> None:
    path = write(tmp_path, SHAPE, IN_C)
    container = compile(one_node("Twice", [X], {}), runtime="aot", ops=[path])
    np.testing.assert_array_equal(run_op(container, [X])[0], 2 * X)


def test_the_same_container_each_time(tmp_path: Path) -> None:
    path = write(tmp_path, SHAPE, TE, IN_C, IN_OPENCL)
    saved = [
        compile_op("Twice", [X], target="host,opencl", ops=[path]).save(tmp_path / name)
        for name in ("a.dlc", "b.dlc")
    ]
    assert saved[0].read_bytes() == saved[1].read_bytes()


def test_a_container_shows_one_layer(tmp_path: Path) -> None:
    """However many kernels the op has."""
    path = write(tmp_path, TE, SHAPE, IN_C, IN_OPENCL)
    container = compile_op("Twice", [X], ops=[path])
    assert container.signature().ops == {"Twice": 1}
    assert [(layer.name, layer.op) for layer in container.network().layers] == [("Twice", "Twice")]


@pytest.mark.parametrize(
    "value", ["", "{}", "[]", '{"targets": 3}', '{"function": "../x"}', '{"file": "a\\nb"}']
)
def test_a_damaged_description_is_told(value: str) -> None:
    """A module may come out of a file."""
    whole = json.loads(UserKernel("Op", "mine 3", ("host",), 1).attribute())
    if value.startswith('{"'):
        value = json.dumps({**whole, **json.loads(value)})
    func = tirx.PrimFunc([], tirx.Evaluate(0)).with_attr(ATTRIBUTE, value)
    with pytest.raises(ToolchainError, match="a kernel of a user's that is damaged"):
        user_kernel(func)


PARTS = """
@OPS.shape("Parts")
def parts_shape(node, inputs):
    return [inputs[0], Tensor((inputs[0].shape[0],), "int64")]
OPS.kernel("Parts", target="host,arm,hexagon", source="parts.c",
           parts=lambda node, inputs, outputs: outputs[0].shape[0],
           scalars=lambda node, inputs, outputs: [outputs[0].shape[1]])
"""
IN_PARTS = """
#include "dlcc_kernel.h"

void parts(const float *x, float *y, int64_t *firsts, int64_t columns,
           int32_t first, int32_t behind)
{
    for (int64_t row = first; row < behind; row++) {
        firsts[row] = first;
        for (int64_t i = row * columns; i < (row + 1) * columns; i++) {
            y[i] = 2.0f * x[i];
        }
    }
}
"""


@pytest.mark.parametrize(
    ("target", "runtime"),
    [("host", None), ("host", "aot"), pytest.param("hexagon", None, marks=TARGETS[2].marks)],
)
@pytest.mark.parametrize("rows", [1, 200])
def test_parts_for_threads(rows: int, target: str, runtime: str | None, tmp_path: Path) -> None:
    (tmp_path / "parts.c").write_text(IN_PARTS)
    path = write(tmp_path, PARTS)
    x = np.random.default_rng(0).normal(size=(rows, 5)).astype("float32")
    graph = one_node("Parts", [x], {})
    outputs = ["Parts", "Parts:1"]
    check_parts(compile(graph, target, runtime=runtime, outputs=outputs, ops=[path]), x)


def test_parts_of_open_dimensions(tmp_path: Path) -> None:
    (tmp_path / "parts.c").write_text(IN_PARTS)
    path = write(tmp_path, PARTS)
    graph = one_node("Parts", [X], {})
    graph.node[0].attr["shape"].shape.dim[0].size = -1
    container = compile(
        graph, inputs={"input_0": ("n", 13)}, outputs=["Parts", "Parts:1"], ops=[path]
    )
    for rows in (1, 65, 300):
        check_parts(container, np.full((rows, 13), rows, "float32"))


def check_parts(container: Container, x: np.ndarray) -> None:
    """Every row is computed, by one of at most 64 calls."""
    found, firsts = run_op(container, [x])
    np.testing.assert_array_equal(found, 2 * x)
    pieces = len(set(firsts.tolist()))
    assert pieces == min(len(x), 64)
    np.testing.assert_array_equal(firsts, np.sort(firsts))
    assert firsts[0] == 0
    assert (firsts <= np.arange(len(x))).all()
