"""Images: warped, scaled, drawn upon, looked at through windows."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, ints, normal, run_dlcc, uniform

LOOSE = {"rtol": 1e-4, "atol": 1e-5, "why": "coordinates in float32"}
TURN = np.float32([[0.9, 0.31, -1.3, -0.27, 1.1, 0.4, 0.011, 0.007],
                   [1.7, 0, -4.2, 0, 1.6, 6.3, 0, 0]])  # fmt: skip
KERNELS = ("lanczos1", "lanczos3", "lanczos5", "gaussian", "box", "triangle", "keyscubic",
           "mitchellcubic")  # fmt: skip
BOXES = np.float32([[[0.1, 0.2, 0.8, 0.7], [-0.2, 0.3, 0.4, 1.3], [0.5, 0.5, 0.4, 0.6]],
                    [[0.0, 0.0, 1.0, 1.0], [0.3, 0.3, 0.3, 0.3], [1.1, 0, 1.2, 1]]])  # fmt: skip
OFFSETS = np.float32([[-0.4, 0.7], [0.2, 0.1], [3.0, -2.0]])


def _glimpse(tf, op, *args, noise="uniform"):
    attrs = {"normalized": True, "centered": True, "uniform_noise": False, "noise": noise}
    return getattr(tf.raw_ops, op)(input=args[0], size=args[1], offsets=args[2], **attrs)


def _inside(op, noise):
    """A glimpse where it shows the image, 0 where TensorFlow draws numbers."""

    def build(tf, *args):
        shown = _glimpse(tf, op, tf.ones_like(args[0]), *args[1:], noise="zero")
        return _glimpse(tf, op, *args, noise=noise) * shown

    return build


CASES = [
    *(
        Case("ImageProjectiveTransformV3", [feed(normal(2, 6, 7, 3)), feed(TURN), np.int32([8, 5]),
                                            feed(np.float32(0.5))], f"{how} {mode}",
             attrs={"interpolation": how, "fill_mode": mode}, **LOOSE)
        for how in ("NEAREST", "BILINEAR") for mode in ("CONSTANT", "NEAREST", "REFLECT", "WRAP")
    ),
    Case("ImageProjectiveTransformV3", [feed(ints(2, 5, 6, 1, high=256, dtype="uint8")),
                                        feed(TURN[:1]), feed(np.int32([4, 9])), np.float32(7)],
         "uint8, one transform", attrs={"interpolation": "BILINEAR", "fill_mode": "CONSTANT"}),
    Case("ImageProjectiveTransformV2", [feed(normal(1, 6, 7, 2), (1, None, None, 2)),
                                        TURN[:1], np.int32([6, 7])], "open",
         attrs={"interpolation": "BILINEAR"}, **LOOSE),
    *(
        Case("ScaleAndTranslate", [feed(normal(2, 7, 6, 2)), np.int32([5, 11]),
                                   feed(np.float32([0.6, 1.9])), feed(np.float32([0.4, -1.3]))],
             f"{kernel} {smooth}", attrs={"kernel_type": kernel, "antialias": smooth}, **LOOSE)
        for kernel in KERNELS for smooth in (False, True)
    ),
    Case("ScaleAndTranslate", [feed(ints(1, 5, 6, 1, high=256, dtype="uint8"), (1, None, None, 1)),
                               feed(np.int32([9, 4])), np.float32([1.5, 0.5]),
                               np.float32([9, 1])], "uint8, open", **LOOSE),
    *(
        Case("DrawBoundingBoxes", [feed(uniform(2, 9, 8, depth)), feed(BOXES)], f"{depth}")
        for depth in (1, 3, 4)
    ),
    Case("DrawBoundingBoxesV2", [feed(uniform(2, 9, 8, 3), (2, None, None, 3)), feed(BOXES),
                                 feed(uniform(2, 4))], "colours"),
    Case("DrawBoundingBoxesV2", [feed(uniform(2, 9, 8, 3, dtype="float16")), feed(BOXES),
                                 np.zeros((0, 3), np.float32)], "no colours, float16"),
    *(
        Case(op, [feed(normal(3, 7, 6, 2)), np.int32([3, 4]), feed(OFFSETS)],
             f"{normalized} {centered}",
             attrs={"normalized": normalized, "centered": centered, "noise": "zero",
                    "uniform_noise": False})
        for op in ("ExtractGlimpse", "ExtractGlimpseV2")
        for normalized in (False, True) for centered in (False, True)
    ),
    *(
        Case(op, [feed(normal(3, 7, 6, 2), (None, None, 6, 2)), np.int32([3, 4]), feed(OFFSETS)],
             f"{noise} outside", build=_inside(op, noise))
        for op in ("ExtractGlimpse", "ExtractGlimpseV2") for noise in ("uniform", "gaussian", "")
    ),
    *(
        Case("ExtractVolumePatches", [feed(normal(2, 5, 6, 7, 2))], padding,
             attrs={"ksizes": [1, 2, 3, 2, 1], "strides": [1, 1, 2, 3, 1], "padding": padding})
        for padding in ("SAME", "VALID")
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)


@pytest.mark.parametrize("noise", ["uniform", "gaussian"])
def test_noise_around_a_glimpse(noise):
    """Far outside it is all noise: in the range of the image, with the moments of its law."""
    import tensorflow as tf

    image = normal(1, 20, 20, 2) * np.float32([1, 3]) + np.float32([0, 5])
    with tf.Graph().as_default() as graph:
        far = _glimpse(tf, "ExtractGlimpse", image, [80, 70], np.float32([[9, 9]]), noise=noise)
        tf.identity(far, "x")
    drawn = run_dlcc(graph.as_graph_def(), ["x"], {})["x"]
    over = None if noise == "uniform" else (0, 1, 2)
    low, high = image.min(over), image.max(over)
    assert np.all(drawn >= low)
    assert np.all(drawn <= high)
    mean, deviation = image.mean((0, 1, 2)), image.std((0, 1, 2))
    if noise == "uniform":
        mean, deviation = (low + high) / 2, (high - low) / np.sqrt(12)
    np.testing.assert_allclose(drawn.mean((0, 1, 2)), mean, atol=0.05 * np.max(deviation))
    np.testing.assert_allclose(drawn.std((0, 1, 2)), deviation, rtol=0.05)
