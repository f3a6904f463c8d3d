"""Records that come with dlcc: builds take them by themselves, where nothing better is known."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlcc.compiler import compile, open_container
from dlcc.compiler.cli import emit
from dlcc.compiler.errors import BadRecords
from dlcc.compiler.tuning import Choices, choices_for
from dlcc.targets.kernels import kernels_in
from dlcc.targets.registry import find_chip, kind
from dlcc.tuning import shipped
from dlcc.tuning.best import best, best_of
from dlcc.tuning.checks import module_of
from dlcc.tuning.database import read, writing
from dlcc.tuning.lines import line_of
from dlcc.tuning.record import Record
from dlcc.tuning.target import isa, key_of, tools_of
from tests.cli.test_cli_tune import MODEL
from tests.tuning.rows import KEY, WORKLOAD, default, record

HOST = find_chip("host")
PRODUCT = "matmul m32 k64 n48 float32 packed"  # of MODEL
FILES = shipped.FOLDER.glob("*.jsonl*")


def row(make: Callable[..., Record], **changes: object) -> Record:
    """A record of another processor with the vectors of this machine."""
    known = {"processor": "another", "isa": isa(HOST), "tools": tools_of(HOST)}
    return make(**{"workload": PRODUCT, **known, **changes})


def other_tile() -> str:
    space = kind("host").space(PRODUCT, HOST)
    return str(next(knobs["tile"] for knobs in space if set(knobs) == {"tile"}))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where shipped records are looked for: nothing is there yet."""
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "shipped")
    (tmp_path / "shipped").mkdir()
    return tmp_path / "shipped"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "net.pbtxt").write_text(MODEL)
    return tmp_path / "net.pbtxt"


def write(path: Path, *rows: Record) -> Path:
    path.write_bytes(b"".join(map(line_of, rows)))
    return path


class TestCompiling:
    def test_uses_them_and_says_so(
        self, folder: Path, model: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(folder / "host-x.jsonl", row(default), row(record, choice={"tile": other_tile()}))
        caplog.set_level("INFO", "dlcc")
        container = open_container(compile(str(model)).save(model.with_suffix(".dlc")))
        assert "host: 1 of 1 kernels are made as records say that come with dlcc" in caplog.text
        assert "`--database none` leaves them out" in caplog.text
        assert container.manifest.options["tuned"] == "host 1 (1 shipped)"
        (kernel,) = kernels_in(container.artifact(container.targets[0])).values()
        assert kernel.knobs == {"tile": other_tile()}
        with container.session() as session:
            found = session.run({"x": np.ones((32, 64), "float32")})["y"]
        np.testing.assert_allclose(found, np.full((32, 48), 32.0))

    @pytest.mark.parametrize("form", ["tir", "asm"])
    def test_listings_show_what_was_made(self, folder: Path, model: Path, form: str) -> None:
        write(folder / "host.jsonl", row(default), row(record, choice={"tile": other_tile()}))
        tuned, plain = (emit.listing(compile(str(model), database=d), form) for d in (None, "none"))
        assert tuned != plain

    def test_libraries_are_made_of_them(self, folder: Path, model: Path) -> None:
        write(folder / "host.jsonl", row(default), row(record, choice={"tile": other_tile()}))
        objects = []
        for database in (None, "none"):
            made = compile(str(model), runtime="aot", database=database)
            tuned = "host 1 (1 shipped)" if database is None else None
            assert made.manifest.options.get("tuned") == tuned
            sources = emit.write_sources(made, model.parent / str(database))
            objects.append((sources / "kernels.o").read_bytes())
        assert objects[0] != objects[1]

    def test_none_leaves_them_out(
        self, folder: Path, model: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(folder / "host.jsonl", row(default), row(record, choice={"tile": other_tile()}))
        caplog.set_level("DEBUG", "dlcc")
        made = compile(str(model), database="none")
        assert "tuned" not in made.manifest.options
        assert "records" not in caplog.text

    def test_says_nothing_where_none_is_used(
        self, folder: Path, model: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        elsewhere = {"workload": "matmul m3 k5 n7 float32 packed"}
        write(folder / "host.jsonl", row(default, **elsewhere), row(record, **elsewhere))
        caplog.set_level("INFO", "dlcc")
        assert "tuned" not in compile(str(model)).manifest.options
        assert "records" not in caplog.text

    def test_records_of_the_user_come_first(self, folder: Path, model: Path) -> None:
        write(folder / "host.jsonl", row(default), row(record, choice={"tile": other_tile()}))
        own = {"processor": str(HOST.tvm["mcpu"]), "choice": {"order": "pixels"}, "cost": 1.5e-4}
        with writing(model.parent / "own") as database:
            database.append([row(default, **{**own, "cost": 2e-4}), row(record, **own)])
        made = compile(str(model), database=model.parent / "own")
        assert made.manifest.options["tuned"] == "host 1"

    def test_other_vectors_are_another_matter(self, folder: Path, model: Path) -> None:
        write(folder / "host.jsonl", row(default, isa="x86_64 9x9"), row(record, isa="x86_64 9x9"))
        assert choices_for(HOST, None) == Choices()

    def test_stale_ones_are_a_detail(
        self, folder: Path, model: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        tools = tools_of(HOST)._replace(schedules=0)
        write(folder / "host.jsonl", row(default, tools=tools), row(record, tools=tools))
        caplog.set_level("INFO", "dlcc")
        assert "tuned" not in compile(str(model)).manifest.options
        assert "records" not in caplog.text
        caplog.set_level("DEBUG", "dlcc")
        assert choices_for(HOST, None) == Choices()
        assert "host: 2 records that come with dlcc do not count, made with rules 0" in caplog.text


class TestPrecedence:
    def test_the_very_processor_before_its_relatives(self) -> None:
        relatives = [default(processor="a"), record(processor="a", cost=1e-5)]
        same = [default(chip="other"), record(chip="other", choice={"n": 1})]
        found = best_of([*relatives, *same], KEY, related=True)
        assert found.winners[WORKLOAD].record == same[1]
        assert best_of(relatives, KEY, related=True).winners[WORKLOAD].record == relatives[1]

    def test_a_default_that_a_user_found_best(self, tmp_path: Path) -> None:
        (tmp_path / "shipped").mkdir()
        write(tmp_path / "shipped" / "host.jsonl", default(), record())
        with writing(tmp_path / "own") as database:
            database.append([default(choice={}), default(choice={}, final=True)])
        found = best(tmp_path / "own", KEY, shipped=tmp_path / "shipped")
        assert found.knobs == {WORKLOAD: {}}
        assert not found.winners[WORKLOAD].shipped
        assert best(None, KEY, shipped=tmp_path / "shipped").winners[WORKLOAD].shipped


WHOLE = line_of(default()) + line_of(record())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("host.jsonl", b"\xff\x00" * 999 + b"\n"),
        ("host.jsonl", b'{"format": 2}\n'),
        ("host.jsonl", b"[]\n"),
        ("host.jsonl", WHOLE.replace(b'"packed"', b"packed") + WHOLE[:-2] + b"]\n"),
        ("host.jsonl", WHOLE.replace(b'"verified":true', b'"verified":1')),
        ("host-x.jsonl.gz", b"\x1f\x8b" + WHOLE),
        ("host-x.jsonl.gz", gzip.compress(WHOLE)[:-9]),
        ("host-x.jsonl.gz", WHOLE),
    ],
    ids=range(8),
)
def test_a_damaged_installation_says_what_to_do(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(BadRecords, match=name) as caught:
        choices_for(HOST, None)
    assert "install dlcc again" in caught.value.hint
    assert choices_for(HOST, "none") == Choices()
    assert choices_for(find_chip("arm"), None) == Choices()


def test_a_file_that_ends_too_early_loses_its_last_record(tmp_path: Path) -> None:
    (tmp_path / "host.jsonl").write_bytes(WHOLE + line_of(record(workload="b"))[:-9])
    assert best(None, KEY, shipped=tmp_path).winners.keys() == {WORKLOAD}


@pytest.mark.parametrize("path", sorted(FILES), ids=lambda path: path.name)
class TestData:
    """Every file that is there; scripts/tune_shipped.py makes it anew."""

    def test_it_is_of_todays_rules(self, path: Path) -> None:
        for found in read(path):
            key = replace(key_of(find_chip(found.chip)), isa=found.isa)
            assert not key.stale(found), "make it anew: scripts/tune_shipped.py"
            assert not key.related(found)
            assert path.name.startswith(found.kind)

    def test_it_is_small_sorted_and_tells_nothing_of_a_person(self, path: Path) -> None:
        rows = list(read(path))
        assert path.stat().st_size < 1 << 20
        assert [r.workload for r in rows] == sorted(r.workload for r in rows)
        assert {(r.label, r.error, r.at[10:]) for r in rows} == {("", "", "T00:00:00Z")}
        pairs = list(zip(rows[::2], rows[1::2], strict=True))
        assert all(d.default and not r.default and r.usable for d, r in pairs)
        assert all(d.workload == r.workload and r.cost < d.cost for d, r in pairs)

    def test_every_choice_is_one_that_tuning_knows(self, path: Path) -> None:
        for found in (r for r in read(path) if not r.default):
            space = list(kind(found.kind).space(found.workload, find_chip(found.chip)))
            free = {name: v for name, v in found.choice.items() if name != "winograd"}  # is pinned
            assert found.choice in space or free in space, found.workload

    def test_a_build_takes_it(self, path: Path) -> None:
        found = next(r for r in read(path) if not r.default)
        chip = find_chip(found.chip)
        if isa(chip) != found.isa:
            pytest.skip(f"records of {found.isa}, this machine has {isa(chip)}")
        choices = choices_for(chip, None)
        artifact = kind(chip.kind).build(module_of([found.workload]), chip, choices.tuned)
        assert [k.knobs for k in kernels_in(artifact).values() if k.workload] == [found.choice]
        assert choices.used(artifact)[:2] == (1, 1)
