"""The accuracy debugger: a model on a device against TensorFlow, layer by layer."""

from dlcc.compiler.verify.rows import (
    Bisection,
    LayerRow,
    OutputRow,
    Reproducer,
    Trial,
    Verification,
    ranked,
)
from dlcc.compiler.verify.subject import Making, Place
from dlcc.compiler.verify.verify import Data, Look, verify

__all__ = [
    "Bisection",
    "Data",
    "LayerRow",
    "Look",
    "Making",
    "OutputRow",
    "Place",
    "Reproducer",
    "Trial",
    "Verification",
    "ranked",
    "verify",
]
