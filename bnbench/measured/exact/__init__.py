"""The exact claims about batch normalisation: arithmetic that needs no training, with bounds.

Thirteen sentences of Ioffe & Szegedy 2015, of later papers and of popular notes need no runs to be
judged; `claims/registry/exact.py` has them with their sources. Where the notes are wrong, the
sentence is the true one, and the part `myth` of its check is a lower bound on how far the false one
is off. Where a sentence is of BN alone, the part `without BN` is a control that must fail.
Everything is computed on the CPU, in float64 unless a part says otherwise, and from generators of
its own: the same numbers at every call, and no global state read or changed.
"""

from dataclasses import dataclass

from bnbench.measured.exact import gradients, modes, rates, statistics
from bnbench.measured.exact.arithmetic import Check, Direction

EXACT: dict[str, Check] = {
    "E1": gradients.E1,
    "E2": gradients.E2,
    "E3": statistics.E3,
    "E4": gradients.E4,
    "E5": gradients.E5,
    "E6": modes.E6,
    "E7": statistics.E7,
    "E8": statistics.E8,
    "E9": statistics.E9,
    "E10": modes.E10,
    "E11": modes.E11,
    "E12": rates.E12,
    "E13": rates.E13,
}


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
    """A measured check; it holds if every part does."""

    claim: str
    holds: bool
    parts: tuple[Part, ...]


def run(claim: str) -> Result:
    """Measure the check of one claim, in seconds at most.

    Args:
        claim: a key of `EXACT`.

    Raises:
        ValueError: an unknown claim.

    >>> run("E8").holds
    True
    """
    if claim not in EXACT:
        raise ValueError(f"unknown exact claim {claim!r}; allowed: {', '.join(EXACT)}")
    check = EXACT[claim]
    numbers = check.measure()
    assert numbers.keys() == check.parts.keys()
    parts = tuple(
        Part(name, b.statistic, numbers[name], b.direction, b.limit, b.admits(numbers[name]))
        for name, b in check.parts.items()
    )
    return Result(claim, all(part.holds for part in parts), parts)
