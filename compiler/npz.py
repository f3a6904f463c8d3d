"""Tensors in .npz files, as `run -o` and `verify --reproducer` write them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dlcc.compiler.errors import UsageError
from dlcc.targets.atomic import written_whole


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a .npz, whole or not at all; equal arrays give equal bytes.

    Dtypes that NumPy cannot name in a file (bfloat16 and its like) are written as float32, which
    holds their values exactly. Raises UsageError where the file cannot be written.
    """
    if path.suffix != ".npz":
        raise UsageError(f"{path}: outputs are written as .npz", hint=f"-o {path.stem}.npz")
    with written_whole(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            plain = array.astype(np.float32) if array.dtype.kind == "V" else array
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o100644 << 16
            with archive.open(info, "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(plain), allow_pickle=False)
