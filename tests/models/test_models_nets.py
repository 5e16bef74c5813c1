"""Architectures by hand-counted parameters, placement by module order, VGG beside torchvision's."""

import doctest
from functools import partial

import pytest
import torch
import torchvision
from torch import nn

from bnbench.config.schema import BATCH_NORMS, MLPS, SPATIAL_NORMS, ModelName
from bnbench.models import MODELS, blocks, initialise, mlp, vgg
from bnbench.norms import NORMS, has_population, population

NORM_NAMES = [None, *(name for name in NORMS if name not in SPATIAL_NORMS)]
CLASSES = {0: MODELS["mlp"], 2: MODELS["vgg"]}


def build(spatial_dims=0, norm=None, widths=(8, 12), **options):
    make_norm = norm and partial(NORMS[norm], spatial_dims=spatial_dims)
    return CLASSES[spatial_dims]((1, 8, 8), 10, widths=widths, norm=make_norm, **options)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def types(sequence):
    return [type(module).__name__ for module in sequence]


def test_every_name_is_a_net():
    assert list(MODELS) == list(ModelName)
    for name, net in MODELS.items():
        assert net.spatial_dims == (0 if name in MLPS else 2)


def test_parameters_of_the_default_mlp():
    """64-100-100-100-10: weights, biases; with pre-activation BN, gamma and beta replace a bias."""
    weights = 64 * 100 + 100 * 100 + 100 * 100 + 100 * 10
    plain = weights + 3 * 100 + 10
    assert count(build(widths=[100] * 3)) == plain == 27_710
    assert count(build(widths=[100] * 3, norm="batchnorm")) == plain + 3 * 100
    assert count(build(widths=[100] * 3, norm="batchnorm", placement="post")) == plain + 3 * 200
    assert count(build(widths=[100], depth=[3])) == plain


def test_parameters_of_a_small_vgg():
    model = MODELS["vgg"]((1, 28, 28), 10, widths=[16, 32], depth=[1, 2])
    convolutions = 9 * (1 * 16 + 16 * 32 + 32 * 32) + 16 + 32 + 32
    assert count(model) == convolutions + 32 * 7 * 7 * 10 + 10
    assert model(torch.randn(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "depth", "num_parameters"),
    [("vgg11", [1, 1, 2, 2, 2], 9_220_480), ("vgg16", [2, 2, 3, 3, 3], 14_714_688)],
)
def test_published_vggs_have_the_published_convolutions(name, depth, num_parameters):
    """Simonyan & Zisserman 2015, table 1, columns A and D: their convolutions, biases included."""
    with torch.device("meta"):
        model = MODELS[name]((3, 32, 32), 10, widths=[64, 128, 256, 512, 512], depth=depth)
        assert count(model.features) == num_parameters
        assert model(torch.empty(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("spatial_dims", CLASSES)
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_placement_is_the_order_of_modules(spatial_dims, activation):
    weights = {0: "Linear", 2: "Conv2d"}[spatial_dims]
    norm = {0: "BatchNorm1d", 2: "BatchNorm2d"}[spatial_dims]
    act = {"relu": "ReLU", "sigmoid": "Sigmoid", "tanh": "Tanh"}[activation]

    def block(**options):
        model = build(spatial_dims, activation=activation, **options)
        return types((model.blocks if spatial_dims == 0 else model.features)[0])

    assert block(norm="batchnorm", placement="pre") == [weights, norm, act]
    assert block(norm="batchnorm", placement="post") == [weights, act, norm]
    assert block(norm="batchnorm", placement="post", dropout=0.5) == [weights, act, norm, "Dropout"]
    assert block(norm="batchnorm", dropout=0.5) == [weights, norm, act, "Dropout"]
    assert block() == block(placement="post") == [weights, act]
    assert block(norm="none") == [weights, "Identity", act]


# choice -> whether a norm stands on the data, and then in each of three layers
STANDS = {
    "every": [False, True, True, True],
    "first": [False, True, False, False],
    "last": [False, False, False, True],
    "alternate": [False, True, False, True],
    "input": [True, False, False, False],
}


@pytest.mark.parametrize("spatial_dims", CLASSES)
@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("chosen", STANDS)
def test_a_norm_stands_in_the_chosen_layers_and_nowhere_else(spatial_dims, placement, chosen):
    kinds = {"widths": [4, 6], "depth": [1, 2], "norm": "batchnorm", "placement": placement}
    model = build(spatial_dims, norm_layers=chosen, **kinds)
    layers = [m for m in model.modules() if hasattr(m, "weights")]
    found = [type(model.input) is not nn.Identity, *(hasattr(layer, "norm") for layer in layers)]
    assert found == STANDS[chosen]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    of_data = 64 if spatial_dims == 0 else 1
    sizes = zip([of_data, 4, 6, 6], STANDS[chosen], strict=True)
    assert [norm.num_features for norm in norms] == [size for size, stands in sizes if stands]
    redundant = [stands and placement == "pre" for stands in STANDS[chosen][1:]]
    assert [layer.weights.bias is None for layer in layers] == redundant


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("chosen", STANDS)
def test_such_a_perceptron_is_the_one_that_is_composed_by_hand(placement, chosen):
    torch.manual_seed(0)
    sizes = [64, 5, 7, 6]
    of_data, *of_layers = STANDS[chosen]
    modules: list[nn.Module] = [nn.Flatten(), *([nn.BatchNorm1d(64)] if of_data else [])]
    for fan_in, width, stands in zip(sizes, sizes[1:], of_layers, strict=False):
        norm = [nn.BatchNorm1d(width)] if stands else []
        of_layer = [*norm, nn.Sigmoid()] if placement == "pre" else [nn.Sigmoid(), *norm]
        modules += [nn.Linear(fan_in, width, bias=not (norm and placement == "pre")), *of_layer]
    by_hand = nn.Sequential(*modules, nn.Linear(6, 10)).double()
    ours = build(
        widths=sizes[1:],
        norm="torch_batchnorm",
        activation="sigmoid",
        norm_layers=chosen,
        placement=placement,
    ).double()
    states = zip(ours.state_dict(), by_hand.state_dict().values(), strict=True)
    ours.load_state_dict(dict(states))
    images = torch.randn(16, 1, 8, 8, dtype=torch.float64)
    for net in (ours, by_hand):
        net(images).square().sum().backward()
    # the same operations in the same order
    assert torch.equal(ours(images), by_hand(images))
    for one, other in zip(ours.parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    assert torch.equal(ours.eval()(images), by_hand.eval()(images))


def test_such_a_convolutional_net_is_the_one_that_is_composed_by_hand():
    torch.manual_seed(0)
    by_hand = nn.Sequential(
        nn.BatchNorm2d(1),
        *(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16, 10)),
    ).double()
    ours = build(2, widths=[3, 4], norm="torch_batchnorm", norm_layers="input").double()
    states = zip(ours.state_dict(), by_hand.state_dict().values(), strict=True)
    ours.load_state_dict(dict(states))
    images = torch.randn(6, 1, 8, 8, dtype=torch.float64)
    assert torch.equal(ours(images), by_hand(images))


def test_parameters_by_where_the_norms_stand():
    """Of 64-100-100-100-10: gamma and beta for each unit with a norm, a bias for each without."""
    plain = 27_710
    more = {"every": 300, "first": 100, "last": 100, "alternate": 200, "input": 2 * 64}
    for chosen, number in more.items():
        model = build(widths=[100] * 3, norm="batchnorm", norm_layers=chosen)
        assert count(model) == plain + number
    assert count(build(widths=[100] * 3, norm_layers="first")) == plain


def test_weights_do_not_depend_on_where_the_norms_stand():
    def weights(chosen):
        model = build(norm="batchnorm", norm_layers=chosen)
        initialise(model, "he", seed=0)
        return [m.weight for m in model.modules() if isinstance(m, nn.Linear)]

    for chosen in STANDS:
        for one, other in zip(weights("every"), weights(chosen), strict=True):
            assert torch.equal(one, other)


def test_stages_end_in_a_pool_and_the_head_is_linear():
    model = build(2, widths=[4, 8], depth=[2, 1])
    assert types(model.features) == ["Sequential"] * 2 + ["MaxPool2d", "Sequential", "MaxPool2d"]
    assert (model.head.in_features, model.head.bias is not None) == (8 * 2 * 2, True)


@pytest.mark.parametrize("spatial_dims", CLASSES)
@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("norm", NORM_NAMES)
def test_a_bias_is_left_out_only_straight_before_a_batchnorm(spatial_dims, placement, norm):
    model = build(spatial_dims, norm=norm, placement=placement)
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    redundant = norm in BATCH_NORMS and placement == "pre"
    assert [layer.bias is None for layer in layers] == [redundant, redundant, False]


@pytest.mark.parametrize("norm", NORMS)
def test_batch_norms_are_those_with_population_statistics(norm):
    assert has_population(NORMS[norm](8, 2)) == (norm in BATCH_NORMS)


@pytest.mark.parametrize("norm", sorted(BATCH_NORMS))
def test_the_bias_that_is_left_out_had_no_gradient(norm):
    if norm in SPATIAL_NORMS:
        weights, x = nn.Conv1d(4, 8, 1), torch.randn(4, 4, 4, dtype=torch.float64)
    else:
        weights, x = nn.Linear(4, 8), torch.randn(16, 4, dtype=torch.float64)
    layer = nn.Sequential(weights, NORMS[norm](8, x.dim() - 2), nn.Tanh()).double()
    layer(x).square().sum().backward()
    # zero but for the roundings of a sum of 16 terms of size one
    assert layer[0].bias.grad.abs().max() < 1e-13
    assert layer[0].weight.grad.abs().max() > 1e-3


@pytest.mark.parametrize("spatial_dims", CLASSES)
@pytest.mark.parametrize("norm", NORM_NAMES)
@pytest.mark.parametrize("placement", ["pre", "post"])
def test_nets_train(spatial_dims, norm, placement):
    model = build(spatial_dims, norm=norm, placement=placement, dropout=0.1)
    logits = model(torch.randn(4, 1, 8, 8))
    logits.square().sum().backward()
    assert logits.shape == (4, 10)
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("shape", "widths"), [((1, 8, 8), [4] * 4), ((1, 28, 28), [4] * 5), ((3, 32, 6), [4] * 3)]
)
def test_more_stages_than_pixels_are_refused(shape, widths):
    MODELS["vgg"](shape, 10, widths=widths[1:])
    with pytest.raises(ValueError, match=f"{shape[1]}×{shape[2]}"):
        MODELS["vgg"](shape, 10, widths=widths)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "gelu"}, "'gelu'; allowed: relu, sigmoid, tanh"),
        ({"placement": "middle"}, "'middle'; allowed: pre, post"),
        ({"depth": [1, 2, 3]}, r"one entry or 2, .* \[1, 2, 3\]"),
        ({"norm_layers": "middle"}, "'middle'; allowed: every, first, last, alternate, input"),
    ],
)
@pytest.mark.parametrize("spatial_dims", CLASSES)
def test_bad_options_are_refused(spatial_dims, options, message):
    with pytest.raises(ValueError, match=message):
        build(spatial_dims, **options)


def weighted(model):
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    return convolutions, [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.slow
@pytest.mark.one_in(2)
@pytest.mark.parametrize("training", [True, False])
def test_vgg11_is_torchvision_s_with_the_bias_moved(training):
    """In training BN takes the bias out again; in evaluation it belongs into running_mean."""
    torch.manual_seed(0)
    theirs = torchvision.models.vgg11_bn().features
    widths, depth = [64, 128, 256, 512, 512], [1, 1, 2, 2, 2]
    norm = partial(NORMS["batchnorm"], spatial_dims=2)
    ours = MODELS["vgg11"]((3, 32, 32), 10, widths=widths, depth=depth, norm=norm).features
    for conv, bn, their_conv, their_bn in zip(*weighted(ours), *weighted(theirs), strict=True):
        nn.init.normal_(their_conv.bias)
        nn.init.normal_(their_bn.running_mean)
        nn.init.uniform_(their_bn.weight)
        nn.init.normal_(their_bn.bias)
        conv.weight.data.copy_(their_conv.weight)
        bn.load_state_dict(their_bn.state_dict())
        bn.running_mean -= their_conv.bias.detach()
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        outputs = [net.train(training)(images) for net in (ours, theirs)]
    # outputs of size 5 behind eight layers, each of which may double what was rounded before
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-4)


def test_a_population_policy_reaches_every_layer():
    model = build(2, norm="batchnorm", dropout=0.5)
    images = torch.randn(16, 1, 8, 8)
    with population(model, "precise", [images]):
        expected = model.eval()(images)
    for layer in model.modules():
        layer.training = isinstance(layer, nn.BatchNorm2d)
    torch.testing.assert_close(model(images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("module", [blocks, mlp, vgg])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


def test_initialised_nets_start_alike_in_any_memory_format():
    one, other = build(2, norm="batchnorm"), build(2).to(memory_format=torch.channels_last)
    for model in (one, other):
        initialise(model, "he", seed=0)
    for mine, theirs in zip(weighted(one)[0], weighted(other)[0], strict=True):
        assert torch.equal(mine.weight, theirs.weight)
