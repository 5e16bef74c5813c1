"""Searches a grid of learning rates for the largest at which a run trains, by bisection.

A run that fails at one rate is taken to fail at every larger one, and one that trains to train at
every smaller one. Nothing here imports torch.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Bracket(NamedTuple):
    """The neighbours on a grid between which the largest rate that trains is known to lie.

    Attributes:
        trains: the largest place that is known to train; -1, below the grid, where none is.
        fails: the smallest place that is known to fail; the length of the grid where none is.
        tried: the places whose outcome led here, in the order of the search.
    """

    trains: int
    fails: int
    tried: Sequence[int]

    @property
    def middle(self) -> int | None:
        """The place to try next; None where the two are neighbours: the search has ended."""
        return (self.trains + self.fails) // 2 if self.left else None

    @property
    def left(self) -> int:
        """The most places that are still to be tried, ⌈log2(fails - trains)⌉."""
        return (self.fails - self.trains - 1).bit_length()


def rate_grid(low: float, high: float, per_decade: int) -> list[float]:
    """List the rates from low to high, so many in each decade, to three digits.

    >>> rate_grid(0.1, 1, 4), rate_grid(0.1, 0.3, 2)
    ([0.1, 0.178, 0.316, 0.562, 1.0], [0.1])
    """
    steps = math.floor(per_decade * math.log10(high / low) + 1e-9)  # rounding reaches high
    return [float(f"{low * 10 ** (k / per_decade):.3g}") for k in range(steps + 1)]


def search(number: int, trains: Callable[[int], bool | None]) -> Bracket:
    """Bisect a grid as far as outcomes are known.

    Args:
        number: of its places.
        trains: whether a run at a place trains; None while that is not known.

    >>> search(7, lambda place: place < 5)
    Bracket(trains=4, fails=5, tried=[3, 5, 4])
    >>> search(7, lambda place: True if place == 3 else None).middle
    5
    """
    bracket = Bracket(-1, number, [])
    while (place := bracket.middle) is not None and (outcome := trains(place)) is not None:
        tried = [*bracket.tried, place]
        bracket = (
            Bracket(place, bracket.fails, tried)
            if outcome
            else Bracket(bracket.trains, place, tried)
        )
    return bracket
