"""What is no model, or not one that can be compiled: one line that names it, and a way out."""

from __future__ import annotations

import json
import shutil
import zipfile

import numpy as np
import pytest

from dlcc.compiler.errors import (
    BadNode,
    DlccError,
    ModelError,
    ShapeNeeded,
    ToolchainError,
    UnknownName,
    UnreadableModel,
    UnsupportedOps,
    UsageError,
)
from dlcc.compiler.frontend import freezer
from dlcc.compiler.frontend.checkpoint import Checkpoint
from dlcc.compiler.frontend.crc32c import crc32c
from dlcc.compiler.frontend.load import load, load_all
from dlcc.compiler.frontend.translate import translate


def refused(kind, match, path, *args, **options):
    """The hint of the error that loading this ends in."""
    with pytest.raises(kind, match=match) as caught:
        load(path, *args, **options)
    assert type(caught.value) is kind
    assert "\n" not in caught.value.what
    return caught.value.hint


@pytest.fixture
def checkpoint(tf1_examples, tmp_path):
    """A copy to damage."""
    shutil.copytree(tf1_examples["checkpoint"].path, tmp_path / "copy")
    return tmp_path / "copy"


class TestChoices:
    def test_signatures_are_listed(self, tf2_examples, tf1_examples):
        path = tf2_examples["tf2 dense"].path
        assert "--signature" in refused(UsageError, "signatures: conv, dense", path)
        hint = refused(UsageError, "no signature 'dens'", path, signature="dens")
        assert "did you mean 'dense'?" in hint
        assert "'conv'" in refused(UsageError, "no signature 'con'", path, signature="con,dense")
        assert "it has: conv, dense" in refused(UsageError, "no signature", path, signature=",")
        hint = refused(UsageError, "one signature is looked at", path, signature="conv,dense")
        assert "--signature conv, --signature dense" in hint

    def test_several_signatures(self, tf2_examples):
        path = tf2_examples["tf2 dense"].path
        with pytest.raises(UsageError, match="outputs can be chosen of one signature only"):
            load_all(path, outputs=["y"], signature="all")
        with pytest.raises(UnknownName, match="no input named 'imge'") as caught:
            load_all(path, {"imge": (1, 4, 4, 3)}, signature="all")
        assert "conv_image" in caught.value.hint or "image" in caught.value.hint

    def test_tags_are_listed(self, tf1_examples):
        hint = refused(UsageError, "no graph with tag 'tpu'", tf1_examples["tf1"].path, tag="tpu")
        assert "serve; gpu,serve" in hint

    def test_a_frozen_graph_has_neither(self, tmp_path):
        (tmp_path / "m.pb").write_bytes(b"\x0a\x00")
        refused(UsageError, "a frozen graph has none", tmp_path / "m.pb", signature="x")
        refused(UsageError, "a frozen graph has none", tmp_path / "m.pb", tag="x")

    def test_a_saved_model_without_signatures(self, tf2_examples, folder):
        assert "signatures=" in refused(ModelError, "no signatures", folder / "none")

    def test_unknown_names_show_the_signatures_own(self, tf1_examples):
        path = tf1_examples["tf1"].path
        assert "scores" in refused(UnknownName, "no output named 'zz'", path, None, ["zz"])
        assert "image" in refused(UnknownName, "no input named 'zz'", path, {"zz": None})


class TestVariables:
    def test_without_a_checkpoint(self, checkpoint):
        for file in checkpoint.glob("*ckpt-10.[id]*"):
            file.unlink()
        meta = checkpoint / "model.ckpt-10.meta"
        hint = refused(ModelError, r"7 variables \(.*conv/w.*\) and no", meta, None, ["probs"])
        assert ".index" in hint

    def test_a_checkpoint_without_a_graph(self, checkpoint):
        (checkpoint / "model.ckpt-10.meta").unlink()
        assert refused(UnreadableModel, "weights but no graph", checkpoint)

    def test_a_training_graph_gives_its_prediction(self, checkpoint):
        assert [output.name for output in load(checkpoint).outputs] == ["probs"]

    def test_every_change_of_the_data_is_seen(self, checkpoint):
        path = checkpoint / "model.ckpt-10.data-00000-of-00001"
        data = bytearray(path.read_bytes())
        for at in range(0, len(data), 97):
            data[at] ^= 1
        path.write_bytes(data)
        reader = Checkpoint(checkpoint / "model.ckpt-10")
        for key in reader:
            if reader.array.__self__._entries[key].size > 97:
                with pytest.raises(UnreadableModel, match="checksum is wrong"):
                    reader.array(key)

    def test_a_short_data_file(self, checkpoint):
        path = checkpoint / "model.ckpt-10.data-00000-of-00001"
        path.write_bytes(path.read_bytes()[:64])
        with pytest.raises(UnreadableModel, match=r"is cut short|cannot be read"):
            translate(load(checkpoint, outputs=["probs"]))
        path.unlink()
        with pytest.raises(UnreadableModel, match="no such file") as caught:
            translate(load(checkpoint, outputs=["probs"]))
        assert ".data-" in caught.value.hint

    def test_a_damaged_index_never_crashes(self, checkpoint):
        path = checkpoint / "model.ckpt-10.index"
        data = path.read_bytes()
        rng = np.random.default_rng(1)
        damaged = [data[:n] for n in range(0, len(data), 31)]
        for _ in range(200):
            copy = bytearray(data)
            copy[rng.integers(len(data))] ^= 1 << rng.integers(8)
            damaged.append(bytes(copy))
        for content in damaged:
            path.write_bytes(content)
            try:
                translate(load(checkpoint, outputs=["probs"]))
            except DlccError as error:
                assert error.hint  # noqa: PT017  either it loads as before, or says why not

    def test_the_checksum(self):
        assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, appendix B.4
        assert crc32c(bytes(32)) == 0x8A9136AA
        data = np.random.default_rng(2).bytes(5000)
        state = 0xFFFFFFFF
        for octet in data:
            state ^= octet
            for _ in range(8):
                state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
        assert crc32c(data) == state ^ 0xFFFFFFFF


class TestKeras:
    @pytest.mark.parametrize("name", ["lambda.keras", "lambda.h5"])
    def test_lambda_layers_are_never_run(self, keras_examples, folder, name):
        hint = refused(ModelError, r"Lambda layers \(doubling\)", folder / name)
        assert "SavedModel" in hint

    def test_classes_that_are_not_of_keras_are_never_imported(self, tmp_path):
        layer = {"module": "os", "class_name": "system", "config": {"name": "evil"}}
        config = {"class_name": "Sequential", "config": {"layers": [layer]}}
        with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
            archive.writestr("config.json", json.dumps(config))
        refused(ModelError, r"not Keras's: evil \(os.system\)", tmp_path / "m.keras")

    @pytest.mark.parametrize("name", ["m.keras", "m.h5"])
    def test_what_is_no_model(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\nPK")
        assert refused(UnreadableModel, "no Keras model, or is damaged", tmp_path / name)


class TestTensorFlow:
    def test_missing(self, keras_examples, monkeypatch):
        monkeypatch.setattr(freezer.importlib.util, "find_spec", lambda name: None)
        hint = refused(ToolchainError, "TensorFlow, which is not", keras_examples["keras"].path)
        assert "pip install 'dlcc[tensorflow]'" in hint

    def test_its_own_error_comes_after_ours(self, tf2_examples, tmp_path):
        shutil.copytree(tf2_examples["tf2 dense"].path, tmp_path / "m")
        shutil.rmtree(tmp_path / "m/variables")
        match = "cannot be loaded by TensorFlow: .*variables"
        assert "-v" in refused(UnreadableModel, match, tmp_path / "m", signature="dense")

    def test_a_crash_is_told(self, keras_examples, tmp_path, monkeypatch):
        program = tmp_path / "crash.py"
        program.write_text("import os; print('no memory', flush=True); os.abort()")
        monkeypatch.setattr(freezer, "PROGRAM", program)
        path = keras_examples["keras"].path
        refused(UnreadableModel, r"crashed \(SIGABRT\) .*: no memory", path)


def imported(build):
    """What `build` makes in a graph of TensorFlow 1."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        build(tf)
    return graph.as_graph_def()


def decoding(tf):
    image = tf.io.decode_jpeg(tf.compat.v1.placeholder(tf.string, [], "jpeg"), 3)
    tf.nn.relu(tf.cast(image, tf.float32), name="y")


def looking_up(tf):
    keys = tf.strings.split(tf.compat.v1.placeholder(tf.string, [1], "text")).values
    values = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([0, 1], tf.int64))
    ids = tf.lookup.StaticHashTable(values, -1).lookup(keys)
    tf.gather(tf.ones([2, 3]), ids, name="y")


def parsing(tf):
    features = {
        "words": tf.io.VarLenFeature(tf.string),
        "x": tf.io.FixedLenFeature([4], tf.float32),
    }
    parsed = tf.io.parse_example(tf.compat.v1.placeholder(tf.string, [None], "record"), features)
    tf.nn.relu(parsed["x"], name="y")


def queueing(tf):
    queue = tf.queue.FIFOQueue(3, [tf.int32, tf.float32], [[], [4]])
    tf.nn.relu(queue.dequeue()[1], name="y")


def iterating(tf):
    shapes = (tf.TensorShape([None, 3]), tf.TensorShape([]))
    iterator = tf.compat.v1.data.Iterator.from_structure((tf.float32, tf.int64), shapes)
    tf.nn.relu(iterator.get_next()[0], name="y")


def dequeuing_many(tf):
    queue = tf.queue.FIFOQueue(3, [tf.int32, tf.float32], [[], [4]])
    tf.nn.relu(queue.dequeue_many(2)[1], name="y")


@pytest.mark.parametrize(
    ("build", "cut", "shape", "dtype"),
    [
        (decoding, "DecodeJpeg", (None, None, 3), "uint8"),
        (parsing, "ParseExample/ParseExampleV2:3", (None, 4), "float32"),
        (queueing, "fifo_queue_Dequeue:1", (4,), "float32"),
        (dequeuing_many, "fifo_queue_DequeueMany:1", (2, 4), "float32"),
        (iterating, "IteratorGetNext", (None, 3), "float32"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_host_prepares_becomes_an_input(build, cut, shape, dtype, caplog):
    model = imported(build)
    with caplog.at_level("INFO", "dlcc"):
        graph = load(model, outputs=["y"])
    assert [(i.name, i.dtype, i.shape) for i in graph.inputs] == [(cut, dtype, shape)]
    assert f"input {cut} ({dtype}" in caplog.text
    assert translate(graph).inputs[0].name == cut


def test_a_given_shape_wins_where_a_host_prepares():
    graph = load(imported(decoding), {"DecodeJpeg": (8, 9, 3)}, ["y"])
    assert [i.shape for i in graph.inputs] == [(8, 9, 3)]


def test_a_picture_of_unknown_channels_needs_a_shape():
    def build(tf):
        image = tf.io.decode_image(tf.compat.v1.placeholder(tf.string, [], "file"))
        tf.cast(image, tf.float32, name="y")

    with pytest.raises(ShapeNeeded) as caught:
        load(imported(build), outputs=["y"])
    assert "=h,w,3" in caught.value.hint


def test_tables_are_for_the_host():
    cut = "hash_table_Lookup/LookupTableFindV2"
    model = imported(looking_up)
    with pytest.raises(UnsupportedOps) as caught:
        translate(load(model, outputs=["y"]))
    assert f"--input {cut}=SHAPE" in caught.value.hint
    made = translate(load(model, {cut: (5,)}, ["y"]))
    assert [(i.name, i.dtype, i.shape) for i in made.inputs] == [(cut, "int64", (5,))]


def test_a_cut_behind_a_comparison_is_boolean():
    def build(tf):
        x = tf.compat.v1.placeholder(tf.float32, [2], "x")
        tf.cast(tf.greater(x, 1.0, name="above"), tf.float32, name="y")

    assert load(imported(build), {"above": (2,)}).inputs[0].dtype == "bool"


def test_a_cut_of_unknown_dtype_is_refused():
    def build(tf):
        serialized = tf.compat.v1.placeholder(tf.string, [], "t")
        tf.stack([tf.strings.length(serialized, name="length"), 1], name="y")

    with pytest.raises(BadNode, match=r"length \(StringLength\): cannot become an input"):
        load(imported(build), {"length": ()}, ["y"])


class TestSymbols:
    def build(self, tf):
        a = tf.compat.v1.placeholder(tf.float32, [None, 4], "a")
        b = tf.compat.v1.placeholder(tf.float32, [None, 4], "b")
        tf.add(a, b, name="y")

    def test_one_letter_is_one_size(self):
        shapes = {"a": ("n", 4), "b": ("n", None)}
        made = translate(load(imported(self.build), shapes))
        assert [i.shape for i in made.inputs] == [("n", 4), ("n", 4)]
        assert made.outputs[0].shape == ("n", 4)

    def test_a_letter_like_ours_is_another(self):
        made = translate(load(imported(self.build), {"a": (1, 4), "b": ("a_d0", 4)}))
        assert made.inputs[1].shape == ("a_d0", 4)
        made = translate(load(imported(self.build), {"a": (None, 4), "b": ("a_d0", 4)}, ["a", "b"]))
        assert [i.shape[0] for i in made.inputs] == ["a_d0_", "a_d0"]

    def test_what_is_no_name(self):
        with pytest.raises(UsageError, match="'n-1' is neither a size nor"):
            load(imported(self.build), {"a": ("n-1", 4)})

    def test_a_fixed_dimension_takes_no_name(self):
        with pytest.raises(UsageError, match=r"\(\?, 4\) in the model, \(2, k\) was given"):
            load(imported(self.build), {"a": (2, "k")})
