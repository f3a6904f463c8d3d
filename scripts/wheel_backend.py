"""Builds dlcc's packages: setuptools, and for a wheel the OpenCL plug-in where that is possible.

pyproject.toml names it as the build backend. A wheel is built without the plug-in where there is no
C++ compiler, or anything goes wrong; it is then built at first use. DLCC_PREBUILD=0 asks for that.
Editable installs and source archives have none.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
import tomllib
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401  (the hooks that stay as they are)
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

ROOT = Path(__file__).resolve().parent.parent
TVM = ("apache-tvm==", "apache-tvm-ffi==")
Settings = Mapping[str, Any] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """setuptools' own, and TVM, whose headers the plug-in is built against."""
    requires = list(build_meta.get_requires_for_build_wheel(config_settings))
    if not _wanted():
        return requires
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return requires + [name for name in project["dependencies"] if name.startswith(TVM)]


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """The wheel's file name; it is for this kind of machine only if it holds the plug-in."""
    with _prebuilt() as there:
        settings = dict(config_settings or {})
        if there:
            tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            options = [*settings.get("--build-option", []), "--plat-name", tag]
            settings["--build-option"] = options
        return str(build_meta.build_wheel(wheel_directory, settings, metadata_directory))


def _wanted() -> bool:
    if os.environ.get("DLCC_PREBUILD") == "0" or platform.system() != "Linux":
        return False
    with _plugin() as plugin:
        return plugin.find_compiler() is not None


@contextlib.contextmanager
def _prebuilt() -> Iterator[bool]:
    """Lays the plug-in into the tree while the wheel is packed; whether it is there."""
    if not _wanted():
        yield False
        return
    with _plugin() as plugin:
        folder = ROOT / "targets" / "opencl" / plugin.PREBUILT.name
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            plugin.build(folder, plugin.find_compiler())
            (folder / "key").write_text(plugin.key())
            built = True
        except Exception:  # noqa: BLE001  (whatever it is, it must not keep dlcc from installing)
            traceback.print_exc()
            sys.stderr.write("the wheel is built without the OpenCL plug-in\n")
            shutil.rmtree(folder, ignore_errors=True)
            built = False
        try:
            yield built
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _plugin() -> Iterator[Any]:
    """`dlcc.targets.opencl.plugin` of this tree, which no name leads to before it is installed."""
    with tempfile.TemporaryDirectory(prefix="dlcc-tree-") as place:
        (Path(place) / "dlcc").symlink_to(ROOT)
        before = {name for name in sys.modules if name.split(".")[0] == "dlcc"}
        sys.path.insert(0, place)
        try:
            from dlcc.targets.opencl import plugin

            yield plugin
        finally:
            sys.path.remove(place)
            for name in [n for n in sys.modules if n.split(".")[0] == "dlcc"]:
                if name not in before:
                    del sys.modules[name]
