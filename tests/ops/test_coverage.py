"""No converter without a case, and what cannot be converted says why."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from op_cases import normal

from dlcc.compiler.errors import BadAttr, BadNode, UnsupportedOps
from dlcc.compiler.frontend.load import load
from dlcc.compiler.frontend.ops import TF_OPS
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.translate import translate


def _tables():
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"tables_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        if path.name != Path(__file__).name:
            spec.loader.exec_module(module)
            yield from module.CASES


def test_every_converter_has_a_case():
    assert set(TF_OPS) - {case.op for case in _tables()} == set()


def test_two_converters_for_one_op_are_an_error():
    table = OpTable()
    table.op("A")(lambda g, node: None)
    with pytest.raises(ValueError, match="two converters for A"):
        table.op("A", "B")(lambda g, node: None)
    with pytest.raises(ValueError, match="two converters for A"):
        _ = table | table


def _placeholder(tf, *shape, dtype="float32"):
    return tf.compat.v1.placeholder(dtype, shape, name="x")


# what goes wrong: (build, edit of the node "bad", error, text)
ERRORS = {
    "window computed at run time": (
        lambda tf: tf.raw_ops.MaxPoolV2(
            input=_placeholder(tf, 1, 4, 4, 1), name="bad", strides=[1, 1, 1, 1], padding="SAME",
            ksize=tf.compat.v1.placeholder("int32", [4], name="k")),
        None, BadNode,
        r"bad \(MaxPoolV2\): the window \(input 1, 'k:0'\) is computed at run time",
    ),
    "rank that depends on values": (
        lambda tf: tf.raw_ops.Reshape(
            tensor=_placeholder(tf, 2, 3), name="bad",
            shape=tf.compat.v1.placeholder("int32", [None], name="shape")),
        None, BadNode, r"bad \(Reshape\): the rank of its result depends on values",
    ),
    "padding of no kind": (
        lambda tf: tf.raw_ops.MaxPool(input=_placeholder(tf, 1, 4, 4, 1), ksize=[1, 2, 2, 1],
                                      strides=[1, 2, 2, 1], padding="SAME", name="bad"),
        ("padding", b"ROUND"), BadAttr,
        r"bad \(MaxPool\): attribute padding is 'ROUND', expected 'SAME' or 'VALID'",
    ),
    "data format of no kind": (
        lambda tf: tf.raw_ops.Conv2D(input=_placeholder(tf, 1, 4, 4, 1), name="bad",
                                     filter=normal(1, 1, 1, 1), strides=[1, 1, 1, 1],
                                     padding="SAME"),
        ("data_format", b"HWCN"), BadAttr, r"data_format is 'HWCN', expected 'NHWC' or 'NCHW'",
    ),
    "mode of no kind": (
        lambda tf: tf.raw_ops.MirrorPad(input=_placeholder(tf, 3, 3), mode="REFLECT", name="bad",
                                        paddings=[[1, 1], [1, 1]]),
        ("mode", b"WRAP"), BadAttr, r"bad \(MirrorPad\): attribute mode is 'WRAP'",
    ),
    "method of no kind": (
        lambda tf: tf.raw_ops.CropAndResize(image=_placeholder(tf, 1, 4, 4, 1), box_ind=[0],
                                            boxes=[[0.0, 0, 1, 1]], crop_size=[2, 2], name="bad"),
        ("method", b"cubic"), BadAttr, r"method is 'cubic', expected 'bilinear' or 'nearest'",
    ),
    "axis that does not divide": (
        lambda tf: tf.raw_ops.Split(axis=0, value=_placeholder(tf, 4, 2), num_split=2, name="bad"),
        ("num_split", 3), BadNode, r"bad \(Split\): axis 0 of size 4 does not split into 3",
    ),
    "slices along an axis": (
        lambda tf: tf.raw_ops.UniqueV2(x=_placeholder(tf, 3, 3), axis=[0], name="bad"),
        None, BadNode, r"bad \(UniqueV2\): unique slices along an axis",
    ),
    "op without a converter": (
        lambda tf: tf.raw_ops.Fact(name="bad"), None, UnsupportedOps,
        r"no converter for 1 op: Fact",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ERRORS)
def test_error_names_node_and_reason(what):
    import tensorflow as tf

    build, edit, error, text = ERRORS[what]
    with tf.Graph().as_default() as graph:
        build(tf)
    proto = graph.as_graph_def()
    if edit:
        attr = next(n for n in proto.node if n.name == "bad").attr[edit[0]]
        setattr(attr, "i" if isinstance(edit[1], int) else "s", edit[1])
    with pytest.raises(error, match=text) as raised:
        translate(load(proto, None, ["bad"]))
    assert raised.value.exit_code == 3


def test_hints_tell_the_next_step():
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        k = tf.compat.v1.placeholder("int32", [4])
        x = _placeholder(tf, 1, 4, 4, 1)
        tf.raw_ops.MaxPoolV2(input=x, ksize=k, strides=[1] * 4, padding="SAME", name="bad")
    with pytest.raises(BadNode) as raised:
        translate(load(graph.as_graph_def(), None, ["bad"]))
    assert re.search("constant is needed", raised.value.hint)


def test_sound_files_are_decoded_by_the_host():
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        text = tf.compat.v1.placeholder("string", [], name="file")
        sound = tf.raw_ops.DecodeWav(contents=text, desired_samples=800, name="wav")
        spectrum = tf.raw_ops.AudioSpectrogram(input=sound.audio, window_size=64, stride=32)
        tf.raw_ops.Mfcc(spectrogram=spectrum, sample_rate=sound.sample_rate, name="bad")
    with pytest.raises(UnsupportedOps) as raised:
        translate(load(graph.as_graph_def(), None, ["bad"]))
    assert "--input wav=SHAPE --input wav:1=SHAPE" in raised.value.hint
    cut = load(graph.as_graph_def(), {"wav": (800, 1), "wav:1": ()}, ["bad"])
    assert [spec.dtype for spec in translate(cut).inputs] == ["float32", "int32"]
