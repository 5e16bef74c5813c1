"""B1 to B6: what Batch Normalization owes to the batch.

N0 to N4 are the notes of docs/myths.md.
"""

from dataclasses import replace

from bnbench.claims.records import Above, Below, Claim, ClaimPart, Target
from bnbench.claims.registry.parts import AS_GOOD_BY, arms_of, as_good, gains_more, more_accurate
from bnbench.claims.registry.setting import (
    AS_GOOD,
    AT_BEST,
    COSINE,
    END,
    GAPS,
    LARGER,
    POINT,
    Setting,
)
from bnbench.claims.statistics import curve_contrast, curve_gap
from bnbench.claims.study import StudyArm
from bnbench.claims.under_shift import change

TRANSDUCTIVE = "Statistics of the test batch are transductive: an answer depends on its mates."
NETS = {"mlp": "MLP 3×64", "vgg": "two convolutions of 8 and 16 channels"}


def claims(on: Setting) -> list[Claim]:
    """Declare the claims on a data set."""
    return [
        *small_batches(on),
        *evaluation(on),
        ghosts(on),
        *renorm(on),
        *lag(on),
        classes(on),
    ]


# B1
def sized(
    on: Setting, model: str, norm: str, batch_size: int, *, equal_steps: bool = False
) -> StudyArm:
    """An arm of claim_batch, for some epochs or for as many steps as batches of 2 take."""
    where: dict[str, object] = {"model.name": model, "norm.name": norm, "batch_size": batch_size}
    if batch_size == 64:
        where["train.steps"] = on.at_64[equal_steps]
    if batch_size == 2 and on.rate_in_test_batches("claim_batch") is not None:
        where["train.policies"] = '["ema"]'
    return StudyArm("claim_batch", where)


def in_test_batches(on: Setting, model: str, size: int) -> StudyArm:
    """The arm with BN that is evaluated with the statistics of its test batches."""
    arm, rate = sized(on, model, "batchnorm", size), on.rate_in_test_batches("claim_batch")
    if rate is None or size != 2:
        return arm
    return arm.but(train__policies='["batch", "ema", "precise"]', rate=rate)


def bn_minus_gn(bn: StudyArm, target: Target | None) -> ClaimPart:
    """The test accuracy of a net with BN minus that with Group Normalization."""
    return more_accurate(
        bn, bn.but(norm__name="groupnorm"), target, words="BN minus Group Normalization"
    )


def small_batches(on: Setting) -> list[Claim]:
    """B1: batches of 2 in two nets, and from 16 on, beside Group Normalization."""
    says = (
        "N0 and N4; Wu & He 2018: ResNet-50 error with BN 23.6 % at 32 images a GPU, 23.7 at 16, "
        "24.8 at 8, 34.7 at 2; with Group Normalization 24.1, 24.2, 24.0 and 24.1"
    )

    found = []
    for letter, words, model in (
        ("a", "a perceptron", "mlp"),
        ("b", "a convolutional net", "vgg"),
    ):
        found.append(
            Claim(
                id=f"B1{letter}",
                sentence=f"BN fails in batches of two: {words}.",
                says=says,
                experiments=("claim_batch",),
                protocol=f"{NETS[model]}, ReLU, {on.budget('batch')}; {COSINE}, {AT_BEST}.",
                rule="BN minus Group Normalization below -5 pp of test accuracy.",
                why_statistic=END,
                why_bound="Half of what Wu & He find at 2.",
                would_change="Nets with more values per channel: every position is a sample.",
                parts={"batch 2": bn_minus_gn(sized(on, model, "batchnorm", 2), Below(-5.0))},
                traps=(
                    "One rate for all batch sizes: tuned for each.",
                    "A perceptron sees as many values per channel as images, a convolutional net "
                    "their places too: two claims.",
                ),
            )
        )
    epochs = {size: sized(on, "mlp", "batchnorm", size) for size in (16, 64)}
    steps = {64: sized(on, "mlp", "batchnorm", 64, equal_steps=True)}
    for letter, words, arms, budget in (
        ("c", "at equal epochs", epochs, "batch"),
        ("d", "at equal steps", steps, "batch_steps"),
    ):
        found.append(
            Claim(
                id=f"B1{letter}",
                sentence=f"From batches of 16 on BN is as good as Group Normalization, {words}.",
                says=says,
                experiments=("claim_batch",),
                protocol=f"MLP 3×64, ReLU, {on.budget(budget)}; {COSINE}, {AT_BEST}.",
                rule=f"Test accuracy less than {AS_GOOD_BY:g} pp below (non-inferiority).",
                why_statistic=f"{END} 'As good' is no worse: to be better is allowed.",
                why_bound=AS_GOOD,
                would_change=LARGER,
                parts={f"batch {size}": bn_minus_gn(arm, as_good()) for size, arm in arms.items()},
                traps=("Equal epochs are few steps at 64: equal steps are a claim of their own.",),
            )
        )
    return found


# B2
def evaluation(on: Setting) -> list[Claim]:
    """B2: statistics of the test batch in the place of the running ones, in two nets."""

    def against_ema(model: str, size: int, policy: str, target: Above | None = None) -> ClaimPart:
        statistic = f"test accuracy (pp), {policy} minus running statistics"
        return ClaimPart(statistic, change(in_test_batches(on, model, size), policy), target)

    rate = on.rate_in_test_batches("claim_batch")
    tuned = f"{COSINE}, {AT_BEST}" if rate is None else f"{COSINE} from {rate:g}"
    return [
        Claim(
            id=f"B2{letter}",
            sentence=(
                "After training in batches of two the statistics of test batches, as in training, "
                f"are better than the running ones: {words}."
            ),
            says=(
                "N4; Singh & Shrivastava 2019 (EvalNorm): 6.18 pp are won back in evaluation at "
                "batch 2 on ImageNet"
            ),
            experiments=("claim_batch",),
            protocol=f"{NETS[model]}, ReLU, {on.budget('batch')}; {tuned}.",
            rule="Statistics of test batches of 2 better than the running ones by more than 1 pp.",
            why_statistic=f"{END} The same nets, evaluated twice.",
            why_bound=POINT,
            would_change=LARGER,
            parts={
                "test batches of 2": against_ema(model, 2, "batch", Above(1.0)),
                "precise statistics, batch 2": against_ema(model, 2, "precise"),
                **(
                    {"test batches of 64": against_ema(model, 64, "batch")}
                    if model == "mlp"
                    else {}
                ),
            },
            traps=(
                "Precise minus running statistics isolates the running average; what precise ones "
                "do not rescue was done in training.",
            ),
            caveats=(TRANSDUCTIVE,),
        )
        for letter, words, model in (
            ("a", "a perceptron", "mlp"),
            ("b", "a convolutional net", "vgg"),
        )
    ]


# B3
def ghosts(on: Setting) -> Claim:
    """B3: ghosts in large batches."""
    size = 512 if on.data == "digits" else 1024
    plain = StudyArm("claim_ghost", {"norm.name": "batchnorm", "batch_size": size})
    ghost = plain.but(norm__name="ghost_batchnorm", norm__ghost_size=32)
    return Claim(
        id="B3",
        sentence="In large batches Ghost Batch Normalization generalises better than BN.",
        says=(
            "Hoffer et al. 2017: ghosts close part of the gap between large and small batches "
            "without more updates: ResNet-44 on CIFAR-10 89.30 to 90.50 %"
        ),
        experiments=("claim_ghost",),
        protocol=f"MLP 3×128, ReLU, ghosts of 32, {on.budget('large')}; {COSINE}, {AT_BEST}.",
        rule="Test accuracy above that of BN by more than 0.5 pp.",
        why_statistic=END,
        why_bound="Less than half of what Hoffer et al. gain.",
        would_change=LARGER,
        parts={"ghosts of 32": more_accurate(ghost, plain, Above(0.5), words="minus BN")},
        traps=("Large batches want another rate: tuned for each.",),
        caveats=("M9a has the dose and the response at one rate.",),
    )


# B4, B6
kinds = arms_of("claim_classes", "norm.name", "data.batches")


def in_classes(norm: str) -> StudyArm:
    """An arm in batches of two classes, at the rate that is best for it in ordinary ones."""
    return kinds(norm, "two_classes", rate=kinds(norm, "reshuffled"))


def renorm(on: Setting) -> list[Claim]:
    """B4: Batch Renormalization in small batches, and in batches of two classes."""
    small = {norm: sized(on, "mlp", norm, 4) for norm in ("batch_renorm", "batchnorm")}
    settings = "r up to 3, d up to 5 after 100 batches"
    return [
        Claim(
            id="B4a",
            sentence="In batches of four Batch Renormalization does better than BN.",
            says="Ioffe 2017: Inception-v3 in microbatches of 4: 74.2 % with BN, 76.5 with it",
            experiments=("claim_batch",),
            protocol=f"MLP 3×64, ReLU, {on.budget('batch')}; {COSINE}, {AT_BEST}; {settings}.",
            rule="Test accuracy above that of BN by more than 0.5 pp.",
            why_statistic=END,
            why_bound="A fifth of what Ioffe gains.",
            would_change=LARGER,
            parts={
                "batch 4": more_accurate(
                    small["batch_renorm"], small["batchnorm"], Above(0.5), words="minus BN"
                )
            },
            traps=("The best rate depends on the norm and the batches: tuned for each.",),
        ),
        Claim(
            id="B4b",
            sentence="In batches of two classes Batch Renormalization does better than BN.",
            says=(
                "Ioffe 2017, section 4.3, 16 labels × 2: 78.5 % with it, 76.5 with BN and "
                "statistics of the test batch"
            ),
            experiments=("claim_classes",),
            protocol=f"The nets of B6; {settings}.",
            rule="Test accuracy above that of BN by more than 1 pp.",
            why_statistic=END,
            why_bound="Half of what Ioffe gains.",
            would_change=LARGER,
            parts={
                # the rates beside were tried in mixed batches alone: they are no other choice here
                "two classes": replace(
                    more_accurate(
                        in_classes("batch_renorm"),
                        in_classes("batchnorm"),
                        Above(1.0),
                        words="minus BN",
                    ),
                    choices={},
                ),
                "mixed batches of 64": more_accurate(
                    kinds("batch_renorm", "reshuffled"),
                    kinds("batchnorm", "reshuffled"),
                    words="minus BN",
                ),
            },
            traps=(
                "A rate tuned on batches of two classes hides what they do to a net: each norm "
                "has the rate that is best for it in ordinary batches.",
            ),
        ),
    ]


def classes(on: Setting) -> Claim:
    """B6: the cost of batches of two classes."""

    def cost(norm: str) -> tuple[StudyArm, StudyArm]:
        return kinds(norm, "reshuffled"), in_classes(norm)

    return Claim(
        id="B6",
        sentence="Batches of few classes ruin BN, and not a norm that ignores the batch.",
        says="Ioffe 2017, section 4.3 (16 labels × 2); Wu & Johnson 2021, section 4",
        experiments=("claim_classes",),
        protocol=(
            f"MLP 3×100, ReLU, {on.budget('classes')}, in batches of two classes, or mixed ones; "
            f"{COSINE}, {AT_BEST} in mixed batches, which is kept for those of two classes."
        ),
        rule=(
            "What they cost BN (running statistics) above what they cost Layer Normalization, by "
            "more than 10 pp."
        ),
        why_statistic=f"{GAPS} Such batches are hard for any net.",
        why_bound="'Ruin': a tenth of all images.",
        would_change="A rate found on such batches, which an engineer would not think of.",
        parts={
            "cost beyond Layer Normalization's": gains_more(
                cost("batchnorm"), cost("layernorm"), Above(10.0)
            ),
            "cost to BN": more_accurate(*cost("batchnorm")),
            "cost to Layer Normalization": more_accurate(*cost("layernorm")),
            "cost to Batch Renormalization": more_accurate(*cost("batch_renorm")),
        },
        traps=("Such batches are hard for any net: the cost is compared with that to another.",),
    )


# B5
def lag(on: Setting) -> list[Claim]:
    """B5: running statistics during a run, at its end, and with a longer average."""
    arm = arms_of("claim_ema", "norm.momentum", rate=None)
    exact, running = "val@precise/accuracy", "val/accuracy"
    statistic = "validation accuracy (pp), precise minus running statistics"
    says = (
        "N0 ('parameters near the end are more accurate'), N3 and N4; Wu & Johnson 2021, section "
        "3; torch-residual-networks: momentum 1, 0.1 and 0.01 all end at 8.3 to 8.6 % error"
    )
    protocol = f"MLP 3×100, ReLU, {on.budget('ema')}; {COSINE}; momentum 0.1 and 0.01."
    trap = ("momentum is the weight of the new batch, as in torch.",)
    whole, end = (0.0, 1.0), (0.9, 1.0)  # of 50 points, evenly spread: the last five
    return [
        Claim(
            id="B5a",
            sentence="Running statistics lag behind the weights while a net trains.",
            says=says,
            experiments=("claim_ema",),
            protocol=protocol,
            rule="Mean gap over the whole run above 1 pp at momentum 0.1.",
            why_statistic="The same nets, evaluated with exact and with running statistics.",
            why_bound=POINT,
            would_change="A gap in runs so long that the start no longer counts.",
            parts={
                "whole run": ClaimPart(
                    statistic, curve_gap(arm(0.1), exact, running, whole), Above(1.0)
                ),
                "20 to 50 %": ClaimPart(statistic, curve_gap(arm(0.1), exact, running, (0.2, 0.5))),
            },
            traps=trap,
            caveats=("The start counts: running statistics begin at 0 and 1.",),
        ),
        Claim(
            id="B5b",
            sentence="When the rate has decayed running statistics no longer lag.",
            says=says,
            experiments=("claim_ema",),
            protocol=protocol,
            rule="Mean gap of the last five evaluations below 0.3 pp at momentum 0.1.",
            why_statistic=END.replace("test", "validation"),
            why_bound="The spread of ends that torch-residual-networks finds between momenta.",
            would_change="A gap at the end where the rate stays constant.",
            parts={
                "end": ClaimPart(statistic, curve_gap(arm(0.1), exact, running, end), Below(0.3)),
                "end, momentum 0.01": ClaimPart(
                    statistic, curve_gap(arm(0.01), exact, running, end)
                ),
            },
            traps=trap,
        ),
        Claim(
            id="B5c",
            sentence="The longer the average, the further running statistics lag.",
            says=says,
            experiments=("claim_ema",),
            protocol=protocol,
            rule="Mean gap over the whole run at momentum 0.01 above that at 0.1 by over 1 pp.",
            why_statistic=f"{GAPS} The length of the average alone is changed.",
            why_bound=POINT,
            would_change="Runs much longer than either average.",
            parts={
                "momentum 0.01 minus 0.1": ClaimPart(
                    statistic,
                    curve_contrast(arm(0.01), arm(0.1), exact, running, whole),
                    Above(1.0),
                )
            },
            traps=trap,
        ),
    ]
