"""Front ends of keyword spotting: spectrograms of sound, and their cepstral coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax, te, tirx

from dlcc.compiler.errors import BadAttr, BadNode
from dlcc.compiler.frontend.dims import Dim
from dlcc.compiler.frontend.emitter import Emitter
from dlcc.compiler.frontend.graph import Node
from dlcc.compiler.frontend.ops.fourier import along
from dlcc.compiler.frontend.ops.table import OpTable
from dlcc.compiler.frontend.values import Complex

AUDIO = OpTable()

R = relax.op

_FLOOR = 1e-12  # tensorflow/core/kernels/mfcc.cc, kFilterbankFloor


@AUDIO.op("AudioSpectrogram")
def audio_spectrogram(g: Emitter, node: Node) -> relax.Expr:
    """(samples, channels) -> (channels, windows, bins): the squares, or sizes, of the spectrum.

    Windows of Hann's shape, filled up with zeros to a power of two, in float64.
    Source: tensorflow/core/kernels/spectrogram.cc.
    """
    x = g.arg(node, 0)
    window, stride = int(node.attr("window_size", 0)), int(node.attr("stride", 0))
    if window < 2 or stride < 1:
        raise BadAttr(node, "window_size", found=(window, stride), expected=("2 or more",))
    samples, _ = g.shape(x)
    length = 1 << (window - 1).bit_length()
    frames = g.emit(_windows(g, x, window, stride, _count(samples, window, stride)))
    padded = g.emit(R.nn.pad(frames, [0, 0, 0, 0, 0, length - window], "constant", 0.0))
    z = along(g, Complex(padded, g.emit(R.zeros_like(padded))), 2, -1)
    half = [g.emit(R.strided_slice(p, [2], [0], [length // 2 + 1])) for p in (z.real, z.imag)]
    squares = R.astype(R.add(*(R.multiply(p, p) for p in half)), "float32")
    return squares if node.attr("magnitude_squared", False) else R.sqrt(squares)


def _count(samples: Dim, window: int, stride: int) -> Dim:
    if isinstance(samples, int):
        return max((samples - window) // stride + 1, 0)
    return tirx.max(tirx.floordiv(samples - window, stride) + 1, tirx.IntImm("int64", 0))


def _windows(g: Emitter, x: relax.Expr, window: int, stride: int, count: Dim) -> relax.Expr:
    """(channels, windows, samples of a window), weighted."""
    weights = g.const(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window), "float64")

    def compute(t: te.Tensor, w: te.Tensor, *given: Any) -> te.Tensor:
        def element(c: Any, n: Any, i: Any) -> Any:
            return tirx.Cast("float64", t(n * stride + i, c)) * w(i)

        return te.compute((t.shape[1], given[0] if given else count, window), element)

    symbols = [] if isinstance(count, int) else [count]
    return g.te(compute, x, weights, *symbols, name="windows")


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log1p(hertz / 700.0)


@AUDIO.op("Mfcc")
def mfcc(g: Emitter, node: Node) -> relax.Expr:
    """Cosine transform of the logarithm of a spectrogram's energy in bands of the mel scale.

    Source: tensorflow/core/kernels/mfcc.cc and mfcc_dct.cc.
    """
    x, rate = g.arg(node, 0), g.arg(node, 1)
    bins = g.shape(x)[2]
    if not isinstance(bins, int):
        raise BadNode(node, "the number of bins is not known", hint="give it with --input")
    bands, kept = (
        int(node.attr(name, default))
        for name, default in (("filterbank_channel_count", 40), ("dct_coefficient_count", 13))
    )
    if not 0 < kept <= bands:
        raise BadAttr(node, "dct_coefficient_count", found=kept, expected=(f"1 to {bands}",))
    sizes = g.emit(R.sqrt(R.astype(x, "float64")))
    energy = g.emit(R.matmul(sizes, g.emit(_mel_weights(g, node, rate, bins, bands))))
    logs = g.emit(R.log(R.maximum(energy, g.const(_FLOOR, "float64"))))
    angles = np.outer(np.arange(bands) + 0.5, np.arange(kept)) * np.pi / bands
    cosines = g.const(np.sqrt(2 / bands) * np.cos(angles), "float64")
    return R.astype(R.matmul(logs, cosines), "float32")


def _mel_weights(g: Emitter, node: Node, rate: relax.Expr, bins: int, bands: int) -> relax.Expr:
    """(bins, bands): triangles between neighbouring centers; the rate may be computed.

    Source: tensorflow/core/kernels/mfcc_mel_filterbank.cc.
    """
    low = float(node.attr("lower_frequency_limit", 20.0))
    high = float(node.attr("upper_frequency_limit", 4000.0))
    if not 0 <= low < high:
        raise BadAttr(node, "lower_frequency_limit", found=low, expected=(f"0 to {high}",))
    step = (_mel(high) - _mel(low)) / (bands + 1)
    centers = g.const(_mel(low) + step * np.arange(bands + 2), "float64")

    def compute(hertz: te.Tensor, edges: te.Tensor) -> te.Tensor:
        width = tirx.Cast("float64", hertz()) * tirx.const(0.5 / (bins - 1), "float64")
        first = tirx.Cast("int64", tirx.const(low, "float64") / width + tirx.const(1.5, "float64"))
        last = tirx.Cast("int64", tirx.const(high, "float64") / width)

        def element(i: Any, band: Any) -> Any:
            at = tirx.Cast("float64", i) * width / tirx.const(700.0, "float64")
            mel = tirx.const(1127.0, "float64") * tirx.log1p(at)
            rise = (mel - edges(band)) / (edges(band + 1) - edges(band))
            fall = (edges(band + 2) - mel) / (edges(band + 2) - edges(band + 1))
            weight = tirx.max(tirx.min(rise, fall), tirx.const(0.0, "float64"))
            return tirx.Select(tirx.all(i >= first, i <= last), weight, tirx.const(0.0, "float64"))

        return te.compute((bins, bands), element, name="mel_weights")

    return g.te(compute, rate, centers, name="mel_weights")
