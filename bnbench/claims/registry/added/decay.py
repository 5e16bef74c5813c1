"""A3: weight decay in front of Batch Normalization is a learning rate.

The identities behind it, in float64, are E12 and E13. The claim is an addition, of their family in
the adjustment of p-values (`judge.family_of`).
"""

import math

from bnbench.analysis.stats import PRECISE
from bnbench.claims.records import Above, Between, Claim, ClaimPart
from bnbench.claims.registry.parts import arms_of, more_accurate
from bnbench.claims.registry.setting import LARGER, Setting
from bnbench.claims.statistics import over_phase
from bnbench.claims.study import StudyArm

AS_MUCH = Between(-0.5, 0.5)
LATE = (0.8, 1.0)
LAYERS = (1, 2, 3)


def claims(on: Setting) -> list[Claim]:
    """Declare the claim on a data set."""
    return [weight_decay(on)]


def weight_decay(on: Setting) -> Claim:
    """A3: weight decay, and the norms that it leaves without it."""
    arm = arms_of("claim_weight_decay", "optim.weight_decay", "optim.decay_by", rate=None)
    (rate,) = on.rates["weight_decay"]
    none = arm(0.0, "penalty")
    decayed = {decay: arm(decay, "penalty") for decay in (0.01, 0.001)}
    twin = {decay: arm(decay, "rescaling") for decay in decayed}
    head = arm(0.01, "head")

    def effective(one: StudyArm, other: StudyArm, target: Above | None = None) -> ClaimPart:
        keys = [f"train@batch/effective_rate/{layer}" for layer in LAYERS]
        return ClaimPart(
            "effective rate over the last fifth, with decay / without",
            over_phase(one, other, keys, LATE),
            target,
            "log",
        )

    def loss(one: StudyArm, other: StudyArm) -> ClaimPart:
        measure = over_phase(one, other, "train@batch/loss", LATE)
        return ClaimPart(
            "training loss over the last fifth, with decay / without", measure, None, "log"
        )

    def gain(one: StudyArm, other: StudyArm, words: str) -> ClaimPart:
        return more_accurate(one, other, words=words, key=PRECISE)

    return Claim(
        id="A3",
        sentence=(
            "In front of BN weight decay is a learning rate: without it a net ends as accurate, "
            "once its weights are given the norms that decay leaves."
        ),
        says=(
            "van Laarhoven 2017, 1706.05350, abstract: L2 regularisation 'has no regularizing "
            "effect when combined with normalization. Instead, regularization has an influence on "
            "the scale of weights, and thereby on the effective learning rate'; Zhang et al. 2019, "
            "1810.12281: of three things that decay does, this is the one under SGD with BN"
        ),
        experiments=("claim_weight_decay",),
        protocol=(
            f"MLP 3×100, ReLU, BN before the activation, {on.budget('weight_decay')}; rate "
            f"{rate:g}, decaying to 1 % (cosine); decay of 0.01, 0.001 and 0 "
            "on all weights, not on γ, β and biases. The twin of a net with decay has decay on the "
            "head's weights alone; after each epoch its other weights are multiplied, layer by "
            "layer, to the norms of a copy that trains beside it, from the same weights, on the "
            "same batches, with decay on all."
        ),
        rule=(
            "Test accuracy with decay within 0.5 pp of that of the twin, at 0.01 and at 0.001; and "
            "at 0.01 decay more than doubles the effective rate."
        ),
        why_statistic=(
            "The mean test accuracy of the last five evaluations, of runs that differ in nothing "
            "but how their weights got their norms. Statistics are exact, measured anew: running "
            "ones are of the weights before they were rescaled. The effective rate, the rate over "
            "the squared norm of the weights of a layer (probe `weights`), tells that there is "
            "something to give."
        ),
        why_bound=(
            "Half of the 1 pp that a reader would change a net for; twice the rate is a step on "
            "any grid of rates."
        ),
        would_change=LARGER,
        by_construction=(
            "Twins have the norms of nets with decay after each epoch, not in between. Weights of "
            "any scale give the same outputs with the batch's statistics, but for eps: E13."
        ),
        parts={
            **{
                f"decay {decay:g}": more_accurate(
                    decayed[decay],
                    twin[decay],
                    AS_MUCH,
                    words="decay minus its norms alone",
                    key=PRECISE,
                )
                for decay in decayed
            },
            "effective rate, decay 0.01": effective(decayed[0.01], none, Above(math.log(2))),
            "effective rate, decay 0.001": effective(decayed[0.001], none),
            "effective rate, decay 0.01 over its norms alone": effective(decayed[0.01], twin[0.01]),
            "training loss, decay 0.01 over its norms alone": loss(decayed[0.01], twin[0.01]),
            "training loss, decay 0.01 over decay of the head": loss(decayed[0.01], head),
            "decay 0.01 over decay of the head": gain(
                decayed[0.01], head, "decay 0.01 minus that of the head alone"
            ),
            "decay 0.01 over none": gain(decayed[0.01], none, "decay 0.01 minus none"),
            "decay 0.001 over none": gain(decayed[0.001], none, "decay 0.001 minus none"),
        },
        traps=(
            "Accuracy that no effective rate changes would confirm it too: what decay does to the "
            "effective rate is a part, and to accuracy and training loss a reading.",
            "The head's weights have no norm behind them, and decay acts on them otherwise: they "
            "decay in the twin too, and in the net that is the control.",
            "One rate for all: the twin is to show that decay and rate are one, so no side has a "
            "rate of its own.",
        ),
        caveats=(
            "A decay of 0.0001 shrinks weights by 2 to 4 % in so few steps, and is not tried.",
            "It says nothing of nets without a norm, of post-activation norms, or of Adam.",
        ),
    )
