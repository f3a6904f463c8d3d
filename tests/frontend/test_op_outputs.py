"""The table of outputs against TensorFlow's own definitions of its ops."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow")

from dlcc.compiler.frontend.function import output_index
from dlcc.compiler.frontend.op_outputs import OUTPUTS
from dlcc.compiler.frontend.ops import TF_OPS
from dlcc.compiler.frontend.schema import message_class


def defined(op: str) -> tuple[str, ...] | None:
    """The outputs of an op as the table writes them; None for an op of another version."""
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op)
    if definition is None:
        return None
    lists = [(a.name, a.number_attr or a.type_list_attr) for a in definition.output_arg]
    return tuple(f"{name}*{attr}" if attr else name for name, attr in lists)


def test_every_op_with_several_outputs_has_its_row() -> None:
    known = {op: found for op in TF_OPS if (found := defined(op)) is not None}
    several = {op: names for op, names in known.items() if len(names) > 1}
    assert {op: OUTPUTS.get(op) for op in several} == several


def test_no_row_says_otherwise() -> None:
    known = {op: found for op in OUTPUTS if (found := defined(op)) is not None}
    assert {op: OUTPUTS[op] for op in known} == known


@pytest.mark.parametrize(
    ("op", "text", "attrs", "number"),
    [
        ("TopKV2", "indices:0", {}, 1),
        ("Split", "output:2", {"num_split": 3}, 2),
        ("RaggedGather", "output_dense_values:0", {"OUTPUT_RAGGED_RANK": 2}, 2),
        ("RaggedGather", "output_nested_splits:1", {"OUTPUT_RAGGED_RANK": 2}, 1),
        ("BarrierTakeMany", "values:1", {"component_types": 2}, 3),
        ("Batch", "id:0", {"T": 3}, 4),
        ("Relu", "activations:0", {}, 0),
    ],
)
def test_lists_before_an_output_count(op: str, text: str, attrs: dict, number: int) -> None:
    node = message_class("NodeDef")(name="n", op=op)
    for key, value in attrs.items():
        if key in ("component_types", "T"):
            node.attr[key].list.type.extend([1] * value)
        else:
            node.attr[key].i = value
    name, _, position = text.partition(":")
    assert output_index(node, (), name, int(position)) == number
