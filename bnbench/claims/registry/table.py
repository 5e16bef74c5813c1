"""The table of all claims in the order of the scoreboard, with the forms of each data set."""

from collections.abc import Iterable

from bnbench.analysis.verdicts import PROBLEMS as PROBLEMS
from bnbench.claims.records import Claim
from bnbench.claims.registry.batches import BATCHES
from bnbench.claims.registry.cifar import CIFAR
from bnbench.claims.registry.convergence import CONVERGENCE
from bnbench.claims.registry.exact import EXACT
from bnbench.claims.registry.fashion import FASHION
from bnbench.claims.registry.mechanism import MECHANISM
from bnbench.claims.registry.placement import PLACEMENT
from bnbench.claims.registry.shift import SHIFT

CLAIMS: dict[str, Claim] = {**EXACT, **CONVERGENCE, **MECHANISM, **PLACEMENT, **BATCHES, **SHIFT}
ON_DATA: dict[
    str, dict[str, Claim]
] = {  # data set -> the claims whose records differ from those on the digits
    "fashion_mnist": FASHION,
    "cifar10": CIFAR,
}
FAMILIES = {
    "E": "Exact",
    "C": "Convergence",
    "M": "Mechanism",
    "P": "Placement and parameters",
    "B": "Batch statistics",
    "D": "Train/test shift",
}


def claims_on(data: str) -> dict[str, Claim]:
    """List all claims in their form on a data set."""
    return CLAIMS | ON_DATA.get(data, {})


def experiments(claims: Iterable[Claim]) -> list[str]:
    """List the experiments that some claims read, each once."""
    names = dict.fromkeys(name for claim in claims for name in claim.experiments)
    return [name for name in names if name not in (*PROBLEMS, "exact")]
