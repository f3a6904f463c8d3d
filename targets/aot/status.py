"""What the error codes of a program mean."""

from __future__ import annotations

from collections.abc import Mapping

# The status of a reply: dlcc_aot.h's error codes -> what happened, what to do.
STATUS: Mapping[int, tuple[str, str]] = {
    1: ("its memory is not aligned for vectors", "compile the model again"),
    2: ("an input or output has no memory", "compile the model again"),
    3: (
        "a kernel needs more temporary memory than the arena holds",
        "compile the model again; if that does not help, report it with the model",
    ),
    4: ("a kernel gave up", "compile the model again; if that does not help, report it"),
    5: ("the inputs ended before they were whole", "run it again"),
    6: ("another run has not ended", "open another session"),
    7: (
        "its threads cannot be had",
        "--threads takes 1 to 64, and so does the variable DLCC_NUM_THREADS",
    ),
}
