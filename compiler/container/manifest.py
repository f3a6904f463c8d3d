"""What a container says about itself: `dlcc/manifest.json`, as frozen values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from dlcc.compiler.container.checked import Checked, Malformed

SCHEMA = 1
Dim = int | str


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output. shape: a size or a symbol for each dimension; None: rank not known."""

    name: str
    dtype: str
    shape: tuple[Dim, ...] | None

    def __str__(self) -> str:
        """`float32[n, 224, 224, 3]`"""
        inner = "?" if self.shape is None else ", ".join(map(str, self.shape))
        return f"{self.dtype}[{inner}]"


@dataclass(frozen=True, slots=True)
class WeightRef:
    """A tensor whose bytes are the entry `dlcc/weights/SHA256`."""

    sha256: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TargetRow:
    """Code for one chip. files: name -> entry; weights: in the order that `main` takes them."""

    kind: str
    chip: str
    files: Mapping[str, str]
    weights: tuple[WeightRef, ...]

    @property
    def name(self) -> str:
        """What a user calls it."""
        return self.kind if self.chip == self.kind else f"{self.kind} {self.chip}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that a container knows without loading code.

    graph_weights: constants of the graph, in the order of the extra parameters of its `main`.
    ops: operator -> count in the graph.   parameters: elements of all constants in the graph.
    tools: versions of what made the container.   options: what the user asked of the compiler.
    entries: every other entry of the archive -> its sha256.
    """

    model: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    targets: tuple[TargetRow, ...]
    graph_weights: tuple[WeightRef, ...]
    ops: Mapping[str, int]
    parameters: int
    tools: Mapping[str, str]
    options: Mapping[str, str]
    entries: Mapping[str, str] = field(default_factory=dict)


def encode(manifest: Manifest) -> bytes:
    """Sorted JSON, the same bytes for equal manifests."""
    content = {"schema": SCHEMA, **asdict(manifest)}
    return json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"


def decode(content: bytes) -> Manifest:
    """Manifest from its JSON; raises Malformed with one line that says what is wrong and where."""
    row = Checked.parse(content)
    schema = row.integer("schema")
    if schema != SCHEMA:
        tools = row.value.get("tools")
        maker = f" by dlcc {tools['dlcc']}" if isinstance(tools, dict) and "dlcc" in tools else ""
        age = "a newer" if schema > SCHEMA else "an older"
        raise Malformed(
            f"was written{maker} with schema version {schema}; this dlcc reads version {SCHEMA}",
            hint=f"open it with {age} dlcc, or compile the model again",
        )
    return Manifest(
        model=row.text("model"),
        inputs=tuple(map(_spec, row.rows("inputs"))),
        outputs=tuple(map(_spec, row.rows("outputs"))),
        targets=tuple(map(_target, row.rows("targets"))),
        graph_weights=tuple(map(_weight, row.rows("graph_weights"))),
        ops={op: ops.integer(op) for ops in [row.table("ops")] for op in ops.value},
        parameters=row.integer("parameters"),
        tools=row.texts("tools"),
        options=row.texts("options"),
        entries=row.texts("entries"),
    )


def _spec(row: Checked) -> TensorSpec:
    return TensorSpec(row.text("name"), row.dtype(), row.symbolic_shape())


def _weight(row: Checked) -> WeightRef:
    return WeightRef(row.sha256(), row.dtype(), row.static_shape())


def _target(row: Checked) -> TargetRow:
    return TargetRow(
        kind=row.text("kind"),
        chip=row.text("chip"),
        files=row.files("files"),
        weights=tuple(map(_weight, row.rows("weights"))),
    )
