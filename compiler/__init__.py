"""dlcc: TensorFlow models compiled for the engines of a phone.

    from dlcc.compiler import compile, open_container

    c = compile("model.pb", target="host")
    with c.session() as s:
        y = s.run({"input": x})

Names are loaded when first used: importing this package loads neither TVM nor TensorFlow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlcc.compiler.container.container import Container, open_container
    from dlcc.compiler.driver import compile
    from dlcc.compiler.errors import DlccError

__all__ = ["Container", "DlccError", "compile", "open_container"]

_HOMES = {
    "Container": "dlcc.compiler.container.container",
    "DlccError": "dlcc.compiler.errors",
    "compile": "dlcc.compiler.driver",
    "open_container": "dlcc.compiler.container.container",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
