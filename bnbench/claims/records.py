"""What a claim declares, before any run that judges it: plain records, read by people first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    from bnbench.claims.study import Study, StudyArm

# One row per seed: `seed`, `value` (what is tested), `treatment`, `baseline` (what it comes from),
# `treatment_arm`, `baseline_arm`, `bound` ("", "at least", "at most" or "none").
Measure = Callable[["Study"], pd.DataFrame]
Scale = Literal["linear", "log", "share"]


class Above(NamedTuple):
    """Confirmed where the mean lies above `low`; refuted where it lies below."""

    low: float


class Below(NamedTuple):
    """Confirmed where the mean lies below `high`; refuted where it lies above."""

    high: float


class Between(NamedTuple):
    """Confirmed where the mean lies between the bounds (TOST); refuted where it lies outside."""

    low: float
    high: float


Target = Above | Below | Between


@dataclass(frozen=True)
class ClaimPart:
    """One number that a claim stands on, or one that is shown beside it.

    Attributes:
        statistic: what the number is, with its unit.
        measure: gives it for every seed.
        target: what the mean over seeds must be: the smallest effect of interest as a bound, in the
            unit of `value`; None for a reading that decides nothing.
        scale: `log` where `value` is the logarithm of a ratio, which is what people are shown;
            `share` where it is 0 or 1, and what is tested is their share.
        interest: the smallest effect of interest as a distance, in the unit of `value`: the part is
            underpowered where only larger ones are detectable. By default that of the bound from 0.
    """

    statistic: str
    measure: Measure
    target: Target | None = None
    scale: Scale = "linear"
    interest: float | None = None

    @property
    def distance(self) -> float:
        """`interest`, or what stands for it."""
        if self.interest is not None:
            return self.interest
        if isinstance(self.target, Between):
            return (self.target.high - self.target.low) / 2
        return abs(self.target[0]) if self.target else 0.0


@dataclass(frozen=True)
class Claim:
    """A sentence about batch normalisation, and what would confirm or refute it.

    Attributes:
        id: as in the literature review of the project: E1 … D6.
        sentence: what is claimed, so that it can be wrong.
        says: who says it: note or paper, section, and their own numbers.
        experiments: the files of configs/experiment/ whose runs it reads; or `exact`, or the names
            of problems, which are measured without runs.
        protocol: nets, data, seeds and budget, in a line.
        rule: when it counts as confirmed or refuted, in words.
        parts: name -> part. All that have a target are needed.
        traps: what makes such a comparison unfair, and what was done about it.
        caveats: what the verdict does not say.
        overlay: curves to draw beside published ones.
        reason: why it is not run here; it then has no parts.
    """

    id: str
    sentence: str
    says: str
    experiments: tuple[str, ...]
    protocol: str
    rule: str
    parts: Mapping[str, ClaimPart]
    traps: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    overlay: "Overlay | None" = None
    reason: str = ""

    @property
    def verdict_parts(self) -> dict[str, ClaimPart]:
        """The parts that decide."""
        return {name: part for name, part in self.parts.items() if part.target is not None}


@dataclass(frozen=True)
class Overlay:
    """Our curves of validation accuracy beside published ones.

    Attributes:
        figure: of Ioffe & Szegedy 2015: `fig1a` or `fig2`.
        what: what ours are of, in a few words.
        ours: name of a curve, as `analysis.claim_figures.published` knows it -> arm.
    """

    figure: str
    what: str
    ours: Mapping[str, "StudyArm"]
