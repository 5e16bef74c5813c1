"""Residual nets beside formulas written by hand, and the starts that their papers give them."""

import doctest
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnbench.config.schema import Branch, Order
from bnbench.data.batches import batch_indices
from bnbench.data.datasets import load
from bnbench.models import MODELS, blocks, initialise, residual
from bnbench.models.contracts import CONTRACTS, SHAPE, images
from bnbench.models.residual import BRANCHES, ORDERS, ScalarBias, ScalarMultiplier
from bnbench.norms import NORMS
from bnbench.training.loop import training_steps
from bnbench.training.optimizers import OPTIMIZERS

NETS = {
    "residual_mlp": {"widths": [6, 5], "depth": [5, 3]},
    "residual_vgg": {"widths": [4, 3], "depth": [5, 3]},
}
EPS = 1e-5  # of the norms


def build(name="residual_mlp", norm=None, shape=SHAPE, classes=10, **options):
    kind = MODELS[name]
    make = norm and partial(NORMS[norm], spatial_dims=kind.spatial_dims)
    return kind(shape, classes, norm=make, **{**NETS[name], **options})


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def changed(net, seed=0):
    """A net in float64, each of whose parameters is another number: what is 0 counts too."""
    generator = torch.Generator().manual_seed(seed)
    net = net.double()
    for parameter in net.parameters():
        drawn = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
        parameter.data.copy_(0.5 + drawn if parameter.ndim < 2 else 0.3 * drawn)
    return net


def normalised(x, norm):
    """Ioffe & Szegedy 2015, Algorithm 1."""
    axes = [0, *range(2, x.dim())]
    mean = x.mean(axes, keepdim=True)
    variance = (x - mean).square().mean(axes, keepdim=True)
    column = (1, -1, *[1] * (x.dim() - 2))
    x_hat = (x - mean) / (variance + EPS).sqrt()
    return norm.weight.view(column) * x_hat + norm.bias.view(column)


class ByHand:
    """The layers of a stage as functions: `weigh`, `first` and `second` of layer k, in order."""

    def __init__(self, stage, swapped):
        self.layers = list(stage.layers)
        self.scales = [getattr(m, "weight", 1.0) for m in stage.multipliers]
        # `post` has norm and activation change places
        order = (self.act, self.norm) if swapped else (self.norm, self.act)
        self.first, self.second = order

    def weigh(self, k, x):
        layer = self.layers[k]
        if hasattr(layer, "offset"):
            x = x + layer.offset.bias
        w, bias = layer.weights.weight, layer.weights.bias
        if w.ndim == 4:
            return F.conv2d(x, w, bias, padding=1)
        return x @ w.T if bias is None else x @ w.T + bias

    def norm(self, k, x):
        norm = getattr(self.layers[k], "norm", None)
        if norm is None:
            return x
        return x + norm.bias if isinstance(norm, ScalarBias) else normalised(x, norm)

    def act(self, k, x):
        return x.clamp(min=0)


def original(s, x):
    x = s.second(0, s.first(0, s.weigh(0, x)))
    for k, scale in zip(range(1, len(s.layers), 2), s.scales, strict=True):
        branch = s.first(k + 1, s.weigh(k + 1, s.second(k, s.first(k, s.weigh(k, x)))))
        x = s.second(k + 1, x + scale * branch)
    return x


def norm_after_addition(s, x):
    x = s.second(0, s.first(0, s.weigh(0, x)))
    for k, scale in zip(range(1, len(s.layers), 2), s.scales, strict=True):
        branch = s.weigh(k + 1, s.second(k, s.first(k, s.weigh(k, x))))
        x = s.second(k + 1, s.first(k + 1, x + scale * branch))
    return x


def activation_before_addition(s, x):
    x = s.second(0, s.first(0, s.weigh(0, x)))
    for k, scale in zip(range(1, len(s.layers), 2), s.scales, strict=True):
        branch = s.second(
            k + 1, s.first(k + 1, s.weigh(k + 1, s.second(k, s.first(k, s.weigh(k, x)))))
        )
        x = x + scale * branch
    return x


def activation_only_preactivation(s, x):
    x = s.first(0, s.weigh(0, x))
    for k, scale in zip(range(1, len(s.layers), 2), s.scales, strict=True):
        branch = s.first(
            k + 1, s.weigh(k + 1, s.second(k, s.first(k, s.weigh(k, s.second(k - 1, x)))))
        )
        x = x + scale * branch
    return s.second(len(s.layers) - 1, x)


def full_preactivation(s, x):
    x = s.weigh(0, x)
    for k, scale in zip(range(1, len(s.layers), 2), s.scales, strict=True):
        x = x + scale * s.weigh(
            k + 1, s.second(k, s.first(k, s.weigh(k, s.second(k - 1, s.first(k - 1, x)))))
        )
    last = len(s.layers) - 1
    return s.second(last, s.first(last, x))


FORMULAS = {
    f.__name__: f
    for f in (
        original,
        norm_after_addition,
        activation_before_addition,
        activation_only_preactivation,
        full_preactivation,
    )
}


def by_hand(net, images, order, swapped=False):
    x = images if net.spatial_dims else images.flatten(1)
    for module in net.features:
        if isinstance(module, nn.MaxPool2d):
            x = F.max_pool2d(x, 2)
        else:
            x = FORMULAS[order](ByHand(module, swapped), x)
    x = x.flatten(1)
    x = x + net.offset.bias if hasattr(net.offset, "bias") else x
    return x @ net.head.weight.T + net.head.bias


def test_the_schema_offers_the_same_orders_and_branches():
    assert list(ORDERS) == list(FORMULAS) == list(Order)
    assert list(BRANCHES) == list(Branch)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("norm", "placement", "branch"),
    [
        ("batchnorm", "pre", "none"),
        ("batchnorm", "post", "none"),
        ("batchnorm", "pre", "skipinit"),
        (None, "pre", "none"),
        (None, "post", "skipinit"),
        (None, "post", "fixup"),
    ],
)
def test_the_forward_pass_is_the_formula_of_its_order(name, order, norm, placement, branch):
    net = changed(build(name, norm, order=order, placement=placement, branch=branch))
    x = torch.randn(8, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = by_hand(net, x, order, swapped=placement == "post" and norm is not None)
    # sums of some 40 terms in two orders, in nets whose logits are of size 10 to 1,000
    torch.testing.assert_close(net(x), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("norm", [None, "batchnorm"])
def test_orders_differ_from_each_other(norm):
    """Without a norm two pairs are the same net: see `science`."""
    x = torch.randn(8, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    logits = {order: changed(build(norm=norm, order=order))(x) for order in ORDERS}
    same = [
        (one, other)
        for one in ORDERS
        for other in ORDERS
        if one < other and torch.equal(logits[one], logits[other])
    ]
    without = [
        ("norm_after_addition", "original"),
        ("activation_only_preactivation", "full_preactivation"),
    ]
    assert sorted(same) == ([] if norm else sorted(without))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("norm", [None, "batchnorm"])
def test_a_skipinit_net_starts_as_its_shortcuts(name, order, norm):
    """Its branches add nothing: it is the net that has none of them."""
    net = build(name, norm, order=order, branch="skipinit", depth=[5])
    initialise(net, "he", seed=0)
    plain = build(name, norm, order=order, depth=[1])
    for stage, own in zip(stages(net), stages(plain), strict=True):
        own.layers[0] = stage.layers[0]
    plain.head = net.head
    x = images()
    if order in ("original", "activation_before_addition"):
        # behind an activation nothing is negative, so that the next one changes nothing
        assert torch.equal(net(x), plain(x))
    elif norm is None:
        assert torch.equal(net(x), plain(x))
    else:  # the shortcut is normalised again, by norms that the other net has not
        branches = [layer.weights for s in stages(net) for layer in list(s.layers)[1:]]
        before = net(x)
        for weights in branches:
            nn.init.normal_(weights.weight)
        assert torch.equal(net(x), before)


def stages(net):
    return [module for module in net.features if not isinstance(module, nn.MaxPool2d)]


def drawn(name, branch, depth, norm=None):
    net = build(name, norm, branch=branch, depth=depth)
    initialise(net, "he", seed=3)
    return net


@pytest.mark.parametrize("name", NETS)
def test_fixup_starts_from_the_same_draws_scaled_as_its_paper_says(name):
    """Zhang et al. 2019: L^(-1/(2m - 2)) with m = 2, and zeros; here L = 2 + 1 branches."""
    plain, fixup = (drawn(name, branch, [5, 3]) for branch in ("none", "fixup"))
    number = 2 + 1
    for one, other in zip(stages(plain), stages(fixup), strict=True):
        for k, (a, b) in enumerate(zip(one.layers, other.layers, strict=True)):
            factor = 1.0 if k == 0 else number**-0.5 if k % 2 else 0.0
            torch.testing.assert_close(b.weights.weight, factor * a.weights.weight)
            assert a.weights.weight.any()
            assert b.weights.bias is None
    assert not fixup.head.weight.any()
    assert not fixup(images()).any()
    scalars = [m for m in fixup.modules() if isinstance(m, ScalarBias | ScalarMultiplier)]
    assert [m.bias.item() for m in scalars if isinstance(m, ScalarBias)] == [0] * (2 * 8 + 1)
    assert [m.weight.item() for m in scalars if isinstance(m, ScalarMultiplier)] == [1] * 3


@pytest.mark.parametrize("norm", [None, "batchnorm", "layernorm"])
@pytest.mark.parametrize("name", NETS)
def test_norm_order_and_skipinit_change_no_bit_of_the_weights(name, norm):
    nets = [drawn(name, "none", [5, 3]), drawn(name, "skipinit", [5, 3], norm)]
    nets.append(build(name, norm, order="original", placement="post"))
    initialise(nets[-1], "he", seed=3)
    first, *others = [[w.weight for w in residual_weights(net)] for net in nets]
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def residual_weights(net):
    return [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


@pytest.mark.parametrize("branch", BRANCHES)
def test_drawing_anew_brings_every_scalar_back(branch):
    net = build(branch=branch)
    initialise(net, "he", seed=0)
    start = {name: value.clone() for name, value in net.state_dict().items()}
    for parameter in net.parameters():
        parameter.data.fill_(7)
    initialise(net, "he", seed=0)
    assert all(torch.equal(value, start[name]) for name, value in net.state_dict().items())


def test_parameters_counted_by_hand():
    """64-6-6-6-6-6, 6-5-5-5, 5-10: with BN gamma and beta replace the bias of each layer."""
    weights = 64 * 6 + 4 * 6 * 6 + 6 * 5 + 2 * 5 * 5 + 5 * 10 + 10
    units = 5 * 6 + 3 * 5
    assert count(build()) == weights + units
    assert count(build(norm="batchnorm")) == weights + 2 * units
    assert count(build(norm="batchnorm", placement="post")) == weights + 3 * units
    assert count(build(branch="skipinit")) == weights + units + 3
    # two scalar biases a layer, one before the head, and a multiplier for each branch
    assert count(build(branch="fixup")) == weights + 2 * 8 + 1 + 3
    convolutions = 9 * (1 * 4 + 4 * 4 * 4 + 4 * 3 + 2 * 3 * 3) + 5 * 4 + 3 * 3
    assert count(build("residual_vgg")) == convolutions + 3 * 2 * 2 * 10 + 10


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_contracts_of_models_hold(name, order, contract):
    CONTRACTS[contract](partial(MODELS[name], order=order, **NETS[name]))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("branch", ["skipinit", "fixup"])
def test_what_starts_at_zero_learns_all_the_same(name, branch):
    """Zeros hold back the gradients of what is before them for a step or two, not for ever."""
    net = drawn(name, branch, [5, 3])
    before = {key: value.clone() for key, value in net.state_dict().items()}
    labels = torch.arange(12) % 10
    optimizer = OPTIMIZERS["sgd"](net, {}, 0.0, momentum=0.9)
    batches = torch.arange(12).repeat(8, 1)
    for loss in training_steps(net, images(), labels, batches, optimizer, lambda step: 0.1):
        assert loss.isfinite()
    still = [key for key, value in net.state_dict().items() if torch.equal(value, before[key])]
    assert still == []


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("order", ORDERS)
def test_gradients_are_those_of_finite_differences(order, branch):
    options = {"activation": "tanh", "order": order, "branch": branch}
    for norm in (None, "batchnorm") if branch != "fixup" else (None,):
        net = changed(
            build(norm=norm, shape=(1, 2, 2), classes=3, widths=[3], depth=[3], **options)
        )
        names, values = zip(*net.named_parameters(), strict=True)
        x = torch.randn(4, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

        def loss(*parameters, net=net, names=names, x=x):
            state = dict(zip(names, parameters, strict=True))
            return torch.func.functional_call(net, state, (x,)).square().mean()

        assert torch.autograd.gradcheck(loss, [v.detach().requires_grad_() for v in values])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("norm", [None, "batchnorm"])
def test_the_memory_format_changes_neither_weights_nor_logits(order, norm):
    one, other = (build("residual_vgg", norm, order=order).double() for _ in range(2))
    other.to(memory_format=torch.channels_last)
    for net in (one, other):
        initialise(net, "he", seed=0)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    x = torch.randn(4, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = other(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(y, one(x), rtol=1e-12, atol=1e-12)


def test_dropout_stands_behind_each_activation():
    net = build(dropout=0.5)
    kinds = [type(module).__name__ for module in stages(net)[0].layers[0]]
    assert kinds == ["Linear", "ReLU", "Dropout"]
    assert not torch.equal(net(images()), net(images()))
    assert torch.equal(net.eval()(images()), net(images()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "reversed"}, "order 'reversed'; allowed: original, norm_after_addition"),
        ({"branch": "rezero"}, "branch 'rezero'; allowed: none, skipinit, fixup"),
        ({"depth": [4]}, "depth 4: expected one layer and two for each branch"),
        ({"branch": "fixup", "norm": "batchnorm"}, "expected no norm with it"),
    ],
)
@pytest.mark.parametrize("name", NETS)
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        build(name, **options)


@pytest.mark.parametrize(("shape", "widths"), [((1, 8, 8), [4] * 4), ((3, 32, 6), [4] * 3)])
def test_more_stages_than_pixels_are_refused(shape, widths):
    with pytest.raises(ValueError, match=f"{shape[1]}×{shape[2]}"):
        build("residual_vgg", shape=shape, widths=widths, depth=[1])


@pytest.mark.parametrize("module", [blocks, residual])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


def losses(branch, rate, steps=60, depth=99):
    """The training losses of a deep net on images of digits."""
    data = load("digits", Path(), 0, None)
    images, labels = data.normalise(data.train.images), data.train.labels
    net = MODELS["residual_mlp"](SHAPE, 10, widths=[32], depth=[depth], branch=branch)
    initialise(net, "he", seed=0)
    optimizer = OPTIMIZERS["sgd"](net, {}, 0.0, momentum=0.9)
    batches = batch_indices(len(labels), 64, steps, 0, "reshuffled", labels)
    return [
        loss.item()
        for loss in training_steps(net, images, labels, batches, optimizer, lambda step: rate)
    ]


def fails(found):
    """A loss that is not finite, or a guess's at best in the end."""
    return not all(map(math.isfinite, found)) or sum(found[-10:]) / 10 >= 0.9 * math.log(10)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1e-6, 1e-4, 1e-2, 0.1])
def test_a_hundred_layers_without_norm_or_scaling_do_not_train(rate):
    assert fails(losses("none", rate))


@pytest.mark.slow
@pytest.mark.parametrize(("branch", "rate"), [("skipinit", 0.03), ("fixup", 0.1)])
def test_a_hundred_layers_train_with_branches_that_start_at_zero(branch, rate):
    found = losses(branch, rate)
    assert not fails(found)
    assert sum(found[-10:]) / 10 < 0.5 * math.log(10)
