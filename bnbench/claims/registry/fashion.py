"""The claims on all of Fashion-MNIST: other budgets, rates and bounds, the same sentences.

Bounds on differences of accuracy are half of those on the digits: 10,000 test images distinguish
nets that 360 do not. Where a budget is smaller than that of the paper or of the rule, a
caveat says so. The experiments' settings are in configs/on_data/fashion_mnist/.
"""

from collections.abc import Mapping
from dataclasses import replace

from bnbench.claims.records import Between, Claim, ClaimPart
from bnbench.claims.registry import batches, convergence, mechanism, placement, shift
from bnbench.claims.registry.parts import EQUAL, arms_of, faster, more_accurate, pair
from bnbench.claims.study import StudyArm
from bnbench.claims.under_shift import change

CLOSER = Between(-0.5, 0.5)
AT_BEST = "each at the best of at least six rates on seeds 100-102"
ONE_EPOCH = "one epoch: 781 steps of 64"
SMALL_NET = (
    "A convolutional net at three rates, one tuning seed and five seeds: the budget of a CPU."
)


def closer(parts: Mapping[str, ClaimPart]) -> dict[str, ClaimPart]:
    """Parts that are equivalent within 1 pp on the digits, within 0.5 pp."""
    return {
        name: replace(part, target=CLOSER) if part.target == EQUAL else part
        for name, part in parts.items()
    }


CURVES = (
    "The curve is of 1,000 validation images, the accuracy to be reached of all 10,000: the two "
    "may differ by more than two nets do."
)

WITHOUT_MOMENTUM = pair("why_sigmoid")
C1 = replace(
    convergence.C1,
    experiments=("claim_sigmoid", "why_sigmoid"),
    protocol=(
        "3×100 sigmoids, weights N(0, 0.1²), batches of 60 as in the paper, 3,000 steps; each "
        "side at the best of at least six learning rates, chosen on seeds 100-102; seeds 0-9. "
        "Readings without momentum: rates chosen on seed 100, seeds 0-4."
    ),
    parts={
        **convergence.C1.parts,
        **{
            f"speed at rate {rate:g}, tuning seeds": faster(
                convergence.BN_1, convergence.NONE_1, at=convergence.NONE_1.but(rate=rate)
            )
            for rate in (0.1, 0.3, 1.0)
        },
        "speed without momentum, rates tuned": faster(*WITHOUT_MOMENTUM),
        "test accuracy without momentum, rates tuned": more_accurate(
            *WITHOUT_MOMENTUM, words="with BN minus without"
        ),
    },
    caveats=(
        "3,000 steps instead of the paper's 50,000, and clothes instead of digits.",
        convergence.ONE_THRESHOLD,
        CURVES,
        convergence.CENSORED,
    ),
)
C2 = replace(
    convergence.C2,
    protocol=(
        "MLP 3×100, 1,562 steps of 64, seeds 0-9, and a VGG of 2+2 convolutions, 781 steps of 64, "
        "seeds 0-2; ReLU, at the rates tuned for the nets without norm (configs/base_lr.yaml)."
    ),
    parts={
        name: part
        for name, part in convergence.C2.parts.items()
        if name != "VGG, precise statistics"
    },
    caveats=(
        "Three seeds of the VGG, without precise statistics: the budget of a CPU. Its rate was "
        "tuned at four epochs.",
        CURVES,
    ),
)
C3 = replace(
    convergence.C3,
    protocol=(
        "MLP 3×100, ReLU, x1 = 0.01 as tuned for the net without norm, 1,562 steps of 64, momentum "
        "0.9; rates constant for survival and order in speed, decaying to 1 % for the end; seeds "
        "0-9."
    ),
    caveats=(
        "The MLP alone: a convolutional net at x30 is for a GPU. C4 has deep nets of sigmoids.",
        "Two epochs; the paper's nets train for 5 to 30.",
        CURVES,
    ),
)
C4 = replace(
    convergence.C4,
    protocol=(
        "Layers of 100 sigmoids, Xavier, 1,500 steps of 64; each side at the best of at least four "
        "rates (0.1 to 3) on seeds 100-102; seeds 0-4."
    ),
    parts=convergence.depth_parts(1500),
)
C5 = replace(
    convergence.C5,
    protocol=(
        "MLP 3×100, ReLU, momentum 0.9, no warm-up, no clipping, 800 steps of 64 at each half "
        "decade from 0.03 to 1000; seeds 0-4."
    ),
    caveats=(
        "Half decades instead of bisection: one step apart is undecided.",
        *convergence.C5.caveats[1:],
    ),
)
C6 = replace(
    convergence.C6,
    protocol=(
        "MLPs 3×100 of ReLU (He) and of sigmoids (Xavier), four epochs of batches of 64, "
        f"{AT_BEST}; seeds 0-19."
    ),
    rule="Within ±0.5 pp of test accuracy (TOST), in both nets.",
    parts=closer(convergence.C6.parts),
    caveats=("Four epochs: the nets still improve.",),
)
C7 = replace(
    convergence.C7,
    protocol=(
        "Full factorial of BN and four changes on an MLP 3×256, 10,000 training images, 780 steps "
        "of 64, rates decaying exponentially; 32 arms, seeds 0-4."
    ),
    caveats=(
        convergence.C7.caveats[0],
        "Five epochs of 10,000 images: weight decay has little time to act.",
    ),
)
C8 = replace(
    convergence.C8,
    protocol=(
        f"Two convolutions of 8 and 16 channels, norms behind the ReLU, {ONE_EPOCH}, each at the "
        "best of three rates (more where the best is an end) on seed 100; seeds 0-4."
    ),
    rule="BN above LRN by more than 0 pp, and BN with LRN within ±0.5 pp of BN.",
    parts=closer(convergence.C8.parts),
    caveats=(*convergence.C8.caveats, SMALL_NET),
)
C9 = replace(
    convergence.C9,
    protocol=(
        "MLP 3×100 at the rate tuned for the net without norm, 5,000 training images, twenty "
        "epochs of batches of 64; the same batches in every epoch, in a new order, or new ones; "
        "seeds 0-19."
    ),
    caveats=(
        "The paper's shuffling was within shards of a data set of 1.2 million images.",
        "Batches that stay the same leave out the 8 images that the first epoch drops.",
    ),
)

M1 = replace(
    mechanism.M1, protocol=mechanism.M1.protocol.replace("1,000 steps of 60", "3,000 steps of 60")
)
M2 = replace(
    mechanism.M2,
    protocol=(
        f"MLP 5×128, ReLU, at rates 0.01 and 0.03, {ONE_EPOCH}, seeds 0-9; their deep linear net "
        "of 25 layers, from two scales of first weights, since they name none."
    ),
    parts=mechanism.ics_parts((0.01, 0.03)),
    caveats=(
        *mechanism.M2.caveats,
        "Rates at which no net without norm diverges: at 0.1 a pilot saw 1 of 3, at 0.3 all.",
    ),
)
M3 = replace(
    mechanism.M3,
    protocol=f"MLP 4×128, ReLU, {ONE_EPOCH}, four arms, {AT_BEST}; seeds 0-9.",
    caveats=(*mechanism.M3.caveats, CURVES),
)
M4 = replace(
    mechanism.M4,
    protocol=mechanism.M4.protocol.replace("0.05 and 0.1", "0.03 and 0.05"),
    rule=mechanism.M4.rule.replace("0.05", "0.03"),
    parts=mechanism.landscape_parts(0.03, 0.05),
    traps=(
        *mechanism.M4.traps[:-1],
        "The largest step must be below what the net without BN survives: at 0.1 a pilot saw 2 of "
        "3 such nets diverge, at 0.05 none.",
    ),
)
longer = arms_of("why_norms", "norm.name")
M5 = replace(
    mechanism.M5,
    experiments=("claim_norms", "why_norms"),
    protocol=(
        f"MLP 3×100, ReLU, {ONE_EPOCH}, {AT_BEST}; seeds 0-19. Readings of four epochs: rates "
        "chosen on seed 100, seeds 0-9."
    ),
    rule="Within ±0.5 pp of BN's test accuracy (TOST), each of the four.",
    parts={
        **closer(mechanism.M5.parts),
        **{
            f"{words}, four epochs": more_accurate(
                longer(norm), longer("batchnorm"), words="minus BN"
            )
            for words, norm in mechanism.OTHERS.items()
            if norm in ("layernorm", "groupnorm")
        },
    },
)
M6 = replace(
    mechanism.M6,
    protocol=mechanism.M6.protocol.replace("1024 digits; seeds 0-9", "1024 images; seeds 0-4"),
)
M9 = replace(
    mechanism.M9,
    protocol=(
        "MLP 3×128, ReLU, 10,000 training images, batches of 1,024 at rate 0.1 for 40 epochs, "
        "statistics of 8, 32, 128 or all images of a batch; seeds 0-9."
    ),
    parts=mechanism.ghost_parts(1024, 0.1),
    caveats=("A perceptron: a convolutional net on CIFAR-10 is the scale of the claim.",),
)

P1 = replace(
    placement.P1,
    protocol=f"MLP 3×100 of ReLU, sigmoid and tanh, {ONE_EPOCH}, {AT_BEST}; seeds 0-19.",
    rule="Within ±0.5 pp of test accuracy (TOST), for each of the three activations.",
    parts=closer(placement.P1.parts),
)
P2 = replace(
    placement.P2,
    protocol=f"MLPs 3×100 of ReLU and of sigmoids, {ONE_EPOCH}, {AT_BEST}; seeds 0-19.",
    rule="Accuracy with both above that with neither by more than 0.5 pp, in both nets.",
    parts={**placement.P2.parts, **placement.needed(0.5)},
    caveats=(
        placement.P2.caveats[0],
        "The sentence claims a loss, so it is tested against one of 0.5 pp instead of for "
        "equivalence.",
    ),
)
P3 = replace(
    placement.P3,
    protocol=f"MLP 3×100, ReLU, weights as they were drawn, {ONE_EPOCH}, {AT_BEST}; seeds 0-9.",
    caveats=("Clothes are easy for random features: the head alone may leave little to win.",),
)

IN_BATCHES = (
    "MLP 3×64, ReLU, 5,000 training images, 2 epochs at each batch size, each at the best of at "
    "least six rates on seeds 100-102 for each batch size; seeds 0-19 at 16 and 64, 0-9 below."
)
SHORT = (
    "2 epochs of 5,000 images, since batches of 2 take 2,500 steps an epoch: at 64 they are 156 "
    "steps, and nets are compared as far as they then are. Equal epochs, not steps."
)
WHY = " Readings of why_batch test a suspected cause: best rate on seed 100, seeds 0-4."
isolated = arms_of("why_batch", "model.name", "norm.name")
CNN, LONG = (
    "convolutional net, 5,000 steps of 2",
    "batch 64, as many steps as batches of 2 (5,000)",
)
B1 = replace(
    batches.B1,
    experiments=("claim_batch", "why_batch"),
    protocol=IN_BATCHES + WHY,
    parts={
        **batches.B1.parts,
        **{
            words: more_accurate(
                isolated(model, "batchnorm"),
                isolated(model, "groupnorm"),
                words="BN minus Group Normalization",
            )
            for words, model in ((CNN, "vgg"), (LONG, "mlp"))
        },
    },
    caveats=(SHORT, *batches.B1.caveats[1:]),
)
B2 = replace(
    batches.B2,
    experiments=("claim_batch", "why_batch"),
    protocol=IN_BATCHES + WHY,
    parts={
        **batches.B2.parts,
        **{
            f"{words}, {CNN}": ClaimPart(
                f"test accuracy (pp), {policy} minus running statistics",
                change(isolated("vgg", "batchnorm"), policy),
            )
            for words, policy in (
                ("test batches of 2", "batch"),
                ("precise statistics", "precise"),
            )
        },
    },
    caveats=(SHORT, *batches.B2.caveats[1:]),
)
B3 = replace(
    batches.B3,
    protocol=(
        "MLP 3×128, ReLU, batches of 1,024 of 10,000 images, 40 epochs, ghosts of 32, "
        f"{AT_BEST}; seeds 0-9."
    ),
    parts=batches.large_parts(1024),
)
B4 = replace(
    batches.B4,
    protocol=f"Batch 4: {IN_BATCHES} Two classes: as B6. r up to 3, d up to 5 after 100 batches.",
    caveats=(SHORT,),
)
B5 = replace(
    batches.B5,
    protocol=(
        "MLP 3×100, ReLU, 300 steps at rates decaying from 0.1 to 1 % of it (cosine), momentum "
        "0.1, batches of 64; seeds 0-9."
    ),
    parts=batches.lag_parts(1024),
)
B6 = replace(
    batches.B6,
    protocol=(
        f"MLP 3×100, ReLU, {ONE_EPOCH}, of two classes each, or mixed; {AT_BEST}; seeds 0-9."
    ),
)

SMALL_CNN = (
    f"Two convolutions of 16 and 32 channels, {ONE_EPOCH}, rates decaying to 1 % (cosine), each at "
    "the best of three rates (more where the best is an end) on seed 100, chosen on unshifted "
    "images; seeds 0-4; severities 1, 3, 5 (of inversion: 20, 60 and 100 % of the images)."
)
D1 = replace(shift.D1, protocol=SMALL_CNN, caveats=(SMALL_NET,))
D2 = replace(
    shift.D2,
    protocol=SMALL_CNN,
    rule=shift.D2.rule.replace("360", "10,000"),
    caveats=(SMALL_NET,),
)
D3 = replace(
    shift.D3,
    experiments=("claim_shift", "why_test_batch"),
    protocol=f"{SMALL_CNN} A reading of why_test_batch is of an MLP 3×100.",
    parts={
        **shift.D3.parts,
        "8 clean images at once, perceptron": ClaimPart(
            "test accuracy (pp), minus running statistics",
            change(StudyArm("why_test_batch", {"norm.name": "batchnorm"}), "batch"),
        ),
    },
    caveats=(*shift.D3.caveats, SMALL_NET),
)
D4 = replace(
    shift.D4,
    protocol=f"{SMALL_CNN} {shift.D4.protocol.removeprefix(shift.SMALL_CNN).strip()}",
    caveats=(SMALL_NET,),
)
D6 = replace(
    shift.D6,
    protocol=(
        f"MLP 3×100, ReLU, {ONE_EPOCH}, rates decaying to 1 % (cosine), {AT_BEST}; seeds 0-9; five "
        "shifts at severities 1, 3, 5."
    ),
)

FASHION: dict[str, Claim] = {
    claim.id: claim
    for claim in (
        *(C1, C2, C3, C4, C5, C6, C7, C8, C9),
        *(M1, M2, M3, M4, M5, M6, M9),
        *(P1, P2, P3, B1, B2, B3, B4, B5, B6, D1, D2, D3, D4, D6),
    )
}
