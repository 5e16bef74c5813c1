"""D1 to D6: Batch Normalization when the test data are not like the training data.

This is shift from outside, between training and test data; internal covariate shift is M1 and M2.
"""

from bnbench.claims.records import Above, Below, Claim, ClaimPart
from bnbench.claims.registry.setting import AT_BEST, COSINE, POINT, Setting
from bnbench.claims.study import StudyArm
from bnbench.claims.under_shift import change, cost, recovered, recovered_gap, retained_gap

APPEARANCE = ("contrast", "brightness", "gaussian_noise", "blur")
SHARE = "share of the loss won back"
TRANSDUCTIVE = "Statistics of test images are transductive; nothing is tuned on shifted images."
LARGER = "The other sign in larger nets, or under natural shifts."
CONV, MLP = "conv", "perceptron"


def claims(on: Setting) -> list[Claim]:
    """Declare the claims on a data set."""
    return [suffers(on), repairs(on), *limits(on), special(on), D5, robust(on)]


def convolutional(on: Setting) -> str:
    """The protocol of the convolutional nets."""
    narrow, wide = on.conv_widths
    severities = "severities 1, 3, 5 (of inversion: 20, 60 and 100 % of the images)"
    if on.conv_severities == (5,):
        severities = "severity 5 alone (of inversion: all images)"
    return (
        f"Two convolutions of {narrow} and {wide} channels, {on.budget('shift')}; {COSINE}, "
        f"{AT_BEST}, chosen on unshifted images; {severities}."
    )


def in_test_batches(on: Setting) -> str:
    """The protocol of the convolutional nets that are evaluated in batches of test images."""
    rate = on.rate_in_test_batches("claim_shift")
    if rate is None:
        return convolutional(on)
    narrow, wide = on.conv_widths
    return (
        f"Two convolutions of {narrow} and {wide} channels, {on.budget('shift')}; {COSINE} from "
        f"{rate:g}: a net is compared with itself."
    )


def perceptron(on: Setting) -> str:
    """The protocol of the perceptrons."""
    return (
        f"MLP 3×100, ReLU, {on.budget('shift_mlp')}; {COSINE}, {AT_BEST}, chosen on unshifted "
        "images; severities 1, 3, 5."
    )


def nets(on: Setting, experiment: str) -> tuple[StudyArm, StudyArm]:
    """The arms with BN and without norm."""
    none = StudyArm(experiment, {"norm.name": "none"})
    test_batch = 8 if on.rate_in_test_batches(experiment) is None else None
    return none.but(norm__name="batchnorm", train__test_batch=test_batch), none


def batched(on: Setting, experiment: str, size: int) -> StudyArm:
    """The arm with BN that is evaluated in batches of a size."""
    arm, rate = (
        nets(on, experiment)[0].but(train__test_batch=size),
        on.rate_in_test_batches(experiment),
    )
    return arm if rate is None else arm.but(rate=rate)


def retained(
    arms: tuple[StudyArm, StudyArm],
    shifts: tuple[str, ...],
    severities: tuple[int, ...],
    target: Above | Below,
) -> dict[str, ClaimPart]:
    """The share of the clean accuracy that is left: over all shifts, which decides, and each."""

    def part(shifts: tuple[str, ...], target: Above | Below | None = None) -> ClaimPart:
        measure = retained_gap(*arms, shifts, severities)
        return ClaimPart("clean accuracy retained (pp), BN minus no norm", measure, target)

    return {"all shifts": part(shifts, target), **{shift: part((shift,)) for shift in shifts}}


RETAINED = (
    "The share of its own clean accuracy that a net keeps, a mean over shifts and severities: "
    "clean accuracies differ."
)
WON_BACK = (
    "The sum of what is won back over the sum of what was lost: a shift that costs next to nothing "
    "is no divisor by itself."
)


def suffers(on: Setting) -> Claim:
    """D1: fixed statistics under shift."""
    arms = nets(on, "claim_shift")
    shifts = (*APPEARANCE, "invert")
    group = arms[1].but(norm__name="groupnorm")
    control = ClaimPart(
        "clean accuracy retained (pp), GN minus no norm",
        retained_gap(group, arms[1], shifts, on.conv_severities, ("none", "none")),
    )
    return Claim(
        id="D1",
        sentence=(
            "With the statistics of its training data BN suffers more from shifted test images "
            "than no norm."
        ),
        says=(
            "N0 (its limitation); robustness benchmark: ResNet-50 mCE 76.7 with BN, 72.4 with GN, "
            "72.0 with Fixup"
        ),
        experiments=("claim_shift",),
        protocol=convolutional(on),
        rule=(
            "Share of the clean accuracy that is left, over four shifts and inversion, lower by "
            "more than 1 pp."
        ),
        why_statistic=RETAINED,
        why_bound=POINT,
        would_change=LARGER,
        parts={
            **retained(arms, shifts, on.conv_severities, Below(-1.0)),
            **({"Group Normalization, all shifts": control} if on.data == "digits" else {}),
        },
        traps=("Running statistics that lag: the rate has decayed.",),
    )


def repairs(on: Setting) -> Claim:
    """D2: statistics of the shifted images."""
    bn, _ = nets(on, "claim_shift")
    # where other arms are for statistics of test batches, these have none
    has_batches = on.rate_in_test_batches("claim_shift") is None

    def won(shifts: tuple[str, ...], policy: str, target: Above | None = None) -> ClaimPart:
        return ClaimPart(SHARE, recovered(bn, policy, shifts, on.conv_severities), target)

    return Claim(
        id="D2",
        sentence="Statistics of the shifted test images repair BN.",
        says=(
            "Li et al. 2017 (AdaBN); Schneider et al. 2020: ResNet-50 mCE 76.7 to 62.2; Nado et "
            "al. 2020: 60.28; CIFAR-10-C error 43.5 to 20.4 %"
        ),
        experiments=("claim_shift",),
        protocol=convolutional(on),
        rule=(
            "More than 0.3 of what four appearance shifts cost is won back by statistics of all "
            "test images."
        ),
        why_statistic=WON_BACK,
        why_bound="'Repair': about a third; CIFAR-10-C's numbers are more than a half.",
        would_change=LARGER,
        parts={
            "all test images": won(APPEARANCE, "adabn", Above(0.3)),
            **({"8 test images at once": won(APPEARANCE, "batch")} if has_batches else {}),
            **{f"all test images, {shift}": won((shift,), "adabn") for shift in APPEARANCE},
        },
        traps=(TRANSDUCTIVE, "D4 is the control: the same repair of a net without norm."),
    )


SAYS_D3 = (
    "Nado et al. 2020, section 5 ('mixed results'); Wang et al. 2021 (Tent): no gain under natural "
    "shift"
)
KINDS = (  # net, experiment, letters of: 8 clean images, 8 of one class, 200 of one class
    (CONV, "claim_shift", "abc"),
    (MLP, "claim_shift_mlp", "def"),
)


def limits(on: Setting) -> list[Claim]:
    """D3: small test batches, batches of one class, inversion; in two kinds of nets."""
    found = []
    for net, experiment, letters in KINDS:
        words = "a convolutional net" if net == CONV else "a perceptron"
        protocol = in_test_batches(on) if net == CONV else perceptron(on)
        common = {
            "says": SAYS_D3,
            "experiments": (experiment,),
            "protocol": protocol,
            "would_change": LARGER,
        }
        found.append(
            Claim(
                id=f"D3{letters[0]}",
                sentence=(
                    f"Statistics of eight clean test images are worse than running ones: {words}."
                ),
                rule="Test accuracy lower by more than 1 pp.",
                why_statistic="The same nets, evaluated twice.",
                why_bound=POINT,
                parts={
                    "8 clean images at once": ClaimPart(
                        "test accuracy (pp), minus running statistics",
                        change(batched(on, experiment, 8), "batch"),
                        Below(-1.0),
                    )
                },
                traps=(TRANSDUCTIVE,),
                **common,
            )
        )
        for letter, size in ((letters[1], 8), (letters[2], 200)):
            many = f"{size} images"
            sentence = f"Statistics of {many} of one class are worse than of mixed ones: {words}."
            if on.data == "digits" and size > 36:
                found.append(
                    Claim(
                        id=f"D3{letter}",
                        sentence=sentence,
                        **{**common, "experiments": ()},
                        rule="Test accuracy lower by more than 5 pp.",
                        reason=(
                            "Digits have 36 test images a class. It is judged on Fashion-MNIST, "
                            "which has 1,000."
                        ),
                    )
                )
                continue
            arm = batched(on, experiment, size)
            found.append(
                Claim(
                    id=f"D3{letter}",
                    sentence=sentence,
                    rule=f"Test accuracy lower by more than 5 pp than of {many} in any order.",
                    why_statistic="The same nets and images, in the order of their classes or not.",
                    why_bound="What would be seen at once.",
                    parts={
                        f"{many} of a class at once": ClaimPart(
                            "test accuracy (pp), minus as many in any order",
                            cost(arm, "batch", "class_sorted"),
                            Below(-5.0),
                        )
                    },
                    traps=(TRANSDUCTIVE,),
                    **common,
                )
            )
    bn, _ = nets(on, "claim_shift")
    found.append(
        Claim(
            id="D3g",
            sentence="Statistics of the test images do not undo an inversion.",
            says=SAYS_D3,
            experiments=("claim_shift",),
            protocol=convolutional(on),
            rule="Less than 0.3 of what inversion of every image costs is won back.",
            why_statistic=WON_BACK,
            why_bound="The bound of D2: what does not repair there does not here.",
            would_change=LARGER,
            parts={
                "inversion, all test images": ClaimPart(
                    SHARE, recovered(bn, "adabn", ("invert",), (5,)), Below(0.3)
                ),
            },
            traps=(TRANSDUCTIVE,),
        )
    )
    return found


def special(on: Setting) -> Claim:
    """D4: the same repair of a net without norm."""
    bn, none = nets(on, "claim_shift")
    return Claim(
        id="D4",
        sentence="That repair is special to BN.",
        says=(
            "Li et al. 2017 and what followed; against it KellerJordan/BatchNorm-adaptation-"
            "behavior: on corrupted CIFAR-10 67.5 to 79.2 % with BN, 69.7 to 80.5 without any norm"
        ),
        experiments=("claim_shift",),
        protocol=(
            f"{convolutional(on)} The net without norm is recalibrated: each layer's outputs on "
            "the test images get the mean and variance per channel that they have on training "
            "images."
        ),
        rule="Share won back in the net with BN above that in the net without, by more than 0.1.",
        why_statistic=WON_BACK,
        why_bound="A tenth of the loss.",
        would_change=LARGER,
        parts={
            "BN minus no norm": ClaimPart(
                "difference of the shares won back",
                recovered_gap(bn, none, ("adabn", "recalibrated"), APPEARANCE, on.conv_severities),
                Above(0.1),
            ),
            "no norm, recalibrated": ClaimPart(
                SHARE, recovered(none, "recalibrated", APPEARANCE, on.conv_severities, "none")
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
        "rather than a fact about BN; D2 has what BN alone does. Its own nets take hours of a GPU."
    ),
)


def robust(on: Setting) -> Claim:
    """D6: a perceptron under shift."""
    return Claim(
        id="D6",
        sentence=(
            "BN, which is said to reduce covariate shift inside a net, makes it robust to shift "
            "from outside."
        ),
        says="N1 and N3, whose motive is training cats of one colour and testing on others",
        experiments=("claim_shift_mlp",),
        protocol=perceptron(on),
        rule=(
            "Share of the clean accuracy that is left, over five shifts, higher by more than 1 pp "
            "than without norm."
        ),
        why_statistic=RETAINED,
        why_bound=POINT,
        would_change=LARGER,
        parts=retained(
            nets(on, "claim_shift_mlp"), (*APPEARANCE, "translate"), (1, 3, 5), Above(1.0)
        ),
        traps=("Internal and external shift are two things: this row has nothing of M1a and M2a.",),
    )
