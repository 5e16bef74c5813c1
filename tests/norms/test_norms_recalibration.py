"""Recalibrated layers, against moments by hand and batch normalisation folded into weights."""

import copy
import doctest
import sys
from functools import partial

import pytest
import torch
from torch import nn

from bnbench import norms
from bnbench.models import MLP, VGG
from bnbench.norms import NORMS, population, recalibrated

WEIGHTS = nn.Linear | nn.Conv2d


def draw(*shape, seed=7, offset=0.0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return offset + scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


REFERENCE = draw(40, 1, 4, 4)
SHIFTED = draw(30, 1, 4, 4, seed=8, offset=1.5, scale=0.4)


def make(kind, **options):
    """A net in evaluation mode with two hidden layers of weights, a head and dropout."""
    return kind((1, 4, 4), 3, widths=[5, 6], dropout=0.5, **options).double().eval()


def unfolded(net):
    """The modules of a VGG or MLP in order, without those that hold others."""
    flat = [m for m in net.modules() if not list(m.children())]
    return [nn.Flatten(), *flat] if isinstance(net, MLP) else [*flat[:-1], nn.Flatten(), flat[-1]]


def moments(z):
    values = z.transpose(0, 1).flatten(1)
    return values.mean(1), values.var(1, correction=0)


def by_hand(net, reference, x):
    """Each hidden layer's outputs on x get the mean and variance of those on the reference."""
    *hidden, head = unfolded(net)
    for module in hidden:
        x, reference = module(x), module(reference)
        if isinstance(module, WEIGHTS):
            (mean, var), (goal, goal_var) = moments(x), moments(reference)
            column = (-1, *[1] * (x.dim() - 2))
            x = (x - mean.view(column)) * (goal_var / var).sqrt().view(column) + goal.view(column)
    return head(x)


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("norm", [None, "layernorm"])
@pytest.mark.parametrize("kind", [MLP, VGG])
@torch.no_grad()
def test_outputs_are_mapped_layer_by_layer(kind, norm, placement):
    layer = norm and partial(NORMS[norm], spatial_dims=kind.spatial_dims)
    net = make(kind, norm=layer, placement=placement, activation="tanh")
    with recalibrated(net, [REFERENCE], [SHIFTED]):
        logits = net(SHIFTED)
    torch.testing.assert_close(logits, by_hand(net, REFERENCE, SHIFTED), rtol=1e-11, atol=1e-12)
    assert (logits - net(SHIFTED)).abs().max() > 0.01


@pytest.mark.parametrize("kind", [MLP, VGG])
@torch.no_grad()
def test_moments_of_hidden_layers_are_those_of_the_reference(kind):
    net = make(kind)
    *expected, free = outputs(net, REFERENCE)
    with recalibrated(net, REFERENCE.split(9), SHIFTED.split(7)):
        *found, head = outputs(net, SHIFTED)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)
    assert (head[0] - free[0]).abs().max() > 1e-5


def outputs(net, x):
    """The moments of the outputs of every layer of weights, behind the hooks that there are."""
    seen = []
    layers = [m for m in net.modules() if isinstance(m, WEIGHTS)]
    look = [m.register_forward_hook(lambda _, __, z: seen.append(moments(z))) for m in layers]
    net(x)
    for handle in look:
        handle.remove()
    return seen


@pytest.mark.parametrize("kind", [MLP, VGG])
@pytest.mark.parametrize(("sizes", "others"), [(40, 40), (13, 40), (40, 13)])
@torch.no_grad()
def test_on_the_reference_itself_nothing_changes_beyond_rounding(kind, sizes, others):
    net, x = make(kind).float(), REFERENCE.float()
    plain = net(x)
    with recalibrated(net, x.split(sizes), x.split(others)):
        # float32: a few roundings a layer of values of size 1
        torch.testing.assert_close(net(x), plain, rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize("cuts", [[30], [1, 29], [10, 10, 10], [1] * 30])
@torch.no_grad()
def test_how_images_are_split_does_not_matter(cuts):
    net = make(VGG)
    with recalibrated(net, [REFERENCE], [SHIFTED]):
        whole = net(SHIFTED)
    with recalibrated(net, REFERENCE.split([10, *cuts]), SHIFTED.split(cuts)):
        torch.testing.assert_close(torch.cat([net(x) for x in SHIFTED.split(cuts)]), whole)


def folded(net):
    """The net without its BatchNorm layers, their maps multiplied into the weights before them."""
    plain = copy.deepcopy(net)
    for block in [m for m in plain.modules() if hasattr(m, "norm")]:
        bn, weights = block.norm, block.weights
        factor = bn.weight / (bn.running_var + bn.eps).sqrt()
        weights.weight.data *= factor.view(-1, *[1] * (weights.weight.dim() - 1))
        weights.bias = nn.Parameter(bn.bias - factor * bn.running_mean)
        block.norm = nn.Identity()
    return plain


@pytest.mark.parametrize("kind", [MLP, VGG])
@torch.no_grad()
def test_a_folded_batchnorm_net_is_recalibrated_to_what_adabn_makes_of_the_unfolded(kind):
    """The running statistics are those of the reference, as after training for long."""
    torch.manual_seed(1)
    norm = partial(NORMS["batchnorm"], spatial_dims=kind.spatial_dims, eps=1e-12)
    net = make(kind, norm=norm)
    layers = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for layer in layers:
        nn.init.normal_(layer.weight)  # a negative gamma is one, too
        nn.init.normal_(layer.bias)
        layer.register_forward_pre_hook(settle)
    net(REFERENCE)
    for layer in layers:
        layer._forward_pre_hooks.clear()
    plain = folded(net)
    torch.testing.assert_close(plain(SHIFTED), net(SHIFTED), rtol=1e-9, atol=1e-9)
    with population(net, "adabn", [SHIFTED]), recalibrated(plain, [REFERENCE], [SHIFTED]):
        torch.testing.assert_close(plain(SHIFTED), net(SHIFTED), rtol=1e-9, atol=1e-9)


def settle(layer, args):
    layer.running_mean, layer.running_var = moments(args[0])


@torch.no_grad()
def test_behind_one_linear_layer_adabn_is_reference_statistics_of_recalibrated_outputs():
    linear, layer = nn.Linear(16, 5).double(), norms.BatchNorm1d(5, affine=False, eps=1e-12)
    bn, net = nn.Sequential(linear, layer.double()), nn.Sequential(linear, nn.Linear(5, 2).double())
    reference, x = REFERENCE.flatten(1), SHIFTED.flatten(1)
    with population(bn, "adabn", [x]):
        adapted = bn(x)
    with population(bn, "precise", [reference]), recalibrated(net, [reference], [x]):
        torch.testing.assert_close(bn(x), adapted, rtol=1e-9, atol=1e-9)
    with population(bn, "precise", [reference]):
        assert (bn(x) - adapted).abs().max() > 0.1


@pytest.mark.parametrize("noise", [0.0, 1e-7])
@torch.no_grad()
def test_a_channel_that_is_constant_is_moved_and_not_blown_up(noise):
    """1 + 1e-7 rounds to 1 or to its neighbour: what float32 makes of a constant."""
    net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    for layer in net:
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = 1 + noise * torch.arange(4.0).view(4, 1)
    with recalibrated(net, [torch.tensor([[5.0], [9.0]])], [x]):
        torch.testing.assert_close(net(x), torch.full((4, 1), 7.0), rtol=1e-6, atol=0)
        assert net(torch.full((1, 1), 3.0)).isfinite()


@torch.no_grad()
def test_a_channel_that_is_constant_on_the_reference_becomes_so():
    net = make(MLP, activation="relu")
    first = net.blocks[0].weights
    first.weight[0] = 0
    with recalibrated(net, [REFERENCE], [SHIFTED]):
        torch.testing.assert_close(first(SHIFTED.flatten(1))[:, 0], first.bias[:1].expand(30))


def test_the_net_is_left_as_it_was_even_after_an_exception():
    net = make(VGG)
    net.features[0].train()
    flags = [m.training for m in net.modules()]
    state = copy.deepcopy(net.state_dict())

    def fails():
        with recalibrated(net, [REFERENCE], [SHIFTED]) as inside:
            assert inside is net
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    with pytest.raises(RuntimeError), recalibrated(net, [REFERENCE], [draw(3, 2, 4, 4)]):
        pass
    with pytest.raises(RuntimeError), recalibrated(net, [draw(3, 2, 4, 4)], [SHIFTED]):
        pass
    assert list(net.state_dict()) == list(state)
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert [m.training for m in net.modules()] == flags
    assert not any(m._forward_hooks for m in net.modules())


def test_dropout_is_off_while_images_are_measured():
    net = make(MLP)
    with recalibrated(net, [REFERENCE], [SHIFTED]):
        expected = net(SHIFTED)
    net.train()
    with recalibrated(net, [REFERENCE], [SHIFTED]):
        assert net.training
        torch.testing.assert_close(net.eval()(SHIFTED), expected)


@pytest.mark.parametrize(
    ("net", "reference", "data", "message"),
    [
        (nn.Sequential(norms.BatchNorm1d(1)), [], [], "without population statistics"),
        (nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), [], [], "needs reference images"),
        (nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), [torch.ones(2, 1)], [], "needs data"),
        (
            nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)),
            [torch.ones(2, 1)],
            [torch.ones(1, 1)],
            "more than 1 value per channel",
        ),
    ],
)
def test_what_cannot_be_recalibrated_is_refused(net, reference, data, message):
    with pytest.raises(ValueError, match=message), recalibrated(net, reference, data):
        pass


def test_examples():
    assert doctest.testmod(sys.modules[recalibrated.__module__]).failed == 0
