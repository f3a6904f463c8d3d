"""Tables for people."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dlcc.compiler.cli.show import WIDEST, show


@dataclass(frozen=True)
class Row:
    name: str
    command: str
    count: int


def test_long_cells_are_wrapped_and_keep_all_words(capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"option_{i}=[]" for i in range(40)]
    show((Row("a", " ".join(words), 1), Row("b", "short", 2)), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDEST + len("name    command  count")
    assert [word for line in lines for word in line.split() if "=" in word] == words
    assert lines[1].startswith("a ")
    assert lines[1].endswith(" 1")
    assert all(line.startswith("      option_") for line in lines[2:-1])
    assert lines[-1].split() == ["b", "short", "2"]


def test_a_word_longer_than_a_column_is_not_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    name = "block/" * 50
    show((Row(name, "", 1),), as_json=False)
    lines = capsys.readouterr().out.splitlines()[1:]
    assert "".join(line.split()[0] for line in lines) == name
