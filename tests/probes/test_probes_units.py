"""Ablation of units in nets of which it is known what each unit does."""

from functools import partial

import pytest
import torch
from probed_nets import Net
from torch import nn

from bnbench.models import VGG
from bnbench.norms import NORMS
from bnbench.probes import Batch, Unseen, units
from bnbench.probes.units import ORDERS, ablation, held, unit_means

UNITS = 10
ONE = torch.ones(1)


def batch(images, labels):
    return Batch(images, labels, 0.1, images, Unseen(images, labels, ONE, ONE))


def signs(head, rows=None):
    """A net that tells whether a number is positive, and numbers of which 3 in 4 are.

    Every hidden unit has the number, or one of `rows` times it; the head adds up what it weighs,
    and without any unit calls all of them negative.
    """
    model = Net(1, UNITS, 2)
    with torch.no_grad():
        weight = torch.ones(UNITS, 1) if rows is None else rows
        model.blocks[0].weights.weight.copy_(weight)
        model.head.weight.zero_()
        model.head.weight[1] = head
    x = torch.tensor([[-1.0], [1.0], [2.0], [3.0]], dtype=torch.float64).repeat(5, 1)
    return model, batch(x, (x[:, 0] > 0).long())


def ranks():
    """The place of each unit in the orders that the probe will draw."""
    with torch.random.fork_rng():
        drawn = [torch.rand(UNITS, dtype=torch.float64).argsort() for _ in range(ORDERS)]
    return [order.argsort() for order in drawn]


def test_a_unit_that_carries_everything():
    """A is 1 while the unit is there and 1/4 without it, where all are called negative."""
    head = torch.zeros(UNITS)
    head[3] = 1.0
    model, seen = signs(head)
    places = [rank[3].item() for rank in ranks()]
    values = ablation(model, seen)
    assert values["", "unablated"] == 1
    assert values["", "ablated"] == values["", "unablated"] - values["", "single_loss"] == 0.25
    # after k of ten units it is there if its place is k or more; trapezia of a tenth each
    areas = [
        ((1 + 0.25) / 2 + sum(1 if place >= k else 0.25 for k in range(1, 10))) / 10
        for place in places
    ]
    assert len(set(places)) > 1
    assert values["", "ablation_area"] == pytest.approx(sum(areas) / ORDERS, abs=1e-12)


def test_units_that_are_copies():
    """No one is missed while another is there."""
    model, seen = signs(torch.ones(UNITS))
    values = ablation(model, seen)
    assert values["", "single_loss"] == 0
    assert values["", "ablation_area"] == pytest.approx((9 + (1 + 0.25) / 2) / 10, abs=1e-12)


def test_a_unit_that_never_changes_is_missed_at_zero_and_not_at_its_mean():
    """Half of the units are 1 for all images, as a second input is, and are weighed as a bias."""
    rows = torch.zeros(UNITS, 2)
    rows[:5, 0], rows[5:, 1] = 1.0, 1.0
    model = Net(2, UNITS, 2)
    with torch.no_grad():
        model.blocks[0].weights.weight.copy_(rows)
        model.head.weight.zero_()
        model.head.weight[1, 5:] = 1.0  # all images are called positive, for the constant alone
    x = torch.stack((torch.tensor([-1.0, 1.0, 2.0, 3.0]), torch.ones(4)), 1).double()
    values = ablation(model, batch(x, (x[:, 0] > 0).long()))
    assert values["", "unablated"] == values["", "ablation_area_mean"] == 0.75
    assert values["", "ablated"] == 0.25
    assert values["", "ablation_area"] < 0.75


def test_a_single_unit_is_one_of_the_first_where_there_are_many(monkeypatch):
    model, seen = signs(torch.zeros(UNITS))
    with torch.no_grad():
        model.head.weight[1, ranks()[0] == 1] = 1.0
    for most, expected in ((1, 0.0), (2, 0.75)):
        monkeypatch.setattr(units, "SINGLE", most)
        assert ablation(model, seen)["", "single_loss"] == expected


def test_everything_is_measured_with_running_statistics():
    """None taken away it is the net in evaluation mode; all, the head's bias on what is left."""
    norm = partial(NORMS["batchnorm"], spatial_dims=2)
    model = VGG((1, 4, 4), 3, widths=[4, 5], norm=norm).double()
    images, labels = torch.randn(60, 1, 4, 4, dtype=torch.float64), torch.arange(60) % 3
    model(images + 1)
    values = ablation(model, batch(images, labels))
    assert model.training
    right = (model.eval()(images).argmax(1) == labels).double().mean()
    assert values["", "unablated"] == right
    constant = model.head(torch.zeros(1, model.head.in_features, dtype=torch.float64)).argmax()
    assert values["", "ablated"] == (labels == constant).double().mean()


def test_a_unit_of_a_convolution_is_a_channel():
    model = VGG((1, 4, 4), 3, widths=[4, 5], norm=None)
    images, seen = torch.randn(6, 1, 4, 4), []
    means = unit_means(model, images)
    assert [len(mean) for mean in means] == [4, 5]
    for block in (model.features[0], model.features[2]):
        block.activation.register_forward_hook(lambda _, __, output: seen.append(output))
    model(images)
    for mean, output in zip(means, seen, strict=True):
        assert torch.allclose(mean, output.mean((0, 2, 3)), atol=1e-7)
    kept = (torch.tensor([True, False, True, True]), torch.ones(5, dtype=torch.bool))
    with held(model, kept, means):
        after = []
        handle = model.features[0].activation.register_forward_hook(
            lambda _, __, output: after.append(output)
        )
        model(images)
        handle.remove()
    assert torch.equal(after[0][:, 0], seen[0][:, 0])
    assert torch.equal(after[0][:, 1], means[0][1].expand(6, 4, 4))


def test_a_net_without_finite_logits_recognises_nothing():
    model, seen = signs(torch.ones(UNITS))
    with torch.no_grad():
        model.head.weight.fill_(torch.nan)
    assert set(ablation(model, seen).values()) == {0.0}


def test_a_failure_leaves_no_hook():
    model, seen = signs(torch.ones(UNITS))
    model.head = nn.Linear(3, 2, dtype=torch.float64)
    with pytest.raises(RuntimeError):
        ablation(model, seen)
    assert not any(module._forward_hooks for module in model.modules())
