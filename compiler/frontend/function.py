"""Functions of a graph: the bodies that If, While and calls name, and GraphDef's own library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dlcc.compiler.frontend.graph import Attrs, Node, TensorRef
from dlcc.compiler.frontend.order import in_order, reached


@dataclass(frozen=True, slots=True)
class Function:
    """Nodes in order, the tensors that a caller binds, and the tensors that it gets."""

    name: str
    nodes: tuple[Node, ...]
    arguments: tuple[TensorRef, ...]
    results: tuple[TensorRef, ...]

    @classmethod
    def of(
        cls,
        name: str,
        nodes: Mapping[str, Node],
        arguments: tuple[TensorRef, ...],
        results: tuple[TensorRef, ...],
    ) -> Function:
        """The function with only those of the nodes that its results need."""
        kept = reached(nodes, arguments, results)
        return cls(name, in_order({n: nodes[n] for n in nodes if n in kept}), arguments, results)


# Names of an op's outputs, where it has several: a function's body calls a tensor
# `node:output:position`. Source: the op definitions that TensorFlow registers.
OUTPUTS: dict[str, tuple[str, ...]] = {
    "CTCBeamSearchDecoder": (
        "decoded_indices", "decoded_values", "decoded_shape", "log_probability",
    ),
    **dict.fromkeys(
        ("BlockLSTM", "BlockLSTMV2", "LSTMBlockCell"), ("i", "cs", "f", "o", "ci", "co", "h")
    ),
    **dict.fromkeys(
        ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"),
        (
            "y", "batch_mean", "batch_variance",
            "reserve_space_1", "reserve_space_2", "reserve_space_3",
        ),
    ),
    "GRUBlockCell": ("r", "u", "c", "h"),
    "ListDiff": ("out", "idx"),
    **dict.fromkeys(
        ("DenseCountSparseOutput", "RaggedCountSparseOutput", "SparseCountSparseOutput"),
        ("output_indices", "output_values", "output_dense_shape"),
    ),
    "LogMatrixDeterminant": ("sign", "log_abs_determinant"),
    "MaxPoolWithArgmax": ("output", "argmax"),
    **dict.fromkeys(("Merge", "RefMerge"), ("output", "value_index")),
    "NonMaxSuppressionV4": ("selected_indices", "valid_outputs"),
    "NonMaxSuppressionV5": ("selected_indices", "selected_scores", "valid_outputs"),
    **dict.fromkeys(("Switch", "RefSwitch"), ("output_false", "output_true")),
    **dict.fromkeys(
        ("SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits"),
        ("loss", "backprop"),
    ),
    **dict.fromkeys(
        ("RaggedGather", "RaggedTensorFromVariant"), ("output_nested_splits", "output_dense_values")
    ),
    "SparseFillEmptyRows": (
        "output_indices", "output_values", "empty_row_indicator", "reverse_index_map",
    ),
    **dict.fromkeys(
        ("QuantizeDownAndShrinkRange", "QuantizeV2", "QuantizedReshape", "Requantize"),
        ("output", "output_min", "output_max"),
    ),
    **dict.fromkeys(
        ("QuantizedConv2D", "QuantizedMaxPool"), ("output", "min_output", "max_output")
    ),
    "QuantizedMatMul": ("out", "min_out", "max_out"),
    **dict.fromkeys(
        ("QuantizedRelu", "QuantizedRelu6"),
        ("activations", "min_activations", "max_activations"),
    ),
    "RequantizationRange": ("output_min", "output_max"),
    "SparseAdd": ("sum_indices", "sum_values", "sum_shape"),
    **dict.fromkeys(
        ("SparseConcat", "SparseReduceMaxSparse", "SparseReduceSumSparse", "SparseReorder",
         "SparseSlice", "SparseSparseMaximum", "SparseSparseMinimum", "SparseSplit"),
        ("output_indices", "output_values", "output_shape"),
    ),
    "SparseReshape": ("output_indices", "output_shape"),
    "TensorArrayConcatV3": ("value", "lengths"),
    "TensorArrayV3": ("handle", "flow"),
    **dict.fromkeys(("TensorListConcat", "TensorListConcatV2"), ("tensor", "lengths")),
    "TensorListPopBack": ("output_handle", "tensor"),
    "TopKV2": ("values", "indices"),
    **dict.fromkeys(("Unique", "UniqueV2"), ("y", "idx")),
    **dict.fromkeys(("UniqueWithCounts", "UniqueWithCountsV2"), ("y", "idx", "count")),
}  # fmt: skip


# Outputs that are lists, of ops that have others too: the attribute that tells how long each is.
LISTS: dict[str, dict[str, str]] = {
    "CTCBeamSearchDecoder": dict.fromkeys(
        ("decoded_indices", "decoded_values", "decoded_shape"), "top_paths"
    ),
    "RaggedGather": {"output_nested_splits": "OUTPUT_RAGGED_RANK"},
    "RaggedTensorFromVariant": {"output_nested_splits": "output_ragged_rank"},
    "SparseSplit": dict.fromkeys(("output_indices", "output_values", "output_shape"), "num_split"),
}


def output_index(
    op: str, names: tuple[str, ...], name: str, position: int, attrs: Mapping[str, Any]
) -> int:
    """The number of output `name:position` of an op; `names` are those of a called function.

    The position counts within an output that is a list.
    """
    outputs = names or OUTPUTS.get(op, ())
    if name not in outputs:
        return position
    before = outputs[: outputs.index(name)]
    lists = LISTS.get(op, {})
    return position + sum(attrs[lists[o]].i if o in lists else 1 for o in before)


class Library(Mapping[str, Function]):
    """A GraphDef's functions, each decoded when first asked for.

    lowered: from the nodes of a function to those without TF1's control flow.
    """

    def __init__(self, protos: Mapping[str, Any], lowered: Any) -> None:
        self._protos = protos
        self._lowered = lowered
        self._decoded: dict[str, Function] = {}

    def __getitem__(self, name: str) -> Function:
        if name not in self._decoded:
            if name not in self._protos:
                raise KeyError(name)
            whole = self._function(self._protos[name])
            self._decoded[name] = replace(whole, nodes=self._lowered(whole, self._decoded))
        return self._decoded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._protos.keys() | self._decoded.keys())

    def __len__(self) -> int:
        return len(self._protos.keys() | self._decoded.keys())

    def add(self, functions: Mapping[str, Function]) -> None:
        """Functions made of the graph's own nodes."""
        self._decoded.update(functions)

    def _function(self, proto: Any) -> Function:
        nodes_by_name = {n.name: n for n in proto.node_def}
        arguments = tuple(TensorRef(a.name, 0) for a in proto.signature.input_arg)

        def ref(text: str) -> TensorRef:
            node, _, rest = text.partition(":")
            name, _, position = rest.partition(":")
            made_by = nodes_by_name.get(node)
            op, attrs = (made_by.op, made_by.attr) if made_by else ("", {})
            called = self._protos.get(op)
            names = tuple(a.name for a in called.signature.output_arg) if called else ()
            return TensorRef(node, output_index(op, names, name, int(position or 0), attrs))

        nodes = []
        for n in proto.node_def:
            data = tuple(ref(i) for i in n.input if not i.startswith("^"))
            control = tuple(i[1:] for i in n.input if i.startswith("^"))
            nodes.append(Node(n.name, n.op, data, Attrs(n.attr), control))
        results = tuple(ref(proto.ret[a.name]) for a in proto.signature.output_arg)
        return Function(proto.signature.name, tuple(nodes), arguments, results)
