"""Carries the bytes of one session between TVM's client and a device, with a time limit.

Run as a process of its own by `relay.py`, which says why; so it imports nothing of dlcc.
Arguments: the device's socket and a listening one, as inherited descriptors; the time limit in
seconds; what the device called itself, in hex. Its input: new limits. Its output is one line, why:
`late`, `lost REASON` or `closed`.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time
from typing import Any

RPC_MAGIC = 0xFF271
CHUNK_BYTES = 1 << 20
LOCAL_LIMIT_S = 30.0


class Carrier:
    """Two connected sides; a side is read only when what it said before was passed on."""

    def __init__(
        self, client: socket.socket, device: socket.socket, limit_s: float, told: int
    ) -> None:
        """told: descriptor on which new limits come, a line of seconds each."""
        self.client, self.device, self.limit_s = client, device, limit_s
        self.told: list[int] = [told]
        self.waiting: dict[socket.socket, memoryview] = {}  # by the side that they go to
        self.asked = False
        self.moved_s = time.monotonic()
        for side in (client, device):
            side.setblocking(False)

    def carry(self) -> str:
        """Until one side ends, or an answer is due and no byte came or went for the limit."""
        other = {self.client: self.device, self.device: self.client}
        while True:
            reads = [side for side in other if other[side] not in self.waiting]
            heard: list[Any] = [*self.told, *reads]
            ready, writable, _ = select.select(heard, list(self.waiting), [], self.left_s())
            if not ready and not writable:
                return "late"
            if self.told and self.told[0] in ready:
                ready.remove(self.told[0])
                self.hear()
            self.moved_s = time.monotonic()
            for side in writable:
                self.pass_on(side, self.waiting.pop(side))
            for side in ready:
                data = side.recv(CHUNK_BYTES)
                if not data:
                    return "closed" if side is self.client else "lost it closed the connection"
                self.asked = side is self.client
                self.pass_on(other[side], memoryview(data))

    def hear(self) -> None:
        """Take a new limit; it counts from now on."""
        said = os.read(self.told[0], CHUNK_BYTES).split()
        if said:
            self.limit_s = float(said[-1])
        else:
            self.told.clear()  # nobody will say another one

    def pass_on(self, side: socket.socket, data: memoryview) -> None:
        try:
            sent = side.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.waiting[side] = data[sent:]

    def left_s(self) -> float | None:
        """Seconds until the limit. None, no limit, when the last word was the device's: TVM asks
        one thing at a time, so nothing is due."""
        if not self.asked and not self.waiting:
            return None
        return max(self.moved_s + self.limit_s - time.monotonic(), 0.0)


def accept(listener: socket.socket, name: bytes) -> socket.socket:
    """TVM's client, told what it would have heard from the device in its handshake."""
    listener.settimeout(LOCAL_LIMIT_S)
    client, _ = listener.accept()
    listener.close()
    client.settimeout(LOCAL_LIMIT_S)
    _, size = struct.unpack("<ii", receive(client, 8))
    receive(client, size)
    client.sendall(struct.pack("<ii", RPC_MAGIC, len(name)) + name)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def receive(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = peer.recv(size - len(data))
        if not part:
            raise ConnectionError("closed here")
        data += part
    return data


def main() -> None:
    device, listener = (socket.socket(fileno=int(text)) for text in sys.argv[1:3])
    try:
        client = accept(listener, bytes.fromhex(sys.argv[4]))
        why = Carrier(client, device, float(sys.argv[3]), sys.stdin.fileno()).carry()
    except OSError as error:
        why = f"lost {error.strerror or error}"
    # Said before the sockets close, so that it can be read by whoever sees them closed.
    sys.stdout.write(f"{why}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
