"""Sets of ops: what may be declared, which are in force, and what is told of those that are not."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ops_files import HEAD, IN_C, IN_OPENCL, SHAPE, TE, C, write

from dlcc.compiler import compile
from dlcc.compiler.errors import BadNode, ModelError, UnsupportedOps, UsageError
from dlcc.compiler.user_ops import UserOps
from dlcc.compiler.user_ops.load import GROUP, load_sets
from dlcc.compiler.user_ops.rows import op_rows
from dlcc.compiler.user_ops.table import ops_in_force
from dlcc.compiler.user_ops.trial import compile_op, one_node, run_op

X = np.arange(6, dtype="float32").reshape(2, 3)

# what is wrong with a file -> its parts, and words of the error
BROKEN = {
    "no set": ("del OPS\n", "declares no ops"),
    "not Python": ("def (:\n", r"mine.py, line \d+: SyntaxError"),
    "raises": ("1 / 0\n", r"mine.py, line \d+: ZeroDivisionError: division by zero"),
    "no such module": ("import nothing_of_that_name\n", "ModuleNotFoundError"),
    "kernel alone": (IN_C, "neither a shape rule nor a converter"),
    "shape alone": (SHAPE, "neither a converter nor a kernel"),
    "two kernels": (SHAPE + IN_C + IN_C, "two kernels for host"),
    "two converters": (TE + TE, "two converters"),
    "no such source": (IN_C.replace("twice.c", "thrice.c"), "cannot read the kernel .*thrice.c"),
    "C for a GPU": (IN_OPENCL.replace(".cl", ".c"), "twice.c is no kernel of Twice for opencl"),
    "OpenCL for a CPU": (IN_C.replace(".c", ".cl"), "for host, arm, hexagon"),
    "no such kind": (IN_C.replace("hexagon", "hexagom"), "hexagom, which is no kind of target"),
    "not a function": (IN_C.replace('c")', 'c", function="a b")'), "no name of a function"),
    "grid for C": (IN_C.replace('c")', 'c", grid=print)'), "has no grid"),
    "parts for a GPU": (IN_OPENCL.replace('l")', 'l", parts=print)'), "has no parts"),
    "ours": (TE.replace('"Twice"', '"Relu"'), "has the op Relu, which dlcc has, too"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_told(what: str, tmp_path: Path) -> None:
    part, words = BROKEN[what]
    with pytest.raises(UsageError, match=words):
        ops_in_force([write(tmp_path / "a folder", part)])


@pytest.mark.parametrize("name", ["", "1st", "a b", "x" * 65, "../up"])
def test_a_set_needs_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="no name for a set"):
        UserOps(name, file=__file__)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not there"):
        load_sets([tmp_path / "none.py"])
    with pytest.raises(UsageError, match="is a folder"):
        load_sets([tmp_path])


def test_a_clash_names_both(tmp_path: Path) -> None:
    one = write(tmp_path / "one", TE)
    other = write(tmp_path / "other", TE)
    with pytest.raises(UsageError, match=rf"called mine: mine 3 \({one}\) and mine 3 \({other}\)"):
        load_sets([one, other])
    other.write_text(other.read_text().replace('"mine"', '"yours"'))
    with pytest.raises(UsageError, match=rf"Twice is in two sets.*{one}.* and yours 3 \({other}\)"):
        load_sets([one, other])
    assert [str(s) for s in load_sets([one, one])] == ["mine 3"]  # the same twice is no clash


def test_replacing_has_to_be_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    replacing = TE.replace('"Twice"', '"Relu", replaces=True')
    with caplog.at_level("INFO", "dlcc"):
        container = compile_op("Relu", [X - 2], ops=[write(tmp_path, replacing)])
    assert "mine 3 replaces dlcc's own Relu" in caplog.text
    np.testing.assert_array_equal(run_op(container, [X - 2])[0], 2 * (X - 2))


def test_a_kernel_alone_leaves_dlccs_converter_to_others(tmp_path: Path) -> None:
    shape = SHAPE.replace('"Twice"', '"Relu", replaces=True')
    path = write(tmp_path, shape, IN_OPENCL.replace("Twice", "Relu"))
    np.testing.assert_array_equal(
        run_op(compile_op("Relu", [X - 2], ops=[path]), [X - 2])[0], np.maximum(X - 2, 0)
    )
    (row,) = op_rows(ops_in_force([path]))
    assert (row.targets["host"], row.targets["opencl"]) == ("dlcc's own", "twice.cl")
    assert row.replaces


def test_without_the_file_the_op_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOps, match="Twice"):
        compile_op("Twice", [X])


def test_rows_tell_what_runs_where(tmp_path: Path) -> None:
    (row,) = op_rows(ops_in_force([write(tmp_path, SHAPE, IN_C)]))
    assert (row.op, row.set, row.version) == ("Twice", "mine", "3")
    assert row.targets == dict.fromkeys(("host", "arm", "opencl", "hexagon"), "twice.c")
    (row,) = op_rows(ops_in_force([write(tmp_path, SHAPE, IN_OPENCL)]))
    assert row.targets == {"host": "-", "arm": "-", "opencl": "twice.cl", "hexagon": "-"}
    (row,) = op_rows(ops_in_force([write(tmp_path, TE, IN_OPENCL)]))
    assert row.targets["hexagon"] == "converter"


# converter -> words of the error
CONVERTERS = {
    "raise KeyError('alpha')": r"by mine 3 \(mine.py, line \d+\): KeyError: 'alpha'",
    "return None": "gives NoneType",
    "return g.te(lambda x: te.compute((7,), lambda i: x[0, 0]), g.arg(node, 0))": (
        r"gives float32\[7\], its shape rule float32\[2, 3\]"
    ),
    "return g.te(lambda x: te.compute(x.shape, lambda *i: x(*i) > x(*i)), g.arg(node, 0))": (
        r"gives bool\[2, 3\], its shape rule float32\[2, 3\]"
    ),
    "return [g.arg(node, 0)] * 2": "its shape rule",
    "return g.arg(node, 1)": "has 1 inputs",
}


@pytest.mark.parametrize("body", CONVERTERS)
def test_a_wrong_converter_is_told(body: str, tmp_path: Path) -> None:
    part = f'\n@OPS.op("Twice")\ndef twice(g, node):\n    {body}\n'
    with pytest.raises(BadNode, match=CONVERTERS[body]):
        compile_op("Twice", [X], ops=[write(tmp_path, SHAPE, part)])


@pytest.mark.parametrize(
    ("rule", "words"),
    [("return None", "gives no Tensor"), ("return inputs[4]", r"mine.py, line \d+\): IndexError")],
)
def test_a_wrong_shape_rule_is_told(rule: str, words: str, tmp_path: Path) -> None:
    part = f'\n@OPS.shape("Twice")\ndef shape(node, inputs):\n    {rule}\n'
    with pytest.raises(BadNode, match=words):
        compile_op("Twice", [X], ops=[write(tmp_path, part, IN_C)])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that gives ops, on the path as pip installs it; its module is to be written."""
    info = tmp_path / "far_ops-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: far-ops\nVersion: 2.1\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nfar = far_ops:OPS\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "far_ops.py"
    sys.modules.pop("far_ops", None)
    importlib.invalidate_caches()


def test_an_installed_package_gives_ops(package: Path, tmp_path: Path) -> None:
    write(tmp_path, TE).rename(package)
    assert [str(own) for own in load_sets()] == ["mine 3"]
    (found,) = run_op(compile_op("Twice", [X]), [X])
    np.testing.assert_array_equal(found, 2 * X)
    assert load_sets(["none"]) == ()
    clash = write(tmp_path / "given", TE.replace("Twice", "Other"))
    with pytest.raises(UsageError, match=r"called mine: mine 3 \(package far-ops 2.1\)"):
        load_sets([clash])


@pytest.mark.parametrize(
    ("content", "words"),
    [("import nothing_of_that_name", "ModuleNotFoundError"), ("OPS = 3", "gives no UserOps")],
)
def test_a_broken_package_is_named(package: Path, content: str, words: str) -> None:
    package.write_text(content)
    with pytest.raises(UsageError, match=rf"installed package far-ops 2.1 .*{words}"):
        load_sets()


def test_a_container_records_what_it_is_made_by(tmp_path: Path) -> None:
    path = write(tmp_path, SHAPE, TE, IN_C, TE.replace("Twice", "Unused"))
    options = compile_op("Twice", [X], ops=[path]).manifest.options
    told = [hashlib.sha256(content.encode()).hexdigest() for content in (path.read_text(), C)]
    assert options == {
        "ops.mine": f"version 3; Twice; mine.py sha256 {told[0]}; twice.c sha256 {told[1]}"
    }
    assert compile_op("Relu", [X], ops=[path]).manifest.options == {}
    assert HEAD not in str(options)


TWO = """
@OPS.op("Two", outputs=("low", "high"))
def two(g, node):
    x = g.arg(node, 0)
    return [g.te(lambda t: te.compute(t.shape, lambda *i: t(*i) + k), x) for k in (1, 2)]
"""


def within_a_function(first: str, second: str) -> object:
    """A GraphDef that calls a function, which gives two outputs of an op, by name."""
    graph = one_node("Call", [X], {})
    function = graph.library.function.add()
    function.signature.name = "Call"
    function.signature.input_arg.add(name="x", type=1)
    function.node_def.add(name="made", op="Two", input=["x"])
    for name, output in (("y", first), ("z", second)):
        function.signature.output_arg.add(name=name, type=1)
        function.ret[name] = f"made:{output}:0"
    return graph


def test_outputs_of_functions_are_told_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, TWO)
    container = compile(within_a_function("high", "low"), outputs=["Call", "Call:1"], ops=[path])
    high, low = run_op(container, [X])
    np.testing.assert_array_equal(high, X + 2)
    np.testing.assert_array_equal(low, X + 1)


@pytest.mark.parametrize("names", ['outputs=("low", "other")', ""])
def test_outputs_that_have_no_number_are_told(names: str, tmp_path: Path) -> None:
    path = write(tmp_path, TWO.replace('outputs=("low", "high")', names))
    with pytest.raises(ModelError, match="the op Two has an output 'high' beside 'low'"):
        compile(within_a_function("low", "high"), ops=[path])
