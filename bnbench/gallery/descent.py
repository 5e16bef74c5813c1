"""Gradient descent on least squares with two features, raw and normalised, step by step.

The problem is that of claim M8 (`problems.least_squares`), with the second feature SCALE times as
large as the first. Both start at w = 0 and take the constant step that is best for them,

    eta = 2 / (lambda_min + lambda_max),

by which the distance to the optimum shrinks by (kappa - 1)/(kappa + 1) a step at least (Nesterov
2004, theorem 2.1.15). M8 itself counts at 1/lambda_max; the best step shows the zigzag too.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from bnbench.measured.problems.least_squares import (
    TOLERANCE,
    Quadratic,
    draw,
    quadratic,
    scaled,
    standardised,
)

SCALE, SEED = 5, 0
REACH, GRID = 1.25, 121  # of the drawn surface: this far from the optimum on either side


class Descent(NamedTuple):
    """One path of gradient descent.

    Attributes:
        name: of the features, raw or normalised.
        kappa: the condition number of the Hessian.
        rate: the step size.
        path: the weights at step 0, 1, … (steps + 1, 2), until the excess is small.
        excess: f(w) - min f at each step (steps + 1,).
        axes: the weights of feature 1 and of feature 2 on the drawn surface, (GRID,) each.
        surface: f(w) - min f, (GRID, GRID), a row for each weight of feature 2.
    """

    name: str
    kappa: float
    rate: float
    path: Tensor
    excess: Tensor
    axes: tuple[Tensor, Tensor]
    surface: Tensor

    @property
    def steps(self) -> int:
        """The number of steps until the excess is at most TOLERANCE of its start."""
        return len(self.path) - 1


def best_rate(problem: Quadratic) -> float:
    """Compute the constant step with the fastest decrease: 2/(lambda_min + lambda_max)."""
    return 2 / torch.linalg.eigvalsh(problem.hessian).sum().item()


def descend(problem: Quadratic, rate: float, tolerance: float = TOLERANCE) -> Tensor:
    """Run gradient descent from 0 until the excess is at most a share of its start.

    Args:
        problem: one problem, P = 1.
        rate: the step size; below 2/lambda_max, or there is no end.
        tolerance: the share.

    Returns:
        A row for each step from 0 on, (steps + 1, 2).
    """
    path = [torch.zeros_like(problem.optimum)]
    limit = tolerance * problem.excess(path[0])
    while bool(problem.excess(path[-1]) > limit):
        path.append(path[-1] - rate * problem.gradient(path[-1]))
    return torch.cat(path)


def descent(name: str, problem: Quadratic) -> Descent:
    """Run gradient descent on one problem and compute the surface around its optimum."""
    rate = best_rate(problem)
    path = descend(problem, rate)
    around = torch.linspace(-REACH, REACH, GRID, dtype=torch.float64)
    one, other = (around + centre for centre in problem.optimum[0])
    weights = torch.cartesian_prod(other, one).flip(1)
    surface = problem.excess(weights).view(GRID, GRID)
    kappa = problem.kappa().item()
    return Descent(name, kappa, rate, path, problem.excess(path), (one, other), surface)


def descents() -> list[Descent]:
    """Run gradient descent twice: with raw features, and with standardised ones."""
    z, y = draw(SEED)
    x = scaled(z, SCALE)
    return [
        descent("raw features", quadratic(x, y)),
        descent("normalised features", quadratic(standardised(x), y)),
    ]
