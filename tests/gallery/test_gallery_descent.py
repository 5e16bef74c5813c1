"""The two ways down, by the closed form of a linear iteration."""

import pytest
import torch

from bnbench.gallery.descent import GRID, best_rate, descend, descents
from bnbench.measured.problems.least_squares import TOLERANCE, Quadratic, draw, scaled, standardised

RAW, NORMALISED = descents()


def problem(hessian, optimum):
    return Quadratic(
        torch.tensor([hessian], dtype=torch.float64), torch.tensor([optimum], dtype=torch.float64)
    )


def test_a_path_is_that_of_the_linear_iteration():
    """w_k - w* = (I - eta H)^k (w_0 - w*), by matrix powers."""
    z, y = draw(0)
    for way, x in ((RAW, scaled(z, 5)), (NORMALISED, standardised(scaled(z, 5)))):
        hessian = x.T @ x / len(x)
        optimum = torch.linalg.lstsq(x, y[:, None]).solution[:, 0]
        shrink = torch.eye(2, dtype=torch.float64) - way.rate * hessian
        for k, w in enumerate(way.path):
            expected = optimum - torch.linalg.matrix_power(shrink, k) @ optimum
            assert w.tolist() == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-12)


def test_the_best_rate_shrinks_both_directions_alike():
    """On diag(9, 1): eta = 2/10, and both distances shrink by 0.8, one with a changed sign."""
    one = problem([[9.0, 0.0], [0.0, 1.0]], [1.0, 1.0])
    assert best_rate(one) == pytest.approx(0.2)
    path = descend(one, best_rate(one))
    assert path[1].tolist() == pytest.approx([1.8, 0.2])
    assert path[2].tolist() == pytest.approx([0.36, 0.36])


def test_a_way_ends_at_the_first_step_that_is_there():
    for way in (RAW, NORMALISED):
        share = way.excess / way.excess[0]
        assert share[-1] <= TOLERANCE
        assert (share[:-1] > TOLERANCE).all()
        assert way.steps == len(share) - 1
    assert (RAW.steps, NORMALISED.steps) == (41, 2)


def test_the_surface_is_the_mean_squared_error_above_its_least():
    z, y = draw(0)
    x = scaled(z, 5)
    one, other = RAW.axes
    for row, column in ((0, 0), (3, 100), (GRID // 2, GRID // 2)):
        w = torch.stack([one[column], other[row]])
        least = RAW.path.new_tensor([one[GRID // 2], other[GRID // 2]])
        errors = [(x @ weights - y).square().mean().item() / 2 for weights in (w, least)]
        found = RAW.surface[row, column].item()
        assert found == pytest.approx(errors[0] - errors[1], rel=1e-9, abs=1e-12)
