"""TensorFlow, in a process of its own: a SavedModel or a Keras model in, a frozen GraphDef out.

    python -P tensorflow.py REQUEST FOLDER

REQUEST is JSON: {"path", "tags", "signatures"}, with tags null for a Keras model. In FOLDER appear
`0.pb`, `1.pb`, … in the order of the signatures, and `names.json` with {"inputs", "outputs"} from
names to tensors for each, or {"error", "message"} where TensorFlow could not do it. This is the
only file that imports
TensorFlow. It imports nothing of ours, and is run as a file rather than as a module: it
starts where TensorFlow does and needs no more than that. `-P` keeps its own folder off the path,
where its name would hide TensorFlow's.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any


def main(request: str, folder: str) -> int:
    asked = json.loads(request)
    try:
        called = _signatures(asked) if asked["tags"] else [_keras_function(asked["path"])]
        said: Any = [_stored(*f, Path(folder) / f"{i}.pb") for i, f in enumerate(called)]
    except Exception as error:  # noqa: BLE001  the caller tells the user; the trace is for `-v`
        traceback.print_exc()
        said = {"error": type(error).__name__, "message": str(error)}
    (Path(folder) / "names.json").write_text(json.dumps(said), encoding="utf-8")
    return 0


def _stored(function: Any, inputs: list[str], outputs: list[str], path: Path) -> dict[str, Any]:
    """Freeze a function into a file; which tensors its names of inputs and outputs mean."""
    graph_def, fed, made = _frozen(function)
    path.write_bytes(graph_def.SerializeToString())
    return {
        "inputs": dict(zip(inputs, fed, strict=True)),
        "outputs": dict(zip(outputs, made, strict=True)),
    }


def _signatures(asked: dict[str, Any]) -> list[tuple[Any, list[str], list[str]]]:
    """Signatures as concrete functions, with their names of inputs and outputs in order."""
    import tensorflow as tf

    model = tf.saved_model.load(asked["path"], tags=asked["tags"])
    functions = [model.signatures[name] for name in asked["signatures"]]
    for function in functions:
        function._dlcc_model = model  # a function does not keep its variables alive
    return [(f, _arguments(f), sorted(f.structured_outputs)) for f in functions]


def _arguments(function: Any) -> list[str]:
    return [t.op.get_attr("_user_specified_name").decode() for t in _fed(function)]


def _keras_function(path: str) -> tuple[Any, list[str], list[str]]:
    """A Keras model as a concrete function for inference, named by its layers."""
    import tensorflow as tf

    model = tf.keras.models.load_model(path, compile=False, safe_mode=True)
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError("the model has no inputs of known shape: it was saved before it was built")
    inputs = _distinct([_layer(t) or f"input_{i}" for i, t in enumerate(model.inputs)])
    specs = [tf.TensorSpec(t.shape, t.dtype, name=f"input_{i}") for i, t in enumerate(model.inputs)]

    def call(*tensors: Any) -> Any:
        result = model(tensors[0] if len(tensors) == 1 else list(tensors), training=False)
        return tf.nest.flatten(result)

    function = tf.function(call, input_signature=specs).get_concrete_function()
    function._dlcc_model = model  # a function does not keep its variables alive
    outputs = [_layer(t) or f"output_{i}" for i, t in enumerate(model.outputs)]
    return function, inputs, _distinct(outputs)


def _layer(tensor: Any) -> str:
    """The layer that made a tensor of Keras's, or "" where that is not told."""
    history = getattr(tensor, "_keras_history", None)
    return str(history.operation.name) if history is not None else ""


def _distinct(names: list[str]) -> list[str]:
    """One layer may make several outputs: lstm, lstm_1, …"""
    counts: dict[str, int] = {}
    result = []
    for name in names:
        seen = counts.get(name, 0)
        counts[name] = seen + 1
        result.append(f"{name}_{seen}" if seen else name)
    return result


def _fed(function: Any) -> list[Any]:
    """What the caller feeds: captured variables and tables are inputs of the function as well."""
    return list(function.inputs[: len(function.inputs) - len(function.captured_inputs)])


def _frozen(function: Any) -> tuple[Any, list[str], list[str]]:
    """The function as a graph with constants for variables, and its tensors' names.

    Loops and conditions stay functions (lower_control_flow=False): lowered to Switch and Merge
    they would be harder to read. Calls are inlined, those of functions marked as not to be
    inlined included where calls are left.
    """
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2_as_graph as freeze,
    )

    fed = [t.name for t in _fed(function)]
    frozen, graph_def = freeze(function, lower_control_flow=False)
    if any(node.op.endswith("PartitionedCall") for node in graph_def.node):
        frozen, graph_def = freeze(function, lower_control_flow=False, aggressive_inlining=True)
    return graph_def, fed, [t.name for t in frozen.outputs]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
