"""Models that only TensorFlow can read, frozen by it in a process of its own.

A process rather than an import, for four reasons: what TensorFlow says on stderr stays out of the
user's sight until it is needed, a damaged model that crashes it does not take the user's process
along, its memory and threads are gone before kernels are built, and the names that Keras counts up
are the same in every run, so that equal models give equal containers.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from dlcc.compiler.errors import ModelError, ToolchainError, UnreadableModel
from dlcc.compiler.frontend.keras_config import refuse_foreign_code
from dlcc.compiler.frontend.schema import message_class
from dlcc.compiler.frontend.signature import Names

log = logging.getLogger("dlcc")

PROGRAM = Path(__file__).with_name("tensorflow.py")
SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUDA_VISIBLE_DEVICES": "-1",  # constants are folded on the CPU: leave GPUs alone
    "KERAS_BACKEND": "tensorflow",
}


@dataclass(frozen=True, slots=True)
class Frozen:
    """A graph without variables, and what its inputs and outputs are called."""

    graph_def: Any
    names: Names


def freeze(
    path: Path, tags: Sequence[str] | None = None, signatures: Sequence[str] = ()
) -> list[Frozen]:
    """A SavedModel's signatures, each as a graph; or a Keras model's only one where `tags` is None.

    Raises ToolchainError where TensorFlow is missing, UnreadableModel where it fails, ModelError.
    """
    if tags is None:
        refuse_foreign_code(path)
    if importlib.util.find_spec("tensorflow") is None:
        raise ToolchainError(
            f"{path} can only be read by TensorFlow, which is not installed",
            hint="pip install 'dlcc[tensorflow]'; frozen graphs, checkpoints and SavedModels of "
            "TensorFlow 1 do without",
        )
    request = json.dumps({"path": str(path), "tags": tags, "signatures": signatures})
    with tempfile.TemporaryDirectory(prefix="dlcc-") as folder:
        said = _run(path, request, folder)
        if "error" in said:
            raise UnreadableModel(
                f"{path} cannot be loaded by TensorFlow: {_line(said)}",
                hint="`-v` shows all that TensorFlow said; was it saved by a newer version?",
            )
        return [
            Frozen(_graph(path, Path(folder) / f"{i}.pb"), Names(row["inputs"], row["outputs"]))
            for i, row in enumerate(said)
        ]


def _run(path: Path, request: str, folder: str) -> Any:
    """What the process answered; what it said besides goes to the log."""
    done = subprocess.run(
        [sys.executable, "-P", str(PROGRAM), request, folder],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **SETTINGS},
        text=True,
        errors="replace",
        check=False,
    )
    talk = done.stdout.strip()
    log.debug("%s", talk)
    answer = Path(folder) / "names.json"
    if not done.returncode and answer.is_file():
        return json.loads(answer.read_text("utf-8"))
    last = talk.splitlines()[-1] if talk else "it said nothing"
    how = f"exit code {done.returncode}"
    if done.returncode < 0:
        how = signal.Signals(-done.returncode).name
    raise UnreadableModel(
        f"TensorFlow crashed ({how}) while it read {path}: {last[:300]}",
        hint="the model may be damaged, or too large for this machine's memory; `-v` shows more",
    )


def _line(said: dict[str, Any]) -> str:
    """The part of a message that says what is wrong: its first line that is not empty."""
    lines = [line.strip() for line in str(said["message"]).splitlines() if line.strip()]
    return f"{said['error']}: {lines[0][:400]}" if lines else str(said["error"])


def _graph(path: Path, frozen: Path) -> Any:
    proto = message_class("GraphDef")()
    try:
        proto.ParseFromString(frozen.read_bytes())
    except DecodeError as error:
        raise ModelError(f"{path} is larger than a frozen graph can be (2 GiB)") from error
    return proto
