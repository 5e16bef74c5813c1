"""Kernels beside float64 formulas, and what happens where there is none; the fused ReLU; vmap."""

import copy
import hashlib
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, stack_module_state, vmap

from bnbench import norms
from bnbench.norms import kernels
from bnbench.norms.functional import batch_norm
from bnbench.norms.kernels import cpp

needs_cpp = pytest.mark.needs_cpp
CPP = pytest.param("cpp", marks=needs_cpp)
BACKENDS = ("reference", CPP, "native")
FORMATS = [torch.contiguous_format, torch.channels_last]
EPS = 1e-5


def draws(shape, memory_format=torch.contiguous_format, mean=3.0, seed=0):
    """x with untrivial statistics, dy, gamma, beta, all float32."""
    generator = torch.Generator().manual_seed(seed)
    x, dy = (torch.randn(shape, generator=generator) for _ in range(2))
    weight, bias = (torch.randn(shape[1], generator=generator) for _ in range(2))
    x = (mean + 2 * x).to(memory_format=memory_format)
    return x, dy.to(memory_format=memory_format), weight, bias


def passes(backend, x, dy, weight, bias, relu=False, dtype=torch.float32):
    """y, dx, dgamma, dbeta, running_mean, running_var and y in evaluation."""
    x, dy, weight, bias = (t if t is None else t.to(dtype) for t in (x, dy, weight, bias))
    leaves = [t.clone().requires_grad_() for t in (x, weight, bias) if t is not None]
    given = [leaves[0], *(leaves[1:] or (None, None))]
    running = torch.zeros(x.shape[1], dtype=dtype), torch.ones(x.shape[1], dtype=dtype)
    options = {"eps": EPS, "relu": relu, "backend": backend}
    y = batch_norm(given[0], *running, *given[1:], training=True, **options)
    gradients = torch.autograd.grad(y, leaves, dy)
    evaluated = batch_norm(x, *running, weight, bias, **options)
    return [y.detach(), *gradients, *running, evaluated]


def errors(backend, *tensors, relu=False):
    """Greatest errors against float64 of y, dx, dgamma, dbeta: shares of the greatest value.

    With two samples dx all but cancels: there it is a share of what it is the difference of.
    """
    exact = passes("reference", *tensors, relu=relu, dtype=torch.float64)
    found = passes(backend, *tensors, relu=relu)
    x, dy, weight, _ = tensors
    dims = [d for d in range(x.dim()) if d != 1]
    scale = (1 if weight is None else weight.abs()) / (
        x.double().var(dims, correction=0) + EPS
    ).sqrt()
    sizes = [b.abs().max() for b in exact]
    sizes[1] = torch.maximum(sizes[1], dy.abs().max() * scale.max())
    return [
        float((a - b).abs().max() / size) for a, b, size in zip(found, exact, sizes, strict=True)
    ]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("backend", ["reference", CPP])
def test_equals_the_formulas_in_float64(any_input, backend, affine):
    _, dy, weight, bias = draws(any_input.shape)
    vectors = (weight, bias) if affine else (None, None)
    dy = torch.empty_like(any_input).copy_(dy)
    assert max(errors(backend, any_input, dy, *vectors)) < 5e-7  # eight half ulps


def shapes():
    """Shapes around the sizes at which the kernel cuts: chunks, blocks, registers."""
    sizes = st.sampled_from([1, 2, 3, 15, 16, 17, 63, 64, 65, 130])
    small = st.tuples(st.integers(2, 9), sizes, st.integers(1, 9), st.integers(1, 9))
    planes = st.tuples(st.just(2), st.integers(1, 3), st.integers(60, 70), st.integers(60, 70))
    return small | planes


@needs_cpp
@settings(deadline=None, max_examples=60)
@given(shape=shapes(), memory_format=st.sampled_from(FORMATS), relu=st.booleans())
def test_cpp_takes_every_shape(shape, memory_format, relu):
    tensors = draws(shape, memory_format)
    if relu:  # a value that is 0 but for rounding may count or not: keep away from it
        exact = passes("reference", *tensors, dtype=torch.float64)[0]
        tensors[0][exact.abs() < 1e-4] += 0.01
    found = passes("cpp", *tensors, relu=relu)
    expected = passes("reference", *tensors, relu=relu, dtype=torch.float64)
    x, dy, *_ = tensors
    dims = [0, 2, 3]
    # half a rounding of what dgamma and dbeta add up, whose sum may all but cancel
    added = (dy * (x - x.mean(dims, keepdim=True))).abs().sum(dims).max() + dy.abs().sum(dims).max()
    for place, (a, b) in enumerate(zip(found, expected, strict=True)):
        tolerance = 2e-5 + (1e-7 * float(added) if place in (2, 3) else 0)
        torch.testing.assert_close(a.double(), b, rtol=2e-5, atol=tolerance)


@needs_cpp
def test_cpp_takes_tensors_that_bypass_the_cache():
    for memory_format in FORMATS:
        assert max(errors("cpp", *draws((32, 40, 41, 41), memory_format))) < 1e-6


@pytest.mark.parametrize("shape", [(64, 32, 14, 14), (16, 3, 56, 56), (32, 8, 28, 28)])
@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("backend", ["reference", CPP])
def test_a_mean_of_ten_thousand_costs_no_digits(backend, memory_format, shape):
    """MUST: y within 1e-6; dgamma and dx ten times closer than torch's, unless that is exact too.

    In contiguous tensors torch's dx is a mere few roundings off; ten times less there is not.
    """
    x, dy, weight, bias = draws(shape, memory_format)
    x = (1e4 + torch.randn(x.shape)).to(memory_format=memory_format)
    y, dx, dgamma, *_ = errors(backend, x, dy, weight, bias)
    _, native_dx, native_dgamma, *_ = errors("native", x, dy, weight, bias)
    assert y < 1e-6
    assert dx < max(native_dx / 10, 5e-7)
    assert dgamma < native_dgamma / 10


@needs_cpp
def test_cpp_sums_equal_values_exactly_enough():
    """Rounding is of one sign where a channel has few values: it must not add up over rows."""
    x = 0.3 * torch.randn(64, 8, 28, 28).sign().to(memory_format=torch.channels_last)
    _, dy, weight, bias = draws(x.shape, torch.channels_last)
    assert max(errors("cpp", x, dy, weight, bias)[:4]) < 1e-6


@needs_cpp
@pytest.mark.parametrize("memory_format", FORMATS)
def test_cpp_bears_a_first_sample_far_from_all_others(memory_format):
    """The shift comes from that sample; the statistics of a chunk are then taken once more."""
    x, *rest = draws((16, 5, 6, 7), memory_format)
    x[0] += 300
    assert max(errors("cpp", x, *rest)) < 2e-6


@needs_cpp
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("memory_format", FORMATS)
def test_cpp_spoils_the_channels_that_torch_spoils(value, memory_format):
    x, dy, weight, bias = draws((4, 20, 3, 3), memory_format)
    x[1, 2, 1, 1] = value
    for relu in (False, True):
        ours, theirs = (passes(b, x, dy, weight, bias, relu)[0] for b in ("cpp", "native"))
        assert torch.equal(ours.isfinite(), theirs.isfinite())


@needs_cpp
@pytest.mark.parametrize("memory_format", FORMATS)
def test_threads_change_no_bit_of_cpp(memory_format):
    tensors = draws((32, 40, 15, 15), memory_format)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(passes("cpp", *tensors))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert all(map(torch.equal, result, results[0]))


@needs_cpp
@pytest.mark.parametrize("relu", [False, True])
def test_second_derivatives_are_those_of_the_formulas(relu):
    x, dy, weight, bias = draws((4, 3, 2, 2))

    def second(backend, dtype):
        leaves = [t.to(dtype).requires_grad_() for t in (x, weight, bias)]
        y = batch_norm(
            leaves[0], None, None, *leaves[1:], training=True, relu=relu, backend=backend
        )
        (dx,) = torch.autograd.grad(y, leaves[0], dy.to(dtype), create_graph=True)
        return torch.autograd.grad(dx.square().sum(), leaves[:2])

    for a, b in zip(second("cpp", torch.float32), second("reference", torch.float64), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rank", [2, 3, 4, 5])
def test_the_fused_layer_is_the_layer_and_a_relu(backend, rank):
    """To the bit: the same operations on the same numbers."""
    name = {2: "1d", 3: "1d", 4: "2d", 5: "3d"}[rank]
    fused, plain = (
        getattr(norms, kind + name)(5, backend=backend) for kind in ("BatchNormReLU", "BatchNorm")
    )
    plain = nn.Sequential(plain, nn.ReLU())
    x, dy, *_ = draws((6, 5, 4, 3, 2)[:rank])
    for mode in (True, True, False):
        results = []
        for layer in (fused.train(mode), plain.train(mode)):
            leaf = x.clone().requires_grad_()
            y = layer(leaf)
            results.append([y, *torch.autograd.grad(y, [leaf, *layer.parameters()], dy)])
        assert all(map(torch.equal, *results))
    assert all(map(torch.equal, fused.state_dict().values(), plain.state_dict().values()))


@pytest.mark.parametrize("backend", ["reference", CPP])
def test_the_fused_relu_blocks_an_infinite_gradient_and_passes_one_where_y_is_a_nan(backend):
    x, dy, weight, bias = draws((6, 3, 4))
    x[0, 1] = torch.nan
    dy[batch_norm(x, None, None, weight, bias, training=True) < 0] = torch.inf
    assert dy.isinf().any()
    results = []
    for fused in (True, False):
        leaves = [t.clone().requires_grad_() for t in (x, weight, bias)]
        options = {"training": True, "relu": fused, "backend": backend}
        y = batch_norm(leaves[0], None, None, *leaves[1:], **options)
        results.append(torch.autograd.grad(y if fused else y.relu(), leaves, dy))
    torch.testing.assert_close(*results, rtol=0, atol=0, equal_nan=True)
    dx, _, dbeta = results[0]
    assert dx[:, [0, 2]].isfinite().all()
    torch.testing.assert_close(dbeta[1], dy[:, 1].sum())


def layouts():
    """Samples, channels and up to three more sizes, around those at which the kernel cuts."""
    size = st.sampled_from([1, 2, 3, 4, 7, 8, 15, 16, 17, 33])
    return st.tuples(st.integers(1, 9), st.integers(1, 70), st.lists(size, max_size=3))


def laid_out(tensor, last):
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return tensor.contiguous(memory_format=formats[tensor.dim()]) if last else tensor


@needs_cpp
@settings(deadline=None, max_examples=60)
@given(
    shape=layouts(),
    last=st.tuples(st.booleans(), st.booleans()),
    mean=st.sampled_from([0.0, 3.0, 1e4]),
    spoilt=st.sampled_from([None, float("nan"), float("inf")]),
)
@example(shape=(32, 40, [41, 41]), last=(True, True), mean=3.0, spoilt=None)  # past the cache
@example(shape=(6, 5, [4, 3, 2]), last=(False, False), mean=3.0, spoilt=None)
def test_the_fused_cpp_pass_is_the_plain_one_and_a_relu(shape, last, mean, spoilt):
    """To the bit, by every layout: y, dx, dgamma, dbeta, running statistics and evaluation."""
    samples, channels, sizes = shape
    shape = (samples, channels, *sizes)
    assume(samples * torch.Size(sizes).numel() > 1)
    x, dy, weight, bias = draws(shape, mean=mean)
    if spoilt is not None:
        x[0, 0] = spoilt
    x, dy = (laid_out(t, t.dim() > 3 and on) for t, on in zip((x, dy), last, strict=True))
    results = []
    for fused in (True, False):
        leaves = [t.clone().requires_grad_() for t in (x, weight, bias)]
        running = torch.zeros(channels), torch.ones(channels)
        options = {"eps": EPS, "backend": "cpp", "relu": fused}
        y = batch_norm(leaves[0], *running, *leaves[1:], training=True, **options)
        evaluated = batch_norm(x, *running, weight, bias, **options)
        if not fused:
            y, evaluated = y.relu(), evaluated.relu()
        gradients = torch.autograd.grad(y, leaves, dy)
        results.append([y.detach(), *gradients, *running, evaluated])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


# One digest for all CPUs, compilers and numbers of threads. It changes with the kernel's arithmetic
# alone; then write the new one, which every instruction set must give again.
DIGEST = "8befed9e43068443"


def exact_draws(shape, last):
    """x, dy, gamma and beta made of integers, since torch.randn has other bits on other CPUs."""
    generator = torch.Generator().manual_seed(0)
    x, dy, weight, bias = (
        torch.randint(-(2**14), 2**14, size, generator=generator) / 2**12
        for size in (shape, shape, shape[1:2], shape[1:2])
    )
    return laid_out(x + 3, last), laid_out(dy, last), weight, bias


@needs_cpp
def test_the_bits_are_those_of_every_instruction_set():
    shapes = [
        (7, 5),
        (64, 100),
        (300, 147),
        (6, 5, 4),
        (9, 3, 5, 5),
        (4, 17, 8, 8),
        (3, 5, 2, 3, 2),
    ]
    shapes += [(2, 3, 65, 67), (50, 40, 7, 7), (32, 40, 41, 41)]
    digest = hashlib.sha256()
    for shape in shapes:
        for last in (False, True)[: 1 + (len(shape) > 3)]:
            x, dy, *vectors = exact_draws(shape, last)
            for weight, bias in (vectors, (None, None)):
                for relu in (False, True):
                    y, *found = cpp.forward(x, weight, bias, EPS, relu)
                    gradients = cpp.backward(dy, x, weight, bias, *found, EPS, relu)
                    shift, _, sigma2 = found
                    evaluated = cpp.evaluate(x, weight, bias, shift, sigma2, EPS, relu)
                    for tensor in (y, *found, *gradients, evaluated):
                        digest.update((tensor + 0).contiguous().numpy().tobytes())
    assert digest.hexdigest()[:16] == DIGEST


# Flags in the place of the kernel's own for the CPU at hand, and what the CPU must have for them.
# Without AVX and with no macro that names an x86 instruction, the source is what other CPUs get.
MACROS = ("MMX", "SSE", "SSE2", "SSE_MATH", "SSE2_MATH")
INSTRUCTION_SETS = {
    "plain": (["-march=x86-64"], "sse2"),
    "portable": (["-march=x86-64", *(f"-U__{macro}__" for macro in MACROS)], "sse2"),
    "avx without fma": (["-march=x86-64-v2", "-mavx"], "avx"),
    "avx2": (["-march=x86-64-v3"], "avx2"),
    "avx512": (["-march=x86-64-v4", "-mprefer-vector-width=512"], "avx512vl"),
}
# the bits of finite numbers; every shape; what is not finite; what reads past the cache
WHICH = "bits_are or every_shape or spoils or first_sample or fused_cpp or bypass"
AS_BUILT_WITH = """
import sys
import pytest
from bnbench.norms.kernels import cpp
cpp.CPU[:] = {flags}
cpp.prepare()
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-k", {which!r}, {file!r}]))
"""


@pytest.mark.slow
@needs_cpp
@pytest.mark.parametrize("name", INSTRUCTION_SETS)
def test_the_kernel_holds_on_each_instruction_set(name, warm, tmp_path):
    """Some of these tests again in a process whose kernel is built for less; the digest first."""
    flags, ability = INSTRUCTION_SETS[name]
    abilities = cpp.CPUINFO.read_text().split() if cpp.CPUINFO.exists() else []
    if platform.machine() != "x86_64" or ability not in abilities:
        pytest.skip(f"this CPU has no {ability}")
    root = Path(__file__).parents[2]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment["PYTHONPATH"] = str(root)
    script = tmp_path / "as_built.py"
    script.write_text(AS_BUILT_WITH.format(flags=flags, which=WHICH, file=__file__))
    status, told = warm.run([str(script)], root, environment, tmp_path / "told.txt")
    assert status == 0, told[-5000:]
    print(f"{name}: {told.strip().splitlines()[-1]}")
    assert int(re.search(r"(\d+) passed", told)[1]) >= 10
    assert "skipped" not in told


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("backend", ["reference", CPP])
def test_the_fused_layer_keeps_its_input_and_no_more(backend, memory_format):
    """MUST: at most 1.0 times the input's bytes; beside it a dozen numbers per channel."""
    x, *_ = draws((8, 4, 16, 16), memory_format)
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    layer = norms.BatchNormReLU2d(4, backend=backend)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(x.requires_grad_())
    assert kept.pop(x.untyped_storage().data_ptr()) == x.nbytes
    assert sum(kept.values()) <= 12 * 4 * 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_mask_of_the_fused_layer_is_that_of_its_output(backend):
    x, dy, weight, bias = draws((16, 5, 8, 8))
    bias[0], weight[1] = -100.0, 0.0  # never above 0; a constant
    leaf = x.clone().requires_grad_()
    dbeta_leaf = bias.clone().requires_grad_()
    y = batch_norm(leaf, None, None, weight, dbeta_leaf, training=True, relu=True, backend=backend)
    (dbeta,) = torch.autograd.grad(y, dbeta_leaf, torch.ones_like(dy))
    assert torch.equal(dbeta, (y > 0).sum((0, 2, 3)).float())


def test_cpp_leaves_other_tensors_to_the_reference():
    for x in (torch.randn(4, 5).double(), torch.randn(4, 5, 3, 4)[..., 1:], torch.randn(0, 5)):
        assert not cpp.supports(x, None, None)
    assert not cpp.supports(torch.randn(4, 5), torch.ones(5).double(), None)
    assert cpp.supports(torch.randn(4, 5, 3, 4).to(memory_format=torch.channels_last), None, None)


@needs_cpp
def test_cpp_reads_vectors_as_they_lie():
    x, dy, *_ = draws((8, 4, 5, 5))
    every_other, same = torch.arange(8.0)[::2], torch.ones(1).expand(4)
    for weight, bias in ((every_other, same), (same, every_other), (every_other, None)):
        ours, theirs = (passes(b, x, dy, weight, bias)[0] for b in ("cpp", "native"))
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for mean, var in ((every_other, same), (same, 1 + every_other)):
        ours, theirs = (
            batch_norm(x, mean, var, same, every_other, backend=b) for b in ("cpp", "native")
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    negative = torch._neg_view(x)
    y = batch_norm(negative, None, None, None, same, training=True, backend="cpp")
    expected = batch_norm(-x, None, None, None, same, training=True, backend="cpp")
    assert torch.equal(y, expected)


@needs_cpp
def test_cpp_operators_refuse_what_they_cannot_read():
    x = torch.randn(4, 5)
    with pytest.raises(RuntimeError, match="float32 vector of 5 channels"):
        torch.ops.bnbench.forward(x, torch.ones(4), None, EPS, False)
    with pytest.raises(RuntimeError, match=r"dense float32 \(N, C, \*\) with values"):
        torch.ops.bnbench.forward(x.double(), None, None, EPS, False)
    vectors, dy = [torch.ones(5)] * 3, torch.randn(5, 4).t()
    with pytest.raises(RuntimeError, match="dy laid out as x"):
        torch.ops.bnbench.backward(dy, x, None, None, *vectors, EPS, False)


@pytest.mark.slow
@pytest.mark.one_in(4)
@needs_cpp
@pytest.mark.parametrize("kind", ["BatchNorm2d", "BatchNormReLU2d"])
def test_cpp_compiles_into_one_graph(kind):
    layer = getattr(norms, kind)(5, backend="cpp")
    x, dy, *_ = draws((4, 5, 3, 3))
    compiled = torch.compile(copy.deepcopy(layer), backend="aot_eager", fullgraph=True)
    for run in (layer, compiled):
        leaf = x.clone().requires_grad_()
        run.result = [run(leaf), *torch.autograd.grad(run(leaf), leaf, dy)]
    torch.testing.assert_close(compiled.result, layer.result)


@needs_cpp
def test_statistics_of_another_dtype_are_left_to_the_reference():
    x, mean, var = torch.randn(4, 5), torch.zeros(5).double(), torch.ones(5).double()
    layers = [norms.BatchNorm1d(5, affine=False, backend=b).eval() for b in ("cpp", "reference")]
    for layer in layers:
        layer.running_mean, layer.running_var = mean, var
    results = []
    for layer in layers:
        try:
            results.append(layer(x))
        except RuntimeError as error:
            results.append(str(error))
    assert str(results[0]) == str(results[1])


@needs_cpp
def test_auto_is_cpp_on_the_cpu():
    tensors = draws((4, 5, 3, 3))
    assert all(map(torch.equal, passes("auto", *tensors), passes("cpp", *tensors)))


def without(compiler, code):
    """What Python prints that knows no compiled kernel and has this compiler."""
    answer = subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "CXX": str(compiler), "TORCH_EXTENSIONS_DIR": str(compiler) + ".d"},
        check=True,
    )
    return answer.stdout, answer.stderr


TWICE = """
import torch
from bnbench.norms import BatchNorm1d, kernels
x = torch.randn(8, 3)
layers = [BatchNorm1d(3, backend=name) for name in ("auto", "cpp", "reference")]
results = [layer(x) for layer in layers for _ in range(2)]
print(all(torch.equal(results[0], y) for y in results))
try:
    kernels.require("cpp")
except kernels.UnavailableError as error:
    print(error)
"""


@pytest.mark.slow
def test_without_a_compiler_the_reference_runs_and_says_so_once(tmp_path):
    output, complaints = without(tmp_path / "nothing", TWICE)
    assert output == f"True\nthere is no C++ compiler {tmp_path / 'nothing'} here\n"
    assert complaints.count("Warning") == 1
    assert "the reference runs instead" in complaints


@pytest.mark.slow
def test_a_compiler_that_fails_is_as_good_as_none(tmp_path):
    broken = tmp_path / "c++"
    broken.write_text('#!/bin/sh\ntest "$1" = --version || exit 1\n')
    broken.chmod(0o755)
    output, complaints = without(broken, TWICE)
    assert output.startswith("True\ncannot be compiled")
    assert complaints.count("the reference runs instead") == 1


def test_a_backend_is_no_part_of_the_state():
    layer = norms.BatchNorm2d(3, backend="cpp")
    other = norms.BatchNorm2d(3)
    other.load_state_dict(layer.state_dict())
    assert layer.state_dict().keys() == nn.BatchNorm2d(3).state_dict().keys()
    with pytest.raises(ValueError, match="unknown backend 'gpu'"):
        kernels.require("gpu")


@pytest.mark.parametrize("backend", ["reference", CPP])
@pytest.mark.parametrize("kind", ["BatchNorm1d", "BatchNormReLU1d"])
def test_an_ensemble_under_vmap_is_its_members(backend, kind):
    members = [getattr(norms, kind)(3, backend=backend) for _ in range(4)]
    for member in members:
        nn.init.normal_(getattr(member, "norm", member).weight)
    x = torch.randn(4, 16, 3)
    state = stack_module_state(members)
    base = copy.deepcopy(members[0]).to("meta")
    y = vmap(lambda p, b, x: functional_call(base, (p, b), (x,)))(*state, x)
    inner = "norm." if "ReLU" in kind else ""
    for k, member in enumerate(members):
        # sums in another order: a few roundings
        torch.testing.assert_close(y[k], member(x[k]), rtol=1e-5, atol=1e-6)
        norm = getattr(member, "norm", member)
        torch.testing.assert_close(state[1][f"{inner}running_mean"][k], norm.running_mean)
        torch.testing.assert_close(state[1][f"{inner}running_var"][k], norm.running_var)


@pytest.mark.parametrize("backend", ["reference", pytest.param("auto", marks=needs_cpp)])
def test_vmap_takes_images_in_any_layout(backend):
    layer = norms.BatchNorm2d(4, track_running_stats=False, backend=backend)
    x = torch.randn(3, 8, 5, 5, 4).permute(0, 1, 4, 2, 3)
    expected = torch.stack([layer(each) for each in x])
    torch.testing.assert_close(vmap(layer)(x), expected, rtol=1e-5, atol=1e-5)


@needs_cpp
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch calls it itself
@pytest.mark.parametrize("training", [True, False])
def test_forward_mode_derivatives_are_torch_s(training):
    x, tangent = torch.randn(6, 4), torch.randn(6, 4)
    results = []
    for layer in (norms.BatchNorm1d(4, backend="cpp"), nn.BatchNorm1d(4)):
        layer.train(training).requires_grad_(False)
        with forward_ad.dual_level():
            y = layer(forward_ad.make_dual(x, tangent))
            results.append(forward_ad.unpack_dual(y).tangent)
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch calls it itself
def test_forward_mode_derivatives_leave_plain_statistics():
    layer, x = norms.BatchNorm1d(4), torch.randn(6, 4, requires_grad=True)
    with forward_ad.dual_level():
        layer(forward_ad.make_dual(x, torch.randn(6, 4)))
        for buffer in (layer.running_mean, layer.running_var):
            assert not buffer.requires_grad
            assert forward_ad.unpack_dual(buffer).tangent is None
    assert layer.running_mean.any()


def test_gradients_under_torch_func_are_those_of_autograd():
    layer = norms.BatchNorm2d(3, track_running_stats=False).double()
    x = torch.randn(5, 4, 3, 2, 2, dtype=torch.float64)
    each = vmap(grad(lambda x: layer(x).pow(3).sum()))(x)
    for k in range(5):
        leaf = x[k].clone().requires_grad_()
        (expected,) = torch.autograd.grad(layer(leaf).pow(3).sum(), leaf)
        torch.testing.assert_close(each[k], expected, rtol=0, atol=1e-12)


def test_statistics_of_one_layer_cannot_hold_those_of_many():
    with pytest.raises(RuntimeError, match="under vmap running statistics must be batched"):
        vmap(norms.BatchNorm1d(3))(torch.randn(4, 16, 3))
