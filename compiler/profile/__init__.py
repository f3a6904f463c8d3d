"""What a model costs, call by call: `dlcc profile`."""

from dlcc.compiler.profile.measure import profile
from dlcc.compiler.profile.rows import (
    KernelRow,
    PlacementRow,
    Profile,
    TimeProfile,
    TimeRow,
    placements,
    rows,
    time_rows,
)

__all__ = [
    "KernelRow",
    "PlacementRow",
    "Profile",
    "TimeProfile",
    "TimeRow",
    "placements",
    "profile",
    "rows",
    "time_rows",
]
