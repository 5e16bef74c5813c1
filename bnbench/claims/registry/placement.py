"""P1 to P5: where Batch Normalization stands, and what its parameters are for.

N0 to N4 are the notes of docs/myths.md.
"""

from bnbench.claims.records import Above, Below, Between, Claim, ClaimPart
from bnbench.claims.registry.parts import EQUAL, accuracy, arms_of, gains_more, more_accurate
from bnbench.claims.statistics import of_problem
from bnbench.claims.study import StudyArm

# P1
placed = arms_of("claim_placement", "model.activation", "placement")
PLACED = {a: (placed(a, "post"), placed(a, "pre")) for a in ("relu", "sigmoid", "tanh")}

P1 = Claim(
    id="P1",
    sentence="It does not matter whether BN stands before or after the activation.",
    says=(
        "N2 ('little influence'), N0 (both) and N3 (before); Ioffe & Szegedy 2015, section 3.2, "
        "argue for before; caffenet-benchmark: .474 before, .499 after, and the reverse in "
        "GoogLeNet (.603, .596)"
    ),
    experiments=("claim_placement",),
    protocol=(
        "MLP 3×100 of ReLU, sigmoid and tanh, 320 steps of 64, each at the best of at least six "
        "rates on seeds 100-102; seeds 0-19."
    ),
    rule="Within ±1 pp of test accuracy (TOST), for each of the three activations.",
    parts={
        **{
            activation: more_accurate(*pair, EQUAL, words="after minus before")
            for activation, pair in PLACED.items()
        },
        "interaction of ReLU and sigmoid": gains_more(
            PLACED["relu"], PLACED["sigmoid"], words="difference of the two"
        ),
        **{
            f"{activation}, rate of the net with BN before, tuning seeds": more_accurate(
                *pair, at=pair[1], words="after minus before"
            )
            for activation, pair in PLACED.items()
        },
    },
    traps=("The best rate depends on the placement: tuned for each.",),
    caveats=(
        (
            "BN after the activation also normalises what the classifier sees; a net without the "
            "last one would tell the two apart and is not run here."
        ),
        "MLPs alone: signs differ between convolutional architectures in the literature.",
    ),
)


# P2
def affine(model: str, *, has_affine: bool = True, lacks: str = "") -> StudyArm:
    """An arm of claim_affine; `lacks` is `scale` (gamma) or `bias` (beta)."""
    parts: dict[str, object] = {"norm.scale": None, "norm.bias": None}
    if lacks:
        parts[f"norm.{lacks}"] = False
    return StudyArm("claim_affine", {"model.name": model, "norm.affine": has_affine, **parts})


def needed(points: float) -> dict[str, ClaimPart]:
    """The parts of P2 that decide: gamma and beta gain each net more than so many points."""
    return {
        net: more_accurate(
            affine(model),
            affine(model, has_affine=False),
            Above(points),
            words="both minus neither",
        )
        for net, model in (("ReLU", "mlp"), ("sigmoid", "sigmoid_mlp"))
    }


P2 = Claim(
    id="P2",
    sentence="BN needs its gamma and beta: without them a net ends lower.",
    says=(
        "N2, N3 and N4; Ioffe & Szegedy 2015, section 3, of sigmoids held in their linear part; "
        "caffenet-benchmark: affine gains .004 before the activation and loses .006 after it"
    ),
    experiments=("claim_affine",),
    protocol=(
        "MLPs 3×100 of ReLU and of sigmoids, 320 steps of 64, each at the best of at least six "
        "rates on seeds 100-102; seeds 0-19."
    ),
    rule="Accuracy with both above that with neither by more than 1 pp, in both nets.",
    parts={
        **needed(1.0),
        "ReLU, beta": more_accurate(
            affine("mlp"), affine("mlp", lacks="bias"), words="both minus gamma alone"
        ),
        "ReLU, gamma": more_accurate(
            affine("mlp"), affine("mlp", lacks="scale"), words="both minus beta alone"
        ),
    },
    traps=("The best rate may depend on them: tuned for each.",),
    caveats=(
        "Three layers: the argument from sigmoids' linear part may need depth.",
        (
            "The sentence claims a loss, so it is tested against one of 1 pp instead of for "
            "equivalence."
        ),
    ),
)


# P3
frozen = arms_of("claim_freeze", "train.trainable")  # None, no such setting, where it is all

P3 = Claim(
    id="P3",
    sentence="A net whose gammas, betas and head alone are trained learns far more than its head.",
    says=(
        "Frankle et al. 2021: ResNet-14, -110 and -866 get to 48, 69.5 and 82 % on CIFAR-10 with "
        "BN alone"
    ),
    experiments=("claim_freeze",),
    protocol=(
        "MLP 3×100, ReLU, weights as they were drawn, 320 steps of 64, each at the best of at "
        "least six rates on seeds 100-102; seeds 0-9."
    ),
    rule="Above the head alone by more than 5 pp of test accuracy.",
    parts={
        "over the head alone": more_accurate(frozen("norm"), frozen("head"), Above(5.0)),
        "over as many single weights": more_accurate(frozen("norm"), frozen("random")),
        "under the whole net": more_accurate(frozen("norm"), frozen(None)),
        "head alone": accuracy(frozen("head")),
    },
    traps=("Any 600 parameters might do: as many single weights as a reading.",),
    caveats=("Digits are easy for random features: the head alone may leave little to win.",),
)

P4 = Claim(
    id="P4",
    sentence=(
        "In residual nets the order of BN, ReLU and addition matters; full pre-activation is best."
    ),
    says=(
        "He et al. 2016, table 2, CIFAR-10 error of ResNet-110 and -164: original 6.61 and 5.93, "
        "BN after the addition 8.17 and 6.50, full pre-activation 6.37 and 5.46"
    ),
    experiments=(),
    protocol="ResNets of 110 and 164 layers on CIFAR-10.",
    rule="Order of test errors.",
    reason=(
        "The differences are of 0.2 to 1.6 pp in nets of 110 layers after 64,000 steps: hours of "
        "a GPU for each run; small residual nets have another order."
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

PLACEMENT: dict[str, Claim] = {claim.id: claim for claim in (P1, P2, P3, P4, P5)}
