"""What the checks share: bounds, draws, layers in float64, and errors."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from bnbench import norms

Direction = Literal["<=", ">="]


@dataclass(frozen=True)
class Bound:
    """What a number is, and that it must be at most (`<=`) or at least (`>=`) a limit."""

    statistic: str
    direction: Direction
    limit: float

    def admits(self, number: float) -> bool:
        """Whether a number keeps the bound; what is not finite never does.

        >>> Bound("error", "<=", 1e-6).admits(math.nan)
        False
        """
        within = number <= self.limit if self.direction == "<=" else number >= self.limit
        return within and math.isfinite(number)


@dataclass(frozen=True)
class Check:
    """The bounds of a claim's parts by name, and what measures the number of every part."""

    parts: Mapping[str, Bound]
    measure: Callable[[], dict[str, float]]


def draws() -> Callable[..., Tensor]:
    """shape -> standard normal float64 values, from a generator of its own with seed 0."""
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)


def layer(num_features: int, spatial_dims: int = 0, **options: Any) -> Any:
    """This package's BatchNorm for (N, C) or (N, C, H, W), in float64."""
    kind = norms.BatchNorm2d if spatial_dims == 2 else norms.BatchNorm1d
    return kind(num_features, dtype=torch.float64, **options)


def set_parameters(layer: Any, gamma: Tensor | float, beta: Tensor | float) -> Any:
    """Give a layer its gamma and beta, and the layer back."""
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(gamma, dtype=torch.float64))
        layer.bias.copy_(torch.as_tensor(beta, dtype=torch.float64))
    return layer


def error(mine: Tensor, exact: Tensor) -> float:
    """The largest difference, relative to the largest exact value where that is above 1."""
    difference = (mine.double() - exact.double()).abs().max()
    return (difference / exact.abs().max().clamp(min=1)).item()


def largest(numbers: Iterable[float]) -> float:
    """The maximum; unlike that of `max`, it is NaN where any number is."""
    return torch.tensor(list(numbers), dtype=torch.float64).max().item()


def smallest(numbers: Iterable[float]) -> float:
    """The minimum, NaN where any number is."""
    return torch.tensor(list(numbers), dtype=torch.float64).min().item()
