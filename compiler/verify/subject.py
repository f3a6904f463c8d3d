"""A model under test: as it was read, translated and optimised, and how it is built and run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tvm import relax
from tvm.ir import IRModule

from dlcc.compiler.container.container import Container
from dlcc.compiler.container.manifest import TensorSpec
from dlcc.compiler.container.pack import Compiled
from dlcc.compiler.driver import find_chips, in_half, require_shapes
from dlcc.compiler.errors import UsageError
from dlcc.compiler.frontend.graph import Graph, TensorRef
from dlcc.compiler.frontend.load import graph_of
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.read import Source, read_model
from dlcc.compiler.frontend.translate import Model, translate
from dlcc.compiler.frontend.unread import CALLS, LOOPS
from dlcc.compiler.passes.pipeline import optimize
from dlcc.compiler.session import Session
from dlcc.compiler.tuning import Choices, choices_for
from dlcc.compiler.user_ops.load import OpsGiven
from dlcc.compiler.user_ops.table import ops_in_force
from dlcc.targets.chips import Chip
from dlcc.targets.cpu.sources import calls_of
from dlcc.targets.names import nodes_of
from dlcc.targets.registry import Runtime, kind
from dlcc.targets.traces import kernel_key
from dlcc.targets.tuned import Tuned


@dataclass(frozen=True, slots=True)
class Making:
    """How the model is read and compiled: the arguments of `compile` by these names."""

    inputs: Mapping[str, Sequence[int | str | None] | None] = field(default_factory=dict)
    outputs: Sequence[str] = ()
    signature: str | None = None
    tag: str | None = None
    database: str | None = None
    runtime: str | None = None
    fp16: bool = False
    ops: OpsGiven = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where it runs: the arguments of `Container.session` by these names."""

    device: str | None = None
    threads: int | None = None
    time_limit_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a kernel. key: of the kernel, without its schedule.   nodes: what it computes."""

    kernel: str
    key: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """module: optimised.   specs: of the inputs, in order.   choices: of tuning.
    tensors: variable of `main`, before optimisation -> the model's tensor that it holds.
    table: of the ops in force."""

    source: Source
    graph: Graph
    translated: Model
    module: IRModule
    specs: tuple[TensorSpec, ...]
    chip: Chip
    runtime: Runtime
    choices: Choices
    tensors: Mapping[str, TensorRef]
    table: OpTable

    @property
    def half(self) -> bool:
        return self.chip.gpu is not None and self.chip.gpu.half

    @property
    def outputs(self) -> dict[str, TensorRef]:
        """The model's tensor that each output is, in order."""
        names = self.source.names
        return {o.name: names.ref(o.name, names.outputs) for o in self.translated.outputs}

    def container(self) -> Container:
        """The model as `compile` makes it."""
        names = self.translated.inputs, self.translated.outputs
        return self._packed(self.module, *names, self.choices.tuned)

    def built(self, module: IRModule, tuned: Tuned | None = None) -> Container:
        """A part of the model; its inputs and results are called "0", "1" and so on."""
        main = module["main"]
        inputs = [_spec(i, p.ty) for i, p in enumerate(main.params)]
        results = [_spec(i, t) for i, t in enumerate(main.ret_ty.fields)]
        return self._packed(module, inputs, results, self.choices.tuned if tuned is None else tuned)

    def _packed(self, module: IRModule, inputs: Any, outputs: Any, tuned: Tuned) -> Container:
        artifact = self.runtime.build(module, self.chip, tuned)
        return Container.of(self.graph.name, [Compiled(module, inputs, outputs, [artifact])])

    def calls(self, module: IRModule) -> dict[str, Call]:
        """Variable that is a kernel's result -> the call that makes it."""
        made = kind(self.chip.kind).unscheduled(module, self.chip, self.choices.tuned)
        return {
            call[0]: Call(kernel, key, nodes_of(module, [*call[1:], call[0]]))
            for kernel, calls in calls_of(made).items()
            for key in [kernel_key(made[kernel])]
            for call in calls
        }

    def op(self, ref: TensorRef) -> str:
        """The TensorFlow op that makes a tensor."""
        return self.graph.by_name[ref.node].op if ref.node in self.graph.by_name else ""


def session_of(
    container: Container, place: Place, chip: str | None = None, signature: str | None = None
) -> Session:
    """The container on the device, or on that which its kind of target uses."""
    where = place.device, chip, place.threads, place.time_limit_s
    return container.session(*where, signature=signature)


def subject(model: Any, target: str, making: Making) -> Subject:
    """Read, translate and optimise a model as `compile` does; raises what that raises, and
    UsageError for several targets or signatures."""
    chips = find_chips(target)
    if len(chips) > 1:
        raise UsageError(f"{target} names several targets", hint="verify one after another")
    chip = in_half(chips)[0] if making.fp16 else chips[0]
    runtime = kind(chip.kind).run_by(making.runtime)
    sources = read_model(model, making.signature, making.tag)
    if len(sources) > 1:
        raise UsageError(
            "one signature is verified at a time", hint=f"--signature {sources[0].signature}"
        )
    in_force = ops_in_force(making.ops)
    source = replace(sources[0], op_outputs=in_force.outputs)
    graph = graph_of(source, making.inputs, list(making.outputs) or None)
    require_shapes([graph], [chip.kind] if runtime.static_shapes else [])
    translated = translate(graph, table=in_force.table)
    specs = tuple(TensorSpec(s.name, s.dtype, s.shape) for s in translated.inputs)
    choices = choices_for(chip, making.database)
    module = optimize(translated.module)
    held = _of_the_model(source, translated.tensors)
    made = graph, translated, module, specs, chip, runtime, choices, held, in_force.table
    return Subject(source, *made)


def _of_the_model(source: Source, tensors: Mapping[str, TensorRef]) -> dict[str, TensorRef]:
    """Those of the tensors that are called so in the model as well: results of its loops and calls
    are renumbered when it is read, and some nodes are made then."""
    ops = {node.name: node.op for node in source.graph_def.node}
    others = (*CALLS, *LOOPS)
    return {v: ref for v, ref in tensors.items() if ops.get(ref.node, others[0]) not in others}


def _spec(number: int, ty: Any) -> TensorSpec:
    dims: tuple[int | str, ...] | None = None
    if isinstance(ty.shape, relax.ShapeExpr):
        dims = tuple(int(d) if hasattr(d, "value") else str(d) for d in ty.shape.values)
    return TensorSpec(str(number), str(ty.dtype), dims)
