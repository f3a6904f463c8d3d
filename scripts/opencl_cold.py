"""The first inference on an OpenCL device: with no program compiled yet, and from dlcc's cache.

A driver may keep compiled programs itself, as PoCL does: it gets an empty folder for both runs, so
that dlcc's own cache is what differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from checkout import environment

# Where PoCL, NVIDIA's drivers and Mesa keep what they compiled.
DRIVERS_CACHES = ("POCL_CACHE_DIR", "CUDA_CACHE_PATH", "MESA_SHADER_CACHE_DIR")
BAR = 5.0  # seconds of the cold run over those of the warm one


def cold_and_warm(names: Sequence[str], device: str, folder: Path) -> dict[str, bool]:
    """What came of each network, and whether the cache saves what it should."""
    asked = {}
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            cold_s, warm_s = first_runs(folder / f"{name}.pb", device, Path(place))
        told = f"first inference of {name}: cold {cold_s:.2f} s, warm {warm_s:.2f} s"
        ratio = cold_s / warm_s
        asked[f"{told}, {ratio:.1f} times (bar {BAR:g})"] = ratio >= BAR
    return asked


def first_runs(model: Path, device: str, place: Path) -> tuple[float, float]:
    """Seconds of the first inference of two processes, the second with the first one's programs."""
    from dlcc.compiler import compile

    container = compile(model, "opencl").save(place / "model.dlc")
    cold_s = _in_child(container, device, place, "driver-cold")
    return cold_s, _in_child(container, device, place, "driver-warm")


def _in_child(container: Path, device: str, place: Path, drivers: str) -> float:
    folders = {"DLCC_OPENCL_CACHE": place / "programs"}
    folders |= dict.fromkeys(DRIVERS_CACHES, place / drivers)
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, __file__, str(container), "--device", device],
        env=environment() | {name: str(folder) for name, folder in folders.items()},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(json.loads(done.stdout)["first_s"])


def first_inference(container: Path, device: str) -> float:
    """Seconds of loading the code and running it once; TVM and the driver are there already."""
    from dlcc.compiler import open_container
    from dlcc.targets.opencl.found import found_devices

    found_devices(device)  # loads TVM and the driver
    opened = open_container(container)
    inputs = {
        spec.name: np.zeros([int(size) for size in spec.shape or ()], spec.dtype)
        for spec in opened.inputs
    }
    began_s = time.perf_counter()
    with opened.session(device=device) as session:
        session.run(inputs)
    return time.perf_counter() - began_s


def main() -> int:
    parser = argparse.ArgumentParser(description="Time a container's first inference.")
    parser.add_argument("container", type=Path)
    parser.add_argument("--device", choices=("local", "emulator"), default="local")
    args = parser.parse_args()
    print(json.dumps({"first_s": first_inference(args.container, args.device)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
