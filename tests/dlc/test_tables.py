"""Networks as tables of version 4, and back."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dlcc.compiler.container.archive import Archive
from dlcc.compiler.dlc import v4
from dlcc.compiler.dlc.flat import behind_prefix
from dlcc.compiler.dlc.metadata import decode_metadata, encode_metadata
from dlcc.compiler.dlc.notes import decode_notes, encode_notes
from dlcc.compiler.dlc.read import read_dlc
from dlcc.compiler.dlc.write import Tables, write_tables
from dlcc.compiler.errors import BadContainer, ModelError
from dlcc.compiler.network.network import Network, Tensor
from tests.dlc.samples import BIAS, KERNEL, foreign, joined, odd, same, small

SHORT, LONG = 1 << 31, 0


def bad(what: str) -> BadContainer:
    return BadContainer(what)


def read_back(tables: Tables) -> list[Network]:
    flats = [behind_prefix(memoryview(content), "entry", bad)[0] for content in joined(tables)]
    notes = decode_notes(encode_notes(tables.notes))
    return v4.networks(*flats, {note.graph: note for note in notes})


@pytest.mark.parametrize("long_from", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("network", [small(), odd()], ids=["small", "odd"])
def test_a_network_comes_back(network: Network, long_from: int) -> None:
    (found,) = read_back(write_tables([network], long_from=long_from))
    same(found, network)


@pytest.mark.parametrize("long_from", [SHORT, LONG], ids=["short", "long"])
def test_tensors_lie_at_multiples_of_64_bytes_once(long_from: int) -> None:
    """Two graphs with equal weights share them; a view of a weight, too."""
    one, other = small(), small()
    tables = write_tables([one, replace(other, name="other"), odd()], long_from=long_from)
    params = joined(tables)[1]
    assert params.count(KERNEL.tobytes()) == params.count(BIAS.tobytes()) == 1
    assert len(params) == len(tables.params)
    for start, size in tables.places.values():
        assert start % 64 == 0
        assert start + size <= len(params)
    ends = sorted((start, start + size) for start, size in tables.places.values())
    assert all(end <= start for (_, end), (start, _) in pairwise(ends))


def test_equal_networks_give_equal_bytes() -> None:
    one, other = write_tables([small(), odd()]), write_tables([small(), odd()])
    assert joined(one) == joined(other)
    assert encode_notes(one.notes) == encode_notes(other.notes)


def test_graphs_with_one_name_get_two(tmp_path: Path) -> None:
    """Parameters are found by the graph's name; what Netron shows stands last."""
    first, second = small(), replace(odd(), name="small")
    tables = write_tables([first, second], shown=0)
    assert [note.graph for note in tables.notes] == ["small", "small 2"]
    for found, expected in zip(read_back(tables), (first, second), strict=True):
        same(found, expected)
    names = [n.name for n in read_dlc(foreign(tmp_path / "two.dlc", first, second))]
    assert names == ["small 2", "small"]


def test_tables_alone_say_what_they_have_words_for(tmp_path: Path) -> None:
    """As any other reader sees them."""
    (found,) = read_dlc(foreign(tmp_path / "odd.dlc", odd()))
    assert found.form == "Qualcomm DLC 4"
    assert str(found.tensors["a"]) == "undefined[?, 3, ?]"
    assert str(found.tensors["rank"]) == "int64[?]"
    assert found.tensors["scalar"].value is None
    assert found.layers[0].attributes["long"] == str(2**40)
    assert found.layers[0].attributes["double"] == "undefined[2]"
    np.testing.assert_array_equal(found.tensors["flags"].value, [True, False, True])
    assert found.inputs == ("b", "a")
    assert found.outputs == ("second", "first")


def test_values_are_views_of_the_file(tmp_path: Path) -> None:
    path = foreign(tmp_path / "small.dlc", small())
    (found,) = read_dlc(path)
    value = found.tensors["conv/weight"].value
    assert value is not None
    assert not value.flags.owndata
    assert Archive(path).names == ("dlc.metadata", "model", "model.params")


def test_a_constant_without_a_value_is_not_promised() -> None:
    """Netron refuses a constant that the parameters lack."""
    network = Network("n", "container", (), {"c": Tensor("c", "int8", (2,), "constant")}, (), ())
    (found,) = read_back(write_tables([network]))
    assert found.tensors["c"].role == "intermediate"


def test_a_constant_without_a_size_is_refused() -> None:
    text = Tensor("t", "object", (1,), "constant", value=np.array(["a"], object))
    with pytest.raises(ModelError, match="dtype"):
        write_tables([Network("n", "container", (), {"t": text}, (), ())])


def test_metadata_is_lines_without_line_ends_inside() -> None:
    found = decode_metadata(encode_metadata("1.2", {"b": "x\ny", "a": "k=v"}))
    assert found["converter-command"] == "dlcc compile a=k=v b=x y"
    assert found["converter-version"] == "1.2"
    assert decode_metadata(b"\xff=1\nno pair\n=2\n\nk=\n") == {"\\xff": "1", "k": ""}
