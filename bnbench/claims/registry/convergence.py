"""C1 to C9: does Batch Normalization train faster, at larger rates, and to a better net?

Sections and numbers without a name are those of Ioffe & Szegedy 2015; N0 to N4 are the notes of
docs/myths.md. `pp` are percentage points.
"""

import math
from collections.abc import Mapping
from itertools import product

from bnbench.analysis.stats import PRECISE
from bnbench.claims.records import Above, Below, Claim, ClaimPart, Overlay
from bnbench.claims.registry.parts import (
    EQUAL,
    STEPS,
    accuracy,
    arms_of,
    faster,
    gains_more,
    good_rates,
    more_accurate,
)
from bnbench.claims.statistics import contrast, largest_stable_rate, rescued
from bnbench.claims.study import StudyArm

CHANCE = 10.0  # % of ten classes; stuck is up to two points above
PRECISE_CURVE = "val@precise/accuracy"
HALF_DECADES = tuple(float(f"{d}e{e}") for e in range(-2, 4) for d in (1, 3))

CENSORED = (
    "A seed of the net without BN that misses the accuracy gives a lower bound of the ratio, which "
    "can confirm and not refute."
)

ONE_THRESHOLD = (
    "Speed is to one accuracy, at rates that are best for the end of the run: the reading at 0.95 "
    "of that accuracy is another number, and rates chosen for speed might be others."
)

# C1
NONE_1 = StudyArm("claim_sigmoid", {"norm.name": "none"})
BN_1 = NONE_1.but(norm__name="batchnorm")

C1 = Claim(
    id="C1",
    sentence="A net of sigmoids trains faster with BN, and ends higher.",
    says=(
        "N0, N1 and N4; section 4.1, figure 1a: on MNIST the net with BN gets to 96 % in 6,600 "
        "steps and the one without in 18,600 (2.8 times; read off the figure)"
    ),
    experiments=("claim_sigmoid",),
    protocol=(
        "3×100 sigmoids, weights N(0, 0.1²), batches of 60 as in the paper, 1,500 steps; each "
        "side at the best of at least six learning rates, chosen on seeds 100-102; seeds 0-9."
    ),
    rule="More than 1.5 times as fast, and higher in the end by more than 0 pp.",
    parts={
        "speed, rates tuned": faster(BN_1, NONE_1, Above(math.log(1.5))),
        "test accuracy, rates tuned": more_accurate(
            BN_1, NONE_1, Above(0.0), interest=1.0, words="with BN minus without"
        ),
        "speed to 0.95 of that accuracy": faster(BN_1, NONE_1, statistic=STEPS, share=0.95),
        "speed with precise statistics": faster(BN_1, NONE_1, key=PRECISE_CURVE),
        "speed at the rate of the net without, tuning seeds": faster(BN_1, NONE_1, at=NONE_1),
        "test accuracy at the rate of the net without, tuning seeds": more_accurate(
            BN_1, NONE_1, at=NONE_1, words="with BN minus without"
        ),
        "good range of rates, tuning seeds": good_rates(BN_1, NONE_1),
    },
    traps=(
        (
            "A rate that suits one side: three readings, tuned (the verdict), at the rate of the "
            "net without BN, and the width of the good range; the last two on the tuning seeds."
        ),
        "A threshold that suits one side: the accuracy that the net without BN ends at, from seeds "
        "that do not report; 0.95 of it as a reading.",
        "Noise of the running statistics: precise statistics as a reading.",
    ),
    caveats=(
        "Digits of 8×8 pixels, 1,078 to train: MNIST at 50,000 steps is another scale.",
        ONE_THRESHOLD,
        CENSORED,
    ),
    overlay=Overlay("fig1a", "3×100 sigmoids", {"without BN": NONE_1, "with BN": BN_1}),
)


# C2, C3
def rate_arm(model: str, norm: str, lr_mult: int, schedule: str = "constant") -> StudyArm:
    """An arm of claim_rates: x1 is the rate tuned for the net without norm."""
    names = {"model.name": model, "norm.name": norm}
    return StudyArm(
        "claim_rates", {**names, "optim.schedule": schedule, "optim.lr_mult": lr_mult}, None
    )


MLP_NONE, MLP_BN = rate_arm("mlp", "none", 1), rate_arm("mlp", "batchnorm", 1)
VGG_NONE, VGG_BN = rate_arm("vgg", "none", 1), rate_arm("vgg", "batchnorm", 1)

C2 = Claim(
    id="C2",
    sentence="BN alone, at the learning rate of the net without it, trains faster.",
    says=(
        "N2; section 4.2.2, BN-Baseline: 72.2 % in 13.3 M steps where Inception takes 31.0 M (2.3 "
        "times)"
    ),
    experiments=("claim_rates",),
    protocol=(
        "MLP 3×100 and a VGG of 2+2 convolutions, ReLU, at the rates tuned for the nets without "
        "norm (configs/base_lr.yaml), 320 steps of 64; seeds 0-9."
    ),
    rule="More than 1.2 times as fast, in the MLP and in the VGG.",
    parts={
        "MLP": faster(MLP_BN, MLP_NONE, Above(math.log(1.2))),
        "VGG": faster(VGG_BN, VGG_NONE, Above(math.log(1.2))),
        "MLP, to 0.95 of that accuracy": faster(MLP_BN, MLP_NONE, statistic=STEPS, share=0.95),
        "VGG, to 0.95 of that accuracy": faster(VGG_BN, VGG_NONE, statistic=STEPS, share=0.95),
        "MLP, precise statistics": faster(MLP_BN, MLP_NONE, key=PRECISE_CURVE),
        "VGG, precise statistics": faster(VGG_BN, VGG_NONE, key=PRECISE_CURVE),
    },
    traps=(
        "A matched rate is the claim itself; C1, C3 and C6 have the tuned ones.",
        (
            "Evaluations too far apart to see a crossing: one every 2 % of the run, and every "
            "power of √2 in the first 2 %."
        ),
    ),
    overlay=Overlay("fig2", "VGG of 2+2 convolutions", {"without BN": VGG_NONE, "with BN": VGG_BN}),
)

BN_5, BN_30 = rate_arm("mlp", "batchnorm", 5), rate_arm("mlp", "batchnorm", 30)


def ladder_parts(model: str) -> dict[str, ClaimPart]:
    """The parts of C3 in a net: x1, x5 and x30 of one rate, constant or decaying."""
    none_1, none_5, none_30 = (rate_arm(model, "none", k) for k in (1, 5, 30))
    bn_1, bn_5, bn_30 = (rate_arm(model, "batchnorm", k) for k in (1, 5, 30))
    fast_1, fast_5, fast_30 = (rate_arm(model, "batchnorm", k, "exponential") for k in (1, 5, 30))
    to = "both with BN, to the accuracy that no norm ends at"
    options = {"interest": math.log(1.2), "reference": none_1}
    return {
        "x5: only BN trains": ClaimPart(
            "share of seeds", rescued(bn_5, none_5), Above(0.5), scale="share"
        ),
        "x30: only BN trains": ClaimPart(
            "share of seeds", rescued(bn_30, none_30), Above(0.5), scale="share"
        ),
        "x30 is slower than x5": faster(
            bn_5, bn_30, Above(0.0), statistic=f"steps at x30 / at x5, {to}", **options
        ),
        "x30 is faster than x1": faster(
            bn_30, bn_1, Above(0.0), statistic=f"steps at x1 / at x30, {to}", **options
        ),
        "x30 ends above x5": more_accurate(
            fast_30, fast_5, Above(0.0), interest=1.0, words="both with BN"
        ),
        "x5 ends above x1": more_accurate(
            fast_5, fast_1, Above(0.0), interest=1.0, words="both with BN"
        ),
        "without BN, x5": accuracy(none_5),
        "without BN, x30": accuracy(none_30),
        "with BN, x30": accuracy(bn_30),
    }


C3 = Claim(
    id="C3",
    sentence=(
        "With BN a net survives 5 and 30 times the rate and the net without does not; x5 is the "
        "fastest, x30 slower than x5 and faster than x1; and x30 ends highest, then x5, then x1."
    ),
    says=(
        "N1, N2 ('30 times … clearly faster') and N4; section 4.2.2 and figure 2: 72.2 % after "
        "2.1 M steps (x5) and 2.7 M (x30) of 31.0 M, ends at 73.0 and 74.8 %, without BN x5 "
        "diverges"
    ),
    experiments=("claim_rates",),
    protocol=(
        "MLP 3×100, ReLU, x1 = 0.1 as tuned for the net without norm, 320 steps of 64, momentum "
        "0.9; rates constant for survival and order in speed, decaying to 1 % for the end; seeds "
        "0-9."
    ),
    rule=(
        "All six parts: in most seeds BN trains and the net without fails (diverged or stuck), at "
        "x5 and x30; the order of steps; the order of final accuracies."
    ),
    parts=ladder_parts("mlp"),
    traps=(
        (
            "The paper's x5 and x30 change other things too: here the rate alone changes (C7 has "
            "the others)."
        ),
        "Each order is tested by its neighbours instead of by a trend over all three (Page).",
        "The end needs a decaying rate; the paper's decays six times as fast.",
    ),
    caveats=(
        (
            "The MLP alone: a convolutional net at x30 is for larger data. C4 has deep nets of "
            "sigmoids."
        ),
        "x5 and x30 are 0.5 and 3: momentum makes them ten times as large in effect.",
    ),
    overlay=Overlay(
        "fig2",
        "MLP 3×100",
        {"without BN": MLP_NONE, "with BN": MLP_BN, "BN ×5": BN_5, "BN ×30": BN_30},
    ),
)


# C4
def deep(layers: int, norm: str, steps: int, init: str = "xavier") -> StudyArm:
    """A net of `layers` times 100 sigmoids in claim_depth."""
    where = {"hidden_layers": layers, "norm.name": norm, "model.init": init, "train.steps": steps}
    return StudyArm("claim_depth", where)


def depth_parts(steps: int) -> dict[str, ClaimPart]:
    """The parts of C4 for runs of `steps` steps, and of three times as many."""
    at_chance = {"target": Below(CHANCE + 2), "interest": 2.0}
    return {
        "without BN, 20 layers": accuracy(deep(20, "none", steps), **at_chance),
        "with BN, 20 layers": accuracy(deep(20, "batchnorm", steps), Above(80.0), interest=10.0),
        **{
            f"{words} BN, {layers} layers": accuracy(deep(layers, norm, steps))
            for layers in (10, 3)
            for words, norm in (("without", "none"), ("with", "batchnorm"))
        },
        "without BN, 20 layers, 3 times as long": accuracy(
            deep(20, "none", 3 * steps), **at_chance
        ),
        "without BN, 20 layers, weights for sigmoids": accuracy(
            deep(20, "none", steps, init="xavier_sigmoid"), **at_chance
        ),
    }


C4 = Claim(
    id="C4",
    sentence=(
        "Twenty layers of sigmoids train with BN, and without it not at all: not for longer, nor "
        "from weights for sigmoids."
    ),
    says=(
        "N2, N3 and N4; section 4.2.2: Inception with sigmoids and BN gets to 69.8 %, without BN "
        "it never beats chance (N2 omits that 69.8 is below the 72.2 of the ReLU net)"
    ),
    experiments=("claim_depth",),
    protocol=(
        "Layers of 100 sigmoids, Xavier, 30 epochs of batches of 64; each side at the best of at "
        "least four rates (0.1 to 3) on seeds 100-102; seeds 0-9."
    ),
    rule=(
        "At 20 layers and its best rate the net without BN stays below chance + 2 pp, three times "
        "as long and from four times Xavier's weights too, and that with BN gets above 80 %."
    ),
    parts=depth_parts(480),
    traps=(
        "One rate proves nothing: each side has its best.",
        "A plateau at chance is not the end: once three times as long.",
        "Xavier's scale is for tanh: once with 4 times that, which is for sigmoids.",
    ),
    caveats=("The literature's rule counts nets per rate; the best rate is the stricter test.",),
)


# C5
stable = arms_of("claim_stability", "norm.name")  # the statistic sets the rate
C5_RATES = tuple(rate for rate in HALF_DECADES if 0.03 <= rate <= 1000)
ACC_NONE = StudyArm("claim_accuracy", {"model.name": "mlp", "norm.name": "none"})
ACC_BN = ACC_NONE.but(norm__name="batchnorm")
SIG_NONE, SIG_BN = (arm.but(model__name="sigmoid_mlp") for arm in (ACC_NONE, ACC_BN))

C5 = Claim(
    id="C5",
    sentence="BN raises the largest learning rate at which a net trains.",
    says=(
        "N1 and N4; Bjorck et al. 2018, for whom larger rates are why BN helps; others find that "
        "at equal epochs they do not explain the gain"
    ),
    experiments=("claim_stability", "claim_accuracy"),
    protocol=(
        "MLP 3×100, ReLU, momentum 0.9, no warm-up, no clipping, 320 steps of 64 at each half "
        "decade from 0.03 to 1000; seeds 0-9."
    ),
    rule=(
        "More than half a decade, one step of the grid. A rate counts where it and every smaller "
        "one trains: neither diverged nor stuck at chance."
    ),
    parts={
        "largest rate": ClaimPart(
            "decades, with BN over without",
            largest_stable_rate(stable("batchnorm"), stable("none"), C5_RATES),
            Above(0.5),
        ),
        "what BN gains in all": more_accurate(ACC_BN, ACC_NONE, words="both tuned"),
        "gain at the rate of the net without, tuning seeds": more_accurate(
            ACC_BN, ACC_NONE, at=ACC_NONE
        ),
    },
    traps=(
        (
            "What 'diverged' means: a non-finite loss or weight, or a mean training loss over the "
            "last 50 steps above 2 ln 10; a net stuck at chance has failed too."
        ),
    ),
    caveats=(
        "Half decades and 320 steps instead of bisection and 800: one step apart is undecided.",
        (
            "A net with BN hardly notices the scale of its weights, so it may 'train' at rates at "
            "which none would choose to train: the figure shows how well."
        ),
        "Seeds lie on the grid: an interval between equal values has no width, and is not precise.",
    ),
)


def accuracy_parts(nets: Mapping[str, tuple[StudyArm, StudyArm]]) -> dict[str, ClaimPart]:
    """The parts of C6: what is compared -> (with BN, without); the first with precise ones too."""
    words = "with BN minus without"
    first = next(iter(nets))
    return {
        **{name: more_accurate(*pair, EQUAL, words=words) for name, pair in nets.items()},
        **{
            f"{name}, rate of the net without, tuning seeds": more_accurate(
                *pair, at=pair[1], words=words
            )
            for name, pair in nets.items()
        },
        **{
            f"{name}, good range of rates, tuning seeds": good_rates(*pair)
            for name, pair in nets.items()
        },
        f"{first}, precise statistics": more_accurate(*nets[first], key=PRECISE, words=words),
    }


C6 = Claim(
    id="C6",
    sentence="BN leaves the accuracy that a net ends at unchanged.",
    says=(
        "N0 ('accuracy unchanged'), against N1 ('generalises better'); section 4.2.2: 72.2 % "
        "without, 72.7 % with BN alone; others find -3.5 (GoogLeNet) to +4 pp (VGG)"
    ),
    experiments=("claim_accuracy",),
    protocol=(
        "MLPs 3×100 of ReLU (He) and of sigmoids (Xavier), 320 steps of 64, each side at the best "
        "of at least six rates on seeds 100-102; seeds 0-19."
    ),
    rule="Within ±1 pp of test accuracy (TOST), in both nets.",
    parts=accuracy_parts({"ReLU": (ACC_BN, ACC_NONE), "sigmoid": (SIG_BN, SIG_NONE)}),
    traps=("A budget too short for one side: the curves show whether both have settled.",),
    caveats=("±1 pp is 3.6 of 360 test images; nets near 97 % leave little room above.",),
)

# C7
FACTORS = {  # of claim_bundle: column -> values without and with the paper's change
    "rate x5": ("optim.lr_mult", 1.0, 5.0),
    "no dropout": ("model.dropout", 0.4, 0.0),
    "weight decay / 5": ("optim.weight_decay", 5e-4, 1e-4),
    "decay 6 times as fast": ("optim.lr_end", 0.1, 1e-6),
}


def bundle(norm: str, column: str, value: object) -> list[StudyArm]:
    """The 8 arms of claim_bundle that have a norm and one value."""
    others = {name: values for name, *values in FACTORS.values() if name != column}
    arm = arms_of("claim_bundle", "norm.name", column, *others, rate=None)
    return [arm(norm, value, *values) for values in product(*others.values())]


def effect(norm: str, factor: str, weight: float = 1.0) -> list[tuple[float, StudyArm]]:
    """The main effect of a factor in nets with a norm, as a contrast over the 16 of them."""
    column, before, after = FACTORS[factor]
    return [
        *((weight / 8, arm) for arm in bundle(norm, column, after)),
        *((-weight / 8, arm) for arm in bundle(norm, column, before)),
    ]


C7 = Claim(
    id="C7",
    sentence="With BN, each of the changes made together with it raises accuracy.",
    says=(
        "N1 (the list); section 4.2.1: raise the rate, drop dropout, a fifth of the weight decay, "
        "decay six times as fast, shuffle more, drop LRN (C8), distort less"
    ),
    experiments=("claim_bundle",),
    protocol=(
        "Full factorial of BN and four changes on the MLP 3×100, 320 steps of 64, rates decaying "
        "exponentially; 32 arms, seeds 0-9."
    ),
    rule="Main effect in nets with BN above 0.5 pp, for each of the four changes.",
    parts={
        **{
            factor: ClaimPart(
                "test accuracy (pp), changed minus before",
                contrast(effect("batchnorm", factor)),
                Above(0.5),
            )
            for factor in FACTORS
        },
        **{
            f"{factor}: more than without BN": ClaimPart(
                "test accuracy (pp), effect with BN minus effect without",
                contrast([*effect("batchnorm", factor), *effect("none", factor, -1)]),
            )
            for factor in FACTORS
        },
    },
    traps=(
        (
            "Changed one at a time, effects depend on the rest: each is a mean over all "
            "combinations of the others."
        ),
    ),
    caveats=(
        (
            "Four of seven: LRN is C8, shuffling C9; photometric distortion is left out, since the "
            "images have no colours and are not distorted."
        ),
        "Nets near 97 % leave little room above, so that gains of ImageNet's size cannot appear.",
    ),
)


# C8
lrn_arm = arms_of("claim_lrn", "norm.name")

C8 = Claim(
    id="C8",
    sentence="BN replaces Local Response Normalization: it is better, and LRN adds nothing to it.",
    says=(
        "N1; section 4.2.1; caffenet-benchmark: LRN .470 and none .470, so that LRN adds nothing "
        "even without BN"
    ),
    experiments=("claim_lrn",),
    protocol=(
        "Two convolutions of 8 and 16 channels, norms behind the ReLU, 320 steps of 64, each at "
        "the best of at least six rates on seeds 100-102; seeds 0-19."
    ),
    rule="BN above LRN by more than 0 pp, and BN with LRN within ±1 pp of BN.",
    parts={
        "BN over LRN": more_accurate(
            lrn_arm("batchnorm"), lrn_arm("lrn"), Above(0.0), interest=1.0
        ),
        "LRN added to BN": more_accurate(lrn_arm("batchnorm_lrn"), lrn_arm("batchnorm"), EQUAL),
        "LRN over no norm": more_accurate(lrn_arm("lrn"), lrn_arm("none")),
    },
    traps=("torch divides alpha by the window: 5e-4 is the paper's 1e-4.",),
    caveats=("TOST at 0.025, since the other part is of a difference.",),
)


# C9
shuffle = arms_of("claim_shuffle", "norm.name", "data.batches", rate=None)
BN_SHUFFLED, NONE_SHUFFLED = (
    (shuffle(norm, "reshuffled"), shuffle(norm, "frozen")) for norm in ("batchnorm", "none")
)

C9 = Claim(
    id="C9",
    sentence=(
        "A net with BN gains from batches that are never the same twice, beyond what any net does."
    ),
    says="N1 (with a wrong reason); section 4.2.1: about 1 % on ImageNet",
    experiments=("claim_shuffle",),
    protocol=(
        "MLP 3×100 at the rate tuned for the net without norm, 320 steps of 64; the same batches "
        "in every epoch, in a new order, or new ones; seeds 0-19."
    ),
    rule="Gain with BN minus gain without above 0.5 pp.",
    parts={
        "difference of gains": gains_more(BN_SHUFFLED, NONE_SHUFFLED, Above(0.5)),
        "gain with BN": more_accurate(*BN_SHUFFLED, words="reshuffled minus frozen"),
        "gain without": more_accurate(*NONE_SHUFFLED, words="reshuffled minus frozen"),
    },
    traps=(
        "Low power: 1 pp is near the noise of a seed; the smallest detectable effect is printed.",
    ),
    caveats=(
        "The paper's shuffling was within shards of a data set of 1.2 million images.",
        "Batches that stay the same leave out the 54 images that the first epoch drops.",
    ),
)

CONVERGENCE: dict[str, Claim] = {claim.id: claim for claim in (C1, C2, C3, C4, C5, C6, C7, C8, C9)}
