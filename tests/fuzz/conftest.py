"""The fuzz tests' own modules, and bounds for what they run."""

from __future__ import annotations

import faulthandler
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

MEMORY_BYTES = 8 << 30
HANG_S = 120
SLOW_HANG_S = 1200


@pytest.fixture
def bounded(request: pytest.FixtureRequest) -> Iterator[None]:
    """Memory and time are bounded: an allocation too large fails, a hang ends the process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, hard))
    slow = request.node.get_closest_marker("slow")
    faulthandler.dump_traceback_later(SLOW_HANG_S if slow else HANG_S, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
