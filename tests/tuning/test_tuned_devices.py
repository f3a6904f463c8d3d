"""Tuning on devices behind RPC: several at once, lost ones, emulated ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dlcc.compiler.cli.sessions import addresses_of
from dlcc.targets.errors import DeviceError
from dlcc.targets.registry import DeviceOptions, find_chip
from dlcc.targets.rpc.process import ServerProcess
from dlcc.targets.rpc.serve import start_server, start_tracker_process
from dlcc.tuning.database import RECORDS, read
from dlcc.tuning.session import tune
from tests.networks.small import softmax_model
from tests.tuning.nets import Heard, one_product, request, trials_in

LIMIT_S = 10.0


@pytest.fixture
def tracker() -> Iterator[ServerProcess]:
    server = start_tracker_process("127.0.0.1", 0)
    yield server
    server.stop()


def device_of(tracker: ServerProcess) -> ServerProcess:
    where = f"127.0.0.1:{tracker.port}"
    return start_server(["--host", "127.0.0.1", "--port", "0", "--tracker", where, "--key", "here"])


def asked(database: Path, address: str, trials: int):
    made = request(database, one_product(), trials=trials)
    options = DeviceOptions(threads=1, time_limit_s=LIMIT_S)
    return replace(made, addresses=addresses_of(address, LIMIT_S), options=options)


def test_two_devices_at_once(tracker: ServerProcess, tmp_path: Path) -> None:
    devices = [device_of(tracker) for _ in range(2)]
    try:
        made = asked(tmp_path, f"rpc://127.0.0.1:{tracker.port}/here", 9)
        assert len(made.addresses) == 2
        outcome = tune(made, Heard())
    finally:
        for device in devices:
            device.stop()
    records = trials_in(tmp_path)
    assert outcome.trials == len(records) == 9
    assert {r.device for r in records} == {"rpc"}
    assert all(r.verified for r in records)
    assert sum(row.trials for row in outcome.devices) == 8
    assert all(row.trials for row in outcome.devices)


def test_a_device_that_is_lost_and_comes_back(tracker: ServerProcess, tmp_path: Path) -> None:
    """Killed in the middle, started again later: no trial fails for it, none is there twice."""
    devices = [device_of(tracker)]
    heard = Heard()

    def trouble() -> None:
        while not (tmp_path / RECORDS).exists() or len(list(read(tmp_path))) < 5:
            time.sleep(0.05)
        devices[0].stop()
        time.sleep(2.0)
        devices.append(device_of(tracker))

    thread = threading.Thread(target=trouble)
    thread.start()
    try:
        outcome = tune(asked(tmp_path, f"rpc://127.0.0.1:{tracker.port}/here", 12), heard)
    finally:
        thread.join()
        for device in devices:
            device.stop()
    assert outcome.trials == len(trials_in(tmp_path)) == 12
    assert outcome.failed == 0
    assert any("is set aside" in line for line in heard.said_all)
    assert any("is back" in line for line in heard.said_all)
    (row,) = outcome.devices
    assert (row.trials, row.failed) == (11, 0)
    assert row.set_aside >= 1
    assert row.why


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="without tuning"):
        tune(asked(tmp_path, "rpc://127.0.0.1:1", 5), Heard())


@pytest.mark.device("opencl")
def test_kernels_of_a_gpu_are_searched_by_traces(tmp_path: Path) -> None:
    """A softmax has no knobs there. Of the trials at least one is right."""
    made = request(tmp_path, softmax_model(32, 64), trials=3, kind="dlcc.targets.opencl")
    outcome = tune(replace(made, chip=find_chip("opencl"), addresses=["emulator"]), Heard())
    records = trials_in(tmp_path)
    assert (outcome.trials, outcome.reward) == (3, "seconds")
    assert [r.default for r in records] == [True, False, False]
    assert {r.search for r in records[1:]} == {"metaschedule"}
    assert any(r.verified for r in records[1:])


@pytest.mark.device("arm")
def test_an_emulated_device_counts(arm_address: str, tmp_path: Path) -> None:
    made = replace(asked(tmp_path, arm_address, 6), kind="dlcc.targets.arm", chip=find_chip("arm"))
    outcome = tune(made, Heard())
    assert outcome.reward == "instructions"
    records = trials_in(tmp_path)
    assert len(records) == 6
    assert {(r.kind, r.reward) for r in records} == {("arm", "instructions")}
    best = min(r.cost for r in records)
    final = next(r for r in read(tmp_path) if r.final)
    assert final.cost == pytest.approx(best, rel=1e-2)  # calls around so small a kernel vary
