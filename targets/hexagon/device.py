"""Devices that run code for the Hexagon DSP."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from dlcc.targets.artifact import Artifact
from dlcc.targets.closing import Closing
from dlcc.targets.device import Device
from dlcc.targets.errors import DeviceError
from dlcc.targets.hexagon.line import RemoteLine, Start, no_dsp, start_here
from dlcc.targets.hexagon.model import read_model
from dlcc.targets.hexagon.program import DspProgram
from dlcc.targets.kernels import kernels_in
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.rpc.client import RemoteDevice


def open_device(address: str, options: DeviceOptions) -> Device:
    """Open `emulator`, or the DSP behind a device server: `rpc://HOST:PORT`,
    `rpc://TRACKER:PORT/KEY`.

    Raises UsageError, DeviceError, and ToolchainError when the emulator cannot be had.
    """
    if address == "local":
        raise DeviceError(
            "this machine has no Hexagon DSP that a program may use",
            hint="use --device emulator, or a device server's: --device rpc://HOST:PORT",
        )
    if address == "emulator":
        from dlcc.targets.hexagon.qemu import find_qemu

        emulator = find_qemu()
        facts = {"address": address, **emulator.describe()}
        return DspDevice(address, partial(start_here, emulator, options.time_limit_s), facts)
    from dlcc.targets.rpc.client import connect

    return RemoteDsp(connect(address, options))


class DspDevice(Closing):
    """A DSP whose programs `start` starts. facts: what it says of itself."""

    def __init__(self, address: str, start: Start, facts: Mapping[str, str]) -> None:
        self.address = address
        self._start = start
        self._facts = dict(facts)
        self._programs: list[DspProgram] = []

    def load(self, artifact: Artifact) -> DspProgram:
        """Start the model; it stays alive between runs. Raises DeviceError."""
        model = read_model(artifact)
        if model.float_vectors:  # all that can be opened by now are emulators
            raise DeviceError(
                f"{self.address}: the model is for {model.chip} itself: it computes with floats "
                f"in vectors of v{model.architecture}, which no emulator decodes",
                hint="compile it with `-t hexagon` for the emulator, or link what `--emit c` "
                "writes into a program of the device",
            )
        program = DspProgram(model, self._start, kernels_in(artifact))
        self._programs.append(program)
        return program

    def describe(self) -> Mapping[str, str]:
        return self._facts

    def close(self) -> None:
        """End every program. Closing twice is fine."""
        for program in self._programs:
            program.drop()
        self._programs.clear()


class RemoteDsp(DspDevice):
    """The DSP behind a device server, for one session with it."""

    def __init__(self, server: RemoteDevice) -> None:
        """Raises DeviceError, and ends the session, when the server offers none."""
        try:
            facts = server.describe()
            if not facts.get("dsp"):
                raise no_dsp(server.address)
        except BaseException:
            server.close()
            raise
        super().__init__(server.address, partial(RemoteLine, server), facts)
        self._server = server

    def close(self) -> None:
        self._server.close()  # first: what runs there ends with the session, without a word
        super().close()
