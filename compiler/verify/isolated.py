"""One layer alone: what computes a tensor from right ones, in whatever module, on whatever device.

The tensors that it reads come from the reference, so that what is found wrong is wrong here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax
from tvm.ir import IRModule

from dlcc.compiler.container.container import Container
from dlcc.compiler.errors import ModelError, ToolchainError
from dlcc.compiler.feeds import as_pairs
from dlcc.compiler.frontend.graph import TensorRef
from dlcc.compiler.verify import parts
from dlcc.compiler.verify.layers import Comparison, as_read
from dlcc.compiler.verify.rows import LayerRow
from dlcc.compiler.verify.subject import session_of
from dlcc.targets.cpu.schedule.rules import watched
from dlcc.targets.tuned import Tuned

Results = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Isolated:
    """A module whose `main` takes the model's inputs and right tensors, and returns `results`.

    given: the variables that it takes.   feeds: all that it takes.   wanted: of the results those
    that the reference has."""

    module: IRModule
    results: tuple[str, ...]
    given: tuple[str, ...]
    feeds: Sequence[np.ndarray]
    wanted: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Layer:
    """A tensor of the model, and the tensors around it that are compared as well.

    sample: the one that it is looked at on."""

    comparison: Comparison
    variable: str
    around: frozenset[str]
    sample: str

    @classmethod
    def of(cls, comparison: Comparison, layers: Sequence[LayerRow], row: LayerRow) -> Layer:
        around = frozenset(r.variable for r in layers if r.variable != row.variable)
        return cls(comparison, row.variable, around, row.local_sample)

    @property
    def ref(self) -> TensorRef:
        return self.comparison.subject.tensors[self.variable]

    def inner(self, module: IRModule) -> list[str]:
        """What lies between the tensors around it and the layer's own, which is the last."""
        return parts.between(parts.reads(module), self.variable, self._able(module, self.around))

    def known(self, module: IRModule) -> list[str]:
        """Of these those that are tensors of the graph."""
        return [v for v in self.inner(module) if v in self.comparison.subject.tensors]

    def alone(self, module: IRModule, results: Sequence[str] = (), apart: bool = False) -> Isolated:
        """The layer, or other tensors inside of it, from right tensors.

        apart: each of the results from right ones, too, rather than from one another.
        Raises ModelError where the reference lacks a tensor."""
        results = tuple(results) or (self.variable,)
        stops = self._able(module, self.around | set(results) if apart else self.around)
        known = parts.reads(module)
        read = {v for r in results for v in parts.read_by(known, r, stops)}
        given = tuple(v for v in parts.variables(module) if v in read)
        feeds, wanted = self._arrays(given, results)
        return Isolated(parts.part(module, results, given), results, given, feeds, wanted)

    def _able(self, module: IRModule, names: Collection[str]) -> set[str]:
        return parts.can_be_given(module) & set(names)

    def _arrays(
        self, given: Sequence[str], results: Sequence[str]
    ) -> tuple[list[np.ndarray], Results]:
        subject, held = self.comparison.subject, self.comparison.subject.tensors
        inputs = self.comparison.inputs(self.sample)
        refs = [held[v] for v in (*given, *results) if v in held]
        with self.comparison.expected.tensors(inputs, refs) as known:
            if missing := [str(held[v]) for v in given if held[v] not in known]:
                raise ModelError(
                    f"the reference lacks {', '.join(missing)}, which {self.ref} reads",
                    hint="leave --expect out: TensorFlow computes them",
                )
            feeds = [as_read(subject, v, np.array(known[held[v]])) for v in given]
            wanted = {v: np.array(known[held[v]]) for v in results if held.get(v) in known}
        return as_pairs(inputs) + feeds, wanted


def by_tvm(layer: Isolated) -> Results:
    """The results by TVM's own compiler for this machine: none of our kernels and schedules.

    Raises ToolchainError for what it cannot compile."""
    try:
        executable = tvm.compile(layer.module, target="llvm")
        machine = relax.VirtualMachine(executable, tvm.cpu())
        found = machine["main"](*(tvm.runtime.tensor(np.asarray(a)) for a in layer.feeds))
    except (RuntimeError, ValueError, TypeError) as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise ToolchainError(
            f"TVM itself cannot run {', '.join(layer.results)}: {line}",
            hint="without --bisect the layers are compared all the same",
        ) from error
    return dict(zip(layer.results, (np.asarray(t.numpy()) for t in found), strict=True))


def built(
    layer: Layer,
    alone: Isolated,
    plain: Callable[[str], bool] | None = None,
    tuned: Tuned | None = None,
) -> Container:
    """The layer's code for the target. plain: kernels to leave without a schedule.
    tuned: other choices than the model's."""
    with watched(plain) if plain else nullcontext():
        return layer.comparison.subject.built(alone.module, tuned)


def on_target(
    layer: Layer,
    alone: Isolated,
    plain: Callable[[str], bool] | None = None,
    tuned: Tuned | None = None,
) -> Results:
    """The results on the device; see `built`."""
    with session_of(built(layer, alone, plain, tuned), layer.comparison.place) as session:
        found = session.run({str(i): a for i, a in enumerate(alone.feeds)})
    return dict(zip(alone.results, found.values(), strict=True))
