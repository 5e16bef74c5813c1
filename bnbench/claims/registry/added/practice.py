"""A1, A2, A6 and A7: initial weights, Adam, dropout and averaged weights.

These claims are additions: they were declared when the others had been judged, and are a family of
their own in the adjustment of p-values (`judge.family_of`). N2 and N4 are notes of docs/myths.md.
"""

import math
from dataclasses import replace

from bnbench.analysis.stats import ACCURACY, PRECISE
from bnbench.claims.records import Above, Below, Claim, ClaimPart, Measure
from bnbench.claims.registry.parts import accuracy, arms_of, learns_faster, more_accurate
from bnbench.claims.registry.setting import (
    AREA,
    AT_BEST,
    COSINE,
    GAPS,
    LARGER,
    OTHER_RATES,
    POINT,
    SIGN,
    Setting,
)
from bnbench.claims.stability import decades_near_best
from bnbench.claims.statistics import area_contrast, gap, over_phase
from bnbench.claims.study import StudyArm

NEAR = 3.0  # pp below the best: worse trained by any standard, and more than seeds differ by
FAST = 1.0  # a constant rate at which weights go on moving


def claims(on: Setting) -> list[Claim]:
    """Declare the claims on a data set."""
    return [*initial_weights(on), adaptive_steps(on), *dropout(on), *averaged_weights(on)]


# A1
def initial_weights(on: Setting) -> list[Claim]:
    """A1: the scale of the initial weights."""
    found = []
    for letter, words, model, scheme, scales in (
        ("a", "ReLU", "mlp", "He", (0.1, 0.3, 1.0, 3.0, 10.0)),
        ("b", "sigmoids", "sigmoid_mlp", "Xavier", (0.1, 1.0, 10.0)),
    ):
        *first, last = map("{:g}".format, scales)
        arm = arms_of("claim_init", "model.name", "norm.name", "model.init_scale")
        bn, none = (
            {scale: arm(model, norm, scale) for scale in scales} for norm in ("batchnorm", "none")
        )
        wider = ClaimPart(
            "decades of scale, with BN minus without", decades_near_best(bn, none, NEAR), Above(0.5)
        )
        nearer = replace(wider, measure=decades_near_best(bn, none, 1.0))
        found.append(
            Claim(
                id=f"A1{letter}",
                sentence=(
                    f"With BN a net of {words} takes its initial weights from a wider range of "
                    "scales."
                ),
                says=(
                    "N4; Ioffe & Szegedy 2015, abstract and section 3.3: less careful about "
                    "initialisation, since BN(aWu) = BN(Wu) for a scalar a"
                ),
                experiments=("claim_init",),
                protocol=(
                    f"MLP 3×100 of {words}, {scheme}'s weights times {', '.join(first)} and "
                    f"{last}, the head's too, {on.budget('init')}; {COSINE}, {AT_BEST}."
                ),
                rule="Decades of scale within 3 pp of the best: more than half a decade wider.",
                why_statistic=(
                    "The decades of scale at which a seed's test accuracy, the mean of the last "
                    "five evaluations, is within 3 pp of the best of that seed and norm, joined by "
                    "straight lines: what is not lost by a careless draw. Nearer than that the "
                    "luckiest scale of a seed would be the measure; 1 pp is another choice."
                ),
                why_bound="Half a decade, 3 times, is the distance of two scales that one tries.",
                would_change=(
                    "Scales beyond 0.1 and 10, where BN has limits too, or a net without norm at "
                    "rates that are found for each layer."
                ),
                by_construction=(
                    "The first output of every BN is the same at every scale, but for eps; its "
                    "gradients, and the scale of the head, are not."
                ),
                parts={
                    words: replace(wider, choices={"tolerance 1 pp": nearer}),
                    **{
                        f"{words}, cost of weights ×{scale:g} {told}": more_accurate(
                            arms[scale], arms[1.0], words=f"×{scale:g} minus ×1, {told}"
                        )
                        for told, arms in (("with BN", bn), ("without", none))
                        for scale in scales
                        if scale != 1
                    },
                },
                traps=(
                    "One rate for all scales: with BN the steps count relative to the weights, so "
                    "a scale is a rate; each arm has its own.",
                    "Rates that end too early: the grid goes on where its end is the best.",
                ),
                caveats=(
                    "Two decades at most can be found: that is what is tried.",
                    "Of scale alone: weights that are all alike do not train with BN either.",
                ),
            )
        )
    return found


# A2
def adaptive_steps(on: Setting) -> Claim:
    """A2: what BN gains under Adam."""
    arm = arms_of("claim_adam", "model.name", "optim.name", "norm.name")

    def gains(model: str) -> tuple[dict[str, tuple[StudyArm, StudyArm]], Measure]:
        """The pairs of arms under each optimiser, and the gain under Adam minus half the other."""
        pairs = {
            words: (arm(model, name, "batchnorm"), arm(model, name, "none"))
            for name, words in (("sgd", "SGD"), ("adam", "Adam"))
        }
        weights = (1.0, -1.0, -0.5, 0.5)
        terms = zip(weights, (*pairs["Adam"], *pairs["SGD"]), strict=True)
        return pairs, area_contrast(list(terms))

    halved = "mean accuracy over the run (pp), gain under Adam minus half that under SGD"
    pairs, beyond_half = gains("sigmoid_mlp")
    relu, relu_beyond_half = gains("mlp")
    return Claim(
        id="A2",
        sentence=(
            "Under Adam a net of sigmoids gains less than half of the speed by BN that it gains "
            "under SGD."
        ),
        says=(
            "N2 (Adam as the other remedy for gradients of different size); van Laarhoven 2017, "
            "1706.05350: Adam, like BN, takes the scale of gradients away"
        ),
        experiments=("claim_adam",),
        protocol=(
            f"MLP 3×100 of sigmoids, SGD with momentum 0.9 and Adam, {on.budget('adam')}; "
            f"{COSINE}, {AT_BEST}, best by the mean validation accuracy over the run."
        ),
        rule=(
            "BN raises the mean validation accuracy over the run under SGD, and under Adam by less "
            "than half as much."
        ),
        why_statistic=f"{AREA} {GAPS} Half the gain is taken off seed by seed.",
        why_bound="Half: most of what BN gains is then gained by Adam too.",
        would_change=OTHER_RATES,
        parts={
            "gain under SGD": learns_faster(
                *pairs["SGD"], Above(0.0), interest=1.0, words="BN minus none, SGD"
            ),
            "gain under Adam beyond half of that": ClaimPart(
                halved, beyond_half, Below(0.0), interest=1.0
            ),
            "gain under Adam": learns_faster(*pairs["Adam"], words="BN minus none, Adam"),
            **{
                f"gain in test accuracy under {words}": more_accurate(
                    *one, words=f"BN minus none, {words}"
                )
                for words, one in pairs.items()
            },
            **{
                f"ReLU, gain under {words}": learns_faster(*one, words=f"BN minus none, {words}")
                for words, one in relu.items()
            },
            "ReLU, gain under Adam beyond half of that": ClaimPart(halved, relu_beyond_half),
        },
        traps=(
            "A half of a gain that is not there: whether there is one is a part.",
            "A rate that suits one optimiser: each net has its own under each.",
        ),
        caveats=(
            "A net of ReLU gains so little that half of it takes over a hundred seeds to tell: it "
            "is a reading.",
            "Adam's other settings are its defaults.",
        ),
    )


# A6
def dropout(on: Setting) -> list[Claim]:
    """A6: dropout in front of BN, and behind the last one."""
    arm = arms_of("claim_dropout", "model.dropout", "model.dropout_place")
    none, before, behind = arm(0.0, "blocks"), arm(0.5, "blocks"), arm(0.5, "head")
    some = {"0.1": arm(0.1, "blocks"), "0.3": arm(0.3, "blocks"), "0.5": before}
    says = (
        "Li et al. 2018, 1801.05134, sections 3 and 4: dropout in front of BN gives the variance "
        "in training and not in evaluation, and new statistics win part of the loss back; dropout "
        "behind the last BN costs nothing"
    )
    protocol = (
        "MLP 3×100, ReLU, BN before the activation; dropout of 0.5 behind every block, and so in "
        f"front of the norms of the next, {on.budget('dropout')}; {COSINE}, {AT_BEST}."
    )
    trap = (
        "Running statistics lag behind the weights without dropout too: the net without it, and "
        "that with dropout in front of the head, are beside it."
    )

    def shift(one: StudyArm, target: Below | None = None) -> ClaimPart:
        keys = [f"train@batch/variance_ratio/{layer}" for layer in (2, 3)]
        measure = over_phase(one, none, keys, (0.8, 1.0))
        statistic = "variance in evaluation over the running one, with dropout / without"
        return ClaimPart(statistic, measure, target, "log", math.log(1.1) if target else None)

    def won_back(one: StudyArm, target: Above | None = None) -> ClaimPart:
        return ClaimPart(
            "test accuracy (pp), exact statistics minus running ones",
            gap(one, one, PRECISE, baseline_key=ACCURACY),
            target,
            interest=1.0 if target else None,
        )

    return [
        Claim(
            id="A6a",
            sentence="Dropout in front of BN makes the variance that it sees in evaluation smaller "
            "than its running variance.",
            says=says,
            experiments=("claim_dropout",),
            protocol=protocol,
            rule="More than a tenth smaller than without dropout.",
            why_statistic=(
                "The probe `variance`: the variance of what enters the second and third BN in "
                "evaluation, over their running variance, over the last fifth of the run."
            ),
            why_bound="A tenth is more than the running statistics are off by without dropout.",
            would_change=LARGER,
            parts={
                "dropout 0.5": shift(before, Below(-math.log(1.1))),
                "dropout 0.5 before the head": shift(behind),
                **{f"dropout {p}": shift(some[p]) for p in ("0.1", "0.3")},
            },
            traps=(trap,),
        ),
        Claim(
            id="A6b",
            sentence="Dropout in front of BN costs accuracy that exact statistics win back.",
            says=says,
            experiments=("claim_dropout",),
            protocol=protocol,
            rule="Test accuracy with exact statistics higher than with running ones by over 1 pp.",
            why_statistic=(
                "The same weights with either statistics, the mean of the last five evaluations."
            ),
            why_bound=POINT,
            would_change=LARGER,
            parts={
                "dropout 0.5": won_back(before, Above(1.0)),
                "no dropout": won_back(none),
                "dropout 0.5 before the head": won_back(behind),
                **{f"dropout {p}": won_back(some[p]) for p in ("0.1", "0.3")},
                "dropout 0.5, behind every block minus before the head": more_accurate(
                    before, behind, words="behind every block minus before the head"
                ),
            },
            traps=(trap,),
            caveats=("Nets this small hardly need dropout.",),
        ),
    ]


# A7
def averaged_weights(on: Setting) -> list[Claim]:
    """A7: averages of weights, with old statistics and with new ones."""
    arm = arms_of("claim_averages", "norm.name")
    bn, none = arm("batchnorm"), arm("none")
    fast = arm("batchnorm", rate=FAST)
    swa, ema = "test_swa", "test_weight_ema"
    says = (
        "Izmailov et al. 2018, 1803.05407, Algorithm 1: a further pass over the data computes the "
        "statistics of the averaged weights; torch.optim.swa_utils has `update_bn` for it"
    )

    def new_minus_old(one: StudyArm, average: str, target: Above | None = None) -> ClaimPart:
        return ClaimPart(
            "test accuracy (pp), new statistics minus those of the last net",
            gap(one, one, f"{average}@precise/accuracy", baseline_key=f"{average}/accuracy"),
            target,
            interest=1.0 if target else None,
        )

    def over_last(one: StudyArm, average: str) -> ClaimPart:
        return ClaimPart(
            "test accuracy (pp), averaged weights minus the last ones",
            gap(one, one, f"{average}/accuracy", baseline_key="test/accuracy"),
        )

    found = []
    for letter, sentence, one, average, target, rate, bound, readings in (
        (
            "a",
            "The mean of the last weights (SWA) of a net with BN needs new statistics, at the rate "
            "that is best for the last weights.",
            bn,
            swa,
            Above(1.0),
            AT_BEST,
            POINT,
            {
                "SWA with new statistics over the last weights": over_last(bn, f"{swa}@precise"),
                "SWA without a norm over the last weights": over_last(none, swa),
                "exponential average, new statistics": new_minus_old(bn, ema),
            },
        ),
        (
            "b",
            "The mean of the last weights (SWA) of a net with BN needs new statistics, at a rate "
            "at which weights go on moving.",
            fast,
            swa,
            Above(0.0),
            f"{FAST:g}",
            SIGN,
            {
                "SWA with new statistics over the last weights": over_last(fast, f"{swa}@precise"),
                "SWA with old statistics over the last weights": over_last(fast, swa),
                "accuracy of the last weights": accuracy(fast),
            },
        ),
        (
            "c",
            "An exponential average of the weights of a net with BN needs new statistics, at a "
            "rate at which weights go on moving.",
            fast,
            ema,
            Above(1.0),
            f"{FAST:g}",
            POINT,
            {
                "with new statistics over the last weights": over_last(fast, f"{ema}@precise"),
                "with old statistics over the last weights": over_last(fast, ema),
            },
        ),
    ):
        found.append(
            Claim(
                id=f"A7{letter}",
                sentence=sentence,
                says=says,
                experiments=("claim_averages",),
                protocol=(
                    f"MLP 3×100, ReLU, {on.budget('averages')}; a constant rate, {rate}; the mean "
                    "of 20 checkpoints of the last quarter, or an exponential average of all "
                    "steps, of which each new one counts 1 %; new statistics: exact, of 1,000 "
                    "training images."
                ),
                rule=(
                    "Test accuracy with new statistics higher than with the running statistics of "
                    f"the last net by more than {target.low:g} pp."
                ),
                why_statistic=(
                    "The same weights with either statistics, the mean of the last five "
                    "evaluations: nothing else differs."
                ),
                why_bound=bound,
                would_change=LARGER,
                parts={
                    "new statistics": new_minus_old(one, average, target),
                    "new statistics for the last weights": new_minus_old(one, "test"),
                    **readings,
                },
                traps=(
                    "A gain of new statistics as such: that of the last weights is a reading.",
                    "A rate that decays: the last weights hardly differ then, and need nothing.",
                ),
                caveats=(
                    "Implementations that average the running statistics too, as some of "
                    "exponential averages do, are not measured.",
                ),
            )
        )
    return found
