"""What records have to agree with here and now: the tools that are installed."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from dlcc.targets import registry
from dlcc.tuning.record import Group, Key, Tools


def tools(kind: str) -> Tools:
    """The tools that code for a kind is made with. Loads no TVM.   Raises UnknownTarget."""
    return Tools(_version("dlcc"), _version("apache-tvm"), registry.kind(kind).schedules)


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "not installed"


def stale(group: Group) -> str:
    """Why records of a group say nothing of the code that is made here; "" if they do."""
    if group.kind not in registry.KINDS:
        return f"for {group.kind}, which this dlcc does not know"
    made = tools(group.kind)
    return Key(group.kind, group.chip, group.processor, made.tvm, made.schedules).stale(group)
