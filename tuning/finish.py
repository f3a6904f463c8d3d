"""The end of a session: the winners are checked one by one, then together, in the whole network.

A choice was the fastest of many, so its time was lucky in part: here all are measured again. What
does not hold falls back to the default, one workload at a time, or all of them.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dlcc.targets.tuned import Knobs
from dlcc.tuning.checks import NETWORK_TOLERANCE, TOLERANCE
from dlcc.tuning.ledger import Ledger
from dlcc.tuning.noise import mostly_faster, ratio, wins
from dlcc.tuning.pipeline import Pipeline
from dlcc.tuning.record import choice_id
from dlcc.tuning.tasks import Task
from dlcc.tuning.workers.jobs import Check, Checked, Compare, Compared, Failed, Measure, Measured

CONFIRM_ROUNDS = 15
COMPARE_ROUNDS = 31
ATTEMPTS = 2  # choices of a task that get the chance, the best first

Chosen = dict[str, tuple[Knobs, float]]


@dataclass(slots=True)
class Ending:
    """chosen: workload -> choice and ratio, of those that are better than the default.
    before, after: the whole network. notes: what fell back."""

    chosen: Chosen = field(default_factory=dict)
    before: float | None = None
    after: float | None = None
    notes: list[str] = field(default_factory=list)


def finish(pipeline: Pipeline, tasks: Sequence[Task], ledger: Ledger, reward: str) -> Ending:
    """Decide for each task, and record it."""
    ending = Ending()
    chosen: Chosen = {}
    for attempt in range(ATTEMPTS):
        new = {
            task.workload: candidates[attempt]
            for task in tasks
            if task.workload not in chosen and len(candidates := task.candidates(reward)) > attempt
            if choice_id(candidates[attempt]) not in task.refused
        }
        new = _right(pipeline, new, ledger, ending)
        if new:
            chosen = _confirmed(
                pipeline, {w: k for w, (k, _) in chosen.items()} | new, reward, ending
            )
    ending.chosen = _better(pipeline, chosen, ending)
    ledger.final({t.workload: ending.chosen.get(t.workload, ({}, 1.0)) for t in tasks})
    return ending


def _right(
    pipeline: Pipeline, choices: Mapping[str, Knobs], ledger: Ledger, ending: Ending
) -> dict[str, Knobs]:
    """Those whose kernel computes on random data what the default's does."""
    if not choices:
        return {}
    answer = pipeline.ask(Check(choices))
    if isinstance(answer, Checked):
        wrong = {w: e for w, e in answer.errors.items() if not e <= TOLERANCE}
        for workload, error in wrong.items():
            why = f"wrong result on random data: off by {error:.1e} of the largest value"
            ledger.wrong(workload, choices[workload], why)
            ending.notes.append(f"{workload}: {why}")
        return {w: c for w, c in choices.items() if w not in wrong}
    assert isinstance(answer, Failed)
    if len(choices) == 1:
        ((workload, knobs),) = choices.items()
        ledger.wrong(workload, knobs, answer.what)
        ending.notes.append(f"{workload}: {answer.what}")
        return {}
    items = list(choices.items())
    half = len(items) // 2
    halves = (dict(items[:half]), dict(items[half:]))
    return {w: c for part in halves for w, c in _right(pipeline, part, ledger, ending).items()}


def _confirmed(
    pipeline: Pipeline, choices: Mapping[str, Knobs], reward: str, ending: Ending
) -> Chosen:
    """Those that beat the default by more than the noise when all are measured together."""
    answer = pipeline.ask(Measure(choices, CONFIRM_ROUNDS))
    if not isinstance(answer, Measured) or answer.error > NETWORK_TOLERANCE:
        why = answer.what if isinstance(answer, Failed) else "the result is another one"
        ending.notes.append(f"all choices together: {why}; the defaults stay")
        return {}
    pairs = {w: (answer.tuned[w], answer.default[w]) for w in choices}
    won = {w: (choices[w], ratio(*pairs[w])) for w in choices if wins(*pairs[w], reward)}
    if lost := len(choices) - len(won):
        ending.notes.append(f"{lost} choices were not faster when measured again")
    return won


def _better(pipeline: Pipeline, chosen: Chosen, ending: Ending) -> Chosen:
    """All of them if the whole network is right and faster with them, else none."""
    if not chosen:
        return {}
    answer = pipeline.ask(Compare({w: knobs for w, (knobs, _) in chosen.items()}, COMPARE_ROUNDS))
    if not isinstance(answer, Compared):
        assert isinstance(answer, Failed)
        ending.notes.append(f"the whole network: {answer.what}; the defaults stay")
        return {}
    ending.before, ending.after = (statistics.median(c) for c in (answer.default, answer.tuned))
    faster = ratio(answer.tuned, answer.default) < 1.0 and mostly_faster(
        answer.tuned, answer.default, least=0.5
    )
    if answer.error <= NETWORK_TOLERANCE and faster:
        return chosen
    why = "is not faster" if not faster else f"is off by {answer.error:.1e}"
    ending.notes.append(f"the whole network {why}; the defaults stay")
    ending.after = ending.before
    return {}
