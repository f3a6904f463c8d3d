"""Where this checkout keeps what its scripts make, and the environment that they run in."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def cache_folder() -> Path:
    """$DLCC_CACHE, else ~/.cache/dlcc as dlcc itself does, else a folder in the checkout.

    The last is for accounts whose home cannot be written to, as in many containers."""
    if named := os.environ.get("DLCC_CACHE"):
        return Path(named)
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        usual.mkdir(parents=True, exist_ok=True)
    except OSError:
        return ROOT / ".cache" / "dlcc"
    return (usual if os.access(usual, os.W_OK) else ROOT / ".cache") / "dlcc"


def environment() -> dict[str, str]:
    """For child processes: the venv's commands first on PATH, one cache, TensorFlow kept quiet."""
    return os.environ | {
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "VIRTUAL_ENV": str(VENV),
        "DLCC_CACHE": str(cache_folder()),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
