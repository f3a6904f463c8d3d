"""What schedules know of an OpenCL device."""

from __future__ import annotations

from dataclasses import dataclass

from dlcc.targets.chips import Chip
from dlcc.targets.cpu.tiles import FLOAT_BYTES


@dataclass(frozen=True, slots=True)
class Engine:
    """A chip in the units of schedules.

    lanes: float32 numbers that a work-item loads at once.   units: compute units.
    subgroup: work-items in lockstep; 1 on a CPU.   work_group: most work-items of a work-group.
    local_bytes: memory that the work-items of a group share.
    half: whether what lies in memory is in half precision.
    """

    lanes: int
    units: int
    subgroup: int
    work_group: int
    local_bytes: int
    half: bool = False

    @staticmethod
    def of(chip: Chip) -> Engine:
        assert chip.gpu is not None
        return Engine(
            lanes=chip.vector_bits // (8 * FLOAT_BYTES),
            units=chip.cores,
            subgroup=chip.gpu.subgroup,
            work_group=chip.gpu.work_group,
            local_bytes=chip.gpu.local_bytes,
            half=chip.gpu.half,
        )

    @property
    def is_cpu(self) -> bool:
        """Whether work-items run one after another: a CPU, whose vectors are a work-item's own."""
        return self.subgroup == 1
