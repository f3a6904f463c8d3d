"""What `verify` found, as text or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click

from dlcc.compiler.cli.show import jsonable_text, show
from dlcc.compiler.errors import Mismatch
from dlcc.compiler.verify import LayerRow, Verification, ranked
from dlcc.compiler.verify.measure import Error
from dlcc.compiler.verify.rows import Rank

WORST = 10


@dataclass(frozen=True, slots=True)
class Summary:
    """What is shown above the tables."""

    model: str
    target: str
    device: str
    reference: str
    samples: int
    tolerance: str
    result: str
    first_layer: str | None
    other_kernels: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A layer in a table. mark: where the first departs.   own: the layer alone on right inputs."""

    mark: str
    layer: int
    node: str
    op: str
    shape: tuple[int, ...]
    max_abs: float
    max_rel: float
    snr_db: float
    cosine: str | None
    own_max_abs: float
    own_snr_db: float
    kernel: str
    note: str | None


def show_verification(found: Verification, rank: Rank, as_json: bool) -> None:
    """Print it: JSON has every figure, the tables the most telling."""
    if as_json:
        click.echo(jsonable_text(asdict(found)))
        return
    show(_summary(found), False)
    _table("outputs", found.outputs)
    _table("layers", [_shown(row, found.first) for row in found.layers])
    if len(found.layers) > 1:
        title = f"worst by {rank}, of the layer alone"
        _table(title, [_shown(row, found.first) for row in ranked(found.layers, rank)[:WORST]])
    if found.bisection is not None:
        _table("tried", found.bisection.trials)
        click.echo(f"\n{found.bisection.said}")
    if found.reproducer is not None:
        told = "departs alone" if found.reproducer.reproduces else "is right alone"
        click.echo(f"\n{found.reproducer.node} {told}, see {found.reproducer.path}:")
        click.echo(found.reproducer.command)


def require_equal(found: Verification) -> None:
    """Raises Mismatch where anything departs."""
    if found.ok:
        return
    outputs = ", ".join(row.output for row in found.outputs if not row.ok)
    layers = sum(not row.ok for row in found.layers)
    told = [f"the output {outputs}"] if outputs else []
    told += [f"{layers} of {len(found.layers)} layers, the first is {found.first}"] * bool(layers)
    hint = "" if found.layers else "--layers shows which layer departs, --bisect also why"
    raise Mismatch(f"beyond tolerance: {'; '.join(told)}", hint=hint)


def _summary(found: Verification) -> Summary:
    return Summary(
        model=found.model,
        target=found.target,
        device=found.device,
        reference=found.reference,
        samples=found.samples,
        tolerance=f"{found.atol:g} + {found.rtol:g} of the largest value of a tensor",
        result="equal" if found.ok else "departs",
        first_layer=found.first,
        other_kernels=None if found.kernels == "same" else found.kernels,
    )


def _table(title: str, rows: Sequence[object]) -> None:
    if rows:
        click.echo("\n" + click.style(title, bold=True))
        show(rows, False)


def _shown(row: LayerRow, first: str | None) -> Shown:
    error, own = row.error, row.local
    return Shown(
        mark=">" if row.node == first else "!" if not row.ok else "",
        layer=row.layer,
        node=row.node,
        op=row.op,
        shape=row.shape,
        max_abs=error.max_abs,
        max_rel=error.max_rel,
        snr_db=error.snr_db,
        cosine=_cosine(error),
        own_max_abs=own.max_abs,
        own_snr_db=own.snr_db,
        kernel=row.kernel,
        note="; ".join(_notes(row)) or None,
    )


def _cosine(error: Error) -> str | None:
    return None if error.cosine is None else f"{error.cosine:.6f}"


def _notes(row: LayerRow) -> list[str]:
    notes = [row.error.note] if row.error.note else []
    if row.local.note and row.local.note not in notes:
        notes.append(f"alone: {row.local.note}")
    if not row.same_kernel:
        return [*notes, "other kernels here than in the model"]
    return notes if row.local_same_kernel else [*notes, "alone in another kernel"]
