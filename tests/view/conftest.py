"""One browser for all tests of pages, and pages to open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dlcc.compiler.view import write
from dlcc.compiler.view.costs import costs_of
from dlcc.targets.errors import DlccError
from tests.view import networks
from tests.view.chromium import Chromium

PROFILE = {
    "target": "opencl",
    "device": "emulator",
    "kernels": [
        {
            "kernel": "fused_conv_relu",
            "nodes": ["stem/conv", "stem/relu"],
            "placement": "gpu",
            "time_s": 0.003,
        },
        {"kernel": "dense", "nodes": ["logits"], "placement": "cpu", "time_s": 0.001},
    ],
}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A headless Chromium; skipped where it cannot be had, an error with DLCC_REQUIRE_DEVICES=1."""
    try:
        browser = Chromium()
    except DlccError as error:
        if os.environ.get("DLCC_REQUIRE_DEVICES") == "1":
            raise
        pytest.skip(f"no Chromium: {error}")
    with browser:
        yield browser


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pages."""
    folder = tmp_path_factory.mktemp("pages")
    small = networks.small()
    write(small, folder / "small.html")
    write(small, folder / "costs.html", costs=costs_of(PROFILE, small))
    write(networks.large(), folder / "large.html")
    write(networks.hostile(), folder / "hostile.html")
    write(networks.empty(), folder / "empty.html")
    return folder


@pytest.fixture
def opened(chromium: Chromium, pages: Path) -> Callable[..., Chromium]:
    """A function that opens a page, in the light unless told otherwise."""

    def open_page(name: str, width: int = 1280, height: int = 800, **media: str) -> Chromium:
        chromium.media(**({"prefers_color_scheme": "light"} | media))
        chromium.open(pages / f"{name}.html", width, height)
        return chromium

    return open_page
