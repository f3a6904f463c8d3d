"""The page of `dlcc view`: one HTML file that holds all it needs and asks no network for more."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import escape
from importlib.resources import files
from pathlib import Path

from dlcc.compiler.network import Network
from dlcc.compiler.network.memory import Memory, timeline
from dlcc.compiler.view.costs import Costs
from dlcc.compiler.view.graph import graph
from dlcc.compiler.view.placed import Placements
from dlcc.targets.atomic import written_whole

# Parts of one script, in the order in which they may use each other at once.
SCRIPTS = (
    "text.js",  # numbers, shapes and elements as a reader sees them
    "blocks.js",  # scopes where names have none
    "model.js",  # layers, tensors, edges, scopes
    "camera.js",
    "layered.js",  # places items of one scope in ranks
    "columns.js",  # wraps a tall layout
    "scene.js",  # places everything that is unfolded
    "colours.js",
    "draw.js",  # the graph on its canvas
    "charts.js",  # histograms and the memory timeline
    "panel.js",  # details of what is chosen
    "search.js",
    "state.js",  # what is unfolded and chosen
    "keys.js",
    "main.js",  # theme, legend, pointers, and the start
)


def write(
    network: Network,
    path: str | Path,
    *,
    costs: Costs | None = None,
    placements: Placements | None = None,
    memory: Memory | None = None,
) -> None:
    """Write the page to a file, wholly or not at all; as for `page`.   Raises UsageError."""
    made = page(network, costs=costs, placements=placements, memory=memory).encode("utf-8")
    with written_whole(path) as file:
        file.write(made)


def page(
    network: Network,
    *,
    costs: Costs | None = None,
    placements: Placements | None = None,
    memory: Memory | None = None,
) -> str:
    """The page of a network.

    placements: of a target; a profile's own go before them.   memory: a target's own plan; None:
    one is made."""
    web = files("dlcc.compiler.view.web")
    data = graph(network, memory or timeline(network), costs, placements)
    script = _joined([web.joinpath(name).read_text("utf-8") for name in SCRIPTS])
    style = web.joinpath("view.css").read_text("utf-8")
    parts = {
        "title": escape(data["name"] or "a model"),
        "policy": _policy(script, style),
        "style": style,
        "script": script,
        "model": _json(data),
    }
    template = web.joinpath("page.html").read_text("utf-8")
    # in one pass, so that a marker within the model's own text stays what it is
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def _joined(parts: list[str]) -> str:
    """One script out of several, none of whose names are seen outside."""
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"


def _policy(script: str, style: str) -> str:
    """What a browser may do with the page: run this script and this style, fetch nothing."""
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(data: object) -> str:
    """JSON that ends no element of HTML, whatever texts it holds."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
