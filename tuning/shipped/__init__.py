"""Records that come with dlcc: `KIND.jsonl` or `KIND-….jsonl.gz`, as `dlcc records export` writes.

They hold for every chip whose vectors are those of the chip that was measured, and only where a
user's own records say nothing. `scripts/tune_shipped.py` of the repository makes them.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def files(kind: str, folder: Path = FOLDER) -> list[Path]:
    """The files for a kind of target, in the order of their names; none if nothing is shipped."""
    found = [*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")]
    return sorted(path for path in found if path.name.split(".")[0].split("-")[0] == kind)
