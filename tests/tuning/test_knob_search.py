"""The search over knobs and the rule by which a choice wins."""

from __future__ import annotations

import random

import pytest

from dlcc.targets.registry import kind
from dlcc.tuning.noise import ratio, spread, wins
from dlcc.tuning.template import PATIENCE, TemplateSearch

SPACE = [{}, {"a": 1}, {"a": 2}, {"b": 1}, {"a": 1, "b": 1}, {"a": 2, "b": 1}]


def ask(search: TemplateSearch, cost) -> list[dict]:
    asked = []
    while (choice := search.ask()) is not None:
        asked.append(choice)
        search.tell(choice, cost(choice))
    return asked


def test_one_knob_first_then_the_most_promising_together() -> None:
    costs = {("a", 1): 1.1, ("a", 2): 0.8, ("b", 1): 0.9}
    asked = ask(TemplateSearch(SPACE), lambda c: costs.get(next(iter(c.items())), 1.0))
    assert asked == [{"a": 1}, {"a": 2}, {"b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 1}]


def test_a_knob_that_fails_is_not_tried_with_others() -> None:
    asked = ask(TemplateSearch(SPACE), lambda c: None if c.get("b") else 1.0)
    assert asked == [{"a": 1}, {"a": 2}, {"b": 1}]


def test_a_search_that_was_told_of_earlier_trials_goes_on() -> None:
    whole, second = TemplateSearch(SPACE), TemplateSearch(SPACE)
    costs = {("a", 1): 0.7, ("a", 2): 0.8, ("b", 1): 0.9}

    def cost(c):
        return costs[next(iter(c.items()))]

    first = [whole.ask() for _ in range(2)]
    for choice in first:
        second.tell(choice, cost(choice))
        whole.tell(choice, cost(choice))
    assert ask(second, cost) == ask(whole, cost)


def test_flat_without_progress_and_later_for_what_matters() -> None:
    search = TemplateSearch([{"a": n} for n in range(100)])
    for _ in range(PATIENCE):
        search.tell(search.ask(), 1.0)
    assert search.flat(0.0)
    assert not search.flat(0.5)
    search.tell(search.ask(), 0.9)
    assert not search.flat(0.0)


def noisy(seed: int, level: float, noise: float, rounds: int = 15) -> list[float]:
    rng = random.Random(seed)
    return [level * (1 + abs(rng.gauss(0, noise))) for _ in range(rounds)]


def test_noise_does_not_win() -> None:
    """Of choices that are the default under another name, almost none is taken for better."""
    won = [wins(noisy(n, 1.0, 0.1), noisy(n + 5000, 1.0, 0.1), "seconds") for n in range(400)]
    assert sum(won) <= 8


def test_a_clear_difference_wins() -> None:
    won = [wins(noisy(n, 0.9, 0.03), noisy(n + 5000, 1.0, 0.03), "seconds") for n in range(100)]
    assert all(won)


def test_less_than_3_percent_does_not_win_in_seconds_but_in_counts() -> None:
    tuned, default = [0.98] * 15, [1.0] * 15
    assert not wins(tuned, default, "seconds")
    assert wins([980.0], [1000.0], "packets")
    assert not wins([1000.0], [1000.0], "instructions")


def test_a_machine_that_slows_down_makes_no_winner() -> None:
    slowing = [1.0 + n / 10 for n in range(15)]
    assert ratio([s * 1.001 for s in slowing], slowing) == pytest.approx(1.001)
    assert not wins(slowing, [s * 1.001 for s in slowing], "seconds")


def test_spread_of_repeated_measurements() -> None:
    assert spread([1.0, 1.2, 1.0, 1.2]) == pytest.approx(1 / 6)
    assert spread([5.0]) == 0.0


@pytest.mark.parametrize("name", ["host", "arm", "opencl"])
def test_spaces_begin_with_the_default_and_repeat_nothing(name: str) -> None:
    chip = kind(name).chips()[0]
    for workload in (
        "matmul m1 k1280 n1000 float32 packed",
        "matmul m64 k70 n64 float32 plain",
        "conv2d n1 h56 w56 c64 oc64 k3x3 s1x1 p1x1x1x1 d1x1 g1 float32 packed",
        "conv2d n1 h7 w7 c512 oc512 k3x3 s1x1 p1x1x1x1 d1x1 g1 float32 packed",
        "conv2d n1 h14 w14 c96 oc576 k1x1 s1x1 p0x0x0x0 d1x1 g1 float32 packed",
        "conv2d n1 h112 w112 c96 oc96 k3x3 s2x2 p0x0x1x1 d1x1 g96 float32 packed",
    ):
        choices = kind(name).space(workload, chip)
        assert choices[0] == {}
        assert len({tuple(sorted(c.items())) for c in choices}) == len(choices) > 5
        assert [len(c) for c in choices] == sorted(len(c) for c in choices)
