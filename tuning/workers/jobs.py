"""What workers do: build a kernel, measure it on a device, compute what it should give."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dlcc.targets.artifact import Artifact
from dlcc.targets.chips import Chip, Gpu
from dlcc.targets.device import CallCost, CallTime, Device, Profiled
from dlcc.targets.errors import DeviceError, DlccError, UsageError
from dlcc.targets.registry import DeviceOptions, kind
from dlcc.targets.tuned import UNTUNED, Tuned
from dlcc.tuning.kernels import Tensor, random_inputs
from dlcc.tuning.workers.wire import Message

log = logging.getLogger("dlcc")

# Of counts: packets are those of the code alone; instructions some of Python's too, which are 2 %
# more in the first round of a session.
COUNTED_ROUNDS = {"packets": 1, "instructions": 2}


class Unreachable(DeviceError):
    """The device is not there: no fault of the candidate that was to be measured on it."""


_open: dict[tuple[str, str, int, float], Device] = {}  # devices of this worker, while they last


def build(message: Message) -> Message:
    """Code of a model. chip: as of `chip_fields`.   trace: of its one kernel, or None.
    key: of that kernel.   The piece: the model, TVM's JSON. Gives an artifact."""
    import tvm

    fields = message.fields
    chip = chip_of(fields["chip"])
    model = tvm.ir.load_json(message.pieces[0].decode())
    trace = fields.get("trace")
    tuned = UNTUNED if trace is None else Tuned(by_kernel={str(fields["key"]): str(trace)})
    return packed_artifact(kind(chip.kind).build(model, chip, tuned))


def measure(message: Message) -> Message:
    """Run a built kernel on a device, compare, and tell what it costs.

    Fields besides those of `packed_artifact`: kind, device, threads, limit_s: where. inputs, seed:
    on what. rounds: how often the cost is taken, at most. budget_s: the time for that. enough: a
    cost from which on one is enough, for candidates that are far from the best. keep: whether the
    device stays open for the next job.
    The pieces: files of the artifact, then the tensors that should come out, if known."""
    artifact, pieces = unpacked_artifact(message)
    fields = message.fields
    device = _device(fields)
    try:
        inputs = random_inputs(
            [Tensor(tuple(t[0]), *t[1:]) for t in fields["inputs"]], fields["seed"]
        )
        program = device.load(artifact)
        results = program.run(inputs)
        wrong = _compared(results, fields.get("expected", []), pieces)
        costs: tuple[list[float], str] = ([], "")
        if not wrong:
            costs = _costs(program, inputs, fields)
        drop(program)
    except DeviceError:
        _forget(fields)
        raise
    if not fields["keep"]:
        _forget(fields)
    return Message({"costs": costs[0], "reward": costs[1], "wrong": wrong})


def reference(message: Message) -> Message:
    """What a model should give, by its kernel without a schedule on this machine's CPU.

    inputs, seed: as of `measure`.   The piece: the model. Gives arrays."""
    import tvm
    from tvm import relax

    fields = message.fields
    inputs = _inputs(fields)
    model = tvm.ir.load_json(message.pieces[0].decode())
    machine = relax.VirtualMachine(tvm.compile(model, target="llvm"), tvm.cpu())
    outputs = machine["main"](*map(tvm.runtime.tensor, inputs))
    arrays = [np.ascontiguousarray(y.numpy()) for y in outputs]
    told = [[list(a.shape), str(a.dtype)] for a in arrays]
    return Message({"expected": told}, [a.tobytes() for a in arrays])


def open_device(message: Message) -> Message:
    """Open a device for later jobs. kind, device, threads, limit_s: as of `measure`."""
    return Message({"facts": dict(_device(message.fields).describe())})


def stop(message: Message) -> Message:
    """End the sessions with devices."""
    for key in list(_open):
        _open.pop(key).close()
    return Message({"stopped": True, "asked": dict(message.fields)})


JOBS: dict[str, Callable[[Message], Message]] = {
    "build": build,
    "measure": measure,
    "reference": reference,
    "open": open_device,
    "stop": stop,
}


def chip_fields(chip: Chip) -> dict[str, Any]:
    """A chip as plain values."""
    return dataclasses.asdict(chip)


def chip_of(fields: Mapping[str, Any]) -> Chip:
    """The chip of `chip_fields`."""
    gpu = fields["gpu"]
    made = {**fields, "short_names": tuple(fields["short_names"])}
    return Chip(**{**made, "gpu": None if gpu is None else Gpu(**gpu)})


def packed_artifact(artifact: Artifact) -> Message:
    """An artifact without weights as a message; raises UsageError for one with weights."""
    if len(artifact.weights):
        raise UsageError("a kernel by itself has no weights")
    fields = {
        "artifact": {
            "kind": artifact.kind,
            "chip": artifact.chip,
            "runtime": artifact.runtime,
            "processor": artifact.processor,
        },
        "files": list(artifact.files),
    }
    return Message(fields, list(artifact.files.values()))


def unpacked_artifact(message: Message) -> tuple[Artifact, list[bytes]]:
    """The artifact of `packed_artifact`, and the pieces behind it."""
    names = message.fields["files"]
    files = dict(zip(names, message.pieces, strict=False))
    told = message.fields["artifact"]
    return Artifact(files=files, weights=(), **told), list(message.pieces[len(names) :])


def _inputs(fields: Mapping[str, Any]) -> list[np.ndarray]:
    tensors = [Tensor(tuple(shape), *rest) for shape, *rest in fields["inputs"]]
    return random_inputs(tensors, int(fields["seed"]))


def _device(fields: Mapping[str, Any]) -> Device:
    """The device of a job, opened once."""
    key = _key(fields)
    if key not in _open:
        options = DeviceOptions(threads=key[2] or None, time_limit_s=key[3])
        try:
            _open[key] = kind(key[0]).open_device(key[1], options)
        except DeviceError as error:
            raise Unreachable(error.what, hint=error.hint) from error
    return _open[key]


def _forget(fields: Mapping[str, Any]) -> None:
    """End the session with a device: the next job opens it anew."""
    if (device := _open.pop(_key(fields), None)) is not None:
        device.close()


def _key(fields: Mapping[str, Any]) -> tuple[str, str, int, float]:
    return (fields["kind"], fields["device"], int(fields["threads"] or 0), float(fields["limit_s"]))


def _costs(
    program: Any, inputs: Sequence[np.ndarray], fields: Mapping[str, Any]
) -> tuple[list[float], str]:
    """Costs of one call, and what they are: as many as there is time for, or a few counts."""
    if not isinstance(program, Profiled):
        raise DlccError("the device measures no single kernels", hint="tune on another device")
    costs: list[float] = []
    end_s = time.monotonic() + fields["budget_s"]
    while True:
        cost, reward = _cost(program.profile(inputs))
        costs.append(cost)
        timed = reward == "seconds" and time.monotonic() < end_s
        rounds = fields["rounds"] if timed else COUNTED_ROUNDS.get(reward, 0)
        if len(costs) >= rounds or cost > fields["enough"]:
            return costs, reward


def _cost(rows: Sequence[CallCost | CallTime]) -> tuple[float, str]:
    """Of all kernels; copies between memories are not the kernel's."""
    if all(isinstance(row, CallCost) for row in rows):
        return float(sum(row.packets for row in rows if isinstance(row, CallCost))), "packets"
    times = [row for row in rows if isinstance(row, CallTime) and row.placement != "copy"]
    if all(row.time_s is not None for row in times):
        return sum(row.time_s or 0.0 for row in times), "seconds"
    return float(sum(sum(row.counts.values()) for row in times)), "instructions"


def _compared(results: Sequence[np.ndarray], told: Sequence[Any], pieces: Sequence[bytes]) -> str:
    """What is wrong with results; "" where they are as they should be, or nothing is known."""
    for number, ((shape, dtype), piece) in enumerate(zip(told, pieces, strict=True)):
        expected = np.frombuffer(piece, _dtype(dtype)).reshape(shape)
        if why := difference(results[number], expected):
            return f"result {number}: {why}"
    return ""


def difference(result: np.ndarray, expected: np.ndarray) -> str:
    """How a result differs from what is expected by more than sums in another order do."""
    if result.shape != expected.shape or result.dtype != expected.dtype:
        return f"{result.dtype} {result.shape} and not {expected.dtype} {expected.shape}"
    if expected.dtype.kind not in "fV":
        wrong = int(np.count_nonzero(result != expected))
        return f"{wrong} of {expected.size} numbers are wrong" if wrong else ""
    a, b = result.astype("float64"), expected.astype("float64")
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return "it is no number elsewhere"
    known = np.isfinite(b)
    if not np.array_equal(a[~known], b[~known], equal_nan=True):
        return "it is infinite elsewhere"
    scale = float(np.max(np.abs(b[known]), initial=0.0)) or 1.0
    off = float(np.max(np.abs(a[known] - b[known]), initial=0.0)) / scale
    limit = TOLERANCES.get(str(expected.dtype), 1e-4)
    return f"off by {off:.1e} of the largest number" if not off <= limit else ""


# How far from what a kernel without a schedule gives on this machine, of the largest number.
TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "float16": 2e-2, "bfloat16": 5e-2}


def _dtype(name: str) -> Any:
    if name == "bfloat16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return name


def drop(program: Any) -> None:
    """Let go of a program, where its device keeps it until it is closed."""
    if hasattr(program, "drop"):
        program.drop()
