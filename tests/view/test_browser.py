"""The page of `dlcc view` in a real browser: what is seen, and what keys and pointers do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.view import networks
from tests.view.driving import Opened, chosen, focus, panel, places, unfold


def test_a_page_asks_for_nothing_but_itself_and_complains_of_nothing(
    opened: Opened, pages: Path
) -> None:
    for name in ("small", "costs", "hostile", "empty"):
        page = opened(name)
        page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.requests() == [(pages / f"{name}.html").as_uri()]
        assert page.complaints() == []


def test_the_policy_forbids_to_fetch(opened: Opened) -> None:
    page = opened("small")
    fetched = page.run("fetch('data:,x').then(() => 'fetched', () => 'refused')")
    assert fetched == "refused"


def test_the_graph_is_painted(opened: Opened) -> None:
    page = opened("small")
    row = places(page)["stem/conv"]
    pixel = (
        "[...document.getElementById('graph').getContext('2d')"
        ".getImageData({x}, {y}, 1, 1).data].join()"
    )
    frame = page.run("document.getElementById('stage').getBoundingClientRect().top")
    x, y = row["x"] + 3 * row["w"] / 150, row["y"] + row["h"] / 2 - frame
    assert page.run(pixel.format(x=int(x), y=int(y))) == "33,96,196,255"  # --op-conv: #2160c4
    assert page.run(pixel.format(x=2, y=2)) == "246,247,249,255"


def test_a_click_shows_a_layer_with_its_constants(opened: Opened) -> None:
    page = opened("small")
    row = places(page)["stem/conv"]
    page.click(row["x"] + row["w"] / 2, row["y"] + row["h"] / 2)
    assert chosen(page) == "stem/conv"
    values = networks.small().tensors["stem/weight"].value
    assert values is not None
    shown = panel(page)
    assert "float32 3×3×3×16" in shown
    for number in (values.min(), values.max(), values.mean(dtype=np.float64)):
        assert f"{float(number):.4g}"[:6] in shown
    heights = page.run(
        "[...document.querySelectorAll('#panel .histogram rect')]"
        ".map(bar => +bar.getAttribute('height'))"
    )
    assert len(heights) == 32
    assert max(heights) == 62


def test_scopes_fold_and_unfold_by_click_and_key(opened: Opened) -> None:
    page = opened("small")
    assert places(page)["block"]["open"]
    focus(page)
    page.key("{")
    assert "block/add" not in places(page)
    row = places(page)["block"]
    page.click(row["x"] + row["w"] - 12, row["y"] + row["h"] / 2)  # on its plus sign
    assert {"block/add", "block/left"} <= places(page).keys()
    page.key("[")
    assert not places(page)["block"]["open"]
    page.key("]")
    assert places(page)["block"]["open"]
    box, inner = places(page)["block"], places(page)["block/add"]
    assert box["x"] < inner["x"]
    assert inner["x"] + inner["w"] < box["x"] + box["w"]


def test_nothing_overlaps(opened: Opened) -> None:
    """Cards and boxes are apart, or one holds the other."""
    page = opened("large")
    unfold(page, 2000)
    rows = [r for r in page.run("dlccView.places()") if r["kind"] != "scope" or not r["open"]]
    rows.sort(key=lambda r: r["y"])
    for n, row in enumerate(rows):
        for other in rows[n + 1 :]:
            if other["y"] >= row["y"] + row["h"]:
                break
            apart = other["x"] >= row["x"] + row["w"] or other["x"] + other["w"] <= row["x"]
            assert apart, (row["name"], other["name"])


def test_arrows_follow_the_connections(opened: Opened) -> None:
    page = opened("small")
    unfold(page, 10)
    page.key("Home")
    way = [chosen(page)]
    for key in ["ArrowDown"] * 3:
        page.key(key)
        way.append(chosen(page))
    assert way[:3] == ["image", "stem/conv", "stem/relu"]
    assert way[3] in ("block/left/conv", "block/right/pool")
    page.key("ArrowRight" if way[3] == "block/left/conv" else "ArrowLeft")
    page.key("ArrowUp")
    assert chosen(page) == "stem/relu"
    assert "Relu" in page.run("document.getElementById('said').textContent")


def test_enter_leads_to_the_details_and_escape_back(opened: Opened) -> None:
    page = opened("small")
    focus(page)
    page.key("ArrowDown")
    page.key("Enter")
    assert page.run("document.activeElement.id") == "panel"
    page.key("Escape")
    assert page.run("document.activeElement.id") == "stage"


def test_search_finds_chooses_and_unfolds(opened: Opened) -> None:
    page = opened("large")
    focus(page)
    page.key("/")
    assert page.run("document.activeElement.id") == "search"
    page.type("unit_77 add")
    assert page.run("dlccView.found()") == ["net/stage_4/unit_77/add"]
    assert page.run("document.querySelectorAll('#found [role=option]').length") == 1
    page.key("ArrowDown")
    option = page.run("document.getElementById('search').getAttribute('aria-activedescendant')")
    assert option == "found-0"
    page.key("Enter")
    assert chosen(page) == "net/stage_4/unit_77/add"
    page.until(
        "(p => p.x > 0 && p.y > 0 && p.x + p.w < innerWidth && p.y + p.h < innerHeight)"
        "(dlccView.places().find(p => p.name === 'net/stage_4/unit_77/add'))"
    )
    page.key("/")
    page.type("no such layer")
    assert "Nothing fits" in page.run("document.getElementById('found').innerText")
    page.key("Escape")
    assert page.run("dlccView.found()") is None


def test_the_wheel_and_drags_move_and_zoom(opened: Opened) -> None:
    page = opened("large")
    unfold(page, 2000)
    before = page.run("dlccView.camera()")
    page.mouse("mouseWheel", 400, 300, deltaX=0, deltaY=120)
    page.until(f"dlccView.camera().y > {before['y']}")
    page.mouse("mouseWheel", 400, 300, deltaX=0, deltaY=-120, modifiers=2)
    page.until(f"dlccView.camera().k > {before['k']}")
    start = page.run("dlccView.camera()")
    page.mouse("mousePressed", 400, 300, button="left", clickCount=1)
    page.mouse("mouseMoved", 300, 250, button="left", buttons=1)
    page.mouse("mouseReleased", 300, 250, button="left", clickCount=1)
    end = page.run("dlccView.camera()")
    assert end["x"] - start["x"] == pytest.approx(100 / start["k"])
    assert chosen(page) is None, "a drag chooses nothing"
    page.key("0")
    page.until("dlccView.places().every(p => p.x >= 0 && p.x + p.w <= innerWidth)")


def test_the_map_moves_the_window(opened: Opened) -> None:
    page = opened("large")
    unfold(page, 2000)
    row = page.run("document.getElementById('map').getBoundingClientRect().toJSON()")
    before = page.run("dlccView.camera()")
    page.click(row["x"] + row["width"] / 2, row["y"] + row["height"] / 2)
    page.until(f"dlccView.camera().y > {before['y']} + 500")
    assert page.run("dlccView.camera().k") == before["k"]


def test_a_double_click_unfolds(opened: Opened) -> None:
    page = opened("large")
    row = places(page)["net/stage_0"]
    page.click(row["x"] + 20, row["y"] + 12, count=2)
    assert places(page)["net/stage_0"]["open"]
    assert "net/stage_0/unit_0" in places(page)


def test_costs_are_on_the_last_layer_of_a_kernel(opened: Opened) -> None:
    page = opened("costs")
    unfold(page, 10)
    focus(page)
    page.key("/")
    page.type("stem/conv")
    page.key("Enter")
    assert "in the same kernel as" in panel(page)
    page.key("ArrowDown")
    assert chosen(page) == "stem/relu"
    shown = panel(page)
    assert "75.0%" in shown
    assert "3.000 ms" in shown
    assert "fused_conv_relu" in shown
    page.key("c")
    legend = page.run("document.getElementById('legend').innerText")
    assert "GPU" in legend
    assert "CPU" in legend
    assert "Not known" in legend


def test_the_timeline_is_a_slider_over_the_layers(opened: Opened) -> None:
    page = opened("small")
    focus(page, "timeline")
    page.key("End")
    assert chosen(page) == "logits"
    page.key("ArrowLeft")
    assert chosen(page) == "block/add"
    slider = "document.getElementById('timeline')"
    assert page.run(f"{slider}.getAttribute('aria-valuenow')") == "7"
    assert "12.3 kB alive" in page.run(f"{slider}.getAttribute('aria-valuetext')")
    row = page.run(f"{slider}.getBoundingClientRect().toJSON()")
    page.click(row["x"] + row["width"] - 20, row["y"] + 50)
    assert chosen(page) == "logits"


def test_hostile_names_stay_texts(opened: Opened) -> None:
    page = opened("hostile")
    assert page.run("document.querySelectorAll('script').length") == 2
    title = page.run("document.getElementById('title').textContent")
    assert title.startswith("a</script><script>alert(1)</script><!--\"'&")
    assert "{{script}}" in title
    assert "\\u202e" in title
    unfold(page, 3)
    page.key("End")
    page.key("ArrowUp")
    page.key("ArrowUp")
    assert "Not finite" in panel(page)
    assert "left out" in panel(page)


def test_an_empty_model_says_so(opened: Opened) -> None:
    page = opened("empty")
    assert "This model is empty." in page.run("document.getElementById('stage').innerText")
    for key in ("ArrowDown", "Enter", "]", "[", "}", "0", "Home", "End", "c", "m"):
        focus(page)
        page.key(key)
    assert page.complaints() == []


def test_no_motion_where_none_is_wanted(opened: Opened) -> None:
    page = opened("small", prefers_reduced_motion="reduce")
    before = page.run("dlccView.camera().k")
    focus(page)
    page.key("+")
    assert page.run("dlccView.camera().k") == pytest.approx(before * 1.25)
