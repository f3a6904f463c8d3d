"""Devices behind TVM's RPC: a phone, a board, or the emulator of this machine."""

from __future__ import annotations

import json
import logging
import time
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcc.targets.artifact import Artifact
from dlcc.targets.closing import Closing
from dlcc.targets.device import Bench, CallTime, require_tvm
from dlcc.targets.errors import DeviceError, DeviceTimeout, UsageError
from dlcc.targets.kernels import PROFILED_RUNS, call_times, kernels_in, typical
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.rpc.address import RpcAddress, parse_rpc
from dlcc.targets.rpc.process import ServerProcess
from dlcc.targets.rpc.relay import Relay
from dlcc.targets.rpc.wire import TrackerClient, greet_server, open_port
from dlcc.targets.scalable import require_width

if TYPE_CHECKING:
    from dlcc.targets.rpc.instrument import Call

log = logging.getLogger("dlcc")

BUILD_LIMIT_S = 600.0  # for a driver to compile all kernels of a model: PoCL takes 0.2 s for each
BIG_CORES = 1  # TVM's thread pool: fastest cores first
# A call costs about 15,000 events besides the inference, and that varies by some hundred.
BIG_COUNT = 200_000_000  # so of this many they are less than 0.01 %
SURE_COUNT = 20_000_000  # and in this many the variation is


def connect(address: str, options: DeviceOptions) -> RemoteDevice:
    """Open a session at `rpc://HOST:PORT` or, through a tracker, `rpc://TRACKER:PORT/KEY`.

    Raises UsageError for another form of address, DeviceError when the device is not there, and
    DeviceTimeout when it or the tracker does not answer in time.
    """
    where = parse_rpc(address)
    if where.key:
        return _through_tracker(where, options)
    return RemoteDevice(address, _session(address, where, "", options), options)


def _through_tracker(where: RpcAddress, options: DeviceOptions) -> RemoteDevice:
    """Ask the tracker for devices until one of them answers: it may give out one that has gone."""
    end_s = time.monotonic() + options.time_limit_s
    tracker = TrackerClient(where, options.time_limit_s)
    try:
        known = [
            str(row["key"]).removeprefix("server:") for row in tracker.summary()["server_info"]
        ]
        if where.key not in known:
            raise DeviceError(
                f"tracker {where.host}:{where.port} has no device under the key {where.key!r}",
                hint=f"its keys: {', '.join(sorted(set(known))) or 'none'}; `dlcc device serve "
                f"--tracker {where.host}:{where.port} --key {where.key}` enters one",
            )
        while True:
            host, port, match = _free_device(tracker, where, known.count(where.key))
            found = RpcAddress(host, port)
            try:
                relay = _session(str(where), found, match, options)
            except DeviceTimeout:
                raise
            except DeviceError as error:
                if time.monotonic() > end_s:
                    raise
                log.warning("the tracker gave out a device that is not there: %s", error)
            else:
                return RemoteDevice(str(where), relay, options)
    finally:
        tracker.close()


def _free_device(tracker: TrackerClient, where: RpcAddress, devices: int) -> tuple[str, int, str]:
    try:
        return tracker.request(where.key)
    except DeviceTimeout as error:
        raise DeviceTimeout(
            f"all {devices} devices under the key {where.key!r} of tracker "
            f"{where.host}:{where.port} are in use",
            hint="wait for one, or raise the limit with --time-limit SECONDS",
        ) from error


def _session(shown: str, at: RpcAddress, key: str, options: DeviceOptions) -> Relay:
    peer = open_port(at, options.time_limit_s)
    try:
        name = greet_server(peer, at, key, options.time_limit_s)
        peer.settimeout(None)
        return Relay(peer, name, shown, options.time_limit_s)
    except BaseException:
        peer.close()
        raise


def connect_started(server: ServerProcess, name: str, options: DeviceOptions) -> RemoteDevice:
    """Open a session with a server that was started for it, and is stopped with it."""
    at = RpcAddress("127.0.0.1", server.port)
    try:
        relay = _session(name, at, "", options)
        return RemoteDevice(name, relay, options, server.stop)
    except BaseException:
        server.stop()
        raise


class RemoteDevice(Closing):
    """One session. `stop`: called at the end, for a device that was started for this session."""

    def __init__(
        self,
        address: str,
        relay: Relay,
        options: DeviceOptions,
        stop: Callable[[], object] = lambda: None,
    ) -> None:
        from tvm import rpc

        self.address = address
        self.relay = relay
        self._programs: list[RemoteProgram] = []
        self._end = weakref.finalize(self, _end_session, relay, stop)
        try:
            with relay.call("connecting"):
                self._session: Any = rpc.connect("127.0.0.1", relay.port)
                self._cpu: Any = self._session.cpu(0)
                self.counts = self.function("dlcc.counters") is not None
                self._set_threads(options.threads)
        except BaseException:
            self._end()
            raise

    def load(self, artifact: Artifact, accelerated: bool = False) -> RemoteProgram:
        """Send the code and the weights; raises DeviceError when the device cannot load them.

        accelerated: the code runs in part on the device's first OpenCL device."""
        require_tvm(artifact)
        require_width(artifact, self.describe)
        devices = [self._session.cl(0), self._cpu] if accelerated else [self._cpu]
        program = RemoteProgram(self, self._session, devices, artifact)
        self._programs.append(program)
        return program

    def function(self, name: str) -> Callable[..., Any] | None:
        """A function that the device offers by this name, None if it does not. For use within
        `relay.call`, as its calls are."""
        try:
            found: Callable[..., Any] = self._session.get_function(name)
        except AttributeError:
            return None
        return found

    def describe(self) -> Mapping[str, str]:
        """What the device says about itself; of a server that is not ours, little."""
        with self.relay.call("describing itself"):
            tell = self.function("dlcc.describe")
            facts = {str(k): str(v) for k, v in json.loads(tell()).items()} if tell else {}
            threads = self.function("runtime.NumThreads")
            facts.setdefault("threads", str(threads()) if threads else "unknown")
        return {"address": self.address, **{name: value for name, value in facts.items() if value}}

    def close(self) -> None:
        """End the session; never raises and never waits longer than a few seconds."""
        # The line first: what is dropped on an open one is freed on the device piece by piece.
        self._end()
        for program in self._programs:
            program.drop()
        self._programs.clear()

    def require_real_time(self) -> None:
        """Raises DeviceError on an emulated device: its seconds say nothing about a real one's."""
        if emulator := self.describe().get("emulator"):
            raise DeviceError(
                f"{self.address}, emulated by {emulator}, does not count and so cannot measure",
                hint="`dlcc device check emulator` says why; counts are for --threads 1",
            )

    def _set_threads(self, threads: int | None) -> None:
        configure = self.function("runtime.config_threadpool")
        if threads is not None and configure is not None:
            configure(BIG_CORES, threads)


class RemoteProgram:
    """A model on a device. Its code's file is gone from there as soon as it is loaded, so that
    nothing is left behind however the session ends; the loaded code does not need it."""

    def __init__(
        self, device: RemoteDevice, session: Any, devices: Sequence[Any], artifact: Artifact
    ) -> None:
        """devices: TVM's, those that the code was made for in that order, the CPU last."""
        from tvm.runtime import tensor
        from tvm.runtime.vm import VirtualMachine

        self._device = device
        self._cpu = devices[-1]
        self._builds = len(devices) > 1
        self._kernels = kernels_in(artifact)
        name = f"dlcc-{uuid.uuid4().hex}.so"
        with device.relay.call("loading the model"):
            session.upload(bytearray(artifact.files["module.so"]), name)
            self._vm: Any = VirtualMachine(session.load_module(name), list(devices))
            session.remove(name)
            places = zip(artifact.weights, artifact.accelerated(), strict=True)
            self._weights: list[Any] = [tensor(w, devices[0 if on else -1]) for w, on in places]
            self._main: Any = self._vm["main"]
            # The outputs are a tuple that stays on the device; these two take it apart.
            self._size = device.function("ffi.ArraySize")
            self._item = device.function("ffi.ArrayGetItem")

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; raises DeviceError when it fails and DeviceTimeout when it is late."""
        with self._device.relay.call("running the model"), self._patience():
            outputs = self._main(*self._arguments(inputs))
            return [_to_numpy(output) for output in self._fields(outputs)]

    def bench(self, inputs: Sequence[np.ndarray], repeat: int) -> Bench:
        """Cost of one inference, after a first one that warms up.

        A device that counts: the events of one inference. Any other: `repeat` times in seconds.
        """
        with self._device.relay.call("measuring the model"), self._patience():
            arguments = self._arguments(inputs)
            self._main(*arguments)
            if self._device.counts:
                return Bench(counts=self._count(arguments))
            self._device.require_real_time()
            return Bench(times_s=self._times_s(arguments, repeat))

    def profile(self, inputs: Sequence[np.ndarray]) -> list[CallTime]:
        """Cost of each call of a kernel, after a run that warms up: events on a device that counts,
        on any other seconds, the median of some runs.

        Raises UsageError where the device's server cannot measure them."""
        with self._device.relay.call("measuring each kernel"):
            attach = self._device.function("dlcc.instrument")
            if attach is not None and not self._device.counts:
                self._device.require_real_time()
        if attach is None:
            raise UsageError(
                f"the server of {self._device.address} cannot measure each kernel",
                hint="put this dlcc's instrument.py beside its server.py; `dlcc bench` gives the "
                "total",
            )
        counted = "instructions" if self._device.counts else ""
        with self._device.relay.call("measuring each kernel"), self._patience():
            arguments = self._arguments(inputs)
            self._main(*arguments)
            attach(self._vm.module)
            try:
                runs = [self._calls(arguments) for _ in range(1 if counted else PROFILED_RUNS)]
            finally:
                self._vm.module["set_instrument"](None)
        return call_times(typical(runs), self._kernels, counted)

    def _calls(self, arguments: Sequence[Any]) -> list[Call]:
        from dlcc.targets.rpc.instrument import Call

        self._main(*arguments)
        take = self._device.function("dlcc.instrumented")
        assert take is not None
        rows = json.loads(take())
        return [Call(**row) for row in rows]

    def _patience(self) -> AbstractContextManager[None]:
        """More time for a first run on a GPU, whose driver compiles the kernels in it."""
        if not self._builds:
            return nullcontext()
        self._builds = False
        return self._device.relay.allow(BUILD_LIMIT_S)

    def drop(self) -> None:
        """Let go of everything on the device."""
        self._vm = self._main = self._size = self._item = None
        self._weights = []

    def _arguments(self, inputs: Sequence[np.ndarray]) -> list[Any]:
        from tvm.runtime import tensor

        return [*(tensor(np.asarray(x, order="C"), self._cpu) for x in inputs), *self._weights]

    def _fields(self, outputs: Any) -> list[Any]:
        if hasattr(outputs, "numpy"):
            return [outputs]
        if self._size is None or self._item is None:
            raise DeviceError(
                f"{self._device.address} runs another TVM, which cannot return several outputs",
                hint="install the version there that `dlcc device check` shows for this machine",
            )
        return [self._item(outputs, i) for i in range(self._size(outputs))]

    def _times_s(self, arguments: Sequence[Any], repeat: int) -> list[float]:
        """Timed on the device itself, in calls of a few inferences each: the time limit is for one
        answer, and there is none before a call ends."""
        began_s = time.monotonic()
        self._main(*arguments)
        once_s = time.monotonic() - began_s
        at_once = max(1, min(repeat, int(self._device.relay.limit_s / 10 / max(once_s, 1e-6))))
        times_s: list[float] = []
        while len(times_s) < repeat:
            count = min(at_once, repeat - len(times_s))
            times_s += self._timer(1, count)(*arguments).results
        return times_s

    def _count(self, arguments: Sequence[Any]) -> dict[str, int]:
        """Events of one inference. Of a big model simply those of one call; of any other those of
        2N inferences less those of N, over N, so that what a call costs besides cancels out."""
        whole = self._counted(lambda: self._main(*arguments))
        if min(whole.values()) > BIG_COUNT:
            return whole
        one = self._difference(arguments, 1)
        number = max(1, round(SURE_COUNT / max(1, min(one.values()))))
        return one if number == 1 else self._difference(arguments, number)

    def _difference(self, arguments: Sequence[Any], number: int) -> dict[str, int]:
        short, long = (
            self._counted(partial(self._timer(n, 1), *arguments)) for n in (number, 2 * number)
        )
        return {name: round((long[name] - short[name]) / number) for name in long}

    def _counted(self, work: Callable[[], object]) -> dict[str, int]:
        read = self._device.function("dlcc.counters")
        assert read is not None
        before = _parse_counts(read())
        work()
        after = _parse_counts(read())
        return {name: after[name] - before[name] for name in after}

    def _timer(self, number: int, repeat: int) -> Any:
        """Runs the model on the device, 1 + number * repeat times, in one remote call."""
        return self._vm.time_evaluator("main", self._cpu, number=number, repeat=repeat)


def _parse_counts(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in (row.split("=") for row in text.split())}


def _to_numpy(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.numpy())


def _end_session(relay: Relay, stop: Callable[[], object]) -> None:
    relay.close()
    stop()
