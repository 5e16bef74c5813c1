"""A net takes the norms of a copy that decays, and nothing else of it: by a loop of torch.optim."""

import doctest
from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnbench.models import MLP
from bnbench.norms import NORMS
from bnbench.training import rescaling
from bnbench.training.loop import training_steps
from bnbench.training.optimizers import OPTIMIZERS
from bnbench.training.rescaling import rescaled, take_norms

STEPS, EVERY, RATE, DECAY, MOMENTUM = 10, 3, 0.1, 0.5, 0.9


def net(norm: str = "torch_batchnorm", dropout: float = 0.0) -> MLP:
    torch.manual_seed(0)
    made = None if norm == "none" else partial(NORMS[norm], spatial_dims=0)
    model = MLP((1, 2, 3), 4, widths=[5, 7], norm=made, dropout=dropout)
    return model.double()


def hidden(model: MLP) -> list[torch.Tensor]:
    return [block.weights.weight for block in model.blocks]


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(8 * STEPS, 1, 2, 3, dtype=torch.float64, generator=generator)
    return images, torch.randint(4, (8 * STEPS,), generator=generator)


def of_torch(model: MLP, spared: list[torch.Tensor]) -> torch.optim.SGD:
    """SGD whose decay falls on weights that are not spared."""
    without = {*spared, *(p for p in model.parameters() if p.ndim == 1)}
    groups = [
        {"params": [p for p in model.parameters() if p not in without], "weight_decay": DECAY},
        {"params": list(without), "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM)


def test_a_net_and_its_copy_are_trained_as_torch_does_it_by_hand():
    """The head decays, the other weights do not; both nets see the same dropout."""
    images, labels = drawn()
    mine = net(dropout=0.3)
    theirs, copy, other = deepcopy(mine), deepcopy(mine), deepcopy(mine)
    batches = torch.arange(8 * STEPS).view(STEPS, 8)

    def steps(model, spared):
        optimizer = OPTIMIZERS["sgd"](model, {}, DECAY, MOMENTUM, spared)
        return training_steps(model, images, labels, batches, optimizer, lambda _: RATE)

    pairs = list(zip(hidden(mine), hidden(copy), strict=True))
    torch.manual_seed(3)
    losses = list(rescaled(steps(mine, hidden(mine)), steps(copy, []), pairs, EVERY))
    assert len(losses) == STEPS

    torch.manual_seed(3)
    optimizers = [of_torch(theirs, hidden(theirs)), of_torch(other, [])]
    for step, index in enumerate(batches, 1):
        noise = torch.get_rng_state()
        for model, optimizer in zip((theirs, other), optimizers, strict=True):
            torch.set_rng_state(noise)
            loss = F.cross_entropy(model(images[index]), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if model is theirs:
                assert losses[step - 1].item() == pytest.approx(loss.item(), rel=1e-12)
        if step % EVERY == 0:
            with torch.no_grad():
                for weight, decayed in zip(hidden(theirs), hidden(other), strict=True):
                    weight *= decayed.norm() / weight.norm()
    for ours, by_hand in ((mine, theirs), (copy, other)):
        for name, value in ours.state_dict().items():
            assert value.numpy() == pytest.approx(by_hand.state_dict()[name].numpy(), rel=1e-10)
    sizes = [[w.norm().item() for w in hidden(model)] for model in (mine, copy, net())]
    assert sizes[0] != pytest.approx(sizes[1], rel=1e-6)  # a step after the last rescaling
    assert sizes[1] != pytest.approx(sizes[2], rel=0.1)  # such a decay is no trifle


@pytest.mark.parametrize("norm", ["torch_batchnorm", "none"])
def test_new_norms_change_the_outputs_of_a_net_without_a_norm_alone(norm):
    images, _ = drawn()
    model = net(norm)
    before = model(images)
    others = [3 * torch.randn_like(weight) for weight in hidden(model)]
    old = [weight.detach().clone() for weight in hidden(model)]
    take_norms(list(zip(hidden(model), others, strict=True)))
    for weight, was, other in zip(hidden(model), old, others, strict=True):
        assert weight.norm().item() == pytest.approx(other.norm().item(), rel=1e-14)
        cosine = nn.functional.cosine_similarity(weight.flatten(), was.flatten(), dim=0)
        assert cosine.item() == pytest.approx(1, abs=1e-14)
    change = (model(images) - before).abs().max().item()
    # all but eps, 1e-5 of variances around 1, is as before
    assert change < 1e-3 if norm == "torch_batchnorm" else change > 0.1


def test_the_examples_hold():
    assert doctest.testmod(rescaling).failed == 0
