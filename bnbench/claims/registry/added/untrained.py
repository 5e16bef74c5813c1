"""A9: what becomes of a batch with depth in nets that nobody trained; a problem without runs.

The claims are additions: they were declared when those of the first registry had been judged. Their
spreads are those of seeds 100 to 104, which judge nothing.
"""

import math

from bnbench.claims.records import Above, Below, Claim, ClaimPart, Sizing, Target
from bnbench.claims.registry.setting import Setting
from bnbench.claims.statistics import of_problem

PROTOCOL = (
    "Untrained nets of 1 to 50 {layers}, {d} units wide, on {n} drawn images, with BN before each "
    "activation and without; float64; seeds 20-59. See bnbench/measured/problems."
)
SPREAD = "s.d. of seeds 100 to 104"
WORTH_A_LOOK = math.log(1.2)


def claims(on: Setting) -> list[Claim]:
    """Declare the claims, which are the same on every data set."""
    return [RANK, ANGLES]


def rank(
    net: str,
    arm: str,
    depth: int = 50,
    target: Target | None = None,
    quantity: str = "stable rank",
    sizing: Sizing | None = None,
) -> ClaimPart:
    """Declare a rank of the batch of as many images as units, at a depth."""
    return ClaimPart(
        f"{quantity} the ReLU" if quantity.endswith("after") else quantity,
        of_problem("random_nets", lambda q: q[f"{quantity}, white, {net}, {arm}@{depth}"]),
        target,
        interest=1.0,
        null=None,
        sizing=sizing,
    )


def change(
    net: str,
    arm: str,
    target: Target | None = None,
    quantity: str = "gap",
    sizing: Sizing | None = None,
) -> ClaimPart:
    """Declare by what factor a quantity of few aligned images changes from depth 1 to 50."""

    def ratio(q: dict[str, float]) -> float:
        last, first = (q[f"{quantity}, aligned, {net}, {arm}@{depth}"] for depth in (50, 1))
        return math.log(last / first)

    return ClaimPart(
        f"{quantity} at depth 50 / depth 1",
        of_problem("random_nets", lambda q: ratio(dict(q))),
        target,
        scale="log",
        interest=WORTH_A_LOOK,
        sizing=sizing,
    )


RANK = Claim(
    id="A9a",
    sentence=(
        "In untrained nets of linear or ReLU layers the images of a batch come to be of rank one "
        "with depth; with BN they do not."
    ),
    says=(
        "Daneshmand et al. 2020 (arXiv 2003.01652): proved of linear nets with BN, where the rank "
        "is of order √width, and seen in ReLU nets"
    ),
    experiments=("random_nets",),
    protocol=PROTOCOL.format(layers="linear or ReLU layers", d=32, n=32),
    rule="Stable rank at depth 50 below 2 without BN and above 2 with it, for both layers.",
    why_statistic=(
        "The stable rank, the squared length of a matrix over that of its longest direction, is 1 "
        "where the rank is and never above it, and no tiny direction counts as a whole one. It is "
        "at most the paper's own r(H), which stands beside it."
    ),
    why_bound=(
        "Two is the least rank that is not one. The paper's bound is of order √width, without the "
        "factor, so that √32 would be no number of its own."
    ),
    would_change="Ranks with BN that go on falling towards one beyond depth 50.",
    parts={
        "linear, without BN": rank(
            "linear", "none", target=Below(2.0), sizing=Sizing(1.1, 0.12, 40, SPREAD)
        ),
        "linear, with BN": rank(
            "linear", "batchnorm", target=Above(2.0), sizing=Sizing(3.0, 0.21, 40, SPREAD)
        ),
        "ReLU, without BN": rank(
            "ReLU", "none", target=Below(2.0), sizing=Sizing(1.0, 0.01, 40, SPREAD)
        ),
        "ReLU, with BN": rank(
            "ReLU", "batchnorm", target=Above(2.0), sizing=Sizing(4.4, 0.84, 40, SPREAD)
        ),
        **{
            f"{net}, with BN, at depth {depth}": rank(net, "batchnorm", depth)
            for net in ("linear", "ReLU")
            for depth in (1, 10)
        },
        **{
            f"{net}, with BN, r(H) of the paper": rank(net, "batchnorm", quantity="effective rank")
            for net in ("linear", "ReLU")
        },
        **{
            f"after the ReLU, {words} BN": rank("ReLU", arm, quantity="stable rank after")
            for arm, words in (("none", "without"), ("batchnorm", "with"))
        },
    },
    traps=(
        "Linear nets lose rank only where depth is some times the width: 32 units, and 50 layers.",
        "The scale of weights changes no rank: He's, so that no number under- or overflows.",
    ),
    caveats=(
        "Rank does not collapse, and is not whole: with BN too it falls with depth in linear nets, "
        "from 6.1 at depth 1 to 3.2 at depth 50.",
        "Nothing is trained: whether rank matters for training is another question.",
    ),
)

ANGLES = Claim(
    id="A9b",
    sentence=(
        "In untrained linear nets different images become more orthogonal with depth with BN, and "
        "less so without."
    ),
    says=(
        "Daneshmand et al. 2021 (arXiv 2106.03970): the gap from orthogonality decays with depth, "
        "down to a term that wide nets make small"
    ),
    experiments=("random_nets",),
    protocol=PROTOCOL.format(layers="linear layers", d=128, n=8),
    rule=(
        "From depth 1 to 50 the gap from orthogonality is more than halved with BN, and grows "
        "without."
    ),
    why_statistic=(
        "The paper's own: the distance of the Gram matrix, of trace 1, from that of orthogonal "
        "rows of one length. The mean |cosine| between different images stands beside it."
    ),
    why_bound=(
        "A decay that is exponential in depth goes below half in far fewer than 50 layers; the "
        "floor that the width and BN's mean leave to 8 images, at 0.13 or more, is below half too."
    ),
    would_change="The same in batches as large as the net is wide, of which the paper says little.",
    parts={
        "with BN": change(
            "linear", "batchnorm", Below(math.log(0.5)), sizing=Sizing(-0.81, 0.16, 40, SPREAD)
        ),
        "without BN": change("linear", "none", Above(0.0), sizing=Sizing(0.22, 0.18, 40, SPREAD)),
        "with BN, cosines": change("linear", "batchnorm", quantity="cosine"),
        "without BN, cosines": change("linear", "none", quantity="cosine"),
        "ReLU, with BN": change("ReLU", "batchnorm"),
        "ReLU, without BN": change("ReLU", "none"),
    },
    traps=("Images that are orthogonal from the start could not become so: aligned ones.",),
    caveats=(
        "BN subtracts the mean, that of the paper does not: some of the gap goes in the first "
        "layer already, and is not counted here.",
        "In the square nets of A9a, of 32 images and units, linear layers with BN move away from "
        "orthogonality: measured/random_nets.csv has the numbers.",
    ),
)
