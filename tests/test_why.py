"""`why`: from a node of the model to the kernel that it runs in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from dlcc.compiler.cli.main import main
from dlcc.compiler.errors import UsageError
from dlcc.compiler.frontend.schema import message_class
from dlcc.compiler.why import Fate, why

TYPE = 'attr { key: "T" value { type: DT_FLOAT } }'


def const(name: str, *shape: int) -> str:
    dims = " ".join(f"dim {{ size: {d} }}" for d in shape)
    values = " ".join(f"float_val: {v:.3f}" for v in np.linspace(0.5, 1.5, int(np.prod(shape))))
    return (
        f'node {{ name: "{name}" op: "Const" attr {{ key: "dtype" value {{ type: DT_FLOAT }} }} '
        f'attr {{ key: "value" value {{ tensor {{ dtype: DT_FLOAT tensor_shape {{ {dims} }} '
        f"{values} }} }} }} }}"
    )


def node(name: str, op: str, *inputs: str) -> str:
    reads = " ".join(f'input: "{i}"' for i in inputs)
    return f'node {{ name: "{name}" op: "{op}" {reads} {TYPE} }}'


MODEL = "\n".join(
    [
        'node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } }'
        ' attr { key: "shape" value { shape { dim { size: 2 } dim { size: 4 } } } } }',
        const("w", 4, 3), const("s", 3), const("matrix", 2, 3),
        node("twice", "AddV2", "s", "s"),
        node("same", "Identity", "x"),
        node("dot", "MatMul", "same", "w"),
        node("scaled", "Mul", "dot", "twice"),
        node("relu", "Relu", "scaled"),
        node("unread", "Neg", "relu"),
        node("dot2", "MatMul", "same", "w"),
        node("uneven", "Mul", "dot2", "matrix"),
        node("sum", "AddV2", "relu", "uneven"),
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = text_format.Parse(MODEL, message_class("GraphDef")())
    path = tmp_path_factory.mktemp("why") / "model.pb"
    path.write_bytes(graph.SerializeToString())
    return path


def told(fate: Fate) -> str:
    return "\n".join(f"{step.where}: {step.what}" for step in fate.steps)


@pytest.mark.parametrize(
    ("name", "op", "outcome", "text"),
    [
        ("twice", "AddV2", "folded", "a constant"),
        ("same", "Identity", "passed on", "adds nothing"),
        ("unread", "Neg", "pruned", "no output needs it: sum"),
        ("x", "", "input", "fed"),
        ("dot", "MatMul", "merged", "fold_scale_into_weights: fold scale after applied at scaled"),
        ("scaled", "Mul", "kept", "kernel fused_matmul"),
        ("relu:0", "Relu", "kept", "relu in kernel fused_matmul"),
        ("uneven", "Mul", "kept", "declined at uneven: a scale of shape (2, 3) is not one factor"),
    ],
)
def test_what_became_of_a_node(path: Path, name: str, op: str, outcome: str, text: str) -> None:
    fate = why(path, name, outputs=["sum"])
    assert (fate.op, fate.outcome) == (op, outcome)
    assert text in told(fate)


def test_a_node_that_is_not_there(path: Path) -> None:
    with pytest.raises(UsageError, match="no node named 'rely'") as caught:
        why(path, "rely", outputs=["sum"])
    assert caught.value.exit_code == 2


def test_each_target_says_its_kernel(path: Path) -> None:
    fate = why(path, "relu", "host,arm", outputs=["sum"])
    assert any("kernel" in s.what and s.where != "host" for s in fate.steps)


def test_on_the_command_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(path), "--why", "relu", "--output", "sum", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "kept"


def test_equal_groups_keep_their_own_names() -> None:
    """TVM lets two groups that compute the same share one kernel."""
    from tvm import relax

    from dlcc.compiler.driver import find_chips
    from dlcc.targets.registry import kind

    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((8, 8), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            last = x
            for i in range(2):
                last = builder.emit(relax.op.exp(last), f"exp_{i}")
                last = builder.emit(relax.op.nn.softmax(last), f"soft_{i}")
            out = builder.emit_output(last, "out")
        builder.emit_func_output(relax.Tuple([out]))
    module = relax.transform.CanonicalizeBindings()(builder.finalize())
    (chip,) = find_chips("host")
    named = {v for names in kind("host").kernels(module, chip).values() for v in names}
    assert named >= {"exp_0", "soft_0", "exp_1"}
