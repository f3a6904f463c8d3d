"""Writes compiler/frontend/op_outputs.py: what TensorFlow calls the outputs of each of its ops.

.venv/bin/python scripts/op_outputs.py         # asks the TensorFlow that is installed
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from checkout import ROOT

PATH = ROOT / "compiler" / "frontend" / "op_outputs.py"

HEAD = '''\
"""The outputs of TensorFlow's ops that have several, in their order: `scripts/op_outputs.py`.

A function's body calls a tensor `node:output:position`. An output written `name*attribute` is a
list: the attribute is the number of its tensors, or the list of their dtypes.
Source: the op definitions that TensorFlow registers.
"""

from __future__ import annotations

_TABLE = """
'''

TAIL = '''\
"""


def _rows() -> dict[str, tuple[str, ...]]:
    rows: dict[str, tuple[str, ...]] = {}
    for line in _TABLE.replace("\\n    ", " ").strip().splitlines():
        ops, _, outputs = line.partition(" -> ")
        rows |= dict.fromkeys(ops.split(), tuple(outputs.split()))
    return rows


# op -> its outputs
OUTPUTS = _rows()
'''


def outputs_of(definition: Any) -> tuple[str, ...]:
    """The outputs of an op, as the table writes them."""
    lists = [(a.name, a.number_attr or a.type_list_attr) for a in definition.output_arg]
    return tuple(f"{name}*{attr}" if attr else name for name, attr in lists)


def definitions() -> Iterator[Any]:
    """TensorFlow's ops, without those of its own (_FusedConv2D)."""
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    ops = op_def_pb2.OpList()
    ops.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return (op for op in ops.op if not op.name.startswith("_"))


def main() -> None:
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for op in sorted(definitions(), key=lambda op: str(op.name)):
        if len(op.output_arg) > 1:
            alike[outputs_of(op)].append(op.name)
    text = HEAD
    for outputs, ops in alike.items():
        row = f"{' '.join(ops)} -> {' '.join(outputs)}"
        lines = textwrap.wrap(row, 99, subsequent_indent="    ", break_on_hyphens=False)
        text += "\n".join(lines) + "\n"
    PATH.write_text(text + TAIL, "utf-8")


if __name__ == "__main__":
    main()
