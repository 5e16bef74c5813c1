"""Gradients and their change, by formulas of deep linear nets that know nothing of autograd."""

import doctest
import math
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from probed_nets import Net

from bnbench.data.datasets import load
from bnbench.models import MLP, initialise
from bnbench.norms import NORMS
from bnbench.probes import Batch
from bnbench.probes.gradients import gradients, growth, ics


def matrices(model):
    return [p.detach().numpy().copy() for p in model.parameters()]


def by_hand(weights, batch):
    """dL/dW_l = (W_k … W_(l+1))ᵀ Δ (W_(l-1) … W_1 X)ᵀ, where Δ = (softmax - onehot) / N."""
    inputs = [batch.images.numpy().T]
    for matrix in weights:
        inputs.append(matrix @ inputs[-1])
    exponentials = np.exp(inputs[-1])
    delta = exponentials / exponentials.sum(0)
    delta[batch.labels.numpy(), np.arange(len(batch.labels))] -= 1
    delta /= len(batch.labels)
    found = []
    for matrix, x in zip(reversed(weights), reversed(inputs[:-1]), strict=True):
        found.insert(0, delta @ x.T)
        delta = matrix.T @ delta
    return found


def test_gradient_norms_of_a_deep_linear_net(batch):
    model = Net(4, 5, 3, 6, 2)
    norms = [np.linalg.norm(g) for g in by_hand(matrices(model), batch)]
    values = gradients(model, batch)
    found = [values[layer, "gradient_norm"] for layer in ("1", "2", "3", "head")]
    assert found == pytest.approx(norms, rel=1e-12)
    slope = np.polyfit([1, 2, 3], np.log(norms[:3]), 1)[0]
    assert values["", "gradient_growth"] == pytest.approx(np.exp(-slope), rel=1e-12)
    assert len(values) == 5


def test_a_net_of_one_block_has_no_growth(batch):
    assert set(gradients(Net(4, 3, 2), batch)) == {
        ("1", "gradient_norm"),
        ("head", "gradient_norm"),
    }


def test_growth_leaves_out_the_ends_of_deep_nets_alone():
    """Of 15 blocks the inner five count; of 14 all do."""
    inner = [1.5**-k for k in range(5)]
    assert growth([7, 1, 9, 2, 3, *inner, 8, 1, 4, 5, 2]) == pytest.approx(1.5, rel=1e-14)
    bent = [*inner, *inner, 8, 1, 4, 5]
    slope = np.polyfit(range(14), np.log(bent), 1)[0]
    assert growth(bent) == pytest.approx(np.exp(-slope), rel=1e-12)
    assert growth([8, 4, 2]) == pytest.approx(2)  # a gradient that is smaller at the top


@pytest.mark.parametrize("norm", [0.0, math.inf, math.nan])
def test_growth_of_what_has_no_logarithm_is_not_a_number(norm):
    assert math.isnan(growth([2.0, norm, 1.0]))


def test_ics_of_a_deep_linear_net(batch):
    """Layer i by its gradient after layers 1 … i-1 have stepped, all by their first gradients."""
    model = Net(4, 5, 3, 2)
    weights = matrices(model)
    start = by_hand(weights, batch)
    values = ics(model, batch)
    expected = {}
    for place, layer in ((1, "2"), (2, "head")):
        moved = [
            w - batch.rate * g if k < place else w
            for k, (w, g) in enumerate(zip(weights, start, strict=True))
        ]
        g, after = start[place].ravel(), by_hand(moved, batch)[place].ravel()
        sizes = np.linalg.norm(g), np.linalg.norm(after)
        expected[layer, "ics_cosine"] = g @ after / (sizes[0] * sizes[1])
        expected[layer, "ics_distance"] = np.linalg.norm(g - after)
        expected[layer, "ics_relative"] = np.linalg.norm(g - after) / sizes[0]
    assert values == pytest.approx(expected, rel=1e-12)
    assert min(values["2", "ics_relative"], values["head", "ics_relative"]) > 0.01


def test_ics_steps_every_parameter_below_a_layer_and_none_of_its_own(batch):
    """With BatchNorm: gamma and beta of block 1 step, those of block 2 do not."""
    model = MLP((1, 2, 2), 2, widths=[5, 3], norm=partial(NORMS["torch_batchnorm"], spatial_dims=0))
    model.double()
    batch = Batch(batch.images.view(8, 1, 2, 2), batch.labels, batch.rate, batch.reference)
    values = ics(model, batch)

    def backward():
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(batch.images), batch.labels).backward()
        return model.blocks[1].weights.weight.grad.clone()

    start = backward()
    with torch.no_grad():
        for parameter in model.blocks[0].parameters():
            parameter -= batch.rate * parameter.grad
    assert values["2", "ics_distance"] == pytest.approx(
        (backward() - start).norm().item(), rel=1e-12
    )


def test_a_gradient_that_vanishes_has_no_direction(batch):
    model = Net(4, 5, 3, 2)
    torch.nn.init.zeros_(model.head.weight)
    values = ics(model, batch)
    assert math.isnan(values["2", "ics_cosine"])
    assert values["2", "ics_distance"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [128, 1024])
def test_gradients_of_batchnorm_and_relu_grow_as_theory_says(batch_size):
    """Yang et al. 2019: the norm of the gradient grows by sqrt(π/(π - 1)) = 1.2112 a layer.

    That is for infinite width and samples of equal norm. At 1,024 images the samples' norms drift
    apart with depth, and the mean over seeds is 1.198 (docs/probes.md).
    """
    images, labels = (dataset := load("digits", Path("data"), 0)).train
    images = dataset.normalise(images[:batch_size])
    model = MLP(
        (1, 8, 8), 10, widths=[512], depth=[40], norm=partial(NORMS["batchnorm"], spatial_dims=0)
    )
    initialise(model, "he", seed=0)
    values = gradients(model, Batch(images, labels[:batch_size], 0.1, images))
    expected = math.sqrt(math.pi / (math.pi - 1))
    assert values["", "gradient_growth"] == pytest.approx(expected, abs=0.02)


def test_the_examples_hold():
    assert doctest.testmod(sys.modules["bnbench.probes.gradients"]).failed == 0
