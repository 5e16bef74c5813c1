"""Small problems with known answers: measured from seeds alone, without a data set or a sweep."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bnbench.measured.problems import (
    least_squares,
    linear_net,
    random_nets,
    two_branches,
)


@dataclass(frozen=True)
class Problem:
    """A small question whose numbers come of seeds alone, without a data set.

    Attributes:
        measure: seeds -> per seed, quantity -> value; the same at every call. It takes all seeds
            at once, so that it can put them in one tensor.
        seeds: the seeds to report; whatever is tuned is tuned on seeds from 100 on.
        version: of what the numbers mean; numbers of another version are made anew.
        tables: name -> a further table, its header and rows, for a figure.
    """

    measure: Callable[[Sequence[int]], list[dict[str, float]]]
    seeds: Sequence[int]
    version: int
    tables: Mapping[
        str, Callable[[], tuple[Sequence[str], Iterable[Sequence[str | int | float]]]]
    ] = field(default_factory=dict)


PROBLEMS: dict[str, Problem] = {
    "linear_net": Problem(linear_net.measure, range(10), 1),  # first, as it takes the longest
    "least_squares": Problem(
        least_squares.measure, range(20), 3, tables={"surface": least_squares.surface}
    ),
    "two_branches": Problem(two_branches.measure, range(10), 1),
    "random_nets": Problem(random_nets.measure, range(20, 60), 1),
}
