"""A small model that every engine can run: the unit test of `dlcc device check`."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from dlcc.targets.artifact import Artifact
from dlcc.targets.chips import Gpu, chips_of
from dlcc.targets.device import Device
from dlcc.targets.errors import DlccError
from dlcc.targets.registry import find_chip, kind

ROWS, DEPTH, COLUMNS = 16, 64, 32
OLDEST_ARM = "cortex-a53"  # without products of bytes
TOLERANCE = 1e-4  # float32 sums of 64 products in another order differ by some 1e-6


@dataclass(frozen=True, slots=True)
class Probed:
    """What the small model did. said: in one line.   hint: what to do where it is not good."""

    good: bool
    said: str
    hint: str = ""


def probe(device: Device, chip: str, runtime: str | None = None) -> Probed:
    """Build the model for a chip, run it on a device, compare its results with NumPy's.

    runtime: as of `compile`. Never raises a DlccError: what went wrong is the result."""
    try:
        outputs = device.load(_built(chip, runtime)).run(_inputs())
    except DlccError as error:
        return Probed(False, error.what, error.hint or "`-v` shows more")
    return _judged(outputs)


def chip_for(kind_name: str, facts: Mapping[str, str]) -> str:
    """The chip of a kind whose code a device surely runs, by what it says of itself."""
    if kind_name == "arm" and "dotprod" not in facts.get("features", "dotprod"):
        return OLDEST_ARM
    if kind_name == "opencl" and (machine := facts.get("architecture")) != platform.machine():
        fit = (chip for chip in chips_of(kind_name) if chip.gpu and _is_for(chip.gpu, machine))
        return next((chip.name for chip in fit), kind_name)
    return kind_name


def _is_for(gpu: Gpu, machine: str | None) -> bool:
    """Whether the CPU beside a GPU is of a machine."""
    return str(gpu.host.get("mtriple", "")).partition("-")[0] == machine


def _judged(outputs: list[np.ndarray]) -> Probed:
    x, w, p, q = _operands()
    product, whole = np.maximum(x @ w, 0), p.astype("int32") @ q.astype("int32")
    if len(outputs) != 2:
        return _wrong(f"{len(outputs)} results of 2")
    found, integers = outputs
    if not np.array_equal(integers, whole):
        return _wrong(f"{np.sum(integers != whole)} of {whole.size} sums of int8 products")
    difference = float(np.max(np.abs(found - product)))
    if not difference <= TOLERANCE * float(np.max(product)):  # NaN is no number to be within
        return _wrong(f"float32 products differ by {difference:.3g}")
    return Probed(True, f"passed: int8 exact, float32 within {difference:.2g}")


def _wrong(what: str) -> Probed:
    hint = "the device, its driver or its emulator computes wrongly: try another version of it"
    return Probed(False, f"wrong numbers: {what}", hint)


def _operands() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    floats = [rng.standard_normal(s).astype("float32") for s in ((ROWS, DEPTH), (DEPTH, COLUMNS))]
    whole = [rng.integers(-128, 128, s).astype("int8") for s in ((ROWS, DEPTH), (DEPTH, COLUMNS))]
    return floats[0], floats[1], whole[0], whole[1]


def _inputs() -> list[np.ndarray]:
    x, _, p, _ = _operands()
    return [x, p]


@cache
def _built(name: str, runtime: str | None) -> Artifact:
    chip = find_chip(name)
    return kind(chip.kind).run_by(runtime).build(_network(), chip)


def _network() -> Any:
    """(relu(x @ w), p @ q): one product of floats, one of bytes."""
    from tvm import relax

    _, w, _, q = _operands()
    bb = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((ROWS, DEPTH), "float32"))
    p = relax.Var("p", relax.TensorType((ROWS, DEPTH), "int8"))
    with bb.function("main", [x, p], attrs={"num_input": 2}):
        with bb.dataflow():
            product = bb.emit(relax.op.matmul(x, relax.const(w)), "product")
            found = bb.emit_output(relax.op.nn.relu(product), "floats")
            whole = relax.op.matmul(p, relax.const(q), out_dtype="int32")
            integers = bb.emit_output(whole, "integers")
        bb.emit_func_output(relax.Tuple([found, integers]))
    return bb.get()
