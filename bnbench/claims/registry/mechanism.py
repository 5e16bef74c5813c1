"""M1 to M9: why does Batch Normalization do what it does?

N0 to N4 are the notes of docs/myths.md. Probes are those of docs/probes.md.
"""

import math
from collections.abc import Mapping
from functools import partial
from statistics import fmean, linear_regression

from bnbench.claims.records import Above, Below, Between, Claim, ClaimPart
from bnbench.claims.registry.convergence import EQUAL
from bnbench.claims.statistics import (
    at_start,
    gap,
    generalisation_gap,
    level,
    of_problem,
    over_phase,
    slope,
    speedup,
    steps_contrast,
)
from bnbench.claims.study import StudyArm

EARLY, MID, LATE = (0.0, 0.05), (0.05, 0.5), (0.5, 1.0)  # shares of a run, (from, to]
PHASES = {"first 5 %": EARLY, "5 to 50 %": MID, "second half": LATE}
RATIO = "with BN / without"
GONE = "Where a net has diverged there is nothing to probe: such a part has no number."
WORTH_A_LOOK = math.log(1.2)  # of ratios whose bound is 1


# M1, M7
def drift_arm(norm: str, rate: float) -> StudyArm:
    """The net of figure 1 with probes."""
    return StudyArm("claim_drift", {"norm.name": norm}, rate)


def by_rate(key: str, phase: tuple[float, float] = (0.0, 1.0)) -> dict[float, ClaimPart]:
    """Log ratios of a probe's mean over the run, at both rates of claim_drift, as readings."""
    return {
        rate: ClaimPart(
            f"{key.split('/')[1].replace('_', ' ')}, {RATIO}",
            over_phase(drift_arm("batchnorm", rate), drift_arm("none", rate), key, phase),
            scale="log",
        )
        for rate in (0.3, 1.0)
    }


def deciding(part: ClaimPart, target: Above | Below, interest: float | None = None) -> ClaimPart:
    """Turn a reading into a part that decides."""
    return ClaimPart(part.statistic, part.measure, target, part.scale, interest)


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
        **{
            f"medians, rate {rate:g}": deciding(part, Below(math.log(0.7)))
            for rate, part in by_rate("train@batch/drift/3").items()
        },
        **{
            f"shape, rate {rate:g}": part
            for rate, part in by_rate("train@batch/drift_shape/3").items()
        },
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
    arms = drift_arm("batchnorm", rate), drift_arm("none", rate)
    measure = over_phase(*arms, f"train@batch/saturation/{layer}", log=False)
    return ClaimPart("share of sigmoids, with BN minus without", measure, target, interest=0.05)


M7 = Claim(
    id="M7",
    sentence="With BN fewer sigmoids are saturated while a net trains.",
    says="N2 and N3; Ioffe & Szegedy 2015, section 1",
    experiments=("claim_drift",),
    protocol="As M1. A sigmoid is saturated where its derivative is below 0.05 (|input| > 2.89).",
    rule="Mean share over the run below that without BN, in the last hidden layer, at both rates.",
    parts={
        **{
            f"last hidden layer, rate {rate:g}": saturated(3, rate, Below(0.0))
            for rate in (0.3, 1.0)
        },
        **{f"first hidden layer, rate {rate:g}": saturated(1, rate) for rate in (0.3, 1.0)},
    },
    traps=("gamma may grow and saturate them again: the probe logs it beside the share.",),
)


# M2
def ics_arm(norm: str, rate: float) -> StudyArm:
    """An arm of claim_ics."""
    return StudyArm("claim_ics", {"norm.name": norm}, rate)


LINEAR_INITS = {"Glorot's weights": "", "torch's default weights": ", default init"}


def linear_gap(quantities: Mapping[str, float], reading: str) -> float:
    """Cosine with BN minus without in the deep linear net, its mean over the phases."""
    phases = [f"{phase}{reading}" for phase in ("early", "mid", "late")]
    return fmean(
        quantities[f"cosine batchnorm {p}"] - quantities[f"cosine none {p}"] for p in phases
    )


def ics_parts(rates: tuple[float, float], hidden_layers: int = 5) -> dict[str, ClaimPart]:
    """The parts of M2 at two rates, in nets of `hidden_layers` hidden layers."""
    layers = range(2, hidden_layers + 1)
    cosines = [f"train@batch/ics_cosine/{layer}" for layer in layers]
    distances = [f"train@batch/ics_relative/{layer}" for layer in layers]
    regimes = [(rate, name) for rate in rates for name in PHASES]
    return {
        **{
            f"cosine, rate {rate:g}, {phase}": ClaimPart(
                "cosine, with BN minus without",
                over_phase(
                    ics_arm("batchnorm", rate),
                    ics_arm("none", rate),
                    cosines,
                    PHASES[phase],
                    log=False,
                ),
                Above(0.0),
                interest=0.05,
            )
            for rate, phase in regimes
        },
        **{
            f"cosine, deep linear net, {words}": ClaimPart(
                "cosine, with BN minus without",
                of_problem("linear_net", partial(linear_gap, reading=reading)),
                Above(0.0),
                interest=0.05,
            )
            for words, reading in LINEAR_INITS.items()
        },
        "cosine, deep linear net, steps of equal length": ClaimPart(
            "cosine, with BN minus without",
            of_problem("linear_net", partial(linear_gap, reading=", equal step")),
        ),
        **{
            f"relative distance, rate {rate:g}, {phase}": ClaimPart(
                f"|G - G'|/|G|, {RATIO}",
                over_phase(
                    ics_arm("batchnorm", rate), ics_arm("none", rate), distances, PHASES[phase]
                ),
                scale="log",
            )
            for rate, phase in regimes
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
def noise_arm(norm: str) -> StudyArm:
    """An arm of claim_noise."""
    return StudyArm("claim_noise", {"norm.name": norm})


FASTER = {
    norm: speedup(noise_arm(norm), noise_arm("none")) for norm in ("batchnorm", "noisy_batchnorm")
}

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
        "what there is to keep": ClaimPart(
            "steps without norm / with BN", FASTER["batchnorm"], Above(0.0), "log", math.log(1.2)
        ),
        "kept beyond one half": ClaimPart(
            "ln speed-up of noisy BN minus half that of BN",
            steps_contrast(
                [
                    (0.5, noise_arm("none")),
                    (0.5, noise_arm("batchnorm")),
                    (-1.0, noise_arm("noisy_batchnorm")),
                ],
                noise_arm("none"),
            ),
            Above(0.0),
            interest=math.log(1.2),
        ),
        "noisy BN": ClaimPart(
            "steps without norm / with noisy BN", FASTER["noisy_batchnorm"], scale="log"
        ),
        "noise alone": ClaimPart(
            "steps without norm / with noise alone",
            speedup(noise_arm("noise"), noise_arm("none")),
            scale="log",
        ),
        "test accuracy, noisy BN minus BN": ClaimPart(
            "test accuracy (pp)", gap(noise_arm("noisy_batchnorm"), noise_arm("batchnorm"))
        ),
        "test accuracy, noise alone minus none": ClaimPart(
            "test accuracy (pp)", gap(noise_arm("noise"), noise_arm("none"))
        ),
    },
    traps=("A share of a benefit that is not there: whether there is one is a part of its own.",),
    caveats=(
        "Each net has its own rate and is evaluated without the noise: rate and noise are not told "
        "apart.",
    ),
)


# M4
AS_DRAWN = "as drawn"  # before the first step


def landscape_arm(norm: str, rate: float) -> StudyArm:
    """An arm of claim_landscape."""
    return StudyArm("claim_landscape", {"norm.name": norm}, rate)


def smoother(metric: str, rate: float, phase: str) -> ClaimPart:
    """The log ratio of a number of the landscape, over a phase."""
    arms = landscape_arm("batchnorm", rate), landscape_arm("none", rate)
    share = (0.0, 0.0) if phase == AS_DRAWN else PHASES[phase]
    measure = over_phase(*arms, f"train@batch/{metric}", share, median=True)
    return ClaimPart(f"{metric.replace('_', ' ')}, {RATIO}", measure, scale="log")


def landscape_parts(rate: float, larger: float) -> dict[str, ClaimPart]:
    """The parts of M4; the deciding ones are at `rate`."""
    return {
        **{
            f"smoothness, {phase}": deciding(
                smoother("smoothness", rate, phase), Below(0.0), WORTH_A_LOOK
            )
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
def norm_arm(norm: str) -> StudyArm:
    """An arm of claim_norms."""
    return StudyArm("claim_norms", {"norm.name": norm})


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
            words: ClaimPart(
                "test accuracy (pp), minus BN", gap(norm_arm(norm), norm_arm("batchnorm")), EQUAL
            )
            for words, norm in OTHERS.items()
        },
        "no norm": ClaimPart(
            "test accuracy (pp), minus BN", gap(norm_arm("none"), norm_arm("batchnorm"))
        ),
    },
    caveats=("Where no norm at all does as well too, this says little of norms: see the reading.",),
)


# M6
def growth_arm(norm: str, activation: str, batch_size: int = 128) -> StudyArm:
    """An arm of claim_growth."""
    where = {"norm.name": norm, "model.activation": activation, "batch_size": batch_size}
    return StudyArm("claim_growth", where, None)


GROWTH = math.sqrt(math.pi / (math.pi - 1))  # 1.2112, Yang et al. 2019, for BN and ReLU
THEORY = Between(GROWTH - 0.02, GROWTH + 0.02)
KEY = "train@batch/gradient_growth"

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
            f"BN, ReLU, batch {m}": ClaimPart(
                "factor per layer", at_start(growth_arm("batchnorm", "relu", m), KEY), THEORY
            )
            for m in (128, 512, 1024)
        },
        "no norm, sigmoid": ClaimPart(
            "factor per layer",
            at_start(growth_arm("none", "sigmoid"), KEY),
            Below(1.0),
            interest=0.1,
        ),
        **{
            f"BN, ReLU, batch {m}": ClaimPart(
                "factor per layer", at_start(growth_arm("batchnorm", "relu", m), KEY)
            )
            for m in (8, 32)
        },
        **{
            f"{words}, batch 128": ClaimPart(
                "factor per layer", at_start(growth_arm(norm, activation), KEY)
            )
            for words, norm, activation in (
                ("BN, sigmoid", "batchnorm", "sigmoid"),
                ("BN, tanh", "batchnorm", "tanh"),
                ("Layer Normalization, ReLU", "layernorm", "relu"),
                ("no norm, ReLU", "none", "relu"),
            )
        },
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
    scales = (3, 10, 30, 100)
    return linear_regression(
        [math.log(scale) for scale in scales],
        [math.log(quantities[f"kappa@{scale}"]) for scale in scales],
    ).slope


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
        **{
            f"test accuracy, statistics of {m}": ClaimPart("test accuracy (%)", level(arm))
            for m, arm in arms.items()
        },
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
