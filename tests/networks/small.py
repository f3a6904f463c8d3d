"""Small models in Relax, for tests that need no file."""

from __future__ import annotations

import numpy as np
from tvm import relax
from tvm.ir import IRModule
from tvm.relax.op import nn


def conv_model(channels: int = 16, size: int = 12, depth: int = 8) -> IRModule:
    """A 3x3 convolution with bias and ReLU of a 1 x size x size x depth image."""
    generator = np.random.default_rng(3)
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, size, size, depth), "float32"))
    w = generator.normal(size=(3, 3, depth, channels)).astype("float32")
    b = generator.normal(size=channels).astype("float32")
    with bb.function("main", [x]):
        with bb.dataflow():
            layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO"}
            y = bb.emit(nn.conv2d(x, relax.const(w), padding=1, **layouts))
            y = bb.emit(nn.relu(bb.emit(relax.op.add(y, relax.const(b)))))
            out = bb.emit_output(relax.Tuple([y]))
        bb.emit_func_output(out)
    return bb.get()


def softmax_model(rows: int = 64, columns: int = 100) -> IRModule:
    """A softmax over rows, which is made of reductions and maps."""
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((rows, columns), "float32"))
    with bb.function("main", [x]):
        with bb.dataflow():
            out = bb.emit_output(relax.Tuple([bb.emit(nn.softmax(x))]))
        bb.emit_func_output(out)
    return bb.get()
