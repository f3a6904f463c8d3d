"""Chips of the kind opencl for tests: PoCL on this CPU, and a GPU, whose kernels PoCL runs too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dlcc.targets.chips import Chip, Gpu
from dlcc.targets.host.detect import host_chip

CPU = Chip(
    name="pocl",
    kind="opencl",
    summary="PoCL on this CPU",
    tvm={"kind": "opencl"},
    cores=2,
    vector_bits=256,
    vector_registers=16,
    l1_bytes=32 << 10,
    l2_bytes=512 << 10,
    source="tests",
    gpu=Gpu(
        work_group=4096,
        local_bytes=512 << 10,
        subgroup=1,
        fp16=False,
        images=False,
        unified_memory=True,
        host=host_chip().tvm,
        processor=True,
    ),
)
# many units and short vectors: sums are shared among the work-items of a group
GPU = replace(
    CPU,
    name="gpu",
    cores=64,
    vector_bits=128,
    gpu=replace(  # type: ignore[type-var]
        CPU.gpu, work_group=256, local_bytes=32 << 10, subgroup=32, processor=False
    ),
)
HALF = replace(CPU, gpu=replace(CPU.gpu, fp16=True, half=True))  # type: ignore[type-var]
CHIPS = {"cpu": CPU, "gpu": GPU}


def graph_of(make: Any, shapes: Mapping[str, tuple[Sequence[int], str]]) -> tuple[Any, list[str]]:
    """A GraphDef of placeholders and what `make` computes of them, and the names of that."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        inputs = [
            tf.compat.v1.placeholder(dtype, shape, name) for name, (shape, dtype) in shapes.items()
        ]
        made = make(tf, *inputs)
        outputs = [t.name for t in (made if isinstance(made, list | tuple) else [made])]
    return graph, outputs


def random_feed(
    shapes: Mapping[str, tuple[Sequence[int], str]], seed: int = 0
) -> dict[str, np.ndarray]:
    """Floats of a normal distribution, whole numbers from -9 to 9."""
    random = np.random.default_rng(seed)
    return {
        name: (
            random.standard_normal(shape)
            if np.dtype(dtype).kind == "f"
            else random.integers(-9, 10, shape)
        ).astype(dtype)
        for name, (shape, dtype) in shapes.items()
    }


def tensorflows(graph: Any, outputs: Sequence[str], feed: Mapping[str, np.ndarray]) -> list[Any]:
    """TensorFlow's own answers."""
    import tensorflow as tf

    with tf.compat.v1.Session(graph=graph) as session:
        found: list[Any] = session.run(
            list(outputs), {f"{name}:0": value for name, value in feed.items()}
        )
    return found
