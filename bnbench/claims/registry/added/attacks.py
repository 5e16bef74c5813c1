"""A5 and A8: what is left of a net's accuracy under attack, and without some of its units.

These claims are additions, as those of `practice` are. N3 is a note of docs/myths.md.
"""

from dataclasses import replace

import pandas as pd

from bnbench.claims.curves import POINTS, OfRuns, phase_mean
from bnbench.claims.records import Above, Below, Claim, ClaimPart, Target
from bnbench.claims.registry.parts import more_accurate, pair
from bnbench.claims.registry.setting import AT_BEST, COSINE, LARGER, SIGN, Setting
from bnbench.claims.statistics import compared, of_runs
from bnbench.claims.study import Study, StudyArm

AT_END = (0.99, 1.0)  # the last evaluation alone, where these probes measure
UNATTACKED, UNABLATED = "test/unattacked", "test/unablated"
IN_PIXELS = {"1": "0.01", "3": "0.03", "10": "0.1"}  # in percent: in the unit of pixels
DOUBLE_DIGITS = -10.0  # points
IMAGES = "the first 500 test images, on digits all 360"


def claims(on: Setting) -> list[Claim]:
    """Declare the claims on a data set."""
    return [
        attacked(on, "a", "fgsm", "FGSM", "one step"),
        attacked(on, "b", "pgd", "PGD", "ten steps"),
        without_units(on),
    ]


def share_left(key: str, whole: str) -> OfRuns:
    """Read what share of an accuracy at the end of a run another one is, in %."""

    def number(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        left, all_of_it = (phase_mean([name], AT_END) for name in (key, whole))
        return POINTS * left(study, arm, runs) / all_of_it(study, arm, runs)

    return number


def keeps_more(
    key: str, whole: str, words: str, target: Target | None = None, interest: float | None = None
) -> ClaimPart:
    """Declare the share of its accuracy that a net keeps, BN minus none, in pp."""
    return ClaimPart(
        f"share of the accuracy kept (pp), {words}, BN minus none",
        compared(*pair("claim_attacks"), share_left(key, whole)),
        target,
        interest=interest,
    )


def level_of(norm: int, key: str, whole: str, words: str) -> ClaimPart:
    """Declare the share of its accuracy that one of the nets keeps, in %."""
    arm = pair("claim_attacks")[norm]
    statistic = f"share of the accuracy kept (%), {words}"
    return ClaimPart(statistic, of_runs(arm, share_left(key, whole)), null=None)


# A5
def attacked(on: Setting, letter: str, attack: str, name: str, steps: str) -> Claim:
    """A5a and A5b: images that are changed to deceive a net."""
    size = on.attack
    told = IN_PIXELS[size]
    return Claim(
        id=f"A5{letter}",
        sentence=f"With BN a net keeps less of its accuracy under {name}, by ten points or more.",
        says=(
            "Galloway et al. 2019, 1905.02161, abstract: BN 'reduces robustness to small "
            "adversarial input perturbations and noise by double-digit percentages', on five data "
            "sets"
        ),
        experiments=("claim_attacks",),
        protocol=(
            f"MLP 3×100, ReLU, {on.budget('attacks')}; {COSINE}, {AT_BEST}. {name}, {steps}, "
            f"within {told} of each pixel's value in [0, 1], at the end of the run, on {IMAGES}."
        ),
        rule="Share of the accuracy that is kept, lower by more than 10 pp.",
        why_statistic=(
            "Of the images that a net recognises the share that it still recognises attacked: what "
            "an attack takes away, whatever the accuracy. The net is in evaluation mode, as one "
            "that is attacked is, with running statistics."
        ),
        why_bound="Ten points is where two digits begin.",
        would_change=LARGER,
        parts={
            f"{name} within {told}": keeps_more(
                f"test/{attack}_{size}",
                UNATTACKED,
                f"{name} within {told}",
                Below(DOUBLE_DIGITS),
                interest=5.0,
            ),
            **{
                f"{name} within {other}": keeps_more(
                    f"test/{attack}_{percent}", UNATTACKED, f"{name} within {other}"
                )
                for percent, other in IN_PIXELS.items()
                if percent != size
            },
            **{
                f"kept within {told}, {words}": level_of(
                    place, f"test/{attack}_{size}", UNATTACKED, words
                )
                for place, words in enumerate(("with BN", "without"))
            },
            "accuracy without an attack": more_accurate(
                *pair("claim_attacks"), words="BN minus none"
            ),
        },
        traps=(
            "A net that recognises more has more to lose: shares are of what it recognises, and "
            "the accuracies stand beside.",
            "A net that is sure of itself has gradients that are rounded to zero, and passes for "
            "robust: the attack ascends the log odds, which have none of this.",
            "An attack too small or too large shows nothing: its size is that at which a net "
            f"without BN kept half to two thirds, {told}, in a first look on seeds 0 to 3.",
        ),
        caveats=(
            "Nobody trained these nets to withstand attacks, and a stronger attack leaves less.",
            "Perceptrons alone: Galloway et al. have convolutional nets.",
        ),
    )


# A8
def without_units(on: Setting) -> Claim:
    """A8: nets without some of their units."""
    curve = "area under the ablation curve"
    zero, mean = "test/ablation_area", "test/ablation_area_mean"
    decides = keeps_more(zero, UNABLATED, curve, Above(0.0), interest=5.0)
    at_means = keeps_more(mean, UNABLATED, f"{curve} at means", Above(0.0), interest=5.0)
    return Claim(
        id="A8",
        sentence="With BN a net keeps more of its accuracy as units are taken away.",
        says=(
            "N3 (no later unit relies too much on a single one); Morcos et al. 2018, 1803.06959, "
            "section 3.3: BN 'implicitly discourages single direction reliance'"
        ),
        experiments=("claim_attacks",),
        protocol=(
            f"MLP 3×100, ReLU, {on.budget('attacks')}; {COSINE}, {AT_BEST}. At the end of the run "
            "outputs of activation functions are held at 0, a tenth of all units more at a time, "
            f"in five random orders, on {IMAGES}."
        ),
        rule="Share of the accuracy that is kept, on average over the share of units, higher.",
        why_statistic=(
            "The area under the ablation curve, accuracy against the share of units that are held "
            "at 0, over the accuracy of the whole net: so nets of one accuracy are compared."
        ),
        why_bound=SIGN,
        would_change=LARGER,
        parts={
            curve: replace(decides, choices={"held at means": at_means}),
            "units at their means": keeps_more(mean, UNABLATED, f"{curve} at means"),
            "worst single unit": ClaimPart(
                "share of the accuracy lost by the worst single unit (pp), BN minus none",
                compared(*pair("claim_attacks"), share_left("test/single_loss", UNABLATED)),
            ),
            **{
                f"{curve}, {words}": level_of(place, zero, UNABLATED, words)
                for place, words in enumerate(("with BN", "without"))
            },
            "accuracy of the whole net": more_accurate(
                *pair("claim_attacks"), words="BN minus none"
            ),
        },
        traps=(
            "Zero is far from what a unit without BN has on most images, and may be near with BN: "
            "units at their means stand beside, and are another choice.",
            "The order is luck: five, the same for both nets of a seed.",
        ),
        caveats=(
            "That a net stands the loss of units does not say that none matters: see the worst "
            "single unit.",
        ),
    )
