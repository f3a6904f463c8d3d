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


def _weights(container) -> set[str]:
    return {name for name in container.manifest.entries if name.startswith("dlcc/weights/")}


def test_all_signatures_in_one_container(tf1_examples, tmp_path, capsys):
    """Each keeps its names, and what they share lies in the file once."""
    from dlcc.compiler import open_container
    from dlcc.compiler.cli.main import main

    made, model = tmp_path / "all.dlc", str(tf1_examples["tf1"].path)
    assert main(["compile", model, "--signature", "all", "-o", str(made), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["signatures"] == ["raw", "serving_default"]
    container = open_container(made)
    assert container.manifest.options["signature"] == "raw,serving_default"
    assert [o.name for o in container.outputs] == ["scores"]
    for name, example in (("raw", "tf1 raw"), ("serving_default", "tf1")):
        with container.session(signature=name) as session:
            found = session.run(tf1_examples[example].fed)
        for output, expected in tf1_examples[example].made.items():
            np.testing.assert_allclose(found[output], expected, rtol=1e-4, atol=1e-5)
    one = compile(model, signature="raw")
    assert _weights(one) <= _weights(container)
    assert len(_weights(container)) < 1.5 * len(_weights(one))
    np.savez(tmp_path / "x.npz", **tf1_examples["tf1 raw"].fed)
    np.savez(tmp_path / "y.npz", **tf1_examples["tf1 raw"].made)
    options = ["--input", str(tmp_path / "x.npz"), "--expect", str(tmp_path / "y.npz")]
    assert main(["run", str(made), "--signature", "raw", *options]) == 0
    assert main(["run", str(made), "--signature", "rw", *options]) == 2
    assert main(["info", str(made), "--signature", "raw"]) == 0
    assert "logits" in capsys.readouterr().out


def test_several_signatures_of_tensorflow_2(tf2_examples):
    """TensorFlow is asked once; each signature takes the shapes of its own inputs."""
    shapes = {"image": (1, "h", "w", 3), "x": ("n", 8)}
    container = compile(tf2_examples["tf2 conv"].path, signature="conv,dense", inputs=shapes)
    assert container.signatures == ("conv", "dense")
    for name in container.signatures:
        example = tf2_examples[f"tf2 {name}"]
        renamed = {f"{name}_{k}": v for k, v in example.fed.items()}
        with container.session(signature=name) as session:
            fed = {i.name: (example.fed | renamed)[i.name] for i in session.signature.inputs}
            found = session.run(fed)
        for output, expected in example.made.items():
            np.testing.assert_allclose(found[output], expected, rtol=1e-4, atol=1e-5)


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
