"""Devices that run kernels in OpenCL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dlcc.targets.artifact import HALF, Artifact
from dlcc.targets.closing import Closing
from dlcc.targets.device import Device, require_tvm
from dlcc.targets.errors import DeviceError
from dlcc.targets.local import LocalDevice, LocalProgram
from dlcc.targets.opencl.found import Found, found_devices
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.rpc.client import RemoteDevice, RemoteProgram


def open_device(address: str, options: DeviceOptions) -> Device:
    """Open `local`, the machine's first OpenCL device; `emulator`, PoCL on its CPU; or the first
    OpenCL device of a device server, `rpc://HOST:PORT`, `rpc://TRACKER:PORT/KEY`.

    Raises UsageError, DeviceError, and ToolchainError when the runtime or PoCL cannot be had.
    """
    if address in ("local", "emulator"):
        return LocalGpu(address, options, found_devices(address)[0])
    from dlcc.targets.rpc.client import connect

    return RemoteGpu(connect(address, options))


class LocalGpu(LocalDevice):
    """An OpenCL device of this machine, and its CPU, which runs the rest of a model."""

    def __init__(self, address: str, options: DeviceOptions, found: Found) -> None:
        super().__init__(options)
        self.address = address
        self._found = found

    def load(self, artifact: Artifact) -> LocalProgram:
        """Load the code; raises DeviceError when it is not for this machine."""
        import tvm

        require_tvm(artifact)
        _require_half(artifact, self._found.facts)
        program = LocalProgram(artifact, self.threads, tvm.opencl(self._found.number))
        self._programs.append(program)
        return program

    def describe(self) -> Mapping[str, str]:
        return {**super().describe(), "address": self.address, **self._found.describe()}


class RemoteGpu(Closing):
    """The first OpenCL device of a device server, for one session with it."""

    def __init__(self, server: RemoteDevice) -> None:
        """Raises DeviceError, and ends the session, when the server offers none."""
        try:
            facts = server.describe()
            if "opencl_device" not in facts:
                why = facts.get("opencl", "").removeprefix("none")
                raise DeviceError(
                    f"{server.address} offers no OpenCL device{why}",
                    hint="on it run: dlcc device serve --opencl auto",
                )
        except BaseException:
            server.close()
            raise
        self.address = server.address
        self._server = server
        self._facts = facts

    def load(self, artifact: Artifact) -> RemoteProgram:
        """Send the code and the weights; raises DeviceError when the device cannot load them."""
        _require_half(artifact, json.loads(self._facts["opencl_device"]))
        return self._server.load(artifact, accelerated=True)

    def describe(self) -> Mapping[str, str]:
        return self._facts

    def close(self) -> None:
        """End the session. Closing twice is fine."""
        self._server.close()


def _require_half(artifact: Artifact, facts: Mapping[str, Any]) -> None:
    """Refuse code in half precision before its first run, where the driver would; facts: of the
    device, as its driver tells them."""
    if artifact.processor == HALF and not facts["fp16"]:
        raise DeviceError(
            f"the OpenCL device {facts['name']} has no half precision (cl_khr_fp16)",
            hint="compile without --fp16 for it",
        )
