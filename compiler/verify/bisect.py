"""What makes a layer wrong: its converter, a pass, a schedule, what tuning chose, or fusion.

The layer is computed on the inputs that the reference gives it, in ways that differ in one thing.
First the graph: the module as it stands behind each pass, compiled by TVM itself for this machine,
with none of our kernels and schedules. Where the optimised module is right so, the target is to
blame, and the layer is built for it in plainer and plainer ways until it is right.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence

from tvm.ir import IRModule

from dlcc.compiler.errors import DlccError
from dlcc.compiler.frontend.trace import op_name
from dlcc.compiler.passes import pipeline
from dlcc.compiler.verify import parts
from dlcc.compiler.verify.isolated import Isolated, Layer, Results, built, by_tvm, on_target
from dlcc.compiler.verify.layers import Comparison
from dlcc.compiler.verify.rows import Bisection, Cause, LayerRow, Trial
from dlcc.targets.cpu.schedule.rules import TRACE, Verdict, watched
from dlcc.targets.kernels import Kernel, kernels_in
from dlcc.targets.tuned import UNTUNED, Knobs

log = logging.getLogger("dlcc")

Run = Callable[[], Results]


def bisect(comparison: Comparison, layers: Sequence[LayerRow], row: LayerRow) -> Bisection:
    """Find what makes a layer depart; raises ToolchainError where TVM itself cannot compile it."""
    return _Search(Layer.of(comparison, layers, row), row).found()


class _Search:
    def __init__(self, layer: Layer, row: LayerRow) -> None:
        self._layer, self._row = layer, row
        self._subject = layer.comparison.subject
        self._trials: list[Trial] = []

    def found(self) -> Bisection:
        alone = self._layer.alone(self._subject.module)
        if self._right("as it is built", alone, lambda: on_target(self._layer, alone)):
            return self._says(
                "carried", "",
                "right on right inputs; the error comes with its inputs or from beside it",
            )  # fmt: skip
        if self._right("behind all passes, by TVM itself", alone, lambda: by_tvm(alone)):
            return self._in_the_target(alone)
        return self._in_the_graph()

    # ---- the graph

    def _in_the_graph(self) -> Bisection:
        modules = [self._subject.translated.module]
        if not self._right_behind("before any pass", modules[0]):
            return self._in_the_converter()
        for _, run in pipeline.PIPELINE:
            modules.append(run(modules[-1].clone()))  # a pass may write into what it is given
        right, wrong = 0, len(modules) - 1  # behind so many passes
        while wrong - right > 1:
            middle = (right + wrong) // 2
            title = pipeline.PIPELINE[middle - 1][0]
            if self._right_behind(f"behind pass {title}", modules[middle]):
                right = middle
            else:
                wrong = middle
        title = pipeline.PIPELINE[wrong - 1][0]
        return self._says("pass", title, f"right before pass {title}, wrong after it")

    def _right_behind(self, what: str, module: IRModule) -> bool:
        alone = self._layer.alone(module)
        return self._right(what, alone, lambda: by_tvm(alone))

    def _in_the_converter(self) -> Bisection:
        """The first tensor of the layer that is wrong when computed from right ones."""
        variable = self._first_wrong(self._subject.translated.module, by_tvm)
        ref = self._subject.tensors[variable]
        op = self._subject.op(ref)
        table = self._subject.table
        source = f" ({table[op].source})" if op in table else ""
        node = str(ref).removesuffix(":0")
        at = "" if node == self._row.node else f", at {node}"
        return self._says(
            "converter", op, f"wrong before any pass and by TVM itself: the converter of op {op}"
            f"{source}{at}",
        )  # fmt: skip

    # ---- the target

    def _in_the_target(self, alone: Isolated) -> Bisection:
        with watched() as verdicts:
            made = built(self._layer, alone)
        kernels = kernels_in(made.artifact(made.targets[0]))
        chosen = [f"{_shown(k.knobs)} for {k.workload}" for k in kernels.values() if k.knobs]
        chosen += [f"a trace for {v.kernel}" for v in verdicts if v.rule == TRACE]
        if chosen and self._right_with("without tuning records", alone, untuned=True):
            told = "; ".join(dict.fromkeys(chosen))
            return self._says("tuning", told, f"right without tuning records, wrong with {told}")
        if self._right_with("with no schedules", alone, plain=lambda _: True):
            return self._in_a_schedule(alone, verdicts, kernels)
        unfused = self._layer.alone(self._subject.module, self._tensors())
        if self._right_with("not fused, with no schedules", unfused, plain=lambda _: True):
            kernel = self._row.kernel
            return self._says(
                "fusion", kernel,
                f"right with a kernel for each operator, wrong fused into the kernel {kernel}",
            )  # fmt: skip
        return self._in_a_kernel()

    def _tensors(self) -> list[str]:
        able = parts.tensors(self._subject.module)
        return [v for v in self._layer.inner(self._subject.module) if v in able]

    def _in_a_schedule(
        self, alone: Isolated, verdicts: Sequence[Verdict], kernels: Mapping[str, Kernel]
    ) -> Bisection:
        """The rule of the kernel without whose schedule the layer is right."""
        ruled = {v.kernel: v.rule for v in verdicts if v.rule}
        guilty = [
            kernel
            for kernel in ruled
            if len(ruled) == 1 or self._right_with(f"with no schedule of {kernel}", alone, kernel)
        ] or list(ruled)
        told = " or ".join(
            f"the rule {ruled[k]}{_chosen(kernels.get(k, Kernel()).knobs)} of the kernel {k}"
            for k in guilty
        )
        culprit = ", ".join(dict.fromkeys(ruled[k] for k in guilty))
        return self._says(
            "schedule", culprit, f"right with the unscheduled kernel, wrong with {told}"
        )

    def _in_a_kernel(self) -> Bisection:
        """The operator that is wrong as a kernel of its own, without a schedule."""
        module, layer = self._subject.module, self._layer
        variable = self._first_wrong(
            module, lambda alone: on_target(layer, alone, plain=lambda _: True)
        )
        op = op_name(parts.bound(module)[variable]) or "the layer"
        kind = self._subject.chip.kind
        return self._says(
            "kernel", op, f"right by TVM itself, wrong by the {kind} target's kernel of {op}, "
            "unscheduled and not fused too",
        )  # fmt: skip

    # ---- trials

    def _right(self, what: str, alone: Isolated, run: Run) -> bool:
        variable = self._layer.variable
        error = self._layer.comparison.error(run()[variable], alone.wanted[variable])
        self._trials.append(Trial(what, error.max_abs, error.snr_db, error.ok))
        log.info("%s: %s", what, "right" if error.ok else f"off by {error.max_abs:.3g}")
        return error.ok

    def _right_with(
        self,
        what: str,
        alone: Isolated,
        only: str | None = None,
        *,
        plain: Callable[[str], bool] | None = None,
        untuned: bool = False,
    ) -> bool:
        """Whether the layer is right when built so; a build that fails is no answer, and is told.

        only: the one kernel that stays without a schedule."""
        if only is not None:
            plain = lambda name: name == only  # noqa: E731
        tuned = UNTUNED if untuned else None
        try:
            return self._right(what, alone, lambda: on_target(self._layer, alone, plain, tuned))
        except DlccError as error:
            log.info("%s: %s", what, error.what)
            self._trials.append(Trial(f"{what}: {error.what}", math.inf, -math.inf, ok=False))
            return False

    def _first_wrong(self, module: IRModule, run: Callable[[Isolated], Results]) -> str:
        """The first tensor inside the layer that is wrong when computed from right ones; the
        layer's own if all are right."""
        alone = self._layer.alone(module, self._layer.known(module), apart=True)
        found = run(alone)
        error = self._layer.comparison.error
        wrong = (v for v in alone.results if not error(found[v], alone.wanted[v]).ok)
        return next(wrong, self._layer.variable)

    def _says(self, cause: Cause, culprit: str, said: str) -> Bisection:
        row = self._row
        error = row.error if row.local.ok else row.local
        off = f"max {error.max_abs:.2g}, {error.snr_db:.0f} dB"
        text = f"{row.node} departs ({off}): {said}"
        return Bisection(row.node, row.op, cause, culprit, text, tuple(self._trials))


def _shown(knobs: Knobs) -> str:
    return ", ".join(f"{name} {value}" for name, value in knobs.items())


def _chosen(knobs: Knobs) -> str:
    return f" (knobs {_shown(knobs)})" if knobs else ""
