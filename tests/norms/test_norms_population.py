"""Policies for population statistics as contexts: they hold inside and leave no trace.

`test_norms_policies.py` has their numbers.
"""

import copy

import pytest
import torch
from torch import nn

from bnbench import norms
from bnbench.norms import has_population, population
from bnbench.norms.population import MEASURED, POLICIES


@pytest.fixture(params=[norms, nn], ids=["ours", "torch"])
def net(request):
    """Two BatchNorm layers with statistics of their own, and dropout before the second."""
    net = nn.Sequential(
        nn.Linear(4, 6),
        request.param.BatchNorm1d(6),
        nn.Dropout(0.5),
        nn.Unflatten(1, (2, 3, 1)),
        request.param.BatchNorm2d(2),
    )
    for layer in (net[1], net[4]):
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
        layer.running_mean.normal_()
        layer.running_var.uniform_(1, 2)
    return net


def everything(net):
    """All state of a net and its modules that a context could leave changed."""
    state = {key: value.clone() for key, value in net.state_dict().items()}
    attributes = [
        {k: v for k, v in vars(m).items() if not k.startswith("_") or "hooks" in k}
        for m in net.modules()
    ]
    return state, copy.copy(attributes)


def assert_untouched(net, before):
    state, attributes = everything(net)
    assert attributes == before[1]
    assert all(torch.equal(before[0][key], value) for key, value in state.items())


X = torch.randn(32, 4, generator=torch.Generator().manual_seed(3))


def by_batch(net, x):
    """What the net gives when each BatchNorm normalises by this batch and nothing is dropped."""
    net = copy.deepcopy(net).train()
    net[2].eval()
    return net(x)


@pytest.mark.parametrize("training", [True, False])
def test_ema_is_evaluation_mode_whatever_training_says(net, training):
    expected = copy.deepcopy(net).eval()(X)
    net.train(training)
    net[2].eval()
    before = everything(net)
    with population(net, "ema"):
        assert torch.equal(net(X), expected)
    assert_untouched(net, before)


@pytest.mark.parametrize("policy", POLICIES)
def test_train_and_eval_inside_are_ignored_and_undone(net, policy):
    before = everything(net)
    with population(net, policy, [X]):
        expected = net.eval()(X)
        net.train()[2].eval()
        assert torch.equal(net(X), expected)
    assert_untouched(net, before)


@pytest.mark.parametrize("training", [True, False])
def test_precise_on_one_batch_is_what_normalising_by_that_batch_gives(net, training):
    expected = by_batch(net, X)
    net.train(training)
    net[2].eval()
    before = everything(net)
    with population(net, "precise", [X]):
        # statistics out of the same data by another order of sums: roundings of values about 10
        torch.testing.assert_close(net(X), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(net(X[:1]), expected[:1], rtol=1e-5, atol=1e-5)
    assert_untouched(net, before)


@pytest.mark.parametrize("policy", POLICIES)
def test_other_layers_obey_the_flags_that_they_came_with(net, policy):
    """Dropout that trains does so inside too, after a measurement without it."""
    net.train()[0].eval()
    flags = [module.training for module in net.modules()]
    with population(net, policy, [X]):
        assert [module.training for module in net.modules()] == flags
        assert not torch.equal(net(X), net(X))


@pytest.mark.parametrize("policy", sorted(MEASURED))
def test_estimation_sees_no_dropout(net, policy):
    data = [X[:16], X[16:]]
    net.train()
    with population(net, policy, data):
        first = net.eval()(X)
    net.train()
    with population(net, policy, data):
        assert torch.equal(net.eval()(X), first)


@pytest.mark.parametrize("policy", POLICIES)
def test_gradients_flow_inside_and_reach_the_parameters(net, policy):
    with population(net, policy, [X]):
        net(X).square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_contexts_nest_and_the_inner_one_counts(net):
    ema, before = copy.deepcopy(net).eval()(X), everything(net)
    precise = by_batch(net, X)
    with population(net, "ema"):
        net[2].eval()
        with population(net, "precise", [X]):
            torch.testing.assert_close(net(X), precise, rtol=1e-5, atol=1e-5)
            with population(net, "ema"):
                assert torch.equal(net(X), ema)
            torch.testing.assert_close(net(X), precise, rtol=1e-5, atol=1e-5)
        assert torch.equal(net(X), ema)
    assert_untouched(net, before)


@pytest.mark.parametrize("outer", POLICIES)
@pytest.mark.parametrize("inner", POLICIES)
def test_an_inner_policy_is_what_it_is_alone(net, outer, inner):
    """Also while it measures: nothing of the outer policy gets into its statistics."""
    net.eval()
    data, before = [X[:16], X[16:]], everything(net)
    with population(net, inner, data):
        expected = net(X)
    with population(net, outer, [X[:8] + 1, X[8:16]]):
        around = net(X)
        with population(net, inner, data):
            assert torch.equal(net(X), expected)
        assert torch.equal(net(X), around)
    assert_untouched(net, before)


def failing():
    yield X
    raise RuntimeError("out of data")


def fail_inside(net, policy, data, prior=16.0):
    with population(net, policy, data, prior=prior):
        net.eval()
        raise KeyError("inside")


@pytest.mark.parametrize(
    ("policy", "data", "error", "message"),
    [
        ("test", [X], ValueError, "unknown population policy 'test'; allowed: ema, cumulative, al"),
        *((policy, None, ValueError, f"'{policy}' needs data, an iter") for policy in MEASURED),
        *((policy, [], ValueError, "reaches every BatchNorm") for policy in MEASURED),
        *((policy, [X[:1]], ValueError, "more than 1 value per channel") for policy in MEASURED),
        *((policy, failing, RuntimeError, "out of data") for policy in MEASURED),
        *((policy, [X], KeyError, "inside") for policy in POLICIES),
        ("algorithm2", [X[:16], X[16:31]], ValueError, "one size.* 16 values per channel, then 15"),
    ],
)
def test_after_an_exception_the_net_is_as_before(policy, data, error, message):
    net = nn.Sequential(norms.BatchNorm1d(4), nn.Dropout(0.5))
    net[1].eval()
    before = everything(net)
    with pytest.raises(error, match=message):
        fail_inside(net, policy, data() if callable(data) else data)
    assert_untouched(net, before)


@pytest.mark.parametrize("policy", ["batch", "blend"])
def test_one_value_per_channel_is_no_batch(policy):
    layer = norms.BatchNorm1d(4)
    with (
        population(layer, policy, prior=0.0),
        pytest.raises(ValueError, match="more than 1 value per channel"),
    ):
        layer(X[:1])


@pytest.mark.parametrize("prior", [-1.0, float("nan")])
def test_a_prior_is_a_number_of_images(prior):
    with pytest.raises(ValueError, match="expected a number of images >= 0"):
        fail_inside(norms.BatchNorm1d(4), "blend", None, prior)


class Twice(nn.Sequential):
    def forward(self, x):
        return super().forward(super().forward(x))


class Skips(nn.Sequential):
    """A net whose layer only some batches reach."""

    def forward(self, x):
        return super().forward(x) if len(x) > 8 else x


@pytest.mark.parametrize("policy", ["precise", "adabn"])
def test_what_has_no_exact_statistics_is_refused(policy):
    net = Twice(norms.BatchNorm1d(4))
    before = everything(net)
    with pytest.raises(ValueError, match="a pass calls twice"):
        fail_inside(net, policy, [X])
    assert_untouched(net, before)
    net = Skips(norms.BatchNorm1d(4))
    before = everything(net)
    with pytest.raises(ValueError, match="whose every batch reaches every BatchNorm"):
        fail_inside(net, policy, [X, X[:4]])
    assert_untouched(net, before)


def test_averages_over_batches_count_every_call():
    net, batches = Twice(nn.BatchNorm1d(4)), X.split(8)
    with population(net.eval(), "cumulative", batches):
        y = net(X)
    net[0].momentum = None
    net.train()
    for batch in batches:
        net(batch)
    torch.testing.assert_close(net.eval()(X), y, rtol=1e-5, atol=1e-5)


def test_an_instance_forward_of_the_user_survives(net):
    def own(x):
        return x

    net[1].forward = own
    with population(net, "ema"):
        assert net[1].forward is not own
    assert net[1].forward is own


def test_has_population():
    assert has_population(nn.Sequential(norms.BatchNorm1d(4)))
    assert has_population(nn.Sequential(nn.BatchNorm2d(4)))
    assert not has_population(nn.Sequential(nn.BatchNorm2d(4, track_running_stats=False)))
    assert not has_population(nn.Sequential(nn.LayerNorm(4), nn.InstanceNorm1d(4)))


def test_layers_without_statistics_keep_normalising_by_the_batch():
    layer = norms.BatchNorm1d(4, track_running_stats=False).eval()
    net = nn.Sequential(norms.BatchNorm1d(4), layer)
    with population(net, "precise", [X]):
        assert torch.equal(layer(X[:8]), copy.deepcopy(layer)(X[:8]))
        torch.testing.assert_close(layer(X[:8]).mean(0), torch.zeros(4), rtol=0, atol=1e-6)
