"""Random tensors: TensorFlow's own numbers where it defines them, their distribution elsewhere."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from op_cases import Case, feed, run_dlcc, stand_in
from scipy import stats

_SEEDS = {"seed": 87654321, "seed2": 42}
_ROUNDED = {"rtol": 1e-4, "atol": 2e-6, "why": "logarithm and sine of another library"}
_STATELESS = np.int64([-7, 2**40 + 3])
_KEY, _COUNTER = np.uint64([2**60 + 12345]), np.uint64([2**64 - 2, 5])
_V2 = (feed(_KEY), feed(_COUNTER), np.int32(1))


def _distribution(op, args, **attrs):
    """A case of which only shape and dtype are compared: TensorFlow's numbers are others."""

    def build(tf, *given):
        function = getattr(tf.raw_ops, op)
        names = list(inspect.signature(function).parameters)
        drawn = function(**dict(zip(names, given, strict=False)), **attrs)
        return drawn * 0

    return Case(op, args, "shape", build=build)


def _drawn():
    seed, rates = np.int32([1, 2]), np.float32([0.5, 30])
    law = (np.int32([2, 3]), feed(rates))
    yield _distribution("Multinomial", [feed(np.float32([[0, 1], [2, 0]])), np.int32(7)])
    yield _distribution("StatelessMultinomial", [feed(np.float32([[0, 1]])), np.int32(7), seed])
    yield _distribution("RandomGamma", law)
    yield _distribution("RandomPoissonV2", law)
    yield _distribution("NonDeterministicInts", [np.int32([3, 2])])
    yield _distribution("StatelessShuffle", [feed(np.arange(11)), *_V2])
    yield _distribution("StatelessRandomPoisson", [law[0], seed, rates], dtype="int32")
    yield _distribution("StatelessRandomGammaV2", [np.int32([3, 2]), seed, rates])
    yield _distribution("StatelessRandomGammaV3", [np.int32([3, 2]), *_V2, rates])


# the lower half of the counter passes its end
_STATE = np.int64([-513, 7, 2**60 + 12345])


def _of_state(op, args, note="", **fields):
    """An op on a generator's state: for TensorFlow in a variable, for dlcc a frozen one."""

    def reference(tf, state, *rest):
        handle = tf.raw_ops.VarHandleOp(dtype="int64", shape=state.shape, shared_name=f"{op}{note}")
        with tf.control_dependencies([tf.raw_ops.AssignVariableOp(resource=handle, value=state)]):
            function = getattr(tf.raw_ops, op)
            names = list(inspect.signature(function).parameters)
            return function(resource=handle, **dict(zip(names[1:], rest, strict=False)))

    return Case(op, args, note, via="IdentityN", build=stand_in, reference=reference, **fields)


def _stateful():
    algorithm, shape = np.int64(1), np.int32([5, 7])
    for op in ("StatefulUniform", "StatefulStandardNormalV2", "StatefulTruncatedNormal"):
        yield _of_state(op, [_STATE, algorithm, shape], **_ROUNDED)
    yield _of_state("StatefulUniform", [feed(_STATE), algorithm, feed(np.int64([3, 2]))],
                    "computed", **_ROUNDED)  # fmt: skip
    yield _of_state("StatefulUniformFullInt", [_STATE, algorithm, shape])
    yield _of_state("StatefulUniformInt", [_STATE, algorithm, shape, np.int64(-4), np.int64(9)])
    yield _of_state("RngReadAndSkip", [_STATE, np.int32(1), np.uint64(3)])
    yield Case("StatefulStandardNormal", [np.int64([1, *_STATE]), np.int32([5, 7])],
               via="IdentityN", build=stand_in, reference=_first_normal, **_ROUNDED)  # fmt: skip
    yield Case("StatefulUniform", [_STATE], "after another node", build=_two_nodes,
               renamed={"IdentityN": "RngReadAndSkip", "Slice": "StatefulUniform"},
               reference=_two_draws, **_ROUNDED)  # fmt: skip


def _first_normal(tf, state, shape):
    return tf.raw_ops.StatelessRandomNormalV2(
        shape=shape, key=np.uint64(_STATE[2:]), counter=_STATE[:2].astype("uint64"), alg=1
    )


def _two_draws(tf, state):
    """Two nodes on one generator: the second draws what follows."""
    handle = tf.raw_ops.VarHandleOp(dtype="int64", shape=[3], shared_name="two")
    with tf.control_dependencies([tf.raw_ops.AssignVariableOp(resource=handle, value=state)]):
        skipped = tf.raw_ops.RngReadAndSkip(resource=handle, alg=1, delta=np.uint64(2))
        with tf.control_dependencies([skipped]):
            second = tf.raw_ops.StatefulUniform(
                resource=handle, algorithm=np.int64(1), shape=np.int64([2]), dtype="float32"
            )
    return [skipped, second]


def _two_nodes(tf, state):
    """The same with ops that have such inputs."""
    state = tf.constant(state)
    skipped = stand_in(tf, state, np.int32(1), np.uint64(2))
    return [skipped, tf.raw_ops.Slice(input=state, begin=np.int64([1]), size=np.int64([2]))]


CASES = [
    *_stateful(),
    *(
        Case(op, [np.int32([5, 7])], dtype, attrs={"dtype": dtype, **_SEEDS}, **_ROUNDED)
        for op in ("RandomUniform", "RandomStandardNormal", "TruncatedNormal")
        for dtype in ("float32", "float64")
    ),
    *(
        Case(op, [feed(np.int64([3, 3]))], "computed shape", attrs={"dtype": "float32", **_SEEDS},
             **_ROUNDED)
        for op in ("RandomUniform", "RandomStandardNormal", "TruncatedNormal")
    ),
    Case("RandomUniform", [np.int32([9])], "float16", attrs={"dtype": "float16", **_SEEDS}),
    Case("RandomUniform", [np.int32([])], "scalar", attrs={"dtype": "float32", **_SEEDS}),
    Case("RandomUniform", [np.int32([0, 3])], "empty", attrs={"dtype": "float32", **_SEEDS}),
    *(
        Case("RandomUniformInt", [np.int32([5, 7]), feed(np.asarray(-4, t)),
                                  feed(np.asarray(9, t))], t, attrs=_SEEDS)
        for t in ("int32", "int64")
    ),
    *(
        Case(f"Stateless{op}", [np.int32([5, 7]), feed(_STATELESS)], dtype,
             attrs={"dtype": dtype}, **_ROUNDED)
        for op in ("RandomUniform", "RandomNormal", "TruncatedNormal")
        for dtype in ("float32", "float64")
    ),
    *(
        Case(f"Stateless{op}V2", [np.int32([5, 7]), *_V2], attrs={"dtype": "float32"}, **_ROUNDED)
        for op in ("RandomUniform", "RandomNormal", "TruncatedNormal")
    ),
    *(
        Case("StatelessRandomUniformInt", [np.int32([9]), feed(_STATELESS), np.asarray(-4, t),
                                           np.asarray(9, t)], t)
        for t in ("int32", "int64")
    ),
    Case("StatelessRandomUniformIntV2", [np.int32([9]), *_V2, np.int32(-4), np.int32(9)]),
    *(
        Case("StatelessRandomUniformFullInt", [np.int32([9]), feed(_STATELESS)], t,
             attrs={"dtype": t})
        for t in ("int32", "int64", "uint32", "uint64")
    ),
    Case("StatelessRandomUniformFullIntV2", [np.int32([9]), *_V2], attrs={"dtype": "int32"}),
    Case("StatelessRandomGetKeyCounter", [feed(_STATELESS)]),
    Case("StatelessRandomGetKeyCounterAlg", [feed(_STATELESS)]),
    Case("StatelessRandomGetAlg"),
    Case("RandomCrop", [feed(np.ones((5, 6, 3), "f4")), np.int64([2, 4])], via="IdentityN",
         build=stand_in, reference=lambda tf, x, size: tf.ones([2, 4, 3])),
    Case("RandomCrop", [feed(np.arange(24).reshape(4, 3, 2)), np.int64([4, 3])], "whole",
         via="IdentityN", build=stand_in, reference=lambda tf, x, size: tf.identity(x)),
    Case("RandomPoisson", [np.int32([3]), feed(np.float32([0, 0]))], "of rate 0",
         via="RandomPoissonV2", attrs={"dtype": "float32"}),
    Case("RandomShuffle", [feed(np.arange(11))], attrs=_SEEDS),
    *_drawn(),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)


def _numbers(build):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        build(tf)
    return run_dlcc(graph.as_graph_def(), ["x"], {})["x"]


COUNT = 20000
LAWS = {
    "gamma 0.3": ("RandomGamma", np.float64(0.3), stats.gamma(0.3)),
    "gamma 1": ("RandomGamma", np.float64(1), stats.gamma(1)),
    "gamma 7.5": ("RandomGamma", np.float64(7.5), stats.gamma(7.5)),
    "poisson 0.7": ("RandomPoissonV2", np.float64(0.7), stats.poisson(0.7)),
    "poisson 9": ("RandomPoissonV2", np.float64(9), stats.poisson(9)),
    "poisson 10": ("RandomPoissonV2", np.float64(10), stats.poisson(10)),
    "poisson 400": ("RandomPoissonV2", np.float64(400), stats.poisson(400)),
}


@pytest.mark.parametrize("name", LAWS)
def test_numbers_follow_their_law(name):
    """Kolmogorov and Smirnov's distance; 1.95 / sqrt(n) is passed once in 1000 draws of a seed."""
    op, parameter, law = LAWS[name]
    drawn = _numbers(lambda tf: getattr(tf.raw_ops, op)(
        shape=[COUNT], **{"alpha" if "Gamma" in op else "rate": parameter}, seed=3, name="x"
    ))  # fmt: skip
    values = np.unique(drawn)
    share = np.searchsorted(np.sort(drawn), values, side="right") / COUNT
    assert np.abs(share - law.cdf(values)).max() < 1.95 / np.sqrt(COUNT)


def test_classes_follow_their_odds():
    logits = np.float32([[0, 1, 2, -np.inf]])
    drawn = _numbers(
        lambda tf: tf.raw_ops.Multinomial(logits=logits, num_samples=COUNT, seed=3, name="x")
    )
    counts = np.bincount(drawn[0], minlength=4)
    logits = logits.astype(np.float64)
    expected = np.exp(logits[0, :3]) / np.exp(logits[0, :3]).sum() * COUNT
    assert counts[3] == 0
    assert stats.chisquare(counts[:3], expected).pvalue > 0.001


def test_nodes_without_seeds_differ_and_runs_agree():
    def build(tf):
        both = [tf.raw_ops.RandomUniform(shape=[5], dtype="float32") for _ in range(2)]
        tf.stack(both, name="x")

    first, again = _numbers(build), _numbers(build)
    np.testing.assert_array_equal(first, again)
    assert not np.any(first[0] == first[1])
