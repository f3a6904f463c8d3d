"""The error function, its complement, and their inverses."""

from __future__ import annotations

import math
from typing import Any

from tvm import relax, tirx

from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.math import pointwise
from dlcc.compiler.frontend.ops.special import constants_like, horner
from dlcc.compiler.frontend.ops.table import OpTable

ERF = OpTable()


@ERF.op("Erf")
def erf(g: Emitter, node: Node) -> relax.Expr:
    return relax.op.erf(g.arg(node, 0))


# erfc(x) exp(x²) = P(x) / Q(x) for 1 <= x < 8, R(x) / S(x) above; highest power first
_ERFC_P = (
    2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687,
    4.86371970985681366614e1, 1.96520832956077098242e2, 5.26445194995477358631e2,
    9.34528527171957607540e2, 1.02755188689515710272e3, 5.57535335369399327526e2,
)  # fmt: skip
_ERFC_Q = (
    1.0, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2,
    9.75708501743205489753e2, 1.82390916687909736289e3, 2.24633760818710981792e3,
    1.65666309194161350182e3, 5.57535340817727675546e2,
)  # fmt: skip
_ERFC_R = (
    5.64189583547755073984e-1, 1.27536670759978104416, 5.01905042251180477414,
    6.16021097993053585195, 7.40974269950448939160, 2.97886665372100240670,
)  # fmt: skip
_ERFC_S = (
    1.0, 2.26052863220117276590, 9.39603524938001434673, 1.20489539808096656605e1,
    1.70814450747565897222e1, 9.60896809063285878198, 3.36907645100081516050,
)  # fmt: skip


def erfc_of(v: Any) -> Any:
    """1 - erf(v), of an expression, to the precision of its own size.

    exp(-x²) is computed as exp(-h²) exp(-(x - h)(x + h)) with h of few digits, so that h² is
    exact. Source of the rational functions: Moshier, "Methods and Programs for Mathematical
    Functions", 1989 (Cephes, ndtr.c).
    """
    c = constants_like(v)
    bound = 28.0 if str(v.ty.dtype) == "float64" else 12.0
    x = tirx.min(c(bound), tirx.abs(v))  # erfc is 0 from there on; a constant first keeps NaN
    head = tirx.floor(x * c(64)) * c(1 / 64)
    scale = tirx.exp(-head * head) * tirx.exp(-(x - head) * (x + head))
    near = horner(_ERFC_P, x) / horner(_ERFC_Q, x)
    far = horner(_ERFC_R, x) / horner(_ERFC_S, x)
    tail = scale * tirx.Select(x < c(8), near, far)
    tail = tirx.Select(v < c(0), c(2) - tail, tail)
    return tirx.Select(tirx.abs(v) < c(1), c(1) - tirx.erf(v), tail)


@ERF.op("Erfc")
def erfc(g: Emitter, node: Node) -> relax.Expr:
    return pointwise(g, g.arg(node, 0), erfc_of, "erfc")


# pairs of numerator and denominator, highest power first
_MIDDLE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.3871328727963666080),
    (5226.4952788528545610, 28729.085735721942674, 39307.895800092710610, 21213.794301586595867,
     5394.1960214247511077, 687.18700749205790830, 42.313330701600911252, 1.0),
)  # fmt: skip
_TAIL = (
    (7.7454501427834140764e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
     1.27045825245236838258, 3.64784832476320460504, 5.76949722146069140550,
     4.63033784615654529590, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 1.51986665636164571966e-2,
     1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940,
     2.05319162663775882187, 1.0),
)  # fmt: skip
_FAR_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
     2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580,
     5.46378491116411436990, 6.65790464350110377720),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
     7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
     5.99832206555887937690e-1, 1.0),
)  # fmt: skip


def _quantile(centred: Any, tail: Any) -> Any:
    """The quantile of the normal distribution at centred + 1/2; tail: the distance to 0 or 1.

    Source: Wichura, "Algorithm AS 241: The Percentage Points of the Normal Distribution",
    Applied Statistics 37, 1988, PPND16.
    """
    c = constants_like(centred)
    r = c(0.180625) - centred * centred
    middle = centred * horner(_MIDDLE[0], r) / horner(_MIDDLE[1], r)
    r = tirx.sqrt(-tirx.log(tail))
    near, far = r - c(1.6), r - c(5)
    size = tirx.Select(
        r <= c(5),
        horner(_TAIL[0], near) / horner(_TAIL[1], near),
        horner(_FAR_TAIL[0], far) / horner(_FAR_TAIL[1], far),
    )
    size = tirx.Select(tail < c(0), c(math.nan), tirx.Select(tail == c(0), c(math.inf), size))
    outer = tirx.Select(centred < c(0), -size, size)
    return tirx.Select(tirx.abs(centred) <= c(0.425), middle, outer)


def erfinv_of(v: Any) -> Any:
    """The inverse of erf, of an expression."""
    c = constants_like(v)
    return _quantile(v * c(0.5), (c(1) - tirx.abs(v)) * c(0.5)) * c(math.sqrt(0.5))


def ndtri_of(v: Any) -> Any:
    """The quantile of the normal distribution, of an expression."""
    c = constants_like(v)
    return _quantile(v - c(0.5), tirx.Select(v < c(0.5), v, c(1) - v))


@ERF.op("Erfinv")
def erfinv(g: Emitter, node: Node) -> relax.Expr:
    return pointwise(g, g.arg(node, 0), erfinv_of, "erfinv")


@ERF.op("Ndtri")
def ndtri(g: Emitter, node: Node) -> relax.Expr:
    return pointwise(g, g.arg(node, 0), ndtri_of, "ndtri")
