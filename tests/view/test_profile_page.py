"""The page of a profile in a real browser: it sorts, searches and is moved in by keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcc.compiler.profile.calls import Call, Calls
from dlcc.compiler.profile.nodes import by_nodes
from dlcc.compiler.profile.page import page
from tests.view.chromium import Chromium

COSTS = {"conv": 0.5, "relu": 0.1, "pool": 0.3}
TABLE = "document.querySelector('table')"


@pytest.fixture
def opened(chromium: Chromium, tmp_path: Path) -> Chromium:
    rows = [
        Call(n, kernel, "cpu", cost, cost / 0.9, (f"n/{kernel}",))
        for n, (kernel, cost) in enumerate(COSTS.items(), 1)
    ]
    of = Calls("m", "host", "local", "seconds", tuple(rows))
    (tmp_path / "p.html").write_text(page([of], [by_nodes(of)]))
    chromium.open(tmp_path / "p.html")
    return chromium


def kernels(browser: Chromium) -> list[str]:
    """Those that are seen, from above."""
    rows = f"[...{TABLE}.tBodies[0].rows].filter(row => row.offsetHeight)"
    return list(browser.run(f"{rows}.map(row => row.cells[2].textContent)"))


def press_heading(browser: Chromium, column: int) -> str | None:
    heading = f"{TABLE}.tHead.rows[0].cells[{column}]"
    browser.run(f"{heading}.querySelector('button').focus()")
    browser.key("Enter")
    found: str | None = browser.run(f"{heading}.getAttribute('aria-sort')")
    return found


def test_headings_sort(opened: Chromium) -> None:
    assert kernels(opened) == ["conv", "relu", "pool"]
    assert press_heading(opened, 3) == "descending"  # what costs most comes first
    assert kernels(opened) == ["conv", "pool", "relu"]
    assert press_heading(opened, 3) == "ascending"
    assert kernels(opened) == ["relu", "pool", "conv"]
    assert press_heading(opened, 2) == "ascending"  # names from a on
    assert kernels(opened) == ["conv", "pool", "relu"]


def test_search_and_arrows(opened: Chromium) -> None:
    opened.key("/")
    opened.type("n/pool")
    assert kernels(opened) == ["pool"]
    opened.key("Escape")
    assert kernels(opened) == list(COSTS)
    opened.run(f"{TABLE}.tHead.rows[0].cells[0].querySelector('button').focus()")
    opened.key("ArrowDown")
    opened.key("ArrowDown")
    assert opened.run("document.activeElement.cells[2].textContent") == "relu"
    opened.key("ArrowUp")
    assert opened.run("document.activeElement.cells[2].textContent") == "conv"


def test_nothing_is_fetched_and_nothing_fails(opened: Chromium) -> None:
    assert len(opened.requests()) == 1
    bad = ("Log.entryAdded", "Runtime.exceptionThrown")
    assert [event for event in opened.events if event["method"] in bad] == []


def test_dark(opened: Chromium) -> None:
    colours = []
    for scheme in ("light", "dark"):
        opened.media(prefers_color_scheme=scheme)
        colours.append(opened.run("getComputedStyle(document.body).color"))
    assert len(set(colours)) == 2
