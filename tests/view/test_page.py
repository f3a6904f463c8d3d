"""The values that a page is made of, and how they get into it unharmed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from dlcc.compiler.cli.main import main
from dlcc.compiler.errors import UsageError
from dlcc.compiler.inspect import layers
from dlcc.compiler.network import Layer, Quantization
from dlcc.compiler.network.memory import TargetArena, timeline
from dlcc.compiler.view import Placements, page, read_costs, write
from dlcc.compiler.view.costs import costs_of
from dlcc.compiler.view.page import SCRIPTS
from dlcc.compiler.view.statistics import CHUNK, statistics
from tests.dlc.samples import version_3, zipped
from tests.view import networks


def model_of(text: str) -> Any:
    """The values in a page."""
    found = re.search(r'<script type="application/json" id="model">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found[1])


def test_statistics_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).normal(size=(40, 1000)).astype("float32")
    values[:10] = 0
    found = statistics(values)
    assert found
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    assert found.mean == pytest.approx(values.mean(dtype="float64"))
    assert found.deviation == pytest.approx(values.std(dtype="float64"))
    assert found.zeros == 0.25
    assert np.abs(found.histogram - np.histogram(values, 32)[0]).max() <= 1, "but for rounding"


def test_statistics_of_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(1000, dtype="int16") - 300
    whole = statistics(values)
    monkeypatch.setattr("dlcc.compiler.view.statistics.CHUNK", 7)
    assert CHUNK > 7
    parts = statistics(values)
    assert parts
    assert whole
    assert parts.deviation == pytest.approx(whole.deviation)
    assert replace(parts, deviation=0) == replace(whole, deviation=0)


@pytest.mark.parametrize(
    ("value", "minimum", "maximum", "not_finite"),
    [
        (np.array([True, False]), 0, 1, 0),
        (np.array([np.nan, -np.inf, 2.0, 3.0]), 2, 3, 2),
        (np.array([1.5, -2], ml_dtypes.bfloat16), -2, 1.5, 0),
        (np.array([1.5, -2], ml_dtypes.float8_e4m3fn), -2, 1.5, 0),
        (np.array(7, "uint8"), 7, 7, 0),
        (np.full((3, 3), 2**62, "int64"), 2**62, 2**62, 0),
        (np.array([-1.5e308, 0, 1.5e308]), -1.5e308, 1.5e308, 0),
        (np.array([1.0, np.nextafter(1, 2)]), 1, np.nextafter(1, 2), 0),
    ],
    ids=lambda v: str(v.dtype) if isinstance(v, np.ndarray) else None,
)
def test_statistics_of_any_numbers(
    value: np.ndarray, minimum: float, maximum: float, not_finite: int
) -> None:
    found = statistics(value)
    assert found
    assert (found.minimum, found.maximum, found.not_finite) == (minimum, maximum, not_finite)
    assert sum(found.histogram) == value.size - not_finite
    assert min(found.histogram) >= 0


@pytest.mark.parametrize("value", [np.array(["a"]), np.zeros(0), np.array([np.nan])], ids=str)
def test_what_holds_no_number_has_no_statistics(value: np.ndarray) -> None:
    assert statistics(value) is None


def test_stored_integers_are_shown_as_what_they_stand_for() -> None:
    stored = np.array([0, 128, 255], "uint8")
    found = statistics(stored, Quantization(8, 0.5, -128, -64.0, 63.5))
    assert found
    assert (found.minimum, found.maximum, found.zeros) == (-64, 63.5, pytest.approx(1 / 3))


def profile(*kernels: dict[str, Any]) -> dict[str, Any]:
    return {"target": "host", "device": "local", "kernels": list(kernels)}


def test_a_kernel_of_several_layers_costs_at_the_last() -> None:
    row = {"kernel": "k", "nodes": ["stem/relu", "stem/conv"], "placement": "cpu", "time_s": 0.25}
    other = {"kernel": "l", "nodes": ["not/there"], "placement": "cpu", "time_s": 0.75}
    found = costs_of(profile(row, other), networks.small())
    assert (found.rows, found.matched, found.unit, found.total) == (2, 1, "time_s", 1.0)
    assert found.layers["stem/conv"].within == "stem/relu"
    assert found.layers["stem/conv"].amount == 0
    assert (found.layers["stem/relu"].amount, found.layers["stem/relu"].share) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("cost", "unit", "amount"),
    [
        ({"packets": 8, "instructions": 20}, "packets", 8),
        ({"time_s": None, "counts": {"instructions": 7}}, "instructions", 7),
        ({"time_s": 0.5, "counts": {}}, "time_s", 0.5),
    ],
)
def test_a_cost_is_what_the_device_counts(cost: dict[str, Any], unit: str, amount: float) -> None:
    found = costs_of(profile({"kernel": "k", "nodes": ["logits"], **cost}), networks.small())
    assert (found.unit, found.layers["logits"].amount) == (unit, amount)
    assert found.layers["logits"].placement == "host", "where rows name none, it is the target"


def test_calls_of_one_kernel_share_its_layers_out() -> None:
    """Each row has the nodes of all calls of its kernel."""
    made = networks.Made()
    x = made.input("x", (8,))
    for name in "abc":
        x = made.layer(f"{name}/pool", "PoolMax2d", [x])
        x = made.layer(f"{name}/conv", "Conv2d", [x])
        x = made.layer(f"{name}/relu", "Relu", [x])
    nodes = [f"{n}/{op}" for n in "abc" for op in ("conv", "relu")]
    rows = [{"kernel": "k", "nodes": nodes, "packets": n} for n in (1, 2, 3)]
    found = costs_of(profile(*rows), made.network(x))
    assert {n: found.layers[f"{n}/relu"].amount for n in "abc"} == {"a": 1, "b": 2, "c": 3}
    assert {n: found.layers[f"{n}/conv"].within for n in "abc"} == {n: f"{n}/relu" for n in "abc"}
    assert "a/pool" not in found.layers


def test_calls_that_feed_each_other_get_equal_parts() -> None:
    made = networks.Made()
    x = made.input("x", (8,))
    for name in "abcd":
        x = made.layer(name, "Conv2d", [x])
    rows = [{"kernel": "k", "nodes": list("abcd"), "packets": n} for n in (1, 2)]
    found = costs_of(profile(*rows), made.network(x))
    assert {n: found.layers[n].amount for n in "abcd"} == {"a": 0, "b": 1, "c": 0, "d": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "holds no JSON"),
        ("\xff\xfe", "holds no JSON"),
        ("[" * 100000, "holds no JSON"),
        ("[]", "is no profile"),
        ("{}", "is no profile"),
        ('{"kernels": 3}', "is no profile"),
        ('{"kernels": []}', "is no profile"),
        ('{"kernels": [{"kernel": "k"}]}', "is no profile"),
        ('{"kernels": [{"kernel": "k", "time_s": "x"}]}', "is no profile"),
        (
            '{"kernels": [{"kernel": "k", "time_s": 1, "nodes": ["x"]}]}',
            "another model: none of its 1 kernels computes a layer of small",
        ),
    ],
)
def test_what_is_no_profile_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "profile.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=said) as caught:
        read_costs(path, networks.small())
    assert "dlcc profile" in caught.value.hint


def test_no_text_of_a_model_ends_its_element() -> None:
    text = page(networks.hostile())
    assert text.count("<script") == 2
    assert text.count("</script>") == 2
    assert "<!--" not in text
    assert "\u2028" not in text
    assert "\u202e" not in text
    text.encode("utf-8")
    names = [layer["name"] for layer in model_of(text)["layers"]]
    assert names[0].startswith("a</script><script>alert(1)</script><!--\"'&\\x07\\u202e")


def test_a_page_names_no_other_address() -> None:
    text = page(networks.small())
    outside = set(re.findall(r"""(?:https?:)?//[\w.]+[^\s"'`)]*""", text))
    assert {a for a in outside if a.startswith("http")} == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in text
    assert "@import" not in text


def test_every_script_is_in_the_page() -> None:
    folder = Path(__file__).resolve().parents[2] / "compiler/view/web"
    assert sorted(SCRIPTS) == sorted(path.name for path in folder.glob("*.js"))
    long = {p.name: n for p in folder.iterdir() if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


def test_equal_models_make_equal_pages() -> None:
    assert page(networks.small()) == page(networks.small())


def test_a_page_tells_of_arenas_and_placements() -> None:
    network = networks.small()
    memory = replace(timeline(network), targets=(TargetArena("hexagon", 4096),))
    placed = Placements("opencl", {"logits": "gpu"}, {"logits": ("k", "l")})
    model = model_of(page(network, memory=memory, placements=placed))
    assert model["memory"]["targets"] == [["hexagon", 4096]]
    assert model["placements"] == [[len(network.layers) - 1, "gpu"]]
    assert model["kernels"] == [[len(network.layers) - 1, ["k", "l"]]]
    assert model["target"] == "opencl"


def test_attributes_of_any_kind_are_short_texts() -> None:
    network = networks.small()
    attributes = {
        "b": True,
        "i": 3,
        "f": 0.1,
        "s": "SAME",
        "a": np.array([[1, 2], [3, 4]]),
        "long": np.zeros((100, 100), "int64"),
    }
    layers = (Layer("stem/conv", "Conv2d", (), (), attributes), *network.layers[1:])
    rows = dict(model_of(page(replace(network, layers=layers)))["layers"][0]["attributes"])
    assert rows["b"] == "true"
    assert (rows["i"], rows["f"], rows["s"]) == ("3", "0.1", "SAME")
    assert rows["a"] == "[[1, 2], [3, 4]]"
    assert rows["long"].startswith("int64[100, 100]: 0, 0")
    assert len(rows["long"]) < 80


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        write(networks.small(), tmp_path / "none" / "page.html")
    write(networks.small(), tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


GRAPH = """
node { name: "x" op: "Placeholder"
  attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "shape" value { shape { dim { size: 2 } dim { size: 3 } } } } }
node { name: "y" op: "Neg" input: "x" attr { key: "T" value { type: DT_FLOAT } } }
node { name: "z" op: "Relu" input: "y" attr { key: "T" value { type: DT_FLOAT } } }
"""


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """`dlcc view` in a folder with a model, its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pbtxt").write_text(GRAPH)

    def run(*args: str) -> tuple[int, str, str]:
        code = main(["view", *args])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_the_verb_writes_a_page(call: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    rows = profile(
        {"kernel": "k", "nodes": ["y", "z"], "placement": "cpu", "time_s": 1},
        {"kernel": "other", "nodes": ["w"], "placement": "cpu", "time_s": 1},
    )
    (tmp_path / "profile.json").write_text(json.dumps(rows))
    code, out, err = call("net.pbtxt", "--profile", "profile.json", "--json")
    assert code == 0
    said = json.loads(out)
    assert (said["path"], said["layers"], said["kernels"], said["matched"]) == (
        *("net.html", 2, 2, 1),
    )
    assert "1 of its 2 kernels" in err
    model = model_of((tmp_path / "net.html").read_text("utf-8"))
    assert [layer["nodes"][-1] for layer in model["layers"]] == ["y", "z"]
    assert model["costs"]["matched"] == 1


def test_a_dlc_of_qualcomms_tools_is_shown(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    model, params = version_3()
    path = zipped(tmp_path / "net.dlc", {"model": model, "model.params": params})
    assert call(path.name)[0] == 0
    shown = model_of((tmp_path / "net.html").read_text("utf-8"))
    assert shown["form"] == "Qualcomm DLC 3"
    assert [layer["op"] for layer in shown["layers"]][-1] == "Eltwise"


def test_a_container_tells_the_arena_of_its_code(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    compiled = ["compile", "-q", "net.pbtxt", "-t", "host", "--runtime", "aot", "-o", "net.dlc"]
    assert main(compiled) == 0
    assert call("net.dlc")[0] == 0
    shown = model_of((tmp_path / "net.html").read_text("utf-8"))
    ((target, size),) = shown["memory"]["targets"]
    assert target.startswith("host")
    assert size >= 0


def test_a_container_tells_where_its_layers_run(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the first target, or of the one that is asked for, as `info --layers` has it."""
    compiled = ["compile", "-q", "net.pbtxt", "-t", "host,opencl", "-o", "net.dlc"]
    assert main(compiled) == 0
    capsys.readouterr()
    for args, target, engine in ((), "host", "cpu"), (("-t", "opencl"), "opencl", "gpu"):
        code, out, _ = call("net.dlc", *args, "--json")
        assert (code, json.loads(out)["target"]) == (0, target)
        shown = model_of((tmp_path / "net.html").read_text("utf-8"))
        rows = layers(tmp_path / "net.dlc")
        assert shown["target"] == target
        assert shown["placements"] == [[row.id, engine] for row in rows]
        assert shown["kernels"] == [[row.id, list(row.kernels[target])] for row in rows]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["nothing.pb"], 3, "no such file"),
        (["profile.html"], 3, "profile.html"),
        (["net.pbtxt", "--profile", "net.pbtxt"], 2, "holds no JSON"),
        (["net.pbtxt", "--profile", "none.json"], 2, "cannot read none.json"),
        (["net.pbtxt", "-o", "none/page.html"], 2, "cannot write"),
        (["net.pbtxt", "--output", "q"], 2, "no output named 'q'"),
        (["net.pbtxt", "-t", "host"], 2, "net.pbtxt is no container"),
        (["net.pbtxt", "-t", "host", "--profile", "none.json"], 2, "a profile tells its target"),
    ],
)
def test_bad_input_is_told(
    call: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    args: list[str],
    code: int,
    said: str,
) -> None:
    (tmp_path / "profile.html").write_text("<html>")
    found, out, err = call(*args)
    assert (found, out) == (code, "")
    assert said in err
    assert list(tmp_path.glob("net.html")) == []
