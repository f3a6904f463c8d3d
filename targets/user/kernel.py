"""What a module says of a kernel that a user gave for some kinds of targets.

Such a kernel is a function of the module with the attribute ATTRIBUTE, called with its inputs and
then with what computes the same elsewhere, if anything does:

    other = call_tir(clipped, x)              # from TensorFlow's node, for every target
    y = call_tir(clipped_c, (x, other))       # a user's, for host and arm

`choose.chosen` makes it one or the other.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tvm import tirx
from tvm.ir import IRModule

from dlcc.targets.errors import ToolchainError

ATTRIBUTE = "dlcc.user_kernel"
KINDS = ("host", "arm", "opencl", "hexagon")
IN_C = ("host", "arm", "hexagon")  # the kinds whose source is C; that of the others is OpenCL C


@dataclass(frozen=True, slots=True)
class UserKernel:
    """A kernel for some kinds of targets.

    op: TensorFlow's op.   by: the set of ops that it is from.   targets: kinds.
    file, text: name and content of its source, "" where it is a schedule.   function: in it.
    prototype: how the function is declared.   inputs: tensors that it reads; what a call has
    behind them computes the same on other targets.
    """

    op: str
    by: str
    targets: tuple[str, ...]
    inputs: int
    file: str = ""
    text: str = ""
    function: str = ""
    prototype: str = ""

    @property
    def name(self) -> str:
        """What it is called among the kernels of a model."""
        return self.function or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.op).lower()

    @property
    def symbol(self) -> str:
        """The function's name in the code: two sets may both have a function of one name."""
        told = "\n".join((self.by, self.file, self.text, self.prototype))
        return f"dlcc_user_{self.function}_{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    @property
    def is_c(self) -> bool:
        """Whether the source is C, not OpenCL C."""
        return bool(self.text) and set(self.targets) <= set(IN_C)

    @property
    def unit(self) -> str:
        """Name of the source as a file of ours."""
        stem = re.sub(r"[^A-Za-z0-9_]", "_", self.file.rpartition(".")[0])
        return f"user_{stem}_{self.symbol[-12:]}.{'c' if self.is_c else 'cl'}"

    def attribute(self) -> str:
        """The value of ATTRIBUTE."""
        return json.dumps(asdict(self), sort_keys=True)


def user_kernel(func: Any) -> UserKernel | None:
    """What a function says of itself; None for any that no user gave.

    Raises ToolchainError for what is damaged: the module may come out of a file."""
    if not isinstance(func, tirx.PrimFunc) or func.attrs is None or ATTRIBUTE not in func.attrs:
        return None
    try:
        row = json.loads(str(func.attrs[ATTRIBUTE]))
        found = UserKernel(**{**row, "targets": tuple(row["targets"])})
        if not re.fullmatch(r"([A-Za-z_]\w*)?", found.function) or "\n" in found.file:
            raise ValueError("a name is none")
    except (ValueError, KeyError, TypeError) as error:
        raise ToolchainError(
            f"the graph has a kernel of a user's that is damaged: {error}",
            hint="compile the model again",
        ) from error
    return found


def user_kernels(mod: IRModule) -> Iterator[tuple[str, UserKernel]]:
    """Name and description of each kernel of a module that a user gave, in the order of names."""
    for var in sorted(mod.get_global_vars(), key=lambda v: str(v.name_hint)):
        if (kernel := user_kernel(mod[var])) is not None:
            yield str(var.name_hint), kernel


def sources_of(mod: IRModule) -> tuple[UserKernel, ...]:
    """The kernels with source in a module, each once."""
    found = {k.symbol: k for _, k in user_kernels(mod) if k.text}
    return tuple(found[symbol] for symbol in sorted(found))
