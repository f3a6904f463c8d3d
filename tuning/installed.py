"""What records have to agree with here and now: the installed tools and the chip of a build."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from dlcc.targets import registry
from dlcc.targets.chips import Chip
from dlcc.tuning.key import Group, Key, isa_of
from dlcc.tuning.record import DeviceClass, Reward, Tools


def tools(kind: str) -> Tools:
    """The tools that code for a kind is made with. Loads no TVM.   Raises UnknownTarget."""
    return Tools(_version("dlcc"), _version("apache-tvm"), registry.kind(kind).schedules)


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "not installed"


def processor(chip: Chip) -> str:
    """LLVM's name of a chip's processor; the chip's own name where code is not for one."""
    return str(chip.tvm.get("mcpu") or chip.name)


def isa(chip: Chip) -> str:
    """The instruction set and vectors of a chip."""
    machine = str(chip.tvm.get("mtriple") or chip.kind).split("-")[0]
    return isa_of(machine, chip.vector_bits, chip.vector_registers)


def key_of(
    chip: Chip,
    *,
    threads: int | None = None,
    device: DeviceClass | None = None,
    reward: Reward | None = None,
) -> Key:
    """What records must agree in to count for code for a chip, made with what is installed."""
    made = tools(chip.kind)
    where = chip.kind, chip.name, processor(chip), made.tvm, made.schedules, isa(chip)
    return Key(*where, threads=threads, device=device, reward=reward)


def stale(group: Group) -> str:
    """Why records of a group say nothing of the code that is made here; "" if they do."""
    if group.kind not in registry.KINDS:
        return f"for {group.kind}, which this dlcc does not know"
    made = tools(group.kind)
    return Key(group.kind, group.chip, group.processor, made.tvm, made.schedules).stale(group)
