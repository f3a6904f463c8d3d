"""The runtimes that scripts/bench_peers.py compares: one class each.

    .venv/bin/python scripts/peers.py litert mobilenet_v2.pb mobilenet_v2.tflite   # convert

All take a frozen graph of scripts/zoo.py, `input` -> `output`, and have the defaults of their
makers but for the number of threads.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

WARM_UP_RUNS = 3
INPUT, OUTPUT = "input", "output"
DATABASE = "DLCC_BENCH_DATABASE"  # environment: `database` of `compile`


class Runtime(Protocol):
    """A model loaded by one runtime, its input in place."""

    title: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]  # that it and its conversion need, imported by this name
    suffix: ClassVar[str]  # of the file that it loads
    kept: ClassVar[bool]  # whether what it loads may be kept from one run to the next

    def __init__(self, model: Path, x: np.ndarray, threads: int) -> None: ...

    @staticmethod
    def convert(frozen: Path, to: Path) -> None:
        """Write what this runtime loads, made from a frozen graph."""

    def result(self) -> np.ndarray:
        """The output of one inference."""

    def seconds(self, count: int) -> list[float]:
        """Of each of `count` inferences, after some that warm up."""


class Dlcc(Runtime):
    """dlcc's code for this machine, as `dlcc compile` and `dlcc bench` make and time it."""

    title = "dlcc"
    packages = ("dlcc",)
    suffix = ".dlc"
    kept = False  # the compiler is what changes between runs

    def __init__(self, model: Path, x: np.ndarray, threads: int) -> None:
        from dlcc.compiler import open_container

        self._feeds = {INPUT: x}
        self._session = open_container(model).session(threads=threads)

    @staticmethod
    def convert(frozen: Path, to: Path) -> None:
        from dlcc.compiler import compile

        compile(str(frozen), target="host", database=os.environ.get(DATABASE)).save(to)

    def result(self) -> np.ndarray:
        return self._session.run(self._feeds)[OUTPUT]

    def seconds(self, count: int) -> list[float]:
        return list(self._session.bench(self._feeds, count).times_s)


class OnnxRuntime(Runtime):
    """ONNX Runtime's CPU provider, with input and output bound to memory."""

    title = "ONNX Runtime"
    packages = ("onnxruntime", "tf2onnx", "tensorflow")
    suffix = ".onnx"
    kept = True

    def __init__(self, model: Path, x: np.ndarray, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(str(model), options, providers=providers)
        self._binding = self._session.io_binding()
        self._binding.bind_cpu_input(self._session.get_inputs()[0].name, x)
        self._binding.bind_output(self._session.get_outputs()[0].name)

    @staticmethod
    def convert(frozen: Path, to: Path) -> None:
        graph_def = _tensorflow().compat.v1.GraphDef.FromString(frozen.read_bytes())
        import tf2onnx

        names = {"input_names": [f"{INPUT}:0"], "output_names": [f"{OUTPUT}:0"]}
        tf2onnx.convert.from_graph_def(graph_def, **names, opset=17, output_path=str(to))

    def result(self) -> np.ndarray:
        self._infer()
        return np.asarray(self._binding.copy_outputs_to_cpu()[0])

    def seconds(self, count: int) -> list[float]:
        return timed(self._infer, count)

    def _infer(self) -> None:
        self._session.run_with_iobinding(self._binding)


class LiteRt(Runtime):
    """LiteRT, formerly TensorFlow Lite, whose kernels for floats are XNNPACK's."""

    title = "LiteRT"
    packages = ("ai-edge-litert", "tensorflow")
    suffix = ".tflite"
    kept = True

    def __init__(self, model: Path, x: np.ndarray, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter: Any = Interpreter(str(model), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(self._interpreter.get_input_details()[0]["index"], x)
        self._output = self._interpreter.get_output_details()[0]["index"]

    @staticmethod
    def convert(frozen: Path, to: Path) -> None:
        converter = _tensorflow().compat.v1.lite.TFLiteConverter
        to.write_bytes(converter.from_frozen_graph(str(frozen), [INPUT], [OUTPUT]).convert())

    def result(self) -> np.ndarray:
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output))

    def seconds(self, count: int) -> list[float]:
        return timed(self._interpreter.invoke, count)


class TensorFlow(Runtime):
    """TensorFlow's session on the frozen graph itself, with oneDNN where it has that."""

    title = "TensorFlow"
    packages = ("tensorflow",)
    suffix = ".pb"
    kept = True

    def __init__(self, model: Path, x: np.ndarray, threads: int) -> None:
        from zoo import stderr_closed

        with stderr_closed():
            import tensorflow as tf
        # before anything makes the pools, for they are one for all sessions of a process; that
        # between operators too: by itself it has as many threads as there are cores
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        v1 = tf.compat.v1
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(v1.GraphDef.FromString(model.read_bytes()), name="")
        threads_of = {"intra_op_parallelism_threads": threads}
        threads_of["inter_op_parallelism_threads"] = threads
        self._session = v1.Session(graph=graph, config=v1.ConfigProto(**threads_of))
        self._call = self._session.make_callable(f"{OUTPUT}:0", feed_list=[f"{INPUT}:0"])
        self._x = x

    @staticmethod
    def convert(frozen: Path, to: Path) -> None:
        to.write_bytes(frozen.read_bytes())

    def result(self) -> np.ndarray:
        return np.asarray(self._call(self._x))

    def seconds(self, count: int) -> list[float]:
        return timed(self.result, count)


RUNTIMES: dict[str, type[Runtime]] = {
    "dlcc": Dlcc,
    "onnxruntime": OnnxRuntime,
    "litert": LiteRt,
    "tensorflow": TensorFlow,
}


def timed(infer: Callable[[], object], count: int) -> list[float]:
    """Seconds of each of `count` calls, after some that warm up."""
    for _ in range(WARM_UP_RUNS):
        infer()
    times_s = []
    for _ in range(count):
        began_s = time.perf_counter()
        infer()
        times_s.append(time.perf_counter() - began_s)
    return times_s


def absent(name: str) -> list[str]:
    """Packages that a runtime or its conversion needs and that are not installed."""
    needed = RUNTIMES[name].packages
    return [p for p in needed if importlib.util.find_spec(p.replace("-", "_")) is None]


def versions(name: str) -> dict[str, str]:
    """The version of each package that a runtime and its conversion need."""
    return {package: importlib.metadata.version(package) for package in RUNTIMES[name].packages}


def all_versions(names: Sequence[str]) -> str:
    """The versions of all runtimes that are installed, for a table."""
    told = {k: v for name in names if not absent(name) for k, v in versions(name).items()}
    return ", ".join(f"{package} {version}" for package, version in told.items())


def _tensorflow() -> Any:
    """TensorFlow without its start-up talk."""
    from zoo import tensorflow

    return tensorflow()


def main() -> int:
    parser = argparse.ArgumentParser(description="Convert a frozen graph for one runtime.")
    parser.add_argument("runtime", choices=RUNTIMES)
    parser.add_argument("frozen", type=Path, help="a frozen graph of scripts/zoo.py")
    parser.add_argument("to", type=Path, help="file to write")
    args = parser.parse_args()
    partial = args.to.with_name(f".{os.getpid()}.{args.to.name}")
    try:
        RUNTIMES[args.runtime].convert(args.frozen, partial)
        partial.replace(args.to)
    finally:
        partial.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
