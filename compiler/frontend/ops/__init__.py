"""Converters by op family, joined into one table."""

from __future__ import annotations

from dlcc.compiler.frontend.ops.array import ARRAY
from dlcc.compiler.frontend.ops.audio import AUDIO
from dlcc.compiler.frontend.ops.banded import BANDED
from dlcc.compiler.frontend.ops.batch_norm import BATCH_NORM
from dlcc.compiler.frontend.ops.bessel import BESSEL
from dlcc.compiler.frontend.ops.bits import BITS
from dlcc.compiler.frontend.ops.checks import CHECKS
from dlcc.compiler.frontend.ops.combined_nms import COMBINED_NMS
from dlcc.compiler.frontend.ops.complex import COMPLEX
from dlcc.compiler.frontend.ops.control import CONTROL
from dlcc.compiler.frontend.ops.conv import CONV
from dlcc.compiler.frontend.ops.counting import COUNTING
from dlcc.compiler.frontend.ops.ctc import CTC
from dlcc.compiler.frontend.ops.ctc_beam import CTC_BEAM
from dlcc.compiler.frontend.ops.cudnn_rnn import CUDNN_RNN
from dlcc.compiler.frontend.ops.decompose import DECOMPOSE
from dlcc.compiler.frontend.ops.detect import DETECT
from dlcc.compiler.frontend.ops.determinant import DETERMINANT
from dlcc.compiler.frontend.ops.distort import DISTORT
from dlcc.compiler.frontend.ops.draw import DRAW
from dlcc.compiler.frontend.ops.dynamic import DYNAMIC
from dlcc.compiler.frontend.ops.erf import ERF
from dlcc.compiler.frontend.ops.extremes import EXTREMES
from dlcc.compiler.frontend.ops.fourier import FOURIER
from dlcc.compiler.frontend.ops.fractional_pool import FRACTIONAL_POOL
from dlcc.compiler.frontend.ops.fused import FUSED
from dlcc.compiler.frontend.ops.gather import GATHER
from dlcc.compiler.frontend.ops.gradients import GRADIENTS
from dlcc.compiler.frontend.ops.hyperbolic import HYPERBOLIC
from dlcc.compiler.frontend.ops.image import IMAGE
from dlcc.compiler.frontend.ops.inplace import INPLACE
from dlcc.compiler.frontend.ops.integrals import INTEGRALS
from dlcc.compiler.frontend.ops.linalg import LINALG
from dlcc.compiler.frontend.ops.logic import LOGIC
from dlcc.compiler.frontend.ops.loss import LOSS
from dlcc.compiler.frontend.ops.math import MATH
from dlcc.compiler.frontend.ops.matrix import MATRIX
from dlcc.compiler.frontend.ops.matrix_functions import MATRIX_FUNCTIONS
from dlcc.compiler.frontend.ops.nn import NN
from dlcc.compiler.frontend.ops.pad import PAD
from dlcc.compiler.frontend.ops.pool import POOL
from dlcc.compiler.frontend.ops.quantize import QUANTIZE
from dlcc.compiler.frontend.ops.quantized import QUANTIZED
from dlcc.compiler.frontend.ops.quantized_channels import QUANTIZED_CHANNELS
from dlcc.compiler.frontend.ops.quantized_layers import QUANTIZED_LAYERS
from dlcc.compiler.frontend.ops.quantized_math import QUANTIZED_MATH
from dlcc.compiler.frontend.ops.ragged import RAGGED
from dlcc.compiler.frontend.ops.ragged_variant import RAGGED_VARIANT
from dlcc.compiler.frontend.ops.random import RANDOM
from dlcc.compiler.frontend.ops.random_binomial import RANDOM_BINOMIAL
from dlcc.compiler.frontend.ops.random_laws import RANDOM_LAWS
from dlcc.compiler.frontend.ops.random_state import RANDOM_STATE
from dlcc.compiler.frontend.ops.recurrent import RECURRENT
from dlcc.compiler.frontend.ops.reduce import REDUCE
from dlcc.compiler.frontend.ops.resize import RESIZE
from dlcc.compiler.frontend.ops.resize_gradients import RESIZE_GRADIENTS
from dlcc.compiler.frontend.ops.scatter import SCATTER
from dlcc.compiler.frontend.ops.search import SEARCH
from dlcc.compiler.frontend.ops.segment import SEGMENT
from dlcc.compiler.frontend.ops.sets import SETS
from dlcc.compiler.frontend.ops.shape import SHAPE
from dlcc.compiler.frontend.ops.shape_args import SHAPE_ARGS
from dlcc.compiler.frontend.ops.slice import SLICE
from dlcc.compiler.frontend.ops.solve import SOLVE
from dlcc.compiler.frontend.ops.source import SOURCE
from dlcc.compiler.frontend.ops.space import SPACE
from dlcc.compiler.frontend.ops.sparse import SPARSE
from dlcc.compiler.frontend.ops.sparse_math import SPARSE_MATH
from dlcc.compiler.frontend.ops.sparse_order import SPARSE_ORDER
from dlcc.compiler.frontend.ops.special import SPECIAL
from dlcc.compiler.frontend.ops.tensor_array import TENSOR_ARRAY
from dlcc.compiler.frontend.ops.tensor_list import TENSOR_LIST
from dlcc.compiler.frontend.ops.uniform import UNIFORM
from dlcc.compiler.frontend.ops.update import UPDATE
from dlcc.compiler.frontend.ops.volume_gradients import VOLUME_GRADIENTS
from dlcc.compiler.frontend.ops.warp import WARP
from dlcc.compiler.frontend.ops.window_gradients import WINDOW_GRADIENTS
from dlcc.compiler.frontend.ops.windows import WINDOWS

TF_OPS = (
    SOURCE
    | CHECKS
    | SHAPE
    | ARRAY
    | SLICE
    | GATHER
    | SCATTER
    | UPDATE
    | INPLACE
    | SHAPE_ARGS
    | CUDNN_RNN
    | AUDIO
    | GRADIENTS
    | WINDOW_GRADIENTS
    | VOLUME_GRADIENTS
    | RESIZE_GRADIENTS
    | PAD
    | SPACE
    | MATH
    | HYPERBOLIC
    | EXTREMES
    | BITS
    | SPECIAL
    | ERF
    | LOGIC
    | REDUCE
    | LINALG
    | CONV
    | FUSED
    | POOL
    | FRACTIONAL_POOL
    | NN
    | BATCH_NORM
    | IMAGE
    | SEARCH
    | WINDOWS
    | WARP
    | DRAW
    | RESIZE
    | DETECT
    | COMPLEX
    | BANDED
    | BESSEL
    | INTEGRALS
    | DECOMPOSE
    | SETS
    | RAGGED
    | RAGGED_VARIANT
    | DISTORT
    | CTC
    | CTC_BEAM
    | COMBINED_NMS
    | FOURIER
    | RANDOM
    | RANDOM_LAWS
    | RANDOM_BINOMIAL
    | RANDOM_STATE
    | RECURRENT
    | LOSS
    | QUANTIZE
    | QUANTIZED
    | QUANTIZED_MATH
    | QUANTIZED_LAYERS
    | QUANTIZED_CHANNELS
    | UNIFORM
    | SOLVE
    | DETERMINANT
    | MATRIX
    | MATRIX_FUNCTIONS
    | SPARSE
    | SPARSE_MATH
    | SPARSE_ORDER
    | SEGMENT
    | COUNTING
    | DYNAMIC
    | CONTROL
    | TENSOR_LIST
    | TENSOR_ARRAY
)
