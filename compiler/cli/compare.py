"""Outputs against a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dlcc.compiler.errors import BadFeed, Mismatch
from dlcc.compiler.feeds import plain_name


@dataclass(frozen=True, slots=True)
class OutputRow:
    """One output. `values`: the first few, in C order."""

    output: str
    dtype: str
    shape: tuple[int, ...]
    min: float | None
    max: float | None
    mean: float | None
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One output against its reference.

    max_absolute: largest |y - expected|.   max_relative: largest |y - expected| / |expected| where
    |expected| > atol, since beside zero every error is relatively large.
    beyond: elements with |y - expected| > atol + rtol * |expected|; NaN equals NaN.
    None: the shapes differ, see `note`.
    """

    output: str
    dtype: str
    shape: tuple[int, ...]
    max_absolute: float | None
    max_relative: float | None
    beyond: int | None
    ok: bool
    note: str | None = None


def output_rows(outputs: Mapping[str, np.ndarray]) -> list[OutputRow]:
    """What to show of outputs that nothing is compared with."""
    return [_output_row(name, y) for name, y in outputs.items()]


def _output_row(name: str, y: np.ndarray) -> OutputRow:
    if y.dtype.kind == "c" or y.size == 0:
        return OutputRow(name, y.dtype.name, y.shape, None, None, None, ())
    wide = _wide(y)
    return OutputRow(
        name,
        y.dtype.name,
        y.shape,
        float(wide.min()),
        float(wide.max()),
        float(wide.mean()),
        tuple(float(f"{v:.6g}") for v in wide.ravel()[:4].tolist()),
    )


def differences(
    outputs: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    rtol: float,
    atol: float,
) -> list[Difference]:
    """Compare every output with the reference of its name, with or without ":0".

    A reference of one array stands for the only output, whatever its name.
    Raises BadFeed where references are missing."""
    known = {plain_name(name): array for name, array in expected.items()}
    if len(outputs) == 1 and len(expected) == 1:
        known = {plain_name(name): next(iter(expected.values())) for name in outputs}
    if missing := [name for name in outputs if plain_name(name) not in known]:
        raise BadFeed(
            f"the reference has no array for {', '.join(missing)}",
            hint=f"it has: {', '.join(expected) or 'none'}",
        )
    return [_difference(n, y, known[plain_name(n)], rtol, atol) for n, y in outputs.items()]


def _difference(
    name: str, y: np.ndarray, expected: np.ndarray, rtol: float, atol: float
) -> Difference:
    dtype = y.dtype.name
    if y.shape != expected.shape:
        note = f"expected shape {expected.shape}"
        return Difference(name, dtype, y.shape, None, None, None, ok=False, note=note)
    if expected.dtype.kind not in "biufcV" or expected.dtype.names is not None:
        raise BadFeed(f"the reference for {name} has dtype {expected.dtype}")
    if expected.dtype.kind == "V" and expected.dtype != y.dtype:
        expected = expected.view(y.dtype)
    found, wanted = _wide(y), _wide(expected)
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    with np.errstate(invalid="ignore", divide="ignore"):
        absolute = np.where(same, 0.0, np.abs(found - wanted))
        size = np.abs(wanted)
        relative = np.where(size > atol, absolute / size, 0.0)
        # Beside an infinity every tolerance would be infinite too.
        near = np.isfinite(wanted) & (absolute <= atol + rtol * size)
        beyond = int(np.count_nonzero(~same & ~near))
    other = None if y.dtype == expected.dtype else f"expected {expected.dtype.name}"
    far, relatively = (float(a.max(initial=0.0)) for a in (absolute, relative))
    return Difference(name, dtype, y.shape, far, relatively, beyond, ok=beyond == 0, note=other)


def _wide(array: np.ndarray) -> np.ndarray:
    """float64, or complex128: wide enough to subtract without a further error."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def check_differences(rows: Sequence[Difference]) -> None:
    """Raises Mismatch that names the outputs beyond tolerance."""
    told = [
        f"{row.output} ({row.note})"
        if row.beyond is None
        else f"{row.output} ({row.beyond} of {int(np.prod(row.shape))} values)"
        for row in rows
        if not row.ok
    ]
    if told:
        raise Mismatch(f"beyond tolerance: {', '.join(told)}", hint="--rtol and --atol set it")
