"""The numbers of every population policy, against closed forms written down anew in float64."""

import math
import sys
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bnbench import norms
from bnbench.config.schema import Policy
from bnbench.norms import population
from bnbench.norms.population import POLICIES

EXACT = ["precise", "adabn"]
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)  # ours are derived from them


def make(kind, family, seed=0):
    torch.manual_seed(seed)
    if kind == "layer":
        net = nn.Sequential(family.BatchNorm1d(4))
    else:  # three layers of two kinds, with dropout and curvature between them
        net = nn.Sequential(
            nn.Linear(4, 6),
            family.BatchNorm1d(6),
            nn.Tanh(),
            nn.Dropout(0.3),
            nn.Unflatten(1, (2, 3, 1)),
            nn.Conv2d(2, 3, 1),
            family.BatchNorm2d(3),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(9, 4),
            family.BatchNorm1d(4),
        )
    return net.double()


def draw(*shape, seed=7, offset=0.0):
    generator = torch.Generator().manual_seed(seed)
    return offset + 2 * torch.randn(*shape, generator=generator, dtype=torch.float64)


def per_channel(x):
    """(C, m): the values of each channel of (N, C, *)."""
    return x.transpose(0, 1).flatten(1)


def mean_and_var(values, correction=0):
    mean = values.mean(1)
    squares = (values - mean[:, None]).square().sum(1)
    return mean, squares / (values.shape[1] - correction)


def normalised(layer, x, mean, var):
    shape = (1, -1, *[1] * (x.dim() - 2))
    x_hat = (x - mean.view(shape)) / (var.view(shape) + layer.eps).sqrt()
    return x_hat * layer.weight.view(shape) + layer.bias.view(shape)


def averages(batches):
    """E_B[mu_B] and E_B[sigma2_B m/(m - 1)]."""
    mus, sigma2s = zip(*(mean_and_var(values, correction=1) for values in batches), strict=True)
    return torch.stack(mus).mean(0), torch.stack(sigma2s).mean(0)


def algorithm_2(batches):
    """As the paper has it: the factor m/(m - 1) in front of the average."""
    m = batches[0].shape[1]
    mus, sigma2s = zip(*(mean_and_var(values) for values in batches), strict=True)
    return torch.stack(mus).mean(0), m / (m - 1) * torch.stack(sigma2s).mean(0)


def closed_form(net, policy, data, x, running, prior=16.0):
    """What `net` gives for x, layer after layer, with the statistics of the policy."""
    data, running = list(data), iter(running)
    for module in net:
        if not isinstance(module, BATCH_NORMS):
            data, x = [module(batch) for batch in data], module(x)
            continue
        batches = [per_channel(batch) for batch in data]
        source, target = next(running), mean_and_var(per_channel(x))
        n = len(x)
        mean, var = {
            "ema": lambda source=source: source,
            "cumulative": lambda batches=batches: averages(batches),
            "algorithm2": lambda batches=batches: algorithm_2(batches),
            "precise": lambda batches=batches: mean_and_var(torch.cat(batches, 1)),
            "adabn": lambda batches=batches: mean_and_var(torch.cat(batches, 1)),
            "batch": lambda target=target: target,
            "blend": lambda source=source, target=target, n=n: [
                prior / (prior + n) * s + n / (prior + n) * t
                for s, t in zip(source, target, strict=True)
            ],
        }[policy]()
        x = normalised(module, x, mean, var)
        own = [mean_and_var(values) for values in batches]
        data = [
            normalised(module, batch, *((mean, var) if policy in EXACT else statistics))
            for batch, statistics in zip(data, own, strict=True)
        ]
    return x


def trained(net, steps, offset):
    """Train for some steps; the running statistics of each layer, from their definition."""
    layers = [module for module in net if isinstance(module, BATCH_NORMS)]
    running = [(torch.zeros_like(x.bias), torch.ones_like(x.bias)) for x in layers]

    def note(k, x):
        new = mean_and_var(per_channel(x.detach()), correction=1)
        running[k] = tuple(0.9 * r + 0.1 * s for r, s in zip(running[k], new, strict=True))

    hooks = [
        layer.register_forward_pre_hook(lambda _, args, k=k: note(k, args[0]))
        for k, layer in enumerate(layers)
    ]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        net(draw(12, 4, seed=step, offset=offset)).pow(4).mean().backward()
        optimizer.step()
    for hook in hooks:
        hook.remove()
    return running


@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize(("kind", "offset"), [("layer", 0.0), ("layer", 1e4), ("net", 0.0)])
@pytest.mark.parametrize("family", [norms, nn], ids=["ours", "torch"])
@pytest.mark.parametrize("policy", POLICIES)
def test_evaluation_is_the_closed_form(policy, family, kind, offset, steps):
    net = make(kind, family).train()
    running = trained(net, steps, offset)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    x, data = draw(10, 4, offset=offset + 1), draw(24, 4, seed=8, offset=offset).split(8)
    net.eval()
    if policy == "adabn":
        data = x.split(3)
    with population(net, policy, data), torch.no_grad():
        y = net(x)
        assert all(m.momentum == 0.1 for m in net if isinstance(m, BATCH_NORMS))
    with torch.no_grad():
        expected = closed_form(net, policy, data, x, running)
    # sums of some 10 values; a mean of 10,000 is known to 2e-12, as is every x
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12 + 1e-14 * offset)
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())


def test_the_policies_of_configurations_are_those_of_the_layers():
    assert [*POLICIES, "recalibrated"] == [policy.value for policy in Policy]


@given(
    cuts=st.sets(st.integers(1, 29), max_size=6),
    offset=st.floats(-1e4, 1e4),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("family", [norms, nn], ids=["ours", "torch"])
@pytest.mark.parametrize("kind", ["layer", "net"])
def test_exact_statistics_do_not_depend_on_the_split(kind, family, cuts, offset, order):
    """Neither on how data is cut, down to single images, nor on the order of the batches."""
    net = make(kind, family).eval()
    data = draw(30, 4, offset=offset)
    batches = [data[start:end] for start, end in pairwise([0, *sorted(cuts), 30])]
    order.shuffle(batches)
    with torch.no_grad():
        with population(net, "precise", [data]):
            whole = net(data)
        with population(net, "precise", batches):
            torch.testing.assert_close(net(data), whole, rtol=1e-11, atol=1e-10)


@given(cuts=st.sets(st.integers(1, 31), max_size=6), offset=st.floats(-1e4, 1e4))
@settings(max_examples=30, deadline=None)
def test_exact_statistics_in_single_precision(cuts, offset):
    x = draw(32, 4).float() + offset
    batches = [x[start:end] for start, end in pairwise([0, *sorted(cuts), 32])]
    layer = norms.BatchNorm1d(4, affine=False, eps=1e-12)
    with population(layer, "precise", batches):
        y = layer(x).double()
    # the merged mean is rounded once, to float32; sums of 32 values about 2 are, a few times each
    rounding = (40 + abs(offset)) * torch.finfo(torch.float32).eps
    assert (y.mean(0) * x.double().std(0)).abs().max() <= rounding
    torch.testing.assert_close(y.var(0, correction=0), torch.ones(4).double(), rtol=3e-6, atol=0)


def test_large_batches_are_measured_in_slices(monkeypatch):
    monkeypatch.setattr(sys.modules[population.__module__], "CACHED_VALUES", 30)
    test_evaluation_is_the_closed_form("precise", norms, "net", 0.0, 1)


def statistics(policy, data):
    """The mean and the variance that a policy has of one channel."""
    layer = norms.BatchNorm1d(1, affine=False, eps=1e-12, dtype=torch.float64)
    with population(layer, policy, data):
        at_0, at_1 = layer(torch.tensor([[0.0], [1.0]], dtype=torch.float64)).flatten().tolist()
    return -at_0 / (at_1 - at_0), (at_1 - at_0) ** -2


def test_estimates_worked_out_by_hand():
    data = [torch.tensor([[0.0], [2.0]]).double(), torch.tensor([[4.0], [10.0]]).double()]
    # batch means 1 and 7, biased variances 1 and 9; all values: mean 4, squares 16 + 4 + 0 + 36
    assert statistics("algorithm2", data) == pytest.approx((4, 2 * 5))
    assert statistics("cumulative", data) == pytest.approx((4, (2 + 18) / 2))
    assert statistics("precise", data) == pytest.approx((4, 56 / 4))


@pytest.mark.parametrize(
    ("policy", "sizes"),
    [("algorithm2", [8] * 4), ("cumulative", [8] * 4), ("cumulative", [9, 20, 3])],
)
@pytest.mark.parametrize("family", [norms, nn], ids=["ours", "torch"])
def test_averages_are_those_of_torch_without_momentum(policy, sizes, family):
    net, data = make("net", family), draw(32, 4).split(sizes)
    net.eval()
    with population(net, policy, data), torch.no_grad():
        y = net(draw(9, 4, seed=1))
    for layer in (module for module in net if isinstance(module, BATCH_NORMS)):
        layer.reset_running_stats()
        layer.momentum = None
        layer.train()
    with torch.no_grad():
        for batch in data:
            net(batch)
        torch.testing.assert_close(net.eval()(draw(9, 4, seed=1)), y, rtol=1e-12, atol=1e-12)


def test_class_sorted_batches_hide_the_variance_between_classes():
    """E3: on iid batches both estimates agree; on sorted ones Algorithm 2 sees within classes."""
    torch.manual_seed(0)
    labels = torch.arange(4000) % 10
    x = (labels + 0.5 * torch.randn(4000)).double()[:, None]
    within, between = 0.25, 99 / 12  # the variance of 0, …, 9 is (100 - 1)/12
    mixed, sorted_by_class = x[torch.randperm(4000)].split(100), x[labels.argsort()].split(100)
    precise = statistics("precise", mixed)
    assert statistics("precise", sorted_by_class) == pytest.approx(precise, rel=1e-12)
    assert precise[1] == pytest.approx(within + between, rel=0.01)
    assert statistics("algorithm2", mixed) == pytest.approx(precise, rel=0.01)
    mean, var = statistics("algorithm2", sorted_by_class)
    assert mean == pytest.approx(precise[0], rel=1e-12)
    assert var - precise[1] < -0.9 * between


@pytest.mark.parametrize("family", [norms, nn], ids=["ours", "torch"])
def test_blend_runs_from_the_batch_to_the_running_statistics(family):
    net, x = make("net", family).eval(), draw(10, 4)
    outputs = {}
    with torch.no_grad():
        for policy in ("ema", "batch"):
            with population(net, policy):
                outputs[policy] = net(x)
        for prior, policy in ((0.0, "batch"), (math.inf, "ema")):
            with population(net, "blend", prior=prior):
                assert torch.equal(net(x), outputs[policy])


def test_blend_takes_a_single_image():
    layer = norms.BatchNorm1d(2, affine=False, eps=1e-12, dtype=torch.float64)
    x = torch.tensor([[4.0, -2.0]]).double()
    with population(layer, "blend", prior=3.0):
        y = layer(x)
    # 3/4 of (0, 1) and 1/4 of (x, 0)
    torch.testing.assert_close(y, 0.75 * x / math.sqrt(0.75), rtol=1e-12, atol=0)


def about(x, mean):
    return (x - mean.view(1, -1, *[1] * (x.dim() - 2))).abs()


class L1(norms.BatchNorm1d):
    def population_variance(self, inputs, mean):
        values = torch.cat([per_channel(about(x, mean)) for x in inputs], 1)
        return math.pi / 2 * values.mean(1).square()


class LInf(norms.BatchNorm1d):
    def population_variance(self, inputs, mean):
        peaks = [per_channel(about(x, mean)).amax(1) for x in inputs]
        return torch.stack(peaks).amax(0).square()


SPREAD = {
    L1: lambda values: math.pi / 2 * (values - values.mean(1, keepdim=True)).abs().mean(1) ** 2,
    LInf: lambda values: (values - values.mean(1, keepdim=True)).abs().amax(1) ** 2,
}


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "ema"])
@pytest.mark.parametrize("layer_class", SPREAD)
def test_a_layer_class_says_what_its_variance_is(layer_class, policy):
    """In a net of two layers; exact statistics are about the mean of the whole set."""
    torch.manual_seed(0)
    net = nn.Sequential(layer_class(4), nn.Linear(4, 5), nn.Tanh(), layer_class(5)).double().eval()
    x, batches = draw(10, 4, offset=1), draw(24, 4, seed=8).split(8)
    data = x.split(3) if policy == "adabn" else batches
    with population(net, policy, data, prior=6.0), torch.no_grad():
        y = net(x)
    target, given = x, list(data)
    with torch.no_grad():
        for module in net:
            if not isinstance(module, layer_class):
                target, given = module(target), [module(batch) for batch in given]
                continue
            own = [(per_channel(b).mean(1), SPREAD[layer_class](per_channel(b))) for b in given]
            values = per_channel(torch.cat(given) if policy in EXACT else target)
            mean, var = values.mean(1), SPREAD[layer_class](values)
            if policy in ("cumulative", "algorithm2"):
                mean, var = (torch.stack(part).mean(0) for part in zip(*own, strict=True))
            if policy == "blend":
                mean, var = 10 / 16 * mean, 10 / 16 * var + 6 / 16
            target = normalised(module, target, mean, var)
            given = [
                normalised(module, b, *((mean, var) if policy in EXACT else s))
                for b, s in zip(given, own, strict=True)
            ]
    torch.testing.assert_close(y, target, rtol=1e-12, atol=1e-12)


class Noisy(nn.BatchNorm1d):
    """A layer class that does more in training, and keeps to the running statistics otherwise."""

    def forward(self, input):
        y = super().forward(input)
        return y + torch.randn_like(y) if self.training else y


@pytest.mark.parametrize("policy", POLICIES)
def test_what_a_layer_class_adds_in_training_is_left_out(policy):
    x, data = draw(10, 4), draw(24, 4, seed=8).split(8)
    outputs = []
    for layer_class in (nn.BatchNorm1d, Noisy):
        net = nn.Sequential(layer_class(4), nn.Tanh(), layer_class(4)).double().train()
        with population(net, policy, data), torch.no_grad():
            outputs.append(net(x))
    assert torch.equal(*outputs)
