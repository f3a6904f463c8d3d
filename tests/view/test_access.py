"""The page of `dlcc view` for everyone: dark, by keyboard, with names, in narrow windows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.view.driving import Opened, focus


def test_dark_as_the_system_and_by_its_switch(opened: Opened) -> None:
    page = opened("small", prefers_color_scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.run(colour) == "rgb(18, 21, 28)"
    focus(page)
    page.key("t")
    assert page.run(colour) == "rgb(246, 247, 249)"
    page.media(prefers_color_scheme="light")
    page.key("t")
    assert page.run(colour) == "rgb(18, 21, 28)"


COLOURS = """(() => {
  const style = getComputedStyle(document.documentElement);
  const names = [...document.styleSheets[0].cssRules[0].style].filter(n => n.startsWith('--'));
  return Object.fromEntries(names.map(name => [name, style.getPropertyValue(name).trim()]));
})()"""


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)], float)


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """WCAG 2.2, definitions of relative luminance and contrast ratio."""

    def light(colour: np.ndarray) -> float:
        part = colour / 255
        linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_marks_stand_out(opened: Opened, scheme: str) -> None:
    """4.5 to 1 for texts, 3 to 1 for marks: WCAG 2.2, success criteria 1.4.3 and 1.4.11."""
    page = opened("small", prefers_color_scheme=scheme)
    colours = {name[2:]: rgb(value) for name, value in page.run(COLOURS).items()}
    marks = {name: c for name, c in colours.items() if name.startswith(("op-", "at-"))}
    assert len(marks) == 19
    card = colours["card"]
    grounds = {name: colours[name] for name in ("page", "card", "box", "bar")}
    grounds |= {name: 0.88 * card + 0.12 * mark for name, mark in marks.items()}
    low = [
        (text, name)
        for text in ("text", "soft")
        for name, ground in grounds.items()
        if contrast(colours[text], ground) < 4.5
    ]
    assert low == []
    assert contrast(colours["text"], 0.55 * card + 0.45 * colours["hot"]) >= 4.5
    assert min(contrast(colours["accent"], colours[name]) for name in ("bar", "card")) >= 4.5
    assert [name for name, mark in marks.items() if contrast(mark, card) < 3] == []


def test_all_that_takes_the_focus_has_a_name(opened: Opened) -> None:
    page = opened("small")
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    focusable = [
        node
        for node in nodes
        if any(p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", []))
        and node["role"]["value"] != "RootWebArea"
    ]
    nameless = [n["role"] for n in focusable if not n.get("name", {}).get("value")]
    assert len(focusable) > 12
    assert nameless == []


def test_tab_goes_through_the_page_and_keys_are_shown(opened: Opened) -> None:
    page = opened("small")
    way = []
    for _ in range(8):
        page.key("Tab")
        way.append(page.run("document.activeElement.id || document.activeElement.className"))
    assert way == [
        *("skip", "search", "colour", "unfold", "fold", "theme", "help-button", "stage"),
    ]
    focus(page)
    page.key("?")
    assert page.run("document.getElementById('help').open")
    page.key("Escape")
    assert not page.run("document.getElementById('help').open")
    page.key("?")
    close = page.run("document.querySelector('#help button').getBoundingClientRect().toJSON()")
    page.click(close["x"] + 5, close["y"] + 5)
    assert not page.run("document.getElementById('help').open")
    assert page.complaints() == []


@pytest.mark.parametrize("width", [360, 700])
def test_narrow_windows_scroll_down_only(opened: Opened, width: int) -> None:
    page = opened("costs", width, 740)
    assert page.run("document.documentElement.scrollWidth") == width
    stage = page.run("document.getElementById('stage').getBoundingClientRect().toJSON()")
    assert stage["height"] >= 180
    focus(page)
    page.key("}")
    page.key("ArrowDown")
    page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.complaints() == []
