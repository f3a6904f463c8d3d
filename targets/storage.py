"""What a program for TVM's virtual machine allocates, and what of it is alive at each call.

The build writes it into the artifact as `memory.json`: the machine code itself does not tell it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tvm import relax, tirx
from tvm.ir import GlobalVar, IRModule, Op

MEMORY = "memory.json"
ALLOCATE, TENSOR, KILL = "relax.vm.alloc_storage", "relax.vm.alloc_tensor", "relax.vm.kill_object"


@dataclass(slots=True)
class _Walk:
    """Storages by the variable that holds them: bytes, and how many variables keep each alive.

    open: storages whose size is known only when it runs."""

    sizes: dict[Any, int] = field(default_factory=dict)
    holders: dict[Any, int] = field(default_factory=dict)
    held: dict[Any, Any] = field(default_factory=dict)  # variable -> storage
    live: int = 0
    peak: int = 0
    open: int = 0
    calls: list[dict[str, object]] = field(default_factory=list)

    def allocate(self, var: Any, call: relax.Call) -> None:
        shape = call.args[0]  # one extent, in bytes; a variable where it is computed
        known = isinstance(shape, relax.ShapeExpr) and isinstance(shape.values[0], tirx.IntImm)
        self.open += not known
        size = int(shape.values[0]) if known else 0
        self.sizes[var], self.holders[var], self.held[var] = size, 1, var
        self.live += size
        self.peak = max(self.peak, self.live)

    def hold(self, var: Any, storage: Any) -> None:
        if storage in self.held:
            self.held[var] = self.held[storage]
            self.holders[self.held[var]] += 1

    def kill(self, var: Any) -> None:
        storage = self.held.pop(var, None)
        if storage is None:
            return
        self.holders[storage] -= 1
        if not self.holders[storage]:
            self.live -= self.sizes[storage]


def memory_table(mod: IRModule) -> bytes:
    """The file of a module that was lowered to instructions of the virtual machine.

    planned_bytes: of all storages, each of which tensors share one after another.
    peak_bytes: of those alive at once.   open: how many sizes are not known.
    kernels: in the order of their calls.
    Results are among them; what branches, loops and kernels allocate is not."""
    walk = _Walk()
    for block in mod["main"].body.blocks:
        for binding in block.bindings:
            _read(walk, binding.var, binding.value)
    told = {
        "planned_bytes": sum(walk.sizes.values()),
        "peak_bytes": walk.peak,
        "open": walk.open,
        "kernels": walk.calls,
    }
    return json.dumps(told, indent=1, ensure_ascii=False).encode() + b"\n"


def _read(walk: _Walk, var: Any, value: Any) -> None:
    if not isinstance(value, relax.Call):
        if value in walk.held:
            walk.hold(var, value)
        return
    name = str(value.op.name) if isinstance(value.op, Op) else ""
    if name == ALLOCATE:
        walk.allocate(var, value)
    elif name == TENSOR:
        walk.hold(var, value.args[0])
    elif name == KILL:
        walk.kill(value.args[0])
    elif isinstance(value.op, GlobalVar):
        walk.calls.append({"name": str(value.op.name_hint), "live_bytes": walk.live})
