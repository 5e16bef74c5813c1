"""M1 to M9: why does Batch Normalization do what it does?

N0 to N4 are the notes of docs/myths.md. Probes are those of docs/probes.md.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, linear_regression

from bnbench.claims.curves import at_first_step, generalisation_gap
from bnbench.claims.records import Above, Below, Between, Claim, ClaimPart, Target
from bnbench.claims.registry.parts import (
    AS_GOOD_BY,
    Rate,
    accuracy,
    arms_of,
    as_good,
    learns_faster,
    more_accurate,
    pair,
)
from bnbench.claims.registry.setting import (
    AREA,
    AS_GOOD,
    AT_BEST,
    CONSTANT,
    COSINE,
    END,
    LARGER,
    SIGN,
    Setting,
)
from bnbench.claims.statistics import (
    area_contrast,
    at_start,
    intercept,
    of_problem,
    over_phase,
    slope,
)
from bnbench.claims.study import StudyArm

EARLY, MID, LATE = (0.0, 0.05), (0.05, 0.5), (0.5, 1.0)  # shares of a run, (from, to]
RATIO = "with BN / without"
GONE = "Where a net has diverged there is nothing to probe: such a seed has no number."
WORTH_A_LOOK = math.log(1.2)  # of ratios whose bound is 1


def claims(on: Setting) -> list[Claim]:
    """Declare the claims on a data set."""
    return [
        *drift(on),
        *gradients(on),
        *noise(on),
        *smoothness(on),
        *other_norms(on),
        *growth(on),
        saturation(on),
        CONDITIONING,
        *regularises(on),
    ]


# M1, M7
def probed(on: Setting, probe: str, rate: float, target: Target | None) -> ClaimPart:
    """The log ratio of a probe's mean over the run, in the last hidden layer of figure 1's net."""
    measure = over_phase(*pair("claim_drift", rate), f"train@batch/{probe}/3")
    return ClaimPart(f"{probe.replace('_', ' ')}, {RATIO}", measure, target, "log")


def drift(on: Setting) -> list[Claim]:
    """M1: the distributions of inner inputs, their place and their shape."""
    says = (
        "N0, N1, N3 and N4 ('reduces internal covariate shift'); Ioffe & Szegedy 2015, figure 1b "
        "and c: percentiles of one typical unit, by eye"
    )
    protocol = (
        f"The net of C1a at {CONSTANT} of 0.3 and 1, {on.budget('drift')}; inputs of the last "
        "hidden sigmoids for 1,000 fixed training images, in training mode for both sides, all 100 "
        "units."
    )
    caveats = (
        "This is one reading of 'internal covariate shift', M2a to M2d are the other.",
        "At one rate nets with BN also learn faster, so they may drift more early and less late.",
    )
    in_both_modes = (
        "Batch statistics in one arm and running ones in the other: both in training mode.",
    )
    return [
        Claim(
            id="M1a",
            sentence="With BN the medians of a net's inner inputs drift less while it trains.",
            says=says,
            experiments=("claim_drift",),
            protocol=protocol,
            rule="Drift in units of the spread below 0.7 of that without BN, at both rates.",
            why_statistic="How far medians move, in units of the spread: absolute drift is scale.",
            why_bound="A drift that is 0.7 times as large is a third less.",
            would_change="More drift at rates at which both sides train as fast.",
            by_construction=(
                "BN sets mean and spread of these very numbers, up to beta and gamma: that their "
                "place stays is built in. The shape (M1b) is not."
            ),
            parts={
                f"medians, rate {rate:g}": probed(on, "drift", rate, Below(math.log(0.7)))
                for rate in on.rates["drift"]
            },
            traps=in_both_modes,
            caveats=caveats,
        ),
        Claim(
            id="M1b",
            sentence="With BN the shape of the distributions of inner inputs drifts less too.",
            says=says,
            experiments=("claim_drift",),
            protocol=protocol,
            rule=(
                "Kolmogorov-Smirnov distance to the shape as drawn, after standardising, below 0.7 "
                "of that without BN, at both rates."
            ),
            why_statistic="Standardised values have no mean and spread that BN could set.",
            why_bound="As M1a.",
            would_change="Less drift of the shape where both sides train as fast.",
            parts={
                f"shape, rate {rate:g}": probed(on, "drift_shape", rate, Below(math.log(0.7)))
                for rate in on.rates["drift"]
            },
            traps=in_both_modes,
            caveats=caveats,
        ),
    ]


def saturation(on: Setting) -> Claim:
    """M7: saturated sigmoids."""

    def saturated(layer: int, rate: float, target: Below | None = None) -> ClaimPart:
        key = f"train@batch/saturation/{layer}"
        measure = over_phase(*pair("claim_drift", rate), key, log=False)
        return ClaimPart("share of sigmoids, with BN minus without", measure, target, interest=0.05)

    rates = on.rates["drift"]
    return Claim(
        id="M7",
        sentence="With BN fewer sigmoids are saturated while a net trains.",
        says="N2 and N3; Ioffe & Szegedy 2015, section 1",
        experiments=("claim_drift",),
        protocol=(
            f"The net and the runs of M1a, {on.budget('drift')}. A sigmoid is saturated where its "
            "derivative is below 0.05 (|input| > 2.89)."
        ),
        rule="Mean share over the run lower, in the last hidden layer, at both rates.",
        why_statistic="The share of units and images at which the gradient all but stops.",
        why_bound=SIGN,
        would_change="Saturation that comes back as gamma grows, in longer runs.",
        parts={
            **{f"last hidden layer, rate {r:g}": saturated(3, r, Below(0.0)) for r in rates},
            **{f"first hidden layer, rate {r:g}": saturated(1, r) for r in rates},
        },
        traps=("gamma may grow and saturate them again: the probe logs it beside the share.",),
    )


# M2
def linear_gap(reading: str) -> ClaimPart:
    """Cosine with BN minus without in the deep linear net, its mean over the phases."""
    phases = [f"{phase}{reading}" for phase in ("early", "mid", "late")]
    measure = of_problem(
        "linear_net",
        lambda q: fmean(q[f"cosine batchnorm {p}"] - q[f"cosine none {p}"] for p in phases),
    )
    return ClaimPart("cosine, with BN minus without", measure)


def gradients(
    on: Setting, net: str = "MLP 5×128", layers: Sequence[int] = range(2, 6)
) -> list[Claim]:
    """M2: a map of regimes, two rates by two phases; their deep linear net as a reading."""
    says = (
        "N0, N1, N3 and N4 read as Santurkar et al. 2018, Def. 2.1; they find the contrary: "
        "'similar, or even worse' in a VGG, and in deep linear nets BN's gradients 'almost "
        "uncorrelated'"
    )
    cosines = [f"train@batch/ics_cosine/{layer}" for layer in layers]
    distances = [f"train@batch/ics_relative/{layer}" for layer in layers]
    small, large = on.rates["ics"]
    regimes = {
        "a": ("early, at a small rate", small, EARLY, "the first twentieth"),
        "b": ("later, at a small rate", small, (0.05, 1.0), "after the first twentieth"),
        "c": ("early, at a larger rate", large, EARLY, "the first twentieth"),
        "d": ("later, at a larger rate", large, (0.05, 1.0), "after the first twentieth"),
    }
    found = []
    for letter, (words, rate, phase, when) in regimes.items():
        arms = pair("claim_ics", rate)
        found.append(
            Claim(
                id=f"M2{letter}",
                sentence=(
                    "With BN the gradient of a layer changes less when the layers below it move: "
                    f"{words}."
                ),
                says=says,
                experiments=("claim_ics", "linear_net") if letter == "a" else ("claim_ics",),
                protocol=(
                    f"{net}, ReLU, constant rate {rate:g}, {on.budget('ics')}; {when} of the run."
                ),
                rule="Cosine of the two gradients higher with BN.",
                why_statistic=(
                    "The angle between a layer's gradients before and after the layers below it "
                    "have moved, a mean over the layers above the first and the points of the "
                    "phase: Def. 2.1 without the length, which depends on how weights are "
                    "scaled (E5)."
                ),
                why_bound=SIGN,
                would_change=f"{LARGER} Santurkar et al. test a VGG on CIFAR-10.",
                parts={
                    "cosine": ClaimPart(
                        "cosine, with BN minus without",
                        over_phase(*arms, cosines, phase, log=False),
                        Above(0.0),
                        interest=0.05,
                    ),
                    "relative distance": ClaimPart(
                        f"|G - G'|/|G|, {RATIO}", over_phase(*arms, distances, phase), scale="log"
                    ),
                    **(
                        {
                            f"deep linear net, {words}": linear_gap(key)
                            for words, key in {
                                "Glorot's weights": "",
                                "torch's default weights": ", default init",
                                "steps of equal length": ", equal step",
                            }.items()
                        }
                        if letter == "a"
                        else {}
                    ),
                },
                traps=(
                    "The step that the lower layers take is undone bit for bit, and running "
                    "statistics stand still.",
                    "The rate decides how far they move: matched, at two rates at which nets "
                    "without norm train.",
                ),
                caveats=(GONE,),
            )
        )
    return found


# M3
def noise(on: Setting) -> list[Claim]:
    """M3: noise behind BN, at a common rate and at each net's own."""
    says = (
        "Santurkar et al. 2018, section 2.1 and Alg. 1: noisy BN trains almost as fast as BN; the "
        "noise alone 'prevents it from training entirely'"
    )
    (common,) = on.rates["noise"]
    found = []
    rates: tuple[tuple[str, str, Rate, str], ...] = (
        ("a", "at a common learning rate", common, f"a common rate of {common:g}"),
        ("b", "each net at its own learning rate", "tuned", AT_BEST),
    )
    for letter, words, rate, told in rates:
        arm = arms_of("claim_noise", "norm.name", rate=rate)
        none, bn, noisy = arm("none"), arm("batchnorm"), arm("noisy_batchnorm")
        readings = {}
        if letter == "a":
            readings = {
                "noise alone": learns_faster(arm("noise"), none, words="noise alone minus none"),
                "training loss in training mode, second half": ClaimPart(
                    "nats, noisy BN minus BN",
                    over_phase(noisy, bn, "train@batch/loss", LATE, log=False),
                ),
                "test accuracy, noisy BN minus BN": more_accurate(noisy, bn),
            }
        found.append(
            Claim(
                id=f"M3{letter}",
                sentence=(
                    "BN keeps at least half of its benefit when noise shifts the distributions "
                    f"behind it, {words}."
                ),
                says=says,
                experiments=("claim_noise",),
                protocol=f"MLP 4×128, ReLU, {on.budget('noise')}; {COSINE} from {told}.",
                rule=(
                    "BN's mean validation accuracy over the run is higher than that of no norm, "
                    "and noisy BN keeps more than half of the difference."
                ),
                why_statistic=f"{AREA} Half the benefit is taken off seed by seed.",
                why_bound="Half: what is kept is more than what is lost.",
                would_change="Noise that is stronger: theirs has moments of half a spread.",
                parts={
                    "what there is to keep": learns_faster(
                        bn, none, Above(0.0), interest=1.0, words="BN minus none"
                    ),
                    "kept beyond one half": ClaimPart(
                        "mean accuracy over the run (pp), gain of noisy BN minus half that of BN",
                        area_contrast([(1.0, noisy), (-0.5, none), (-0.5, bn)]),
                        Above(0.0),
                        interest=1.0,
                    ),
                    **readings,
                },
                traps=(
                    "A share of a benefit that is not there: whether there is one is a part.",
                    "Rate and noise: a common rate, and each net's own, are two claims.",
                ),
                caveats=(
                    "Validation is without the noise, for all: the loss in training mode, with it, "
                    "is a reading.",
                ),
            )
        )
    return found


# M4
def smoothness(on: Setting, net: str = "MLP 6×128") -> list[Claim]:
    """M4: the landscape along the gradient, early and later."""
    (rate,) = on.rates["landscape"]
    arms = pair("claim_landscape", rate)
    says = (
        "N2 ('uniformly smooth') and N4; Santurkar et al. 2018, figure 4: gradients predict one "
        "to two orders of magnitude better; Yang et al. 2019: at the start BN makes it rougher"
    )
    still = ("val/loss", 0.3)

    def smoother(
        metric: str,
        phase: tuple[float, float],
        while_above: tuple[str, float] | None = None,
        target: Target | None = None,
    ) -> ClaimPart:
        key = f"train@batch/{metric}"
        measure = over_phase(*arms, key, phase, median=True, while_above=while_above)
        interest = WORTH_A_LOOK if target else None
        return ClaimPart(f"{metric.replace('_', ' ')}, {RATIO}", measure, target, "log", interest)

    found = []
    for letter, words, phase, above, when in (
        ("a", "in the first twentieth of a run", EARLY, None, "the first twentieth of the run"),
        (
            "b",
            "later",
            (0.05, 1.0),
            still,
            "what follows, while the validation loss without BN is above 0.3",
        ),
    ):
        found.append(
            Claim(
                id=f"M4{letter}",
                sentence=f"BN makes the loss smoother along the gradient, {words}.",
                says=says,
                experiments=("claim_landscape",),
                protocol=(
                    f"{net}, ReLU, constant rate {rate:g}, {on.budget('landscape')}; "
                    "smoothness is the largest change of the gradient per distance, up to a "
                    f"distance of 0.4 along it; the median over {when}."
                ),
                rule="Lower than without BN.",
                why_statistic=(
                    "Equal absolute distances for both sides: the paper's shrink with the "
                    "gradient. Once the net without BN has fitted its images the change of its "
                    "gradient goes to zero, and a ratio to it says nothing: those points are left "
                    "out."
                ),
                why_bound=SIGN,
                would_change="Another scale of weights, to which a net with BN is blind (E5).",
                parts={
                    "smoothness": smoother("smoothness", phase, above, Below(0.0)),
                    **(
                        {"smoothness, as drawn": smoother("smoothness", (0.0, 0.0))}
                        if letter == "a"
                        else {}
                    ),
                    **{
                        metric.replace("_", " "): smoother(metric, phase, above)
                        for metric in ("predictiveness", "loss_range", "relative_change")
                    },
                },
                traps=(
                    "A gradient's length depends on how weights are scaled (E5): relative change "
                    "as a reading.",
                    "Loss ranges between nets trained at different rates are another quantity, not "
                    "used.",
                    "The largest step must be below what the net without BN survives.",
                ),
                caveats=(GONE,),
            )
        )
    return found


# M5
def other_norms(on: Setting) -> list[Claim]:
    """M5: other normalisers beside BN."""
    arm = arms_of("claim_norms", "norm.name")
    found = []
    for letter, words, norm in (
        ("a", "L1 BN", "l1_batchnorm"),
        ("b", "L∞ BN", "linf_batchnorm"),
        ("c", "Layer Normalization", "layernorm"),
        ("d", "Group Normalization", "groupnorm"),
    ):
        found.append(
            Claim(
                id=f"M5{letter}",
                sentence=f"{words} does as well as BN.",
                says=(
                    "N4 (the variants); Santurkar et al. 2018, section 3.3: L1, L2 and L∞ are "
                    "comparable; Wu & He 2018: ResNet-50 error 23.6 % with BN, 24.1 with Group "
                    "and 25.3 with Layer Normalization"
                ),
                experiments=("claim_norms",),
                protocol=f"MLP 3×100, ReLU, {on.budget('norms')}; {COSINE}, {AT_BEST}.",
                rule=f"Test accuracy less than {AS_GOOD_BY:g} pp below BN's (non-inferiority).",
                why_statistic=f"{END} 'As well' is no worse: to be better is allowed.",
                why_bound=AS_GOOD,
                would_change=LARGER,
                parts={
                    words: more_accurate(arm(norm), arm("batchnorm"), as_good(), words="minus BN"),
                    **(
                        {"no norm": more_accurate(arm("none"), arm("batchnorm"), words="minus BN")}
                        if letter == "a" and on.data == "digits"
                        else {}
                    ),
                },
                caveats=("Where no norm at all does as well too, this says little of norms.",),
            )
        )
    return found


# M6
GROWTH = math.sqrt(math.pi / (math.pi - 1))  # 1.2112, Yang et al. 2019, for BN and ReLU
WIDTHS = (256, 512, 1024)


def grown(
    study_arm: StudyArm, target: Target | None = None, interest: float | None = None
) -> ClaimPart:
    """The factor by which gradients grow from layer to layer."""
    measure = at_start(study_arm, "train@batch/gradient_growth")
    return ClaimPart("factor per layer", measure, target, interest=interest, null=None)


def growth(on: Setting) -> list[Claim]:
    """M6: the growth of gradients, in the limit of wide nets and without BN."""
    says = (
        "N0 (large in high layers, small in low ones: true of sigmoids, reversed for BN); Yang et "
        "al. 2019: growth of sqrt(pi/(pi - 1)) = 1.2112 a layer for wide nets and large batches"
    )

    def net(norm: str, width: int = 512, activation: str = "relu") -> StudyArm:
        widths = str([width] * (15 if activation == "sigmoid" else 40))
        where = {"norm.name": norm, "model.widths": widths, "model.activation": activation}
        return StudyArm("claim_growth", where, None)

    wide = [(1 / width, net("batchnorm", width)) for width in WIDTHS]
    protocol = (
        f"40 layers (15 for sigmoids), {on.budget('growth')}; gradients of the weights for a batch "
        "of 512, first and last five layers left out."
    )
    return [
        Claim(
            id="M6a",
            sentence=(
                "In deep, wide ReLU nets with BN gradients grow towards the input by 1.2112 a "
                "layer."
            ),
            says=says,
            experiments=("claim_growth",),
            protocol=f"{protocol} Widths of 256, 512 and 1024, extrapolated to infinite width.",
            rule="Within 0.01 of 1.2112 (TOST).",
            why_statistic=(
                "The theory is for infinite width: the intercept of a straight line over one over "
                "the width, seed by seed, beside the factor at each width."
            ),
            why_bound="A twentieth of the growth itself.",
            would_change="A factor that does not go to 1.2112 at widths beyond 1024.",
            parts={
                "infinite width": ClaimPart(
                    "factor per layer, extrapolated",
                    intercept(wide, at_first_step("train@batch/gradient_growth")),
                    Between(GROWTH - 0.01, GROWTH + 0.01),
                    null=None,
                ),
                **{f"width {width}": grown(net("batchnorm", width)) for width in WIDTHS},
                "Layer Normalization, width 512": grown(net("layernorm")),
                "no norm, width 512": grown(net("none")),
            },
            traps=("Finite width, and the ends of the net: five layers are dropped at each.",),
        ),
        Claim(
            id="M6b",
            sentence="In nets of sigmoids without BN gradients shrink towards the input.",
            says=says,
            experiments=("claim_growth",),
            protocol=f"{protocol} Width 512.",
            rule="Factor per layer below 1.",
            why_statistic="The factor per layer, as drawn: before training no rate matters.",
            why_bound=SIGN,
            would_change="Weights of another scale: four times Xavier's is made for sigmoids.",
            parts={
                "no norm, sigmoid": grown(
                    net("none", activation="sigmoid"), Below(1.0), interest=0.1
                )
            },
            traps=("Underflow: 15 layers.",),
        ),
    ]


# M8
def kappa_slope(quantities: Mapping[str, float]) -> float:
    """The least-squares slope of ln kappa over ln scale; at 1:1 kappa is all but 1."""
    kappas = {math.log(s): math.log(quantities[f"kappa@{s}"]) for s in (3, 10, 30, 100)}
    return linear_regression(list(kappas), list(kappas.values())).slope


CONDITIONING = Claim(
    id="M8",
    sentence=(
        "Inputs of different scale slow gradient descent down: steps grow as the condition number, "
        "which grows as the square of the scale."
    ),
    says="N2 (x1 in units, x2 in hundreds: why inputs are normalised)",
    experiments=("least_squares",),
    protocol=(
        "Gradient descent on least squares with two features, one scaled by 1 to 100; drawn data, "
        "seeds 0-19. See bnbench/measured/problems."
    ),
    rule=(
        "Slope of ln steps over ln condition number within 1 ± 0.1, and of the latter over ln "
        "scale, from 1:3 on, within 2 ± 0.2 (TOST)."
    ),
    parts={
        "slope": ClaimPart(
            "of ln steps over ln kappa",
            of_problem("least_squares", lambda q: q["slope"]),
            Between(0.9, 1.1),
            interest=0.1,
        ),
        "condition number over scale": ClaimPart(
            "slope of ln kappa over ln scale",
            of_problem("least_squares", kappa_slope),
            Between(1.8, 2.2),
            interest=0.2,
        ),
        "slope, 1:3 to 1:100": ClaimPart(
            "of ln steps over ln kappa", of_problem("least_squares", lambda q: q["slope from 3"])
        ),
        "condition number at 1:100": ClaimPart(
            "kappa", of_problem("least_squares", lambda q: math.log(q["kappa@100"])), scale="log"
        ),
        "steps saved by standardising at 1:100": ClaimPart(
            "steps as it is / standardised",
            of_problem(
                "least_squares", lambda q: math.log(q["steps@100"] / q["steps standardised"])
            ),
            scale="log",
        ),
    },
    caveats=(
        "Adam, which N2 names, rescales each weight: its steps are in measured/least_squares.csv.",
    ),
)


# M9
def regularises(
    on: Setting, net: str = "MLP 3×128", ghosts: Sequence[int] = (8, 32, 128)
) -> list[Claim]:
    """M9: the noise of small statistics, in the gap and in the test accuracy."""
    size = {"digits": 256, "fashion_mnist": 1024, "cifar10": 2048}[on.data]
    (rate,) = on.rates["ghost"]

    def arm(images: int) -> StudyArm:
        if images == size:
            return StudyArm("claim_ghost", {"norm.name": "batchnorm", "batch_size": size}, rate)
        where = {"norm.name": "ghost_batchnorm", "norm.ghost_size": images, "batch_size": size}
        return StudyArm("claim_ghost", where, rate)

    arms = {m: arm(m) for m in (*ghosts, size)}
    says = (
        "N0, N3 and N4; Luo et al. 2019 (strength as 1/m); Hoffer et al. 2017, of ghosts in "
        "large batches"
    )
    protocol = (
        f"{net}, ReLU, {on.budget('ghost')}; {COSINE} from {rate:g}; statistics of "
        f"{', '.join(map(str, ghosts))} or all {size:,} images of a batch."
    )
    trap = (
        "The optimiser's batch and rate are the same everywhere: only the statistics' batch "
        "varies.",
    )
    return [
        Claim(
            id="M9a",
            sentence=(
                "The smaller the batch of BN's statistics, the smaller the gap between training "
                "and test."
            ),
            says=says,
            experiments=("claim_ghost",),
            protocol=protocol,
            rule="Slope of training minus test accuracy over log2 of the statistics' size above 0.",
            why_statistic="A dose and its response: one doubling more or less of the noise.",
            why_bound=SIGN,
            would_change="A gap that closes from the training side alone: see M9b.",
            parts={
                "slope": ClaimPart(
                    "training minus test accuracy (pp), per doubling",
                    slope([(math.log2(m), a) for m, a in arms.items()], generalisation_gap),
                    Above(0.0),
                    interest=0.1,
                ),
                **{f"test accuracy, statistics of {m}": accuracy(a) for m, a in arms.items()},
            },
            traps=trap,
            caveats=("Perceptrons: a convolutional net on CIFAR-10 is the scale of the claim.",),
        ),
        Claim(
            id="M9b",
            sentence="The noise of small statistics raises the test accuracy.",
            says=says,
            experiments=("claim_ghost",),
            protocol=protocol,
            rule=f"Test accuracy with statistics of 32 over 0.5 pp above that with all {size:,}.",
            why_statistic=f"{END} To regularise is to gain in test, not to lose in training.",
            why_bound="Less than half of what ghosts gain Hoffer et al. on CIFAR-10 (1.2 pp).",
            would_change=LARGER,
            parts={
                "statistics of 32": more_accurate(
                    arms[32], arms[size], Above(0.5), words=f"32 minus {size:,}"
                ),
                "statistics of 8": more_accurate(arms[8], arms[size], words=f"8 minus {size:,}"),
            },
            traps=trap,
        ),
    ]
