"""What TVM calls as it is imported, named in pyproject.toml as a backend of it."""

from __future__ import annotations

import ctypes
import logging

log = logging.getLogger("dlcc")


def register() -> None:
    """Give TVM its OpenCL runtime where that is built already: in servers and tuning workers too.

    Quick, and never an error: whoever imports TVM may have no use for OpenCL. Nothing is built
    here; `load_plugin` does that for those who have."""
    from dlcc.targets.errors import DlccError
    from dlcc.targets.opencl.plugin import built_library

    try:
        if path := built_library():
            ctypes.CDLL(str(path))
    except (DlccError, OSError) as error:
        log.debug("the OpenCL plug-in is not loaded: %s", error)
