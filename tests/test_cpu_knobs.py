"""Knobs of the CPU's rules: every choice computes the same, and foreign ones are refused."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import relax
from tvm.relax.op import nn

from dlcc.targets.cpu.build import build, scheduled
from dlcc.targets.cpu.plan import DEPTHWISE_PAD, ORDER
from dlcc.targets.cpu.space import space
from dlcc.targets.errors import UsageError
from dlcc.targets.kernels import kernels_in
from dlcc.targets.local import LocalDevice
from dlcc.targets.registry import DeviceOptions, find_chip
from dlcc.targets.tuned import Tuned
from dlcc.targets.workload import Conv2d, Matmul, parse
from tests.test_cpu_kernels import CONVS, HOST, Conv, conv_reference, module, random

R = relax.op
TRIED = 3  # choices of each workload, from all over its space


def convolution(c: Conv, w: np.ndarray):
    return lambda x: nn.relu(
        nn.conv2d(
            x, relax.const(w), c.stride, c.pad, c.dilation, c.groups,
            data_layout="NHWC", kernel_layout="HWIO",
        )
    )  # fmt: skip


def one_workload(artifact) -> str:
    (found,) = {k.workload for k in kernels_in(artifact).values() if k.workload}
    return found


def run(artifact, x: np.ndarray) -> np.ndarray:
    with LocalDevice(DeviceOptions()) as device:
        return device.load(artifact).run([x])[0]


SUMMED = next(c for c in CONVS if c.rule == "conv2d")
TUNABLE = [c for c in CONVS if c.constant and c.rule != "stages" and c.x[3] < 512]


@pytest.mark.parametrize("c", TUNABLE, ids=str)
def test_every_choice_computes_the_convolution(c: Conv) -> None:
    x, w = random(*c.x), random(*c.w, seed=1) / 9
    mod = module(convolution(c, w), c.x)
    workload = one_workload(build(mod, HOST))
    choices = space(workload, HOST)
    assert choices[0] == {}
    assert len(choices) > 1
    step = max(1, len(choices) // TRIED)
    for knobs in choices[1::step]:
        made = build(mod, HOST, Tuned({workload: knobs}))
        assert [k.knobs for k in kernels_in(made).values() if k.workload] == [knobs]
        want = np.maximum(conv_reference(x, w, c), 0)
        np.testing.assert_allclose(run(made, x), want, rtol=1e-4, atol=1e-4, err_msg=f"{knobs}")


@pytest.mark.parametrize(("a", "b"), [((5, 33), (33, 17)), ((100, 70), (70, 64))])
def test_every_choice_computes_the_product(a, b) -> None:
    x, w = random(*a), random(*b, seed=1)
    mod = module(lambda x: R.matmul(x, relax.const(w)), a)
    workload = one_workload(build(mod, HOST))
    assert workload == f"matmul m{a[0]} k{a[1]} n{b[1]} float32 packed"
    for knobs in space(workload, HOST)[1::7]:
        made = build(mod, HOST, Tuned({workload: knobs}))
        np.testing.assert_allclose(run(made, x), x @ w, rtol=1e-4, atol=1e-4, err_msg=f"{knobs}")


def test_a_choice_makes_another_kernel() -> None:
    c = SUMMED
    mod = module(convolution(c, random(*c.w)), c.x)
    default = build(mod, HOST)
    tuned = build(mod, HOST, Tuned({one_workload(default): {"tile": f"3x{8 * 8}", "rows": 2}}))
    assert tuned.files["module.so"] != default.files["module.so"]


@pytest.mark.parametrize(("channels", "order"), [(32, "pixels"), (24, "panels")])
def test_depthwise_reads_in_order_where_pixels_share_lines_of_the_cache(channels, order) -> None:
    c = Conv((1, 9, 9, channels), (3, 3, 1, channels), pad=(1, 1, 1, 1), groups=channels)
    mod = module(convolution(c, random(*c.w)), c.x)
    default = build(mod, HOST)
    code = {
        way: build(mod, HOST, Tuned({one_workload(default): {"order": way}})).files["module.so"]
        for way in ORDER
    }
    assert code[order] == default.files["module.so"]
    assert len(set(code.values())) == len(ORDER)


@pytest.mark.parametrize("pad", DEPTHWISE_PAD)
def test_a_depthwise_convolution_is_padded_where_the_choice_says(pad: str) -> None:
    c = Conv((1, 9, 9, 32), (3, 3, 1, 32), pad=(1, 1, 1, 1), groups=32)
    mod = module(convolution(c, random(*c.w)), c.x)
    for chip in (HOST, find_chip("cortex-a76")):  # one inlines it by default, the other does not
        workload = one_workload(build(mod, chip))
        text = scheduled(mod, chip, Tuned({workload: {"pad": pad}}))
        assert ("pad[" not in text) == (pad == "inline")


@pytest.mark.parametrize(
    "knobs",
    [{"tile": "0x16"}, {"tile": "4x7"}, {"tile": 3}, {"tile": "99x9999"}, {"order": "diagonal"},
     {"rows": 5}, {"rows": "2"}, {"pad": "never"}],
)  # fmt: skip
def test_a_foreign_choice_is_refused(knobs) -> None:
    c = SUMMED
    mod = module(convolution(c, random(*c.w)), c.x)
    workload = one_workload(build(mod, HOST))
    with pytest.raises(UsageError, match="a tuning record sets"):
        build(mod, HOST, Tuned({workload: knobs}))


def test_workloads_render_and_parse() -> None:
    conv = Conv2d(1, 56, 56, 64, 128, (3, 3), (2, 1), (0, 1, 0, 1), (1, 2), 1, "float32", "packed")
    assert str(conv) == "conv2d n1 h56 w56 c64 oc128 k3x3 s2x1 p0x1x0x1 d1x2 g1 float32 packed"
    for work in (conv, Matmul(1, 64, 1000, "float32", "plain")):
        assert parse(str(work)) == work


@pytest.mark.parametrize(
    "text",
    ["", "conv2d", "matmul m1 k2 n3 float32", "matmul m1 k2 nx float32 packed",
     "pool n1 h2", "matmul m01 k2 n3 float32 packed", "matmul m1 k2 n3 float32 packed" + " " * 400],
)  # fmt: skip
def test_text_that_is_no_workload_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no workload"):
        parse(text)
