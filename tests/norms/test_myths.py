"""What popular notes get wrong about batch normalisation: each error is done, measured and refuted.

docs/myths.md tells the story of each; the notes N0 to N4 are named there. A test does what the note
says, shows by a number that it is wrong, and that our layer does otherwise.
"""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnbench import norms
from bnbench.models import MLP
from bnbench.norms import population

EPS = 1e-5


def column(*values):
    """One channel, one value per sample."""
    return torch.tensor(values, dtype=torch.float64).view(-1, 1)


def layer(num_features=1, **options):
    return norms.BatchNorm1d(num_features, dtype=torch.float64, **options)


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64)


def n0_batch_norm(x, gamma, beta, moving_mean, moving_var, eps, momentum):
    """N0's `batch_norm` for (N, C), statement by statement, with all of its errors."""
    if not torch.is_grad_enabled():
        x_hat = (x - moving_mean) / torch.sqrt(moving_var + eps)
    else:
        mean = x.mean(0)
        var = ((x - mean) ** 2).mean(0)
        x_hat = (x - mean) / torch.sqrt(var + eps)
        moving_mean = momentum * moving_mean + (1 - momentum) * mean
        moving_var = momentum * moving_var * (1 - momentum) * var
        y = gamma * x_hat + beta
        return y, moving_mean.data, moving_var.data
    return None  # N0 has no such line; Python does it


def n0_start():
    """gamma, beta, moving_mean and moving_var at the start."""
    one, zero = torch.ones(1).double(), torch.zeros(1).double()
    return one, zero, zero.clone(), one.clone()


# N0


def test_n0_1_a_product_in_the_moving_variance_makes_it_vanish():
    """N0: moving_var = momentum * moving_var * (1 - momentum) * var."""
    batch = column(1, 5)  # biased variance 4, unbiased 8
    gamma, beta, mean, var = n0_start()
    ours, history = layer(), {}
    for step in range(1, 101):
        _, mean, var = n0_batch_norm(batch, gamma, beta, mean, var, EPS, 0.9)
        history[step] = var.item()
        ours(batch)
    assert history[1] == pytest.approx(0.36)  # 0.9 · 0.1 · 4
    assert history[5] == pytest.approx(0.36**5)
    assert history[30] == pytest.approx(4.9e-14, rel=0.01)
    gain = 1 / (history[30] + EPS) ** 0.5
    assert gain == pytest.approx(EPS**-0.5, rel=1e-6)  # 316, whatever the data
    # above a variance of 1/(0.9 · 0.1) = 11.1 the product grows without end instead
    *_, large = n0_batch_norm(column(0, 8), gamma, beta, mean, torch.ones(1), EPS, 0.9)
    assert large.item() == pytest.approx(1.44)
    assert ours.running_var.item() == pytest.approx(8, rel=1e-3)
    at_1, at_5 = ours.eval()(batch).flatten().tolist()
    assert (at_5 - at_1) / 4 == pytest.approx(8**-0.5, rel=1e-3)


def test_n0_2_inference_returns_nothing():
    """N0: the line that computes Y, and the return, are indented into the training branch."""
    with torch.no_grad():
        assert n0_batch_norm(column(1, 5), *n0_start(), EPS, 0.9) is None
        assert layer().eval()(column(1, 5)).shape == (2, 1)


def test_n0_3_gradient_recording_is_taken_for_training():
    """N0: `torch.is_grad_enabled()` decides between batch and moving statistics."""
    x, other = column(1, 5), column(1, -3)
    # evaluation that records a gradient (a saliency map) still sees the batch
    (first, *_), (second, *_) = (n0_batch_norm(b, *n0_start(), EPS, 0.9) for b in (x, other))
    assert (first[0].item(), second[0].item()) == pytest.approx((-1, 1), rel=1e-5)
    ours = layer().eval()
    for batch in (x, other):
        assert ours(batch.requires_grad_())[0].item() == pytest.approx(1, rel=1e-5)
    # and a pass without gradients, to refresh the statistics, refreshes nothing
    gamma, beta, mean, var = n0_start()
    with torch.no_grad():
        n0_batch_norm(x, gamma, beta, mean, var, EPS, 0.9)
        ours.train()(x)
    assert (mean.item(), var.item()) == (0, 1)
    assert (ours.running_mean.item(), ours.running_var.item()) == pytest.approx((0.3, 1.7))


PAIRS = [
    column(a, b) for a in (-1, 1) for b in (-1, 1)
]  # all batches of two fair coins, variance 1


def test_n0_4_the_biased_variance_is_stored():
    """N0: the variance that normalises, with 1/m, also feeds the moving average."""
    stored = [((batch - batch.mean()) ** 2).mean().item() for batch in PAIRS]
    assert sum(stored) / len(PAIRS) == 0.5  # of a variance of 1: the factor (m - 1)/m
    ours = layer(momentum=None)
    for batch in PAIRS:
        ours(batch)
    assert ours.running_var.item() == pytest.approx(1, rel=1e-15)


def test_n0_5_momentum_means_the_opposite_in_pytorch():
    """N0: momentum is the share that is kept, 0.9; PyTorch's is the share that is taken, 0.1."""
    batch = column(9, 11)
    _, mean, _ = n0_batch_norm(batch, *n0_start(), EPS, 0.9)
    ours, reversed_ = layer(momentum=0.1), layer(momentum=0.9)
    for bn in (ours, reversed_):
        bn(batch)
    assert mean.item() == pytest.approx(1)
    assert ours.running_mean.item() == pytest.approx(1)
    assert reversed_.running_mean.item() == pytest.approx(9)

    def batches_averaged(momentum):
        """1 / Σ w² over the weights w of past batches: what an impulse leaves behind."""
        bn, weights = layer(momentum=momentum), []
        bn(column(0, 2))
        for _ in range(400):
            weights.append(bn.running_mean.item())
            bn(column(-1, 1))
        return 1 / sum(w * w for w in weights)

    assert batches_averaged(0.1) == pytest.approx(19)
    assert batches_averaged(0.9) == pytest.approx(11 / 9)


def test_n0_6_statistics_that_are_no_buffers_are_lost():
    """N0: the moving statistics are local names; keeping them is left to the caller."""

    class KeptByHand(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma, self.beta = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))
            self.moving_mean, self.moving_var = torch.zeros(1), torch.ones(1)

        def forward(self, x):
            y, self.moving_mean, self.moving_var = n0_batch_norm(
                x, self.gamma, self.beta, self.moving_mean, self.moving_var, EPS, 0.9
            )
            return y

    batch = column(1, 5).float()
    gamma, beta, mean, var = (t.float() for t in n0_start())
    n0_batch_norm(batch, gamma, beta, mean, var, EPS, 0.9)
    assert (mean.item(), var.item()) == (0, 1)  # the arguments are as they were

    theirs, ours = KeptByHand(), norms.BatchNorm1d(1)
    for bn in (theirs, ours):
        bn(batch)
    assert list(theirs.state_dict()) == ["gamma", "beta"]
    loaded = KeptByHand()
    loaded.load_state_dict(theirs.state_dict())
    assert theirs.moving_mean.item() == pytest.approx(0.3)
    assert loaded.moving_mean.item() == 0
    assert theirs.double().moving_mean.dtype == torch.float32  # .to() and .cuda() miss it too
    twin = norms.BatchNorm1d(1)
    twin.load_state_dict(ours.state_dict())
    assert twin.running_mean.item() == pytest.approx(0.3)
    assert ours.double().running_mean.dtype == torch.float64


def test_n0_7_a_batch_of_one_is_erased_in_silence():
    """N0: nothing is said of m = 1, where x - mean is 0 for every x."""
    for value in (-100, 0, 100):
        y, *_ = n0_batch_norm(column(value), *n0_start(), EPS, 0.9)
        assert y.item() == 0
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            layer()(column(value))


def test_n0_8_gamma_is_no_variance():
    """N0: gamma is the variance and beta the mean; gamma is the standard deviation."""
    ours = layer()
    nn.init.constant_(ours.weight, 3)
    nn.init.constant_(ours.bias, 2)
    y = ours(column(1, 5, 0, 10))
    assert y.mean().item() == pytest.approx(2)
    assert y.var(correction=0).item() == pytest.approx(9, rel=1e-5)  # not 3


def test_n0_9_eps_inside_the_variance_is_counted_twice():
    """N0: sigma2_B is defined with + eps, and inference adds eps to what was stored of it."""
    batch, eps = column(1, 5), 2.0
    mean, sigma2 = batch.mean(), ((batch - batch.mean()) ** 2).mean() + eps
    ours = layer(eps=eps, momentum=1.0)
    torch.testing.assert_close(ours(batch), (batch - mean) / sigma2.sqrt())  # harmless here
    assert sigma2.item() == 6  # but this is stored, of a variance of 4, and meets eps again
    assert (sigma2 + eps).rsqrt().item() == pytest.approx(0.354, abs=1e-3)
    assert sigma2.rsqrt().item() == pytest.approx(0.408, abs=1e-3)  # what inference should do
    assert ours.running_var.item() == 8  # 4 m/(m - 1), without eps


# N1


def test_n1_1_a_batch_brings_no_gamma_and_beta():
    """N1: each batch produces a new gamma and beta, so there are images / batch size sets."""
    ours, x = layer(6), 5 + 2 * normal(64, 6)
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.1)
    parameters, means = list(ours.parameters()), []
    for batch in x.split(8):
        kept = [p.detach().clone() for p in parameters]
        y = ours(batch)
        assert all(map(torch.equal, parameters, kept))  # only the optimiser moves them
        means.append(batch.mean(0))
        optimizer.zero_grad()
        y.pow(3).sum().backward()
        optimizer.step()
    assert all(a is b for a, b in zip(parameters, ours.parameters(), strict=True))
    assert sum(p.numel() for p in ours.parameters()) == 12
    assert len({tuple(mean.tolist()) for mean in means}) == 8  # it is mu_B that is new every time


def test_n1_2_what_is_averaged_is_mu_and_sigma2():
    """N1: E[x] and Var[x] are the sums of beta and gamma over the number of images, unbiased."""
    m, num_batches = 8, 50
    batches = 5 + 2 * normal(num_batches, m, 1)
    ours = layer(momentum=None)
    for batch in batches:
        ours(batch)
    gamma, beta = ours.weight.item(), ours.bias.item()
    num_images = m * num_batches
    for divisor, mean, std in ((num_images, 13.2, 5.3), (num_batches, 4.7, 1.9)):
        expectation = num_batches * beta / divisor
        variance = m / (m - 1) * num_batches * gamma / divisor
        y = (batches - expectation) / variance**0.5
        # by the data's own mean 5 and deviation 2, within the error of 400 draws
        assert y.mean().item() == pytest.approx(mean, rel=0.05)
        assert y.std().item() == pytest.approx(std, rel=0.1)
    y = ours.eval()(batches.view(-1, 1))
    assert abs(y.mean().item()) < 1e-12
    assert y.std().item() == pytest.approx(1, rel=0.05)


def test_n1_3_at_test_time_nothing_is_computed_from_the_test_data():
    """N1: for the prediction, gamma and beta are computed from the test data."""
    ours = layer()
    for _ in range(50):
        ours(5 + 2 * normal(8, 1))
    ours.eval()
    before = copy.deepcopy(ours.state_dict())
    sample, mates, others = column(6), column(5, 7, 4), column(50, 70, 40)

    def by_note(batch):
        gamma, beta = batch.std(correction=0), batch.mean()
        return gamma * (batch - ours.running_mean) / ours.running_var.sqrt() + beta

    first, second = (torch.cat([sample, rest]) for rest in (mates, others))
    assert (by_note(second)[0] - by_note(first)[0]).abs().item() > 30
    assert ours(first)[0] == ours(second)[0] == ours(sample)
    assert all(torch.equal(before[key], value) for key, value in ours.state_dict().items())


def test_n1_4_the_output_is_not_made_equal_to_the_input():
    """N1: in the forward pass, gamma and beta are used to make output and input the same."""
    x, ours = 5 + 2 * normal(200, 16, 1), layer()
    y = ours(x[0])
    assert (x[0] - y).mean().item() == pytest.approx(x[0].mean().item())  # mean 0, whatever x has
    # even a gamma and beta that undo the true mean and deviation do so on average only
    nn.init.constant_(ours.weight, 2)
    nn.init.constant_(ours.bias, 5)
    off = torch.stack([ours(batch) - batch for batch in x]) / 2
    # E (mu_B - mu)² + E (sigma_B - sigma)² = 1/m + 1/(2m) to first order, in units of sigma2
    assert off.square().mean().sqrt().item() == pytest.approx((1.5 / 16) ** 0.5, rel=0.1)


def test_n1_6_l2norm_is_no_batchnorm_and_its_axis_matters():
    """N1: SSD uses BN after block 4; it is ParseNet's L2Norm, and the code shown has other axes."""
    x = torch.rand(2, 8, 5, 5, dtype=torch.float64)  # positive, as after a ReLU
    over_channels = norms.L2Norm(8).double()(x)
    over_positions = F.normalize(x.flatten(2), dim=2).view_as(x)  # the code: axes H, W; scale 1
    torch.testing.assert_close(over_channels.norm(dim=1), torch.full((2, 5, 5), 20.0).double())
    lengths = over_positions.norm(dim=1)
    assert lengths.square().mean().item() == pytest.approx(8 / 25)  # C/(H W), and not the same
    assert lengths.max() / lengths.min() > 1.1
    # no BatchNorm: nothing is centred, and no other sample of the batch has a say
    assert over_channels.mean((0, 2, 3)).min() > 1
    torch.testing.assert_close(norms.L2Norm(8).double()(x[:1]), over_channels[:1])
    ours = norms.BatchNorm2d(8, dtype=torch.float64)
    assert ours(x).mean((0, 2, 3)).abs().max() < 1e-12
    assert (ours(x[:1]) - ours(x)[:1]).abs().max() > 0.1


def test_n1_7_the_parameters_without_sharing_are_miscounted():
    """N1: BN of six maps of 100×100 without sharing has 6×100×100 gamma and beta (a × is lost)."""
    flat = norms.BatchNorm1d(6 * 100 * 100)
    assert sum(p.numel() for p in flat.parameters()) == 2 * 6 * 100 * 100 == 120_000
    assert sum(p.numel() for p in norms.BatchNorm2d(6).parameters()) == 12


# N3; N2 has no error that a layer alone can show


def one_step(m=16, num_features=3, eps=EPS):
    """z, dy and gamma, and the gradients of our layer: dz, dgamma, dbeta."""
    z, dy = (3 + 2 * normal(m, num_features)).requires_grad_(), normal(m, num_features)
    ours = layer(num_features, eps=eps)
    nn.init.normal_(ours.weight)
    gradients = torch.autograd.grad(ours(z), [z, ours.weight, ours.bias], dy)
    return z.detach(), dy, ours.weight.detach(), gradients


def test_n3_1_dgamma_and_dbeta_are_sums_over_the_batch():
    """N3: dgamma is dz_hat times z_norm, dbeta is dz_hat, for one sample i."""
    z, dy, _, (_, dgamma, dbeta) = one_step()
    z_norm = (z - z.mean(0)) / (z.var(0, correction=0) + EPS).sqrt()
    assert (dy * z_norm).shape == (16, 3)  # 16 gradients for each gamma
    torch.testing.assert_close((dy * z_norm).sum(0), dgamma)
    torch.testing.assert_close(dy.sum(0), dbeta)
    ours = layer()
    ours(normal(16, 1)).sum().backward()
    assert ours.bias.grad.item() == 16  # where the note has 1


def test_n3_2_the_gradient_does_not_stop_at_mu_and_sigma2():
    """N3: the derivation ends with dmu and dsigma2, and dmu lacks the way over sigma2."""
    z, dy, gamma, (dz, *_) = one_step(eps=1e-2)
    m, mu, variance = len(z), z.mean(0), z.var(0, correction=0) + 1e-2
    dz_norm = dy * gamma
    dsigma2 = (dz_norm * (z - mu) * -0.5 * variance**-1.5).sum(0)
    dmu = (dz_norm * -(variance**-0.5)).sum(0)
    lacking = dsigma2 * (-2 * (z - mu)).mean(0)
    assert lacking.abs().max() < 1e-13  # the term that N3 omits is 0, so its dmu is right
    direct = dz_norm * variance**-0.5
    torch.testing.assert_close(direct + dsigma2 * 2 * (z - mu) / m + dmu / m, dz)
    # without the two ways over mu and sigma2 the gradient points where BN does not let x go
    z_norm = (z - mu) * variance**-0.5
    leaf = z.clone().requires_grad_()
    (along,) = torch.autograd.grad(layer(3, eps=1e-2)(leaf), leaf, z_norm)
    assert (z_norm * variance**-0.5).abs().max() > 0.5
    assert along.abs().max() < 0.01  # what eps leaves of 0


def test_n3_3_the_bias_before_bn_is_no_parameter():
    """N3: what is learned in a layer is W and b, and gamma and beta too."""
    linear, ours = nn.Linear(6, 3, dtype=torch.float64), layer(3)
    x, dy = normal(16, 6), normal(16, 3)
    y = ours(linear(x))
    (db,) = torch.autograd.grad(y, linear.bias, dy)
    assert db.abs().max() < 1e-14
    nn.init.constant_(linear.bias, 100)
    torch.testing.assert_close(ours(linear(x)), y)
    net = MLP((1, 8, 8), 10, widths=[100], norm=norms.BatchNorm1d)
    assert [name for name, _ in net.blocks.named_parameters()] == [
        *("0.weights.weight", "0.norm.weight", "0.norm.bias")
    ]


def test_n3_5_a_moving_average_of_biased_variances_stays_biased():
    """N3: sigma2_t = beta_2 sigma2_{t-1} + (1 - beta_2) sigma2_B, for as long as one likes."""
    sigma2, ours = 1.0, layer(momentum=0.01)
    for batch in PAIRS * 500:
        sigma2 = 0.99 * sigma2 + 0.01 * batch.var(correction=0).item()
        ours(batch)
    assert sigma2 == pytest.approx(0.5, rel=0.02)  # the ripple of the last batches
    coin = column(-1, 1)
    assert (coin / sigma2**0.5).std(correction=0).item() == pytest.approx(2**0.5, rel=0.01)
    assert ours.eval()(coin).std(correction=0).item() == pytest.approx(1, rel=0.01)


# N4


def test_n4_2_the_moving_average_is_no_average_over_training():
    """N4: the global mean and variance are the moving average over all training batches."""
    ours, means = layer(), [k / 10 for k in range(1, 101)]  # the weights move, and the mean with it
    for mean in means:
        ours(column(mean - 1, mean + 1))
    assert ours.running_mean.item() == pytest.approx(9.1, rel=1e-4)  # 9 batches behind
    assert sum(means) / len(means) == pytest.approx(5.05)  # the average over training
    # Algorithm 2 averages after training, with the weights that are used
    final = [column(9, 11)] * 4
    with population(ours, "precise", final):
        assert ours(column(10)).item() == 0
    ours.reset_running_stats()
    ours.momentum = None
    for batch in final:
        ours(batch)
    assert ours.running_mean.item() == pytest.approx(10)


def test_n4_3_the_variance_is_below_one():
    """N4: normalisation gives mean 0 and variance 1 (N0 and N3 say so too)."""
    x = column(-1, 1)
    for sigma, variance in ((1.0, 1 / (1 + EPS)), (EPS**0.5, 1 / 2), (1e-3, 1 / 11)):
        y = layer()(sigma * x)
        assert y.var(correction=0).item() == pytest.approx(variance, rel=1e-9)
