"""Attacks: gradients by finite differences, the closed form of a linear net, sanity of both."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnbench.models import MLP
from bnbench.norms import NORMS
from bnbench.probes import Batch, Unseen
from bnbench.probes.attacks import EPSILONS, STEPS, adversarial, ascent, box, fgsm, pgd

MEAN = torch.tensor([0.3, 0.6], dtype=torch.float64)
STD = torch.tensor([0.5, 0.2], dtype=torch.float64)


def unseen(pixels, labels):
    """Images of two channels in float64, given in pixels."""
    pixels = pixels.double()
    images = (pixels - MEAN[:, None, None]) / STD[:, None, None]
    return Unseen(images, labels, MEAN, STD)


def batch(some):
    return Batch(some.images, some.labels, 0.1, some.images, some)


def in_pixels(images):
    return images * STD[:, None, None] + MEAN[:, None, None]


def net(norm="batchnorm"):
    """A perceptron for images of (2, 2, 3), with statistics of its own."""
    made = None if norm == "none" else partial(NORMS[norm], spatial_dims=0)
    model = MLP((2, 2, 3), 4, widths=[8, 7], norm=made).double()
    model(torch.randn(50, 2, 2, 3, dtype=torch.float64))
    return model.eval()


def log_odds(logits, labels):
    """The log odds against the label: ln(1/p - 1)."""
    return torch.log(1 / logits.softmax(1)[torch.arange(len(labels)), labels] - 1)


class Linear(nn.Module):
    """Two classes by one linear function of an image: its logits are (f, -f) / 2."""

    def __init__(self, weight, bias=0.0):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = bias

    def forward(self, images):
        f = images.flatten(1) @ self.weight.flatten() + self.bias
        return torch.stack((f, -f), 1) / 2


@pytest.mark.parametrize("norm", ["batchnorm", "none"])
def test_gradients_by_finite_differences(norm):
    model = net(norm)
    images, labels = torch.randn(3, 2, 2, 3, dtype=torch.float64), torch.tensor([0, 3, 1])
    found = ascent(model, images, labels)
    expected = torch.zeros_like(images)
    step = 1e-6
    for k in range(images[0].numel()):
        for sign in (1, -1):
            moved = images.clone()
            moved.flatten(1)[:, k] += sign * step
            expected.flatten(1)[:, k] += sign * log_odds(model(moved), labels).detach()
    assert torch.allclose(found, expected / (2 * step), rtol=1e-6, atol=1e-8)


def test_the_gradient_has_the_direction_of_that_of_the_cross_entropy():
    """∇ ln(1 + exp(a)) = sigmoid(a) ∇a."""
    model, labels = net(), torch.arange(20) % 4
    x = torch.randn(20, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    (of_loss,) = torch.autograd.grad(F.cross_entropy(model(x), labels, reduction="sum"), x)
    factor = log_odds(model(x), labels).detach().sigmoid()[:, None, None, None]
    assert torch.allclose(of_loss, factor * ascent(model, x, labels), rtol=1e-9, atol=1e-14)


def test_a_net_that_is_sure_is_no_safer():
    """In float32 its cross-entropy has a gradient of zero; what is attacked has none."""
    model = Linear(torch.randn(1, 2, 2, 3), bias=0.1)
    pixels = 0.4 + 0.2 * torch.rand(200, 2, 2, 3)
    images = ((pixels - MEAN.float()[:, None, None]) / STD.float()[:, None, None]).float()
    labels = (model(images)[:, 0] < 0).long()
    some = Unseen(images, labels, MEAN.float(), STD.float())
    before = adversarial(model, batch(some))
    with torch.no_grad():
        model.weight.mul_(1e4)
    model.bias *= 1e4
    x = images.clone().requires_grad_()
    (lost,) = torch.autograd.grad(F.cross_entropy(model(x), labels), x)
    assert (lost == 0).flatten(1).all(1).float().mean() > 0.9
    assert adversarial(model, batch(some)) == before
    assert before["", "unattacked"] == 1
    assert before["", "fgsm_10"] < 1


def test_a_linear_net_loses_epsilon_times_the_norm_of_its_weights():
    """The margin f becomes f - epsilon ‖w / std‖₁ where no pixel meets the end of its range."""
    weight = torch.randn(2, 2, 3, dtype=torch.float64)
    model, pixels = Linear(weight, bias=0.2), 0.2 + 0.6 * torch.rand(300, 2, 2, 3)
    some = unseen(pixels, torch.zeros(300, dtype=torch.long))
    f = model(some.images)[:, 0] * 2
    size = (weight / STD[:, None, None]).abs().sum()
    slope = ascent(model, some.images, some.labels)
    assert torch.allclose(slope, -weight.expand_as(slope))
    values = adversarial(model, batch(some))
    for percent, epsilon in EPSILONS.items():
        moved = fgsm(some, epsilon, slope)
        assert torch.allclose(model(moved)[:, 0] * 2, f - epsilon * size, rtol=0, atol=1e-12)
        share = (f > epsilon * size).double().mean().item()
        assert 0 < share < 1
        # PGD finds the same corner of the box
        assert values["", f"fgsm_{percent}"] == values["", f"pgd_{percent}"] == share


def test_pixels_keep_to_their_range():
    """A pixel at its end moves inwards alone, as far as any other."""
    weight = torch.ones(2, 2, 3, dtype=torch.float64)
    pixels = torch.zeros(1, 2, 2, 3)
    pixels[0, 1] = 1.0
    some = unseen(pixels, torch.tensor([0]))
    moved = fgsm(some, 0.03, ascent(Linear(weight), some.images, some.labels))
    expected = pixels.double()
    expected[0, 1] = 0.97  # the gradient is negative: those at 0 cannot go lower
    assert torch.allclose(in_pixels(moved), expected, atol=1e-12)


def test_steps_stay_in_the_box_and_are_as_long_as_told():
    model, some = net(), unseen(torch.rand(30, 2, 2, 3), torch.arange(30) % 4)
    low, high = box(some, 0.1)
    slope = ascent(model, some.images, some.labels)
    steps = pgd(model, some, 0.1, slope)
    assert len(steps) == STEPS
    for x in steps:
        assert ((low <= x) & (x <= high)).all()
        moved = (x - some.images) * STD[:, None, None]
        assert moved.abs().max() <= 0.1 + 1e-12
        assert -1e-12 <= in_pixels(x).min() < in_pixels(x).max() <= 1 + 1e-12
    first = (steps[0] - some.images) * STD[:, None, None]
    assert first.abs().max() == pytest.approx(0.025)  # 2.5 times 0.1 in ten steps


def test_a_box_of_no_size_leaves_the_images():
    model, some = net(), unseen(torch.rand(30, 2, 2, 3), torch.arange(30) % 4)
    slope = ascent(model, some.images, some.labels)
    for x in (fgsm(some, 0.0, slope), *pgd(model, some, 0.0, slope)):
        assert torch.allclose(x, some.images, rtol=0, atol=1e-14)


@pytest.mark.parametrize("norm", ["batchnorm", "none"])
def test_accuracy_falls_with_epsilon_and_pgd_is_the_stronger(norm):
    """Of a trained net; image by image PGD goes as far as FGSM, or the image is lost to both."""
    centres = torch.rand(4, 2, 2, 3, dtype=torch.float64)
    labels = torch.arange(400) % 4
    pixels = (centres[labels] + 0.15 * torch.randn(400, 2, 2, 3)).clamp(0, 1)
    some, model = unseen(pixels, labels), net(norm).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    for _ in range(80):
        optimizer.zero_grad()
        F.cross_entropy(model(some.images), labels).backward()
        optimizer.step()
    values = adversarial(model, batch(some))
    assert model.training
    model.eval()
    right = (model(some.images).argmax(1) == labels).double().mean().item()
    assert values["", "unattacked"] == right > 0.95  # with running statistics
    for attack in ("fgsm", "pgd"):
        curve = [right, *(values["", f"{attack}_{percent}"] for percent in EPSILONS)]
        assert curve == sorted(curve, reverse=True)
        assert curve[-1] < right - 0.05
    for percent, epsilon in EPSILONS.items():
        assert values["", f"pgd_{percent}"] <= values["", f"fgsm_{percent}"]
        slope = ascent(model, some.images, labels)
        *_, last = pgd(model, some, epsilon, slope)
        far, near = (
            log_odds(model(x), labels).detach() for x in (last, fgsm(some, epsilon, slope))
        )
        assert (far - near).mean() >= -1e-9
        assert (far >= near - 1e-9).double().mean() > 0.9


def test_a_net_without_finite_logits_recognises_nothing():
    model, some = net("none"), unseen(torch.rand(8, 2, 2, 3), torch.zeros(8, dtype=torch.long))
    with torch.no_grad():
        model.head.bias.fill_(math.nan)
    values = adversarial(model, batch(some))
    assert len(values) == 1 + 2 * len(EPSILONS)
    assert set(values.values()) == {0.0}


def test_no_image_but_the_unseen_ones_is_attacked():
    model, some = net(), unseen(torch.rand(8, 2, 2, 3), torch.arange(8) % 4)
    other = replace(batch(some), images=some.images * math.nan, reference=some.images * math.nan)
    assert adversarial(model, other) == adversarial(model, batch(some))
