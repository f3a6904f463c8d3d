"""Writes docs/ops.md: every TensorFlow op with its converter, and where it runs.

.venv/bin/python scripts/ops_doc.py            # writes the file
.venv/bin/python scripts/ops_doc.py --check    # exit code 1 where the file is out of date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from checkout import ROOT

PATH = ROOT / "docs" / "ops.md"

HEAD = """\
# Ops

The TensorFlow ops that dlcc converts; `dlcc check MODEL` says the same of one model. This file is
written by `scripts/ops_doc.py`.

- *folds*: computed while compiling where all inputs are known then.
- A kind of target with "yes" runs the op; otherwise it says why not.
"""


def lines() -> Iterator[str]:
    """The document, line by line."""
    from dlcc.compiler.frontend.host import CUT_HERE
    from dlcc.compiler.frontend.ops import TF_OPS
    from dlcc.targets.registry import KINDS, kind

    families: dict[str, list[str]] = {}
    for op in sorted(TF_OPS):
        families.setdefault(TF_OPS[op].source.partition(":")[0], []).append(op)
    yield from HEAD.splitlines()
    yield ""
    yield f"{len(TF_OPS)} ops in {len(families)} families."
    for family, ops in sorted(families.items()):
        yield from ("", f"## {family}", "")
        yield f"| op | converter | folds | {' | '.join(KINDS)} |"
        yield "|---|---|---|" + "---|" * len(KINDS)
        for op in ops:
            row = TF_OPS[op]
            where = " | ".join(kind(name).lacks.get(op, "yes") for name in KINDS)
            folds = "yes" if row.fold is not None else ""
            yield f"| {op} | `{row.source.partition(':')[2]}` | {folds} | {where} |"
    yield from ("", "## inputs: cut here", "")
    yield "What these make is an input of the model, under the node's name: a host computes it."
    yield from ("", ", ".join(sorted(CUT_HERE)) + ".")


def document() -> str:
    return "\n".join(lines()) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write docs/ops.md.")
    parser.add_argument("--check", action="store_true", help="compare only")
    args = parser.parse_args()
    if not args.check:
        PATH.write_text(document(), "utf-8")
        return 0
    if PATH.exists() and PATH.read_text("utf-8") == document():
        return 0
    print("docs/ops.md is out of date: run scripts/ops_doc.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
