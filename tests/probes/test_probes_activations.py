"""Distributions before the activation, by numpy and scipy and by values set by hand."""

import doctest
import math
import sys
from collections import OrderedDict
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from probed_nets import Net
from torch import nn

from bnbench.models import MLP, VGG
from bnbench.norms import NORMS
from bnbench.probes import Batch
from bnbench.probes.activations import (
    BINS,
    Drift,
    activations,
    affine,
    conditioning,
    histogram,
    kolmogorov_smirnov,
    percentiles,
    saturation,
    standardised,
    variance,
)

# where a derivative is a fifth of its maximum: 4 σ(1 - σ) = 1 - tanh(x/2)² = 1/5
EDGE = 2 * math.atanh(math.sqrt(0.8))


def identity(activation=nn.Identity, width=4):
    """A net whose only block hands its input to the activation as it is."""
    model = Net(width, width, 2, activation=activation)
    nn.init.eye_(model.blocks[0].weights.weight)
    return model


def of(images):
    images = torch.as_tensor(images, dtype=torch.float64)
    return Batch(images, torch.zeros(len(images), dtype=torch.long), 0.1, images)


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(st.integers(1, 4), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_percentiles_are_numpys(units, count, seed):
    x = np.random.default_rng(seed).standard_cauchy((units, count))
    found = percentiles(torch.from_numpy(x).sort().values).numpy()
    assert found == pytest.approx(np.percentile(x, [15, 50, 85], axis=1), rel=1e-12, abs=1e-14)


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_the_distance_of_two_samples_is_scipys(n, m, distinct, seed):
    """Few distinct values: there are ties within and between the samples."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, distinct, (3, n)) / 1.0, rng.integers(0, distinct, (3, m)) / 1.0
    found = kolmogorov_smirnov(*(torch.from_numpy(x).sort().values for x in (a, b)))
    expected = [scipy.stats.ks_2samp(*pair).statistic for pair in zip(a, b, strict=True)]
    assert found.numpy() == pytest.approx(np.array(expected), abs=1e-15)


def test_a_constant_unit_has_the_shape_of_a_point():
    """Its mean has no rounding in float64, so nothing is left that would be blown up."""
    x = torch.tensor([[0.1] * 1000, [0.7] * 1000])
    assert standardised(x).tolist() == [[0.0] * 1000] * 2
    y = standardised(torch.rand(3, 50) * 5 + 2)
    assert y.mean(1).numpy() == pytest.approx(np.zeros(3), abs=1e-14)
    assert y.square().mean(1).numpy() == pytest.approx(np.ones(3), rel=1e-13)


def test_activations_of_each_layer(batch):
    model = Net(4, 5, 3, 2, activation=nn.Tanh)
    values = activations(model, batch)
    x = batch.images.numpy()
    for layer, block in enumerate(model.blocks, 1):
        before = x @ block.weights.weight.detach().numpy().T
        of_units = np.percentile(before, [15, 50, 85], axis=0).mean(1)
        expected = [before.mean(), before.std(), *of_units]
        metrics = ["preactivation_mean", "preactivation_std", "p15", "p50", "p85"]
        found = [values[str(layer), metric] for metric in metrics]
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)
        x = np.tanh(before)
    assert len(values) == 10


def test_a_unit_of_a_convolution_is_a_channel_with_all_its_locations():
    model = VGG((1, 4, 4), 10, widths=[3], norm=None).double()
    images = torch.randn(6, 1, 4, 4, dtype=torch.float64)
    values = activations(model, Batch(images, torch.zeros(6, dtype=torch.long), 0.1, images))
    before = model.features[0].weights(images).detach().transpose(0, 1).reshape(3, -1).numpy()
    expected = np.percentile(before, [15, 50, 85], axis=1).mean(1)
    assert [values["1", p] for p in ("p15", "p50", "p85")] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("activation", "edges", "share"),
    [
        (nn.Sigmoid, [-EDGE, EDGE], 0.5),
        (nn.Tanh, [-EDGE / 2, EDGE / 2], 0.5),
        (nn.ReLU, [0.0, 0.0], 0.5),
    ],
)
def test_saturation_of_values_set_by_hand(activation, edges, share):
    low, high = edges
    inside = [low + 1e-9, high - 1e-9] if low < high else [1e-9, 30.0]
    outside = [low - 1e-9, high + 1e-9] if low < high else [-1e-9, 0.0]
    values = saturation(identity(activation), of([[*inside, *outside]]))
    assert values == {("1", "saturation"): share}
    far = [[*inside, *inside]] * 3 + [[*inside, *outside]]
    assert saturation(identity(activation), of(far))["1", "saturation"] == 2 / 16


def test_the_edge_of_the_sigmoid_is_a_derivative_of_a_twentieth():
    s = 1 / (1 + math.exp(-EDGE))
    assert s * (1 - s) == pytest.approx(0.05, rel=1e-12)


def test_gamma_is_the_mean_size_of_a_norms_weights():
    model = identity(nn.Sigmoid)
    model.blocks[0] = nn.Sequential(
        OrderedDict(
            weights=model.blocks[0].weights,
            norm=nn.LayerNorm(4, dtype=torch.float64),
            activation=nn.Sigmoid(),
        )
    )
    with torch.no_grad():
        model.blocks[0].norm.weight.copy_(torch.tensor([-2.0, 1.0, 0.0, 3.0]))
    assert saturation(model, of(torch.randn(5, 4)))["1", "gamma"] == 1.5
    model.blocks[0].norm = nn.LayerNorm(4, elementwise_affine=False, dtype=torch.float64)
    assert ("1", "gamma") not in saturation(model, of(torch.randn(5, 4)))


def test_drift_of_distributions_that_are_only_moved():
    """Each unit is moved by its own distance: the medians follow and the shape stays."""
    x = np.random.default_rng(0).normal(size=(400, 4)) * [1, 2, 3, 4]
    moves = np.array([0.5, -1.0, 0.0, 2.5])
    drift, model = Drift(), identity()
    assert drift(model, of(x)) == {}
    values = drift(model, of(x + moves))
    low, high = np.percentile(x, [15, 85], axis=0)
    assert values["1", "drift"] == pytest.approx(4 / 4 / (high - low).mean(), rel=1e-12)
    assert values["1", "drift_shape"] <= 1 / 400  # rounding may swap neighbours


def test_drift_of_other_distributions_is_scipys():
    """Against the last point, not against the first."""
    rng = np.random.default_rng(1)
    first, last = rng.normal(size=(300, 4)), rng.gumbel(size=(300, 4)) * [1, 2, 3, 4]
    now = rng.exponential(size=(300, 4)) * [4, 3, 2, 1]
    drift, model = Drift(), identity()
    for x in (first, last):
        drift(model, of(x))
    values = drift(model, of(now))
    shapes = [
        scipy.stats.ks_2samp(scipy.stats.zscore(a), scipy.stats.zscore(b)).statistic
        for a, b in zip(last.T, now.T, strict=True)
    ]
    assert values["1", "drift_shape"] == pytest.approx(np.mean(shapes), abs=1e-14)
    then, here = (np.percentile(x, [15, 50, 85], axis=0) for x in (last, now))
    spread = ((then[2] - then[0]) + (here[2] - here[0])) / 2
    expected = np.abs(here[1] - then[1]).mean() / spread.mean()
    assert values["1", "drift"] == pytest.approx(expected, rel=1e-12)
    again = drift(model, of(now))
    assert again == {("1", "drift"): 0.0, ("1", "drift_shape"): 0.0}


def test_drift_looks_at_the_reference_images(batch):
    drift, model = Drift(), identity()
    drift(model, batch)
    other = replace(batch, images=batch.images + 1)
    assert drift(model, other)["1", "drift"] == 0


def test_a_layer_with_an_infinite_value_is_not_a_number():
    images = torch.randn(5, 4)
    broken = images.clone()
    broken[2, 1] = math.inf
    for probe in (activations, saturation):
        assert all(map(math.isnan, probe(identity(nn.Sigmoid), of(broken)).values()))
    drift, model = Drift(), identity()
    drift(model, of(images))
    assert all(map(math.isnan, drift(model, of(broken)).values()))
    assert drift(model, of(images)) == {}  # there is nothing to compare with
    assert drift(model, of(images))["1", "drift"] == 0


def test_the_examples_hold():
    assert doctest.testmod(sys.modules["bnbench.probes.activations"]).failed == 0


def test_a_histogram_by_hand():
    """Bins have their lower edge and lack their upper; what is beyond has a bin on either side."""
    model = identity(width=1)
    values = [-9.0, -8.0, -7.76, -7.75, -0.01, 0.0, 0.2, 7.99, 8.0, 100.0]
    found = histogram(model, of([[value] for value in values]))
    assert len(found) == BINS + 2
    counts = {int(metric[-2:]): round(10 * share) for (_, metric), share in found.items() if share}
    assert counts == {0: 1, 1: 2, 2: 1, 32: 1, 33: 2, 64: 1, 65: 2}


def test_histograms_are_numpys_and_of_the_reference():
    model, x = identity(), torch.randn(50, 4, dtype=torch.float64) * 3
    found = histogram(model, replace(of(x), images=torch.zeros(1, 4, dtype=torch.float64)))
    inner, _ = np.histogram(x, bins=np.linspace(-8, 8, 65))
    assert [found["1", f"share_{k:02}"] for k in range(1, 65)] == pytest.approx(list(inner / 200))
    assert sum(found.values()) == pytest.approx(1)


def test_a_value_that_is_not_finite_has_no_histogram():
    found = histogram(identity(), of([[math.nan, 0, 0, 0]]))
    assert all(map(math.isnan, found.values()))


@pytest.mark.parametrize("holds", [False, True])
def test_the_variance_in_evaluation_over_the_running_one(holds):
    """By numpy: the second norm sees the first block in evaluation mode, without its dropout."""
    torch.manual_seed(0)
    made = NORMS["ghost_batchnorm" if holds else "batchnorm"]
    options = {"ghost_size": 4} if holds else {}
    norm = partial(made, spatial_dims=0, **options)
    model = MLP((1, 2, 2), 3, widths=[5, 6], dropout=0.5, norm=norm).double()
    images = torch.randn(40, 1, 2, 2, dtype=torch.float64)
    for _ in range(3):
        model(images)  # moves the running statistics
    x, expected = images.flatten(1).numpy(), {}
    for layer, each in enumerate(model.blocks, 1):
        state = {k: v.detach().numpy() for k, v in each.state_dict().items()}
        bias = state.get("weights.bias", 0.0)
        z = x @ state["weights.weight"].T + bias
        name = next(k for k in state if k.endswith("running_var"))
        mean, var = state[name.replace("var", "mean")], state[name]
        expected[str(layer), "variance_ratio"] = z.var(axis=0, ddof=1).sum() / var.sum()
        x = np.maximum((z - mean) / np.sqrt(var + 1e-5), 0)
    batch = Batch(images[:8], torch.zeros(8, dtype=torch.long), 0.1, images)
    assert model.training
    found = variance(model, batch)
    assert model.training
    assert found == pytest.approx(expected, rel=1e-12)
    assert set(found) == {("1", "variance_ratio"), ("2", "variance_ratio")}


def test_dropout_shifts_the_variance_by_what_its_noise_adds():
    """Of m/q with P(m = 1) = q the noise adds (1/q - 1) Σ w² E[x²], whatever the mean."""
    torch.manual_seed(0)
    model = MLP(
        (1, 1, 4),
        2,
        widths=[4, 3],
        dropout=0.5,
        norm=partial(NORMS["torch_batchnorm"], spatial_dims=0, momentum=None),
    )
    model.double()
    with torch.no_grad():
        model.blocks[0].weights.weight.copy_(torch.eye(4))
        model.blocks[0].norm = nn.Identity()
    images = 1 + torch.rand(20_000, 1, 1, 4, dtype=torch.float64)  # positive: ReLU changes nothing
    with torch.no_grad():
        for _ in range(30):
            model(images)
    weight = model.blocks[1].weights.weight.detach()
    plain = weight.square().sum().item() / 12  # of uniform values of width 1
    noise = weight.square().sum().item() * (1 / 12 + 1.5**2)
    batch = Batch(images[:8], torch.zeros(8, dtype=torch.long), 0.1, images)
    # variances of 20,000 values, a standard error of 1 % at most; the running one of 600,000
    found = variance(model, batch)
    assert found == {("2", "variance_ratio"): pytest.approx(plain / (plain + noise), rel=0.04)}


def test_norms_without_running_statistics_have_no_variance_to_compare_with():
    model = MLP((1, 2, 2), 3, widths=[5], norm=partial(NORMS["layernorm"], spatial_dims=0))
    images = torch.randn(8, 1, 2, 2)
    batch = Batch(images, torch.zeros(8, dtype=torch.long), 0.1, images)
    other = MLP((1, 2, 2), 3, widths=[5], norm=None)
    for probe in (variance, affine):
        assert probe(model, batch) == probe(other, batch) == {}


def normalised_net(name="batchnorm", **options):
    """A net of two blocks whose second norm has weights and biases far from 1 and 0."""
    norm = partial(NORMS[name], spatial_dims=0, **options)
    model = MLP((1, 2, 2), 3, widths=[6, 5], norm=norm).double()
    with torch.no_grad():
        for parameter in model.blocks.parameters():
            parameter.copy_(1.5 * torch.randn_like(parameter))
    images = 2 + 3 * torch.randn(40, 1, 2, 2, dtype=torch.float64)
    return model, Batch(images[:8], torch.zeros(8, dtype=torch.long), 0.1, images)


def maps(model, batch):
    """Input and output of each norm in training mode on the reference images, (N, units)."""
    found = []
    hooks = [
        block.norm.register_forward_hook(lambda _, args, y: found.append((args[0], y)))
        for block in model.blocks
    ]
    with torch.no_grad():
        model.train()(batch.reference)
    for hook in hooks:
        hook.remove()
    return [(x.numpy(), y.numpy()) for x, y in found]


@pytest.mark.parametrize("name", ["batchnorm", "torch_batchnorm", "ghost_batchnorm"])
def test_the_distance_is_how_far_a_norm_takes_what_it_is_given(name):
    """The root mean square of output minus input in units of sigma, from a pass through the net."""
    options = {"ghost_size": 40} if name == "ghost_batchnorm" else {}
    model, batch = normalised_net(name, eps=1e-12, **options)
    found, expected = affine(model, batch), {}
    for layer, (x, y) in enumerate(maps(model, batch), 1):
        each = np.sqrt(((y - x) ** 2).mean(0)) / x.std(0)
        expected[str(layer), "identity_distance"] = np.median(each)
        plain = (x - x.mean(0)) / x.std(0)
        each = np.sqrt(((plain - x) ** 2).mean(0)) / x.std(0)
        expected[str(layer), "identity_distance_unlearned"] = np.median(each)
    assert found == pytest.approx(expected, rel=1e-9)
    assert len({round(value, 3) for value in found.values()}) == 4


def test_the_distance_is_0_where_gamma_and_beta_undo_the_norm():
    """With eps that counts; and 1 and 0 there, the control, are as far as they were."""
    model, batch = normalised_net(eps=0.3)
    for layer, block in enumerate(model.blocks):
        x, _ = maps(model, batch)[layer]  # of the net whose norms below are undone already
        with torch.no_grad():
            block.norm.weight.copy_(torch.from_numpy(np.sqrt(x.var(0) + 0.3)))
            block.norm.bias.copy_(torch.from_numpy(x.mean(0)))
    for x, y in maps(model, batch):
        assert y == pytest.approx(x, rel=1e-12, abs=1e-12)
    undone = affine(model, batch)
    for layer, (x, _) in enumerate(maps(model, batch), 1):
        assert undone[str(layer), "identity_distance"] == pytest.approx(0, abs=1e-12)
        sigma = np.sqrt(x.var(0) + 0.3)
        each = np.hypot(1 / sigma - 1, x.mean(0) / sigma)
        unlearned = undone[str(layer), "identity_distance_unlearned"]
        assert unlearned == pytest.approx(np.median(each), rel=1e-12)
        assert unlearned > 0.5
    with torch.no_grad():
        model.blocks[1].norm.weight.fill_(1)
        model.blocks[1].norm.bias.fill_(0)
    control = affine(model, batch)
    assert control["2", "identity_distance"] == control["2", "identity_distance_unlearned"]
    assert control["2", "identity_distance"] == undone["2", "identity_distance_unlearned"]


def test_a_norm_without_gamma_and_beta_has_1_and_0():
    model, batch = normalised_net(affine=False)
    for layer in ("1", "2"):
        found = affine(model, batch)
        assert found[layer, "identity_distance"] == found[layer, "identity_distance_unlearned"] > 0


# conditioning: of the second moments of what enters a layer's weights


def test_conditioning_is_that_of_second_moments_that_are_known():
    """Inputs of moments S, exactly, through W and V: layer 2 sees WSWᵀ, the head VWSWᵀVᵀ."""
    moments = torch.diag(torch.tensor([9.0, 4.0, 1.0, 0.25], dtype=torch.float64))
    axes = torch.linalg.qr(torch.randn(50, 4, dtype=torch.float64)).Q * math.sqrt(50)
    model = Net(4, 3, 5, 2)
    seen = [moments]
    for block in model.blocks:
        weight = block.weights.weight.detach()
        seen.append(weight @ seen[-1] @ weight.T)
    eigenvalues = [torch.linalg.eigvalsh(one) for one in seen[1:]]
    expected = [(e[-1] / e.mean()).item() for e in eigenvalues]
    assert conditioning(model, of(axes @ moments.sqrt())) == {
        ("2", "conditioning"): pytest.approx(expected[0]),
        ("head", "conditioning"): pytest.approx(expected[1]),
    }


def test_conditioning_is_between_1_and_the_number_of_units():
    """Not of the deviations from a mean: equal images are one direction."""
    model = identity(width=4)
    even = conditioning(model, of(torch.eye(4)))
    assert even == {("head", "conditioning"): pytest.approx(1)}
    alike = conditioning(model, of(torch.tensor([[1.0, 2.0, -3.0, 4.0]]).repeat(6, 1)))
    assert alike == {("head", "conditioning"): pytest.approx(4)}


def test_a_place_of_an_image_is_a_sample_of_the_conditioning_of_a_convolution():
    model = VGG((1, 4, 4), 10, widths=[3, 5], norm=None)
    images = torch.randn(6, 1, 4, 4)
    found = conditioning(model, Batch(images, torch.zeros(6).long(), 0.1, images))
    with torch.no_grad():
        x = model.features[:2](images)  # the first block and its pool
    x = x.transpose(0, 1).flatten(1).double()
    eigenvalues = torch.linalg.eigvalsh(x @ x.T / x.shape[1])
    expected = (eigenvalues[-1] / eigenvalues.mean()).item()
    assert found["2", "conditioning"] == pytest.approx(expected, rel=1e-5)


def test_inputs_that_are_not_finite_have_no_conditioning():
    images = torch.eye(4)
    images[0, 0] = math.inf
    assert math.isnan(conditioning(identity(), of(images))["head", "conditioning"])
