"""Like `odd_kind`, but of matrix products alone some choices go wrong; the others are right."""

from __future__ import annotations

from dataclasses import replace

from dlcc.targets.chips import Chip
from dlcc.targets.host import KIND as HOST
from dlcc.targets.tuned import Knobs
from tests.tuning.odd_kind import build


def space(workload: str, chip: Chip) -> list[Knobs]:
    host = list(HOST.space(workload, chip))
    odd = [{"odd": "crash"}, {"odd": "wrong"}] if workload.startswith("matmul") else []
    return [host[0], *odd, *host[1:4]]


KIND = replace(HOST, build=build, space=space)
