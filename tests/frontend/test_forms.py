"""Every form of a model gives the results that TensorFlow gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlcc.compiler import compile
from dlcc.compiler.frontend.load import load
from tests.frontend.forms import Example


def same(example: Example, path: Path | None = None, **options) -> None:
    """Compile the model, run it, and compare every output, its name and its place."""
    container = compile(path or example.path, **options)
    with container.session() as session:
        made = session.run(example.fed)
    assert list(made) == list(example.made) or list(made) == sorted(example.made)
    for name, expected in example.made.items():
        np.testing.assert_allclose(made[name], expected, rtol=1e-4, atol=1e-5)


CHECKPOINTS = (
    "", "checkpoint", "model.ckpt-10", "model.ckpt-10.meta", "model.ckpt-10.index",
    "model.ckpt-10.data-00000-of-00001",
)  # fmt: skip


def test_checkpoint(tf1_examples):
    same(tf1_examples["checkpoint"], outputs=["probs"])


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_path_of_a_checkpoint_is_the_same_graph(tf1_examples, name):
    graph = load(tf1_examples["checkpoint"].path / name, outputs=["probs:0"])
    assert graph.name == "model.ckpt-10"
    assert [i.name for i in graph.inputs] == ["x"]
    assert not [n.op for n in graph.nodes if "Var" in n.op or "Adam" in n.op]
    assert sum(n.op == "Const" for n in graph.nodes) > 5


def test_a_checkpoint_that_was_moved_is_found(tf1_examples, tmp_path):
    for file in tf1_examples["checkpoint"].path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    where = 'model_checkpoint_path: "/elsewhere/model.ckpt-10"\n'
    (tmp_path / "checkpoint").write_text(where)
    assert load(tmp_path, outputs=["probs"]).nodes


@pytest.mark.parametrize("name", ["tf1", "tf1 raw"])
def test_saved_model_of_tensorflow_1(tf1_examples, name):
    same(tf1_examples[name], signature="raw" if name == "tf1 raw" else None)


def test_a_tag_chooses_the_graph(tf1_examples):
    graph = load(tf1_examples["tf1"].path, tag="gpu, serve")
    assert [o.name for o in graph.outputs] == ["logits"]
    assert dict(graph.options)["signature"] == "raw"


def test_tensors_have_their_own_names_besides(tf1_examples):
    graph = load(tf1_examples["tf1"].path, {"x:0": (1, 8, 8, 3)}, ["Relu", "scores"])
    assert [i.name for i in graph.inputs] == ["x:0"]
    assert [o.name for o in graph.outputs] == ["Relu", "scores"]


def test_info_and_check_take_a_signature(tf1_examples, capsys):
    from dlcc.compiler.cli.main import main

    model = str(tf1_examples["tf1"].path)
    assert main(["info", model, "--signature", "raw", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["options"] == {"tag": "serve", "signature": "raw"}
    assert [o["name"] for o in shown["outputs"]] == ["logits"]
    assert shown["size_bytes"] > 10_000
    assert main(["info", str(tf1_examples["checkpoint"].path), "--signature", "raw"]) == 2
    assert main(["check", model, "--signature", "raw", "--tag", "serve,gpu", "--json"]) == 0
    assert all(row["converter"] for row in json.loads(capsys.readouterr().out))


def test_checkpoints_and_saved_models_of_tensorflow_1_need_no_tensorflow(tf1_examples):
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from dlcc.compiler.frontend.load import load\n"
        "load(sys.argv[1], outputs=['probs']); load(sys.argv[2])"
    )
    paths = [tf1_examples[name].path for name in ("checkpoint", "tf1")]
    subprocess.run([sys.executable, "-c", code, *paths], check=True)


def test_saved_model_of_tensorflow_2(tf2_examples):
    same(tf2_examples["tf2 dense"], signature="dense")


def test_keras(keras_examples):
    same(keras_examples["keras"])


def test_hdf5_with_named_dimensions(keras_examples):
    example = keras_examples["h5"]
    shapes = {"image": ("batch", 8, 8, 3), "scale": ("batch", 1)}
    container = compile(example.path, inputs=shapes)
    assert [i.shape for i in container.inputs] == [("batch", 8, 8, 3), ("batch", 1)]
    assert {o.shape[0] for o in container.outputs} == {"batch"}
    with container.session() as session:
        made = session.run(example.fed)
    for name, expected in example.made.items():
        np.testing.assert_allclose(made[name], expected, rtol=1e-4, atol=1e-5)


def test_the_command_line_is_quiet(tf2_examples, tmp_path):
    """The other signature, by the command; TensorFlow's talk reaches nobody."""
    example = tf2_examples["tf2 conv"]
    model, made = str(example.path / "saved_model.pb"), tmp_path / "made.dlc"
    options = ["--signature", "conv", "--tag", "serve", "-i", "conv_image=1,h,w,3"]
    command = [sys.executable, "-m", "dlcc.compiler.cli", "compile", model, "-o", made, "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert (done.returncode, json.loads(done.stdout)["path"]) == (0, str(made)), done.stderr
    noise = [line for line in done.stderr.splitlines() if "tensorflow" in line.lower()]
    assert noise == []
    assert len(done.stderr.splitlines()) < 20
    from dlcc.compiler import open_container

    container = open_container(made)
    assert container.inputs[0].shape == (1, "h", "w", 3)
    assert container.manifest.options == {"tag": "serve", "signature": "conv"}
    with container.session() as session:
        y = session.run({"conv_image": example.fed["image"]})["output_0"]
    np.testing.assert_allclose(y, example.made["output_0"], rtol=1e-4, atol=1e-5)
