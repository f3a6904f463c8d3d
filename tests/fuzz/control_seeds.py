"""Sound graphs with loops, conditions and lists: in TF1's frames, and as functions."""

from __future__ import annotations

from typing import Any

from maker import Maker

F = {"T": "float32"}
I = {"T": "int32"}  # noqa: E741  the dtype's letter


def frames() -> Maker:
    """A loop that writes to a TensorArray, with a condition and a loop inside."""
    m = Maker()
    x = m.input("x", 2, 3)
    m.scalar("n", "int32")
    m.const("zero", 0, "int32"), m.const("one", 1, "int32"), m.const("size", 5, "int32")
    m.node("array", "TensorArrayV3", "size", dtype="float32", dynamic_size=False,
           clear_after_read=True, identical_element_shapes=True, tensor_array_name="")  # fmt: skip
    flow = _frame(m, "outer", "n", {"i": ("zero", "int32"), "s": (x, "float32"),
                                    "flow": ("array:1", "float32")}, _outer)  # fmt: skip
    m.node("indices", "Range", "zero", "size", "one", Tidx="int32")
    m.node("rows", "TensorArrayGatherV3", "array", "indices", flow["flow"], dtype="float32")
    m.node("y", "AddV2", "rows", flow["s"], **F)
    return m


def _outer(m: Maker, v: dict[str, str], enter: Any) -> dict[str, str]:
    one, handle = enter("one", "int32"), enter("array", "resource")
    written = m.node("written", "TensorArrayWriteV3", handle, v["i"], v["s"], v["flow"], **F)
    m.node("odd", "Less", v["i"], one, **I)
    m.node("fork", "Switch", v["s"], "odd", **F)
    m.node("no", "Relu", "fork", **F), m.node("yes", "Neg", "fork:1", **F)
    m.node("join", "Merge", "no", "yes", **F)
    inner = _frame(m, "inner", v["i"], {"j": ("zero_in", "int32"), "t": ("join", "float32")},
                   _inner, lambda: m.const("zero_in", 0, "int32", after=v["i"]))  # fmt: skip
    i = m.node("i_next", "AddV2", v["i"], one, **I)
    return {"i": i, "s": inner["t"], "flow": written}


def _inner(m: Maker, v: dict[str, str], enter: Any) -> dict[str, str]:
    step = m.const("step", 1, "int32", after=v["j"])
    j = m.node("j_next", "AddV2", v["j"], step, **I)
    return {"j": j, "t": m.node("twice", "AddV2", v["t"], v["t"], **F)}


def _frame(
    m: Maker, frame: str, limit: str, variables: dict[str, tuple[str, str]], body: Any,
    before: Any = None,
) -> dict[str, str]:  # fmt: skip
    """A loop while the first variable is below the limit; the names of its results."""
    if before is not None:
        before()

    def enter(name: str, dtype: str, constant: bool = True) -> str:
        made = f"{frame}/{name.replace(':', '_')}"
        return m.node(made, "Enter", name, T=dtype, frame_name=frame, is_constant=constant,
                      parallel_iterations=10)  # fmt: skip

    for name, (start, dtype) in variables.items():
        enter(start, dtype, constant=False)
        entered = f"{frame}/{start.replace(':', '_')}"
        m.node(f"{name}/merge", "Merge", entered, f"{name}/next", T=dtype, N=2)
    first = next(iter(variables))
    m.node(f"{frame}/less", "Less", f"{first}/merge", enter(limit, "int32"), **I)
    m.node(f"{frame}/go", "LoopCond", f"{frame}/less")
    for name, (_, dtype) in variables.items():
        m.node(f"{name}/switch", "Switch", f"{name}/merge", f"{frame}/go", T=dtype)
        m.node(f"{name}/in", "Identity", f"{name}/switch:1", T=dtype)
        m.node(f"{name}/exit", "Exit", f"{name}/switch", T=dtype)
    made = body(m, {name: f"{name}/in" for name in variables}, enter)
    for name, (_, dtype) in variables.items():
        m.node(f"{name}/next", "NextIteration", made[name], T=dtype)
    return {name: f"{name}/exit" for name in variables}


def functions() -> Maker:
    """A While that sets items of a TensorList, with an If and a call inside."""
    m = Maker()
    x = m.input("x", 2, 3)
    m.scalar("n", "int32")
    m.const("zero", 0, "int32"), m.ints("element", 2, 3), m.const("size", 4, "int32")
    m.node("list", "TensorListReserve", "element", "size", element_dtype="float32",
           shape_type="int32")  # fmt: skip
    floats, ints = ("float32", "int32")
    with m.function("below", {"i": ints, "n": ints, "l": "variant", "s": floats}, {"go": "less:z"}):
        m.node("less", "Less", "i", "n", **I)
    with m.function("negated", {"a": floats}, {"r": "neg:y"}):
        m.node("neg", "Neg", "a", **F)
    with m.function("called", {"a": floats}, {"r": "call:output"}):
        m.node("call", "PartitionedCall", "a", Tin=("float32",), Tout=("float32",), f="@negated")
    state = {"i": ints, "n": ints, "l": "variant", "s": floats}
    results = {"i2": "inc:z", "n2": "n", "l2": "set:output_handle", "s2": "if:output"}
    with m.function("body", state, results):
        m.const("one", 1, "int32")
        m.node("inc", "AddV2", "i", "one:output", **I)
        m.node("set", "TensorListSetItem", "l", "i", "s", element_dtype="float32")
        m.node("odd", "Less", "i", "one:output", **I)
        m.node("if", "StatelessIf", "odd:z", "s", Tcond="bool", Tin=("float32",),
               Tout=("float32",), then_branch="@negated", else_branch="@called")  # fmt: skip
    m.node("loop", "StatelessWhile", "zero", "n", "list", x, cond="@below", body="@body",
           T=("int32", "int32", "variant", "float32"))  # fmt: skip
    m.node("rows", "TensorListStack", "loop:2", "element", element_dtype="float32", num_elements=4)
    m.node("y", "AddV2", "rows", "loop:3", **F)
    return m
