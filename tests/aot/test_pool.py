"""The pool of threads under `pool.c`, which launches, nests, fails, forks and waits at barriers."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dlcc.targets.aot.driver import HEADERS, HOSTED_RUNTIME, runtime_source
from dlcc.targets.cache import cache_folder

MAIN = Path(__file__).with_name("pool.c")
STRICT = ("-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
ZIG = [sys.executable, "-m", "ziglang", "cc", "-target", f"{platform.machine()}-linux-gnu"]
BUILDS = {
    "plain": (ZIG, ["-fno-sanitize=all"]),
    "threads": (ZIG, ["-fsanitize=thread", "-DNO_FORK", "-DLAUNCHES=40"]),
    "undefined": (ZIG, ["-fsanitize=undefined"]),
    # zig has no runtime for this one
    "addresses": (["gcc"], ["-fsanitize=address", "-DNO_FORK"]),
}


@pytest.mark.parametrize("build", BUILDS)
def test_pool(build: str, tmp_path: Path) -> None:
    command, flags = BUILDS[build]
    if command == ZIG and importlib.util.find_spec("ziglang") is None:
        pytest.skip("no C compiler: ziglang is not installed")
    if command != ZIG and shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]}")
    for name in (*HEADERS, *HOSTED_RUNTIME):
        (tmp_path / name).write_text(runtime_source(name))
    units = [name for name in HOSTED_RUNTIME if name.endswith(".c")]
    caches = {"ZIG_GLOBAL_CACHE_DIR": str(cache_folder() / "zig")}
    subprocess.run(
        [*command, *STRICT, *flags, "-I.", str(MAIN), *units, "-lpthread", "-o", "pool"],
        cwd=tmp_path,
        env={**os.environ, **caches, "ZIG_LOCAL_CACHE_DIR": str(tmp_path / "zig")},
        check=True,
    )
    done = subprocess.run([tmp_path / "pool"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("language", [["-std=c11"], ["-x", "c++", "-std=c++11"]])
def test_header_is_plain(language: list[str], tmp_path: Path) -> None:
    """It says all that it needs, to C and to C++, without a warning."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("no C compiler: ziglang is not installed")
    (tmp_path / "dlcc_aot.h").write_text(runtime_source("dlcc_aot.h"))
    (tmp_path / "use.c").write_text(
        '#include "dlcc_aot.h"\nint use(void) { return dlcc_init(); }\n'
    )
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", "use.c", "-o", "use.o"]
    environment = {**os.environ, "ZIG_LOCAL_CACHE_DIR": str(tmp_path / "zig")}
    environment["ZIG_GLOBAL_CACHE_DIR"] = str(cache_folder() / "zig")
    subprocess.run([*ZIG, *language, *strict], cwd=tmp_path, env=environment, check=True)
