"""Convolutions with what comes before them, as TensorFlow 1's optimisers for inference write it."""

from __future__ import annotations

from tvm import relax

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.conv import convolved
from dlcc.compiler.frontend.ops.pad import mirrored
from dlcc.compiler.frontend.ops.resize import resize
from dlcc.compiler.frontend.ops.table import OpTable

FUSED = OpTable()


@FUSED.op("FusedPadConv2D")
def pad_conv(g: Emitter, node: Node) -> relax.Expr:
    padded = g.emit(mirrored(g, node, g.arg(node, 0), 1))
    return convolved(g, node, padded, g.arg(node, 2))


@FUSED.op("FusedResizeAndPadConv2D")
def resize_pad_conv(g: Emitter, node: Node) -> relax.Expr:
    """Source: tensorflow/core/kernels/conv_ops_fused_image_transform.cc."""
    attrs = {"align_corners": node.attr("resize_align_corners", False)}
    first = Node(node.name, "ResizeBilinear", node.inputs[:2], attrs)
    resized = g.emit(relax.op.astype(resize(g, first), g.dtype(g.arg(node, 0))))
    return convolved(g, node, g.emit(mirrored(g, node, resized, 2)), g.arg(node, 3))
