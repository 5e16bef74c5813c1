"""The table of all claims in the order of the scoreboard, in the form of each data set."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache

from bnbench.analysis.verdicts import PROBLEMS as PROBLEMS
from bnbench.claims.records import Claim
from bnbench.claims.registry import batches, cifar, convergence, mechanism, placement, shift
from bnbench.claims.registry.added import (
    attacks,
    curvature,
    decay,
    notes,
    practice,
    residual,
    tasks,
    untrained,
    where,
)
from bnbench.claims.registry.exact import EXACT
from bnbench.claims.registry.setting import DIGITS, FASHION, Setting
from bnbench.claims.registry.sizes import SIZES

ROOMS = (
    *(convergence, mechanism, placement, batches, shift),
    *(practice, attacks, residual, untrained, where, notes, curvature, decay, tasks),
)
SETTINGS: Mapping[str, Setting] = {"digits": DIGITS, "fashion_mnist": FASHION}
ON_DATA = ("fashion_mnist", "cifar10")  # data sets with a form of their own
FAMILIES = {
    "E": "Exact",
    "C": "Convergence",
    "M": "Mechanism",
    "P": "Placement and parameters",
    "B": "Batch statistics",
    "D": "Train/test shift",
    "A": "Added later",
}


@cache
def claims_on(data: str) -> Mapping[str, Claim]:
    """List all claims in their form on a data set; one without a form of its own has digits'."""
    if data == "cifar10":
        return cifar.claims(claims_on("digits"))
    setting = SETTINGS.get(data, DIGITS)
    declared = [claim for room in ROOMS for claim in room.claims(setting)]
    return EXACT | {claim.id: sized(claim, setting.data) for claim in declared}


def sized(claim: Claim, data: str) -> Claim:
    """Give the deciding parts of a claim the number of their seeds, from `sizes`.

    A part that has its own, as of a problem, which is the same on every data set, keeps it.
    """
    sizes = SIZES[data].get(claim.id, {})
    parts = {
        name: replace(part, sizing=sizes.get(name) or sizes.get("") or part.sizing)
        if part.target
        else part
        for name, part in claim.parts.items()
    }
    return replace(claim, parts=parts)


def experiments(claims: Iterable[Claim]) -> list[str]:
    """List the experiments that some claims read, each once."""
    names = dict.fromkeys(name for claim in claims for name in claim.experiments)
    return [name for name in names if name not in (*PROBLEMS, "exact")]
