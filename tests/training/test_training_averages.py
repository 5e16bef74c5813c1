"""Averages of weights are those of torch, leave no trace, and say nothing before they begin."""

import doctest

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bnbench.training import averages
from bnbench.training.averages import CHECKPOINTS, DECAY, PART, WeightAverages, checkpoints


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3)).double()


@torch.no_grad()
def walk(model: nn.Module) -> None:
    """Move every parameter and buffer at random, as a step would."""
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.add_(torch.randn_like(tensor))


def test_averages_are_those_of_torch():
    model, steps = net(), 160
    ours = WeightAverages(model, ["swa", "weight_ema"], steps)
    theirs = {
        "swa": AveragedModel(model),
        "weight_ema": AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(DECAY)),
    }
    for step in range(1, steps + 1):
        walk(model)
        ours.update(step)
        theirs["weight_ema"].update_parameters(model)
        if step > 0.75 * steps and step % 2 == 0:  # 122, 124, …, 160: twenty of them
            theirs["swa"].update_parameters(model)
    assert int(theirs["swa"].n_averaged) == CHECKPOINTS
    buffers = [buffer.clone() for buffer in model.buffers()]
    for kind, other in theirs.items():
        with ours.held(kind):
            pairs = zip(model.parameters(), other.module.parameters(), strict=True)
            for mean, expected in pairs:
                assert mean.detach().numpy() == pytest.approx(
                    expected.detach().numpy(), rel=1e-12, abs=1e-14
                )
            # statistics are those of the last net
            assert all(map(torch.equal, model.buffers(), buffers))


def test_the_net_is_left_as_it_was_also_after_an_error():
    model = net()
    ours = WeightAverages(model, ["weight_ema"], 10)
    for step in range(1, 4):
        walk(model)
        ours.update(step)
    before = [p.detach().clone() for p in model.parameters()]
    with ours.held("weight_ema"):
        assert not torch.equal(model[0].weight, before[0])
    assert all(map(torch.equal, model.parameters(), before))
    with pytest.raises(RuntimeError), ours.held("weight_ema"):
        model(torch.zeros(1, 99))
    assert all(map(torch.equal, model.parameters(), before))


def test_an_average_that_has_not_begun_is_the_net_itself():
    model = net()
    ours = WeightAverages(model, ["swa"], 100)
    walk(model)
    ours.update(1)
    weight = model[0].weight.detach().clone()
    with ours.held("swa"):
        assert torch.equal(model[0].weight, weight)


@pytest.mark.parametrize("steps", [1, 2, 7, 79, 80, 320, 781])
def test_checkpoints_are_of_the_last_quarter_and_end_with_the_last_step(steps):
    found = checkpoints(steps)
    assert max(found) == steps
    assert min(found) >= (1 - PART) * steps - 0.5
    assert len(found) == CHECKPOINTS or steps < CHECKPOINTS / PART


def test_an_unknown_average_is_refused():
    with pytest.raises(ValueError, match="unknown average 'sma'; allowed: swa, weight_ema"):
        WeightAverages(net(), ["sma"], 10)


def test_the_examples_in_the_docs_hold():
    assert doctest.testmod(averages).failed == 0
