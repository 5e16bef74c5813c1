"""The layer's mathematics against torch's, float64, autograd's own derivatives and closed forms."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from bnbench.norms.functional import batch_norm, moments

EPS = 1e-5


def results(function, x, dy, weight, bias, dtype, **options):
    """y, dx, dgamma and dbeta of `function` in training, in `dtype`."""
    leaves = [t.to(dtype).detach().requires_grad_() for t in (x, weight, bias)]
    y = function(leaves[0], None, None, *leaves[1:], training=True, **options)
    return [y.detach(), *torch.autograd.grad(y, leaves, dy.to(dtype))]


def magnitudes(x, dy, weight, bias):
    """For y, dx, dgamma and dbeta: the size of the terms that are added up, so of a rounding."""
    x, dy, weight = x.double(), dy.double(), weight.double()
    dims = [d for d in range(x.dim()) if d != 1]
    std = (x.var(dims, correction=0) + EPS).sqrt()
    shape = [1, -1] + [1] * (x.dim() - 2)
    x_hat = (x - x.mean(dims, keepdim=True)) / std.view(shape)
    return [
        (x_hat.abs().max() * weight.abs().max() + bias.abs().max()),
        dy.abs().max() * (weight / std).abs().max() * x_hat.abs().max(),
        (dy * x_hat).abs().sum(dims).max(),
        dy.abs().sum(dims).max(),
    ]


def problem(x):
    return x, torch.randn(x.shape), torch.rand(x.shape[1]) + 0.5, torch.randn(x.shape[1])


def test_equals_torch_in_float64(any_input):
    case = problem(any_input)
    ours = results(batch_norm, *case, torch.float64)
    for mine, theirs in zip(ours, results(F.batch_norm, *case, torch.float64), strict=True):
        # a dozen roundings of 1e-16; 1e-12 has room for them and for nothing else
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12 * max(1, theirs.abs().max()))


def test_equals_torch_in_float32_to_a_few_roundings(any_input):
    case = problem(any_input)
    exact = results(F.batch_norm, *case, torch.float64)
    ours, native = (results(f, *case, torch.float32) for f in (batch_norm, F.batch_norm))
    for mine, theirs, truth, size in zip(ours, native, exact, magnitudes(*case), strict=True):
        # x, mu, x - mu, 1/std, the product, gamma and beta: under eight roundings of half an ulp
        bound = 4 * torch.finfo(torch.float32).eps * size
        assert (mine - truth).abs().max() <= bound
        # torch's mean of 3 is rounded before it is subtracted from data of spread 2
        assert (mine - theirs).abs().max() <= 3 * bound


@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.5, 1.0])
def test_running_statistics_equal_torch(any_input, momentum):
    buffers = [torch.full((5,), 7.0), torch.full((5,), 2.0)]
    theirs = [b.clone() for b in buffers]
    batch_norm(any_input, *buffers, training=True, momentum=momentum)
    F.batch_norm(any_input, *theirs, training=True, momentum=momentum)
    # statistics of size up to 7 through a handful of roundings
    torch.testing.assert_close(buffers, theirs, rtol=4e-7, atol=0)


@pytest.mark.parametrize("affine", [True, False])
def test_evaluation_equals_torch(any_input, affine):
    mean, var = torch.randn(5), torch.rand(5) + 0.5
    weight, bias = (torch.randn(5), torch.randn(5)) if affine else (None, None)
    ours = batch_norm(any_input, mean, var, weight, bias)
    theirs = F.batch_norm(any_input, mean, var, weight, bias)
    # torch folds the map into x·scale + offset, which rounds at the size of its two terms
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 * theirs.abs().max().item())


def test_momentum_weighs_the_new_batch_and_running_var_is_unbiased():
    mean, var = torch.tensor([10.0]), torch.tensor([10.0])
    batch_norm(torch.tensor([[1.0], [3.0]]), mean, var, training=True, momentum=0.25)
    assert mean.item() == 0.75 * 10 + 0.25 * 2
    assert var.item() == 0.75 * 10 + 0.25 * 2  # ((1-2)² + (3-2)²) / (2 - 1), not / 2


def test_an_infinite_statistic_stays_infinite_as_in_torch():
    """And no nan, which a difference of running and batch would make of it."""
    spoilt = torch.tensor([[torch.inf, 1.0], [3.0, 2.0]])
    buffers, theirs = ([torch.zeros(2), torch.ones(2)] for _ in range(2))
    for x in (spoilt, torch.ones(2, 2), spoilt):
        batch_norm(x, *buffers, training=True)
        F.batch_norm(x, *theirs, training=True)
    assert buffers[0].tolist()[0] == theirs[0].tolist()[0] == torch.inf
    torch.testing.assert_close(buffers, theirs, equal_nan=True)


def test_biased_variance_normalises():
    y = batch_norm(torch.tensor([[1.0], [3.0]]), None, None, training=True, eps=0.44)
    torch.testing.assert_close(y, torch.tensor([[-1.0], [1.0]]) / 1.2)  # sqrt(1 + 0.44)


@pytest.mark.parametrize("shape", [(5, 2), (3, 2, 2, 1)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("given_parameters", ["both", "weight", "bias", "none"])
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_first_and_second_derivatives(shape, training, given_parameters, check):
    """Against finite differences, for every choice of inputs that require a gradient."""
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    statistics = [None, None] if training else [torch.randn(2).double(), torch.rand(2).double() + 1]
    weight, bias = (
        torch.randn(2, dtype=torch.float64, requires_grad=True)
        if given_parameters in ("both", name)
        else None
        for name in ("weight", "bias")
    )
    leaves = [t for t in (x, weight, bias) if t is not None]
    for frozen in [None, *leaves] if len(leaves) > 1 else [None]:
        for leaf in leaves:
            leaf.requires_grad_(leaf is not frozen)
        assert check(
            lambda *args: batch_norm(args[0], *statistics, *args[1:], training=training),
            (x, weight, bias),
        )


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_large_mean_costs_no_accuracy(memory_format):
    """float32 at mean 10⁴, spread 1: as exact as at mean 0, where torch loses up to five digits."""
    x = (torch.randn(16, 4, 8, 8) + 1e4).contiguous(memory_format=memory_format)
    x, dy, weight, bias = problem(x)
    exact = results(F.batch_norm, x, dy, weight, bias, torch.float64)
    ours = results(batch_norm, x, dy, weight, bias, torch.float32)
    native = results(F.batch_norm, x, dy, weight, bias, torch.float32)
    for mine, theirs, truth in list(zip(ours, native, exact, strict=True))[:3]:
        error = (mine - truth).abs().max()
        assert error <= (theirs - truth).abs().max()
        assert error <= 1e-6 * truth.abs().max()


def test_a_constant_channel_is_normalised_to_beta():
    x = torch.full((64, 1), 1e8 + 8)  # its rounded sum is not 64 times its value
    assert batch_norm(x, None, None, bias=torch.tensor([3.0]), training=True).eq(3).all()


@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(2, 9), st.integers(1, 4), st.integers(1, 5)),
    a=st.floats(0.01, 100).flatmap(lambda a: st.sampled_from([a, -a])),
    b=st.floats(-100, 100),
)
@settings(max_examples=50, deadline=None)
def test_properties_of_normalisation(seed, size, a, b):
    generator = torch.Generator().manual_seed(seed)
    x, dy = torch.randn((2, *size), generator=generator, dtype=torch.float64)
    y, dx, dgamma, _ = results(
        batch_norm, x, dy, torch.ones(size[1]), torch.zeros(size[1]), torch.float64
    )

    def bn(x, eps=EPS):
        return batch_norm(x, None, None, training=True, eps=eps)

    # BN(ax + b) = sign(a) BN(x), exactly so when eps scales like the variance
    torch.testing.assert_close(bn(a * x + b, a * a * EPS), y if a > 0 else -y)
    # the order of samples and of channels does not matter
    rows = torch.randperm(size[0], generator=generator)
    columns = torch.randperm(size[1], generator=generator)
    torch.testing.assert_close(bn(x[rows][:, columns]), y[rows][:, columns])
    # no gradient along 1, and along x_hat only what eps leaves: sigma2 is not quite sigma2 + eps
    _, _, sigma2 = moments(x)
    scale = (sigma2 + EPS).rsqrt()
    zeros = torch.zeros(size[1], dtype=torch.float64)
    tolerance = {"rtol": 1e-6, "atol": 1e-9 * float(scale.max())}
    torch.testing.assert_close(dx.sum((0, 2)), zeros, **tolerance)
    left = scale * dgamma * EPS * scale.square()
    torch.testing.assert_close((dx * y).sum((0, 2)), left, **tolerance)
