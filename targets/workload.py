"""What a kernel of our own rules computes, as one line of text that tuning records are found by."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from dlcc.targets.errors import UsageError

MOST_TEXT = 200  # characters of a workload


@dataclass(frozen=True, slots=True)
class Conv2d:
    """A 2-D convolution in NHWC. p: top, left, bottom, right. g: groups. weights: "packed" where
    they are constant, so that a kernel may have them in any layout, else "plain"."""

    n: int
    h: int
    w: int
    c: int
    oc: int
    k: tuple[int, int]
    s: tuple[int, int]
    p: tuple[int, int, int, int]
    d: tuple[int, int]
    g: int
    dtype: str
    weights: str

    def __str__(self) -> str:
        """`conv2d n1 h56 w56 c64 oc64 k3x3 s1x1 p1x1x1x1 d1x1 g1 float32 packed`"""
        return _text("conv2d", self)

    @property
    def oh(self) -> int:
        return (self.h + self.p[0] + self.p[2] - (self.k[0] - 1) * self.d[0] - 1) // self.s[0] + 1

    @property
    def ow(self) -> int:
        return (self.w + self.p[1] + self.p[3] - (self.k[1] - 1) * self.d[1] - 1) // self.s[1] + 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        outputs = self.n * self.oh * self.ow * self.oc
        return outputs * (self.c // self.g) * self.k[0] * self.k[1]

    @property
    def padded(self) -> bool:
        return any(self.p)

    @property
    def depthwise(self) -> bool:
        return self.g == self.c and self.g > 1

    @property
    def pointwise(self) -> bool:
        """Whether it is a product of matrices."""
        return (self.k, self.s, self.g, self.padded) == ((1, 1), (1, 1), 1, False)


@dataclass(frozen=True, slots=True)
class Matmul:
    """x[m, k] @ w[k, n]. weights: see `Conv2d`."""

    m: int
    k: int
    n: int
    dtype: str
    weights: str

    def __str__(self) -> str:
        """`matmul m49 k320 n1280 float32 packed`"""
        return _text("matmul", self)

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.m * self.k * self.n


Workload = Conv2d | Matmul
OPS: dict[str, type[Conv2d] | type[Matmul]] = {"conv2d": Conv2d, "matmul": Matmul}


def parse(text: str) -> Workload:
    """The workload that renders as this text; raises UsageError."""
    op, *words = text[:MOST_TEXT].split(" ")
    made = OPS.get(op)
    if made is not None and len(words) == len(fields(made)):
        values = [_value(f.name, word) for f, word in zip(fields(made), words, strict=True)]
        workload = made(*values)  # type: ignore[arg-type]
        if str(workload) == text:
            return workload
    raise UsageError(f"{text[:MOST_TEXT]!r} is no workload", hint="was the record edited?")


def _text(op: str, workload: Workload) -> str:
    words = [op]
    for field in fields(workload):
        value = getattr(workload, field.name)
        if isinstance(value, str):
            words.append(value)
        else:
            numbers = value if isinstance(value, tuple) else (value,)
            words.append(field.name + "x".join(map(str, numbers)))
    return " ".join(words)


def _value(name: str, word: str) -> object:
    if name in ("dtype", "weights"):
        return word
    if not re.fullmatch(name + r"\d{1,9}(x\d{1,9})*", word):
        return None
    numbers = tuple(map(int, word.removeprefix(name).split("x")))
    return numbers if len(numbers) > 1 else numbers[0]
