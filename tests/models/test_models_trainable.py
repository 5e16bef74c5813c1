"""What is trained moves, and all else stays bit for bit as it was drawn."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnbench.config.schema import Trainable
from bnbench.models import MODELS, freeze, initialise
from bnbench.models.trainable import TRAINABLE
from bnbench.norms import NORMS
from bnbench.training.loop import training_steps
from bnbench.training.optimizers import OPTIMIZERS

OPTIMISERS = [
    ("sgd", {"momentum": 0.9}),
    ("adam", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}),
]


def build(name="mlp", norm: str | None = "batchnorm", placement="pre", widths=(8, 4), **options):
    net = MODELS[name]
    make = None if norm is None else partial(NORMS[norm], spatial_dims=net.spatial_dims, **options)
    model = net((1, 8, 8), 10, widths=widths, norm=make, placement=placement)
    initialise(model, "he", seed=0)
    return model


def data():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(40, 1, 8, 8, generator=generator)
    return images, torch.randint(0, 10, (40,), generator=generator)


def train(model, trainable, steps=4, rate=0.1, optimiser=OPTIMISERS[0], seed=0):
    """The masks, and the parameters and buffers before and after some steps with decay."""
    images, labels = data()
    batches = torch.arange(40).repeat(2).view(-1, 10)[:steps]
    masks = freeze(model, trainable, seed)
    name, options = optimiser
    optimizer = OPTIMIZERS[name](model, masks, 0.1, **options)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    images = images.to(next(model.parameters()).dtype)
    for _ in training_steps(model, images, labels, batches, optimizer, lambda step: rate):
        pass
    names = {p: name for name, p in model.named_parameters()}
    return {names[p]: mask for p, mask in masks.items()}, before, model.state_dict()


def moved(model, before, after):
    """The names of the parameters of which a value has changed."""
    names = dict(model.named_parameters())
    return {name for name in names if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda o: o[0])
@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("name", ["mlp", "vgg"])
def test_each_choice_trains_its_parameters_and_no_other(name, placement, optimiser):
    head = {"head.weight", "head.bias"}
    for trainable in ("all", "head", "norm"):
        model = build(name, placement=placement)
        every = {n for n, _ in model.named_parameters()}
        of_norms = {n for n in every if ".norm." in n}
        assert len(of_norms) == 4
        masks, before, after = train(model, trainable, optimiser=optimiser)
        expected = {"all": every, "head": head, "norm": head | of_norms}[trainable]
        assert masks == {}
        assert moved(model, before, after) == expected


@pytest.mark.parametrize("norm", NORMS)
def test_the_parameters_of_every_norm_are_found(norm):
    model = build("vgg", norm)
    freeze(model, "norm", seed=0)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    of_norms = {n for n, _ in model.named_parameters() if ".norm." in n}
    assert trained == of_norms | {"head.weight", "head.bias"}
    train(model, "norm", steps=1)  # and have gradients where nothing below them has


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda o: o[0])
@pytest.mark.parametrize("norm", [None, "batchnorm", "layernorm"])
@pytest.mark.parametrize("name", ["mlp", "vgg"])
def test_random_weights_are_as_many_as_batchnorm_has_parameters(name, norm, optimiser):
    """Momentum and weight decay leave the others bit for bit as they were."""
    reference = build(name, "batchnorm")
    freeze(reference, "norm", seed=0)
    count = sum(p.numel() for n, p in reference.named_parameters() if ".norm." in n)
    assert count == sum(p.numel() for p in reference.parameters() if p.requires_grad) - sum(
        p.numel() for p in reference.head.parameters()
    )
    model = build(name, norm)
    masks, before, after = train(model, "random", optimiser=optimiser)
    assert sum(int(mask.sum()) for mask in masks.values()) == count
    assert len(masks) == 2
    assert moved(model, before, after) <= {*masks, "head.weight", "head.bias"}
    for weight, mask in masks.items():
        changed = before[weight] != after[weight]
        assert not (changed & ~mask).any()
        # decay alone moves every chosen weight, also one whose unit is dead
        assert torch.equal(changed, mask)


def test_random_weights_train_as_if_the_others_were_constants():
    """SGD with momentum written out for the chosen weights alone: v ← μv + g + λw; w ← w - ηv."""
    ours, by_hand = (build(norm=None).double() for _ in range(2))
    masks, *_ = train(ours, "random", steps=4)
    images, labels = data()
    images = images.double()
    velocity = {name: torch.zeros_like(p) for name, p in by_hand.named_parameters()}
    for index in torch.arange(40).view(-1, 10):
        parameters = dict(by_hand.named_parameters())
        loss = F.cross_entropy(by_hand(images[index]), labels[index])
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        with torch.no_grad():
            for (name, p), gradient in zip(parameters.items(), gradients, strict=True):
                if name in masks or name.startswith("head"):
                    decay = 0.1 if p.ndim > 1 else 0.0
                    velocity[name].mul_(0.9).add_(gradient + decay * p)
                    p.sub_(0.1 * velocity[name] * masks.get(name, 1.0))
    for (name, p), q in zip(ours.named_parameters(), by_hand.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-12, atol=1e-14), name


def test_which_weights_are_chosen_depends_on_the_seed_alone():
    first, again, other = (
        torch.cat([mask.flatten() for mask in freeze(build(norm=norm), "random", seed).values()])
        for norm, seed in (("batchnorm", 0), (None, 0), ("batchnorm", 1))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    model = build()
    before = torch.get_rng_state()
    freeze(model, "random", 0)
    assert torch.equal(torch.get_rng_state(), before)
    # all weights of all layers are drawn from: 24 of 64·8 + 8·4, in each layer its share
    counts = torch.zeros(64 * 8 + 8 * 4)
    for seed in range(500):
        masks = freeze(model, "random", seed).values()
        counts += torch.cat([mask.flatten() for mask in masks])
    # 500·24/544 = 22 draws of each weight, standard deviation 4.6; 544 weights: within five
    assert (counts - 500 * 24 / 544).abs().max() < 23


def test_a_net_of_fewer_weights_trains_them_all():
    model = build(widths=[1] * 200)  # 64 + 199 hidden weights, 400 asked for
    masks = freeze(model, "random", seed=0)
    assert all(mask.all() for mask in masks.values())


@pytest.mark.parametrize("trainable", TRAINABLE)
def test_running_statistics_move_whatever_is_trained(trainable):
    _, before, after = train(build(norm="batchnorm"), trainable)
    means = [name for name in before if name.endswith("running_mean")]
    assert len(means) == 2
    assert not any(torch.equal(before[name], after[name]) for name in means)


def test_frozen_weights_outlast_a_divergence():
    model = build(norm=None)
    masks, before, after = train(model, "random", steps=8, rate=1e30)
    assert any(not after[name].isfinite().all() for name in masks)
    for name, mask in masks.items():
        assert torch.equal(before[name][~mask], after[name][~mask])


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_what_is_below_a_frozen_norm_needs_no_gradient(backend):
    """The head's gradients are those of the net that is trained as a whole."""
    images, labels = data()
    gradients = []
    for trainable in ("all", "head"):
        model = build(norm="batchnorm", backend=backend)
        freeze(model, trainable, seed=0)
        F.cross_entropy(model(images), labels).backward()
        gradients.append([p.grad for p in model.head.parameters()])
        assert all((p.grad is None) == (not p.requires_grad) for p in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_an_unknown_choice_names_the_allowed_ones():
    with pytest.raises(ValueError, match="'bn'; allowed: all, head, norm, random"):
        freeze(nn.Linear(2, 2), "bn", seed=0)
    assert list(TRAINABLE) == list(Trainable)
