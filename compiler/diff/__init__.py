"""What differs between two models, containers or DLCs, as plain rows."""

from dlcc.compiler.diff.diff import Diff, diff
from dlcc.compiler.diff.rows import SECTIONS, DiffRow, Section

__all__ = ["SECTIONS", "Diff", "DiffRow", "Section", "diff"]
