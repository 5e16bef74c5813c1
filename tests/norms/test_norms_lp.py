"""L1 and L∞ batch normalisation and the L2 norm over channels, against their formulas."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from bnbench.norms import L1BatchNorm, L2Norm, LInfBatchNorm, population


def l1(c):
    return math.sqrt(math.pi / 2) * c.abs().mean(1)


def linf(c):
    return (
        (1 + math.sqrt(math.pi * math.log(4)))
        / math.sqrt(8 * math.log(c.shape[1]))
        * c.abs().amax(1)
    )


SCALES = {L1BatchNorm: l1, LInfBatchNorm: linf}
both = pytest.mark.parametrize("kind", SCALES)


def by_formula(kind, x, weight, bias, eps=1e-5):
    """gamma c / sqrt(scale² + eps) + beta with channels as rows; mean and scale beside it."""
    rows = x.transpose(0, 1).reshape(x.shape[1], -1)
    mean = rows.mean(1)
    c = rows - mean[:, None]
    scale = SCALES[kind](c)
    y = c / (scale.square() + eps).sqrt()[:, None] * weight[:, None] + bias[:, None]
    return y.view(x.transpose(0, 1).shape).transpose(0, 1), mean, scale


@both
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_training_is_the_formula_and_evaluation_the_map_it_leaves(
    any_input, kind, dtype, tolerance
):
    layer = kind(5, momentum=0.25).to(dtype)
    nn.init.normal_(layer.norm.weight)
    nn.init.normal_(layer.norm.bias)
    x, weight, bias = any_input.double(), layer.norm.weight.double(), layer.norm.bias.double()
    expected, mean, scale = by_formula(kind, x, weight, bias)
    y = layer(any_input.to(dtype))
    tolerance = {"rtol": tolerance, "atol": tolerance * expected.abs().max().item()}
    torch.testing.assert_close(y.double(), expected, **tolerance)
    torch.testing.assert_close(layer.norm.running_mean.double(), 0.25 * mean, **tolerance)
    running_var = 0.75 + 0.25 * scale.square()
    torch.testing.assert_close(layer.norm.running_var.double(), running_var, **tolerance)
    expected = F.batch_norm(x, 0.25 * mean, running_var, weight, bias)
    tolerance["atol"] = 4 * tolerance["rtol"] * expected.abs().max().item()
    torch.testing.assert_close(layer.eval()(any_input.to(dtype)).double(), expected, **tolerance)


@both
def test_the_spread_about_a_mean_is_the_square_of_the_scale(any_input, kind):
    """What a population policy asks of the layer."""
    x = any_input.double()
    _, mean, scale = by_formula(kind, x, torch.ones(5), torch.zeros(5))
    torch.testing.assert_close(kind.holds.spread2(x, mean), scale.square())


@both
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_derivatives(kind, check):
    layer = kind(2).double()
    x = torch.randn(7, 2, dtype=torch.float64, requires_grad=True)
    assert check(lambda x: copy.deepcopy(layer)(x), (x,))


def test_gaussian_data_gets_unit_variance_by_l1():
    """And 1/1.4² by L∞, whose constant is between two bounds of the largest of m Gaussians."""
    x = 3 + 2 * torch.randn(64, 10_000)
    # the mean over channels is exact to 0.001; what L1 measures is biased by m/(m - 1) as sigma2 is
    for kind, expected in ((L1BatchNorm, 1.0), (LInfBatchNorm, 1.38)):
        scale = kind.holds.spread2(x, x.mean(0)).sqrt().mean()
        assert scale.item() / 2 / math.sqrt(63 / 64) == pytest.approx(expected, rel=0.01)
        assert kind(10_000)(x).std().item() == pytest.approx(1 / expected, rel=0.02)


@both
def test_a_large_mean_costs_no_accuracy(kind):
    x = torch.randn(64, 4) + 1e4
    expected, _, _ = by_formula(kind, x.double(), torch.ones(4), torch.zeros(4))
    torch.testing.assert_close(kind(4)(x).double(), expected, rtol=0, atol=2e-6)


@both
def test_without_statistics_evaluation_normalises_by_the_batch_in_the_same_norm(kind):
    x = torch.randn(8, 5)
    expected = kind(5)(x)
    layer = kind(5, track_running_stats=False)
    assert torch.equal(layer(x), expected)
    assert torch.equal(layer.eval()(x), expected)


@both
def test_precise_statistics_are_of_the_layer_s_norm_however_the_data_is_split(kind):
    layer, x = kind(5, dtype=torch.float64), torch.randn(8, 5, 3, dtype=torch.float64)
    expected = copy.deepcopy(layer)(x)
    for sizes in ([8], [5, 3], [1] * 8):
        with population(layer, "precise", x.split(sizes)):
            torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


@both
def test_a_single_image_has_no_spread_of_its_own(kind):
    layer, x = kind(5, affine=False), torch.randn(1, 5)
    with population(layer, "blend", prior=1):
        y = layer(x)  # mean x/2, spread 1/2
    torch.testing.assert_close(y, x / 2 / (0.5 + 1e-5) ** 0.5)


@both
def test_a_constant_channel_is_normalised_to_beta(kind):
    x = torch.full((64, 1), 1e8 + 8, requires_grad=True)
    y = kind(1)(x)
    assert not y.any()
    assert torch.autograd.grad(y.sum(), x)[0].isfinite().all()


@both
def test_an_infinite_first_sample_makes_the_mean_of_its_channel_infinite_and_no_other(kind):
    layer, x = kind(3), torch.randn(8, 3)
    x[0, 1] = torch.inf
    y = layer(x)
    assert layer.norm.running_mean.isposinf().tolist() == [False, True, False]
    for values in (y, layer.norm.running_mean, layer.norm.running_var):
        assert values[..., [0, 2]].isfinite().all()


def test_every_location_has_length_20_at_first():
    for shape in ((6, 8), (6, 8, 5), (6, 8, 5, 4), (6, 8, 3, 2, 2)):
        y = L2Norm(8)(3 + torch.randn(shape))
        torch.testing.assert_close(y.norm(dim=1), torch.full_like(y[:, 0], 20))


def test_normalising_over_space_does_not_give_that():
    """What balancap/SSD-Tensorflow has under this name: over the spatial dims, and scale 1."""
    x = 3 + torch.randn(6, 8, 5, 4)
    over_space = F.normalize(x.flatten(2), dim=2).view_as(x)
    for y in (over_space, 20 * over_space):
        assert (y.norm(dim=1) - 20).abs().min() > 1


def test_l2norm_is_its_formula_and_its_factors_are_learned():
    layer = L2Norm(3).double()
    nn.init.normal_(layer.weight)
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    expected = torch.einsum("c,nchw->nchw", layer.weight, x / x.square().sum(1, True).sqrt())
    torch.testing.assert_close(layer(x), expected)
    weight = layer.weight.detach().clone().requires_grad_()
    assert gradcheck(lambda x, w: torch.func.functional_call(layer, {"weight": w}, x), (x, weight))


def test_a_location_without_signal_stays_0_with_a_finite_gradient():
    x = torch.zeros(2, 3, requires_grad=True)
    y = L2Norm(3)(x)
    y.sum().backward()
    assert not y.any()
    assert x.grad.isfinite().all()
