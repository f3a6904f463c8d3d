"""Versions of what a container is made with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

ABSENT = "not installed"


def package_version(name: str) -> str:
    """Version of an installed package, or "not installed"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ABSENT


def tool_versions() -> dict[str, str]:
    """dlcc, TVM and LLVM, for a manifest. Loads TVM, which knows its LLVM."""
    return {
        "dlcc": package_version("dlcc"),
        "tvm": package_version("apache-tvm"),
        "llvm": llvm_version(),
    }


def llvm_version() -> str:
    """Major version of the LLVM within TVM, such as "22". Loads TVM."""
    import tvm

    return str(tvm.target.codegen.llvm_version_major())
