"""Spectrograms and cepstral coefficients."""

from __future__ import annotations

import numpy as np
import pytest
from op_cases import Case, feed, normal, uniform

SOUND = normal(700, 2, scale=0.3)
SPECTRUM = uniform(2, 3, 257, high=50)
_ROUNDED = {"rtol": 1e-4, "atol": 1e-5, "why": "another order of the transform's sums"}

CASES = [
    Case("AudioSpectrogram", [feed(SOUND)], attrs={"window_size": 200, "stride": 80}, **_ROUNDED),
    Case("AudioSpectrogram", [feed(SOUND, (None, 2))], "squares of an open length",
         attrs={"window_size": 256, "stride": 300, "magnitude_squared": True}, **_ROUNDED),
    Case("AudioSpectrogram", [feed(SOUND[:, :1])], "odd", attrs={
        "window_size": 15, "stride": 7}, **_ROUNDED),
    Case("Mfcc", [feed(SPECTRUM), np.int32(16000)], **_ROUNDED),
    Case("Mfcc", [feed(SPECTRUM), feed(np.int32(16000))], "computed rate", attrs={
        "upper_frequency_limit": 7000.0, "lower_frequency_limit": 0.0,
        "filterbank_channel_count": 30, "dct_coefficient_count": 30}, **_ROUNDED),
    Case("Mfcc", [feed(np.zeros((1, 2, 65), "f4")), np.int32(8000)], "silence", attrs={
        "filterbank_channel_count": 9, "dct_coefficient_count": 5}, **_ROUNDED),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_tensorflow(case, compare):
    compare(case, CASES)
