"""Code for Arm's scalable vectors (SVE): made for one width, and right for that alone.

LLVM is told the width. Vectors of it fill one register each, so that schedules see SVE as they
see AVX: so many registers of so many bits. On a processor with another width the code would
compute nonsense.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dlcc.targets.artifact import Artifact
from dlcc.targets.chips import Chip
from dlcc.targets.errors import DeviceError

log = logging.getLogger("dlcc")

NEON_BITS = 128
_OPTION = re.compile(r"-aarch64-sve-vector-bits-min:int=(\d+)")
_PROCESSOR = re.compile(r"SVE of (\d+) bits")


def with_sve(tvm_row: Mapping[str, Any], bits: int) -> dict[str, Any]:
    """A chip's `tvm` row for vectors of that width."""
    limits = [f"-aarch64-sve-vector-bits-{end}:int={bits}" for end in ("min", "max")]
    return {**tvm_row, "cl-opt": limits}


def processor_of(chip: Chip) -> str:
    """`Artifact.processor` of code for a chip; "" where its name says it all."""
    found = _OPTION.search(" ".join(map(str, chip.tvm.get("cl-opt", ()))))
    return f"{chip.tvm['mcpu']}, SVE of {found[1]} bits" if found else ""


def without_sve(chip: Chip) -> Chip:
    """The chip as one with NEON only, said in the log; for code that nothing checks when loaded."""
    if not processor_of(chip):
        return chip
    log.warning("the library for %s is made for vectors of %d bits", chip.name, NEON_BITS)
    row = {name: value for name, value in chip.tvm.items() if name != "cl-opt"}
    return replace(chip, tvm=row, vector_bits=NEON_BITS)


def require_width(artifact: Artifact, describe: Callable[[], Mapping[str, str]]) -> None:
    """Raise DeviceError where a device's vectors are not those that the code is made for.

    describe: what the device says of itself, with `sve_bits`; asked for such code alone."""
    wanted = _PROCESSOR.search(artifact.processor)
    if wanted is None:
        return
    facts = describe()
    if (found := facts.get("sve_bits", "")) == wanted[1]:
        return
    has = f"has {found} bits" if int(found or 0) > 0 else "has none" if found else "does not tell"
    raise DeviceError(
        f"the code for {artifact.chip} needs scalable vectors (SVE) of {wanted[1]} bits; "
        f"{facts.get('address', 'the device')} {has}",
        hint="compile for a chip without SVE, such as neoverse-n1"
        if found
        else "put this dlcc's vectors.py beside its server.py",
    )
