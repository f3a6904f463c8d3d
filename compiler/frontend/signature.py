"""Which of a SavedModel's graphs and signatures are meant, and what they call their tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlcc.compiler.errors import ModelError, UsageError, did_you_mean
from dlcc.compiler.frontend.graph import TensorRef, parse_ref

DEFAULT_TAG = "serve"
DEFAULT_SIGNATURE = "serving_default"
ALL_SIGNATURES = "all"


@dataclass(frozen=True, slots=True)
class Names:
    """What a signature calls the tensors of a graph, in its order; empty for no signature.

    aliases: further names of tensors, which are not shown.
    """

    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def ref(self, name: str, role: Mapping[str, str]) -> TensorRef:
        """The tensor that a user means: a name of the signature's, or a tensor's own."""
        plain = name.removesuffix(":0")
        for known in (role, self.aliases):
            if name in known or plain in known:
                return parse_ref(known.get(name) or known[plain])
        return parse_ref(name)

    def has_input(self, name: str) -> bool:
        """Whether a user's name is that of an input, under any of its names."""
        mine = {str(parse_ref(tensor)) for tensor in self.inputs.values()}
        return name.removesuffix(":0") in self.inputs or str(self.ref(name, self.inputs)) in mine

    def also_known_by(self, before: Names) -> Names:
        """With the names too that the tensors had before the graph was frozen."""
        aliases = {
            tensor.removesuffix(":0"): after[key]
            for after, old in ((self.inputs, before.inputs), (self.outputs, before.outputs))
            for key, tensor in old.items()
            if key in after
        }
        return Names(self.inputs, self.outputs, aliases)


NO_NAMES = Names()


@dataclass(frozen=True, slots=True)
class Choice:
    """A graph of a SavedModel. functions: TensorFlow 2, where the graph calls functions that
    hold the model and the variables are found by objects."""

    graph_def: Any
    tags: tuple[str, ...]
    signature: str
    names: Names
    functions: bool

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        signature = (("signature", self.signature),) if self.signature else ()
        return (("tag", ",".join(self.tags)), *signature)


def choose(saved_model: Any, path: Path, signature: str | None, tag: str | None) -> list[Choice]:
    """The graph of a tag with each signature that is meant.

    Raises UsageError, ModelError that list the choices."""
    meta_graph = _choose_graph(saved_model.meta_graphs, path, tag)
    chosen = choose_signatures(meta_graph, path, signature)
    functions = bool(meta_graph.object_graph_def.nodes)
    if functions and not all(chosen):
        raise ModelError(
            f"{path} has no signatures, so there is nothing to call",
            hint="save it with tf.saved_model.save(model, path, signatures=model.call)",
        )
    tags = tuple(meta_graph.meta_info_def.tags)
    graph = meta_graph.graph_def
    return [Choice(graph, tags, name, names, functions) for name, names in chosen.items()]


def _choose_graph(meta_graphs: Sequence[Any], path: Path, tag: str | None) -> Any:
    """A SavedModel may hold one graph for serving, others for training or other devices."""
    by_tags = {frozenset(m.meta_info_def.tags): m for m in meta_graphs}
    listed = "; ".join(",".join(sorted(tags)) or "(no tag)" for tags in by_tags)
    if tag is None:
        if len(by_tags) == 1:
            return next(iter(by_tags.values()))
        if frozenset([DEFAULT_TAG]) in by_tags:
            return by_tags[frozenset([DEFAULT_TAG])]
        raise UsageError(f"{path} has several graphs: {listed}", hint="choose one with --tag")
    wanted = frozenset(part.strip() for part in tag.split(",") if part.strip())
    if wanted not in by_tags:
        raise UsageError(f"{path} has no graph with tag {tag!r}", hint=f"its tags: {listed}")
    return by_tags[wanted]


def choose_signatures(meta_graph: Any, path: Path, wanted: str | None) -> dict[str, Names]:
    """The signatures meant, with their tensors; {"": no names} where there is none to choose.

    wanted: names joined by commas, or "all"; None: the default, or the only one.
    Raises UsageError that lists the choices."""
    signatures = {key: s for key, s in sorted(meta_graph.signature_def.items()) if _callable(s)}
    if wanted is None and not signatures:
        return {"": NO_NAMES}
    chosen = _wanted_names(list(signatures), path, wanted)
    found = {name: signatures[name] for name in chosen}
    return {n: Names(_tensors(n, s.inputs), _tensors(n, s.outputs)) for n, s in found.items()}


def _wanted_names(names: Sequence[str], path: Path, wanted: str | None) -> list[str]:
    """The names that are meant, each once; raises UsageError."""
    listed = ", ".join(names)
    if wanted is None:
        if DEFAULT_SIGNATURE in names or len(names) == 1:
            return [DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in names else names[0]]
        raise UsageError(
            f"{path} has several signatures: {listed}",
            hint=f"choose with --signature: one, several joined by commas, or {ALL_SIGNATURES!r}",
        )
    if wanted in names:  # also a name with a comma, or one that is "all"
        return [wanted]
    if wanted == ALL_SIGNATURES and names:
        return list(names)
    chosen = list(dict.fromkeys(part.strip() for part in wanted.split(",") if part.strip()))
    for name in chosen or [wanted]:
        if name not in names:
            hint = did_you_mean(name, names) or f"it has: {listed or 'none'}"
            raise UsageError(f"{path} has no signature {name!r}", hint=hint)
    return chosen


def _callable(signature: Any) -> bool:
    """Initialisation and training are signatures too, whose outputs are no tensors."""
    return any(info.name and info.dtype for info in signature.outputs.values())


def _tensors(signature: str, infos: Mapping[str, Any]) -> dict[str, str]:
    tensors = {key: infos[key].name for key in _sorted(infos)}
    if none := [key for key, name in tensors.items() if not name]:
        raise ModelError(
            f"signature {signature!r}: {', '.join(none)} is a sparse or composite tensor, which "
            "dlcc does not convert",
            hint="choose another with --signature, or name dense tensors with --input, --output",
        )
    return tensors


def _sorted(keys: Iterable[str]) -> list[str]:
    """In an order that is the same in every run: that of a map in protobuf is not."""
    return sorted(keys)
