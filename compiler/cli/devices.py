"""`dlcc device …`: serve one, track many, list, emulate and check them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from dlcc.compiler.cli.verbs import Verb, Verbs, json_option, time_limit_option

SERVER_PORT, TRACKER_PORT = 9090, 9190
EMULATED = ("arm", "phone", "opencl")
LOOPBACK = "127.0.0.1"


def port_option(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--port`."""
    return click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=default,
        show_default=True,
        help="Port to listen at; 0: any free one.",
    )


host_option = click.option(
    "--host",
    default=LOOPBACK,
    show_default=True,
    help="Address to listen at. RPC has no authentication: whoever reaches it can run code.",
)
tracker_option = click.option(
    "--tracker", metavar="HOST:PORT", help="A tracker to enter the device at."
)
dsp_option = click.option(
    "--dsp",
    default="",
    metavar="FILE|auto|none",
    help="A qemu-hexagon to offer as a DSP behind it; auto: unpack one if there is none; "
    "default: one on PATH or unpacked before, if any.",
)
opencl_option = click.option(
    "--opencl",
    default="",
    metavar="FILE|auto|emulator|none",
    help="OpenCL devices to offer as well: a plug-in's file; auto: this machine's, its plug-in "
    "built if need be; emulator: PoCL; default: this machine's if the plug-in is built.",
)
key_option = click.option(
    "--key", default="", metavar="NAME", help="What the tracker gives the device out under."
)


@click.group(cls=Verbs)
def device() -> None:
    """Serve, find, emulate and check devices."""


@click.command(cls=Verb)
@host_option
@port_option(SERVER_PORT)
@tracker_option
@key_option
@dsp_option
@opencl_option
def serve(host: str, port: int, tracker: str | None, key: str, dsp: str, opencl: str) -> None:
    """Offer this machine's CPU, its OpenCL devices and a DSP behind it, until interrupted."""
    from dlcc.targets.rpc.serve import serve as serve_here

    serve_here(host, port, tracker, key, dsp, opencl)


@click.command(cls=Verb)
@host_option
@port_option(TRACKER_PORT)
def tracker(host: str, port: int) -> None:
    """Give out the devices that enter themselves here, until interrupted."""
    from dlcc.targets.rpc.serve import start_tracker

    start_tracker(host, port)


@click.command("list", cls=Verb)
@click.argument("tracker", default=f"{LOOPBACK}:{TRACKER_PORT}", metavar="[HOST:PORT]")
@json_option
def list_devices(tracker: str, as_json: bool) -> None:
    """Show the devices of a tracker, and how many of them are free."""
    from dlcc.compiler.cli.show import show
    from dlcc.targets.rpc.serve import list_devices as devices_of

    show(devices_of(tracker), as_json)


@click.command(cls=Verb)
@click.argument("kind", type=click.Choice(EMULATED))
@port_option(SERVER_PORT)
@tracker_option
@click.option(
    "--own-tracker",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Start a tracker on this loopback port too, and enter the device at it; 0: any free one.",
)
@key_option
@dsp_option
def emulate(
    kind: str, port: int, tracker: str | None, own_tracker: int | None, key: str, dsp: str
) -> None:
    """Offer an emulated device until interrupted; built on first use."""
    from dlcc.targets.rpc.serve import emulate as emulate_kind

    emulate_kind(kind, port, tracker, key, own_tracker, dsp)


@click.command(cls=Verb)
@click.argument("address", required=False)
@click.option(
    "-t",
    "--target",
    type=click.Choice(("host", "arm", "opencl", "hexagon")),
    help="Which kind is meant by `local` (default: host) or `emulator` (default: arm).",
)
@click.option(
    "--no-test", is_flag=True, help="Leave out the small model that each engine is tested with."
)
@time_limit_option
@json_option
def check(
    address: str | None, target: str | None, no_test: bool, time_limit_s: float, as_json: bool
) -> None:
    """Show what a device can run, its versions, whether it computes right, and what it lacks.

    Without ADDRESS all engines of this machine are checked, emulated ones too, and the tools that
    make code. Exits with 1 if anything lacks, 4 if a tool does, 5 if an engine cannot be reached.
    """
    from dlcc.compiler.cli.show import show
    from dlcc.compiler.errors import DeviceError, Mismatch, ToolchainError, UsageError
    from dlcc.targets.check import check as check_device
    from dlcc.targets.check import check_all
    from dlcc.targets.registry import DeviceOptions

    options = DeviceOptions(time_limit_s=time_limit_s)
    if address is None and target is not None:
        raise UsageError(f"--target {target} needs an address", hint="local or emulator")
    if address is None:
        rows = check_all(options, not no_test)
    else:
        rows = check_device(address, options, target, not no_test)
    show(rows, as_json)
    if bad := [row for row in rows if not row.good]:
        lacks = ", ".join(f"{row.engine} {row.name}: {row.value}".strip() for row in bad)
        worst = max(row.exit_code or 1 for row in bad)
        kinds = {4: ToolchainError, 5: DeviceError}
        raise kinds.get(worst, Mismatch)(f"not all is as it should be: {lacks}", hint=bad[0].hint)


for _verb in (serve, tracker, list_devices, emulate, check):
    device.add_command(_verb)
