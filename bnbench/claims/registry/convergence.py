"""C1 to C9: does Batch Normalization train faster, at larger rates, and to a better net?

Sections and numbers without a name are those of Ioffe & Szegedy 2015; N0 to N4 are the notes of
docs/myths.md. `pp` are percentage points.
"""

from dataclasses import replace
from itertools import product

from bnbench.claims.records import Above, Below, Claim, ClaimPart, Overlay
from bnbench.claims.registry.parts import (
    EQUAL,
    accuracy,
    arms_of,
    gains_more,
    good_rates,
    ladder,
    learns_faster,
    more_accurate,
    pair,
)
from bnbench.claims.registry.setting import (
    AREA,
    AT_BEST,
    CONSTANT,
    COSINE,
    END,
    GAPS,
    LARGER,
    OTHER_RATES,
    POINT,
    SIGN,
    YES_NO,
    Setting,
)
from bnbench.claims.stability import largest_stable_rate, rescued
from bnbench.claims.statistics import contrast
from bnbench.claims.study import StudyArm

CHANCE = 10.0  # % of ten classes; stuck is up to two points above
BOTH_BN = "both with BN"
BN_MINUS_NONE = "with BN minus without"


def claims(on: Setting) -> list[Claim]:
    """Declare the claims on a data set."""
    return [
        *sigmoids(on),
        *same_rate(on),
        *ladder_of_rates(on),
        depth(on),
        stability(on),
        *ends_equal(on),
        *bundle(on),
        *response(on),
        shuffling(on),
    ]


# C1
def sigmoids(on: Setting) -> list[Claim]:
    """C1: sigmoid nets, faster and higher."""
    bn, none = pair("claim_sigmoid")
    end_bn, end_none = pair("claim_sigmoid_end")
    protocol = (
        f"3×100 sigmoids, weights N(0, 0.1²), as in figure 1, {on.budget('sigmoid')}; {COSINE}, "
        f"{AT_BEST}, "
    )
    return [
        Claim(
            id="C1a",
            sentence="A net of sigmoids trains faster with BN.",
            says=(
                "N0, N1 and N4; section 4.1, figure 1a: on MNIST 96 % after 6,600 steps with BN, "
                "after 18,600 without; mean accuracy over 44,000 steps 97.2 % and 92.7 % (read off "
                "the figure)"
            ),
            experiments=("claim_sigmoid",),
            protocol=f"{protocol}best by the same mean over the run.",
            rule="Mean validation accuracy over the run higher by more than 1 pp.",
            why_statistic=AREA,
            why_bound="A quarter of what figure 1a shows.",
            would_change=OTHER_RATES,
            parts={
                "speed, rates tuned": learns_faster(bn, none, Above(1.0)),
                **ladder(bn, none),
                "speed at the rate of the net without, tuning seeds": learns_faster(
                    bn, none, at=none
                ),
                "good range of rates, tuning seeds": good_rates(bn, none),
            },
            traps=(
                "A rate that suits one side: each has the best for this statistic; at the rate of "
                "the net without BN, and the width of the good range, as readings.",
                "A threshold that suits one side: none is needed; five as readings.",
            ),
            caveats=("Small images and short runs: MNIST at 50,000 steps is another scale.",),
            overlay=Overlay("fig1a", "3×100 sigmoids", {"without BN": none, "with BN": bn}),
        ),
        Claim(
            id="C1b",
            sentence="A net of sigmoids ends higher with BN.",
            says="N1 and N4; section 4.1, figure 1a: 97.2 % without BN, 98.2 % with it, on MNIST",
            experiments=("claim_sigmoid_end",),
            protocol=f"{protocol}best by the mean of the last five validation accuracies.",
            rule="Test accuracy higher by more than 0 pp.",
            why_statistic=END,
            why_bound=SIGN,
            would_change="Equal ends after a longer budget: then BN would only be faster.",
            parts={
                "test accuracy, rates tuned": more_accurate(
                    end_bn, end_none, Above(0.0), interest=1.0, words=BN_MINUS_NONE
                ),
                "test accuracy at the rate of the net without, tuning seeds": more_accurate(
                    end_bn, end_none, at=end_none, words=BN_MINUS_NONE
                ),
            },
            traps=("A budget too short for one side: the curves show whether both have settled.",),
        ),
    ]


# C2, C3
def at_rate(model: str, norm: str, rate: float, schedule: str = "constant") -> StudyArm:
    """An arm of claim_rates at a learning rate."""
    where = {"model.name": model, "norm.name": norm, "optim.schedule": schedule}
    return StudyArm("claim_rates", where, rate)


def same_rate(on: Setting) -> list[Claim]:
    """C2: at the rate of the net without BN."""
    found = []
    for letter, words, model, experiment in (
        ("a", "a perceptron", "mlp", "rates"),
        ("b", "a convolutional net", "vgg", "rates_vgg"),
    ):
        (rate,) = on.rates[experiment]
        none, bn = at_rate(model, "none", rate), at_rate(model, "batchnorm", rate)
        net = "MLP 3×100"
        if model == "vgg":
            small, vgg = "Two convolutions of 8 and 16 channels", "VGG of 2+2 convolutions"
            net = vgg if on.data == "digits" else small
        found.append(
            Claim(
                id=f"C2{letter}",
                sentence=(
                    f"BN alone, at the learning rate of the net without it, makes {words} train "
                    "faster."
                ),
                says=(
                    "N2; section 4.2.2, BN-Baseline: 72.2 % after 13.3 M steps where Inception "
                    "takes 31.0 M; mean accuracy over 15 M steps 69.0 % and 63.8 % (read off "
                    "figure 2)"
                ),
                experiments=("claim_rates",),
                protocol=(
                    f"{net}, ReLU, {on.budget(experiment)}; constant rate {rate:g}, that of the "
                    "net without norm (configs/base_lr.yaml)."
                ),
                rule="Mean validation accuracy over the run higher by more than 1 pp.",
                why_statistic=AREA,
                why_bound="A fifth of what figure 2 shows.",
                would_change="No gain at the rates that suit BN: C1a and C6a have tuned ones.",
                parts={
                    "speed": learns_faster(bn, none, Above(1.0)),
                    **ladder(bn, none),
                },
                traps=("A matched rate is the claim itself; C1a and C6a have tuned ones.",),
                overlay=Overlay("fig2", net, {"without BN": none, "with BN": bn}),
            )
        )
    return found


def ladder_of_rates(on: Setting, model: str = "mlp", net: str = "MLP 3×100") -> list[Claim]:
    """C3: five and thirty times the rate."""
    rates = {k: on.x1 * k for k in (1, 5, 30)}
    none = {k: at_rate(model, "none", rate) for k, rate in rates.items()}
    bn = {k: at_rate(model, "batchnorm", rate) for k, rate in rates.items()}
    decayed = {k: at_rate(model, "batchnorm", rate, "cosine") for k, rate in rates.items()}
    fig2 = "section 4.2.2 and figure 2"
    protocol = f"{net}, ReLU, momentum 0.9, {on.budget('rates')}; ×1 is {on.x1:g}, {on.x1_place}; "
    place = (
        f"×1 is {on.x1:g}, {on.x1_place}: C5 has the largest rates at which such nets train. The "
        "paper's ×1 is near the largest that its net without BN survives."
    )

    def survives(letter: str, k: int) -> Claim:
        return Claim(
            id=f"C3{letter}",
            sentence=f"With BN a net trains at {k} times the rate, and without BN it does not.",
            says=f"N1, N2 and N4; {fig2}: without BN ×5 diverges, with BN ×5 and ×30 train",
            experiments=("claim_rates",),
            protocol=f"{protocol}{CONSTANT}.",
            rule="In most seeds BN trains and the net without fails (diverged or stuck).",
            why_statistic=YES_NO,
            why_bound="More often than not.",
            would_change="An ×1 nearer to the largest rate at which the net without BN trains.",
            parts={
                f"x{k}: only BN trains": ClaimPart(
                    "share of seeds", rescued(bn[k], none[k]), Above(0.5), scale="share"
                ),
                f"without BN, x{k}": accuracy(none[k]),
                f"with BN, x{k}": accuracy(bn[k]),
            },
            traps=("The paper's ×5 and ×30 change other things too: here the rate alone (C7a).",),
            caveats=(place,),
        )

    def order(letter: str, sentence: str, says: str, faster: int, slower: int) -> Claim:
        return Claim(
            id=f"C3{letter}",
            sentence=sentence,
            says=says,
            experiments=("claim_rates",),
            protocol=f"{protocol}{CONSTANT}.",
            rule="Mean validation accuracy over the run higher by more than 0 pp.",
            why_statistic=AREA,
            why_bound=SIGN,
            would_change="Another budget: the paper's ×30 is slow early and fast later.",
            parts={
                f"x{faster} over x{slower}": learns_faster(
                    bn[faster],
                    bn[slower],
                    Above(0.0),
                    interest=1.0,
                    words=BOTH_BN,
                    reference=none[1],
                ),
                **ladder(bn[faster], bn[slower], reference=none[1]),
            },
            caveats=(place,),
        )

    def higher(letter: str, more: int, less: int, says: str) -> Claim:
        return Claim(
            id=f"C3{letter}",
            sentence=(
                f"With BN {more} times the rate ends higher than "
                f"{f'{less} times it' if less > 1 else 'the rate itself'}."
            ),
            says=says,
            experiments=("claim_rates",),
            protocol=f"{protocol}{COSINE}.",
            rule="Test accuracy higher by more than 0 pp.",
            why_statistic=END,
            why_bound=SIGN,
            would_change="A longer budget, in which the smaller rate catches up.",
            parts={
                f"x{more} over x{less}": more_accurate(
                    decayed[more], decayed[less], Above(0.0), interest=1.0, words=BOTH_BN
                )
            },
            traps=("The end needs a decaying rate; the paper's decays six times as fast.",),
            caveats=(place,),
        )

    c3a = survives("a", 5)
    series = {"without BN": none[1], "with BN": bn[1], "BN ×5": bn[5], "BN ×30": bn[30]}
    return [
        replace(c3a, overlay=Overlay("fig2", net, series)),
        survives("b", 30),
        order(
            "c",
            "With BN 30 times the rate is slower than 5 times it.",
            f"{fig2}: 72.2 % after 2.1 M steps at ×5, after 2.7 M at ×30; mean accuracy over 5 M "
            "steps 69.8 % and 69.0 %",
            5,
            30,
        ),
        order(
            "d",
            "With BN 30 times the rate is faster than the rate itself.",
            f"N2 ('30 times … clearly faster'); {fig2}: 72.2 % after 2.7 M steps at ×30, after "
            "13.3 M at ×1; mean accuracy over 5 M steps 69.0 % and 64.6 %",
            30,
            1,
        ),
        higher("e", 30, 5, f"{fig2}: 74.8 % at ×30, 73.0 % at ×5"),
        higher("f", 5, 1, f"{fig2}: 73.0 % at ×5, 72.7 % at ×1"),
    ]


# C4
def depth(on: Setting) -> Claim:
    """C4: twenty layers of sigmoids."""

    def deep(layers: int, norm: str, init: str = "xavier", times: int = 1) -> StudyArm:
        steps = int(on.budgets["depth" if times == 1 else "depth_long"].split()[0].replace(",", ""))
        names = {"hidden_layers": layers, "norm.name": norm}
        return StudyArm("claim_depth", {**names, "model.init": init, "train.steps": steps})

    at_chance = {"target": Below(CHANCE + 2), "interest": 2.0}
    return Claim(
        id="C4",
        sentence=(
            "Twenty layers of sigmoids train with BN, and without it not at all: not for longer, "
            "nor from weights for sigmoids."
        ),
        says=(
            "N2, N3 and N4; section 4.2.2: Inception with sigmoids and BN gets to 69.8 %, without "
            "BN it never beats chance (N2 omits that 69.8 is below the 72.2 of the ReLU net)"
        ),
        experiments=("claim_depth",),
        protocol=(
            f"Layers of 100 sigmoids, Xavier, {on.budget('depth')}; {COSINE}, {AT_BEST} (0.1 to 3)."
        ),
        rule=(
            "At 20 layers and its best rate the net without BN stays below chance + 2 pp, three "
            "times as long and from four times Xavier's weights too, and that with BN gets above "
            "80 %."
        ),
        why_statistic=END,
        why_bound=(
            "2 pp above chance is what a net that has learned nothing may show; 80 % is what a "
            "shallow net gets to with ease."
        ),
        would_change="Any rate, start or budget at which twenty such layers train without a norm.",
        parts={
            "without BN, 20 layers": accuracy(deep(20, "none"), **at_chance),
            "with BN, 20 layers": accuracy(deep(20, "batchnorm"), Above(80.0), interest=10.0),
            "without BN, 20 layers, 3 times as long": accuracy(
                deep(20, "none", times=3), **at_chance
            ),
            "without BN, 20 layers, weights for sigmoids": accuracy(
                deep(20, "none", "xavier_sigmoid"), **at_chance
            ),
            "without BN, 3 layers": accuracy(deep(3, "none")),
            "with BN, 3 layers": accuracy(deep(3, "batchnorm")),
        },
        traps=(
            "One rate proves nothing: each side has its best.",
            "A plateau at chance is not the end: once three times as long.",
            "Xavier's scale is for tanh: once with 4 times that, which is for sigmoids.",
        ),
    )


# C5
def stability(on: Setting) -> Claim:
    """C5: the largest rate at which a net trains."""
    arm = arms_of("claim_stability", "norm.name", rate=None)
    return Claim(
        id="C5",
        sentence="BN raises the largest learning rate at which a net trains.",
        says=(
            "N1 and N4; Bjorck et al. 2018, for whom larger rates are why BN helps; others find "
            "that at equal epochs they do not explain the gain"
        ),
        experiments=("claim_stability",),
        protocol=(
            f"MLP 3×100, ReLU, momentum 0.9, no warm-up, no clipping, {on.budget('stability')}; "
            "bisection to an eighth of a decade between 0.03 and 1000."
        ),
        rule="Median over seeds of more than half a decade.",
        why_statistic=(
            "The last rate at which a seed trains, neither diverged nor stuck at chance, with the "
            "next one, 1.33 times as large, at which it fails. An exact test of the median, since "
            "the values lie on a grid."
        ),
        why_bound="Half a decade, 3.2 times, is a step of an ordinary search for a rate.",
        would_change="Nets with BN that only seem to train: the figure shows how well.",
        parts={
            "largest rate": ClaimPart(
                "decades, with BN over without",
                largest_stable_rate(arm("batchnorm"), arm("none")),
                Above(0.5),
                scale="grid",
            ),
        },
        traps=(
            "What 'diverged' means: a non-finite loss or weight, or a mean training loss over the "
            "last 50 steps above 2 ln 10; a net stuck at chance has failed too.",
            "Bisection takes failure to be monotone in the rate: found is one boundary, with a "
            "rate that trains below it and one that fails above.",
        ),
        caveats=(
            "A net with BN hardly notices the scale of its weights, so it may 'train' at rates at "
            "which none would choose to train.",
        ),
    )


# C6
def ends_equal(on: Setting) -> list[Claim]:
    """C6: the accuracy that a net ends at."""
    found = []
    for letter, words, model in (("a", "ReLU", "mlp"), ("b", "sigmoids", "sigmoid_mlp")):
        none = StudyArm("claim_accuracy", {"model.name": model, "norm.name": "none"})
        bn = none.but(norm__name="batchnorm")
        found.append(
            Claim(
                id=f"C6{letter}",
                sentence=f"BN leaves the accuracy that a shallow net of {words} ends at unchanged.",
                says=(
                    "N0 ('accuracy unchanged'), against N1 ('generalises better'); section 4.2.2: "
                    "72.2 % without, 72.7 % with BN alone; others find -3.5 (GoogLeNet) to +4 pp "
                    "(VGG)"
                ),
                experiments=("claim_accuracy",),
                protocol=f"MLP 3×100 of {words}, {on.budget('accuracy')}; {COSINE}, {AT_BEST}.",
                rule="Within ±1 pp of test accuracy (TOST).",
                why_statistic=END,
                why_bound=POINT,
                would_change=LARGER,
                parts={
                    words: more_accurate(bn, none, EQUAL, words=BN_MINUS_NONE),
                    f"{words}, rate of the net without, tuning seeds": more_accurate(
                        bn, none, at=none, words=BN_MINUS_NONE
                    ),
                    f"{words}, good range of rates, tuning seeds": good_rates(bn, none),
                },
                traps=("A budget too short for one side: the curves show whether both settle.",),
                caveats=("Three layers: deeper nets may not train at all without BN (C4).",),
            )
        )
    deep = replace(
        found[0],
        id="C6c",
        sentence="BN leaves the accuracy that a VGG-16 ends at unchanged.",
        protocol="VGG-16 on CIFAR-10, 60 epochs.",
        parts={},
        experiments=(),
        reason=(
            "A net of sixteen layers is for images that need them: it has a form on CIFAR-10, for "
            "a GPU (docs/gpu.md has the hours)."
        ),
    )
    return [*found, deep]


# C7
FACTORS = {  # of claim_bundle: column -> values without and with the paper's change
    "rate x5": ("optim.lr_mult", 1.0, 5.0),
    "no dropout": ("model.dropout", 0.4, 0.0),
    "decay 6 times as fast": ("optim.lr_end", 0.1, 1e-6),
}
CHANGES = {
    "a": ("rate x5", "raising the rate five times"),
    "b": ("no dropout", "leaving out dropout"),
    "d": ("decay 6 times as fast", "a rate that decays six times as fast"),
}


def effect(norm: str, factor: str, weight: float = 1.0) -> list[tuple[float, StudyArm]]:
    """The main effect of a factor in nets with a norm, as a contrast over the 8 of them."""
    column, *levels = FACTORS[factor]
    others = {name: values for name, *values in FACTORS.values() if name != column}
    arm = arms_of("claim_bundle", "norm.name", "optim.weight_decay", column, *others, rate=None)
    before, after = (
        [arm(norm, 0.0, level, *values) for values in product(*others.values())] for level in levels
    )
    return [*((weight / 4, a) for a in after), *((-weight / 4, a) for a in before)]


def bundle(on: Setting) -> list[Claim]:
    """C7: the changes that were made together with BN."""
    says = (
        "N1 (the list); section 4.2.1: raise the rate, drop dropout, a fifth of the weight decay, "
        "decay six times as fast, shuffle more (C9), drop LRN (C8a), distort less"
    )
    why_bound = "Half a point: the paper's changes together gain 2.1 pp beyond BN alone."
    found = {
        f"C7{letter}": Claim(
            id=f"C7{letter}",
            sentence=f"With BN {words} raises accuracy.",
            says=says,
            experiments=("claim_bundle",),
            protocol=(
                f"Full factorial of BN, rate, dropout and decay of the rate on an MLP 3×100, "
                f"{on.budget('bundle')}; rates decaying exponentially; 16 arms."
            ),
            rule="Main effect in nets with BN above 0.5 pp.",
            why_statistic=f"{END} A mean over all combinations of the other changes.",
            why_bound=why_bound,
            would_change="Another sign in larger nets, or with many times the steps.",
            parts={
                factor: ClaimPart(
                    "test accuracy (pp), changed minus before",
                    contrast(effect("batchnorm", factor)),
                    Above(0.5),
                ),
                f"{factor}: more than without BN": ClaimPart(
                    "test accuracy (pp), effect with BN minus effect without",
                    contrast([*effect("batchnorm", factor), *effect("none", factor, -1)]),
                ),
            },
            traps=("Changed one at a time, effects depend on the rest: each is a mean.",),
            caveats=("Photometric distortion is left out: the images have no colours.",),
        )
        for letter, (factor, words) in CHANGES.items()
    }
    decay = arms_of("claim_bundle", "norm.name", "optim.weight_decay", rate=None)
    found["C7c"] = Claim(
        id="C7c",
        sentence="With BN a fifth of the weight decay raises accuracy.",
        says=says,
        experiments=("claim_bundle",),
        protocol=(
            f"MLP 3×100, {on.budget('decay')}, in which a decay of 0.0005 has time to act; five "
            "times the ordinary rate, decaying exponentially."
        ),
        rule="Test accuracy higher by more than 0.5 pp.",
        why_statistic=END,
        why_bound=why_bound,
        would_change=LARGER,
        parts={
            "weight decay / 5": more_accurate(
                decay("batchnorm", 1e-4),
                decay("batchnorm", 5e-4),
                Above(0.5),
                words="0.0001 minus 0.0005",
            )
        },
        traps=("In some hundred steps at the ordinary rate no decay of 0.0005 acts.",),
    )
    return [found[key] for key in sorted(found)]


# C8
def response(on: Setting) -> list[Claim]:
    """C8: Local Response Normalization."""
    arm = arms_of("claim_lrn", "norm.name")
    says = (
        "N1; section 4.2.1; caffenet-benchmark: LRN .470 and none .470, so that LRN adds nothing "
        "even without BN; BN .474 to .499"
    )
    protocol = (
        f"Two convolutions of 8 and 16 channels, norms behind the ReLU, {on.budget('lrn')}; "
        f"{COSINE}, {AT_BEST}."
    )
    trap = ("torch divides alpha by the window: 5e-4 is the paper's 1e-4.",)
    return [
        Claim(
            id="C8a",
            sentence="BN is better than Local Response Normalization.",
            says=says,
            experiments=("claim_lrn",),
            protocol=protocol,
            rule="Test accuracy higher by more than 0 pp.",
            why_statistic=END,
            why_bound=SIGN,
            would_change=LARGER,
            parts={
                "BN over LRN": more_accurate(
                    arm("batchnorm"), arm("lrn"), Above(0.0), interest=1.0, words="BN minus LRN"
                )
            },
            traps=trap,
        ),
        Claim(
            id="C8b",
            sentence="Local Response Normalization adds nothing to BN.",
            says=says,
            experiments=("claim_lrn",),
            protocol=protocol,
            rule="BN with LRN within ±1 pp of BN (TOST).",
            why_statistic=END,
            why_bound=POINT,
            would_change=LARGER,
            parts={
                "LRN added to BN": more_accurate(
                    arm("batchnorm_lrn"), arm("batchnorm"), EQUAL, words="BN with LRN minus BN"
                )
            },
            traps=trap,
        ),
    ]


# C9
def shuffling(on: Setting) -> Claim:
    """C9: batches that are never the same twice."""
    arm = arms_of("claim_shuffle", "norm.name", "data.batches", rate=None)
    bn, none = ((arm(norm, "reshuffled"), arm(norm, "frozen")) for norm in ("batchnorm", "none"))
    return Claim(
        id="C9",
        sentence=(
            "A net with BN gains from batches that are never the same twice, beyond what any net "
            "does."
        ),
        says="N1 (with a wrong reason); section 4.2.1: about 1 % on ImageNet",
        experiments=("claim_shuffle",),
        protocol=(
            f"MLP 3×100 at the rate tuned for the net without norm, {on.budget('shuffle')}; "
            f"{COSINE}; the same batches in every epoch, in a new order, or new ones."
        ),
        rule="Gain with BN minus gain without above 0.25 pp.",
        why_statistic=f"{GAPS} {END}",
        why_bound="A quarter of the 1 pp that the paper tells.",
        would_change="A larger gain where an epoch has many more batches.",
        parts={
            "difference of gains": gains_more(bn, none, Above(0.25)),
            "gain with BN": more_accurate(*bn, words="reshuffled minus frozen"),
            "gain without": more_accurate(*none, words="reshuffled minus frozen"),
        },
        caveats=("The paper's shuffling was within shards of a data set of 1.2 million images.",),
    )
