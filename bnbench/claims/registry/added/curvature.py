"""A10 and A19: eigenvalues of the loss's Hessian, and of the inputs of inner layers.

These claims are additions, and judged in their family (`judge.family_of`). N0 is a note of
docs/myths.md.
"""

from typing import Any

import numpy as np
import pandas as pd

from bnbench.claims.curves import OfRuns, at_first_step, phase_mean
from bnbench.claims.records import Below, Claim, ClaimPart
from bnbench.claims.registry.parts import WORTH_A_LOOK, pair
from bnbench.claims.registry.setting import COSINE, LARGER, SIGN, Setting
from bnbench.claims.statistics import compared, over_phase
from bnbench.claims.study import StudyArm

RATIO = "train@batch/eigenvalue_ratio"
POPULATION_RATIO = "train@batch/population_eigenvalue_ratio"
START, LAST_POINT = (0.0, 0.0), (0.99, 1.0)  # shares of a run, (from, to]; points are 4 % apart
INNER = [f"train@batch/conditioning/{layer}" for layer in ("2", "3", "head")]


def claims(on: Setting) -> list[Claim]:
    """Declare the claims on a data set."""
    return [outliers(on), *conditioning(on)]


# A10
def at_end(key: str) -> OfRuns:
    """Read a curve at its last point."""
    return phase_mean([key], LAST_POINT)


def log_ratio(one: pd.Series, other: pd.Series) -> pd.Series:
    """Compute ln(one / other); not a number where either is negative."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.Series(np.log(one / other), one.index)


def times(
    treatment: StudyArm,
    baseline: StudyArm,
    words: str,
    number: OfRuns,
    other: OfRuns | None = None,
    target: Below | None = None,
) -> ClaimPart:
    """Declare by what factor λ1/λ20 of one arm differs from that of another."""
    measure = compared(treatment, baseline, number, other, compare=log_ratio)
    interest = WORTH_A_LOOK if target else None
    return ClaimPart(f"λ1/λ20, {words}", measure, target, "log", interest)


def outliers(on: Setting) -> Claim:
    """A10: how far the largest eigenvalue lies from the 20th."""
    head: dict[str, Any] = {
        "id": "A10",
        "sentence": (
            "With BN the largest eigenvalues of the loss's Hessian lie less far from the others."
        ),
        "says": (
            "Ghorbani et al. 2019, abstract: without BN large isolated eigenvalues appear rapidly, "
            "in nets with BN they are 'almost absent'; section 4: with population statistics they "
            "are there again"
        ),
        "rule": "λ1/λ20 at the end of training smaller with BN than without.",
    }
    if on.data == "digits":
        return Claim(
            **head,
            experiments=(),
            protocol="MLP 3×100, ReLU, on digits.",
            reason=(
                "At the end the loss on these images is a thousandth, so that the Hessian is that "
                "of a few of them, and the ratio differs threefold from seed to seed. It is judged "
                "on Fashion-MNIST; the experiment runs on digits too."
            ),
        )
    (rate,) = on.rates["curvature"]
    bn, none = pair("claim_curvature", rate)
    return Claim(
        **head,
        experiments=("claim_curvature",),
        protocol=(
            f"MLP 3×100, ReLU, {on.budget('curvature')}; {COSINE} from {rate:g}, which claim C6a "
            "found best for both; the Hessian of the loss on the first 256 training images over "
            "all parameters, by 120 steps of Lanczos' method (the probe `curvature`)."
        ),
        why_statistic=(
            "λ1/λ20, the paper's λ1/λK: how far the largest eigenvalue lies from the bulk, "
            "whatever the scale of the loss. There are as many outliers as classes, or fewer, so "
            "that the 20th is of the bulk. BN normalises by the 256 images, as in training."
        ),
        why_bound=f"{SIGN} How much nearer they are is the estimate.",
        would_change=f"{LARGER} The other sign where both are trained to the same loss.",
        parts={
            "at the end": times(
                bn, none, "with BN / without, at the end", at_end(RATIO), target=Below(0.0)
            ),
            "with running statistics, at the end": times(
                bn,
                none,
                "with BN by running statistics / without, at the end",
                at_end(POPULATION_RATIO),
                at_end(RATIO),
            ),
            "before the first step": times(
                bn, none, "with BN / without, at the start", at_first_step(RATIO)
            ),
            "with running statistics, before the first step": times(
                bn,
                none,
                "with BN by running statistics / without, at the start",
                at_first_step(POPULATION_RATIO),
                at_first_step(RATIO),
            ),
        },
        traps=(
            "An eigenvalue alone has the unit of loss over squared weights, and BN changes both: a "
            "ratio has none.",
            "The rate decides how sharp a net ends: both have the same.",
        ),
        caveats=(
            "Where a net has fitted all images the Hessian is that of a few: on digits the ratio "
            "says little.",
            "At the start running statistics are mean 0 and variance 1: a net without a norm, but "
            "for ε.",
        ),
    )


# A19
def conditioning(on: Setting) -> list[Claim]:
    """A19: how evenly the inputs of inner layers are spread over their directions."""
    slow, fast = on.rates["conditioning"]
    bn, _ = pair("claim_conditioning", fast)
    _, none = pair("claim_conditioning", slow)
    says = (
        "N0: features that are scaled and evenly spread give gradient descent a good direction, "
        "and so do values inside the net; LeCun et al. 1998, Efficient BackProp, section 5.1, of "
        "the second moments of a layer's inputs"
    )
    statistic = (
        "The largest eigenvalue of the second moments of a layer's inputs over the mean of all "
        "(the probe `conditioning`, 1,000 training images), of two inner layers and the head: "
        "1 where all directions are alike, 100 where there is one. For linear layers and a squared "
        "loss it is the largest curvature over the mean."
    )
    bound = (
        "A ratio of 1.2: steps that are a sixth larger or smaller are closer than two rates that "
        "one tries."
    )

    def spread(phase: tuple[float, float], words: str, target: Below | None = None) -> ClaimPart:
        measure = over_phase(bn, none, INNER, phase)
        named = f"largest over mean eigenvalue of the inputs, with BN / without, {words}"
        return ClaimPart(named, measure, target, "log", WORTH_A_LOOK if target else None)

    found = []
    for letter, sentence, part, phase, words, other, why in (
        (
            "a",
            "As nets are drawn, BN spreads the inputs of inner layers more evenly over their "
            "directions.",
            "before the first step",
            START,
            "at the start",
            {"over the run": spread((0.0, 1.0), "over the run")},
            "With many units alike and independent BN and ReLU give 1/2 + (n - 1)/2π over 1/2, "
            "about 33 for n = 100: what a net without it has depends on the mean of the images.",
        ),
        (
            "b",
            "At the end of training the inputs of inner layers are more evenly spread over their "
            "directions with BN.",
            "at the end",
            LAST_POINT,
            "at the end",
            {"before the first step": spread(START, "at the start")},
            "",
        ),
    ):
        found.append(
            Claim(
                id=f"A19{letter}",
                sentence=sentence,
                says=says,
                experiments=("claim_conditioning",),
                protocol=(
                    f"MLP 3×100, ReLU, He, {on.budget('conditioning')}; {COSINE} from {fast:g} "
                    f"with BN and {slow:g} without, which claim C6a found best."
                ),
                rule="More than 1.2 times smaller with BN than without.",
                why_statistic=statistic,
                why_bound=bound,
                would_change=f"{LARGER} The smallest eigenvalues, if no unit were dead.",
                by_construction=why,
                parts={part: spread(phase, words, Below(-WORTH_A_LOOK)), **other},
                traps=(
                    "Dead units make the smallest eigenvalue 0: the mean of all stands below the "
                    "largest in its place.",
                ),
                caveats=(
                    "That a net learns faster by it is another sentence: M8 is of the inputs.",
                    "BN stands before the activation: the inputs of a layer are not centred.",
                ),
            )
        )
    return found
