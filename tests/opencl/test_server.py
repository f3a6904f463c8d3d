"""OpenCL behind RPC: the server has the plug-in, the client needs none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlcc.targets.check import check
from dlcc.targets.errors import DeviceError
from dlcc.targets.opencl.device import open_device
from dlcc.targets.registry import DeviceOptions
from dlcc.targets.rpc.serve import opencl_arguments, start_server
from tests.opencl import raw

pytestmark = pytest.mark.device("opencl")

CLIENT = """
import json, platform, sys
from pathlib import Path
import numpy as np, tvm, tvm_ffi
from tvm import rpc
from dlcc.targets.link import link
from tests.opencl import raw
assert tvm_ffi.get_global_func("device_api.opencl", allow_missing=True) is None
remote = rpc.connect("127.0.0.1", int(sys.argv[1]))
def fcompile(file, objects, **options):
    Path(file).write_bytes(link([Path(o) for o in objects], platform.machine()))
fcompile.output_format = "so"
raw.vector_module().export_library(sys.argv[2], fcompile=fcompile)
remote.upload(sys.argv[2])
main = remote.load_module("vector.so")
device = remote.cl(0)
put = lambda array: tvm.runtime.tensor(array, device)
a = np.arange(1000, dtype="float32")
c = put(np.zeros(1000, "float32"))
main["main"](put(a), put(a + 1), 0.5, c)
np.testing.assert_allclose(c.numpy(), a * (a + 1) + 0.5, rtol=1e-6)
remote.get_function("dlcc.opencl.profile_start")(0)
main["main"](put(a), put(a), 1.5, c)
rows = json.loads(remote.get_function("dlcc.opencl.profile_stop")(0))
print(*(row["name"] for row in rows), sep=",")
print(remote.get_function("dlcc.describe")())
"""


def test_a_client_without_the_plug_in_runs_models_and_profiles(tmp_path: Path) -> None:
    arguments, env = opencl_arguments("emulator")
    server = start_server(arguments, env=env)
    try:
        client = os.environ | {"TVM_DEVICE_BACKEND_AUTOLOAD": "0"}
        client["PYTHONPATH"] = os.pathsep.join([str(raw.ROOT), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-c", CLIENT, str(server.port), str(tmp_path / "vector.so")]
        for _ in range(2):  # one session after another
            done = subprocess.run(command, env=client, capture_output=True, text=True, check=False)
            rows, facts = raw.checked(done).splitlines()
            assert rows == "copy to device,copy to device,main_kernel"
            told = json.loads(facts)
            assert json.loads(told["opencl_device"])["type"] == "cpu"
            assert json.loads(told["opencl_device"])["name"] in told["opencl"]
    finally:
        server.stop()


def test_a_server_without_a_device_says_why() -> None:
    from tvm import rpc

    arguments, env = opencl_arguments("auto")
    server = start_server(arguments, env=env | {"DLCC_OPENCL_LIBRARY": "/nonexistent"})
    try:
        address = f"rpc://127.0.0.1:{server.port}"
        assert "opencl" not in check(address, tests=False)[0].value
        with pytest.raises(DeviceError, match=r"offers no OpenCL device: .*/nonexistent"):
            open_device(address, DeviceOptions())
        remote = rpc.connect("127.0.0.1", server.port)
        facts = json.loads(remote.get_function("dlcc.describe")())
        assert facts["opencl"].startswith("none: ")
        assert "opencl_device" not in facts
        assert not remote.cl(0).exist
        x = np.arange(3)
        import tvm

        np.testing.assert_array_equal(tvm.runtime.tensor(x, remote.cpu(0)).numpy(), x)
    finally:
        server.stop()


def test_a_server_with_a_bad_library_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "bad.so").write_bytes(b"no library")
    arguments, env = opencl_arguments(str(tmp_path / "bad.so"))
    with pytest.raises(DeviceError, match="cannot load the OpenCL plug-in"):
        start_server(arguments, env=env)


def test_none_is_offered_if_none_is_wanted() -> None:
    assert opencl_arguments("none") == ([], {})
