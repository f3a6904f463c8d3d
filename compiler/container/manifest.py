"""What a container says about itself: `dlcc/manifest.json`, as frozen values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from dlcc.compiler.container.checked import Checked, Malformed

SCHEMA = 3
DEFAULT_SIGNATURE = "serving_default"
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
    """A tensor, by the hash of its bytes: the entry `dlcc/weights/SHA256`, or a place in another
    entry that `Manifest.weights` names."""

    sha256: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Some bytes within an entry."""

    entry: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class TargetRow:
    """Code for one chip. files: name -> entry; weights: in the order that `main` takes them.
    runtime: what runs it, "tvm" or "aot"; "": the own one of its kind.
    processor: what the code was generated for, where that may be another than the chip's."""

    kind: str
    chip: str
    files: Mapping[str, str]
    weights: tuple[WeightRef, ...]
    runtime: str = ""
    processor: str = ""

    @property
    def name(self) -> str:
        """What a user calls it."""
        return self.kind if self.chip == self.kind else f"{self.kind} {self.chip}"


@dataclass(frozen=True, slots=True)
class SignatureRow:
    """One function of the model, which a session loads.

    name: that of the model's signature, "" where it has none.   graph: entry of its Relax module.
    graph_weights: constants of the graph, in the order of the extra parameters of its `main`.
    ops: operator -> count in the graph.   parameters: elements of all constants in the graph.
    """

    name: str
    graph: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    targets: tuple[TargetRow, ...]
    graph_weights: tuple[WeightRef, ...]
    ops: Mapping[str, int]
    parameters: int

    @property
    def weights(self) -> list[WeightRef]:
        """All that it refers to, those of its targets included."""
        return [*self.graph_weights, *(w for t in self.targets for w in t.weights)]

    @property
    def files(self) -> list[str]:
        """The entries that are no weights."""
        return [self.graph, *(entry for t in self.targets for entry in t.files.values())]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that a container knows without loading code.

    signatures: at least one, the default first.
    tools: versions of what made the container.   options: what the user asked of the compiler.
    entries: every other entry of the archive -> its sha256.
    weights: sha256 of each tensor that lies within such an entry -> where.
    """

    model: str
    signatures: tuple[SignatureRow, ...]
    tools: Mapping[str, str]
    options: Mapping[str, str]
    entries: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, Place] = field(default_factory=dict)


def default_name(names: Sequence[str]) -> str:
    """The signature that is meant where none is named."""
    return DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in names else names[0]


def encode(manifest: Manifest) -> bytes:
    """Sorted JSON, the same bytes for equal manifests."""
    content = {"schema": SCHEMA, **asdict(manifest)}
    return json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"


def decode(content: bytes) -> Manifest:
    """Manifest from its JSON; raises Malformed with one line that says what is wrong and where."""
    row = Checked.parse(content)
    schema = row.integer("schema")
    if not 1 <= schema <= SCHEMA:
        tools = row.value.get("tools")
        maker = f" by dlcc {tools['dlcc']}" if isinstance(tools, dict) and "dlcc" in tools else ""
        age = "a newer" if schema > SCHEMA else "an older"
        raise Malformed(
            f"was written{maker} with schema version {schema}; this dlcc reads versions up to "
            f"{SCHEMA}",
            hint=f"open it with {age} dlcc, or compile the model again",
        )
    return Manifest(
        model=row.text("model"),
        signatures=_first_schema(row) if schema == 1 else _signatures(row),
        tools=row.texts("tools"),
        options=row.texts("options"),
        entries=row.texts("entries"),
        weights=_places(row) if schema > 2 else {},  # until then each was an entry of its own
    )


def _first_schema(row: Checked) -> tuple[SignatureRow, ...]:
    """Schema 1 had one signature, whose fields stood beside the others."""
    name = row.texts("options").get("signature", "")
    return (_signature(row, name, "dlcc/graph.relax"),)


def _signatures(row: Checked) -> tuple[SignatureRow, ...]:
    found = [_signature(s, s.text("name"), s.text("graph")) for s in row.rows("signatures")]
    names = [s.name for s in found]
    if not found or len(set(names)) != len(names):
        raise Malformed("manifest: signatures is empty, or names one twice")
    return tuple(found)


def _places(row: Checked) -> dict[str, Place]:
    return {
        digest: Place(place.text("entry"), place.integer("offset"), place.integer("size"))
        for digest, place in row.tables("weights").items()
    }


def _signature(row: Checked, name: str, graph: str) -> SignatureRow:
    return SignatureRow(
        name=name,
        graph=graph,
        inputs=tuple(map(_spec, row.rows("inputs"))),
        outputs=tuple(map(_spec, row.rows("outputs"))),
        targets=tuple(map(_target, row.rows("targets"))),
        graph_weights=tuple(map(_weight, row.rows("graph_weights"))),
        ops={op: ops.integer(op) for ops in [row.table("ops")] for op in ops.value},
        parameters=row.integer("parameters"),
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
        runtime=row.text("runtime") if "runtime" in row.value else "",
        processor=row.text("processor") if "processor" in row.value else "",
    )
