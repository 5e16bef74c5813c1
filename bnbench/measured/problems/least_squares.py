"""M8: how many steps gradient descent takes when the units of two features differ.

The loss of weights w on features x (n, 2) and targets y, and its Hessian:

    f(w) = 1/(2n) Σ (x·w − y)²        H = 1/n Σ x xᵀ        kappa = λ_max / λ_min

x1 is of order 1, x2 of order s ("x1 in units, x2 in hundreds", N2), and y depends on both alike:
y = ± z1 ± z2 + noise for z = (x1, x2/s). Gradient descent starts at w = 0 and takes the step
1/λ_max, in every problem. Along an eigenvector of H the distance to the optimum then shrinks by
1 − λ/λ_max a step (Nesterov 2004, section 1.2.3), so the slowest needs steps in proportion to
kappa, which grows with s². Counted are the steps until the excess f(w) − min f is at most 1e-3 of
its start.

Adam, which scales each coordinate by its own gradients, is the control: PyTorch's defaults, at the
rate 1e-3; counted is the step from which on its excess stays below within `HORIZON` steps.

Shapes: P problems. H (P, 2, 2); optimum and weights w (P, 2).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

SCALES = (1, 3, 10, 30, 100)
SAMPLES, NOISE = 200, 0.1
TOLERANCE = 1e-3
MAX_STEPS, HORIZON = 1_000_000, 10_000


class Quadratic(NamedTuple):
    """f(w) − min f = ½ (w − optimum)ᵀ H (w − optimum), for P problems."""

    hessian: Tensor
    optimum: Tensor

    def gradient(self, w: Tensor) -> Tensor:
        """H (w − optimum) of each problem (P, 2)."""
        return (self.hessian @ (w - self.optimum).unsqueeze(-1)).squeeze(-1)

    def excess(self, w: Tensor) -> Tensor:
        """f(w) − min f of each problem (P,)."""
        return (self.gradient(w) * (w - self.optimum)).sum(-1) / 2

    def rate(self) -> Tensor:
        """The step size 1/λ_max of each problem (P, 1)."""
        return 1 / torch.linalg.eigvalsh(self.hessian)[:, -1:]

    def kappa(self) -> Tensor:
        """The condition numbers of the Hessians (P,)."""
        least, greatest = torch.linalg.eigvalsh(self.hessian).unbind(-1)
        return greatest / least


def draw(seed: int) -> tuple[Tensor, Tensor]:
    """Unscaled features z (n, 2), standard normal, and targets y (n,), in float64."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(SAMPLES, 2, generator=generator, dtype=torch.float64)
    signs = 2.0 * torch.randint(2, (2,), generator=generator) - 1
    noise = torch.randn(SAMPLES, generator=generator, dtype=torch.float64)
    return z, z @ signs.double() + NOISE * noise


def scaled(z: Tensor, scale: float) -> Tensor:
    """The features x = (z1, scale · z2)."""
    return z * torch.tensor([1.0, scale], dtype=z.dtype)


def standardised(x: Tensor) -> Tensor:
    """Each feature less its mean, over its (biased) standard deviation: Algorithm 1's x_hat."""
    return (x - x.mean(0)) / x.std(0, correction=0)


def quadratic(x: Tensor, y: Tensor) -> Quadratic:
    """The least-squares problem of features (n, 2) and targets (n,), as one of P = 1."""
    hessian = x.T @ x / len(x)
    optimum = torch.linalg.solve(hessian, x.T @ y / len(x))
    return Quadratic(hessian[None], optimum[None])


def descent_steps(problem: Quadratic) -> Tensor:
    """The steps of gradient descent until the excess is at most TOLERANCE of its start (P,).

    All problems at once, a step of each at a time; NaN where MAX_STEPS are too few.
    """
    w = torch.zeros_like(problem.optimum)
    limit = TOLERANCE * problem.excess(w)
    steps = torch.full_like(limit, math.nan)
    rate = problem.rate()
    for step in range(MAX_STEPS + 1):
        there = steps.isnan() & (problem.excess(w) <= limit)
        steps[there] = step
        if not steps.isnan().any():
            break
        w = w - rate * problem.gradient(w)
    return steps


def adam_steps(problem: Quadratic) -> Tensor:
    """The step from which on Adam's excess stays at most TOLERANCE of its start (P,).

    Adam sees coordinates one by one, so that one optimiser takes the steps of all problems. NaN
    where the excess is above after HORIZON steps.
    """
    w = torch.zeros_like(problem.optimum, requires_grad=True)
    adam = torch.optim.Adam([w], lr=1e-3)
    with torch.no_grad():
        limit = TOLERANCE * problem.excess(w)
        last_above = torch.zeros_like(limit)
        for step in range(HORIZON + 1):
            last_above[problem.excess(w) > limit] = step
            w.grad = problem.gradient(w)
            adam.step()
    return (last_above + 1).where(last_above < HORIZON, math.nan)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The least-squares slope of y over x.

    >>> slope([0, 1, 2], [1, 3, 5])
    2.0
    """
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    products = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return products / sum((a - mean_x) ** 2 for a in x)


def measure(seeds: Sequence[int]) -> list[dict[str, float]]:
    """kappa and steps by scale and standardised, and the slopes of ln steps over ln kappa."""
    names = [*(f"@{scale}" for scale in SCALES), " standardised"]
    problems = []
    for seed in seeds:
        z, y = draw(seed)
        problems += [quadratic(scaled(z, scale), y) for scale in SCALES]
        problems.append(quadratic(standardised(scaled(z, SCALES[-1])), y))
    together = Quadratic(*(torch.cat(tensors) for tensors in zip(*problems, strict=True)))
    columns = {
        "kappa": together.kappa(),
        "steps": descent_steps(together),
        "adam steps": adam_steps(together),
    }
    numbers = []
    by_seed = [values.view(len(seeds), -1).tolist() for values in columns.values()]
    for rows in zip(*by_seed, strict=True):
        kappa, steps, adam = ([math.log(v) for v in row[: len(SCALES)]] for row in rows)
        numbers.append(
            {
                f"{column}{name}": value
                for column, row in zip(columns, rows, strict=True)
                for name, value in zip(names, row, strict=True)
            }
            | {
                "slope": slope(kappa, steps),
                "slope from 3": slope(kappa[1:], steps[1:]),
                "adam slope": slope(kappa, adam),
            }
        )
    return numbers


PICTURE_SCALE, GRID, REACH, PATH = 10, 41, 1.5, 200


def surface() -> tuple[tuple[str, ...], list[tuple[str | int | float, ...]]]:
    """The loss over the weights and the way of gradient descent, scaled (1:10) and standardised.

    Rows of kind `loss` tell of GRID×GRID weights (x, y) up to REACH from the optimum, those of kind
    `path` of the first PATH steps from w = 0; `value` is f(w) − min f. Of seed 0.
    """
    z, y = draw(0)
    x = scaled(z, PICTURE_SCALE)
    rows = []
    for features, problem in {
        "scaled": quadratic(x, y),
        "standardised": quadratic(standardised(x), y),
    }.items():
        axis = torch.linspace(-REACH, REACH, GRID, dtype=torch.float64)
        grid = problem.optimum + torch.cartesian_prod(axis, axis)
        path = [torch.zeros_like(problem.optimum)]
        for _ in range(PATH):
            path.append(path[-1] - problem.rate() * problem.gradient(path[-1]))
        for kind, points in {"loss": grid, "path": torch.cat(path)}.items():
            values = torch.cat([points, problem.excess(points)[:, None]], 1).tolist()
            rows += [(features, kind, number, *row) for number, row in enumerate(values)]
    return ("features", "kind", "step", "x", "y", "value"), rows
