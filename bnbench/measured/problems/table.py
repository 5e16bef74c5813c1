"""The table of problems, and how one is measured."""

from bnbench.measured.problems.least_squares import LEAST_SQUARES
from bnbench.measured.problems.linear_net import LINEAR_NET
from bnbench.measured.problems.records import Numbers, Problem
from bnbench.measured.problems.two_branches import TWO_BRANCHES

PROBLEMS: dict[str, Problem] = {
    "linear_net": LINEAR_NET,  # first, as it takes the longest
    "least_squares": LEAST_SQUARES,
    "two_branches": TWO_BRANCHES,
}


def run(name: str, seed: int) -> Numbers:
    """Measure a problem with one seed: quantity -> value.

    Args:
        name: a key of `PROBLEMS`.
        seed: of the draws.

    Raises:
        ValueError: an unknown problem.
    """
    if name not in PROBLEMS:
        raise ValueError(f"unknown problem {name!r}; allowed: {', '.join(PROBLEMS)}")
    return PROBLEMS[name].measure([seed])[0]
