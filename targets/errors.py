"""Every error that a user can cause, as far as targets and devices go.

    DlccError                   exit code, what is shown
    ├── UsageError              2   a call or a command line that cannot be meant
    │   ├── UnknownTarget       2   no such kind or chip
    │   └── BadFeed             2   an input of the wrong name, dtype or shape
    ├── Mismatch                1   results differ from what was expected
    ├── NoFormForTarget         3   an op of the user's that a kind of target cannot run
    ├── BadRecords              3   records of tuning that are damaged or foreign
    ├── ToolchainError          4   a compiler, linker or package client is missing or failed
    └── DeviceError             5   a device or tracker is not there, or was lost
        └── DeviceTimeout       5   a device did not answer within its time limit

`dlcc.compiler.errors` continues the tree with models and containers (exit code 3).
What is not a DlccError is a bug of ours (exit code 70).
"""

from __future__ import annotations


class DlccError(Exception):
    """An error that a user can mend. `what`: one line; `hint`: what to do next."""

    exit_code: int = 70

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class UsageError(DlccError):
    """A call or a command line that cannot be meant."""

    exit_code = 2


class UnknownTarget(UsageError):
    """No such kind of target and no such chip."""


class BadFeed(UsageError):
    """An input of the wrong name, dtype or shape."""


class Mismatch(DlccError):
    """Results differ from what was expected."""

    exit_code = 1


class NoFormForTarget(DlccError):
    """An op of the user's that has neither a converter nor a kernel for a kind of target."""

    exit_code = 3


class BadRecords(DlccError):
    """Records of tuning that are damaged or foreign."""

    exit_code = 3


class ToolchainError(DlccError):
    """A compiler, linker or package client is missing or failed."""

    exit_code = 4


class DeviceError(DlccError):
    """A device or tracker is not there, or was lost in the middle of a session."""

    exit_code = 5


class DeviceTimeout(DeviceError):
    """A device did not answer within its time limit."""
