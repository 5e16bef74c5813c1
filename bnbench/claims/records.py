"""The records that declare a claim, written before any run that judges it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    from bnbench.claims.study import Study, StudyArm

# One row per seed: `seed`, `value` (what is tested), `treatment`, `baseline` (what it comes from),
# `treatment_arm`, `baseline_arm`, `treatment_rate`, `baseline_rate` (learning rates, or NaN) and
# `bound` ("", "at least", "at most" or "none").
Measure = Callable[["Study"], pd.DataFrame]
Scale = Literal["linear", "log", "share", "grid"]


class Above(NamedTuple):
    """Confirmed where the mean lies above `low`."""

    low: float


class Below(NamedTuple):
    """Confirmed where the mean lies below `high`."""

    high: float


class Between(NamedTuple):
    """Confirmed where the mean lies between the bounds (TOST)."""

    low: float
    high: float


Target = Above | Below | Between


class Sizing(NamedTuple):
    """The number of seeds of a part, set before they are run, and what it was set from.

    Attributes:
        effect: the value that is taken for true, in the unit of `value`.
        std: the standard deviation of `value` over seeds, in the same unit.
        n: the number of seeds.
        source: where effect and standard deviation come from.
    """

    effect: float
    std: float
    n: int
    source: str


@dataclass(frozen=True)
class ClaimPart:
    """One number that a claim stands on, or one that is shown beside it.

    Attributes:
        statistic: what the number is, with its unit.
        measure: the function that gives the number for every seed.
        target: the smallest effect of interest as a bound on the mean over seeds, in the unit of
            `value`; None for a reading, which decides nothing.
        scale: `log` where `value` is the logarithm of a ratio, and the ratio is shown; `share`
            where `value` is 0 or 1, and the share of ones is tested; `grid` where `value` lies on a
            grid, and the median is tested by the exact sign test.
        interest: the smallest effect of interest as a distance, in the unit of `value`: the part is
            underpowered where such an effect would be missed too often. By default the distance of
            the bound from 0.
        null: the value where there is no effect, in the unit of `value`; None where the number is a
            level, such as an accuracy, which has no such value.
        sizing: the number of seeds and the power that it was set for.
        choices: other choices that could be defended, such as another threshold -> the part that
            would decide under it. They decide nothing: a verdict that differs under one depends on
            it.
    """

    statistic: str
    measure: Measure
    target: Target | None = None
    scale: Scale = "linear"
    interest: float | None = None
    null: float | None = 0.0
    sizing: Sizing | None = None
    choices: Mapping[str, "ClaimPart"] = field(default_factory=dict)

    @property
    def distance(self) -> float:
        """`interest`, or its default from the target."""
        if self.interest is not None:
            return self.interest
        if isinstance(self.target, Between):
            return (self.target.high - self.target.low) / 2
        return abs(self.target[0]) if self.target else 0.0


@dataclass(frozen=True)
class Claim:
    """A sentence about batch normalisation, with the numbers that decide on it.

    Attributes:
        id: as in the literature review of the project: E1 … D6, a letter where one was split: C3a.
        sentence: the claim, in a form that can be wrong.
        says: its source: note or paper, section, and their own numbers.
        experiments: the files of configs/experiment/ whose runs are read; or `exact`, or the names
            of problems, which are measured without runs.
        protocol: nets, data, seeds and budget, in a line.
        rule: the condition for confirmed, in words.
        why_statistic: why this statistic measures what the sentence says.
        why_bound: why the bound is where it is.
        would_change: what would change our mind about the verdict.
        by_construction: what holds by construction, whatever is trained; empty: nothing.
        parts: name -> part. Every part with a target is needed.
        traps: sources of unfairness in such a comparison, and the remedy for each.
        caveats: conclusions that the verdict does not allow.
        overlay: curves to draw beside published ones.
        reason: why the claim is not run here, and at what cost it could be; such a claim has no
            parts.
    """

    id: str
    sentence: str
    says: str
    experiments: tuple[str, ...]
    protocol: str
    rule: str
    why_statistic: str = ""
    why_bound: str = ""
    would_change: str = ""
    by_construction: str = ""
    parts: Mapping[str, ClaimPart] = field(default_factory=dict)
    traps: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    overlay: "Overlay | None" = None
    reason: str = ""

    @property
    def verdict_parts(self) -> dict[str, ClaimPart]:
        """The parts with a target, which decide the verdict."""
        return {name: part for name, part in self.parts.items() if part.target is not None}


@dataclass(frozen=True)
class Overlay:
    """Our curves of validation accuracy beside published ones.

    Attributes:
        figure: of Ioffe & Szegedy 2015: `fig1a` or `fig2`.
        what: our nets and data, in a few words.
        ours: name of a curve, a key of `drawing.claims.SERIES` -> arm.
    """

    figure: str
    what: str
    ours: Mapping[str, "StudyArm"]
