"""Norms of weights and effective rates by hand, and the identity that the rate stands for."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from bnbench.models import MLP, VGG
from bnbench.norms import NORMS
from bnbench.probes import Batch
from bnbench.probes.weights import weights

RATE = 0.3
BATCH = Batch(torch.zeros(2, 1, 2, 2), torch.zeros(2, dtype=torch.long), RATE, torch.zeros(2))


def net(norm="batchnorm", placement="pre"):
    made = None if norm == "none" else partial(NORMS[norm], spatial_dims=0)
    return MLP((1, 2, 2), 3, widths=[5, 6], norm=made, placement=placement)


def test_a_net_of_known_weights():
    model = net()
    with torch.no_grad():
        model.blocks[0].weights.weight.fill_(3.0)  # 5 x 4 of them
        model.blocks[1].weights.weight.copy_(-2 * torch.eye(6, 5))
        model.head.weight.fill_(0.5)  # 3 x 6
    assert weights(model, BATCH) == pytest.approx(
        {
            ("1", "weight_norm"): math.sqrt(20) * 3,
            ("2", "weight_norm"): math.sqrt(5) * 2,
            ("head", "weight_norm"): math.sqrt(18) / 2,
            ("1", "effective_rate"): RATE / 180,
            ("2", "effective_rate"): RATE / 20,
        }
    )


@pytest.mark.parametrize(
    ("norm", "placement", "layers"),
    [
        ("batchnorm", "pre", ["1", "2"]),
        ("layernorm", "pre", ["1", "2"]),
        ("batchnorm", "post", []),
        ("none", "pre", []),
    ],
)
def test_a_rate_is_told_of_weights_straight_in_front_of_a_norm_alone(norm, placement, layers):
    found = weights(net(norm, placement), BATCH)
    assert [layer for layer, metric in found if metric == "effective_rate"] == layers
    sized = [layer for layer, metric in found if metric == "weight_norm"]
    assert sized == ["1", "2", "head"]


def test_kernels_have_one_norm_for_all_their_entries():
    made = partial(NORMS["batchnorm"], spatial_dims=2)
    model = VGG((1, 4, 4), 3, widths=[2], depth=[1], norm=made)
    (kernel,) = (p for p in model.parameters() if p.ndim == 4)
    size = math.sqrt(sum(value**2 for value in kernel.flatten().tolist()))
    found = weights(model, BATCH)
    assert found["1", "weight_norm"] == pytest.approx(size)
    assert found["1", "effective_rate"] == pytest.approx(RATE / size**2)


def test_at_one_effective_rate_a_step_turns_weights_of_every_scale_by_one_angle():
    """The scale of the weights and the rate alone do not tell: identity E13."""
    torch.manual_seed(0)
    x, y = torch.randn(16, 4, dtype=torch.float64), torch.randn(16, 5, dtype=torch.float64)
    drawn, turned, rates = torch.randn(5, 4, dtype=torch.float64), [], []
    for scale in (1.0, 3.0):
        model = MLP((1, 1, 4), 5, widths=[5], norm=partial(nn.BatchNorm1d, eps=1e-30)).double()
        weight = model.blocks[0].weights.weight
        with torch.no_grad():
            weight.copy_(scale * drawn)
            model.head.weight.copy_(torch.eye(5))
        (gradient,) = torch.autograd.grad((model(x[:, None, None]) * y).sum(), weight)
        rate = RATE * scale**2
        turned.append((rate * gradient.norm() / weight.norm()).item())
        rates.append(weights(model, replace(BATCH, rate=rate))["1", "effective_rate"])
    assert turned[0] == pytest.approx(turned[1], rel=1e-12)
    assert rates[0] == pytest.approx(rates[1], rel=1e-12)
