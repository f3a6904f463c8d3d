"""What tests see of a page and do to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.view.chromium import Chromium

Opened = Callable[..., Chromium]


def places(page: Chromium) -> dict[str, dict[str, Any]]:
    """What is seen of the graph, by name."""
    return {row["name"]: row for row in page.run("dlccView.places()")}


def focus(page: Chromium, name: str = "stage") -> None:
    page.run(f"document.getElementById('{name}').focus()")


def chosen(page: Chromium) -> str | None:
    return page.run("dlccView.chosen()")


def panel(page: Chromium) -> str:
    return str(page.run("document.getElementById('panel').innerText"))


def unfold(page: Chromium, shown: int) -> None:
    """Unfold everything, and wait until so many cards are there."""
    focus(page)
    page.key("}")
    page.until(f"dlccView.places().length >= {shown}")
