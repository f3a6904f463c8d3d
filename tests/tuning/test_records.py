"""Lines of records: what is read back, and what is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcc.tuning.lines import MAX_LINE_BYTES, MAX_TEXT, Malformed, line_of, record_of
from dlcc.tuning.record import Record
from tests.tuning.rows import RECORD, record

TEXT = st.text(max_size=MAX_TEXT)
WORD = st.from_regex(r"[A-Za-z0-9_.,:+*x=()\[\] -]{0,20}", fullmatch=True)
NAME = st.from_regex(r"[a-z][a-z0-9_.]{0,20}", fullmatch=True).filter(lambda n: n != "trace")
WHOLE = st.integers(-(2**53) + 1, 2**53 - 1)
COST = st.floats(0, 1e15, exclude_min=True)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any record that the tuner may write."""
    cost = draw(st.none() | COST)
    choice: Any = draw(st.dictionaries(NAME, WHOLE | WORD, max_size=64))
    search = draw(st.sampled_from(["template", "metaschedule"]))
    return record(
        chip=draw(TEXT),
        cores=draw(st.integers(1, 1 << 20)),
        reward=draw(st.sampled_from(["seconds", "instructions", "packets"])),
        device=draw(st.sampled_from(["local", "emulator", "rpc"])),
        search=search,
        workload=draw(TEXT),
        label=draw(TEXT),
        choice=choice if search == "template" else {"trace": draw(st.text())},
        cost=cost,
        error=draw(TEXT if cost is not None else TEXT.filter(bool)),
        verified=draw(st.none() | st.booleans()),
        final=draw(st.booleans()),
    )


@given(records())
def test_what_is_written_is_read_back(row: Record) -> None:
    line = line_of(row)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert record_of(line) == row


@given(records(), st.randoms())
def test_the_order_of_keys_does_not_matter(row: Record, random: Any) -> None:
    items = list(json.loads(line_of(row)).items())
    random.shuffle(items)
    assert record_of(json.dumps({**dict(items), "later": [1]}).encode()) == row


@given(st.binary(max_size=200))
def test_no_content_crashes_the_reader(content: bytes) -> None:
    with pytest.raises(Malformed):
        record_of(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = [f for f in Record._fields if f not in ("isa", "error", "final")]


@given(st.sampled_from([*json.loads(line_of(RECORD))]), JSON)
def test_a_field_of_any_content_is_taken_or_refused(field: str, content: Any) -> None:
    """Nothing but Malformed; and whatever is taken can be written again."""
    row = {**json.loads(line_of(RECORD)), field: content}
    with suppress(Malformed):
        found = record_of(json.dumps(row).encode())
        assert record_of(line_of(found)) == found


WRONG = [
    ("cost", "NaN", "is not JSON"),
    ("cost", "1e999", "cost is Infinity"),
    ("cost", "-1.0", "cost is -1.0, not a finite number above 0"),
    ("cost", "0", "cost is 0"),
    ("cost", "true", "cost is true"),
    ("cost", "null", "neither a cost nor an error"),
    ("cost", "9" * 400, "cost is 999"),
    ("cost", "9" * 5000, "is not JSON"),
    ("cores", "0", "cores is 0, not a whole number of 1 or more"),
    ("cores", "2.0", "cores is 2.0"),
    ("threads", "true", "threads is true"),
    ("batch", "-1", "batch is -1"),
    ("reward", '"joules"', 'reward is "joules", not one of seconds'),
    ("device", '"rpc://10.0.0.1:9090"', 'device is "rpc://10.0.0.1:9090", not one of'),
    ("choice", "[]", "choice is a list"),
    ("choice", '{"path": "/home/me"}', "choice is a table"),
    ("choice", '{"a": 1.5}', "choice is a table"),
    ("choice", '{"a": true}', "choice is a table"),
    ("choice", '{"trace": "[]"}', "choice is none of its search's"),
    ("choice", json.dumps({f"k{i}": i for i in range(65)}), "at most 64 knobs"),
    ("tools", '"0.27"', 'tools is "0.27"'),
    ("tools", '{"dlcc": "0.1.0", "tvm": "0.27"}', "lacks schedules"),
    ("verified", "1", "verified is 1"),
    ("at", '"yesterday"', 'at is "yesterday"'),
    ("label", json.dumps("x" * 1025), "not a text of at most 1024"),
    ("label", "[" * 100_000 + "]" * 100_000, "is not JSON"),
    ("format", "2", "has the format 2, and this dlcc knows 1"),
    ("format", "true", "has the format true"),
]


@pytest.mark.parametrize(("field", "content", "what"), WRONG, ids=lambda v: str(v)[:24])
def test_what_cannot_be_is_refused(field: str, content: str, what: str) -> None:
    row = {**json.loads(line_of(RECORD)), field: "HERE"}
    with pytest.raises(Malformed) as caught:
        record_of(json.dumps(row).replace('"HERE"', content).encode())
    assert what in caught.value.what


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_is_missing_is_named(field: str) -> None:
    row = json.loads(line_of(RECORD))
    del row[field]
    with pytest.raises(Malformed, match=f"lacks {field}"):
        record_of(json.dumps(row).encode())


def test_a_huge_line_is_refused() -> None:
    with pytest.raises(Malformed, match="more than"):
        record_of(b" " * (MAX_LINE_BYTES + 1))


def test_a_long_error_is_cut_when_it_is_written() -> None:
    found = record_of(line_of(record(cost=None, error="e" * 5000)))
    assert len(found.error) == MAX_TEXT
    assert found.error.endswith("…")


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0, 0.0, None])
def test_what_no_reader_would_take_is_not_written(cost: float | None) -> None:
    with pytest.raises(ValueError):
        line_of(record(cost=cost))
