"""The work of scripts/sanitize_opencl: build the plug-in with a sanitizer, stress it on PoCL."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from checkout import PYTHON, ROOT, environment

# Only our code is instrumented. What the sanitizers cannot know of the rest:
#   detect_leaks: Python and TVM keep memory to the end on purpose.
#   detect_odr_violation: TVM and PoCL each bring an LLVM.
#   use_sigaltstack: LLVM sets up signal stacks of its own for its threads.
#   ignore_noninstrumented_modules: locks inside PoCL and TVM are not seen, so that all they guard
#   would look like races.
SANITIZERS = {
    "address": (
        ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"),
        "libasan.so",
        {
            "ASAN_OPTIONS": "detect_leaks=0:detect_odr_violation=0:verify_asan_link_order=0:"
            "use_sigaltstack=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        },
    ),
    "thread": (
        ("-fsanitize=thread",),
        "libtsan.so",
        {"TSAN_OPTIONS": "ignore_noninstrumented_modules=1:halt_on_error=0:exitcode=66"},
    ),
}


def sanitize(name: str) -> bool:
    """Whether the stress ran without a report."""
    from dlcc.targets.opencl.plugin import NAME, build, find_compiler
    from dlcc.targets.opencl.pocl import pocl_environment

    flags, runtime, options = SANITIZERS[name]
    compiler = find_compiler()
    if compiler is None:
        raise SystemExit("no C++ compiler on PATH")
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dlcc-sanitize-") as folder:
        build(Path(folder), compiler, ["-O1", "-g", "-fno-omit-frame-pointer", *flags])
        # The C++ library too: a sanitizer looks for what throws exceptions as the process starts.
        preload = ":".join(_file_of(compiler.command, name) for name in (runtime, "libstdc++.so.6"))
        env = environment() | pocl_environment() | options
        env |= {"LD_PRELOAD": preload, "DLCC_OPENCL_CACHE": f"{folder}/programs"}
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        stress = str(ROOT / "tests" / "opencl" / "stress.py")
        command = [str(PYTHON), stress, f"{folder}/{NAME}"]
        status = subprocess.run(command, env=env, check=False).returncode
    verdict = "no report" if status == 0 else f"failed with status {status}"
    print(f"{name:8} {verdict}, {time.monotonic() - began_s:.0f} s")
    return status == 0


def _file_of(compiler: Sequence[str], name: str) -> str:
    command = [*compiler, f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main(names: Sequence[str]) -> int:
    unknown = [name for name in names if name not in SANITIZERS]
    if unknown:
        raise SystemExit(f"no sanitizer {unknown[0]!r}; there are: {', '.join(SANITIZERS)}")
    passed = [sanitize(name) for name in names or SANITIZERS]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
