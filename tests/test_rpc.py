"""Devices behind RPC: no call hangs, no process stays, every error says what to do.

The server here is the one that a phone's Linux or the emulator runs, on this machine's CPU.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from dlcc.targets.check import check
from dlcc.targets.errors import DeviceError, DeviceTimeout, UsageError
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.rpc.client import RemoteDevice, connect
from dlcc.targets.rpc.process import ServerProcess
from dlcc.targets.rpc.serve import list_devices, start_server, start_tracker_process
from tests.device_models import layer, slow

HANG_S = 30.0  # no step below takes a tenth of it


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    started = start_server()
    yield started
    started.stop()


def open_at(server: ServerProcess, limit_s: float = HANG_S) -> RemoteDevice:
    return connect(f"rpc://127.0.0.1:{server.port}", DeviceOptions(time_limit_s=limit_s))


def check_layer(device: RemoteDevice) -> None:
    artifact, x, expected = layer("host")
    outputs = device.load(artifact).run([x])
    assert [(o.dtype, o.shape) for o in outputs] == [(e.dtype, e.shape) for e in expected]
    for output, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-4)


@contextmanager
def soon(do: Callable[[], object], after_s: float = 0.5) -> Iterator[None]:
    timer = threading.Timer(after_s, do)
    timer.start()
    yield
    timer.join()


@contextmanager
def port_that(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """A port that does one thing with its first connection and then holds it open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def serve() -> None:
            held.append(listener.accept()[0])
            answer(held[0])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"rpc://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(1)
        for peer in held:
            peer.close()


def sessions(server: ServerProcess) -> list[psutil.Process]:
    return [child for child in psutil.Process(server.pid).children() if child.is_running()]


def wait_until(true: Callable[[], object]) -> None:
    end_s = time.monotonic() + HANG_S
    while not true():
        assert time.monotonic() < end_s, "it never came"
        time.sleep(0.05)


def test_agrees_with_numpy_and_leaves_no_file(server: ServerProcess) -> None:
    with open_at(server) as device:
        check_layer(device)
        (session,) = sessions(server)
        assert list(Path(f"/proc/{session.pid}/cwd").iterdir()) == []
    wait_until(lambda: not sessions(server))


def test_bench_gives_one_time_an_inference(server: ServerProcess) -> None:
    artifact, x, _ = layer("host")
    with open_at(server) as device:
        bench = device.load(artifact).bench([x], repeat=7)
    assert len(bench.times_s) == 7
    assert min(bench.times_s) > 0
    assert not bench.counts


def test_an_input_that_does_not_fit_fails_and_the_session_goes_on(server: ServerProcess) -> None:
    artifact, x, _ = layer("host")
    with open_at(server) as device:
        program = device.load(artifact)
        with pytest.raises(DeviceError, match="failed while running"):
            program.run([x[:, :3]])
        program.run([x])


@pytest.mark.parametrize(
    "address",
    ["rpc://", "rpc://host", "rpc://host:port", "http://a:1", "rpc://a:1/b/c", "arm", "rpc://a:0"],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        connect(address, DeviceOptions())
    assert "rpc://HOST:PORT" in caught.value.hint


def test_nobody_at_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DeviceError, match="no device at") as caught:
        connect(f"rpc://127.0.0.1:{port}", DeviceOptions())
    assert caught.value.exit_code == 5
    assert "dlcc device" in caught.value.hint


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (lambda peer: None, DeviceTimeout, "did not answer in 1 s"),
        (lambda peer: peer.sendall(b"\x71"), DeviceTimeout, "did not answer in 1 s"),
        (lambda peer: peer.sendall(b"HTTP/1.0 400 Bad"), DeviceError, "does not serve devices"),
        (lambda peer: peer.shutdown(socket.SHUT_RDWR), DeviceError, "does not serve devices"),
        (lambda peer: peer.sendall(b"\x71\xf2\x0f\0" + b"\x7f" * 99), DeviceError, "not of this"),
        (
            lambda peer: peer.sendall(b"\x71\xf2\x0f\0\x01\0\0\0s"),
            *(DeviceTimeout, "no answer in 1 s while connecting"),
        ),
    ],
    ids=["silent", "one byte", "http", "closing", "mad length", "silent after the handshake"],
)
def test_a_port_that_is_no_device(
    answer: Callable[[socket.socket], object], error: type[DeviceError], text: str
) -> None:
    with port_that(answer) as address, pytest.raises(error, match=text):
        connect(address, DeviceOptions(time_limit_s=1))


@pytest.mark.parametrize(
    "ask",
    [
        lambda where: connect(f"rpc://{where}/arm", DeviceOptions(time_limit_s=2)),
        lambda where: list_devices(where, limit_s=2),
    ],
    ids=["connect", "list"],
)
def test_a_port_that_is_no_tracker(ask: Callable[[str], object], server: ServerProcess) -> None:
    with pytest.raises(DeviceError, match="is no tracker") as caught:
        ask(f"127.0.0.1:{server.port}")
    assert "dlcc device tracker" in caught.value.hint


def test_a_device_in_use_is_told_from_one_that_is_not_there(server: ServerProcess) -> None:
    with open_at(server), pytest.raises(DeviceTimeout) as caught:
        open_at(server, limit_s=1)
    assert "serves another client" in caught.value.hint


def test_killed_in_a_run(server: ServerProcess) -> None:
    artifact, x = slow("host")
    with open_at(server) as device:
        program = device.load(artifact)
        with soon(sessions(server)[0].kill), pytest.raises(DeviceError, match="lost while running"):
            program.run([x])
        with pytest.raises(DeviceError, match="lost"):
            program.run([x])
    with open_at(server) as device:
        check_layer(device)


def test_stopped_in_a_run(server: ServerProcess) -> None:
    artifact, x = slow("host")
    device = open_at(server, limit_s=2)
    program = device.load(artifact)
    (session,) = sessions(server)
    with (
        soon(session.suspend),
        pytest.raises(DeviceTimeout, match="no answer in 2 s while running") as caught,
    ):
        program.run([x])
    assert "--time-limit" in caught.value.hint
    device.close()
    session.kill()
    wait_until(lambda: not sessions(server))


def test_closing_a_stopped_device_does_not_wait(server: ServerProcess) -> None:
    artifact, x, _ = layer("host")
    device = open_at(server)
    program = device.load(artifact)
    program.run([x])
    (session,) = sessions(server)
    session.suspend()
    began_s = time.monotonic()
    device.close()
    del program, device
    assert time.monotonic() - began_s < HANG_S / 3
    session.kill()
    wait_until(lambda: not sessions(server))


def test_interrupted_in_a_run(server: ServerProcess) -> None:
    artifact, x = slow("host")
    with open_at(server) as device:
        program = device.load(artifact)
        interrupt = lambda: os.kill(os.getpid(), signal.SIGINT)  # noqa: E731
        with soon(interrupt), pytest.raises(KeyboardInterrupt):
            program.run([x])
    for session in sessions(server):
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end by itself just now
            session.kill()
    with open_at(server) as device:
        check_layer(device)


def test_a_client_that_says_nothing_keeps_no_one_out(server: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.port)), open_at(server) as device:
        check_layer(device)


def test_tracker_gives_out_and_takes_back_devices() -> None:
    tracker = start_tracker_process("127.0.0.1", 0)
    where = f"127.0.0.1:{tracker.port}"
    assert list_devices(where) == []
    server = start_server(["--tracker", where, "--key", "board"])
    wait_until(lambda: [row.free for row in list_devices(where)] == [1])
    (row,) = list_devices(where)
    assert (row.key, len(row.devices)) == ("board", 1)
    address = f"rpc://{where}/board"
    with pytest.raises(DeviceError, match="no device under the key 'phone'") as caught:
        connect(f"rpc://{where}/phone", DeviceOptions(time_limit_s=2))
    assert "board" in caught.value.hint
    with connect(address, DeviceOptions()) as device:
        check_layer(device)
        with pytest.raises(DeviceTimeout, match="are in use"):
            connect(address, DeviceOptions(time_limit_s=1))
    with pytest.raises(DeviceError, match="tracker, or serves under a key"):
        open_at(server)
    with connect(address, DeviceOptions()) as device:
        check_layer(device)
    server.stop()
    wait_until(lambda: list_devices(where) == [])
    tracker.stop()


def test_a_server_finds_its_tracker_again() -> None:
    tracker = start_tracker_process("127.0.0.1", 0)
    where = f"127.0.0.1:{tracker.port}"
    server = start_server(["--tracker", where, "--key", "board"])
    wait_until(lambda: list_devices(where))
    tracker.stop()
    tracker = start_tracker_process("127.0.0.1", tracker.port)
    wait_until(lambda: list_devices(where))
    with connect(f"rpc://{where}/board", DeviceOptions()) as device:
        check_layer(device)
    server.stop()
    tracker.stop()


def test_check_tells_facts_or_what_is_missing(server: ServerProcess) -> None:
    rows = {row.name: row for row in check(f"rpc://127.0.0.1:{server.port}", tests=False)}
    assert rows["apache-tvm"].good
    assert rows["architecture"].value == os.uname().machine
    assert {row.name for row in check("local", tests=False)} >= {"threads", "apache-tvm"}
    assert rows["can run"].value == "host"
    with pytest.raises(DeviceError):
        check("rpc://127.0.0.1:9")


SESSION = """
import json, os, psutil, sys, time
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.rpc.client import connect
from dlcc.targets.rpc.serve import start_server
if sys.argv[1] == "host":
    started = start_server()
else:
    from dlcc.targets.arm.emulator import start_emulator
    started = start_emulator()
device = connect(f"rpc://127.0.0.1:{started.port}", DeviceOptions())
print(json.dumps([child.pid for child in psutil.Process().children(recursive=True)]), flush=True)
if sys.argv[2] == "stopped":
    psutil.Process(started.pid).suspend()
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("kind", "state", "number"),
    [
        ("host", "running", signal.SIGTERM),
        ("host", "running", signal.SIGKILL),
        ("host", "stopped", signal.SIGKILL),
        pytest.param("arm", "running", signal.SIGKILL, marks=pytest.mark.device("arm")),
    ],
)
def test_no_child_outlives_its_parent(kind: str, state: str, number: int) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", SESSION, kind, state], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    children = json.loads(parent.stdout.readline())
    assert len(children) == 3  # server, its session, the relay
    parent.send_signal(number)
    parent.wait()
    wait_until(lambda: not any(psutil.pid_exists(child) for child in children))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
@pytest.mark.parametrize("function", ["serve", "start_tracker"])
def test_served_until_told_to_end(function: str, number: int) -> None:
    program = f"""
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s")
from dlcc.targets.rpc.serve import {function}
{function}("127.0.0.1", 0)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert parent.stderr is not None
    lines = iter(parent.stderr.readline, "")
    address = next(line for line in lines if "127.0.0.1:" in line).split()[-1]
    children = psutil.Process(parent.pid).children(recursive=True)
    assert children
    if function == "serve":
        with connect(address, DeviceOptions()) as device:
            check_layer(device)
    parent.send_signal(number)
    assert parent.wait(HANG_S) == 0
    assert not [child for child in children if child.is_running()]


def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DeviceError, match="cannot listen"):
            start_server(["--port", str(port)])
        with pytest.raises(DeviceError, match="cannot listen"):
            start_tracker_process("127.0.0.1", port)
