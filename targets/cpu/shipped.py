"""What compiled code may call outside of itself: TVM's own C++ runtime, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from tvm import relax
from tvm.ir import BaseFunc, Call, IRModule, Op
from tvm_ffi import StructuralVisitor, structural_visit

from dlcc.targets.errors import ToolchainError

# Functions that libtvm_runtime and libtvm_runtime_extra register, by their prefixes.
SHIPPED = ("vm.builtin.", "tvm.contrib.sort.", "tvm.contrib.random.")
# Of these names, what only Python registers.
PYTHON_ONLY = ("vm.builtin.debug_print",)
_PACKED_CALLS = ("tirx.tvm_call_packed", "tirx.tvm_call_cpacked")


def require_shipped(mod: IRModule) -> IRModule:
    """The module itself, where a device without Python can run it; else raises ToolchainError.

    Some operators of Relax 0.27 become calls of Python functions (relax.run.unique,
    relax.run.nonzero and others): they would work here, and nowhere else.
    """
    for name, caller in foreign_calls(mod):
        if name in PYTHON_ONLY or not name.startswith(SHIPPED):
            raise ToolchainError(
                f"{caller} calls {name!r}, which TVM's runtime does not have on a device",
                hint="this is a gap of dlcc; `--output` cuts the graph before it",
            )
    return mod


def foreign_calls(mod: IRModule) -> Iterator[tuple[str, str]]:
    """(name of a function outside of the module, the function of the module that calls it)."""
    for var in mod.get_global_vars():
        yield from ((name, str(var.name_hint)) for name in _called(mod[var]))


def _called(func: BaseFunc) -> list[str]:
    names: list[str] = []

    def extern(func: relax.ExternFunc, _: object) -> None:
        names.append(str(func.global_symbol))

    def call(call: Call, visitor: StructuralVisitor) -> None:
        if isinstance(call.op, Op) and call.op.name in _PACKED_CALLS:
            names.append(str(call.args[0].value))
        visitor.default_visit(call)

    structural_visit(func, [(relax.ExternFunc, extern), (Call, call)])
    return names
