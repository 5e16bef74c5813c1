"""The Triton kernels: run in the interpreter and on a GPU, compiled for GPUs that are not there."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bnbench.norms import kernels
from bnbench.norms.kernels import triton_kernel

KERNELS = (
    *("statistics", "merge_statistics", "normalise"),
    *("gradient_sums", "merge_gradients", "differentiate"),
)
CHECKS = Path(__file__).with_name("triton_checks.py")
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)


def run_checks(marker, interpret):
    """`triton_checks.py` in a process of its own: the variable counts when Triton is imported."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider"),
            *("-m", marker, str(CHECKS)),
        ],
        env=environment | {"TRITON_INTERPRET": str(int(interpret))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@needs_triton
@pytest.mark.slow
def test_in_the_interpreter():
    run_checks("not slow", interpret=True)


@needs_triton
@pytest.mark.slow
def test_in_the_interpreter_at_length():
    run_checks("slow", interpret=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_the_gpu():
    run_checks("slow or not slow", interpret=False)


@pytest.mark.slow
def test_importing_takes_no_triton():
    code = """
import sys
from bnbench.norms import kernels
from bnbench.norms.kernels import triton_kernel
assert "triton" not in sys.modules
sys.modules["triton"] = None  # as if it were not installed
import torch
assert not triton_kernel.supports(torch.ones(2, 2))
try:
    triton_kernel.prepare()
except kernels.UnavailableError as error:
    sys.exit(str(error) != "Triton is not installed")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@needs_triton
def test_without_a_gpu():
    with pytest.raises(kernels.UnavailableError, match="there is no GPU"):
        triton_kernel.prepare()
    assert not triton_kernel.supports(torch.ones(2, 2))


@pytest.mark.slow
@given(
    shape=st.lists(st.integers(1, 2000), min_size=2, max_size=5),
    last=st.booleans(),
    dtype=st.sampled_from(triton_kernel.DTYPES),
)
def test_every_value_is_in_one_tile(shape, last, dtype):
    x = torch.empty(shape, dtype=dtype, device="meta")
    x = x.movedim(1, -1).contiguous().movedim(-1, 1) if last else x
    part = triton_kernel._partition(x)
    blocks, splits = part.grid
    assert part.num_channels * part.num_values == x.numel()
    assert (blocks - 1) * part.cols < part.num_channels <= blocks * part.cols
    assert (splits - 1) * part.chunk < part.num_values <= splits * part.chunk
    assert part.chunk % part.rows == 0
    assert part.rows * part.cols <= triton_kernel.TILE
    assert splits == 1 or blocks * splits <= triton_kernel.PROGRAMS
    assert splits <= part.merge_constants["rows"] < 2 * splits


class Compiled:
    """Stands for a kernel in `triton_jit`: a launch compiles it for a GPU and keeps the PTX."""

    def __init__(self, kernel, capability):
        self.kernel, self.capability, self.ptx = kernel, capability, ""

    def __getitem__(self, grid):
        return self

    def __call__(self, *args, num_warps=4, **constants):
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource, compile

        names = self.kernel.arg_names
        values = dict(zip(names, args, strict=False)) | constants
        assert values.keys() == set(names)
        assert len(args) + len(constants) == len(names)
        types = {name: _type(values[name], name in constants) for name in names}
        fixed = {(i,): values[n] for i, n in enumerate(names) if types[n] == "constexpr"}
        hints = {
            (i,): [["tt.divisibility", 16]]
            for i, n in enumerate(names)
            if (i,) not in fixed and _sixteenfold(values[n])
        }
        target = GPUTarget("cuda", self.capability, 32)
        source = ASTSource(self.kernel, types, fixed, hints)
        self.ptx = compile(source, target, {"num_warps": num_warps}).asm["ptx"]


def _type(value, constant):
    """What Triton calls the type of an argument; as in a launch, None and 1 are constants."""
    if isinstance(value, torch.Tensor):
        kinds = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16"}
        return kinds[value.dtype]
    if constant or value is None or value == 1:
        return "constexpr"
    if isinstance(value, float):
        return "fp32"
    return "i32" if value < 2**31 else "i64"


def _sixteenfold(value):
    """Whether 16 divides a number or an address, which decides how wide a load can be."""
    if isinstance(value, torch.Tensor):
        return value.storage_offset() * value.element_size() % 16 == 0
    return isinstance(value, int) and value % 16 == 0


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """compiled(x, weight, bias, relu, capability): the PTX of each kernel, by name."""
    knobs = pytest.importorskip("triton").knobs
    from bnbench.norms.kernels import triton_jit

    monkeypatch.setattr(knobs.cache, "dir", str(tmp_path))

    def compile_all(x, weight, bias, relu=True, capability=90):
        stands = {name: Compiled(getattr(triton_jit, name), capability) for name in KERNELS}
        monkeypatch.setattr(kernels, "triton_jit", SimpleNamespace(**stands))
        y, *statistics = triton_kernel.forward(x, weight, bias, 1e-5, relu)
        triton_kernel.backward(y, x, weight, bias, *statistics, 1e-5, relu)
        return {name: stand.ptx for name, stand in stands.items()}

    return compile_all


def meta(*shape, dtype=torch.float32, last=False):
    x = torch.empty(shape, dtype=dtype, device="meta")
    return x.movedim(1, -1).contiguous().movedim(-1, 1) if last else x


@pytest.mark.slow
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_compiled_kernels_read_16_bytes_at_once_and_use_no_atomics(compiled, last, dtype):
    x = meta(64, 64, 28, 28, dtype=dtype, last=last)
    ptx = compiled(x, meta(64), meta(64))
    for name, code in ptx.items():
        # an atomic addition would make the order of a sum, and so its bits, a matter of chance
        assert not re.search(r"\b(atom|red)\.", code), name
        assert not re.search(r"\b(sqrt|rsqrt|rcp)\.approx", code), name
    # (x, dy) in, (y, dx) out
    for name, loads, stores in [
        *(("statistics", 1, 0), ("normalise", 1, 1)),
        *(("gradient_sums", 2, 0), ("differentiate", 2, 1)),
    ]:
        per_tensor = triton_kernel.PER_WARP // 32 * x.element_size() // 16
        wide_loads = len(re.findall(r"ld\.global\.v4\.b32", ptx[name]))
        wide_stores = len(re.findall(r"st\.global\.v4\.b32", ptx[name]))
        assert wide_loads >= loads * per_tensor, name
        assert wide_stores == stores * per_tensor, name


@pytest.mark.slow
@pytest.mark.parametrize("dtype", triton_kernel.DTYPES, ids=str)
@pytest.mark.parametrize(("capability", "wide"), [(80, False), (90, True)])
def test_every_kind_of_input_compiles(compiled, monkeypatch, dtype, capability, wide):
    if wide:
        monkeypatch.setattr(triton_kernel, "WIDE", 0)
    for shape, last in [((64, 100), False), ((9, 1), True), ((2, 3, 7, 7), False)]:
        vector = meta(shape[1], dtype=dtype)
        assert all(
            compiled(meta(*shape, dtype=dtype, last=last), vector, None, True, capability).values()
        )
    huge = meta(2**11, 2**8, 2**12, dtype=dtype)
    assert all(compiled(huge, None, meta(2**8), relu=False, capability=capability).values())
