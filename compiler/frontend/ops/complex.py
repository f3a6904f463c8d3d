"""Complex numbers: their parts, and the form that other ops take on a pair of real tensors.

COMPLEX holds the ops that only exist for complex numbers. COMPLEX_FORMS holds the rows that stand
in for those of the table where an input of a node is complex.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import relax, tirx

from dlcc.compiler.errors import BadNode
from dlcc.compiler.frontend.broadcasting import broadcast
from dlcc.compiler.frontend.complex_parts import PART_DTYPES, paired, unpaired
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.fold import as_list
from dlcc.compiler.frontend.graph import Node, TensorRef
from dlcc.compiler.frontend.ops.array import ARRAY
from dlcc.compiler.frontend.ops.bits import real_cast
from dlcc.compiler.frontend.ops.dynamic import DYNAMIC
from dlcc.compiler.frontend.ops.gather import GATHER
from dlcc.compiler.frontend.ops.linalg import LINALG
from dlcc.compiler.frontend.ops.logic import LOGIC
from dlcc.compiler.frontend.ops.math import MATH, binary_kernel
from dlcc.compiler.frontend.ops.matrix import MATRIX
from dlcc.compiler.frontend.ops.nn import NN
from dlcc.compiler.frontend.ops.pad import PAD
from dlcc.compiler.frontend.ops.reduce import REDUCE
from dlcc.compiler.frontend.ops.scatter import SCATTER
from dlcc.compiler.frontend.ops.segment import SEGMENT
from dlcc.compiler.frontend.ops.shape import SHAPE
from dlcc.compiler.frontend.ops.slice import SLICE
from dlcc.compiler.frontend.ops.source import SOURCE
from dlcc.compiler.frontend.ops.space import SPACE
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Complex, Known, Value, is_complex, part_of

COMPLEX = OpTable()
COMPLEX_FORMS = OpTable()

R = relax.op
_PLAIN = (
    ARRAY | GATHER | LINALG | LOGIC | MATH | MATRIX | NN | PAD | REDUCE | SCATTER | SEGMENT | SHAPE
    | SLICE | SOURCE | SPACE
)  # fmt: skip


def complex_arg(g: Emitter, node: Node, index: int) -> Complex:
    """Input `index` of a node as a complex value; a real one has no imaginary part."""
    parts = [part_of(g.value(node, index), p) for p in ("real", "imag")]
    real, imag = (g.tensor(p) if isinstance(p, Known) else p for p in parts)
    if parts[0] is parts[1]:
        imag = g.emit(R.zeros_like(real))
    return Complex(real, imag)


# ---------------------------------------------------------------- parts


@COMPLEX.op("Complex")
def complex_(g: Emitter, node: Node) -> Complex:
    return Complex(*(g.emit(p) for p in broadcast(g, *g.args(node))))


@COMPLEX.op("Real")
def real(g: Emitter, node: Node) -> relax.Expr:
    return complex_arg(g, node, 0).real


@COMPLEX.op("Imag")
def imag(g: Emitter, node: Node) -> relax.Expr:
    return complex_arg(g, node, 0).imag


@COMPLEX.op("Conj")
def conj(g: Emitter, node: Node) -> Complex:
    z = complex_arg(g, node, 0)
    return Complex(z.real, R.negative(z.imag))


@COMPLEX.op("ComplexAbs")
def complex_abs(g: Emitter, node: Node) -> relax.Expr:
    """|z| = m * sqrt(1 + (n / m)²), m the larger part: it does not overflow before |z| does."""
    z = complex_arg(g, node, 0)

    def f(a: Any, b: Any) -> Any:
        zero, one = tirx.const(0, a.ty.dtype), tirx.const(1, a.ty.dtype)
        large = tirx.max(tirx.abs(a), tirx.abs(b))
        small = tirx.min(tirx.abs(a), tirx.abs(b))
        ratio = small / tirx.Select(large == zero, one, large)
        size = large * tirx.sqrt(one + ratio * ratio)
        return tirx.Select(tirx.any(tirx.isinf(a), tirx.isinf(b)), large, size)

    return binary_kernel(g, z.real, z.imag, f, "complex_abs")


@COMPLEX.op("Angle")
def angle(g: Emitter, node: Node) -> relax.Expr:
    z = complex_arg(g, node, 0)
    return R.atan2(z.imag, z.real)


# ---------------------------------------------------------------- forms

_LINEAR = (
    "AccumulateNV2", "Add", "AddN", "AddV2", "BatchMatrixBandPart", "BatchMatrixDiag",
    "BatchMatrixDiagPart", "BatchMatrixSetDiag", "BatchToSpaceND", "BiasAdd", "BiasAddV1",
    "BroadcastTo", "Concat", "ConcatV2", "Cumsum", "DepthToSpace", "Diag", "DiagPart",
    "ExpandDims", "Fill", "Gather", "GatherNd", "GatherV2", "MatrixBandPart", "MatrixDiag",
    "MatrixDiagPart", "MatrixDiagPartV2", "MatrixDiagPartV3", "MatrixDiagV2", "MatrixDiagV3",
    "MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3", "Mean", "MirrorPad", "Neg", "OneHot",
    "Pack", "Pad", "PadV2", "Reshape", "Reverse", "ReverseSequence", "ReverseV2", "Roll",
    "ScatterNd", "SegmentMean", "SegmentSum", "Select", "SelectV2", "Slice", "SpaceToBatchND",
    "SpaceToDepth", "Split", "SplitV", "Squeeze", "StridedSlice", "Sub", "Sum",
    "TensorScatterAdd", "TensorScatterSub", "TensorScatterUpdate", "Tile", "Transpose",
    "Unpack", "UnsortedSegmentSum", "ZerosLike",
)  # fmt: skip


_WHOLE_ROWS = ("DynamicPartition", "DynamicStitch", "ParallelDynamicStitch")


@COMPLEX_FORMS.op(*_LINEAR)
def linear(g: Emitter, node: Node) -> Any:
    """f(a + bi) = f(a) + f(b) i, for each output."""
    made = []
    for part in ("real", "imag"):
        with g.as_parts([part] * len(node.inputs)):
            made.append(_PLAIN[node.op].convert(g, node))
    if isinstance(made[0], list | tuple):
        return [Complex(*pair) for pair in zip(*made, strict=True)]
    return Complex(*made)


@COMPLEX_FORMS.op(*(op for op in _WHOLE_ROWS if op in DYNAMIC))
def by_pairs(g: Emitter, node: Node) -> list[Value]:
    """Pairs of a real and an imaginary part moved along: each length is measured once."""
    inputs = []
    for k, ref in enumerate(node.inputs):
        pairs = TensorRef(f"{node.name}/pairs", k)
        if is_complex(g.values[ref]):
            g.values[pairs] = g.normal(paired(g, g.values[ref]))
        inputs.append(pairs if is_complex(g.values[ref]) else ref)
    made = DYNAMIC[node.op].convert(g, Node(node.name, node.op, tuple(inputs), node.attrs))
    return [unpaired(g, g.normal(t)) for t in as_list(made)]


@COMPLEX_FORMS.op("Shape", "ShapeN", "Size", "Rank")
def shape_alone(g: Emitter, node: Node) -> Any:
    with g.as_parts(["real"] * len(node.inputs)):
        return _PLAIN[node.op].convert(g, node)


_BILINEAR = ("Mul", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum")


@COMPLEX_FORMS.op(*_BILINEAR)
def bilinear(g: Emitter, node: Node) -> Complex:
    """(a + bi)(c + di) = ac - bd + (ad + bc) i; an adjoint matrix' imaginary part is negated."""
    if len(node.inputs) != 2:
        raise BadNode(node, f"multiplies {len(node.inputs)} complex tensors, two expected")
    convert = _PLAIN[node.op].convert

    def product(x: str, y: str) -> relax.Expr:
        with g.as_parts([x, y]):
            term = g.emit(convert(g, node))
        signs = [
            part == "imag" and bool(node.attr(attr)) for part, attr in ((x, "adj_x"), (y, "adj_y"))
        ]
        return g.emit(R.negative(term)) if signs[0] != signs[1] else term

    real = R.subtract(product("real", "real"), product("imag", "imag"))
    return Complex(g.emit(real), R.add(product("real", "imag"), product("imag", "real")))


def times(a: Complex, b: Complex) -> Complex:
    """The product of two complex values that broadcast."""
    real = R.subtract(R.multiply(a.real, b.real), R.multiply(a.imag, b.imag))
    return Complex(real, R.add(R.multiply(a.real, b.imag), R.multiply(a.imag, b.real)))


def _over(a: Complex, b: Complex) -> Complex:
    """a / b = a * conj(b) / |b|²."""
    size = R.add(R.multiply(b.real, b.real), R.multiply(b.imag, b.imag))
    top = times(a, Complex(b.real, R.negative(b.imag)))
    return Complex(R.divide(top.real, size), R.divide(top.imag, size))


def _exp(z: Complex) -> Complex:
    size = R.exp(z.real)
    return Complex(R.multiply(size, R.cos(z.imag)), R.multiply(size, R.sin(z.imag)))


def _log(z: Complex) -> Complex:
    size = R.add(R.multiply(z.real, z.real), R.multiply(z.imag, z.imag))
    return Complex(R.log(R.sqrt(size)), R.atan2(z.imag, z.real))


def _sqrt(z: Complex) -> Complex:
    """The root with a real part not below 0: sqrt((|z| + a) / 2) ± sqrt((|z| - a) / 2) i."""
    size = R.sqrt(R.add(R.multiply(z.real, z.real), R.multiply(z.imag, z.imag)))
    zero, half = (relax.const(n, str(z.real.ty.dtype)) for n in (0.0, 0.5))
    parts = [
        R.sqrt(R.maximum(R.multiply(half, f(size, z.real)), zero)) for f in (R.add, R.subtract)
    ]
    return Complex(parts[0], R.where(R.less(z.imag, zero), R.negative(parts[1]), parts[1]))


def _real_sinh(x: relax.Expr) -> relax.Expr:
    """Spelled out: TVM has no vector code for it. Exact to the dtype's step at 1."""
    half = relax.const(0.5, str(x.ty.dtype))
    return R.multiply(half, R.subtract(R.exp(x), R.exp(R.negative(x))))


def _real_cosh(x: relax.Expr) -> relax.Expr:
    half = relax.const(0.5, str(x.ty.dtype))
    return R.multiply(half, R.add(R.exp(x), R.exp(R.negative(x))))


def _sin(z: Complex) -> Complex:
    imag = R.multiply(R.cos(z.real), _real_sinh(z.imag))
    return Complex(R.multiply(R.sin(z.real), _real_cosh(z.imag)), imag)


def _cos(z: Complex) -> Complex:
    imag = R.negative(R.multiply(R.sin(z.real), _real_sinh(z.imag)))
    return Complex(R.multiply(R.cos(z.real), _real_cosh(z.imag)), imag)


def _sinh(z: Complex) -> Complex:
    imag = R.multiply(_real_cosh(z.real), R.sin(z.imag))
    return Complex(R.multiply(_real_sinh(z.real), R.cos(z.imag)), imag)


def _cosh(z: Complex) -> Complex:
    imag = R.multiply(_real_sinh(z.real), R.sin(z.imag))
    return Complex(R.multiply(_real_cosh(z.real), R.cos(z.imag)), imag)


def _one(z: Complex) -> Complex:
    return Complex(R.ones_like(z.real), R.zeros_like(z.real))


def _minus(a: Complex, b: Complex) -> Complex:
    return Complex(R.subtract(a.real, b.real), R.subtract(a.imag, b.imag))


def _is_zero(z: Complex) -> relax.Expr:
    zero = relax.const(0.0, str(z.real.ty.dtype))
    return R.logical_and(R.equal(z.real, zero), R.equal(z.imag, zero))


def _unless(zero: relax.Expr, z: Complex) -> Complex:
    """z, and 0 where `zero` holds, whatever z is there."""
    nothing = R.zeros_like(z.real)
    return Complex(R.where(zero, nothing, z.real), R.where(zero, nothing, z.imag))


def _sign(z: Complex) -> Complex:
    size = R.sqrt(R.add(R.multiply(z.real, z.real), R.multiply(z.imag, z.imag)))
    return _unless(_is_zero(z), Complex(R.divide(z.real, size), R.divide(z.imag, size)))


def _sigmoid(z: Complex) -> Complex:
    grown = _exp(Complex(R.negative(z.real), R.negative(z.imag)))
    return _over(_one(z), Complex(R.add(R.ones_like(z.real), grown.real), grown.imag))


def _log1p(z: Complex) -> Complex:
    return _log(Complex(R.add(z.real, R.ones_like(z.real)), z.imag))


# Source of the formulas: Abramowitz and Stegun, "Handbook of Mathematical Functions", 4.3 and 4.5
_UNARY: dict[str, Callable[[Complex], Complex]] = {
    "Square": lambda z: times(z, z),
    "Exp": _exp,
    "Expm1": lambda z: _minus(_exp(z), _one(z)),
    "Log": _log,
    "Log1p": _log1p,
    "Sigmoid": _sigmoid,
    "Sign": _sign,
    "Sqrt": _sqrt,
    "Rsqrt": lambda z: _over(_one(z), _sqrt(z)),
    "Reciprocal": lambda z: _over(_one(z), z),
    "Inv": lambda z: _over(_one(z), z),
    "Sin": _sin,
    "Cos": _cos,
    "Tan": lambda z: _over(_sin(z), _cos(z)),
    "Sinh": _sinh,
    "Cosh": _cosh,
    "Tanh": lambda z: _over(_sinh(z), _cosh(z)),
    "OnesLike": _one,
}
_BINARY: dict[str, Callable[[Complex, Complex], Complex]] = {
    "Div": _over,
    "RealDiv": _over,
    "SquaredDifference": lambda a, b: times(
        _minus(a, b), Complex(R.subtract(a.real, b.real), R.subtract(b.imag, a.imag))
    ),
    "Pow": lambda a, b: _exp(times(b, _log(a))),
    "DivNoNan": lambda a, b: _unless(_is_zero(b), _over(a, b)),
    "MulNoNan": lambda a, b: _unless(_is_zero(b), times(a, b)),
    "Xdivy": lambda a, b: _unless(_is_zero(a), _over(a, b)),
    "Xlogy": lambda a, b: _unless(_is_zero(a), times(a, _log(b))),
    "Xlog1py": lambda a, b: _unless(_is_zero(a), times(a, _log1p(b))),
}


@COMPLEX_FORMS.op(*_UNARY)
def complex_function(g: Emitter, node: Node) -> Complex:
    return _UNARY[node.op](complex_arg(g, node, 0))


@COMPLEX_FORMS.op(*_BINARY)
def complex_pair(g: Emitter, node: Node) -> Complex:
    return _BINARY[node.op](complex_arg(g, node, 0), complex_arg(g, node, 1))


@COMPLEX_FORMS.op("Equal", "NotEqual")
def complex_equal(g: Emitter, node: Node) -> relax.Expr:
    a, b = complex_arg(g, node, 0), complex_arg(g, node, 1)
    if node.op == "Equal":
        return R.logical_and(R.equal(a.real, b.real), R.equal(a.imag, b.imag))
    return R.logical_or(R.not_equal(a.real, b.real), R.not_equal(a.imag, b.imag))


@COMPLEX_FORMS.op("ConjugateTranspose")
def conjugate_transpose(g: Emitter, node: Node) -> Complex:
    parts = []
    for part in ("real", "imag"):
        with g.as_parts([part] * len(node.inputs)):
            parts.append(g.emit(_PLAIN["ConjugateTranspose"].convert(g, node)))
    return Complex(parts[0], R.negative(parts[1]))


@COMPLEX_FORMS.op("Cast")
def cast_complex(g: Emitter, node: Node) -> Complex | relax.Expr:
    """To another complex dtype, or to the real part in a real one."""
    z, dtype = complex_arg(g, node, 0), str(node.attr("DstT"))
    part = PART_DTYPES.get(dtype, dtype)
    if dtype not in PART_DTYPES:
        return real_cast(g, z.real, part)
    return Complex(*(g.emit(R.astype(p, part)) for p in (z.real, z.imag)))
