"""A13 to A15 and A18: sentences of the study notes that no claim of the first registry covers.

N0 to N4 are the notes of docs/myths.md. The claims are additions, a family of their own in the
adjustment of p-values (`judge.family_of`). Most read runs that earlier claims are judged on; none
of the numbers here had been computed from these runs when they were declared.
"""

import math
from dataclasses import replace

from bnbench.analysis.stats import ACCURACY
from bnbench.claims.curves import OfRuns, area, climb, jumps, last_accuracy
from bnbench.claims.records import Above, Below, Claim, ClaimPart, Target
from bnbench.claims.registry.parts import arms_of, more_accurate, pair
from bnbench.claims.registry.setting import AT_BEST, COSINE, LARGER, SIGN, Setting
from bnbench.claims.statistics import compared, gain_by_loss, probe_ratio, spread_gap
from bnbench.claims.study import StudyArm

LOSS = "train@batch/loss"
NETS = {"sigmoid_mlp": "sigmoids", "mlp": "ReLU"}
START, END = (0.0, 0.0), (0.8, 1.0)  # shares of a run, (from, to]; the first is step 0
DEEPER = Above(math.log(1.5))
NEARER = Below(math.log(0.9))


def claims(on: Setting) -> list[Claim]:
    """Declare the claims on a data set."""
    return [drift_by_depth(on), *steadiness(on), badness(on), undoing(on)]


# A13
def apart(
    arm: StudyArm, layer: int, target: Target | None = None, over: int = 1, probe: str = "drift"
) -> ClaimPart:
    """Declare a probe's mean over the run in one layer, over that in another of the same net."""
    keys = [f"train@batch/{probe}/{place}" for place in (layer, over)]
    measure = probe_ratio(arm, keys[:1], keys[1:])
    statistic = f"{probe.replace('_', ' ')} of layer {layer} / of layer {over}"
    return ClaimPart(statistic, measure, target, "log")


def drift_by_depth(on: Setting) -> Claim:
    """A13: the drift of the last layer beside that of the first."""
    low, high = on.rates["drift"]
    (rate,) = on.rates["drift_deep"]
    bn, none = pair("claim_drift", low)
    deep = StudyArm("claim_drift_deep", {"norm.name": "none"}, None)
    fast = none.but(rate=high)
    return Claim(
        id="A13",
        sentence="Without BN a net's inner inputs drift the more the deeper their layer.",
        says=(
            "N1 ('the changes add up') and N3 ('through many layers it changes violently', 'the "
            "more so the deeper'); Ioffe & Szegedy 2015, section 1: small changes amplify as the "
            "network becomes deeper"
        ),
        experiments=("claim_drift", "claim_drift_deep"),
        protocol=(
            f"The net of M1a, three layers of sigmoids, at a constant rate of {low:g}, "
            f"{on.budget('drift')}; and ten layers of 100 ReLU units, He, at {rate:g}, "
            f"{on.budget('drift_deep')}; inputs of each layer's activations for 1,000 fixed "
            "training images."
        ),
        rule=(
            "Drift in units of the spread in the last layer more than 1.5 times that in the first, "
            "in both nets."
        ),
        why_statistic=(
            "The probe of M1a in two layers of one run, a mean over the run: the first layer's "
            "inputs move by its own weights alone, the last's by all below as well."
        ),
        why_bound="Half as much again is more than a way to draw the weights would explain.",
        would_change="Nets in which it grows no further beyond the first layers.",
        parts={
            "sigmoids, layer 3 over 1": apart(none, 3, DEEPER),
            "ReLU, layer 10 over 1": apart(deep, 10, DEEPER),
            "sigmoids, layer 2 over 1": apart(none, 2),
            "sigmoids, layer 3 over 2": apart(none, 3, over=2),
            "ReLU, layer 5 over 1": apart(deep, 5),
            "ReLU, layer 10 over 5": apart(deep, 10, over=5),
            f"sigmoids, layer 3 over 1, rate {high:g}": apart(fast, 3),
            "sigmoids with BN, layer 3 over 1": apart(bn, 3),
            "sigmoids, shape, layer 3 over 1": apart(none, 3, probe="drift_shape"),
            "ReLU, shape, layer 10 over 1": apart(deep, 10, probe="drift_shape"),
        },
        traps=(
            "Absolute drift is scale: in each layer it is divided by the spread there.",
            "A net that does not train: ten layers have the rate that suits three of them.",
        ),
        caveats=(
            "In the net of sigmoids, whose weights are drawn small, the spread shrinks with depth, "
            "and biases move it all the more: the ratio is large for that reason too.",
            "Whether drift harms is another question: M3a and M3b.",
        ),
    )


# A14
def steadiness(on: Setting) -> list[Claim]:
    """A14: what seeds differ by, and what the training loss climbs."""
    arm = arms_of("claim_accuracy", "model.name", "norm.name")
    arms = {words: (arm(model, "batchnorm"), arm(model, "none")) for model, words in NETS.items()}
    says = "N4: BN makes training more stable, which the shift of distributions makes unstable"
    protocol = (
        f"The nets of C6b, MLP 3×100 of sigmoids, Xavier, {on.budget('accuracy')}; {COSINE}, "
        f"{AT_BEST}; those of C6a, of ReLU, beside them."
    )

    def spread(words: str, number: OfRuns, named: str, target: Target | None = None) -> ClaimPart:
        statistic = f"distance from the median of the seeds (pp), {named}, BN minus none"
        measure = spread_gap(*arms[words], number)
        return ClaimPart(statistic, measure, target, interest=0.5)

    def climbs(words: str, target: Target | None = None) -> ClaimPart:
        statistic = "what the training loss climbs over a run, in nats, BN minus none"
        return ClaimPart(statistic, compared(*arms[words], climb(LOSS)), target, interest=0.1)

    def jumped(words: str, factor: float, target: Target | None = None) -> ClaimPart:
        statistic = f"points at which the training loss is {factor:g} times the last (pp)"
        measure = compared(*arms[words], jumps(LOSS, factor))
        return ClaimPart(statistic, measure, target, interest=5.0)

    over_run, at_end = "mean accuracy over the run", "test accuracy"
    return [
        Claim(
            id="A14a",
            sentence="With BN a net of sigmoids trains more alike from seed to seed.",
            says=says,
            experiments=("claim_accuracy",),
            protocol=protocol,
            rule="Seeds lie closer to their median in mean validation accuracy over the run.",
            why_statistic=(
                "The mean distance of seeds from their median, each net's own: a t test of these "
                "distances keeps its level where tails are heavy, values lie on a grid or levels "
                "differ; tests of the variances themselves do not. The mean accuracy over the run "
                "counts how a run went, not where it ended alone."
            ),
            why_bound=SIGN,
            would_change=f"{LARGER[:-1]}; nets that differ less only as they are near 100 %.",
            parts={
                "sigmoids": spread("sigmoids", area(), over_run, Below(0.0)),
                "sigmoids, at the end": spread("sigmoids", last_accuracy(ACCURACY), at_end),
                "ReLU": spread("ReLU", area(), over_run),
                "ReLU, at the end": spread("ReLU", last_accuracy(ACCURACY), at_end),
            },
            traps=(
                "One bad seed makes a variance: distances, not their squares, and the median.",
                "A side at a rate at which it hardly trains: each has its best.",
            ),
            caveats=(
                "A seed draws weights and batches, on digits images too: for both sides alike.",
                "In a first look at Fashion-MNIST, on seeds 0 and 1, neither side had a spread to "
                "speak of.",
                "In nets of ReLU the spreads differ too little to tell with as many seeds: they "
                "are readings.",
            ),
        ),
        Claim(
            id="A14b",
            sentence="With BN the training loss of a net of sigmoids climbs less on its way down.",
            says=says,
            experiments=("claim_accuracy",),
            protocol=protocol,
            rule="Less in all, in nats, than without BN.",
            why_statistic=(
                "All that the loss rises from one point to the next, added up: both sides begin at "
                "the same loss and a steady descent has 0. Each point is the mean loss of the "
                "training steps since the last one, so no single batch makes a spike. Jumps by a "
                "quarter, another choice, ask how large the loss was: at a hundredth of a nat the "
                "noise of batches makes them."
            ),
            why_bound=SIGN,
            would_change="More climbing at the rates beside the best, or at a constant rate.",
            parts={
                "sigmoids": replace(
                    climbs("sigmoids", Below(0.0)),
                    choices={"jumps by a quarter": jumped("sigmoids", 1.25, Below(0.0))},
                ),
                "ReLU": climbs("ReLU"),
                "sigmoids, jumps by a quarter": jumped("sigmoids", 1.25),
                "ReLU, jumps by a quarter": jumped("ReLU", 1.25),
                "sigmoids, jumps by half": jumped("sigmoids", 1.5),
                "ReLU, jumps by half": jumped("ReLU", 1.5),
            },
            traps=(
                "A loss of next to nothing doubles by one batch: nats are added, not counted.",
                "A net that does not train has no spikes either: each side has its best rate.",
            ),
            caveats=(
                "A first look, on seeds 0 to 7 of digits, had fewer nats and more jumps with BN: "
                "which is called steadier depends on that choice.",
                "Spikes that last a few of the steps between two points, of which a run has some "
                "thirty, are averaged away.",
            ),
        ),
    ]


# A15
def badness(on: Setting) -> Claim:
    """A15: what BN gains beside how badly a net trains without it."""
    scales = {"ReLU": (0.1, 0.3, 1.0, 3.0), "sigmoids": (0.1, 1.0, 10.0)}
    models = {words: model for model, words in NETS.items()}
    arm = arms_of("claim_init", "model.name", "model.init_scale", "norm.name")

    def pair_at(words: str, scale: float) -> tuple[StudyArm, StudyArm]:
        """The arms with BN and without, at a scale of the initial weights."""
        return arm(models[words], scale, "batchnorm"), arm(models[words], scale, "none")

    def gains(words: str, target: Target | None = None, *more: float) -> ClaimPart:
        statistic = "points that BN gains for each that the net without it is behind its best"
        pairs = [pair_at(words, scale) for scale in (*scales[words], *more)]
        return ClaimPart(statistic, gain_by_loss(pairs), target, interest=0.5)

    return Claim(
        id="A15",
        sentence="The worse a net trains without BN, the more it gains by BN.",
        says="N0: BN is useful in general where training goes badly, and else changes no accuracy",
        experiments=("claim_init",),
        protocol=(
            "MLP 3×100 of ReLU, He's weights times 0.1, 0.3, 1 and 3, and of sigmoids, Xavier's "
            f"times 0.1, 1 and 10, {on.budget('init')}; {COSINE}, {AT_BEST}."
        ),
        rule=(
            "BN gains the more test accuracy the farther the net without it is behind its best, in "
            "both nets."
        ),
        why_statistic=(
            "The slope of the gain, BN minus none, over what the net without BN loses by its "
            "initial weights: 1 where BN wins back all of it, 0 where its own net loses as much. "
            "Taken from the same runs the two would be tied by the noise of the net without BN, "
            "whatever is true; so losses are those of the tuning seeds, gains of the others."
        ),
        why_bound=SIGN,
        would_change="Nets that train badly for a cause that BN does nothing about.",
        parts={
            **{words: gains(words, Above(0.0)) for words in scales},
            "ReLU, with weights ×10": gains("ReLU", None, 10.0),
            **{
                f"{words}, weights ×{scale:g}": more_accurate(
                    *pair_at(words, scale), words=f"BN minus none, weights ×{scale:g}"
                )
                for words, own in scales.items()
                for scale in own
            },
        },
        traps=(
            "Regression to the mean: a baseline that was unlucky makes a gain by itself.",
            "One rate for all: each net has the best of its own at every scale. Weights ×10 of "
            "ReLU are a reading: without BN they want a rate of 0.001, which is not among those "
            "that are tried.",
        ),
        caveats=(
            "Training goes badly here by one cause, the scale of the weights, of which BN takes "
            "no notice (A1a).",
            "A scale at which a net does not train at all without BN, as that of sigmoids ×0.1 in "
            "a first look, outweighs the others.",
        ),
    )


# A18
def undoing(on: Setting) -> Claim:
    """A18: how near gamma and beta come to undoing the normalisation."""
    nets = arms_of("claim_undo", "model.name", rate=None)
    rates = dict(zip(NETS.values(), on.rates["undo"], strict=True))
    learned = [f"train@batch/identity_distance/{layer}" for layer in (1, 2, 3)]
    unlearned = [f"train@batch/identity_distance_unlearned/{layer}" for layer in (1, 2, 3)]

    def nearer(model: str, target: Target | None = None) -> ClaimPart:
        measure = probe_ratio(nets(model), learned, learned, END, START)
        return ClaimPart("distance at the end / at the start", measure, target, "log")

    def by_learning(
        model: str, target: Target | None = None, layers: slice = slice(None)
    ) -> ClaimPart:
        statistic = "distance of gamma and beta at the end / of 1 and 0 there"
        measure = probe_ratio(nets(model), learned[layers], unlearned[layers], END)
        return ClaimPart(statistic, measure, target, "log")

    return Claim(
        id="A18",
        sentence="While a net of ReLU trains, gamma and beta come to undo some of its BN.",
        says=(
            "N2: with gamma and beta the net cancels some of the normalisation, where that is of "
            "no use; Ioffe & Szegedy 2015, section 3: gamma = sigma and beta = mu restore what was "
            "normalised, 'if that were the optimal thing to do'"
        ),
        experiments=("claim_undo",),
        protocol=(
            f"MLP 3×100, ReLU, at {rates['ReLU']:g}, and of sigmoids at {rates['sigmoids']:g}, "
            f"{on.budget('undo')}; {COSINE}: a net is compared with itself."
        ),
        rule=(
            "Their distance from sigma and mu falls by more than a tenth, and is by more than a "
            "tenth shorter than that of 1 and 0 in the same net."
        ),
        why_statistic=(
            "The probe `affine`: how far (gamma, beta) is from (sigma, mu) of the layer's inputs, "
            "in units of sigma, which is the root mean square difference of the layer's output and "
            "input; the median unit, a mean over layers. sigma and mu move too: what 1 and 0 would "
            "be away at the end tells what gamma and beta did."
        ),
        why_bound="A tenth is little: a norm that is undone has no distance left.",
        would_change=LARGER,
        parts={
            "ReLU, end over start": nearer("mlp", NEARER),
            "ReLU, learned over 1 and 0": by_learning("mlp", NEARER),
            **{
                f"ReLU, layer {k}, learned over 1 and 0": by_learning("mlp", None, slice(k - 1, k))
                for k in (1, 2, 3)
            },
            "sigmoids, end over start": nearer("sigmoid_mlp"),
            "sigmoids, learned over 1 and 0": by_learning("sigmoid_mlp"),
        },
        traps=(
            "Inputs that come to gamma and beta, not these to them: the second ratio.",
            "A net that has not learned yet: the last fifth of a run whose rate has decayed.",
        ),
        caveats=(
            "Whether normalising is of use in a layer is not asked: all units count alike.",
            "A net with BN is the same function at any scale of its weights, its sigma is not: "
            "the distance is from what would undo this very net's.",
        ),
    )
