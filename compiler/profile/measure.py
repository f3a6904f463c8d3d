"""Measures a session's model call by call."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from dlcc.compiler.profile.rows import (
    Peaks,
    Profile,
    TimeProfile,
    no_peaks,
    packet_profile,
    time_profile,
)
from dlcc.compiler.session import Session
from dlcc.targets.device import CallCost, CallTime
from dlcc.targets.peaks import Unit, peak_of
from dlcc.targets.registry import find_chip


def profile(session: Session, inputs: Mapping[str, object]) -> Profile | TimeProfile:
    """Run a session's model and tell what each kernel costs.

    Raises UsageError for a device that cannot tell that, BadFeed, DeviceError."""
    found = session.profile(inputs)
    place = session.target, session.device
    if costs := [cost for cost in found if isinstance(cost, CallCost)]:
        return packet_profile(*place, costs, _peaks(session, "packet"))
    times = [time for time in found if isinstance(time, CallTime)]
    counted = any(time.counts for time in times)
    return time_profile(*place, times, _peaks(session, "instruction" if counted else "second"))


def _peaks(session: Session, unit: Unit) -> Peaks:
    """The chip's; where time is measured elsewhere than here its clock is not known."""
    if unit == "second" and session.device.startswith("rpc://"):
        return no_peaks
    chip = find_chip(session.target.split()[-1])
    return partial(peak_of, chip, unit=unit, threads=session.threads)
