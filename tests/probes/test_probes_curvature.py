"""Eigenvalues of the Hessian where they are known: a quadratic, softmax regression, autograd."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from probed_nets import Landscape, Net
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from bnbench.models import MLP
from bnbench.norms import NORMS
from bnbench.probes import PROBES, Batch
from bnbench.probes.curvature import IMAGES, NUMBER, STEPS, largest_eigenvalues

MODES = {"": True, "population_": False}
curvature = PROBES["curvature"]()


def of_images(*shape, number=40, dtype=torch.float64):
    images, labels = torch.randn(number, *shape, dtype=dtype), torch.arange(number) % 10
    return Batch(images[:8], labels[:8], 0.1, images, reference_labels=labels)


def probed(model, batch, prefix=""):
    values = curvature(model, batch)
    return [values["", f"{prefix}eigenvalue_{which}"] for which in ("1", "20", "ratio")]


def all_eigenvalues(model, batch, training):
    """All eigenvalues in falling order, of the Hessian that autograd writes out."""
    names, own = zip(*model.named_parameters(), strict=True)
    model.train(training)

    def loss(vector):
        parts = vector.split([p.numel() for p in own])
        state = {name: part.view(p.shape) for name, part, p in zip(names, parts, own, strict=True)}
        state |= {name: buffer.clone() for name, buffer in model.named_buffers()}
        logits = functional_call(model, state, batch.reference)
        return F.cross_entropy(logits, batch.reference_labels)

    at = nn.utils.parameters_to_vector(own).detach()
    return torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, at)).flip(0).tolist()


def with_norm(norm, dtype=torch.float64):
    make = partial(NORMS[norm], spatial_dims=0)
    model = MLP((1, 4, 4), 10, widths=[7, 6], norm=make).to(dtype)
    for _ in range(9):  # running statistics, of other images than the probe sees
        model(1 + 2 * torch.randn(16, 1, 4, 4, dtype=dtype))
    return model


def test_a_quadratic_has_the_curvatures_that_it_is_made_of():
    curvatures = torch.linspace(9, -3, 40, dtype=torch.float64)
    model = Landscape(lambda w: 3 + (curvatures * w.square()).sum() / 2, [0.1] * 40)
    batch = replace(of_images(4), reference_labels=torch.zeros(40, dtype=torch.long))
    first, last = curvatures[0].item(), curvatures[NUMBER - 1].item()
    assert probed(model, batch) == pytest.approx([first, last, first / last], rel=1e-9)


def test_softmax_regression_by_its_closed_form():
    """H = mean of (diag(p) - p pᵀ) ⊗ x xᵀ over images x with the probabilities p."""
    model, batch = Net(6, 10), of_images(6)
    p = model(batch.reference).softmax(1).detach()
    of_logits = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    of_inputs = batch.reference[:, :, None] * batch.reference[:, None, :]
    products = [torch.kron(a, b) for a, b in zip(of_logits, of_inputs, strict=True)]
    expected = torch.linalg.eigvalsh(torch.stack(products).mean(0)).flip(0).tolist()
    first, last = expected[0], expected[NUMBER - 1]
    assert probed(model, batch) == pytest.approx([first, last, first / last], rel=1e-9)


@pytest.mark.parametrize("prefix", MODES)
@pytest.mark.parametrize("norm", ["batchnorm", "torch_batchnorm"])
def test_a_net_with_norms_has_the_eigenvalues_of_its_whole_hessian(norm, prefix):
    """More parameters than products: 266."""
    model, batch = with_norm(norm), of_images(1, 4, 4)
    assert sum(p.numel() for p in model.parameters()) > 2 * STEPS
    expected = all_eigenvalues(model, batch, MODES[prefix])
    first, last = expected[0], expected[NUMBER - 1]
    assert probed(model, batch, prefix) == pytest.approx([first, last, first / last], rel=1e-6)
    other = all_eigenvalues(model, batch, not MODES[prefix])
    assert other[0] != pytest.approx(first, rel=0.01)  # the mode matters


def test_products_in_float32_are_good_enough():
    model, batch = with_norm("batchnorm", torch.float32), of_images(1, 4, 4, dtype=torch.float32)
    found = [probed(model, batch, prefix) for prefix in MODES]
    wide = replace(batch, reference=batch.reference.double())
    for (first, last, _), training in zip(found, MODES.values(), strict=True):
        expected = all_eigenvalues(model.double(), wide, training)
        assert (first, last) == pytest.approx((expected[0], expected[NUMBER - 1]), rel=1e-4)


def test_it_looks_at_the_first_256_images():
    model, many = with_norm("batchnorm"), of_images(1, 4, 4, number=IMAGES + 60)

    def of_first(number):
        images, labels = many.reference[:number], many.reference_labels[:number]
        return probed(model, replace(many, reference=images, reference_labels=labels))

    assert of_first(255) != of_first(256) == probed(model, many)


def test_it_measures_at_the_ends_of_a_run_alone():
    model, batch = with_norm("batchnorm"), of_images(1, 4, 4)
    assert curvature(model, replace(batch, is_end=False)) == {}
    assert len(curvature(model, batch)) == 6


def test_a_net_without_running_statistics_has_one_mode():
    metrics = {metric for _, metric in curvature(Net(6, 5, 10), of_images(6))}
    assert metrics == {"eigenvalue_1", "eigenvalue_20", "eigenvalue_ratio"}


def test_what_is_not_finite_has_no_eigenvalues():
    model = with_norm("batchnorm")
    with torch.no_grad():
        model.head.bias[0] = math.inf
    values = curvature(model, of_images(1, 4, 4))
    assert len(values) == 6
    assert all(map(math.isnan, values.values()))


# any symmetric matrix


def drawn(eigenvalues, seed=0):
    """A symmetric matrix of given eigenvalues."""
    generator = torch.Generator().manual_seed(seed)
    size = len(eigenvalues)
    axes = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q
    return axes * torch.tensor(eigenvalues, dtype=torch.float64) @ axes.T


def found_in(matrix, number, steps=STEPS):
    return largest_eigenvalues(lambda v: matrix @ v, matrix[0], number, steps).tolist()


@settings(derandomize=True, database=None, deadline=None, max_examples=40)
@given(
    eigenvalues=st.lists(st.integers(-50, 50), min_size=4, max_size=30, unique=True),
    seed=st.integers(0, 99),
)
def test_with_a_product_for_each_row_all_are_found(eigenvalues, seed):
    ordered = sorted(eigenvalues, reverse=True)
    found = found_in(drawn(eigenvalues, seed), 4)
    assert found == pytest.approx(ordered[:4], abs=1e-8)


def test_a_flat_place_has_no_curvature():
    assert found_in(torch.zeros(30, 30, dtype=torch.float64), 3) == [0, 0, 0]


@settings(derandomize=True, database=None, deadline=None, max_examples=20)
@given(steps=st.integers(5, 60), seed=st.integers(0, 99))
def test_none_is_above_the_true_one_and_more_steps_bring_them_nearer(steps, seed):
    eigenvalues = np.geomspace(1, 1e-4, 80).tolist()
    matrix = drawn(eigenvalues, seed)
    some, more, true = (
        np.array(each) for each in (found_in(matrix, 5, steps), found_in(matrix, 5, steps + 1),
                                    eigenvalues[:5])
    )  # fmt: skip
    assert (some <= more + 1e-12).all()
    assert (more <= true + 1e-12).all()


def test_a_matrix_of_few_rows_has_no_more_eigenvalues_than_rows():
    assert found_in(drawn([2.0, 1.0]), 4) == pytest.approx([2, 1, math.nan, math.nan], nan_ok=True)


def test_outliers_before_a_bulk_are_found_within_a_hundred_products():
    """Ten outliers, and a bulk of 490 near zero: what the Hessian of a trained net looks like."""
    eigenvalues = [*np.geomspace(10, 1, 10), *np.linspace(0.2, -0.02, 490)]
    found = found_in(drawn(eigenvalues), NUMBER)
    assert found[:10] == pytest.approx(eigenvalues[:10], rel=1e-9)
    assert found[-1] == pytest.approx(eigenvalues[NUMBER - 1], rel=0.01)
