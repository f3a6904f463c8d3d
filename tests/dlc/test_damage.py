"""Damaged and hostile tables: refused with one error, or read; never slowly, never into memory."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice

import numpy as np
import pytest

from dlcc.compiler.container.checked import Malformed
from dlcc.compiler.dlc import v3, v4
from dlcc.compiler.dlc.build import Layout, Scalar, Table
from dlcc.compiler.dlc.codes import MARK, MODEL_MARK, PREFIX
from dlcc.compiler.dlc.flat import Flat, behind_prefix
from dlcc.compiler.dlc.notes import decode_notes, encode_notes
from dlcc.compiler.dlc.write import write_tables
from dlcc.compiler.errors import BadContainer
from dlcc.compiler.network.network import Network
from tests.dlc.samples import joined, odd, small, version_3

MUTATIONS = 700  # of each file
TABLES = write_tables([small(), odd()])
SHORT, LONG = joined(TABLES), joined(write_tables([small(), odd()], long_from=0))
NOTES = {note.graph: note for note in TABLES.notes}


def bad(what: str) -> BadContainer:
    return BadContainer(what)


def read(model: bytes, params: bytes) -> list[Network]:
    (one, version), (other, _) = (behind_prefix(memoryview(x), "e", bad) for x in (model, params))
    return v4.networks(one, other) if version == 4 else [v3.network(one, other, "net")]


def mutations(files: tuple[bytes, bytes], seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Flipped bits, offsets that lead elsewhere, and ends cut off, in either file."""
    rng = np.random.default_rng(seed)
    for _ in range(MUTATIONS):
        made = [bytearray(files[0]), bytearray(files[1])]
        for _ in range(rng.integers(1, 4)):
            which = made[rng.integers(0, 2)]
            # Tables stand before the tensors, which nothing is read of.
            at = int(rng.integers(4, min(len(which), 1500) - 4))
            match rng.integers(0, 3):
                case 0:
                    which[at] ^= 1 << rng.integers(0, 8)
                case 1:
                    value = int(rng.choice([0, 1, 4, len(which), 2**31, 2**32 - 1, at, 65535]))
                    struct.pack_into("<I", which, at - at % 4, value)
                case _:
                    del which[int(rng.integers(8, len(which))) :]
                    which += bytes(max(0, 8 - len(which)))
                    break
        yield bytes(made[0]), bytes(made[1])


FILES = pytest.mark.parametrize(
    "files", [SHORT, LONG, version_3()], ids=["short vectors", "long vectors", "version 3"]
)


@FILES
def test_mutations(files: tuple[bytes, bytes]) -> None:
    said = list(filter(None, map(refusal, mutations(files, seed=7))))
    assert len(said) > MUTATIONS / 4
    assert max(map(len, said)) < 300
    assert not any("\n" in what for what in said)


def refusal(files: tuple[bytes, bytes]) -> str:
    """What the error says; "" where there is none. Any other error is the test's."""
    try:
        read(*files)
    except BadContainer as error:
        return error.what
    return ""


@FILES
def test_mutations_take_no_memory(files: tuple[bytes, bytes]) -> None:
    tracemalloc.start()
    for model, params in islice(mutations(files, seed=8), 60):
        with suppress(BadContainer):
            read(model, params)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def with_notes(flats: Sequence[Flat], notes: bytes) -> list[Network]:
    return v4.networks(flats[0], flats[1], {note.graph: note for note in decode_notes(notes)})


def test_notes_that_do_not_fit() -> None:
    notes = encode_notes(TABLES.notes)
    edits: list[tuple[bytes, bytes]] = [
        (b'"layer": 0', b'"layer": 9'),
        (b'"layer": 0', b'"layer": -1'),
        (b'"graph": "odd"', b'"graph": "even"'),
        (b'"n"', b"-1"),
        (b'"inputs": ["a", "b"]', b'"inputs": [1]'),
        (b'"bits": 16', b'"bits": "16"'),
        (b'"value": 1099511627776', b'"value": true'),
    ]
    flats = [behind_prefix(memoryview(content), "entry", bad)[0] for content in SHORT]
    for old, new in edits:
        assert old in notes
        with pytest.raises(Malformed):
            with_notes(flats, notes.replace(old, new))


def flat_of(root: Table) -> Flat:
    layout = Layout(root, MODEL_MARK, PREFIX.pack(MARK, 4, 0, 0))
    return behind_prefix(memoryview(bytes(layout.content)), "model", bad)[0]


def all_to_one(slots: Sequence[int], count: int) -> bytes:
    """Tables with one vector each, in these slots, whose offsets all lead to the next table; of
    the last table they lead to one text."""
    out = bytearray(struct.pack("<I4s", 8, MODEL_MARK))
    for slot in slots:
        fields = [0] * slot + [4]
        fields += [0] * (len(fields) % 2)
        vector = len(out) + 12 + 2 * len(fields)
        out += struct.pack("<iI", -8, vector - len(out) - 4)  # its slots lie behind the table
        out += struct.pack(f"<2H{len(fields)}H", 4 + 2 * len(fields), 8, *fields)
        behind = vector + 4 + 4 * count
        out += struct.pack("<I", count)
        out += b"".join(struct.pack("<I", behind - vector - 4 - 4 * i) for i in range(count))
    return bytes(out) + struct.pack("<I", 1000) + b"x" * 1001


def test_tables_that_refer_to_one_another_too_often() -> None:
    """2,000 graphs that are one, its 2,000 nodes that are one, with 2,000 inputs that are one."""
    few = Flat(memoryview(all_to_one([0, 1, 2], 2)), "model", bad)
    assert [len(n.layers) for n in v4.networks(few, None)] == [2, 2]
    many = Flat(memoryview(all_to_one([0, 1, 2], 2000)), "model", bad)
    with pytest.raises(BadContainer, match="refer to each other too often"):
        v4.networks(many, None)


def test_attributes_too_deep_in_each_other() -> None:
    attribute: Table = {0: "a", 1: Scalar("B", 2)}
    for _ in range(40):
        attribute = {0: "a", 1: Scalar("B", 11), 12: [attribute]}
    flat = flat_of({1: [{1: "node", 2: "Eltwise", 5: [attribute]}]})
    with pytest.raises(BadContainer, match="lie too deep in each other"):
        v3.network(flat, None, "net")


UNKNOWN: list[tuple[int, Table, str]] = [
    (4, {0: [{2: [{1: "t", 2: Scalar("i", 9), 6: Scalar("i", 8)}]}]}, "in such a place: 9"),
    (4, {0: [{1: [{4: [{0: "a"}]}]}]}, "it has no value"),
    (4, {0: [{1: [{4: [{0: "a", 1: Scalar("i", 1)}]}]}]}, "it has no tensor"),
    (4, {0: [{1: [{4: [{0: "a", 3: {0: Scalar("i", 0x64)}}]}]}]}, "has the code 0x64"),
    (3, {1: [{5: [{0: "a", 1: Scalar("B", 6)}]}]}, "no attribute has the type 6"),
]


@pytest.mark.parametrize(("version", "root", "said"), UNKNOWN, ids=[row[2] for row in UNKNOWN])
def test_what_nobody_has_seen_is_refused(version: int, root: Table, said: str) -> None:
    flat = flat_of(root)
    with pytest.raises(BadContainer, match=said):
        v4.networks(flat, None) if version == 4 else v3.network(flat, None, "net")
