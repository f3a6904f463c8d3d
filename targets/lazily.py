"""Functions of modules that are imported when they are first called."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def function_of(module: str, name: str) -> Callable[..., Any]:
    """The function of that name: a kind of target is described without loading a compiler."""

    def call(*arguments: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*arguments)

    return call
