"""The least-squares problems beside closed forms: condition numbers, step counts and optima."""

import doctest
import math
from itertools import pairwise

import pytest
import torch

from bnbench.measured.problems import least_squares
from bnbench.measured.problems.least_squares import (
    Quadratic,
    descent_steps,
    quadratic,
    scaled,
    standardised,
)

# features (±1, ±1) in all four ways: H = I, and after scaling diag(1, s²)
SQUARE = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)


def diagonal(*eigenvalues, optimum=(1.0, 1.0)):
    hessian = torch.diag(torch.tensor(eigenvalues, dtype=torch.float64))
    return Quadratic(hessian[None], torch.tensor([optimum], dtype=torch.float64))


@pytest.mark.parametrize("scale", [1, 3, 10, 30, 100])
def test_kappa_is_the_square_of_the_scale(scale):
    problem = quadratic(scaled(SQUARE, scale), SQUARE.sum(1))
    assert problem.kappa().item() == pytest.approx(scale**2, rel=1e-12)
    torch.testing.assert_close(problem.optimum, torch.tensor([[1, 1 / scale]]).double())


def test_kappa_of_standardised_features_is_that_of_their_correlation():
    z, y = least_squares.draw(0)
    x = scaled(z, 100) + torch.tensor([5.0, -300])
    r = torch.corrcoef(x.T)[0, 1].abs()
    problem = quadratic(standardised(x), y)
    assert problem.kappa().item() == pytest.approx(((1 + r) / (1 - r)).item(), rel=1e-10)


def test_excess_and_gradient_are_those_of_the_mean_squared_error():
    z, y = least_squares.draw(3)
    x = scaled(z, 10)
    problem = quadratic(x, y)

    def loss(w):
        return (x @ w - y).square().mean() / 2

    w = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(w), w)
    excess = loss(w) - loss(problem.optimum[0])
    torch.testing.assert_close(problem.excess(w[None])[0], excess, rtol=1e-10, atol=0)
    torch.testing.assert_close(problem.gradient(w[None])[0], slope, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kappa", [1.5, 9, 100, 1500])
def test_steps_are_those_of_the_geometric_decay(kappa):
    # all of the excess lies in the direction of λ_min, where it shrinks by (1 - 1/kappa)² a step
    problem = diagonal(1, kappa, optimum=(1.0, 0.0))
    exact = math.log(1e-3) / (2 * math.log1p(-1 / kappa))
    assert descent_steps(problem).item() == math.ceil(exact)


def test_steps_of_problems_side_by_side_are_those_of_each_alone():
    problems = [diagonal(1, 4), diagonal(1, 50), diagonal(3, 3)]
    together = Quadratic(*(torch.cat(tensors) for tensors in zip(*problems, strict=True)))
    alone = [descent_steps(problem).item() for problem in problems]
    assert descent_steps(together).tolist() == alone
    assert alone[2] == 1  # a circle: one step of 1/λ_max


def test_steps_of_a_drawn_problem_are_those_of_its_eigenbasis():
    z, y = least_squares.draw(5)
    problem = quadratic(scaled(z, 30), y)
    eigenvalues, basis = torch.linalg.eigh(problem.hessian[0])
    start = (basis.T @ problem.optimum[0]).square() * eigenvalues / 2

    def excess(steps):
        return (start * (1 - eigenvalues / eigenvalues[1]) ** (2 * steps)).sum()

    steps = descent_steps(problem).item()
    assert excess(steps) <= 1e-3 * start.sum() < excess(steps - 1)


def test_steps_are_nan_where_too_many_are_needed(monkeypatch):
    monkeypatch.setattr(least_squares, "MAX_STEPS", 10)
    assert descent_steps(diagonal(1, 1e4, optimum=(1.0, 0.0))).isnan().all()


def test_adam_is_torchs_for_each_problem_alone(monkeypatch):
    monkeypatch.setattr(least_squares, "HORIZON", 800)
    problems = [diagonal(1, 4, optimum=(0.2, 0.3)), diagonal(1, 900, optimum=(0.2, 0.01))]
    together = Quadratic(*(torch.cat(tensors) for tensors in zip(*problems, strict=True)))
    for problem, found in zip(problems, least_squares.adam_steps(together), strict=True):
        w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        adam, above = torch.optim.Adam([w]), []
        for step in range(801):
            off = w - problem.optimum[0]
            excess = off @ problem.hessian[0] @ off / 2
            above += [step] if excess > 1e-3 * problem.excess(torch.zeros(1, 2)).item() else []
            (w.grad,) = torch.autograd.grad(excess, w)
            adam.step()
        assert found.item() == above[-1] + 1 < 800


def test_adam_is_nan_where_it_is_not_there_in_time(monkeypatch):
    monkeypatch.setattr(least_squares, "HORIZON", 20)  # of 1e-3 each, to an optimum 1 away
    assert least_squares.adam_steps(diagonal(1, 1)).isnan().all()


def test_slope_of_a_power_law():
    x = [0.5, 1.0, 4.0]
    assert least_squares.slope(x, [3 - 2 * v for v in x]) == pytest.approx(-2)


@pytest.mark.slow
def test_quantities_belong_to_their_scale(monkeypatch):
    monkeypatch.setattr(least_squares, "SCALES", (1, 3, 10))
    monkeypatch.setattr(least_squares, "HORIZON", 2500)
    seeds = [4, 7]
    for seed, numbers in zip(seeds, least_squares.measure(seeds), strict=True):
        z, y = least_squares.draw(seed)
        for scale in (1, 3, 10):
            problem = quadratic(scaled(z, scale), y)
            assert numbers[f"kappa@{scale}"] == pytest.approx(problem.kappa().item(), rel=1e-12)
            assert numbers[f"steps@{scale}"] == descent_steps(problem).item()
            assert numbers[f"adam steps@{scale}"] > 1000
        flat = quadratic(standardised(z), y)
        assert numbers["kappa standardised"] == pytest.approx(flat.kappa().item(), rel=1e-9)
        assert numbers["steps standardised"] == descent_steps(flat).item()
        x = [math.log(numbers[f"kappa@{scale}"]) for scale in (3, 10)]
        y = [math.log(numbers[f"steps@{scale}"]) for scale in (3, 10)]
        assert numbers["slope from 3"] == pytest.approx((y[1] - y[0]) / (x[1] - x[0]))
        assert numbers["slope"] != numbers["slope from 3"]
        assert abs(numbers["adam slope"]) < 0.1


def test_the_surface_is_the_loss_and_the_path_descends_it():
    header, rows = least_squares.surface()
    rows = [dict(zip(header, row, strict=True)) for row in rows]
    z, y = least_squares.draw(0)
    for features, x in {"scaled": scaled(z, 10), "standardised": standardised(z)}.items():
        mine = [row for row in rows if row["features"] == features]
        least = quadratic(x, y).optimum[0]

        def loss(w, x=x):
            return (x @ w - y).square().mean().item() / 2

        for row in mine[::97]:
            w = torch.tensor([row["x"], row["y"]], dtype=torch.float64)
            assert row["value"] == pytest.approx(loss(w) - loss(least), abs=1e-9)
        path = [row for row in mine if row["kind"] == "path"]
        assert (path[0]["x"], path[0]["y"], len(path)) == (0, 0, 201)
        excess = [row["value"] for row in path]
        assert all(b <= a + 1e-15 for a, b in pairwise(excess))
        grid = [row for row in mine if row["kind"] == "loss"]
        assert len(grid) == 41**2
        assert max(row["x"] for row in grid) - least[0].item() == pytest.approx(1.5)


def test_problems_repeat_and_seeds_differ():
    (z, y), (again, _), (other, _) = (least_squares.draw(seed) for seed in (0, 0, 1))
    assert torch.equal(z, again)
    assert not torch.equal(z, other)
    assert y.dtype == torch.float64


def test_examples():
    assert doctest.testmod(least_squares).failed == 0
