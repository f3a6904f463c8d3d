"""What a build or a session says of its target in records."""

from __future__ import annotations

from dlcc.targets.chips import Chip
from dlcc.tuning.installed import tools
from dlcc.tuning.record import DeviceClass, Key, Reward, Tools, isa_of


def key_of(
    chip: Chip,
    threads: int | None = None,
    device: DeviceClass | None = None,
    reward: Reward | None = None,
) -> Key:
    """What records must agree in; threads, device, reward: None where any will do."""
    made = tools_of(chip)
    return Key(
        kind=chip.kind,
        chip=chip.name,
        processor=str(chip.tvm.get("mcpu", "")),
        tvm=made.tvm,
        schedules=made.schedules,
        isa=isa(chip),
        threads=threads,
        device=device,
        reward=reward,
    )


def tools_of(chip: Chip) -> Tools:
    """What code for a chip is made with today."""
    return tools(chip.kind)


def isa(chip: Chip) -> str:
    """What chips must share for records of one to be of use to another."""
    machine = str(chip.tvm.get("mtriple", chip.kind)).split("-", maxsplit=1)[0]
    return isa_of(machine, chip.vector_bits, chip.vector_registers)


def device_class(address: str) -> DeviceClass:
    """Where a device is, as records tell it."""
    if address.startswith("rpc://"):
        return "rpc"
    return "emulator" if address == "emulator" else "local"
