"""What a check declares, and the plain data that measuring it gives."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["<=", ">="]
Numbers = dict[str, float]


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
    """A sentence and the numbers that it stands on; it holds if every part does.

    Attributes:
        sentence: what is claimed.
        source: who says it, by note, paper and section, and who says it wrongly.
        parts: name -> bound; the first is the headline.
        measure: gives the number of every part, the same at every call.
    """

    sentence: str
    source: str
    parts: Mapping[str, Bound]
    measure: Callable[[], Numbers]


@dataclass(frozen=True)
class Part:
    """One measured number beside its bound."""

    name: str
    statistic: str
    estimate: float
    direction: Direction
    bound: float
    holds: bool


@dataclass(frozen=True)
class Result:
    """A measured check: numbers and text alone, for readers that never import torch.

    `headline` is what a single row of a scoreboard shows: the first part that fails, or the first
    of all where none does.
    """

    claim: str
    sentence: str
    source: str
    holds: bool
    headline: Part
    parts: tuple[Part, ...]
