"""Listings that lie in `tests/golden`, compared as a whole; `--update-golden` writes them anew."""

from __future__ import annotations

import difflib
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


class Golden:
    """Compares texts with the files of a folder. update: write them instead."""

    def __init__(self, update: bool) -> None:
        self.update = update

    def __call__(self, name: str, text: str) -> None:
        """Fails with a unified diff where the text is not that of `tests/golden/NAME`."""
        path = FOLDER / name
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            return
        assert path.is_file(), f"no {path}: run pytest with --update-golden, and look at it"
        before = path.read_text()
        lines = difflib.unified_diff(before.splitlines(), text.splitlines(), name, "now", n=1)
        assert text == before, "\n".join(lines)
