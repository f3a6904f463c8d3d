"""Gives inputs with an open batch a fixed one."""

from __future__ import annotations

from dlcc.compiler.lint.rewrite.editable import Editable

BATCH = 1


def fix_batch(graph: Editable) -> list[tuple[str, str]]:
    """Set the first dimension of each input to 1, where it alone is open.

    Before:  x = Placeholder(shape=[-1, 224, 224, 3])
    After:   x = Placeholder(shape=[1, 224, 224, 3])
    """
    done = []
    for name in graph:
        node = graph.nodes[name]
        if node.op != "Placeholder" or name not in graph.inputs or "shape" not in node.attr:
            continue
        shape = node.attr["shape"].shape
        sizes = [d.size for d in shape.dim]
        if sizes and sizes[0] < 0 and min(sizes[1:], default=1) >= 0:
            shape.dim[0].size = BATCH
            done.append((name, f"its batch is {BATCH}"))
    return done
