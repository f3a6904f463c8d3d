"""Addresses of devices: `local`, `emulator`, `rpc://HOST:PORT`, `rpc://TRACKER:PORT/KEY`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from dlcc.targets.errors import UsageError


@dataclass(frozen=True, slots=True)
class RpcAddress:
    """A device's own port, or a tracker's port and the key of the devices wanted."""

    host: str
    port: int
    key: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rpc://{host}:{self.port}" + (f"/{self.key}" if self.key else "")


def parse_rpc(address: str) -> RpcAddress:
    """Read `rpc://HOST:PORT` or `rpc://TRACKER:PORT/KEY`; raises UsageError."""
    try:
        parts = urlsplit(address)
        host, port, key = parts.hostname, parts.port, parts.path.strip("/")
    except ValueError:
        host, port, key = None, None, ""
    if not address.startswith("rpc://") or not host or not port or "/" in key:
        raise UsageError(
            f"{address!r} is no address of a device",
            hint="addresses: local, emulator, rpc://HOST:PORT, rpc://TRACKER:PORT/KEY",
        )
    return RpcAddress(host, port, key)


def parse_tracker(address: str) -> RpcAddress:
    """Read a tracker's `HOST:PORT`, with or without `rpc://`; raises UsageError."""
    found = parse_rpc(address if address.startswith("rpc://") else f"rpc://{address}")
    if found.key:
        raise UsageError(
            f"{address!r} names a device, not a tracker", hint="name it as HOST:PORT, without a key"
        )
    return found
