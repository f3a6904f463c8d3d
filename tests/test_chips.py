"""Chips: every row is complete, known to LLVM, and found by each of its names."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dlcc.targets.chips import Chip, chips
from dlcc.targets.errors import UnknownTarget
from dlcc.targets.registry import KINDS, find_chip, kind

ARM = kind("arm").chips()
DSPS = kind("hexagon").chips()
GPUS = [chip for chip in chips().values() if chip.gpu is not None]
ALL = [*ARM, find_chip("host"), *DSPS]


@pytest.mark.parametrize("chip", ALL, ids=lambda c: c.name)
def test_llvm_knows_the_processor(chip: Chip) -> None:
    from dlcc.targets.cpu.codegen import is_known_cpu

    assert is_known_cpu(chip.tvm["mcpu"], chip.tvm["mtriple"])
    assert not is_known_cpu("no-such-cpu", chip.tvm["mtriple"])


@pytest.mark.parametrize("chip", ALL, ids=lambda c: c.name)
def test_row_is_consistent(chip: Chip) -> None:
    assert chip.source
    assert chip.tvm["num-cores"] == chip.cores >= 1
    assert chip.vector_bits in (128, 256, 512, 1024)
    assert chip.vector_registers in (16, 32)
    assert 8 << 10 <= chip.l1_bytes < chip.l2_bytes


def test_every_name_finds_its_chip_and_no_other() -> None:
    names = [name for chip in chips().values() for name in (chip.name, *chip.short_names)]
    assert len(names) == len(set(names))
    assert not set(names) & set(KINDS)
    for chip in chips().values():
        if chip.kind not in KINDS:
            continue
        for name in (chip.name, *chip.short_names):
            assert find_chip(name) is chip


def test_a_kind_stands_for_its_first_chip() -> None:
    assert find_chip("arm").name == "cortex-a76"
    assert find_chip("hexagon").name == "hexagon-v68"
    assert find_chip("host").kind == "host"


@pytest.mark.parametrize("chip", DSPS, ids=lambda c: c.name)
def test_a_dsp_is_of_a_version_that_tvm_has(chip: Chip) -> None:
    import tvm

    mcpu = chip.tvm["mcpu"]
    tag = tvm.target.Target(f"qcom/hexagon-{mcpu.removeprefix('hexagon')}")
    assert str(tag.attrs["mcpu"]) == mcpu


@pytest.mark.parametrize("chip", GPUS, ids=lambda c: c.name)
def test_gpu_is_consistent(chip: Chip) -> None:
    from dlcc.targets.cpu.codegen import is_known_cpu
    from dlcc.targets.cpu.tiles import Cpu

    assert chip.kind == chip.tvm["kind"] == "opencl"
    assert not Cpu.of(chip).filters, "whether filtering is faster is estimated of CPUs only"
    assert chip.source
    gpu = chip.gpu
    assert gpu is not None
    assert is_known_cpu(gpu.host["mcpu"], gpu.host["mtriple"])
    assert gpu.host["num-cores"] >= 1
    for extent in (gpu.work_group, gpu.local_bytes, gpu.subgroup, chip.vector_registers):
        assert extent > 0
        assert extent & (extent - 1) == 0, "loops are split by powers of two"
    assert gpu.subgroup <= gpu.work_group
    assert chip.cores >= 1
    assert chip.vector_bits == 128


def test_the_generic_gpu_asks_for_no_more_than_any() -> None:
    generic, *rest = GPUS
    assert generic.name == "opencl-generic"
    assert generic.gpu is not None
    assert rest
    for chip in rest:
        assert chip.gpu is not None
        assert generic.gpu.work_group <= chip.gpu.work_group
        assert generic.gpu.local_bytes <= chip.gpu.local_bytes
        assert generic.vector_registers <= chip.vector_registers
        assert chip.gpu.fp16 >= generic.gpu.fp16
        assert chip.gpu.images >= generic.gpu.images


def test_unknown_name_gets_near_ones() -> None:
    with pytest.raises(UnknownTarget) as error:
        find_chip("snapdragon-866/arm")
    assert "snapdragon-865/arm" in error.value.hint


def test_unknown_key_is_refused() -> None:
    row = {field: getattr(ARM[0], field) for field in Chip.__slots__}
    with pytest.raises(TypeError, match="clock_mhz"):
        Chip(**row, clock_mhz=2400)


@pytest.mark.parametrize(
    ("machine", "features", "want"),
    [
        ("x86_64", {"avx512f": True, "avx512vl": True, "avx2": True, "fma": True}, (512, 32)),
        ("x86_64", {"avx512f": False, "avx2": True, "fma": True}, (256, 16)),
        ("x86_64", {"avx2": False}, (128, 16)),
        ("aarch64", {"neon": True}, (128, 32)),
    ],
)
def test_vector_unit(machine: str, features: dict[str, bool], want: tuple[int, int]) -> None:
    from dlcc.targets.host.detect import vector_unit

    assert vector_unit(machine, features) == want


def test_describing_an_arm_chip_loads_no_compiler() -> None:
    code = (
        "import sys; from dlcc.targets.registry import find_chip, kind; find_chip('sd865');"
        "kind('host'); assert not [m for m in sys.modules if m.split('.')[0] in ('tvm','tvm_ffi')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
