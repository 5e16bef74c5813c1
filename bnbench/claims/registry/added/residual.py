"""A12: what Batch Normalization does in residual nets, and what stands in its place there.

The sentences are those of De & Smith 2020 (arXiv 2002.10444) and Zhang et al. 2019 (arXiv
1901.09321).
"""

from bnbench.claims.records import Above, Below, Claim
from bnbench.claims.registry.parts import accuracy, as_good, more_accurate
from bnbench.claims.registry.setting import AT_BEST, COSINE, END, LARGER, Setting
from bnbench.claims.study import StudyArm

CHANCE = 10.0  # % of ten classes; stuck is up to two points above
DEEP, MIDDLE, SHALLOW = 99, 49, 9  # layers before the head: 100, 50 and 10 layers of weights
TRAINS = {"target": Above(80.0), "interest": 10.0}
BEHIND = 2.0  # pp that a net may be behind and still be as good
NAMES = {"skipinit": "SkipInit", "fixup": "Fixup"}


def claims(on: Setting) -> list[Claim]:
    """Declare the claims on a data set."""
    return [
        depth(on),
        trains(
            on,
            "b",
            "skipinit",
            "De & Smith 2020: SkipInit 'can train one thousand layer deep residual networks "
            "without normalization'",
        ),
        trains(
            on,
            "c",
            "fixup",
            "Zhang et al. 2019, abstract: training 'as stable as training with normalization -- "
            "even for networks with 10,000 layers'",
        ),
        ends_as_well(
            on,
            "d",
            "skipinit",
            "De & Smith 2020 recover with it what BN does for deep residual nets, a few tenths of "
            "a point behind",
        ),
        ends_as_well(
            on,
            "e",
            "fixup",
            "Zhang et al. 2019, section 1: without a norm a residual net can 'generalize equally "
            "well (or even better)'",
        ),
    ]


def net(layers: int, norm: str = "none", branch: str | None = None) -> StudyArm:
    """Name the arm of a residual perceptron."""
    where = {"hidden_layers": layers, "norm.name": norm, "model.branch": branch}
    return StudyArm("claim_residual", where)


def protocol(on: Setting) -> str:
    """Tell what is run for all of these claims."""
    return (
        "Residual perceptrons of 100 layers: one of 32 ReLU units, 49 residual blocks of two such "
        f"layers in full pre-activation, a linear head; He, {on.budget('residual')}; {COSINE}, "
        f"{AT_BEST}."
    )


BOUND = "80 % is what a shallow net gets to with ease."
AT_RATES = "One rate proves nothing: each side has its best."


def depth(on: Setting) -> Claim:
    """A12a: a hundred layers with BN, and without a norm."""
    at_chance = {"target": Below(CHANCE + 2), "interest": 2.0}
    return Claim(
        id="A12a",
        sentence="A residual net of a hundred layers trains with BN, and without a norm not.",
        says=(
            "De & Smith 2020, abstract: BN 'dramatically increases the largest trainable depth of "
            "residual networks', since it makes each branch small beside its shortcut"
        ),
        experiments=("claim_residual",),
        protocol=protocol(on),
        rule=(
            "At its best rate the net without a norm stays below chance + 2 pp, and that with BN "
            "gets above 80 %."
        ),
        why_statistic=END,
        why_bound=f"2 pp above chance is what a net that has learned nothing may show; {BOUND}",
        would_change="Any rate at which such a net trains from He's weights without a norm.",
        parts={
            "without a norm, 100 layers": accuracy(net(DEEP), **at_chance),
            "with BN, 100 layers": accuracy(net(DEEP, "torch_batchnorm"), **TRAINS),
            "without a norm, 50 layers": accuracy(net(MIDDLE)),
            "without a norm, 10 layers": accuracy(net(SHALLOW)),
            "with BN, 10 layers": accuracy(net(SHALLOW, "torch_batchnorm")),
        },
        traps=(
            f"{AT_RATES} Rates down to 1e-12 were looked at on a tuning seed: none trains.",
            "The depth alone might be at fault: the same net with zeros on its branches trains "
            "(A12b).",
        ),
        caveats=(
            "At the start every block without a norm doubles the variance: logits of size 1e6.",
        ),
    )


def trains(on: Setting, letter: str, branch: str, says: str) -> Claim:
    """A12b and A12c: a hundred layers without a norm that do train."""
    name = NAMES[branch]
    return Claim(
        id=f"A12{letter}",
        sentence=f"With {name} a residual net of a hundred layers trains without a norm.",
        says=says,
        experiments=("claim_residual",),
        protocol=protocol(on),
        rule="At its best rate above 80 % of test accuracy.",
        why_statistic=END,
        why_bound=BOUND,
        would_change=f"{name} failing in nets of another kind.",
        parts={f"with {name}, 100 layers": accuracy(net(DEEP, branch=branch), **TRAINS)},
        traps=(AT_RATES,),
        caveats=(
            "A net whose branches stay at zero is a shallow one, and would get above 80 % too.",
        ),
    )


def ends_as_well(on: Setting, letter: str, branch: str, says: str) -> Claim:
    """A12d and A12e: the accuracy that such nets end at, beside BN's."""
    name = NAMES[branch]
    bn, own = net(DEEP, "torch_batchnorm"), net(DEEP, branch=branch)
    return Claim(
        id=f"A12{letter}",
        sentence=f"A residual net of a hundred layers ends as well with {name} as with BN.",
        says=says,
        experiments=("claim_residual",),
        protocol=protocol(on),
        rule=f"Not more than {BEHIND:g} pp of test accuracy below BN.",
        why_statistic=END,
        why_bound=(
            f"{BEHIND:g} pp behind is little beside the 80 pp that a net gains by training at all."
        ),
        would_change=LARGER,
        parts={
            "100 layers": more_accurate(own, bn, as_good(BEHIND), words=f"{name} minus BN"),
        },
        traps=("A budget too short for one side: the curves show whether both settle.",),
        caveats=("BN regularises too: no net here has another regulariser.",),
    )
