"""TensorFlow as the reference: tensors of a graph, computed by it in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ml_dtypes
import numpy as np

from dlcc.compiler.errors import ModelError, ToolchainError
from dlcc.compiler.frontend.freezer import PROGRAM, SETTINGS

log = logging.getLogger("dlcc")


@dataclass(frozen=True, slots=True)
class Computed:
    """Tensors by name, mapped from files.

    enums: TensorFlow's numbers of their dtypes.   failed: why others cannot be had."""

    arrays: Mapping[str, np.ndarray]
    enums: Mapping[str, int]
    failed: Mapping[str, str]


def is_installed() -> bool:
    """Whether TensorFlow can be asked; it is not loaded."""
    return importlib.util.find_spec("tensorflow") is not None


class TensorFlow:
    """A process that is asked for tensors of graphs. Use it in a `with` block."""

    def __init__(self, *graph_defs: Any) -> None:
        """Raises ToolchainError where TensorFlow is missing."""
        if not is_installed():
            raise ToolchainError(
                "the reference is TensorFlow, which is not installed",
                hint="pip install 'dlcc[tensorflow]', or --expect FILE.npz with tensors by name",
            )
        self._stack = ExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="dlcc-tf-"))
        self._folder = Path(folder)
        paths = [self._folder / f"graph{number}.pb" for number in range(len(graph_defs))]
        try:
            for path, graph_def in zip(paths, graph_defs, strict=True):
                path.write_bytes(graph_def.SerializeToString())
        except ValueError as error:
            self._stack.close()
            raise ModelError("the model is larger than a frozen graph can be (2 GiB)") from error
        self._talk: IO[bytes] = self._stack.enter_context((self._folder / "talk").open("w+b"))
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM), "--tensors", *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._talk,
            env={**os.environ, **SETTINGS},
        )
        self._stack.callback(self._end)

    def __enter__(self) -> TensorFlow:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def computed(
        self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str], graph: int = 0
    ) -> Iterator[Computed]:
        """Tensors of a graph, until the block ends. Raises ModelError where TensorFlow fails."""
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=self._folder) as folder:
            files = {}
            for number, (name, array) in enumerate(feeds.items()):
                files[name] = str(Path(folder) / f"feed{number}.npy")
                np.save(files[name], array)
            asked = {"feeds": files, "fetches": list(fetches), "folder": folder}
            answer = self._ask({"graph": graph, **asked})
            if "error" in answer:
                raise ModelError(
                    f"TensorFlow cannot run the model: {answer['error']}: {_line(answer)}",
                    hint="`-v` shows all that TensorFlow said; --expect FILE.npz takes its place",
                )
            rows = answer["tensors"]
            yield Computed(
                {name: _mapped(row) for name, row in rows.items()},
                {name: int(row["enum"]) for name, row in rows.items()},
                answer["failed"],
            )

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            last = (self._said().splitlines() or ["it said nothing"])[-1]
            raise ModelError(
                f"TensorFlow crashed (exit code {self._process.wait()}): {last[:300]}",
                hint="the model may be too large for this machine's memory; `-v` shows more",
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            log.debug("TensorFlow's process had ended")
        self._process.kill()  # it holds nothing but copies
        self._process.wait()
        self._process.stdout.close()
        log.debug("%s", self._said())

    def _said(self) -> str:
        self._talk.seek(0)
        return self._talk.read().decode("utf-8", "replace").strip()


def _mapped(row: Mapping[str, Any]) -> np.ndarray:
    array: np.ndarray = np.load(row["file"], mmap_mode="r")
    if row["dtype"] == "bfloat16":
        return array.view(ml_dtypes.bfloat16)
    return array


def _line(answer: Mapping[str, Any]) -> str:
    lines = [line.strip() for line in str(answer["message"]).splitlines() if line.strip()]
    return lines[0][:400] if lines else "no reason given"
