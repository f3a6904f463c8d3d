"""Writing and opening a large model takes memory of the order of its largest tensor.

A child process works under a limit of its data: all that is allocated counts, and a file that is
mapped to be read does not. What it may take beyond the model itself is one tensor and some.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MB = 1 << 20
CHILD = """
import resource, sys
from pathlib import Path

import numpy as np
from tvm import relax

from dlcc.compiler.container import Compiled, Container, TensorSpec, open_container
from dlcc.compiler.container.archive import write_archive
from dlcc.compiler.dlc.read import read_dlc
from dlcc.compiler.dlc.write import write_tables
from dlcc.compiler.network.network import Layer, Network, Tensor
from dlcc.targets.artifact import Artifact
from dlcc.targets.cpu.weights import lift_weights

folder, count, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
ROWS = size // 4096


def status(name):
    return 1024 * int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0])


def mapped(number, rows):
    path = folder / f"{number}.f32"
    with open(path, "wb") as file:
        file.write(np.full(1024, number, np.float32).tobytes() * rows)
    return np.memmap(path, np.float32, "r", shape=(rows, 1024))


def network(rows):
    constants = [Tensor(f"w{i}", "float32", (rows, 1024), "constant", value=mapped(i, rows))
                 for i in range(count)]
    ends = Tensor("x", "float32", (1024,), "input"), Tensor("y", "float32", (1024,), "output")
    layer = Layer("all", "Sum", ("x", *(t.name for t in constants)), ("y",))
    tensors = {t.name: t for t in (*ends, *constants)}
    return Network("big", "container", (layer,), tensors, ("x",), ("y",))


def tables(rows):
    made = write_tables([network(rows)])
    with open(folder / "tables.dlc", "wb") as file:
        write_archive(file, {"model": made.model, "model.params": made.params})
    (found,) = read_dlc(folder / "tables.dlc")
    assert [float(found.tensors[f"w{i}"].value[-1, -1]) for i in range(count)] == [*range(count)]


def module(rows):
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((1, rows), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            y = x
            for i in range(count):
                weight = np.full((rows, rows), i, np.float32)
                y = builder.emit(relax.op.matmul(y, relax.const(weight)))
            out = builder.emit_output(y)
        builder.emit_func_output(out)
    return builder.get()


def container(made, rows):
    _, weights = lift_weights(made)
    specs = [TensorSpec(name, "float32", (1, rows)) for name in "xy"]
    code = Artifact("arm", "a/arm", {"module.so": bytes(100)}, weights)
    Container.of("big", [Compiled(made, specs[:1], specs[1:], [code])]).save(folder / "big.dlc")
    mapped_bytes = status("RssFile")
    opened = open_container(folder / "big.dlc")
    opened.verify()
    assert status("RssFile") < mapped_bytes + size, "what is checked is let go"
    opened.network()
    found = opened.artifact(opened.targets[0]).weights
    assert [float(w[-1, -1]) for w in found] == [*range(count)]


tables(1)
container(module(32), 32)  # what is loaded once is loaded
side = int((size // 4) ** 0.5)
big = module(side)
limit = status("VmData") + size + 8 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
tables(ROWS)
container(big, side)
try:
    np.ones((2 * size + 2**24) // 4, np.float32)
except MemoryError:
    print("written and opened")
"""


def written_and_opened(folder: Path, count: int, size: int) -> None:
    command = [sys.executable, "-c", CHILD, str(folder), str(count), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "written and opened\n", "the limit holds"


def test_64_megabytes(tmp_path: Path) -> None:
    written_and_opened(tmp_path, 8, 8 * MB)


@pytest.mark.slow
def test_500_megabytes(tmp_path: Path) -> None:
    written_and_opened(tmp_path, 10, 50 * MB)
