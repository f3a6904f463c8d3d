"""The developer's machine as a kind of target without knobs: its kernels are searched by traces."""

from __future__ import annotations

from dataclasses import replace

from dlcc.targets.host import KIND as HOST
from dlcc.targets.registry import no_space

KIND = replace(HOST, space=no_space)
