"""Which records can be compared with each other, and which count for a build or a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dlcc.tuning.record import DeviceClass, Record, Reward


class Group(NamedTuple):
    """What records must share for their costs to be compared. The version of dlcc is not of it:
    `schedules` tells whether its rules have changed."""

    kind: str
    chip: str
    processor: str
    isa: str
    threads: int
    device: DeviceClass
    reward: Reward
    tvm: str
    schedules: int

    @classmethod
    def of(cls, record: Record) -> Group:
        """The group of a record."""
        r, tools = record, record.tools
        measured = r.threads, r.device, r.reward
        return cls(r.kind, r.chip, r.processor, r.isa, *measured, tools.tvm, tools.schedules)


@dataclass(frozen=True, slots=True)
class Key:
    """What a record must agree in to count for a build or a session.

    threads, device, reward: None where any will do."""

    kind: str
    chip: str
    processor: str
    tvm: str
    schedules: int
    isa: str = ""
    threads: int | None = None
    device: DeviceClass | None = None
    reward: Reward | None = None

    def stale(self, group: Group) -> str:
        """Why records of a group say nothing of today's code; "" if they do."""
        if group.tvm != self.tvm:
            return f"made with TVM {group.tvm}"
        if group.schedules != self.schedules:
            return f"made with rules {group.schedules}, now {self.schedules}"
        return ""

    def foreign(self, group: Group) -> str:
        """Why records of a group are about something else; "" if they are not."""
        if (group.kind, group.chip) != (self.kind, self.chip):
            return f"for {_target(group.kind, group.chip)}"
        if group.processor != self.processor:
            return f"for the processor {group.processor}"
        if self.threads is not None and group.threads != self.threads:
            return f"for {group.threads} thread{'s'[: group.threads > 1]}"
        return self._measured_otherwise(group)

    def related(self, group: Group) -> str:
        """Like `foreign`, but any chip with the same vectors will do: for shipped records."""
        if group.kind != self.kind or not self.isa or group.isa != self.isa:
            return f"for {_target(group.kind, group.chip)} {group.isa}".rstrip()
        if self.threads is not None and (group.threads == 1) != (self.threads == 1):
            return f"for {group.threads} thread{'s'[: group.threads > 1]}"
        return self._measured_otherwise(group)

    def _measured_otherwise(self, group: Group) -> str:
        if self.device is not None and group.device != self.device:
            return f"measured on a device of class {group.device}"
        if self.reward is not None and group.reward != self.reward:
            return f"measured in {group.reward}"
        return ""


def _target(kind: str, chip: str) -> str:
    return kind if kind == chip else f"{kind} {chip}"


def isa_of(machine: str, vector_bits: int, vector_registers: int) -> str:
    """`x86_64 512x32`: what chips must share for records of one to be of use to another."""
    return f"{machine} {vector_bits}x{vector_registers}"
