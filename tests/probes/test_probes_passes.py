"""A probe leaves a net as it was, bit for bit, and measures what training would see."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnbench.config.schema import Probe
from bnbench.models import MLP, VGG
from bnbench.norms import NORMS
from bnbench.probes import PROBES, Batch, Unseen
from bnbench.probes.passes import loss_and_gradients, parameters, weight_names

CLASSES = {0: MLP, 2: VGG}


def build(norm="batchnorm", spatial_dims=0, dropout=0.0):
    make = NORMS[norm] if norm != "batch_renorm" else partial(NORMS[norm], warmup=3)
    model = CLASSES[spatial_dims](
        (1, 4, 4), 10, widths=[6, 5], dropout=dropout, norm=partial(make, spatial_dims=spatial_dims)
    )
    model(torch.randn(16, 1, 4, 4))  # statistics of its own
    return model.to(memory_format=torch.channels_last)


def batch():
    images = torch.randn(12, 1, 4, 4).to(memory_format=torch.channels_last)
    unseen = Unseen(images[8:], torch.arange(4), torch.tensor([0.4]), torch.tensor([0.3]))
    labels = torch.arange(12) % 10
    return Batch(images[:8], labels[:8], 0.1, images, unseen=unseen, reference_labels=labels)


def state(model):
    """All that there is of a net: bits, memory, gradients, modes; and the random state."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return (
        {name: (id(t), t.data_ptr(), t.detach().clone()) for name, t in tensors.items()},
        {name: (id(p.grad), None if p.grad is None else p.grad.clone(), p.requires_grad)
         for name, p in model.named_parameters()},
        [module.training for module in model.modules()],
        [(len(m._forward_pre_hooks), len(m._forward_hooks)) for m in model.modules()],
        torch.get_rng_state(),
    )  # fmt: skip


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_every_name_is_a_probe():
    assert list(PROBES) == list(Probe)


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("norm", ["batchnorm", "noisy_batchnorm", "batch_renorm", "none"])
@pytest.mark.parametrize("spatial_dims", CLASSES)
def test_a_probe_leaves_no_trace(name, norm, spatial_dims):
    model, seen, probe = build(norm, spatial_dims, dropout=0.3), batch(), PROBES[name]()
    model.eval()
    model.head.train()  # whatever the modes are
    model.head.weight.grad = torch.ones_like(model.head.weight)
    model.head.bias.requires_grad_(False)
    before = state(model)
    first = probe(model, seen)
    if name == "drift":
        assert first == {}
        first = probe(model, seen)
    assert same(state(model), before)
    assert first == probe(model, seen)  # the same noise, too
    assert first or (name in ("variance", "affine") and norm == "none")
    assert all(type(value) is float for value in first.values())


@pytest.mark.parametrize("name", [name for name in PROBES if name != "weights"])  # sees no image
def test_a_probe_that_fails_leaves_no_trace(name):
    model, seen = build().eval(), batch()
    unseen = replace(seen.unseen, images=seen.unseen.images[:, :, :3])
    cut = {"images": seen.images[:, :, :3], "reference": seen.reference[:, :, :3]}
    wrong = replace(seen, **cut, unseen=unseen)
    before = state(model)
    with pytest.raises(RuntimeError):
        PROBES[name]()(model, wrong)
    assert same(state(model), before)


@pytest.mark.parametrize("norm", ["batchnorm", "noisy_batchnorm", "batch_renorm", "none"])
def test_a_pass_is_the_training_step_to_come(norm):
    """Loss and gradients are those of a step on the batch, noise and statistics included."""
    model, seen = build(norm, dropout=0.3), batch()
    with torch.no_grad():  # wherever a probe is called from
        loss, gradients = loss_and_gradients(model.eval(), seen, parameters(model))
    model.train()
    expected = F.cross_entropy(model(seen.images), seen.labels)
    expected.backward()
    assert loss == expected.item()
    assert all(torch.equal(gradients[name], p.grad) for name, p in model.named_parameters())


def test_layers_are_numbered_from_the_input():
    assert weight_names(build(spatial_dims=2)) == {
        "1": "features.0.weights.weight", "2": "features.2.weights.weight", "head": "head.weight",
    }  # fmt: skip
    assert list(weight_names(build())) == ["1", "2", "head"]


def test_what_the_loss_does_not_depend_on_has_no_gradient():
    model = build()
    model.unused = nn.Linear(2, 2)
    _, gradients = loss_and_gradients(model, batch(), parameters(model))
    assert gradients["unused.weight"].count_nonzero() == 0


def test_ics_costs_one_pass_more_than_there_are_layers_above_the_first():
    model, calls = build(), []
    model.register_forward_hook(lambda *_: calls.append(1))
    PROBES["ics"]()(model, batch())
    assert len(calls) == 3  # of the start, for layer 2, for the head
