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
    "ApproxTopK": ("values", "indices"),
    "BatchSelfAdjointEigV2": ("e", "v"),
    "BatchSvd": ("s", "u", "v"),
    "BroadcastGradientArgs": ("r0", "r1"),
    **dict.fromkeys(
        ("CudnnRNN", "CudnnRNNV2", "CudnnRNNV3"),
        ("output", "output_h", "output_c", "reserve_space", "host_reserved"),
    ),
    "DecodeWav": ("audio", "sample_rate"),
    "GRUBlockCell": ("r", "u", "c", "h"),
    "IsotonicRegression": ("output", "segments"),
    "ListDiff": ("out", "idx"),
    "LogMatrixDeterminant": ("sign", "log_abs_determinant"),
    "MaxPoolWithArgmax": ("output", "argmax"),
    **dict.fromkeys(("Merge", "RefMerge"), ("output", "value_index")),
    "NearestNeighbors": ("nearest_center_indices", "nearest_center_distances"),
    "NonMaxSuppressionV4": ("selected_indices", "valid_outputs"),
    "NonMaxSuppressionV5": ("selected_indices", "selected_scores", "valid_outputs"),
    **dict.fromkeys(("Switch", "RefSwitch"), ("output_false", "output_true")),
    **dict.fromkeys(
        ("SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits"),
        ("loss", "backprop"),
    ),
    "SparseFillEmptyRows": (
        "output_indices", "output_values", "empty_row_indicator", "reverse_index_map",
    ),
    "SparseReshape": ("output_indices", "output_shape"),
    "TensorArrayConcatV3": ("value", "lengths"),
    "TensorArrayV3": ("handle", "flow"),
    **dict.fromkeys(("TensorListConcat", "TensorListConcatV2"), ("tensor", "lengths")),
    "TensorListPopBack": ("output_handle", "tensor"),
    **dict.fromkeys(("TopK", "TopKV2"), ("values", "indices")),
    **dict.fromkeys(("Unique", "UniqueV2"), ("y", "idx")),
    **dict.fromkeys(("UniqueWithCounts", "UniqueWithCountsV2"), ("y", "idx", "count")),
}  # fmt: skip


def output_index(op: str, names: tuple[str, ...], name: str, position: int) -> int:
    """The number of output `name:position` of an op; `names` are those of a called function.

    The position counts within an output that is a list; only ops with one output have such.
    """
    outputs = names or OUTPUTS.get(op, ())
    return outputs.index(name) if name in outputs else position


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
        ops = {n.name: n.op for n in proto.node_def}
        arguments = tuple(TensorRef(a.name, 0) for a in proto.signature.input_arg)

        def ref(text: str) -> TensorRef:
            node, _, rest = text.partition(":")
            name, _, position = rest.partition(":")
            op = ops.get(node, "")
            called = self._protos.get(op)
            names = tuple(a.name for a in called.signature.output_arg) if called else ()
            return TensorRef(node, output_index(op, names, name, int(position or 0)))

        nodes = []
        for n in proto.node_def:
            data = tuple(ref(i) for i in n.input if not i.startswith("^"))
            control = tuple(i[1:] for i in n.input if i.startswith("^"))
            nodes.append(Node(n.name, n.op, data, Attrs(n.attr), control))
        results = tuple(ref(proto.ret[a.name]) for a in proto.signature.output_arg)
        return Function(proto.signature.name, tuple(nodes), arguments, results)
