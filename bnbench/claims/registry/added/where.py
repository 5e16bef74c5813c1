"""A16 and A17: which layers need a norm, and what good inputs and weights do without one.

These claims are additions, of the family that `judge.family_of` calls `added`. N0, N2 and N3 are
notes of docs/myths.md.
"""

from bnbench.claims.records import Above, Claim, ClaimPart
from bnbench.claims.registry.parts import arms_of, as_good, ladder, learns_faster, more_accurate
from bnbench.claims.registry.setting import (
    AREA,
    AS_GOOD,
    COSINE,
    LARGER,
    OTHER_RATES,
    POINT,
    Setting,
)
from bnbench.claims.statistics import area_contrast

CARELESS = 10.0  # times He's weights: a hundred times their variance
BY_AREA = (
    "each side at the best of at least four rates on seeds 100-102, by the mean validation "
    "accuracy over the run"
)
START = ("norm.name", "model.norm_layers", "data.pixels", "model.init_scale")


def claims(on: Setting) -> list[Claim]:
    """Declare the claims on a data set."""
    return [*layers(on), on_the_data(on), good_start(on)]


# A16
def layers(on: Setting) -> list[Claim]:
    """A16a and A16b: BN in every layer, beside BN in some."""
    arm = arms_of("claim_layers", "model.name", "model.norm_layers")
    every = arm("sigmoid_mlp", "every")
    some = {"the first": "first", "the last": "last", "one in two": "alternate"}
    relu = arm("mlp", "every"), arm("mlp", "alternate")

    def slower(place: str) -> dict[str, ClaimPart]:
        """The part on one place of norms, and readings beside it."""
        words = f"every layer minus {place}"
        pair = every, arm("sigmoid_mlp", some[place])
        return {
            words: learns_faster(*pair, Above(1.0), words=words, reference=every),
            f"test accuracy, {words}": more_accurate(*pair, words=words),
            **ladder(*pair, words, reference=every),
        }

    found = []
    for letter, what, places, more in (
        ("a", "in the first or in the last alone", ("the first", "the last"), {}),
        (
            "b",
            "in one in two",
            ("one in two",),
            {
                "ReLU, every layer minus one in two": learns_faster(
                    *relu, words="ReLU, every layer minus one in two"
                ),
                "ReLU, test accuracy, every layer minus one in two": more_accurate(
                    *relu, words="ReLU, every layer minus one in two"
                ),
            },
        ),
    ):
        found.append(
            Claim(
                id=f"A16{letter}",
                sentence=(
                    f"With BN in every layer a deep net of sigmoids learns faster than {what}."
                ),
                says=(
                    "N2: each linear layer may spread the features unevenly again, so that one "
                    "must normalise after every layer"
                ),
                experiments=("claim_layers",),
                protocol=(
                    "MLP 8×50 of sigmoids, Xavier's weights, BN before the activation of every "
                    "layer, the first, the last, or the first, third, fifth and seventh, "
                    f"{on.budget('layers')}; {COSINE}, {BY_AREA}."
                ),
                rule="More than 1 pp of mean validation accuracy over the run.",
                why_statistic=AREA,
                why_bound=POINT,
                would_change=OTHER_RATES,
                parts={name: part for place in places for name, part in slower(place).items()}
                | more,
                traps=(
                    "A rate that suits one side: each has its own, and the rates beside it stand "
                    "beside it.",
                    "A net too shallow for it to matter: eight layers of sigmoids with a norm in "
                    "the first alone stayed at chance in a first look.",
                ),
                caveats=(
                    "Of sigmoids: a reading tells whether a net of ReLU needs as many norms.",
                    "The cause is not isolated: a layer without a norm also has no gamma and beta.",
                ),
            )
        )
    return found


def on_the_data(on: Setting) -> Claim:
    """A16c: BN on the data, in the place of data that are normalised beforehand."""
    arm = arms_of("claim_inputs", *START)
    on_data, raw = arm("batchnorm", "input", "bytes", 1.0), arm("none", "every", "bytes", 1.0)
    normalised = arm("none", "every", "normalised", 1.0)
    every = arm("batchnorm", "every", "normalised", 1.0)
    beyond_half = area_contrast([(1.0, on_data), (-0.5, raw), (-0.5, normalised)])
    return Claim(
        id="A16c",
        sentence="BN on the data alone wins back more than half of what raw pixels cost.",
        says="N0: BN may stand on the input of a layer, which may be the first one",
        experiments=("claim_inputs",),
        protocol=(
            "MLP 3×100, ReLU, He; pixels of 0 to 255 with BN on them and nowhere else, the same "
            "without a norm, and normalised pixels without a norm, "
            f"{on.budget('inputs')}; {COSINE}, {BY_AREA}."
        ),
        rule=(
            "Without a norm, pixels of 0 to 255 cost more than 1 pp of mean validation accuracy "
            "over the run, and BN on them wins more than half of that back."
        ),
        why_statistic=f"{AREA} Half the cost is taken off seed by seed.",
        why_bound=f"{POINT} Half: most of what is lost is then won back.",
        would_change=OTHER_RATES,
        by_construction=(
            "BN of a batch does not see the scale of pixels; normalising divides all of them by "
            "one number, BN each by its own."
        ),
        parts={
            "what there is to win": learns_faster(
                normalised, raw, Above(1.0), words="no norm, normalised pixels minus raw ones"
            ),
            "won back beyond one half": ClaimPart(
                "mean validation accuracy over the run (pp), BN on raw pixels minus half-way from "
                "raw to normalised ones without a norm",
                beyond_half,
                Above(0.0),
                interest=1.0,
            ),
            "BN on raw pixels minus normalised ones": learns_faster(
                on_data, normalised, words="BN on raw pixels minus normalised pixels, no norm"
            ),
            "test accuracy, BN on raw pixels minus normalised ones": more_accurate(
                on_data, normalised, words="BN on raw pixels minus normalised pixels, no norm"
            ),
            "BN on raw pixels minus BN in every layer on normalised ones": learns_faster(
                on_data, every, words="BN on raw pixels minus BN in every layer, normalised"
            ),
        },
        traps=(
            "A rate that suits one scale of the data: each side has its own, over as many decades "
            "as it takes.",
            "A half of a cost that is not there: whether there is one is a part.",
        ),
        caveats=("A pixel that is hardly ever lit has a small variance, and BN makes it large.",),
    )


# A17
def good_start(on: Setting) -> Claim:
    """A17: normalised inputs and good initial weights without BN, beside BN without these."""
    arm = arms_of("claim_inputs", *START)
    good, bad = ("every", "normalised", 1.0), ("every", "bytes", CARELESS)
    start, careless = arm("none", *good), arm("none", *bad)
    rescued, both = arm("batchnorm", *bad), arm("batchnorm", *good)
    only_weights = arm("none", "every", "bytes", 1.0)
    words = "good start without BN minus careless start with BN"
    return Claim(
        id="A17",
        sentence=(
            "Good initial weights and normalised inputs without BN make a net learn as fast as BN "
            "does without these."
        ),
        says=(
            "N3: good initial weights and normalised inputs avoid most vanishing gradients and "
            "make training fast"
        ),
        experiments=("claim_inputs",),
        protocol=(
            "MLP 3×100, ReLU; He's weights and normalised pixels, or ten times these weights and "
            f"pixels of 0 to 255, {on.budget('inputs')}; {COSINE}, {BY_AREA}."
        ),
        rule=(
            "From the careless start BN raises the mean validation accuracy over the run; the net "
            "without BN from the good start is not more than 1 pp below that."
        ),
        why_statistic=AREA,
        why_bound=f"{AS_GOOD} Of what BN gains the sentence claims no more than a direction.",
        would_change=f"{LARGER} Of twenty layers of sigmoids C4 says the opposite.",
        parts={
            words: learns_faster(start, rescued, as_good(), words=words),
            "careless start, BN minus none": learns_faster(
                rescued, careless, Above(0.0), interest=1.0, words="careless start, BN minus none"
            ),
            "without BN, good start minus careless start": learns_faster(
                start, careless, words="without BN, good start minus careless start"
            ),
            "without BN, good weights on pixels of 0 to 255 minus good start": learns_faster(
                only_weights, start, words="without BN, pixels of 0 to 255 minus normalised"
            ),
            "good start, BN minus none": learns_faster(
                both, start, words="good start, BN minus none"
            ),
            f"test accuracy, {words}": more_accurate(start, rescued, words=words),
        },
        traps=(
            "A rate that suits one start: each side has its own, over as many decades as it takes.",
            "A careless start that does no harm: what BN gains from it is a part.",
        ),
        caveats=(
            "In three layers of ReLU: what a good start cannot do is a matter of depth and of the "
            "activation.",
            "Ten times He's weights, the head's too, and bytes are one careless start of many.",
        ),
    )
