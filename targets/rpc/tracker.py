"""TVM's tracker as a program that ends with its starter; see `process.py`.

TVM's own entry points leave processes behind when they are ended, and look for a free port only
below 9199, so that a port above it is refused.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import sys


def main() -> None:
    parser = argparse.ArgumentParser(description="give out devices to TVM's RPC clients")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9190)
    parser.add_argument("--folder", default="")
    parser.add_argument("--parent", type=int, default=0)
    parser.add_argument("--end-with-stdin", action="store_true")
    args = parser.parse_args()

    def end(*_: object) -> None:
        shutil.rmtree(args.folder, ignore_errors=True)
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    port = args.port or free_port(args.host)

    from tvm.rpc.tracker import PopenTrackerServerState

    try:
        PopenTrackerServerState(args.host, port, port + 1, silent=True)
    except (OSError, ValueError) as error:
        sys.exit(f"cannot listen at {args.host}:{port}: {error}")
    sys.stdout.write(f"READY {port}\n")
    sys.stdout.flush()
    if args.end_with_stdin:
        sys.stdin.read()
        end()
    signal.pause()


def free_port(host: str) -> int:
    with socket.create_server((host, 0)) as server:
        port: int = server.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
