"""What tuning measures: a trial, and which trials can be compared and count."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

CIRCUMSTANCES = 11  # the first fields of a record

Search = Literal["template", "metaschedule"]
DeviceClass = Literal["local", "emulator", "rpc"]
Reward = Literal["seconds", "instructions", "packets"]


class Tools(NamedTuple):
    """What a kernel was made with. schedules: version of the kind's rules, which is raised when
    they change."""

    dlcc: str
    tvm: str
    schedules: int


class Record(NamedTuple):
    """What one candidate for one workload cost, or why it has no cost.

    kind, chip, processor: of the target; of `host` the processor is LLVM's name of it.
    isa: instruction set and vector registers, as `isa_of` writes them; "" where not told.
    cores: of the machine.   threads: of the run that was measured.
    device, reward: where it was measured, and in what: costs of two rewards cannot be compared.
    workload: text of a kernel made by our own rules, or hash of a kernel that is searched.
    label: what of the graph it computes.
    choice: knobs of the rule, or {"trace": MetaSchedule's trace as JSON}.
    cost: None if it has none; `error` then says why. A cost and an error: measured, and refused.
    verified: whether the result was right; None where nobody looked.
    default: whether the candidate was what an untuned build takes.
    final: whether a session ended with this choice for the workload, for good.
    session: who measured it; the same in all lines of one session.   at: UTC.
    """

    kind: str
    chip: str
    processor: str
    isa: str
    cores: int
    threads: int
    device: DeviceClass
    reward: Reward
    tools: Tools
    search: Search
    session: str
    workload: str
    label: str
    choice: Mapping[str, int | str]
    cost: float | None
    verified: bool | None
    default: bool
    batch: int
    at: str
    error: str = ""
    final: bool = False

    @property
    def circumstances(self) -> tuple[Any, ...]:
        """Its first fields, which all records of a session have in common."""
        return self[:CIRCUMSTANCES]

    @property
    def tvm(self) -> str:
        return self.tools.tvm

    @property
    def schedules(self) -> int:
        return self.tools.schedules

    @property
    def usable(self) -> bool:
        """Whether a build may take this choice: measured, and known to be right."""
        return self.cost is not None and not self.error and self.verified is True


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
        return cls(*(getattr(record, name) for name in cls._fields))


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

    def stale(self, group: Group | Record) -> str:
        """Why records of a group say nothing of today's code; "" if they do."""
        if group.tvm != self.tvm:
            return f"made with TVM {group.tvm}"
        if group.schedules != self.schedules:
            return f"made with rules {group.schedules}, now {self.schedules}"
        return ""

    def foreign(self, group: Group | Record) -> str:
        """Why records of a group are about something else; "" if they are not."""
        if (group.kind, group.chip) != (self.kind, self.chip):
            return f"for {_target(group.kind, group.chip)}"
        if group.processor != self.processor:
            return f"for the processor {group.processor}"
        if self.threads is not None and group.threads != self.threads:
            return f"for {group.threads} thread{'s'[: group.threads > 1]}"
        return self._measured_otherwise(group)

    def related(self, group: Group | Record) -> str:
        """Like `foreign`, but any chip with the same vectors will do: for shipped records."""
        if group.kind != self.kind or not self.isa or group.isa != self.isa:
            return f"for {_target(group.kind, group.chip)} {group.isa}".rstrip()
        if self.threads is not None and (group.threads == 1) != (self.threads == 1):
            return f"for {group.threads} thread{'s'[: group.threads > 1]}"
        return self._measured_otherwise(group)

    def _measured_otherwise(self, group: Group | Record) -> str:
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


def choice_id(choice: Mapping[str, int | str]) -> str:
    """A short name of a choice, the same for equal ones."""
    text = json.dumps(choice, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
