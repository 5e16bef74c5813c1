"""Untrained nets: ranks, angles and gaps where they are known, and layers beside torch's."""

import doctest
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bnbench.measured.problems import random_nets
from bnbench.measured.problems.random_nets import (
    effective_rank,
    mean_cosine,
    orthogonality_gap,
    stable_rank,
)


def orthogonal(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q


def simplex(n):
    """n unit vectors as far from each other as can be: every cosine is -1/(n - 1)."""
    return (torch.eye(n, dtype=torch.float64) - 1 / n) * math.sqrt(n / (n - 1))


def with_singular_values(*values):
    squares = torch.tensor(values, dtype=torch.float64)
    n = len(values)
    return orthogonal(n) @ torch.diag(squares) @ orthogonal(n, 1)


def test_ranks_of_matrices_with_known_singular_values():
    h = with_singular_values(3.0, 2.0, 1.0, 0.0)
    assert stable_rank(h).item() == pytest.approx(14 / 9, rel=1e-12)
    assert effective_rank(h).item() == pytest.approx(14**2 / 98, rel=1e-12)
    for rank in (stable_rank, effective_rank):
        assert rank(orthogonal(5)).item() == pytest.approx(5, rel=1e-12)
        one = torch.outer(torch.arange(1.0, 5.0), torch.tensor([1.0, -2.0, 0.5]))
        assert rank(one.double()).item() == pytest.approx(1, rel=1e-12)
        assert rank(simplex(6)).item() == pytest.approx(5, rel=1e-12)  # centred: of rank n - 1


@given(st.lists(st.floats(0.1, 3.0), min_size=2, max_size=6), st.floats(0.01, 100))
def test_ranks_are_ordered_and_do_not_see_the_scale(values, scale):
    h = with_singular_values(*values)
    stable, effective = stable_rank(h).item(), effective_rank(h).item()
    assert 1 - 1e-12 <= stable <= effective * (1 + 1e-12) <= len(values) * (1 + 1e-11)
    assert stable_rank(scale * h).item() == pytest.approx(stable, rel=1e-10)
    assert orthogonality_gap(scale * h).item() == pytest.approx(
        orthogonality_gap(h).item(), abs=1e-12
    )


def test_angles_of_rows_that_are_known():
    scales = torch.arange(1.0, 7.0, dtype=torch.float64).unsqueeze(1)
    assert mean_cosine(scales * orthogonal(6)).item() < 1e-15
    assert mean_cosine(-scales * simplex(6)).item() == pytest.approx(1 / 5, rel=1e-12)
    same = torch.ones(6, 3, dtype=torch.float64)
    assert mean_cosine(scales * same).item() == pytest.approx(1, rel=1e-12)


def test_gaps_of_rows_that_are_known():
    n = 6
    assert orthogonality_gap(3 * orthogonal(n)).item() < 1e-15
    same = torch.ones(n, 3, dtype=torch.float64)
    assert orthogonality_gap(same).item() == pytest.approx(math.sqrt(1 - 1 / n), rel=1e-12)
    # n - 1 eigenvalues of 1/(n - 1) and one of 0, in the place of n of 1/n
    far = math.sqrt((n - 1) * (1 / (n - 1) - 1 / n) ** 2 + 1 / n**2)
    assert orthogonality_gap(simplex(n)).item() == pytest.approx(far, rel=1e-12)


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize(("activation", "gain"), [("linear", 1), ("ReLU", 2)])
def test_layers_are_those_of_torch(activation, gain, norm):
    images, weights = random_nets.draw("white", 3)
    d = images.shape[1]
    found = random_nets.representations(images, weights[:3], activation, norm)
    h = images
    for w, mine in zip(weights, found, strict=False):
        layer = nn.Linear(d, d, bias=False, dtype=torch.float64)
        layer.weight.data = w * math.sqrt(gain / d)
        u = layer(h)
        u = nn.BatchNorm1d(d, dtype=torch.float64)(u) if norm else u
        torch.testing.assert_close(mine, u.detach(), rtol=1e-10, atol=1e-12)
        h = u.relu() if activation == "ReLU" else u
    assert len(found) == 3


def test_layers_that_turn_images_alone_keep_rank_and_angles():
    images, _ = random_nets.draw("aligned", 1)
    n = images.shape[1]
    turns = [math.sqrt(n) * orthogonal(n, seed) for seed in range(4)]
    *_, last = random_nets.representations(images, turns, "linear", norm=False)
    for quantity in random_nets.QUANTITIES.values():
        assert quantity(last).item() == pytest.approx(quantity(images).item(), rel=1e-10)


def test_images_are_as_many_as_told_and_aligned_ones_fall_off(monkeypatch):
    for kind, (n, d) in random_nets.SIZES.items():
        images, weights = random_nets.draw(kind, 0)
        assert images.shape == (n, d)
        assert len(weights) == random_nets.DEPTHS[-1]
        assert {w.shape for w in weights} == {(d, d)}
    aligned, weights = random_nets.draw("aligned", 5)
    monkeypatch.setitem(random_nets.SIZES, "white", random_nets.SIZES["aligned"])
    white, same = random_nets.draw("white", 5)
    assert all(map(torch.equal, weights, same))
    torch.testing.assert_close(aligned * torch.arange(1, 129), white)


@pytest.mark.slow
def test_quantities_repeat_and_leave_the_global_generator_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, second = random_nets.measure([0, 1])
    assert random_nets.measure([1]) == [second]
    assert torch.equal(torch.get_rng_state(), state)
    assert first.keys() == second.keys()
    assert first != second
    arms = [f"{a}, {n}@{k}" for a in ("linear", "ReLU") for n in ("none", "batchnorm") for k in
            random_nets.DEPTHS]  # fmt: skip
    for kind in random_nets.SIZES:
        for q in random_nets.QUANTITIES:
            assert {f"{q}, {kind}, {arm}" for arm in arms} <= first.keys()
    assert all(map(math.isfinite, first.values()))
    images, weights = random_nets.draw("white", 0)
    u = random_nets.representations(images, weights, "ReLU", norm=True)[9]
    assert first["stable rank, white, ReLU, batchnorm@10"] == stable_rank(u).item()
    assert first["stable rank after, white, ReLU, batchnorm@10"] == stable_rank(u.relu()).item()
    assert first["gap, white, ReLU, batchnorm@10"] == orthogonality_gap(u).item()


def test_examples():
    assert doctest.testmod(random_nets).failed == 0
