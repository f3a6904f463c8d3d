"""Program -> C: the tables of `dlcc_aot.h`, and `dlcc_run`, which calls the kernels in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import resources

from dlcc.targets.aot.dtypes import CODES
from dlcc.targets.aot.program import ALIGN_BYTES, Buffer, Call, Copy, Program, Tensor
from dlcc.targets.aot.unpacked import PREFIX
from dlcc.targets.errors import ToolchainError

PARAMETERS = "dlcc_parameters"  # symbol of the parameters, which `blob` makes an object of
# What dlcc_aot.h declares: all that a shared library exports.
API = (
    *("dlcc_init", "dlcc_run", "dlcc_set_threads", "dlcc_close"),
    *("dlcc_input_count", "dlcc_output_count", "dlcc_call_count", "dlcc_inputs", "dlcc_outputs"),
    *("dlcc_arena_bytes", "dlcc_parameter_bytes", "dlcc_kernel_names", "dlcc_counters"),
    *("dlcc_nanoseconds", "dlcc_events", "dlcc_failed_call"),
)
HEADERS = ("dlcc_aot.h", "dlcc_runtime.h")
MATH = ("parts.h", "parts.c", "exponent.c", "circle.c", "rounding.c", "special.c", "wide.c")
RUNTIME = ("scratch.c", "threads.c", "memory.c", *MATH)  # without a C library
HOSTED_RUNTIME = ("scratch.c", "pool.c")  # beside one

CHECKS = """
static void count(uint32_t number)
{
    dlcc_count(&dlcc_counters[number], &dlcc_nanoseconds[number]);
}

static int unfit(const void *memory)
{
    if (memory == NULL) {
        return DLCC_E_NULL;
    }
    return (uintptr_t)memory % DLCC_ALIGN_BYTES == 0 ? DLCC_OK : DLCC_E_ALIGN;
}

int dlcc_init(void)
{
    int error = unfit(arena);
    error = error != DLCC_OK ? error : unfit(dlcc_parameters);
    return error != DLCC_OK ? error : dlcc_start_threads();
}
"""
RUN = r"""
/* One call: its counters are read first, its temporaries get their part of the arena. */
#define RUN(NUMBER, SCRATCH, BYTES, CALL)    \
    count(NUMBER);                           \
    dlcc_scratch(arena + (SCRATCH), BYTES);  \
    if ((CALL) != 0) {                       \
        return failed(NUMBER);               \
    }

static int failed(int32_t number)
{
    dlcc_failed_call = number;
    return dlcc_scratch_exceeded() ? DLCC_E_ARENA : DLCC_E_KERNEL;
}
"""
GUARDED = """
int dlcc_run(const void *const *inputs, void *const *outputs)
{
    int error = dlcc_begin();
    if (error == DLCC_OK) {
        error = run(inputs, outputs);
        dlcc_end();
    }
    return error;
}"""


def driver(program: Program) -> dict[str, str]:
    """File name -> content: `dlcc_driver.c` and the headers it includes.

    Raises ToolchainError for an input or output of a dtype that C has no name for."""
    text = "\n".join(_driver(program)) + "\n"
    return {"dlcc_driver.c": text, **{name: runtime_source(name) for name in HEADERS}}


def runtime_source(name: str) -> str:
    """A file of `targets/aot/runtime`."""
    return resources.files("dlcc.targets.aot.runtime").joinpath(name).read_text("utf-8")


def _driver(program: Program) -> Iterator[str]:
    yield "/* Made by dlcc: calls the kernels of one model in their order. */"
    yield '#include "dlcc_runtime.h"\n'
    yield f"extern const uint8_t {PARAMETERS}[];"
    yield from _prototypes(program.calls)
    size = max(program.arena_bytes, ALIGN_BYTES)
    yield f"\nstatic uint8_t arena[{size}u] __attribute__((aligned(DLCC_ALIGN_BYTES)));\n"
    yield f"const uint32_t dlcc_arena_bytes = {program.arena_bytes}u;"
    yield f"const uint32_t dlcc_parameter_bytes = {len(program.parameters)}u;"
    yield f"const uint32_t dlcc_task_bytes = {program.task_bytes}u;"
    yield f"const uint32_t dlcc_call_count = {len(program.calls)}u;"
    yield from _tensors("input", program.inputs)
    yield from _tensors("output", program.outputs)
    yield "\nconst char *const dlcc_kernel_names[] = {"
    yield from (f"    {_quoted(call.kernel)}," for call in program.calls)
    yield "    0};"
    yield f"struct dlcc_counter dlcc_counters[{len(program.calls) + 1}];"
    yield f"uint64_t dlcc_nanoseconds[{len(program.calls) + 1}];"
    yield "const volatile uint64_t *dlcc_events = NULL;"
    yield "int32_t dlcc_failed_call = -1;"
    yield CHECKS
    if program.calls:
        yield RUN
    yield from _run(program)


def _prototypes(calls: Iterable[Call]) -> Iterator[str]:
    for kernel, count in {c.kernel: len(c.operands) for c in calls}.items():
        yield f"int32_t {PREFIX}{kernel}({', '.join(['void *'] * count) or 'void'});"


def _tensors(kind: str, tensors: Sequence[Tensor]) -> Iterator[str]:
    yield f"\nconst uint32_t dlcc_{kind}_count = {len(tensors)}u;"
    rows = []
    for number, tensor in enumerate(tensors):
        if tensor.dtype not in CODES:
            raise ToolchainError(
                f"{kind} {tensor.name}: a program in C has no elements of {tensor.dtype}",
                hint="cast it in the model, or compile for host or arm with the runtime tvm",
            )
        dims = ", ".join(f"{d}u" for d in tensor.shape) or "0"
        yield f"static const uint32_t {kind}_{number}_dims[] = {{{dims}}};"
        fields = [_quoted(tensor.name), f"DLCC_{tensor.dtype.upper()}", f"{len(tensor.shape)}u"]
        fields += [f"{kind}_{number}_dims", f"{tensor.size_bytes}u"]
        rows.append(f"    {{{', '.join(fields)}}},")
    yield f"const struct dlcc_tensor dlcc_{kind}s[] = {{"
    yield from rows or ["    {0, 0, 0, 0, 0},"]
    yield "};"


def _run(program: Program) -> Iterator[str]:
    yield "static int run(const void *const *inputs, void *const *outputs)\n{"
    yield "    int error = DLCC_OK;"
    for kind in ("input", "output"):
        yield f"    for (uint32_t i = 0; i < dlcc_{kind}_count && error == DLCC_OK; i++) {{"
        yield f"        error = unfit({kind}s[i]);"
        yield "    }"
    yield "    if (error != DLCC_OK) {\n        return error;\n    }"
    yield "    dlcc_failed_call = -1;"
    for number, call in enumerate(program.calls):
        operands = ", ".join(map(_pointer, call.operands))
        yield f"    RUN({number}, {call.scratch}u, {call.scratch_bytes}u,"
        yield f"        {PREFIX}{call.kernel}({operands}))"
    yield f"    count({len(program.calls)});"
    yield from map(_copy, program.copies)
    yield "    return DLCC_OK;\n}"
    yield GUARDED


def _copy(copy: Copy) -> str:
    return f"    memcpy(outputs[{copy.output}], {_pointer(copy.source)}, {copy.size_bytes}u);"


def _pointer(buffer: Buffer) -> str:
    return {
        "input": f"(void *)inputs[{buffer.at}]",
        "output": f"outputs[{buffer.at}]",
        "parameter": f"(void *)({PARAMETERS} + {buffer.at}u)",
        "arena": f"arena + {buffer.at}u",
    }[buffer.place]


def _quoted(text: str) -> str:
    """A C string; what is not printable ASCII as octal, which cannot run into what follows."""
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + '"'
