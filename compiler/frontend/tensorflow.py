"""TensorFlow, in a process of its own: freezes models, and computes tensors of frozen graphs.

    python -P tensorflow.py REQUEST FOLDER

A SavedModel or a Keras model in, a frozen GraphDef out. REQUEST is JSON: {"path", "tags",
"signatures"}, with tags null for a Keras model. In FOLDER appear `0.pb`, `1.pb`, … in the order of
the signatures, and `names.json` with {"inputs", "outputs"} from names to tensors for each, or
{"error", "message"} where TensorFlow could not do it.

    python -P tensorflow.py --tensors GRAPH…

Computes tensors of frozen graphs until stdin ends. A line of stdin asks, a line of stdout
answers, both JSON: {"graph", "feeds": {tensor: file}, "fetches": [tensor, …], "folder"}, then
{"tensors": {tensor: {"file", "dtype", "enum"}}, "failed": {tensor: why}}, or {"error", "message"}.
"graph" is the number of one, from 0; files are .npy; enum is the number of TensorFlow's own dtype.

This is the only file that imports TensorFlow. It imports nothing of ours, and is run as a file
rather than as a module: it starts where TensorFlow does and needs no more than that. `-P` keeps its
own folder off the path, where its name would hide TensorFlow's.
"""

from __future__ import annotations

import json
import os
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


AT_ONCE = 32  # tensors that lie in memory together


def tensors(paths: list[str]) -> int:
    """Answer requests for tensors of frozen graphs; what TensorFlow says goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sessions: dict[int, Any] = {}
    for line in sys.stdin:
        answer: dict[str, Any]
        try:
            asked = json.loads(line)
            graph = asked.pop("graph")
            if graph not in sessions:
                sessions[graph] = _session(paths[graph])
            answer = _computed(sessions[graph], **asked)
        except Exception as error:  # noqa: BLE001  the caller tells the user; the trace is for `-v`
            traceback.print_exc()
            answer = {"error": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


def _session(path: str) -> Any:
    """The graph as it stands: TensorFlow may not fuse or drop what is asked for."""
    import tensorflow as tf

    graph_def = tf.compat.v1.GraphDef()
    graph_def.ParseFromString(Path(path).read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    config.graph_options.optimizer_options.opt_level = -1
    return tf.compat.v1.Session(graph=graph, config=config)


def _computed(
    session: Any, feeds: dict[str, str], fetches: list[str], folder: str
) -> dict[str, Any]:
    fed = {name: _as(session.graph.get_tensor_by_name(name), file) for name, file in feeds.items()}
    made: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for start in range(0, len(fetches), AT_ONCE):
        part = fetches[start : start + AT_ONCE]
        for number, (name, result) in enumerate(_run(session, part, fed, failed), start):
            file = str(Path(folder) / f"{number}.npy")
            made[name] = _stored_array(session.graph.get_tensor_by_name(name), result, file)
    return {"tensors": made, "failed": failed}


def _as(tensor: Any, file: str) -> Any:
    """A file's array in the dtype that TensorFlow takes: .npy knows no bfloat16 and no qint8."""
    import numpy as np

    array, wanted = np.load(file), np.dtype(tensor.dtype.as_numpy_dtype)
    same_bits = array.dtype.itemsize == wanted.itemsize and wanted.kind == "V"
    return array.view(wanted) if same_bits and array.dtype != wanted else array


def _run(
    session: Any, names: list[str], feeds: dict[str, Any], failed: dict[str, str]
) -> list[tuple[str, Any]]:
    """Tensors together; where that fails each alone, and why some cannot be had."""
    import numpy as np

    try:
        results = session.run(names, feeds)
    except Exception as error:
        if len(names) > 1:
            return [row for name in names for row in _run(session, [name], feeds, failed)]
        if not names or type(error).__module__.split(".")[0] != "tensorflow":
            raise
        failed[names[0]] = str(error).strip().splitlines()[0][:300]
        return []
    arrays = {n: np.asarray(r) for n, r in zip(names, results, strict=True)}
    failed |= {n: "it is no tensor of numbers" for n, a in arrays.items() if a.dtype.hasobject}
    return [(n, a) for n, a in arrays.items() if not a.dtype.hasobject]


def _stored_array(tensor: Any, array: Any, file: str) -> dict[str, Any]:
    import numpy as np

    if array.dtype.names:  # quantised integers: a record of one field
        array = array.view(array.dtype[0])
    np.save(file, array.view(np.uint16) if array.dtype.name == "bfloat16" else array)
    return {"file": file, "dtype": array.dtype.name, "enum": tensor.dtype.as_datatype_enum}


if __name__ == "__main__":
    sys.exit(tensors(sys.argv[2:]) if sys.argv[1] == "--tensors" else main(*sys.argv[1:]))
