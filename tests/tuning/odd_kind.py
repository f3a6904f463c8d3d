"""The developer's machine as a kind of target whose rules have knobs that go wrong.

`odd` is one of: `wrong`, another result; `subtle`, another result, but not on the network's own
inputs; `crash`, `hang` and `refused`, which the build does. All other knobs are the host's."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import numpy as np

from dlcc.targets.chips import Chip
from dlcc.targets.host import KIND as HOST
from dlcc.targets.tuned import UNTUNED, Knobs, Tuned

ODD = ("wrong", "crash", "hang", "refused", "subtle")


def space(workload: str, chip: Chip) -> list[Knobs]:
    host = list(HOST.space(workload, chip))
    return [host[0], *({"odd": odd} for odd in ODD), *host[1:4]]


def build(mod, chip: Chip, tuned: Tuned = UNTUNED):
    odd = {str(knobs["odd"]) for knobs in tuned.by_workload.values() if "odd" in knobs}
    if "crash" in odd:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in odd:
        time.sleep(3600)
    if "refused" in odd:
        raise ValueError("this schedule cannot be")
    plain = {w: k for w, k in tuned.by_workload.items() if "odd" not in k}
    made = HOST.build(mod, chip, Tuned(plain))
    alone = str(mod["main"].params[0].name).startswith("x0")
    if "wrong" in odd or ("subtle" in odd and alone):
        return replace(made, weights=[np.asarray(w) + np.float32(0.5) for w in made.weights])
    return made


KIND = replace(HOST, build=build, space=space)
