"""One browser for all tests of pages."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from dlcc.targets.errors import DlccError
from tests.view.chromium import Chromium


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
