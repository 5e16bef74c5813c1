"""Planes through weights: the norms of the directions, and losses that are known on paper."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnbench.gallery.slices import direction, plane
from bnbench.models import MLP, VGG, initialise
from bnbench.norms import NORMS
from bnbench.probes import Batch
from bnbench.probes.passes import loss_at, parameters


def net(norm: bool, kind: type[MLP | VGG] = VGG) -> nn.Module:
    layer = (lambda n: NORMS["batchnorm"](n, spatial_dims=kind.spatial_dims)) if norm else None
    model = kind((1, 4, 4), 10, widths=[6, 5], norm=layer)
    initialise(model, "he", 3)
    return model.to(memory_format=torch.channels_last)


def batch(size: int = 12) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(size, 1, 4, 4, generator=generator)
    return Batch(images, torch.arange(size) % 10, 0.1, images)


class Quadratic(nn.Module):
    """A net whose cross-entropy with the label 0 is 1 + Σ c w² / 2, in float64."""

    def __init__(self, weights, curvatures):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(weights, dtype=torch.float64))
        self.c = curvatures

    def forward(self, x):
        loss = 1 + (torch.tensor(self.c, dtype=torch.float64) * self.w.square()).sum() / 2
        # -ln p = ln(1 + e^-logit), which is the loss for the logit -ln(e^loss - 1)
        return F.pad(-torch.log(torch.expm1(loss)).expand(len(x), 1), (0, 1))


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("kind", [MLP, VGG])
def test_a_filter_of_the_direction_has_the_norm_of_its_filter(norm, kind):
    at = parameters(net(norm, kind))
    found = direction(at, 0, "one")
    assert found.keys() == at.keys()
    for name, weight in at.items():
        if weight.ndim < 2:  # biases, gamma and beta stay where they are
            assert not found[name].any()
            continue
        for own, its in zip(weight, found[name], strict=True):
            assert its.norm().item() == pytest.approx(own.norm().item(), rel=1e-5)
            cosine = (own * its).sum() / own.norm() / its.norm()
            assert abs(cosine.item()) < 0.999  # another direction, not the filter itself


def test_a_filter_of_zeros_goes_nowhere():
    weight = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    found = direction({"w": weight}, 0, "one")["w"]
    assert found[0].norm().item() == pytest.approx(5)
    assert found[1].tolist() == [0, 0]


def test_directions_are_drawn_alike_for_nets_with_and_without_norms():
    """Equal weights get equal directions, although one net has biases and the other norms."""
    one, other = (direction(parameters(net(norm)), 7, "one") for norm in (False, True))
    weights = [name for name, d in one.items() if d.ndim > 1]
    assert len(weights) == 3
    for name in weights:
        assert torch.equal(one[name], other[name])


def test_seeds_axes_and_layers_draw_anew():
    at = {"a": torch.ones(2, 3), "b": torch.ones(2, 3)}
    drawn = [direction(at, 0, "one"), direction(at, 0, "other"), direction(at, 1, "one")]
    every = [d[name] for d in drawn for name in at]
    assert not any(torch.equal(x, y) for k, x in enumerate(every) for y in every[:k])
    again = direction(at, 0, "one")
    assert all(torch.equal(again[name], drawn[0][name]) for name in at)


def test_a_plane_through_a_quadratic_is_its_closed_form():
    weights, curvatures = [[0.5, -1.0], [0.2, 0.4]], [[4.0, 1.0], [0.25, 2.0]]
    model = Quadratic(weights, curvatures)
    at = parameters(model)
    ways = direction(at, 0, "one"), direction(at, 0, "other")
    axis = [-1.0, 0.0, 0.5]
    images = torch.zeros(4, 1, dtype=torch.float64)
    found = plane(model, Batch(images, torch.zeros(4).long(), 0.1, images), ways, axis)
    for b, row in zip(axis, found, strict=True):
        for a, loss in zip(axis, row, strict=True):
            expected = 1.0
            for i in range(2):
                for j in range(2):
                    w = (
                        weights[i][j]
                        + a * ways[0]["w"][i, j].item()
                        + b * ways[1]["w"][i, j].item()
                    )
                    expected += curvatures[i][j] * w**2 / 2
            assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("norm", [False, True])
def test_the_middle_is_the_nets_own_loss_and_the_net_stays_as_it_was(norm):
    model, some = net(norm), batch()
    model.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    pointers = [p.data_ptr() for p in model.parameters()]
    at = parameters(model)
    found = plane(model, some, (direction(at, 0, "a"), direction(at, 0, "b")), [-1.0, 0.0, 1.0])
    after = model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert [p.data_ptr() for p in model.parameters()] == pointers
    assert not model.training
    model.train()
    own = F.cross_entropy(model(some.images), some.labels).item()
    assert found[1][1] == own == loss_at(model, some, at)
    assert len({loss for row in found for loss in row}) == 9
    assert all(map(math.isfinite, found[0]))


def test_with_bn_the_plane_does_not_know_the_scale_of_the_weights():
    """Ten times the weights are the same net, and by filter normalisation the same plane."""
    one, other = net(True), net(True)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if name.endswith("weights.weight"):
                parameter.mul_(10)
    planes = []
    for model in (one, other):
        for module in model.modules():
            if hasattr(module, "eps"):
                module.eps = 1e-12  # the usual one lets the scale be felt a little
        at = parameters(model)
        ways = direction(at, 0, "a"), direction(at, 0, "b")
        planes.append(plane(model, batch(), ways, [-0.5, 0.0, 0.5]))
    assert planes[1] == [pytest.approx(row, rel=1e-3) for row in planes[0]]
