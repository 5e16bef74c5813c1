"""Initial weights: which distribution, and that nothing but seed and layer decides them."""

from functools import partial
from itertools import product

import pytest
import torch
from torch import nn

from bnbench.config.schema import Init
from bnbench.models import MODELS, initialise
from bnbench.models.init import SCHEMES
from bnbench.norms import NORMS

NORM_NAMES = [None, "batchnorm", "torch_batchnorm", "layernorm", "groupnorm", "none"]


def build(name="mlp", norm=None, placement="pre", widths=(8, 8)):
    net = MODELS[name]
    make_norm = norm and partial(NORMS[norm], spatial_dims=net.spatial_dims)
    return net((1, 8, 8), 10, widths=widths, norm=make_norm, placement=placement)


def weights(model):
    return [m.weight for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["mlp", "vgg"])
def test_norm_and_placement_change_no_bit(name, scheme):
    drawn = []
    for norm, placement in product(NORM_NAMES, ["pre", "post"]):
        model = build(name, norm, placement)
        initialise(model, scheme, seed=0)
        drawn.append(weights(model))
    for other in drawn[1:]:
        assert all(torch.equal(a, b) for a, b in zip(drawn[0], other, strict=True))


def test_the_global_random_state_is_neither_read_nor_moved():
    model = build(norm="batchnorm")
    drawn = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        initialise(model, "he", seed=0)
        assert torch.equal(torch.get_rng_state(), before)
        drawn.append([w.clone() for w in weights(model)])
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))


def test_seeds_and_layers_differ():
    model = build(widths=(64, 64))
    drawn = []
    for seed in (0, 1):
        initialise(model, "he", seed)
        drawn += [w.clone() for w in weights(model)[:2]]  # two layers of 64×64
    assert len({w[0, 0].item() for w in drawn}) == 4


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scale_multiplies_every_weight_and_nothing_else(scheme):
    model = build("vgg", "batchnorm")
    initialise(model, scheme, seed=0)
    plain = {name: p.detach().clone() for name, p in model.named_parameters()}
    initialise(model, scheme, seed=0, scale=0.25)  # a power of two: exact
    names = {id(weight) for weight in weights(model)}
    for name, p in model.named_parameters():
        assert torch.equal(p, plain[name] * (0.25 if id(p) in names else 1.0)), name
    assert len(names) == 3  # of two convolutions and of the head


@pytest.mark.parametrize(
    ("scheme", "std", "largest"),
    [
        ("he", (2 / 400) ** 0.5, None),
        ("xavier", (2 / (400 + 100)) ** 0.5, (6 / (400 + 100)) ** 0.5),
        ("xavier_sigmoid", 4 * (2 / (400 + 100)) ** 0.5, 4 * (6 / (400 + 100)) ** 0.5),
        ("gaussian", 0.1, None),
    ],
)
def test_schemes_have_the_published_spread(scheme, std, largest):
    model = MODELS["mlp"]((1, 20, 20), 10, widths=[100])
    initialise(model, scheme, seed=0)
    weight = weights(model)[0]
    # 40 000 draws: the sample's std is within 0.35 % of the true one, one standard error, ×4
    assert weight.std().item() == pytest.approx(std, rel=0.015)
    assert weight.mean().abs().item() < 4 * std / 40_000**0.5
    if largest:
        assert 0.999 * largest < weight.abs().max().item() <= largest


@pytest.mark.parametrize("name", ["mlp", "vgg"])
def test_weights_for_sigmoids_are_four_times_those_of_xavier(name):
    """The same draws: a power of two scales them without rounding."""
    narrow, wide = build(name), build(name)
    initialise(narrow, "xavier", seed=5)
    initialise(wide, "xavier_sigmoid", seed=5)
    assert all(torch.equal(4 * a, b) for a, b in zip(weights(narrow), weights(wide), strict=True))


def test_the_schema_offers_the_same_schemes():
    assert list(SCHEMES) == list(Init)


@pytest.mark.parametrize("scheme", ["he", "xavier"])
def test_convolutions_count_their_receptive_field(scheme):
    model = MODELS["vgg"]((64, 8, 8), 10, widths=[64])
    initialise(model, scheme, seed=0)
    fan_in = fan_out = 64 * 9
    std = {"he": 2 / fan_in, "xavier": 2 / (fan_in + fan_out)}[scheme] ** 0.5
    assert weights(model)[0].std().item() == pytest.approx(std, rel=0.015)


@pytest.mark.parametrize("norm", NORMS)
def test_biases_are_zero_and_norms_are_new(norm):
    model = build("vgg", norm, "post")
    new = {name: tensor.clone() for name, tensor in model.state_dict().items() if "norm" in name}
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.fill_(7)
    initialise(model, "he", seed=0)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            assert not module.bias.any()
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in new.items())


def test_an_unknown_scheme_names_the_allowed_ones():
    with pytest.raises(ValueError, match="'orthogonal'; allowed: he, xavier, xavier_sigmoid, gau"):
        initialise(build(), "orthogonal", seed=0)
