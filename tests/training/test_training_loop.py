"""The training loop does what its equations say, and arms meet the same batches."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnbench.training import loop
from bnbench.training.loop import ahead, schedule, training_steps
from bnbench.training.optimizers import FusedSGD


def plain_sgd(model, images, labels, batches, rates, momentum, decay):
    """SGD with momentum written out: v ← μv + g + λw; w ← w - ηv. λ on weights only."""
    velocity = [torch.zeros_like(p) for p in model.parameters()]
    losses = []
    for index, rate in zip(batches, rates, strict=True):
        loss = F.cross_entropy(model(images[index]), labels[index])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        losses.append(loss.item())
        with torch.no_grad():
            for p, g, v in zip(model.parameters(), gradients, velocity, strict=True):
                v.mul_(momentum).add_(g + (decay if p.ndim > 1 else 0.0) * p)
                p.sub_(rate * v)
    return losses


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_are_those_of_sgd_with_momentum(decay):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(40, 2, 3, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (40,), generator=generator)
    batches = [torch.randperm(40, generator=generator)[:8] for _ in range(6)]
    nets = []
    for _ in range(2):
        torch.manual_seed(1)
        nets.append(nn.Sequential(nn.Flatten(), nn.Linear(18, 4), nn.BatchNorm1d(4)).double())
    rate = schedule("cosine", 0.2, 0.1, 6)
    expected = plain_sgd(
        nets[0], images, labels, batches, [rate(k) for k in range(1, 7)], 0.9, decay
    )
    optimizer = FusedSGD(nets[1], {}, decay, momentum=0.9)
    ours = [
        loss.item() for loss in training_steps(nets[1], images, labels, batches, optimizer, rate)
    ]
    assert ours == pytest.approx(expected, rel=1e-12)
    for one, other in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("constant", [0.4, 0.4, 0.4, 0.4, 0.4]),
        ("cosine", [0.4, 0.04 + 0.36 * (1 + math.cos(math.pi / 4)) / 2, 0.22,
                    0.04 + 0.36 * (1 - math.cos(math.pi / 4)) / 2, 0.04]),
        ("exponential", [0.4, 0.4 * 0.1**0.25, 0.4 * 0.1**0.5, 0.4 * 0.1**0.75, 0.04]),
    ],
)  # fmt: skip
def test_schedules_start_at_the_rate_and_end_at_their_share_of_it(shape, expected):
    rate = schedule(shape, 0.4, 0.1, 5)
    assert [rate(step) for step in range(1, 6)] == pytest.approx(expected)
    assert schedule(shape, 0.4, 0.1, 1)(1) == pytest.approx(0.4)


def test_augmentation_sees_each_batch():
    images, labels = torch.ones(4, 1, 2, 2), torch.zeros(4, dtype=torch.long)
    seen = []

    def zero(batch):
        seen.append(batch.shape)
        return batch * 0

    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    optimizer = FusedSGD(net, {})
    steps = training_steps(
        net, images, labels, [torch.tensor([1, 2])], optimizer, lambda s: 1, zero
    )
    assert [loss.item() for loss in steps] == [pytest.approx(math.log(2))]
    assert seen == [(2, 1, 2, 2)]


@pytest.mark.parametrize("number", [0, 1, 3, 7])
def test_what_is_drawn_ahead_is_what_is_drawn(monkeypatch, number):
    drawn = []

    def draws():
        for k in range(number):
            drawn.append(k)
            yield torch.full((2,), k)

    monkeypatch.setattr(loop, "AHEAD", 3)
    steps = ahead(draws(), torch.device("cpu"))
    assert drawn == []
    for k, draw in enumerate(steps):
        assert draw.tolist() == [k, k]
        assert drawn == list(range(min(number, 3 * (k // 3 + 1))))
    assert len(drawn) == number
