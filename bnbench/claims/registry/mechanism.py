"""M1 to M9: why does Batch Normalization do what it does?

N0 to N4 are the notes of docs/myths.md. Probes are those of docs/probes.md.
"""

import math
from collections.abc import Mapping
from statistics import fmean, linear_regression

from bnbench.claims.records import Above, Below, Between, Claim, ClaimPart, Measure, Target
from bnbench.claims.registry.parts import EQUAL, accuracy, arms_of, faster, more_accurate, pair
from bnbench.claims.statistics import (
    at_start,
    generalisation_gap,
    of_problem,
    over_phase,
    slope,
    steps_contrast,
)
from bnbench.claims.study import StudyArm

EARLY, MID, LATE = (0.0, 0.05), (0.05, 0.5), (0.5, 1.0)  # shares of a run, (from, to]
PHASES = {"first 5 %": EARLY, "5 to 50 %": MID, "second half": LATE}
RATIO = "with BN / without"
DRIFT_RATES = (0.3, 1.0)
GONE = "Where a net has diverged there is nothing to probe: such a part has no number."
WORTH_A_LOOK = math.log(1.2)  # of ratios whose bound is 1


# M1, M7
def drift(probe: str, rate: float, target: Below | None = None) -> ClaimPart:
    """The log ratio of a probe's mean over the run, in the net of figure 1 with probes."""
    measure = over_phase(*pair("claim_drift", rate), f"train@batch/{probe}/3")
    return ClaimPart(f"{probe.replace('_', ' ')}, {RATIO}", measure, target, "log")


M1 = Claim(
    id="M1",
    sentence="With BN the distributions of a net's inner inputs drift less while it trains.",
    says=(
        "N0, N1, N3 and N4 ('reduces internal covariate shift'); Ioffe & Szegedy 2015, figure 1b "
        "and c: percentiles of one typical unit, by eye"
    ),
    experiments=("claim_drift",),
    protocol=(
        "The net of C1 at rates 0.3 and 1, 1,000 steps of 60; inputs of the last hidden sigmoids "
        "for 1,000 fixed training images, in training mode for both sides, all 100 units; seeds "
        "0-9."
    ),
    rule=(
        "Drift of the medians in units of the spread, below 0.7 of that without BN, at both rates."
    ),
    parts={
        **{f"medians, rate {r:g}": drift("drift", r, Below(math.log(0.7))) for r in DRIFT_RATES},
        **{f"shape, rate {r:g}": drift("drift_shape", r) for r in DRIFT_RATES},
    },
    traps=(
        "Absolute drift is settled by BN's scale: divided by the spread.",
        "Mean and variance are fixed by construction: the shape (Kolmogorov-Smirnov distance after "
        "standardising) as a reading.",
        "Batch statistics in one arm and running ones in the other: both in training mode.",
    ),
    caveats=(
        "BN sets the mean and spread of these inputs, up to beta and gamma: see the shape.",
        "This is one reading of 'internal covariate shift', M2 the other.",
        "At one rate nets with BN also learn faster, so they may drift more early and less late.",
    ),
)


def saturated(layer: int, rate: float, target: Below | None = None) -> ClaimPart:
    """The difference of saturated shares, over the run."""
    key = f"train@batch/saturation/{layer}"
    measure = over_phase(*pair("claim_drift", rate), key, log=False)
    return ClaimPart("share of sigmoids, with BN minus without", measure, target, interest=0.05)


M7 = Claim(
    id="M7",
    sentence="With BN fewer sigmoids are saturated while a net trains.",
    says="N2 and N3; Ioffe & Szegedy 2015, section 1",
    experiments=("claim_drift",),
    protocol="As M1. A sigmoid is saturated where its derivative is below 0.05 (|input| > 2.89).",
    rule="Mean share over the run below that without BN, in the last hidden layer, at both rates.",
    parts={
        **{f"last hidden layer, rate {r:g}": saturated(3, r, Below(0.0)) for r in DRIFT_RATES},
        **{f"first hidden layer, rate {r:g}": saturated(1, r) for r in DRIFT_RATES},
    },
    traps=("gamma may grow and saturate them again: the probe logs it beside the share.",),
)


# M2
LINEAR_INITS = {"Glorot's weights": "", "torch's default weights": ", default init"}


def linear_gap(reading: str) -> Measure:
    """Cosine with BN minus without in the deep linear net, its mean over the phases."""
    phases = [f"{phase}{reading}" for phase in ("early", "mid", "late")]
    return of_problem(
        "linear_net",
        lambda q: fmean(q[f"cosine batchnorm {p}"] - q[f"cosine none {p}"] for p in phases),
    )


def ics_parts(rates: tuple[float, float], hidden_layers: int = 5) -> dict[str, ClaimPart]:
    """The parts of M2 at two rates, in nets of `hidden_layers` hidden layers."""
    layers = range(2, hidden_layers + 1)
    cosines = [f"train@batch/ics_cosine/{layer}" for layer in layers]
    distances = [f"train@batch/ics_relative/{layer}" for layer in layers]
    regimes = {
        f"rate {rate:g}, {name}": (pair("claim_ics", rate), phase)
        for rate in rates
        for name, phase in PHASES.items()
    }
    gaps = {
        **{
            regime: over_phase(*arms, cosines, phase, log=False)
            for regime, (arms, phase) in regimes.items()
        },
        **{f"deep linear net, {words}": linear_gap(key) for words, key in LINEAR_INITS.items()},
    }
    statistic = "cosine, with BN minus without"
    return {
        **{
            f"cosine, {name}": ClaimPart(statistic, measure, Above(0.0), interest=0.05)
            for name, measure in gaps.items()
        },
        "cosine, deep linear net, steps of equal length": ClaimPart(
            statistic, linear_gap(", equal step")
        ),
        **{
            f"relative distance, {regime}": ClaimPart(
                f"|G - G'|/|G|, {RATIO}", over_phase(*arms, distances, phase), scale="log"
            )
            for regime, (arms, phase) in regimes.items()
        },
    }


M2 = Claim(
    id="M2",
    sentence="With BN the gradient of a layer changes less when the layers below it move.",
    says=(
        "N0, N1, N3 and N4 read as Santurkar et al. 2018, Def. 2.1; they find the contrary: "
        "'similar, or even worse' in a VGG, and in deep linear nets BN's gradients 'almost "
        "uncorrelated'"
    ),
    experiments=("claim_ics", "linear_net"),
    protocol=(
        "MLP 5×128, ReLU, at rates 0.1 and 0.3, 320 steps of 64, seeds 0-9; their deep linear net "
        "of 25 layers, from two scales of first weights, since they name none."
    ),
    rule=(
        "Cosine of the two gradients higher with BN, in every regime: two rates in three phases, "
        "and the deep linear net from both first weights."
    ),
    parts=ics_parts((0.1, 0.3)),
    traps=(
        (
            "The step that the lower layers take is undone bit for bit, and running statistics "
            "stand still."
        ),
        "The rate decides how far they move: matched, at two rates.",
    ),
    caveats=("Santurkar et al. test a VGG on CIFAR-10, 15,000 steps.", GONE),
)


# M3
M3_NONE, M3_BN, M3_NOISY, M3_NOISE = map(
    arms_of("claim_noise", "norm.name"), ("none", "batchnorm", "noisy_batchnorm", "noise")
)

M3 = Claim(
    id="M3",
    sentence="BN keeps at least half of its benefit when noise shifts the distributions behind it.",
    says=(
        "Santurkar et al. 2018, section 2.1 and Alg. 1: noisy BN trains almost as fast as BN; the "
        "noise alone 'prevents it from training entirely'"
    ),
    experiments=("claim_noise",),
    protocol=(
        "MLP 4×128, ReLU, 320 steps of 64, four arms, each at the best of at least six rates on "
        "seeds 100-102; seeds 0-9."
    ),
    rule=(
        "BN is faster than no norm at all, and noisy BN keeps more than half of the logarithm of "
        "that speed-up."
    ),
    parts={
        "what there is to keep": faster(
            M3_BN,
            M3_NONE,
            Above(0.0),
            statistic="steps without norm / with BN",
            interest=WORTH_A_LOOK,
        ),
        "kept beyond one half": ClaimPart(
            "ln speed-up of noisy BN minus half that of BN",
            steps_contrast([(0.5, M3_NONE), (0.5, M3_BN), (-1.0, M3_NOISY)], M3_NONE),
            Above(0.0),
            interest=WORTH_A_LOOK,
        ),
        "noisy BN": faster(M3_NOISY, M3_NONE, statistic="steps without norm / with noisy BN"),
        "noise alone": faster(M3_NOISE, M3_NONE, statistic="steps without norm / with noise alone"),
        "test accuracy, noisy BN minus BN": more_accurate(M3_NOISY, M3_BN),
        "test accuracy, noise alone minus none": more_accurate(M3_NOISE, M3_NONE),
    },
    traps=("A share of a benefit that is not there: whether there is one is a part of its own.",),
    caveats=(
        "Each net has its own rate and is evaluated without the noise: rate and noise are not told "
        "apart.",
    ),
)


# M4
AS_DRAWN = "as drawn"  # before the first step


def smoother(metric: str, rate: float, phase: str, target: Below | None = None) -> ClaimPart:
    """The log ratio of a number of the landscape, over a phase."""
    share = (0.0, 0.0) if phase == AS_DRAWN else PHASES[phase]
    key = f"train@batch/{metric}"
    measure = over_phase(*pair("claim_landscape", rate), key, share, median=True)
    interest = WORTH_A_LOOK if target else None
    return ClaimPart(f"{metric.replace('_', ' ')}, {RATIO}", measure, target, "log", interest)


def landscape_parts(rate: float, larger: float) -> dict[str, ClaimPart]:
    """The parts of M4; the deciding ones are at `rate`."""
    return {
        **{
            f"smoothness, {phase}": smoother("smoothness", rate, phase, Below(0.0))
            for phase in PHASES
        },
        "smoothness, as drawn": smoother("smoothness", rate, AS_DRAWN),
        **{
            f"{metric.replace('_', ' ')}, {phase}": smoother(metric, rate, phase)
            for metric in ("predictiveness", "loss_range", "relative_change")
            for phase in PHASES
        },
        **{
            f"smoothness, rate {larger:g}, {phase}": smoother("smoothness", larger, phase)
            for phase in PHASES
        },
    }


M4 = Claim(
    id="M4",
    sentence="BN makes the loss smoother along the gradient, early and late.",
    says=(
        "N2 ('uniformly smooth') and N4; Santurkar et al. 2018, figure 4: gradients predict one "
        "to two orders of magnitude better; Yang et al. 2019: at the start BN makes it rougher"
    ),
    experiments=("claim_landscape",),
    protocol=(
        "MLP 6×128, ReLU, at rates 0.05 and 0.1, 400 steps of 64; smoothness is the largest "
        "change of the gradient per distance, up to a distance of 0.4 along it; seeds 0-9."
    ),
    rule=(
        "Median over the points of a phase below that without BN, in each of three phases, at "
        "rate 0.05."
    ),
    parts=landscape_parts(0.05, 0.1),
    traps=(
        (
            "Distances that shrink with the gradient: equal absolute ones for both sides; the "
            "paper's, which do, as readings."
        ),
        "A gradient's length depends on how weights are scaled (E5): relative change as a reading.",
        "Loss ranges between nets trained at different rates are another quantity, not used.",
        (
            "The largest step must be below what the net without BN survives: the rule was first "
            "written for rate 0.1, at which a pilot saw 6 of 10 such nets diverge."
        ),
    ),
    caveats=(
        "Distances are of the weights, to whose scale a net with BN is blind: see E5.",
        "Where the net without BN has fitted its data the change of its gradient goes to zero, and "
        "a ratio to it says nothing.",
        GONE,
    ),
)


# M5
norm_arm = arms_of("claim_norms", "norm.name")
OTHERS = {
    "L1 BN": "l1_batchnorm",
    "L∞ BN": "linf_batchnorm",
    "Layer Normalization": "layernorm",
    "Group Normalization": "groupnorm",
}

M5 = Claim(
    id="M5",
    sentence="Other normalisers do as well as BN.",
    says="N4 (the variants); Santurkar et al. 2018, section 3.3: L1, L2 and L∞ are comparable",
    experiments=("claim_norms",),
    protocol=(
        "MLP 3×100, ReLU, 320 steps of 64, each at the best of at least six rates on seeds "
        "100-102; seeds 0-19."
    ),
    rule="Within ±1 pp of BN's test accuracy (TOST), each of the four.",
    parts={
        **{
            words: more_accurate(norm_arm(norm), norm_arm("batchnorm"), EQUAL, words="minus BN")
            for words, norm in OTHERS.items()
        },
        "no norm": more_accurate(norm_arm("none"), norm_arm("batchnorm"), words="minus BN"),
    },
    caveats=("Where no norm at all does as well too, this says little of norms: see the reading.",),
)


# M6
def growth(
    norm: str,
    activation: str,
    batch_size: int = 128,
    target: Target | None = None,
    interest: float | None = None,
) -> ClaimPart:
    """The factor by which gradients grow from layer to layer in a net of claim_growth."""
    where = {"norm.name": norm, "model.activation": activation, "batch_size": batch_size}
    measure = at_start(StudyArm("claim_growth", where, None), "train@batch/gradient_growth")
    return ClaimPart("factor per layer", measure, target, interest=interest, null=None)


GROWTH = math.sqrt(math.pi / (math.pi - 1))  # 1.2112, Yang et al. 2019, for BN and ReLU
THEORY = Between(GROWTH - 0.02, GROWTH + 0.02)

M6 = Claim(
    id="M6",
    sentence=(
        "In deep ReLU nets with BN gradients grow towards the input, by 1.2112 a layer; in nets of "
        "sigmoids without it they shrink."
    ),
    says=(
        "N0 (large in high layers, small in low ones: true of sigmoids, reversed for BN); Yang et "
        "al. 2019: growth of sqrt(pi/(pi - 1)) = 1.2112 a layer for wide nets and large batches"
    ),
    experiments=("claim_growth",),
    protocol=(
        "40 layers of 512 (15 for sigmoids without norm), as drawn; gradients of the weights, "
        "first and last five layers left out; batches of 8 to 1024 digits; seeds 0-9."
    ),
    rule="Within 0.02 of 1.2112 at batches of 128, 512 and 1024 (TOST); sigmoids below 1.",
    parts={
        **{
            f"BN, ReLU, batch {m}": growth("batchnorm", "relu", m, THEORY) for m in (128, 512, 1024)
        },
        "no norm, sigmoid": growth("none", "sigmoid", target=Below(1.0), interest=0.1),
        "BN, ReLU, batch 8": growth("batchnorm", "relu", 8),
        "BN, ReLU, batch 32": growth("batchnorm", "relu", 32),
        "BN, sigmoid, batch 128": growth("batchnorm", "sigmoid"),
        "BN, tanh, batch 128": growth("batchnorm", "tanh"),
        "Layer Normalization, ReLU, batch 128": growth("layernorm", "relu"),
        "no norm, ReLU, batch 128": growth("none", "relu"),
    },
    traps=(
        "Finite width, and the ends of the net: 512 units, five layers dropped at each end.",
        "Underflow: 15 layers for sigmoids without norm.",
    ),
    caveats=(
        "TOST at 0.025, since one part is of a difference.",
        "Within 0.02, at width 512: the number of the theory is for infinite width.",
    ),
)


def kappa_slope(quantities: Mapping[str, float]) -> float:
    """The least-squares slope of ln kappa over ln scale; at 1:1 kappa is all but 1."""
    kappas = {math.log(s): math.log(quantities[f"kappa@{s}"]) for s in (3, 10, 30, 100)}
    return linear_regression(list(kappas), list(kappas.values())).slope


M8 = Claim(
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
def ghost_arm(size: int, batch_size: int, rate: float) -> StudyArm:
    """An arm of claim_ghost at one rate, its statistics of `size` of the images in a batch."""
    if size == batch_size:
        return StudyArm("claim_ghost", {"norm.name": "batchnorm", "batch_size": batch_size}, rate)
    where = {"norm.name": "ghost_batchnorm", "norm.ghost_size": size, "batch_size": batch_size}
    return StudyArm("claim_ghost", where, rate)


def ghost_parts(
    batch_size: int, rate: float, ghosts: tuple[int, ...] = (8, 32, 128)
) -> dict[str, ClaimPart]:
    """The parts of M9 in batches of `batch_size`, with ghosts of some sizes."""
    arms = {m: ghost_arm(m, batch_size, rate) for m in (*ghosts, batch_size)}
    return {
        "slope": ClaimPart(
            "training minus test accuracy (pp), per doubling",
            slope([(math.log2(m), arm) for m, arm in arms.items()], generalisation_gap),
            Above(0.0),
            interest=0.2,
        ),
        **{f"test accuracy, statistics of {m}": accuracy(arm) for m, arm in arms.items()},
    }


M9 = Claim(
    id="M9",
    sentence="The noise of batch statistics regularises: the smaller their batch, the smaller the "
    "gap between training and test.",
    says=(
        "N0, N3 and N4; Luo et al. 2019 (strength as 1/m); Hoffer et al. 2017, of ghosts in "
        "large batches"
    ),
    experiments=("claim_ghost",),
    protocol=(
        "MLP 3×128, ReLU, batches of 256 at rate 0.1 for 40 epochs, statistics of 8, 32, 128 or "
        "256 images; seeds 0-9."
    ),
    rule="Slope of training minus test accuracy over log2 of the statistics' batch above 0.",
    parts=ghost_parts(256, 0.1),
    traps=(
        (
            "The optimiser's batch and rate are the same everywhere: only the statistics' batch "
            "varies."
        ),
    ),
    caveats=("Low power on digits: a convolutional net on CIFAR-10 is the scale of the claim.",),
)

MECHANISM: dict[str, Claim] = {claim.id: claim for claim in (M1, M2, M3, M4, M5, M6, M7, M8, M9)}
