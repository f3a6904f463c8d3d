"""How importing scales: seconds by nodes, and memory by the size of the model's file.

    .venv/bin/python scripts/bench_import.py            # 5,000, 10,000 and 20,000 nodes; 500 MB
    .venv/bin/python scripts/bench_import.py --json

Importing is load, translate and optimize. Each row is measured in a process of its own. Exit code 1
when the largest graph takes longer than its bar, when time grows faster than nodes, or when memory
is more than four times the file. Bars are for two cores of 2023.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from checkout import environment

NODES = (5_000, 10_000, 20_000)
SIZE_MB = 500
BAR_S = 60.0
BAR_GROWTH = 1.5  # seconds a node of the largest graph, over those of the smallest
BAR_MEMORY = 4.0  # peak bytes over bytes of the file


@dataclass(frozen=True, slots=True)
class Import:
    """One graph. parts_s: load, translate, optimize; peak_bytes: memory of the whole process,
    start_bytes: what it had when the modules were loaded."""

    nodes: int
    file_bytes: int
    parts_s: dict[str, float]
    start_bytes: int
    peak_bytes: int

    @property
    def total_s(self) -> float:
        return sum(self.parts_s.values())


def constant(graph: Any, name: str, array: np.ndarray) -> None:
    node = graph.node.add(name=name, op="Const")
    node.attr["dtype"].type = 1
    tensor = node.attr["value"].tensor
    tensor.dtype, tensor.tensor_content = 1, array.astype(np.float32).tobytes()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)


def placeholder(graph: Any, *shape: int) -> None:
    node = graph.node.add(name="x", op="Placeholder")
    node.attr["dtype"].type = 1
    for size in shape:
        node.attr["shape"].shape.dim.add(size=size)


def wide_and_deep(graph: Any, nodes: int) -> None:
    """Residual blocks of products, sums, constants, shapes and reshapes: 10 nodes a block."""
    placeholder(graph, 4, 16)
    last, rng = "x", np.random.default_rng(0)
    for i in range(nodes // 10):
        name = f"block{i}/"
        constant(graph, name + "w", rng.normal(size=(16, 16)) / 8)
        constant(graph, name + "b", rng.normal(size=16))
        graph.node.add(name=name + "dot", op="MatMul", input=[last, name + "w"])
        graph.node.add(name=name + "bias", op="BiasAdd", input=[name + "dot", name + "b"])
        graph.node.add(name=name + "relu", op="Relu", input=[name + "bias"])
        graph.node.add(name=name + "mul", op="Mul", input=[name + "relu", name + "b"])
        graph.node.add(name=name + "shape", op="Shape", input=[name + "mul"])
        graph.node.add(name=name + "reshape", op="Reshape", input=[name + "mul", name + "shape"])
        graph.node.add(name=name + "tanh", op="Tanh", input=[name + "reshape"])
        graph.node.add(name=name + "sum", op="AddV2", input=[name + "tanh", last])
        last = name + "sum"


def heavy(graph: Any, size_mb: int) -> None:
    """Products with weights of 20 MB each."""
    placeholder(graph, 1, 2236)
    last, rng = "x", np.random.default_rng(0)
    for i in range(max(size_mb // 20, 1)):
        constant(graph, f"w{i}", rng.random((2236, 2236), np.float32))
        graph.node.add(name=f"dot{i}", op="MatMul", input=[last, f"w{i}"])
        last = f"dot{i}"


def measure(path: Path) -> Import:
    """Import a model in this process."""
    from dlcc.compiler.frontend.load import load
    from dlcc.compiler.frontend.translate import translate
    from dlcc.compiler.passes.pipeline import optimize

    start_bytes = _peak_bytes()
    parts_s: dict[str, float] = {}
    started = time.perf_counter()
    graph = load(path)
    parts_s["load"] = time.perf_counter() - started
    started = time.perf_counter()
    model = translate(graph)
    parts_s["translate"] = time.perf_counter() - started
    started = time.perf_counter()
    optimize(model.module)
    parts_s["optimize"] = time.perf_counter() - started
    size = path.stat().st_size
    return Import(len(graph.nodes), size, parts_s, start_bytes, _peak_bytes())


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_child(nodes: int, size_mb: int, folder: Path) -> Import:
    """Write a graph in one process and import it in another, whose memory is then its own."""
    path = folder / f"{nodes}-{size_mb}.pb"
    program = [sys.executable, __file__]
    made = ["--write", str(path), "--nodes", str(nodes), "--size", str(size_mb)]
    subprocess.run([*program, *made], env=environment(), check=True)
    told = subprocess.run(
        [*program, "--measure", str(path)],
        env=environment(), check=True, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip
    path.unlink()
    return Import(**json.loads(told))


def write(path: Path, nodes: int, size_mb: int) -> None:
    from dlcc.compiler.frontend.schema import message_class

    graph = message_class("GraphDef")()
    if size_mb:
        heavy(graph, size_mb)
    else:
        wide_and_deep(graph, nodes)
    path.write_bytes(graph.SerializeToString())


def verdicts(rows: list[Import], large: Import) -> dict[str, bool]:
    """What is asked of the rows, and whether it holds."""
    each_s = [row.total_s / row.nodes for row in rows]
    return {
        f"{rows[-1].nodes:,} nodes in {BAR_S:.0f} s": rows[-1].total_s <= BAR_S,
        "time grows as nodes do": each_s[-1] <= BAR_GROWTH * each_s[0],
        f"memory within {BAR_MEMORY:.0f} times the file": (
            large.peak_bytes <= BAR_MEMORY * large.file_bytes
        ),
    }


def show(row: Import) -> None:
    parts = "  ".join(f"{name} {seconds:6.2f} s" for name, seconds in row.parts_s.items())
    print(
        f"{row.nodes:6,} nodes {row.file_bytes / 1e6:7.1f} MB  {parts}  "
        f"peak {row.peak_bytes / 1e6:7.0f} MB ({row.start_bytes / 1e6:.0f} at start)"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how importing scales.")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    parser.add_argument("--size", type=int, default=SIZE_MB, help="MB of the large model")
    parser.add_argument("--nodes", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        write(args.write, args.nodes, args.size)
        return 0
    if args.measure:
        print(json.dumps(dataclasses.asdict(measure(args.measure))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        rows = [in_child(nodes, 0, Path(folder)) for nodes in NODES]
        large = in_child(0, args.size, Path(folder))
    asked = verdicts(rows, large)
    if args.json:
        print(json.dumps([dataclasses.asdict(row) for row in (*rows, large)], indent=2))
        return 0 if all(asked.values()) else 1
    for row in (*rows, large):
        show(row)
    for what, holds in asked.items():
        print(f"{'ok' if holds else 'FAILED':7} {what}")
    return 0 if all(asked.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
