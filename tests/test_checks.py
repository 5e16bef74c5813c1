"""Limits of size: what the checks compute of a net is what torch builds."""

import pytest
import torch

from bnbench.checks import MAX_VALUES, MAX_WEIGHTS, RequestError, net_size
from bnbench.models import MODELS
from bnbench.schema import DATA_SHAPES, NUM_CLASSES, ModelConfig


@pytest.mark.parametrize(
    ("name", "data", "widths", "depth"),
    [
        ("mlp", "digits", [100, 100, 100], [1]),
        ("mlp", "cifar10", [7, 5], [3, 1]),
        ("sigmoid_mlp", "fashion_mnist", [30], [10]),
        ("vgg", "digits", [16, 32], [2]),
        ("vgg", "fashion_mnist", [4, 5, 6], [1, 2, 3]),
        ("vgg16", "cifar10", [64, 128, 256, 512, 512], [2, 2, 3, 3, 3]),
    ],
)
def test_the_size_of_a_net_is_that_of_the_built_one(name, data, widths, depth):
    shape = DATA_SHAPES[data]
    activations = []
    with torch.device("meta"):
        model = MODELS[name](shape, NUM_CLASSES, widths=widths, depth=depth)
        for module in model.modules():
            if isinstance(module, torch.nn.ReLU):
                module.register_forward_hook(lambda *hook: activations.append(hook[-1].numel()))
        model(torch.empty(1, *shape))
    weights = sum(p.numel() for p in model.parameters() if p.ndim > 1)
    assert net_size(ModelConfig(name, widths, depth), shape) == (weights, sum(activations))


@pytest.mark.parametrize(
    ("fits", "exceeds", "word"),
    [
        # 64·w + w·w + 10·w weights
        ("[31585,31585]", "[31586,31586]", "weights"),
        # 1,000 images are evaluated at once
        ("[10000000]", "[10000001]", "activations"),
    ],
)
def test_a_net_is_refused_just_above_the_limit(read, fits, exceeds, word):
    assert 31585**2 + 74 * 31585 <= MAX_WEIGHTS < 31586**2 + 74 * 31586
    assert MAX_VALUES == 1000 * 10_000_000
    read(f"model.widths={fits}", "norm=none")
    with pytest.raises(RequestError, match=word):
        read(f"model.widths={exceeds}", "norm=none")
