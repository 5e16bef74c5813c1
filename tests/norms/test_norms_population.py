"""Policies for population statistics: their numbers, and that they leave no trace."""

import copy
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bnbench import norms
from bnbench.norms import has_population, population


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


@pytest.mark.parametrize("policy", ["ema", "precise"])
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


@given(
    cuts=st.sets(st.integers(2, 30).filter(lambda cut: cut % 2 == 0)), offset=st.floats(-1e4, 1e4)
)
@settings(max_examples=25, deadline=None)
def test_the_way_that_data_is_split_does_not_matter(cuts, offset):
    """At the first layer, where the data does not depend on how it was normalised."""
    x = X + offset
    ends = [0, *sorted(cuts), len(x)]
    batches = [x[start:end] for start, end in pairwise(ends)]
    layer = norms.BatchNorm1d(4, affine=False, eps=1e-12)
    with population(layer, "precise", batches):
        y = layer(x).double()
    # the merged mean is rounded once, to float32; sums of 32 values about 1 are, a few times each
    rounding = (20 + abs(offset)) * torch.finfo(torch.float32).eps
    assert (y.mean(0) * x.double().std(0)).abs().max() <= rounding
    torch.testing.assert_close(y.var(0, correction=0), torch.ones(4).double(), rtol=3e-6, atol=0)


def test_precise_is_the_biased_variance_of_the_whole_data():
    layer = norms.BatchNorm1d(1, affine=False, eps=1e-12)
    data = [torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [6.0]])]  # mean 3, variance 20/4
    with population(layer, "precise", data):
        assert layer(torch.tensor([[8.0]])).item() == pytest.approx(5 / 5**0.5)


def test_estimation_sees_no_dropout(net):
    net.train()
    with population(net, "precise", [X]):
        first = net.eval()(X)
    with population(net, "precise", [X]):
        assert torch.equal(net.eval()(X), first)


def test_gradients_flow_inside_and_reach_the_parameters(net):
    with population(net, "precise", [X]):
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


def failing():
    yield X
    raise RuntimeError("out of data")


def fail_inside(net, policy, data):
    with population(net, policy, data):
        net.eval()
        raise KeyError("inside")


@pytest.mark.parametrize(
    ("policy", "data", "error", "message"),
    [
        ("test_batch", [X], ValueError, "unknown population policy 'test_batch'; allowed: ema, pr"),
        ("precise", None, ValueError, "needs data"),
        ("precise", [], ValueError, "reaches every BatchNorm"),
        ("precise", [X[:1]], ValueError, "more than 1 value per channel"),
        ("precise", failing(), RuntimeError, "out of data"),
        ("ema", None, KeyError, "inside"),
        ("precise", [X], KeyError, "inside"),
    ],
)
def test_after_an_exception_the_net_is_as_before(policy, data, error, message):
    net = nn.Sequential(norms.BatchNorm1d(4), nn.Dropout(0.5))
    net[1].eval()
    before = everything(net)
    with pytest.raises(error, match=message):
        fail_inside(net, policy, data)
    assert_untouched(net, before)


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
    with population(layer, "precise", [X]):
        assert torch.equal(layer(X[:8]), copy.deepcopy(layer)(X[:8]))
        torch.testing.assert_close(layer(X[:8]).mean(0), torch.zeros(4), rtol=0, atol=1e-6)
