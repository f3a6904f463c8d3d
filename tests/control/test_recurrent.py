"""Recurrent networks whose loops TensorFlow leaves in the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_cases import normal

from dlcc.compiler import compile

STEPS, SIZE, UNITS = 12, 5, 7


def keras(make: Callable[..., Any]) -> Callable[[int], Any]:
    """GraphDef, input, outputs and a function that runs TensorFlow, of a Keras layer."""

    def build(tf: Any, batch: int | None) -> tuple[Any, str, list[str], Callable[[Any], Any]]:
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2 as freeze,
        )

        tf.keras.utils.set_random_seed(1)
        layer = make(tf.keras.layers)
        call = tf.function(lambda x: tf.nest.flatten(layer(x)))
        call(tf.zeros([2, STEPS, SIZE]))
        spec = tf.TensorSpec([batch, STEPS, SIZE], "float32", name="x")
        frozen = freeze(call.get_concrete_function(spec), lower_control_flow=False)
        outputs = [t.name for t in frozen.outputs]
        return frozen.graph.as_graph_def(), "x", outputs, lambda x: [t.numpy() for t in call(x)]

    return build


MODELS = {
    "LSTM": keras(lambda k: k.LSTM(UNITS, return_sequences=True, return_state=True)),
    "GRU": keras(lambda k: k.GRU(UNITS, return_sequences=True, return_state=True)),
    "last state only": keras(lambda k: k.LSTM(UNITS)),
    "backwards": keras(lambda k: k.GRU(UNITS, return_sequences=True, go_backwards=True)),
    "bidirectional": keras(lambda k: k.Bidirectional(k.LSTM(UNITS, return_sequences=True))),
}


@pytest.mark.parametrize(
    ("name", "batch"), [*((name, 3) for name in MODELS), ("LSTM", None), ("GRU", None)]
)
def test_keras_layer(name: str, batch: int | None) -> None:
    import tensorflow as tf

    proto, source, outputs, reference = MODELS[name](tf, batch)
    container = compile(proto, target="host", outputs=outputs)
    with container.session() as session:
        for count in (3,) if batch else (1, 4):
            x = normal(count, STEPS, SIZE)
            found = session.run({source: x})
            for output, want in zip(outputs, reference(x), strict=True):
                np.testing.assert_allclose(found[output], want, rtol=1e-4, atol=1e-5)


def test_weights_of_loops_are_lifted() -> None:
    """The matrices of a cell are weights of the container, not constants of its code."""
    import tensorflow as tf

    from dlcc.compiler.frontend.load import load
    from dlcc.compiler.frontend.translate import translate
    from dlcc.compiler.passes.pipeline import optimize
    from dlcc.targets.cpu.build import build
    from dlcc.targets.registry import find_chip

    proto, _, outputs, _ = MODELS["LSTM"](tf, 3)
    made = build(optimize(translate(load(proto, None, outputs)).module), find_chip("host"))
    assert sum(w.size >= SIZE * 4 * UNITS for w in made.weights) >= 2
