"""P1 to P5: where Batch Normalization stands, and what its parameters are for.

N0 to N4 are the notes of docs/myths.md.
"""

from bnbench.claims.records import Above, Below, Between, Claim, ClaimPart
from bnbench.claims.registry.parts import EQUAL, accuracy, arms_of, more_accurate
from bnbench.claims.registry.setting import (
    AT_BEST,
    COSINE,
    END,
    LARGER,
    OTHER_RATES,
    POINT,
    Setting,
)
from bnbench.claims.statistics import of_problem
from bnbench.claims.study import StudyArm


def claims(on: Setting) -> list[Claim]:
    """Declare the claims on a data set."""
    return [*placement(on), *affine(on), freezing(on), orders(on), P5]


# P1
def placement(on: Setting) -> list[Claim]:
    """P1: before or after three activations."""
    arm = arms_of("claim_placement", "model.activation", "placement")
    found = []
    for letter, activation, words in (
        ("a", "relu", "ReLU"),
        ("b", "sigmoid", "sigmoid"),
        ("c", "tanh", "tanh"),
    ):
        after, before = arm(activation, "post"), arm(activation, "pre")
        found.append(
            Claim(
                id=f"P1{letter}",
                sentence=f"It does not matter whether BN stands before or after {words}.",
                says=(
                    "N2 ('little influence'), N0 (both) and N3 (before); Ioffe & Szegedy 2015, "
                    "section 3.2, argue for before; caffenet-benchmark: .474 before, .499 after, "
                    "and the reverse in GoogLeNet (.603, .596)"
                ),
                experiments=("claim_placement",),
                protocol=f"MLP 3×100 of {words}, {on.budget('placement')}; {COSINE}, {AT_BEST}.",
                rule="Within ±1 pp of test accuracy (TOST).",
                why_statistic=END,
                why_bound=POINT,
                would_change=f"{OTHER_RATES} Signs differ between architectures in the literature.",
                parts={
                    words: more_accurate(after, before, EQUAL, words="after minus before"),
                    f"{words}, rate of the net with BN before, tuning seeds": more_accurate(
                        after, before, at=before, words="after minus before"
                    ),
                },
                traps=("The best rate depends on the placement: tuned for each.",),
                caveats=(
                    "BN after the activation also normalises what the classifier sees; a net "
                    "without the last one would tell the two apart and is not run here.",
                ),
            )
        )
    return found


# P2
def affine(on: Setting) -> list[Claim]:
    """P2: gamma and beta, in shallow nets and in a deep one of sigmoids."""
    found = []
    for letter, words, model, layers in (
        ("a", "three layers of ReLU", "mlp", 3),
        ("b", "three layers of sigmoids", "sigmoid_mlp", 3),
        ("c", "ten layers of sigmoids", "sigmoid_mlp", 10),
    ):
        where = {"model.name": model, "hidden_layers": layers}
        both, neither = (
            StudyArm("claim_affine", {**where, "norm.affine": has}) for has in (True, False)
        )
        found.append(
            Claim(
                id=f"P2{letter}",
                sentence=f"BN needs its gamma and beta: without them {words} end lower.",
                says=(
                    "N2, N3 and N4; Ioffe & Szegedy 2015, section 3, of sigmoids held in their "
                    "linear part; caffenet-benchmark: affine gains .004 before the activation and "
                    "loses .006 after it"
                ),
                experiments=("claim_affine",),
                protocol=(
                    f"{words.capitalize()}, 100 each, {on.budget('affine')}; {COSINE}, {AT_BEST}."
                ),
                rule="Test accuracy with both above that with neither by more than 1 pp.",
                why_statistic=END,
                why_bound=f"{POINT} The sentence claims a loss, so it is tested against one.",
                would_change=LARGER,
                parts={
                    "both or neither": more_accurate(
                        both, neither, Above(1.0), words="both minus neither"
                    )
                },
                traps=("The best rate may depend on them: tuned for each.",),
            )
        )
    return found


# P3
def freezing(on: Setting) -> Claim:
    """P3: training gammas, betas and the head alone."""
    arm = arms_of("claim_freeze", "train.trainable")
    return Claim(
        id="P3",
        sentence=(
            "A net whose gammas, betas and head alone are trained learns far more than its head."
        ),
        says=(
            "Frankle et al. 2021: ResNet-14, -110 and -866 get to 48, 69.5 and 82 % on CIFAR-10 "
            "with BN alone"
        ),
        experiments=("claim_freeze",),
        protocol=(
            f"MLP 3×100, ReLU, weights as they were drawn, {on.budget('freeze')}; {COSINE}, "
            f"{AT_BEST}."
        ),
        rule="Above the head alone by more than 5 pp of test accuracy.",
        why_statistic=f"{END} Beside as many single weights, drawn by lot.",
        why_bound="'Far more': an eighth of what Frankle et al. find in ResNet-14 beyond chance.",
        would_change="Deeper and wider nets, in which random features are richer.",
        parts={
            "over the head alone": more_accurate(arm("norm"), arm("head"), Above(5.0)),
            "over as many single weights": more_accurate(arm("norm"), arm("random")),
            "head alone": accuracy(arm("head")),
        },
        traps=("Any 600 parameters might do: as many single weights as a reading.",),
        caveats=("Images that are easy for random features leave the gammas little to win.",),
    )


# P4
ORDERS = {
    "original": "original",
    "norm_after_addition": "BN after the addition",
    "activation_before_addition": "ReLU before the addition",
    "activation_only_preactivation": "ReLU-only pre-activation",
}


def orders(on: Setting) -> Claim:
    """P4: the five orders of He et al. 2016 in a residual block."""
    arm = arms_of("claim_orders", "model.order")
    full = arm(None)  # the default, which arms leave out
    return Claim(
        id="P4",
        sentence=(
            "In residual nets the order of BN, ReLU and addition matters; full pre-activation is "
            "best."
        ),
        says=(
            "He et al. 2016, table 2, CIFAR-10 error of ResNet-110 and -164: original 6.61 and "
            "5.93, BN after the addition 8.17 and 6.50, ReLU before the addition 7.84 and 6.14, "
            "ReLU-only pre-activation 6.71 and 5.91, full pre-activation 6.37 and 5.46"
        ),
        experiments=("claim_orders",),
        protocol=(
            "Residual perceptrons of 50 layers: one of 32 ReLU units, 24 residual blocks of two "
            f"such layers with BN, a linear head; He, {on.budget('orders')}; {COSINE}, {AT_BEST}."
        ),
        rule="Full pre-activation ends higher in test accuracy than each of the four other orders.",
        why_statistic=f"{END} 'Best' is of all, so that each of the four others decides.",
        why_bound=(
            "0: He et al. find 0.2 to 1.8 points of error between orders, at their one rate and "
            "after 64,000 steps."
        ),
        would_change="Convolutional nets trained to their end, where orders come close.",
        parts={
            words: more_accurate(
                full, arm(order), Above(0.0), words=f"full minus {words}", interest=1.0
            )
            for order, words in ORDERS.items()
        },
        traps=(
            "The best rate depends on the order, by ten times and more: tuned for each.",
            "A budget too short for one side: the curves show which orders have settled.",
        ),
        caveats=(
            "The nets are perceptrons of narrow layers trained for a short time: the sign of He et "
            "al., not their size.",
        ),
    )


def classifier(norm: str, target: Above | None = None) -> ClaimPart:
    """The accuracy that a norm gains the classifier of two branches."""
    measure = of_problem(
        "two_branches", lambda q: 100 * (q[f"accuracy {norm}"] - q["accuracy none"])
    )
    return ClaimPart("accuracy (pp), minus none", measure, target)


P5 = Claim(
    id="P5",
    sentence=(
        "SSD's 'BN' is an L2 norm over channels with scale 20, and it lets branches of different "
        "scale be used together."
    ),
    says=(
        "N1 calls it BN and quotes code that norms over space with scale 1; ParseNet (Liu et al. "
        "2015), section 3.3; weiliu89/caffe#115: 'only needed when your base network is not "
        "trained with BN'"
    ),
    experiments=("two_branches",),
    protocol=(
        "Our L2Norm at its start; a classifier of two branches whose scales differ by 100; seeds "
        "0-9."
    ),
    rule=(
        "Length over channels is 20 at every place, the variant of N1 is not; the classifier "
        "gains more than 1 pp from it."
    ),
    parts={
        "length over channels": ClaimPart(
            "at the start",
            of_problem("two_branches", lambda q: q["norm over channels"]),
            Between(19.99, 20.01),
        ),
        "length over channels, N1's variant": ClaimPart(
            "at the start",
            of_problem("two_branches", lambda q: q["norm over channels, spatial variant"]),
            Below(19.0),
            interest=1.0,
        ),
        "classifier with it": classifier("l2 over channels", Above(1.0)),
        "classifier with N1's variant": classifier("l2 over space"),
        "classifier with BN": classifier("batchnorm"),
    },
)
