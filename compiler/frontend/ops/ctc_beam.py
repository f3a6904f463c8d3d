"""The best sequences of classes by a search that keeps the most probable prefixes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.loops import first_rows, loop_kernel, wide
from dlcc.compiler.frontend.ops.table import OpTable

CTC_BEAM = OpTable()

# places in the state of a search
_OLD, _NEW, _AT, _FOUND = range(4)


@dataclass(frozen=True, slots=True)
class Beam:
    """Prefixes in the order of their probability, and the buffers of a search.

    prefix (width, frames), length, parent: the classes of each, their number, and which prefix
    lacks its last one (-1: none).   old, new: log probabilities that a prefix ends in a blank, in
    its last class, and either, 3 x width.   source, label: of each new prefix the old one that
    it continues, and by what (-1: by nothing).
    """

    width: int
    frames: Dim
    classes: Dim
    dtype: str
    prefix: Any
    next_prefix: Any
    length: Any
    next_length: Any
    parent: Any
    source: Any
    label: Any
    used: Any
    old: Any
    new: Any
    s: Any
    f: Any

    @property
    def none(self) -> Any:
        return tirx.const(float("-inf"), self.dtype)

    def last(self, k: Any) -> Any:
        """The last class of an old prefix; -1 for the empty one."""
        at = self.prefix[k * self.frames + tirx.max(self.length[k] - 1, wide(0))]
        return tirx.if_then_else(self.length[k] > 0, at, wide(-1))

    def before(self, k: Any, label: Any) -> Any:
        """How probable an old prefix is that a class may follow: a blank must part equal ones."""
        equal = self.last(k) == label
        return tirx.if_then_else(equal, self.old[k], self.old[2 * self.width + k])

    def admits(self, total: Any) -> Any:
        """Whether a prefix of this probability is among the best; s[_AT]: the worst one."""
        worst = self.new[2 * self.width + self.s[_AT]]
        room = self.s[_NEW] < self.width
        return tirx.all(total > self.none, tirx.any(room, total > worst))


def _both(a: Any, b: Any) -> Any:
    """log(exp(a) + exp(b))."""
    none = tirx.const(float("-inf"), a.ty.dtype)
    high, low = tirx.max(a, b), tirx.min(a, b)
    return tirx.if_then_else(low == none, high, high + tirx.log1p(tirx.exp(low - high)))


@CTC_BEAM.op("CTCBeamSearchDecoder")
def ctc_beam_search(g: Emitter, node: Node) -> Sequence[relax.Expr]:
    """(time, batch, classes) -> indices, values, shapes of the best paths; log probabilities.

    Source: tensorflow/core/util/ctc/ctc_beam_search.h, CTCBeamSearchDecoder::Step; Graves,
    "Supervised Sequence Labelling with Recurrent Neural Networks", 2012, 7.5.
    """
    x, lengths = g.args(node)
    frames, batch, classes = g.shape(x)
    width, paths = int(node.attr("beam_width", 100)), int(node.attr("top_paths", 1))
    merge, dtype = bool(node.attr("merge_repeated", True)), g.dtype(x)

    def body(t: Any, n: Any, *buffers: Any) -> None:
        results, score, scratch = buffers[: 4 * paths], buffers[4 * paths], buffers[4 * paths + 1 :]
        beam = Beam(width, frames, classes, dtype, *scratch)
        for _, _, shape, count in _by_path(results):
            count[0], shape[0], shape[1] = wide(0), wide(batch), wide(0)
        with T.serial(0, batch) as b:
            _start(beam)
            with T.serial(0, tirx.min(wide(n[b]), wide(frames))) as frame:
                _step(beam, t, (wide(frame) * batch + b) * classes)
            for path, result in enumerate(_by_path(results)):
                there = beam.s[_OLD] > path
                total = beam.old[2 * width + path]
                score[b * paths + path] = tirx.if_then_else(there, total, beam.none)
                with T.If(there), T.Then():
                    _write(beam, wide(path), b, result, merge)

    most = frames * batch
    each = [([most, 2], "int64"), ([most], "int64"), ((2,), "int64"), ((1,), "int64")]
    ints = [([width, frames], "int64")] * 2 + [((width,), "int64")] * 6
    scratch = [*ints, ((3, width), dtype), ((3, width), dtype), ((4,), "int64"), ((2,), dtype)]
    outputs = [*each * paths, ([batch, paths], dtype), *scratch]
    made = loop_kernel(g, "ctc_beam", [x, lengths], outputs, body)
    found = [
        [*first_rows(g, node, [indices, values], count), shape]
        for indices, values, shape, count in _by_path(made[: 4 * paths])
    ]
    return [*(f[k] for k in range(3) for f in found), made[4 * paths]]


def _by_path(results: Sequence[Any]) -> list[Sequence[Any]]:
    return [results[i : i + 4] for i in range(0, len(results), 4)]


def _start(beam: Beam) -> None:
    """The empty prefix alone."""
    beam.s[_OLD] = wide(1)
    beam.length[0], beam.parent[0] = wide(0), wide(-1)
    zero = tirx.const(0, beam.dtype)
    for part, value in enumerate((zero, beam.none, zero)):
        beam.old[part * beam.width] = value


def _step(beam: Beam, t: Any, base: Any) -> None:
    """One frame, whose logits begin at `base`."""
    f, s = beam.f, beam.s
    f[0], f[1] = t[base], tirx.const(0, beam.dtype)
    with T.serial(0, beam.classes) as c:
        f[0] = tirx.max(f[0], t[base + c])
    with T.serial(0, beam.classes) as c:
        f[1] = f[1] + tirx.exp(t[base + c] - f[0])
    f[0] = f[0] + tirx.log(f[1])
    s[_NEW] = s[_OLD]
    with T.serial(0, s[_OLD]) as k:
        _stay(beam, wide(k), t, base)
    with T.serial(0, s[_OLD]) as k:
        _find_worst(beam)
        able = beam.admits(beam.old[2 * beam.width + k])
        with T.If(able), T.Then(), T.serial(0, beam.classes - 1) as c:
            _grow(beam, wide(k), wide(c), t[base + c] - f[0])
    _settle(beam)


def _stay(beam: Beam, k: Any, t: Any, base: Any) -> None:
    """A prefix that a blank or its last class again leaves as it is, or that its parent grew to."""
    old, new, width, f = beam.old, beam.new, beam.width, beam.f
    beam.source[k], beam.label[k] = k, wide(-1)
    new[width + k] = old[width + k]
    with T.If(beam.length[k] > 0), T.Then():
        own, parent = beam.last(k), beam.parent[k]
        with T.If(parent >= 0), T.Then():
            new[width + k] = _both(new[width + k], beam.before(tirx.max(parent, wide(0)), own))
        new[width + k] = new[width + k] + t[base + own] - f[0]
    new[k] = old[2 * width + k] + t[base + beam.classes - 1] - f[0]
    new[2 * width + k] = _both(new[k], new[width + k])


def _find_worst(beam: Beam) -> None:
    s = beam.s
    s[_AT] = wide(0)
    totals = 2 * beam.width
    with T.serial(0, s[_NEW]) as e:
        worse = beam.new[totals + e] < beam.new[totals + s[_AT]]
        s[_AT] = tirx.Select(worse, wide(e), s[_AT])


def _grow(beam: Beam, k: Any, c: Any, logit: Any) -> None:
    """A prefix with one class more, unless it is there; the worst one makes room."""
    s, width = beam.s, beam.width
    s[_FOUND] = wide(0)
    with T.serial(0, s[_NEW]) as e:
        own = beam.source[e]
        same = tirx.all(beam.label[e] < 0, beam.parent[own] == k, beam.last(own) == c)
        with T.If(same), T.Then():
            s[_FOUND] = wide(1)
    beam.f[1] = logit + beam.before(k, c)
    with T.If(s[_FOUND] == 0), T.Then(), T.If(beam.admits(beam.f[1])):
        with T.Then():
            with T.If(s[_NEW] < width), T.Then():
                s[_AT], s[_NEW] = s[_NEW], s[_NEW] + 1
            beam.source[s[_AT]], beam.label[s[_AT]] = k, c
            for part, value in enumerate((beam.none, beam.f[1], beam.f[1])):
                beam.new[part * width + s[_AT]] = value
            _find_worst(beam)
        with T.Else():
            _forget(beam, k, c)


def _forget(beam: Beam, k: Any, c: Any) -> None:
    """A prefix that was pushed out, and was refused again, does not grow in this frame either."""
    with T.serial(0, beam.s[_OLD]) as e:
        it = tirx.all(beam.parent[e] == k, beam.last(e) == c)
        with T.If(it), T.Then():
            for part in range(3):
                beam.old[part * beam.width + e] = beam.none


def _settle(beam: Beam) -> None:
    """The new prefixes become the old ones, the most probable first, and find their parents."""
    s, width, frames = beam.s, beam.width, beam.frames
    with T.serial(0, s[_NEW]) as e:
        beam.used[e] = wide(0)
    with T.serial(0, s[_NEW]) as r:
        s[_AT] = wide(-1)
        with T.serial(0, s[_NEW]) as e, T.If(beam.used[e] == 0), T.Then():
            best = beam.new[2 * width + tirx.max(s[_AT], wide(0))]
            with T.If(tirx.any(s[_AT] < 0, beam.new[2 * width + e] > best)), T.Then():
                s[_AT] = wide(e)
        beam.used[s[_AT]] = wide(1)
        own, label = beam.source[s[_AT]], beam.label[s[_AT]]
        for part in range(3):
            beam.old[part * width + r] = beam.new[part * width + s[_AT]]
        with T.serial(0, beam.length[own]) as i:
            beam.next_prefix[r * frames + i] = beam.prefix[own * frames + i]
        beam.next_length[r] = beam.length[own]
        with T.If(label >= 0), T.Then():
            beam.next_prefix[r * frames + beam.next_length[r]] = label
            beam.next_length[r] = beam.next_length[r] + 1
    s[_OLD] = s[_NEW]
    with T.serial(0, s[_OLD]) as r:
        beam.length[r] = beam.next_length[r]
        with T.serial(0, beam.length[r]) as i:
            beam.prefix[r * frames + i] = beam.next_prefix[r * frames + i]
    with T.serial(0, s[_OLD]) as r:
        _find_parent(beam, wide(r))


def _find_parent(beam: Beam, r: Any) -> None:
    s, frames = beam.s, beam.frames
    beam.parent[r] = wide(-1)
    with T.serial(0, s[_OLD]) as k, T.If(beam.length[k] == beam.length[r] - 1), T.Then():
        s[_FOUND] = wide(1)
        with T.serial(0, beam.length[k]) as i:
            equal = beam.prefix[k * frames + i] == beam.prefix[r * frames + i]
            s[_FOUND] = tirx.Select(equal, s[_FOUND], wide(0))
        with T.If(s[_FOUND] == 1), T.Then():
            beam.parent[r] = wide(k)


def _write(beam: Beam, k: Any, b: Any, result: Sequence[Any], merge: bool) -> None:
    """A prefix as a row of a sparse tensor; merge: classes that repeat the one before are left."""
    indices, values, shape, count = result
    s = beam.s
    s[_AT] = wide(0)
    with T.serial(0, beam.length[k]) as i:
        own = beam.prefix[k * beam.frames + i]
        above = beam.prefix[k * beam.frames + tirx.max(wide(i) - 1, wide(0))]
        fresh = tirx.any(i == 0, own != above) if merge else tirx.const(True, "bool")
        with T.If(fresh), T.Then():
            indices[count[0] * 2], indices[count[0] * 2 + 1] = wide(b), s[_AT]
            values[count[0]] = own
            s[_AT], count[0] = s[_AT] + 1, count[0] + 1
    shape[1] = tirx.max(shape[1], s[_AT])
