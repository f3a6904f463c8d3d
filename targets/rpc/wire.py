"""The first words between a client and a server or a tracker, each with a time limit.

TVM's own client has none here: it waits for ever for a port that accepts and stays silent.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

from dlcc.targets.errors import DeviceError, DeviceTimeout
from dlcc.targets.rpc.address import RpcAddress

CONNECT_LIMIT_S = 15.0
RPC_MAGIC = 0xFF271
RPC_MISMATCH = RPC_MAGIC + 2
TRACKER_MAGIC = 0x2F271
LONGEST_WORD_BYTES = 1 << 10
LONGEST_ANSWER_BYTES = 1 << 20


def open_port(address: RpcAddress, limit_s: float) -> socket.socket:
    """A connection to the port; raises DeviceError when nobody listens there."""
    limit_s = min(limit_s, CONNECT_LIMIT_S)
    where = f"{address.host}:{address.port}"
    try:
        peer = socket.create_connection((address.host, address.port), limit_s)
    except TimeoutError as error:
        raise DeviceTimeout(
            f"{where} did not answer in {limit_s:g} s",
            hint="is the machine on, and is the port open in its firewall?",
        ) from error
    except OSError as error:
        raise DeviceError(
            f"no device at {where}: {error.strerror or error}",
            hint="start one there with `dlcc device serve`, or one here with `dlcc device emulate`",
        ) from error
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def receive(peer: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes; raises TimeoutError, or OSError when the peer closes."""
    data = b""
    while len(data) < size:
        part = peer.recv(size - len(data))
        if not part:
            raise ConnectionError("it closed the connection")
        data += part
    return data


def receive_sized(peer: socket.socket, longest: int) -> bytes:
    """A length and that many bytes; raises OSError for a length that cannot be meant."""
    (size,) = struct.unpack("<i", receive(peer, 4))
    if not 0 <= size <= longest:
        raise ConnectionError("its answer is not of this protocol")
    return receive(peer, size)


def greet_server(peer: socket.socket, address: RpcAddress, key: str, limit_s: float) -> bytes:
    """Do TVM's handshake; returns what the server calls itself.

    Raises DeviceTimeout for a silent port and DeviceError for one that speaks otherwise."""
    where = f"{address.host}:{address.port}"
    limit_s = min(limit_s, CONNECT_LIMIT_S)
    name = f"client:{key}".encode()
    try:
        peer.settimeout(limit_s)
        peer.sendall(struct.pack("<ii", RPC_MAGIC, len(name)) + name)
        (code,) = struct.unpack("<i", receive(peer, 4))
        if code == RPC_MISMATCH:
            raise DeviceError(
                f"the device at {where} is given out by a tracker, or serves under a key",
                hint=f"connect through its tracker: rpc://TRACKER:PORT/KEY (asked as {address})",
            )
        if code != RPC_MAGIC:
            raise ConnectionError("it is no TVM RPC server")
        return receive_sized(peer, LONGEST_WORD_BYTES)
    except TimeoutError as error:
        raise DeviceTimeout(
            f"{where} accepts connections but did not answer in {limit_s:g} s",
            hint="it serves another client now, is stopped, or is no TVM RPC server",
        ) from error
    except OSError as error:
        raise DeviceError(
            f"{where} does not serve devices: {error}",
            hint="is the port right? `dlcc device serve` prints the one that it listens on",
        ) from error


class TrackerClient:
    """Questions to a tracker, each with the time that is left until `limit_s` after the start.

    Raises DeviceError when no tracker is there and DeviceTimeout when it does not answer."""

    SUCCESS, REQUEST, SUMMARY = 0, 3 + 1, 6

    def __init__(self, address: RpcAddress, limit_s: float) -> None:
        self._where = f"tracker {address.host}:{address.port}"
        self._limit_s = limit_s
        self._end_s = time.monotonic() + limit_s
        self._peer = open_port(address, limit_s)
        try:
            self._greet()
        except DeviceError:
            self._peer.close()
            raise

    def close(self) -> None:
        self._peer.close()

    def summary(self) -> dict[str, Any]:
        """The devices that are entered and the queues for them, as the tracker tells them."""
        return dict(self._ask([self.SUMMARY]))

    def request(self, key: str) -> tuple[str, int, str]:
        """Wait for a free device: its host, port and the key for this one session."""
        host, port, match = self._ask([self.REQUEST, key, "", 1])
        return str(host), int(port), str(match)

    def _greet(self) -> None:
        try:
            self._peer.settimeout(min(CONNECT_LIMIT_S, self._left_s()))
            self._peer.sendall(struct.pack("<i", TRACKER_MAGIC))
            (magic,) = struct.unpack("<i", receive(self._peer, 4))
        except OSError as error:
            raise self._no_tracker(error) from error
        if magic != TRACKER_MAGIC:
            raise self._no_tracker("it speaks another protocol")

    def _no_tracker(self, why: object) -> DeviceError:
        return DeviceError(
            f"{self._where} is no tracker: {why}",
            hint="start one with `dlcc device tracker`; for a device without a tracker leave "
            "the key away: rpc://HOST:PORT",
        )

    def _ask(self, question: list[object]) -> Any:
        data = json.dumps(question).encode()
        try:
            self._peer.settimeout(self._left_s())
            self._peer.sendall(struct.pack("<i", len(data)) + data)
            code, answer = json.loads(receive_sized(self._peer, LONGEST_ANSWER_BYTES))
        except TimeoutError as error:
            raise DeviceTimeout(
                f"{self._where} gave no answer in {self._limit_s:g} s",
                hint="raise the limit with --time-limit SECONDS",
            ) from error
        except (OSError, ValueError, TypeError) as error:
            raise DeviceError(f"{self._where} was lost: {error}", hint="try again") from error
        if code != self.SUCCESS:
            raise DeviceError(f"{self._where} refused with code {code}")
        return answer

    def _left_s(self) -> float:
        return max(self._end_s - time.monotonic(), 0.001)
