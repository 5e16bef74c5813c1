"""Variants of batch normalisation: what all share with it, and the oracle of each."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from bnbench import norms
from bnbench.norms import population
from bnbench.norms.population import POLICIES

VARIANTS = {
    "ghost": lambda c, **options: norms.GhostBatchNorm(c, ghost_size=2, **options),
    "renorm": norms.BatchRenorm,
    "noisy": norms.NoisyBatchNorm,
    "l1": norms.L1BatchNorm,
    "linf": norms.LInfBatchNorm,
    "sync": norms.SyncBatchNorm,
}
every_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


def state(layer):
    """The BatchNorm that has the state: what a layer holds, or the layer."""
    return getattr(layer, "norm", layer)


def untrivial(layer):
    """The layer in float64 with a state in which nothing is 0 or 1."""
    for tensor in (*layer.parameters(), state(layer).running_mean):
        nn.init.normal_(tensor)
    state(layer).running_var.uniform_(1, 2)
    return layer.double()


def results(layer, x, dy):
    """What a training step gives: y, dx, the parameters' gradients, the buffers."""
    layer, x = copy.deepcopy(layer), x.detach().clone().requires_grad_()
    y = layer(x)
    gradients = torch.autograd.grad(y, [x, *layer.parameters()], dy)
    return [y.detach(), *gradients, *layer.buffers()]


def plain(layer, **options):
    """Our BatchNorm1d with the state of `layer`."""
    twin = norms.BatchNorm1d(state(layer).num_features, **options).double()
    twin.load_state_dict(state(layer).state_dict())
    return twin


@every_variant
def test_evaluation_is_that_of_torch_with_the_same_state(any_input, variant):
    layer = untrivial(variant(5)).eval()
    native = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
    theirs = native[any_input.dim()](5).double().eval()
    assert list(state(layer).state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(state(layer).state_dict())
    torch.testing.assert_close(layer(any_input.double()), theirs(any_input.double()))


@every_variant
def test_is_or_holds_a_batchnorm_and_keeps_its_statistics_when_told_to(variant):
    layer, x = variant(5), torch.randn(8, 5)
    assert isinstance(state(layer), _BatchNorm)
    for momentum, moves in ((0.0, False), (0.1, True)):
        state(layer).momentum = momentum
        layer(x)
        assert state(layer).running_mean.any() == moves
    layer.reset_parameters()
    assert torch.equal(state(layer).weight, torch.ones(5))
    assert state(layer).num_batches_tracked == 0


@every_variant
def test_training_keeps_the_memory_format(variant):
    for shape, memory_format in (
        ((4, 5, 3, 2), torch.channels_last),
        ((4, 5, 3, 2, 2), torch.channels_last_3d),
    ):
        x = torch.randn(shape).to(memory_format=memory_format).requires_grad_()
        y = variant(5)(x)
        assert y.is_contiguous(memory_format=memory_format)
        (dx,) = torch.autograd.grad(y.square().sum(), x)
        assert dx.is_contiguous(memory_format=memory_format)


@every_variant
@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((1, 5), ValueError, "more than 1 value per channel"),
        ((1, 5, 1, 1), ValueError, "more than 1 value per channel"),
        ((4, 1), RuntimeError, "expected 5 channels"),  # it would broadcast
        ((4, 6), RuntimeError, "expected 5 channels"),
        ((5,), ValueError, "expected at least 2D input"),
        ((), ValueError, "expected at least 2D input"),
    ],
)
def test_inputs_that_cannot_be_normalised_are_refused(variant, shape, error, message):
    with pytest.raises(error, match=message):
        variant(5)(torch.randn(shape))


@every_variant
def test_low_precision_is_computed_in_float32(variant):
    x = (3 + torch.randn(64, 5)).bfloat16()
    outputs = []
    for dtype in (torch.bfloat16, torch.float32):
        torch.manual_seed(1)
        layer = norms.GhostBatchNorm(5) if variant is VARIANTS["ghost"] else variant(5)
        outputs.append(layer(x.to(dtype)))
    assert outputs[0].dtype == torch.bfloat16
    if variant is not VARIANTS["noisy"]:  # which draws its noise in the dtype of the output
        torch.testing.assert_close(outputs[0], outputs[1].bfloat16(), rtol=0, atol=0)


@every_variant
def test_inside_a_population_policy_no_variant_sees_the_batch_or_makes_noise(variant):
    layer = untrivial(variant(5))
    x = torch.randn(8, 5, dtype=torch.float64)
    expected = plain(layer).eval()(x)
    with population(layer.train(), "ema"):
        torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("name", ["ghost", "renorm", "noisy", "sync"])
def test_precise_statistics_are_those_of_a_batchnorm(name):
    layer, data = untrivial(VARIANTS[name](5)), torch.randn(8, 5, dtype=torch.float64)
    with population(layer, "precise", [data]), population(twin := plain(layer), "precise", [data]):
        torch.testing.assert_close(layer(data), twin(data))


# ghost


def test_a_single_ghost_is_the_batchnorm():
    layer, x = untrivial(norms.GhostBatchNorm(5, ghost_size=9)), torch.randn(9, 5).double()
    for mine, expected in zip(results(layer, x, x), results(plain(layer), x, x), strict=True):
        assert torch.equal(mine, expected)


@pytest.mark.parametrize(
    ("num_samples", "ghost_size", "sizes"),
    [(8, 2, [2, 2, 2, 2]), (7, 3, [4, 3]), (11, 3, [4, 4, 3]), (5, 3, [5]), (2, 3, [2])],
)
@pytest.mark.parametrize("space", [(), (3, 2)])
def test_ghosts_are_batches_of_their_own(num_samples, ghost_size, sizes, space):
    """Torch's layer on each ghost in turn; what is left over makes ghosts larger, never smaller."""
    x, dy = torch.randn(2, num_samples, 5, *space, dtype=torch.float64)
    layer = untrivial(norms.GhostBatchNorm(5, ghost_size=ghost_size))
    theirs = (nn.BatchNorm2d if space else nn.BatchNorm1d)(5).double()
    theirs.load_state_dict(layer.norm.state_dict())
    leaf = x.clone().requires_grad_()
    y = torch.cat([theirs(ghost) for ghost in leaf.split(sizes)])
    gradients = torch.autograd.grad(y, [leaf, *theirs.parameters()], dy)
    expected = [y.detach(), *gradients, *theirs.buffers()]
    # a ghost of two nearly equal values has a small sigma: dx is up to some hundred
    torch.testing.assert_close(results(layer, x, dy), expected, rtol=1e-10, atol=1e-10)


def test_running_statistics_take_one_ghost_after_another():
    layer = norms.GhostBatchNorm(1, ghost_size=2, momentum=0.25)
    layer(torch.tensor([[0.0], [2.0], [4.0], [10.0]]))  # means 1 and 7, unbiased variances 2 and 18
    assert layer.norm.running_mean.item() == 0.75 * (0.25 * 1) + 0.25 * 7
    assert layer.norm.running_var.item() == 0.75 * (0.75 * 1 + 0.25 * 2) + 0.25 * 18
    assert layer.norm.num_batches_tracked == 2


def test_without_momentum_the_statistics_are_the_average_over_ghosts():
    layer = norms.GhostBatchNorm(1, ghost_size=2, momentum=None)
    layer(torch.tensor([[0.0], [2.0], [4.0], [10.0]]))
    assert (layer.norm.running_mean.item(), layer.norm.running_var.item()) == (4, 10)


def test_a_ghost_of_one_image_is_instance_normalisation_and_one_of_one_value_is_refused():
    layer = norms.GhostBatchNorm(5, ghost_size=1)
    x = torch.randn(4, 5, 3, 3)
    torch.testing.assert_close(layer(x), nn.InstanceNorm2d(5)(x))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        layer(torch.randn(4, 5))


# renorm


def test_renorm_within_limits_of_1_and_0_is_the_batchnorm():
    layer, x = untrivial(norms.BatchRenorm(5, r_max=1, d_max=0)), torch.randn(9, 5).double()
    torch.testing.assert_close(results(layer, x, x), results(plain(layer), x, x))


@pytest.mark.parametrize(
    "options", [{}, {"affine": False}, {"scale": False}, {"bias": False}], ids=str
)
def test_renorm_without_limits_normalises_by_the_running_statistics(options):
    layer = untrivial(norms.BatchRenorm(5, r_max=1e30, d_max=1e30, **options))
    x = 3 + 2 * torch.randn(9, 5, 4, dtype=torch.float64)
    expected = copy.deepcopy(layer).eval()(x)  # by the statistics before this batch
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_renorm_takes_r_and_d_as_constants():
    """Algorithm 1 written with `detach`, with limits that clip some channels and not others."""
    layer = untrivial(norms.BatchRenorm(40, r_max=1.5, d_max=0.8))
    x, dy = torch.randn(2, 9, 40, dtype=torch.float64)
    leaf, weight, bias = (t.detach().clone().requires_grad_() for t in (x, *layer.parameters()))
    norm = layer.norm
    mean, sigma = norm.running_mean, (norm.running_var + norm.eps).sqrt()
    batch_mean = leaf.mean(0)
    batch_sigma = (leaf.var(0, correction=0) + norm.eps).sqrt()
    r, d = batch_sigma / sigma, (batch_mean - mean) / sigma
    for clipped in (r.gt(1.5) | r.lt(1 / 1.5), d.abs() > 0.8):
        assert 0 < clipped.sum() < 40
    r, d = r.clamp(1 / 1.5, 1.5).detach(), d.clamp(-0.8, 0.8).detach()
    y = ((leaf - batch_mean) / batch_sigma * r + d) * weight + bias
    expected = [y.detach(), *torch.autograd.grad(y, [leaf, weight, bias], dy)]
    torch.testing.assert_close(results(layer, x, dy)[:4], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ((6.0, 14.0), (-3 + 5, 3 + 5)),  # sigma_B 4 and mu_B 10: both beyond their limits
        ((-14.0, -6.0), (-3 - 5, 3 - 5)),
        ((-0.1, 0.1), (-1 / 3, 1 / 3)),  # sigma_B 0.1, below 1/3
        ((-2.0, 4.0), (-2, 4)),  # within the limits: mean 0 and variance 1 normalise
    ],
)
def test_the_corrections_are_clipped(batch, expected):
    layer = norms.BatchRenorm(1, eps=1e-12)
    y = layer(torch.tensor(batch).view(2, 1))
    torch.testing.assert_close(
        y.flatten(), torch.tensor(expected, dtype=y.dtype), rtol=1e-6, atol=1e-6
    )


def test_the_limits_rise_with_the_batches_and_go_with_the_checkpoint():
    layer = norms.BatchRenorm(1, warmup=4, momentum=0.0, eps=1e-12)
    for seen in range(7):
        if seen == 2:
            state = layer.state_dict()
            layer = norms.BatchRenorm(1, warmup=4, momentum=0.0, eps=1e-12)
            layer.load_state_dict(state)
        risen = min(1.0, seen / 4)
        r, d = 1 + 2 * risen, 5 * risen
        y = layer(torch.tensor([[6.0], [14.0]])).flatten()
        torch.testing.assert_close(y, torch.tensor([d - r, d + r]), rtol=1e-6, atol=1e-6)


def test_renorm_keeps_the_statistics_of_a_batchnorm():
    layer, x = untrivial(norms.BatchRenorm(5)), torch.randn(9, 5).double()
    twin = plain(layer)
    layer(x)
    twin(x)
    for mine, expected in zip(layer.buffers(), twin.buffers(), strict=True):
        assert torch.equal(mine, expected)


def test_renorm_needs_running_statistics():
    with pytest.raises(ValueError, match="needs running statistics"):
        norms.BatchRenorm(5, track_running_stats=False)


# with local response normalisation


def behind_torchs(layer, x, dy, **lrn):
    """What torch's BatchNorm2d of this state and the formula of Krizhevsky et al. give."""
    theirs = nn.BatchNorm2d(5).double().train(layer.training)
    theirs.load_state_dict(layer.norm.state_dict())
    leaf = x.clone().requires_grad_()
    y = theirs(leaf)
    size, around = lrn["size"], F.pad(y.square(), (0, 0, 0, 0, lrn["size"] // 2, lrn["size"]))
    sums = torch.stack([around[:, c : c + size].sum(1) for c in range(5)], 1)
    y = y / (lrn["k"] + lrn["alpha"] / size * sums) ** lrn["beta"]
    gradients = torch.autograd.grad(y, [leaf, *theirs.parameters()], dy)
    return [y.detach(), *gradients, *theirs.buffers()]


@pytest.mark.parametrize("training", [True, False])
def test_batchnorm_lrn_is_the_formula_of_krizhevsky_behind_torchs_batchnorm(training):
    x, dy = torch.randn(2, 6, 5, 3, 2, dtype=torch.float64)
    lrn = {"size": 3, "alpha": 0.9, "beta": 1.5, "k": 0.7}  # far from the identity
    layer = untrivial(norms.BatchNormLrn(5, **lrn)).train(training)
    mine, theirs = results(layer, 3 + 2 * x, dy), behind_torchs(layer, 3 + 2 * x, dy, **lrn)
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("policy", POLICIES)
def test_batchnorm_lrn_takes_every_policy_as_the_batchnorm_in_front_of_it(policy):
    layer = untrivial(norms.BatchNormLrn(5))
    pair = nn.Sequential(plain(layer), nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0))
    data, x = torch.randn(3, 8, 5, 4).double(), 1 + torch.randn(7, 5, 4).double()
    with population(layer, policy, data), population(pair, policy, data):
        torch.testing.assert_close(layer(x), pair(x), rtol=1e-12, atol=1e-12)


def test_batchnorm_lrn_needs_positions_and_shows_its_arguments():
    with pytest.raises(ValueError, match="expected at least 3D input"):
        norms.BatchNormLrn(5)(torch.randn(8, 5))
    with pytest.raises(RuntimeError, match="expected 5 channels"):
        norms.BatchNormLrn(5)(torch.randn(8, 1, 3))
    assert "size=5, alpha=0.0005, beta=0.75, k=2.0" in repr(norms.BatchNormLrn(5))


# noise


def test_the_noise_has_the_distribution_of_the_algorithm():
    """Eight bounds of six standard errors each: right noise fails one in 60 million seeds.

    With x = 0 and x = 1 under one seed the output is m and s + m.
    """
    rows, channels = 400, 4000
    outputs = []
    for value in (0.0, 1.0):
        torch.manual_seed(0)
        outputs.append(norms.Noise()(torch.full((rows, channels), value, dtype=torch.float64)))
    m, s = outputs[0], outputs[1] - outputs[0]
    mu, sigma = m.mean(0), s.mean(0)
    assert m.max() <= 0.6
    assert m.min() >= -0.6
    assert (m - mu).abs().max() <= 0.1 + 8 * 0.1 / math.sqrt(3 * rows)  # mu is estimated
    # variances: of U(a, b) it is (b - a)²/12, and an estimate of it from n draws is off by
    # sqrt(0.8/n) of that (kurtosis 1.8); of N it is r², off by sqrt(2/n)
    for draws, mean, variance, error in (
        (mu, 0.0, 1 / 12, math.sqrt(0.8 / channels)),
        (sigma, 1.125, 0.25**2 / 12, math.sqrt(0.8 / channels)),
        (m - mu, 0.0, 0.2**2 / 12, math.sqrt(0.8 / m.numel())),
        (s - sigma, 0.0, 0.01, math.sqrt(2 / m.numel())),
    ):
        assert abs(draws.mean() - mean) <= 6 * math.sqrt(variance / draws.numel())
        # mu and sigma are means over rows, which adds or takes one part in `rows` of the noise
        spill = 0.01 / rows
        assert abs(draws.var(correction=0) - variance) <= 6 * error * variance + spill


def test_noise_changes_with_the_step_the_channel_and_the_sample():
    layer, x = norms.Noise(r_mu=0.0, r_sigma=0.0), torch.ones(4, 5, 3, 3)
    first, second = layer(x), layer(x)
    assert not torch.isclose(first, second).any()
    torch.testing.assert_close(first, first[:1, :, :1, :1].expand_as(first))  # one draw a channel
    assert len(first.unique()) == 5
    assert len(norms.Noise()(x).unique()) > 150  # of 180 values


def test_noise_is_for_training_only_and_repeats_with_the_seed():
    layer, x = norms.Noise(), torch.randn(4, 5)
    torch.manual_seed(3)
    first = layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert layer.eval()(x) is x


def test_noisy_batchnorm_is_noise_behind_a_batchnorm():
    layer, x = untrivial(norms.NoisyBatchNorm(5)), torch.randn(9, 5).double()
    torch.manual_seed(3)
    mine = results(layer, x, x)
    torch.manual_seed(3)
    theirs = results(nn.Sequential(plain(layer), norms.Noise()), x, x)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("variant", [v for n, v in VARIANTS.items() if n != "renorm"])
@pytest.mark.parametrize("shape", [(7, 2), (3, 2, 2, 2)])
def test_derivatives(variant, shape):
    """Against finite differences; renorm's gradient is not one of its output, see above."""
    layer = untrivial(variant(2, track_running_stats=True))

    def function(x, weight, bias):
        torch.manual_seed(0)
        names = [name for name, _ in layer.named_parameters()]
        parameters = dict(zip(names, (weight, bias), strict=True))
        return torch.func.functional_call(copy.deepcopy(layer), parameters, (x,))

    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert gradcheck(function, (x, *layer.parameters()))


def test_copies_of_variants_are_whole():
    for make in VARIANTS.values():
        layer, x = untrivial(make(5)).train(), torch.randn(8, 5).double()
        torch.manual_seed(0)
        expected = copy.deepcopy(layer)(x)
        torch.manual_seed(0)
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=0)


# parts of the affine map


@pytest.mark.parametrize(("scale", "bias"), [(True, False), (False, True), (False, False)])
def test_a_part_of_the_affine_map_that_is_left_out_is_a_part_that_stays_constant(scale, bias):
    layer = norms.BatchNorm2d(5, scale=scale, bias=bias)
    theirs = nn.BatchNorm2d(5)
    for name in dict(layer.named_parameters()):
        nn.init.normal_(getattr(layer, name))
        getattr(theirs, name).data.copy_(getattr(layer, name))
    assert [name for name, _ in layer.named_parameters()] == ["weight"] * scale + ["bias"] * bias
    x = torch.randn(4, 5, 3, 3)
    torch.testing.assert_close(layer(x), theirs(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.eval()(x), theirs.eval()(x), rtol=1e-5, atol=1e-5)
    layer.reset_parameters()
    assert all(p.eq(name == "weight").all() for name, p in layer.named_parameters())
    assert ("scale=False" in repr(layer)) == (not scale)


def test_affine_false_leaves_out_both_parts():
    layer = norms.BatchNorm1d(5, affine=False, scale=True, bias=True)
    assert not list(layer.parameters())
    torch.testing.assert_close(
        layer(x := torch.randn(8, 5)), F.batch_norm(x, None, None, training=True)
    )
