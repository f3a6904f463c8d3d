"""`dlcc ops new`: files of an op that work as they are, to be changed into what is wanted."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from string import Template

from dlcc.compiler.errors import UsageError
from dlcc.targets.atomic import written_whole

# name of a template -> that of the file
FILES = {
    "ops.py.in": "{}_ops.py",
    "op.c.in": "{}.c",
    "op.cl.in": "{}.cl",
    "test.py.in": "test_{}.py",
}


def write_skeleton(op: str, folder: Path) -> list[Path]:
    """Write a converter, a shape rule, kernels in C and OpenCL C and a test of an op.

    Nothing that is there is written over. Returns the files. Raises UsageError."""
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]{0,63}", op):
        raise UsageError(
            f"{op!r} is no name of a TensorFlow op", hint="they are like MyOp: letters and digits"
        )
    name = snake_case(op)
    made = {folder / form.format(name): _filled(file, op, name) for file, form in FILES.items()}
    if there := [path for path in made if path.exists()]:
        raise UsageError(
            f"{', '.join(map(str, there))} is there already", hint="choose another folder with -o"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from error
    for path, text in made.items():
        with written_whole(path) as file:
            file.write(text.encode())
    return list(made)


def snake_case(op: str) -> str:
    """MyOp -> my_op, LSTMCell2D -> lstm_cell2d."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])", "_", op)
    return spaced.lower()


def _filled(file: str, op: str, name: str) -> str:
    text = resources.files("dlcc.compiler.user_ops.skeleton").joinpath(file).read_text("utf-8")
    return Template(text).substitute(OP=op, op=name)
