"""Packages of the Linux distribution, unpacked into a folder without installing them.

apt works out what a package needs and fetches it, with lists, state and cache of its own, against
an empty list of installed packages: no root rights, and the machine's own packages are neither
asked nor touched. `dpkg-deb` unpacks; no script of a package runs.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dlcc.targets.command import run_tool
from dlcc.targets.errors import ToolchainError

log = logging.getLogger("dlcc")

# uname's name of a processor -> the distribution's
APT = Path("/etc/apt")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

APT_CONF = """\
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Debug::NoLocking "true";
Dir::State "{folder}/state";
Dir::State::Lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}/log";
Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
"""


@dataclass(frozen=True, slots=True)
class Distribution:
    """The Linux distribution of this machine: `debian`/`bookworm`, `ubuntu`/`jammy` and so on."""

    name: str
    codename: str


def host_architecture() -> str:
    """This machine's architecture by the distribution's name; raises ToolchainError."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise ToolchainError(
            f"emulated devices are not offered on a {machine} machine",
            hint="use x86-64 or aarch64 Linux, or a real device: --device rpc://HOST:PORT",
        )
    return ARCHITECTURES[machine]


def release() -> Distribution | None:
    """The Debian or Ubuntu that this machine runs, or None."""
    try:
        facts = platform.freedesktop_os_release()
    except OSError:
        return None
    names = [facts.get("ID", ""), *facts.get("ID_LIKE", "").split()]
    codename = facts.get("UBUNTU_CODENAME") or facts.get("VERSION_CODENAME", "")
    name = next((n for n in ("ubuntu", "debian") if n in names), "")
    return Distribution(name, codename) if name and codename else None


def distribution() -> Distribution:
    """This machine's distribution; raises ToolchainError where it or its tools are not there."""
    found = release()
    lacks = [tool for tool in ("apt-get", "dpkg-deb") if not shutil.which(tool)]
    if found is None or lacks:
        raise ToolchainError(
            "emulated devices need packages of Debian or Ubuntu, and this machine "
            + ("is neither" if found is None else f"has no {' and no '.join(lacks)} on PATH"),
            hint="run dlcc in a Debian or Ubuntu container, or use a real device: "
            "--device rpc://HOST:PORT",
        )
    return found


def mirror(system: Distribution, architecture: str, apt: Path = APT) -> str:
    """Where packages come from: `$DLCC_APT_MIRROR_ARM64` (or `_AMD64`), `$DLCC_APT_MIRROR`, or the
    mirror that this machine uses for the release, or for its own.

    apt: folder of this machine's sources. Raises ToolchainError where none of these is known.
    """
    for variable in (f"DLCC_APT_MIRROR_{architecture.upper()}", "DLCC_APT_MIRROR"):
        if value := os.environ.get(variable):
            return value
    found = _configured_mirror(system.codename, apt)
    if not found:  # one mirror has all releases of a distribution
        found = _configured_mirror(distribution().codename, apt)
    if not found:
        raise ToolchainError(
            f"this machine's package sources name no mirror of {system.name} {system.codename}",
            hint="name one in DLCC_APT_MIRROR",
        )
    if system.name == "ubuntu" and architecture != "amd64":
        return _ports(found)
    return found


def _ports(archive: str) -> str:
    """Where Ubuntu keeps what is not for amd64: on another host beside its archive's."""
    domain = ".".join((urlsplit(archive).hostname or "").split(".")[-2:])
    return f"http://ports.{domain}/ubuntu-ports"


def _configured_mirror(codename: str, apt: Path) -> str:
    """The first mirror of the release itself in a machine's sources, in either format."""
    one_line = re.compile(rf"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+{codename}\s", re.M)
    stanza = re.compile(rf"^Suites:(?:.*\s)?{codename}(?:\s|$)", re.M)
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        text = path.read_text("utf-8", "replace") if path.is_file() else ""
        if found := one_line.search(text):
            return found[1]
        for part in text.split("\n\n"):
            uris = re.search(r"^URIs:\s*(\S+)", part, re.M)
            if uris and stanza.search(part):
                return uris[1]
    return ""


def unpack(
    packages: Sequence[str], architecture: str, root: Path, system: Distribution | None = None
) -> None:
    """Unpack packages and all that they need into the folder `root`.

    system: the release that they are of; by default this machine's. Raises ToolchainError
    when they cannot be found, fetched or unpacked.
    """
    system = system or distribution()
    hint = (
        "the distribution's mirror must be reachable; another one can be named by "
        f"DLCC_APT_MIRROR_{architecture.upper()} (now {mirror(system, architecture)})"
    )
    with tempfile.TemporaryDirectory(prefix="dlcc-apt-") as name:
        apt = _private_apt(Path(name), system, architecture)
        env = {"APT_CONFIG": apt[-1], "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        run_tool([*apt, "update"], env=env, hint=hint)
        run_tool([*apt, "install", "-y", "--download-only", *packages], env=env, hint=hint)
        archives = sorted(Path(name).glob("cache/archives/*.deb"))
        log.debug("unpacking %d packages of %s/%s", len(archives), system.codename, architecture)
        for archive in archives:
            run_tool(["dpkg-deb", "-x", str(archive), str(root)], hint="is the disk full?")
    _merge_usr(root)
    _keep_links_within(root)


def _private_apt(folder: Path, system: Distribution, architecture: str) -> list[str]:
    """The start of an apt-get command line that knows only the files in `folder`."""
    for part in ("state", "lists/partial", "cache/archives/partial", "log"):
        (folder / part).mkdir(parents=True)
    (folder / "status").write_text("")
    keyring = Path(f"/usr/share/keyrings/{system.name}-archive-keyring.gpg")
    signed = f"[signed-by={keyring}] " if keyring.is_file() else ""
    components = "main universe" if system.name == "ubuntu" else "main"
    where = mirror(system, architecture)
    # Only the release itself, not its updates: what is unpacked is then the same at any time.
    (folder / "sources.list").write_text(f"deb {signed}{where} {system.codename} {components}\n")
    config = folder / "apt.conf"
    config.write_text(APT_CONF.format(architecture=architecture, folder=folder))
    # Read twice, before the machine's own configuration (the architecture is needed early) and
    # after it, so that its proxy settings hold but none of its paths and hooks.
    return ["apt-get", "-q", "-c", str(config)]


def _merge_usr(root: Path) -> None:
    """Make /lib, /bin and /sbin links into /usr, as a running system has them: some packages are
    still packed for the days before, and paths like /lib/ld-linux-aarch64.so.1 must exist."""
    for name in ("lib", "lib64", "bin", "sbin"):
        old, new = root / name, root / "usr" / name
        if old.is_symlink():
            continue
        if old.is_dir():
            shutil.copytree(old, new, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(old)
        if new.is_dir():
            old.symlink_to(f"usr/{name}")


def _keep_links_within(root: Path) -> None:
    """Make links to absolute paths lead to what the folder has there, not to this machine's own."""
    for at, folders, files in os.walk(root):
        for link in (Path(at) / name for name in (*folders, *files)):
            if link.is_symlink() and os.path.isabs(target := os.readlink(link)):
                link.unlink()
                link.symlink_to(os.path.relpath(root / target.lstrip("/"), link.parent))
