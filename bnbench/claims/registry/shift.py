"""D1 to D6: Batch Normalization when the test data are not like the training data.

This is shift from outside, between training and test data; internal covariate shift is M1 and M2.
"""

from bnbench.claims.records import Above, Below, Claim, ClaimPart
from bnbench.claims.registry.parts import more_accurate, pair
from bnbench.claims.study import StudyArm
from bnbench.claims.under_shift import change, cost, recovered, recovered_gap, retained_gap

APPEARANCE = ("contrast", "brightness", "gaussian_noise", "blur")
SEVERITIES = (1, 3, 5)
CNN_BN, CNN_NONE = pair("claim_shift")
MLP_BN, MLP_NONE = pair("claim_shift_mlp")
SMALL_CNN = (
    "Two convolutions of 16 and 32 channels, 320 steps of 64, rates decaying to 1 % (cosine), "
    "each at the best of at least six rates on seeds 100-102, chosen on unshifted images; seeds "
    "0-9; severities 1, 3, 5 (of inversion: 20, 60 and 100 % of the images)."
)
TRANSDUCTIVE = "Statistics of test images are transductive; nothing is tuned on shifted images."


def retained(
    bn: StudyArm, none: StudyArm, shifts: tuple[str, ...], target: Above | Below
) -> dict[str, ClaimPart]:
    """The share of the clean accuracy that is left: over all shifts, which decides, and each."""

    def part(shifts: tuple[str, ...], target: Above | Below | None = None) -> ClaimPart:
        measure = retained_gap(bn, none, shifts, SEVERITIES)
        return ClaimPart("clean accuracy retained (pp), BN minus no norm", measure, target)

    return {"all shifts": part(shifts, target), **{shift: part((shift,)) for shift in shifts}}


D1 = Claim(
    id="D1",
    sentence=(
        "With the statistics of its training data BN suffers more from shifted test images than "
        "no norm."
    ),
    says=(
        "N0 (its limitation); robustness benchmark: ResNet-50 mCE 76.7 with BN, 72.4 with GN, "
        "72.0 with Fixup"
    ),
    experiments=("claim_shift",),
    protocol=SMALL_CNN,
    rule=(
        "Share of the clean accuracy that is left, over four shifts and inversion, lower by more "
        "than 1 pp."
    ),
    parts={
        **retained(CNN_BN, CNN_NONE, (*APPEARANCE, "invert"), Below(-1.0)),
        "Group Normalization, all shifts": ClaimPart(
            "clean accuracy retained (pp), GN minus no norm",
            retained_gap(
                CNN_BN.but(norm__name="groupnorm"),
                CNN_NONE,
                (*APPEARANCE, "invert"),
                SEVERITIES,
                ("none", "none"),
            ),
        ),
    },
    traps=(
        "Clean accuracies differ: compared is the share retained.",
        "Running statistics that lag: the rate has decayed.",
        "The mean over shifts is tested, and each shift is a reading, instead of a sign test.",
    ),
)

RECALIBRATED = recovered(CNN_NONE, "recalibrated", APPEARANCE, SEVERITIES, "none")
SHARE = "share of the loss won back"

D2 = Claim(
    id="D2",
    sentence="Statistics of the shifted test images repair BN.",
    says=(
        "Li et al. 2017 (AdaBN); Schneider et al. 2020: ResNet-50 mCE 76.7 to 62.2; Nado et al. "
        "2020: 60.28; CIFAR-10-C error 43.5 to 20.4 %"
    ),
    experiments=("claim_shift",),
    protocol=SMALL_CNN,
    rule=(
        "More than 0.3 of what four appearance shifts cost is won back by statistics of all 360 "
        "test images."
    ),
    parts={
        "all test images": ClaimPart(
            SHARE, recovered(CNN_BN, "adabn", APPEARANCE, SEVERITIES), Above(0.3)
        ),
        "8 test images at once": ClaimPart(
            SHARE, recovered(CNN_BN, "batch", APPEARANCE, SEVERITIES)
        ),
        **{
            f"all test images, {shift}": ClaimPart(
                SHARE, recovered(CNN_BN, "adabn", (shift,), SEVERITIES)
            )
            for shift in APPEARANCE
        },
    },
    traps=(TRANSDUCTIVE, "D4 is the control: the same repair of a net without norm."),
)

D3 = Claim(
    id="D3",
    sentence=(
        "Statistics of the test batch hurt where it is small, or of one class, and do not undo an "
        "inversion."
    ),
    says=(
        "Nado et al. 2020, section 5 ('mixed results'); Wang et al. 2021 (Tent): no gain under "
        "natural shift"
    ),
    experiments=("claim_shift",),
    protocol=SMALL_CNN,
    rule=(
        "Statistics of 8 clean images worse than the running ones by more than 1 pp; of 8 images "
        "in the order of their classes worse than of 8 in any order by more than 5 pp; less than "
        "0.3 of what inversion of every image costs is won back."
    ),
    parts={
        "8 clean images at once": ClaimPart(
            "test accuracy (pp), minus running statistics",
            change(CNN_BN, "batch"),
            Below(-1.0),
        ),
        "8 images of a class at once": ClaimPart(
            "test accuracy (pp), minus 8 in any order",
            cost(CNN_BN, "batch", "class_sorted"),
            Below(-5.0),
        ),
        "inversion, all test images": ClaimPart(
            SHARE, recovered(CNN_BN, "adabn", ("invert",), (5,)), Below(0.3)
        ),
        "all clean images": ClaimPart("test accuracy (pp)", change(CNN_BN, "adabn")),
    },
    traps=(TRANSDUCTIVE,),
    caveats=(
        "A convolutional net, in which every position is a sample: a perceptron has eight of them, "
        "and one class at once was not tried in it.",
    ),
)

D4 = Claim(
    id="D4",
    sentence="That repair is special to BN.",
    says=(
        "Li et al. 2017 and what followed; against it KellerJordan/BatchNorm-adaptation-behavior: "
        "on corrupted CIFAR-10 67.5 to 79.2 % with BN, 69.7 to 80.5 without any norm"
    ),
    experiments=("claim_shift",),
    protocol=(
        f"{SMALL_CNN} The net without norm is recalibrated: each layer's outputs on the test "
        "images get the mean and variance per channel that they have on training images."
    ),
    rule="Share won back in the net with BN above that in the net without, by more than 0.1.",
    parts={
        "BN minus no norm": ClaimPart(
            "difference of the shares won back",
            recovered_gap(CNN_BN, CNN_NONE, ("adabn", "recalibrated"), APPEARANCE, SEVERITIES),
            Above(0.1),
        ),
        "no norm, recalibrated": ClaimPart(SHARE, RECALIBRATED),
        "no norm, recalibrated, clean": ClaimPart(
            "test accuracy (pp)", change(CNN_NONE, "recalibrated", plain="none")
        ),
        "with BN adapted against no norm recalibrated": more_accurate(
            CNN_BN,
            CNN_NONE,
            words="clean",
            key="test@adabn/accuracy",
            baseline_key="test@recalibrated/accuracy",
        ),
    },
    traps=(TRANSDUCTIVE,),
)

D5 = Claim(
    id="D5",
    sentence="Training gamma and beta on the entropy of test predictions (Tent) improves on D2.",
    says="Wang et al. 2021: CIFAR-10-C error 20.4 to 18.6 %, ImageNet-C 49.9 to 44.0 %",
    experiments=(),
    protocol="WRN-28-10 on CIFAR-10-C, ResNet-50 on ImageNet-C.",
    rule="Order of errors.",
    reason=(
        "It trains on the test images, which no other claim here does, and is a method of its own "
        "rather than a fact about BN; D2 has what BN alone does."
    ),
)


D6 = Claim(
    id="D6",
    sentence=(
        "BN, which is said to reduce covariate shift inside a net, makes it robust to shift from "
        "outside."
    ),
    says="N1 and N3, whose motive is training cats of one colour and testing on others",
    experiments=("claim_shift_mlp",),
    protocol=(
        "MLP 3×100, ReLU, 320 steps of 64, rates decaying to 1 % (cosine), each at the best of at "
        "least six rates on seeds 100-102; seeds 0-9; five shifts at severities 1, 3, 5."
    ),
    rule="Share of the clean accuracy that is left, higher by more than 1 pp than without norm.",
    parts=retained(MLP_BN, MLP_NONE, (*APPEARANCE, "translate"), Above(1.0)),
    traps=("Internal and external shift are two things: this row has nothing of M1 and M2.",),
)

SHIFT: dict[str, Claim] = {claim.id: claim for claim in (D1, D2, D3, D4, D5, D6)}
