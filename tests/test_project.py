"""The project itself: what is packaged, how large files are, and what imports what."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlcc.targets.opencl import plugin

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FOLDERS = ("compiler", "targets", "tuning")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40


def tracked(pattern: str) -> list[Path]:
    """Files of the checkout that match, without what is made by running it."""
    kept = (*FOLDERS, "scripts", "tests", "docs")
    found = [path for folder in kept for path in (ROOT / folder).rglob(pattern)]
    return sorted(path for path in found if "__pycache__" not in path.parts)


SOURCES = [path for path in tracked("*.py") if "tests" not in path.relative_to(ROOT).parts]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every absolute import of a file, and whether it stands in a function."""
    tree = ast.parse(path.read_text("utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in inside
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, id(node) in inside


def test_every_folder_with_code_or_data_is_packaged() -> None:
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    held = {path.parent for name in FOLDERS for path in (ROOT / name).rglob("*") if path.is_file()}
    folders = {path.relative_to(ROOT) for path in held if "__pycache__" not in path.parts}
    on_disk = {".".join(("dlcc", *folder.parts)) for folder in folders}
    assert on_disk == listed


def test_every_data_file_is_packaged() -> None:
    data = PROJECT["tool"]["setuptools"]["package-data"]
    matched = {
        path
        for package, patterns in data.items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    assert all(list(ROOT.joinpath(*package.split(".")[1:]).iterdir()) for package in data)
    files = {path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.is_file()}
    other = {p for p in files if p.suffix != ".py" and "__pycache__" not in p.parts}
    assert sorted(map(relative, other - matched)) == []


def test_files_are_short() -> None:
    lines = {relative(p): len(p.read_text("utf-8").splitlines()) for p in tracked("*.py")}
    long = {name: n for name, n in lines.items() if n > MAX_FILE_LINES}
    assert long == {}, f"split these: at most {MAX_FILE_LINES} lines"


def test_functions_are_short() -> None:
    long = {
        f"{relative(path)}:{node.lineno} {node.name}": lines
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert long == {}, f"split these: at most {MAX_FUNCTION_LINES} lines"


def test_one_file_imports_tensorflow_and_does_so_in_a_function() -> None:
    packaged = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in FOLDERS]
    found = {
        relative(path): lazy
        for path in packaged
        for module, lazy in imports(path)
        if module.split(".")[0] in ("tensorflow", "keras")
    }
    assert len(found) <= 1, f"TensorFlow is imported in {', '.join(found)}"
    assert all(found.values()), f"move the import into the function that needs it: {found}"


@pytest.mark.parametrize(
    "module", ["dlcc.compiler", "dlcc.compiler.errors", "dlcc.compiler.cli.main"]
)
def test_nothing_heavy_is_loaded_at_start(module: str) -> None:
    """`dlcc --help` and an error message need neither TVM nor TensorFlow."""
    program = (
        f"import sys, {module}; heavy = {{'tvm', 'tvm_ffi', 'tensorflow', 'google.protobuf'}}; "
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


@pytest.mark.parametrize("name", [path.name for path in sorted((ROOT / "scripts").iterdir())])
def test_commands_can_be_executed(name: str) -> None:
    path = ROOT / "scripts" / name
    if path.is_file() and not path.suffix:
        assert path.stat().st_mode & 0o111, f"chmod +x scripts/{name}"
        assert path.read_text().startswith("#!/usr/bin/env bash\n")


def tree(folder: Path) -> None:
    """A copy of this checkout to build from: setuptools leaves a build/ folder where it packs."""
    copy = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(copy, cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    for name in {n.decode() for n in names if n}:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which nothing but a wheel of this checkout was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    tree(folder / "tree")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    to = ["--no-deps", "--target", str(folder / "site")]
    env = os.environ | {"DLCC_PREBUILD": "0"}  # that has a test of its own
    done = subprocess.run(
        [*pip, "install", *to, str(folder / "tree")], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.mark.slow
@pytest.mark.parametrize(("compiler", "held"), [("c++", True), ("false", False)])
def test_a_wheel_brings_the_opencl_plug_in_if_it_can_be_built(
    tmp_path: Path, compiler: str, held: bool
) -> None:
    """A compiler that fails, or none, does not keep the wheel from being built."""
    tree(tmp_path / "tree")
    env = os.environ | {"DLCC_CXX": compiler}
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(tmp_path)]
    subprocess.run([*command, str(tmp_path / "tree")], env=env, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl") != held
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if "/prebuilt/" in name]
        assert bool(names) == held
        if held:
            assert sorted(Path(name).name for name in names) == ["key", "libdlcc_opencl.so"]
            stamp = archive.read("dlcc/targets/opencl/prebuilt/key").decode()
            assert stamp == plugin.key()
    assert not (tmp_path / "tree/targets/opencl/prebuilt").exists()


def test_a_wheel_installs_one_import_name(installed: Path) -> None:
    names = {path.name for path in installed.iterdir()}
    version = PROJECT["project"]["version"]
    assert names == {"dlcc", f"dlcc-{version}.dist-info", "bin"}
    assert {path.name for path in (installed / "bin").iterdir()} == {"dlcc", "compile"}


def test_a_wheel_holds_every_file(installed: Path) -> None:
    packed = {str(p.relative_to(installed / "dlcc")) for p in (installed / "dlcc").rglob("*.*")}
    held = {
        str(path.relative_to(ROOT))
        for name in FOLDERS
        for path in (ROOT / name).rglob("*.*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held <= packed
    assert (installed / f"dlcc-{PROJECT['project']['version']}.dist-info/licenses/LICENSE").exists()


DOCUMENTS = [*sorted(ROOT.glob("*.md")), *tracked("*.md")]


def anchors(text: str) -> set[str]:
    """The anchors that headings get where Markdown is shown."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_links_in_documents_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), f"{relative(document)} links to {link}"
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), f"no such heading: {link}"


def test_the_readme_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "scripts/demo" in readme
    assert "scripts/test" in readme
    assert "Relay" in readme


def test_the_changelog_has_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "## [Unreleased]" in changelog or f"## [{PROJECT['project']['version']}]" in changelog


def test_the_public_names_stay_what_they_are() -> None:
    """A module named like a function would take its place once it has been imported."""
    program = (
        "from dlcc.compiler import compile; from dlcc.compiler import open_container; "
        "from dlcc.compiler import compile as again; "
        "assert callable(compile) and compile is again and callable(open_container)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
