"""B1 to B6: what Batch Normalization owes to the batch.

N0 to N4 are the notes of docs/myths.md.
"""

from bnbench.analysis.stats import ACCURACY, PRECISE
from bnbench.claims.records import Above, Below, Claim, ClaimPart, Target
from bnbench.claims.registry.parts import EQUAL, arms_of, gains_more, more_accurate
from bnbench.claims.statistics import curve_gap, gap
from bnbench.claims.study import StudyArm
from bnbench.claims.under_shift import change

sized = arms_of("claim_batch", "norm.name", "batch_size")


def bn_minus_gn(batch_size: int, target: Target | None = None, key: str = ACCURACY) -> ClaimPart:
    """The gap of B1 at one batch size."""
    arms = sized("batchnorm", batch_size), sized("groupnorm", batch_size)
    return more_accurate(*arms, target, key=key, words="BN minus Group Normalization")


IN_BATCHES = (
    "MLP 3×64, ReLU, 3 epochs at each batch size, each at the best of at least six rates on seeds "
    "100-102 for each batch size; seeds 0-19 at 16 and 64, 0-9 below."
)
SHORT = (
    "3 epochs instead of the 15 of the protocol, since batches of 2 take 539 steps an epoch: at 64 "
    "they are 48 steps, and nets are compared as far as they then are. Equal epochs, not steps."
)

B1 = Claim(
    id="B1",
    sentence="BN fails in very small batches and is as good as Group Normalization from 16 on.",
    says=(
        "N0 and N4; Wu & He 2018: ResNet-50 error with BN 23.6 % at 32 images a GPU, 24.8 at 8, "
        "34.7 at 2; with Group Normalization 24.1, 24.0 and 24.1"
    ),
    experiments=("claim_batch",),
    protocol=IN_BATCHES,
    rule="BN minus GN below -5 pp at 2, within ±1 pp at 16 and 64 (TOST).",
    parts={
        "batch 2": bn_minus_gn(2, Below(-5.0)),
        "batch 16": bn_minus_gn(16, EQUAL),
        "batch 64": bn_minus_gn(64, EQUAL),
        "batch 4": bn_minus_gn(4),
        "batch 2, precise statistics": bn_minus_gn(2, key=PRECISE),
    },
    traps=(
        "One rate for all batch sizes: tuned for each.",
        (
            "An MLP sees as many values per channel as images; a convolutional net has their "
            "places too."
        ),
        "The ragged last batch is dropped.",
    ),
    caveats=(SHORT, "TOST at 0.025, since one part is of a difference."),
)


def against_ema(batch_size: int, policy: str, target: Above | None = None) -> ClaimPart:
    """Accuracy under a policy minus that under the running statistics, of the same nets."""
    statistic = f"test accuracy (pp), {policy} minus running statistics"
    return ClaimPart(statistic, change(sized("batchnorm", batch_size), policy), target)


B2 = Claim(
    id="B2",
    sentence=(
        "In small batches evaluation is worse than the net: with the statistics of the test "
        "batch, as in training, it is better."
    ),
    says=(
        "N4; Singh & Shrivastava 2019 (EvalNorm): 6.18 pp are won back in evaluation at batch 2 "
        "on ImageNet"
    ),
    experiments=("claim_batch",),
    protocol=IN_BATCHES,
    rule=(
        "Statistics of test batches of 2 better than the running ones by more than 1 pp, at batch "
        "2."
    ),
    parts={
        "test batches of 2": against_ema(2, "batch", Above(1.0)),
        "precise statistics, batch 2": against_ema(2, "precise"),
        "test batches of 4": against_ema(4, "batch"),
        "precise statistics, batch 4": against_ema(4, "precise"),
        "test batches of 64": against_ema(64, "batch"),
        "precise statistics, batch 64": against_ema(64, "precise"),
    },
    traps=(
        (
            "Precise minus running statistics isolates the running average; what precise ones do "
            "not rescue was done in training."
        ),
    ),
    caveats=(
        SHORT,
        "Statistics of the test batch are transductive: an image's answer depends on its mates.",
    ),
)


def large(norm: str, batch_size: int) -> StudyArm:
    """An arm of claim_ghost in large batches, its rate tuned; ghosts are of 32."""
    ghosts = {"norm.ghost_size": 32} if norm == "ghost_batchnorm" else {}
    return StudyArm("claim_ghost", {"norm.name": norm, "batch_size": batch_size, **ghosts})


def large_parts(batch_size: int) -> dict[str, ClaimPart]:
    """The parts of B3 in batches of `batch_size`."""
    ghosts, plain = large("ghost_batchnorm", batch_size), large("batchnorm", batch_size)
    return {
        "ghosts of 32": more_accurate(ghosts, plain, Above(0.5), words="minus BN"),
        "ghosts of 32, rate of BN, tuning seeds": more_accurate(
            ghosts, plain, at=plain, words="minus BN"
        ),
    }


B3 = Claim(
    id="B3",
    sentence="In large batches Ghost Batch Normalization generalises better than BN.",
    says=(
        "Hoffer et al. 2017: ghosts close part of the gap between large and small batches without "
        "more updates"
    ),
    experiments=("claim_ghost",),
    protocol=(
        "MLP 3×128, ReLU, batches of 512 of 1,078 images, 40 epochs, ghosts of 32, each at the "
        "best of at least six rates on seeds 100-102; seeds 0-9."
    ),
    rule="Test accuracy above that of BN by more than 0.5 pp.",
    parts=large_parts(512),
    traps=("Large batches want another rate: tuned for each.",),
    caveats=("M9 has the dose and the response at one rate.",),
)


classes = arms_of("claim_classes", "norm.name", "data.batches")

B4 = Claim(
    id="B4",
    sentence=(
        "Batch Renormalization does better than BN in small batches, and in batches of few classes."
    ),
    says=(
        "Ioffe 2017: Inception-v3 in microbatches of 4: 74.2 % with BN, 76.5 with "
        "renormalisation; of 16 labels × 2: 78.5 with it, 76.5 with BN and statistics of the test "
        "batch"
    ),
    experiments=("claim_batch", "claim_classes"),
    protocol=f"Batch 4: {IN_BATCHES} Two classes: as B6. r up to 3, d up to 5 after 100 batches.",
    rule="Above BN by more than 1 pp of test accuracy, in both.",
    parts={
        "batch 4": more_accurate(
            sized("batch_renorm", 4), sized("batchnorm", 4), Above(1.0), words="minus BN"
        ),
        "two classes": more_accurate(
            classes("batch_renorm", "two_classes"),
            classes("batchnorm", "two_classes"),
            Above(1.0),
            words="minus BN",
        ),
        "mixed batches of 64": more_accurate(
            classes("batch_renorm", "reshuffled"),
            classes("batchnorm", "reshuffled"),
            words="minus BN",
        ),
    },
    traps=("The best rate depends on the norm and the batches: tuned for each.",),
    caveats=(SHORT,),
)


# B5
lagging = arms_of("claim_ema", "norm.momentum", "batch_size", rate=None)
MIDDLE = (0.2, 0.5)  # share of the run


def lag(
    momentum: float,
    batch_size: int,
    phase: tuple[float, float] | None,
    target: Above | Below | None = None,
) -> ClaimPart:
    """Precise minus running statistics, over a phase of the run, or at its end."""
    arm = lagging(momentum, batch_size)
    keys = ("val@precise/accuracy", "val/accuracy")
    measure = (
        curve_gap(arm, *keys, phase) if phase else gap(arm, arm, keys[0], baseline_key=keys[1])
    )
    statistic = "validation accuracy (pp), precise minus running statistics"
    return ClaimPart(statistic, measure, target)


def lag_parts(large_batch: int) -> dict[str, ClaimPart]:
    """Make the parts of B5, with readings at momentum 0.01 and in batches of `large_batch`."""
    many = f"batches of {large_batch}"
    return {
        "middle": lag(0.1, 64, MIDDLE, Above(1.0)),
        "end": lag(0.1, 64, None, Below(0.3)),
        "2 to 20 %": lag(0.1, 64, (0.02, 0.2)),
        "middle, momentum 0.01": lag(0.01, 64, MIDDLE),
        "end, momentum 0.01": lag(0.01, 64, None),
        f"middle, {many}": lag(0.1, large_batch, MIDDLE),
        f"end, {many}": lag(0.1, large_batch, None),
        f"middle, momentum 0.01, {many}": lag(0.01, large_batch, MIDDLE),
        f"end, momentum 0.01, {many}": lag(0.01, large_batch, None),
    }


B5 = Claim(
    id="B5",
    sentence=(
        "Running statistics lag behind the weights while a net trains, and no longer do when the "
        "rate has decayed."
    ),
    says=(
        "N0 ('parameters near the end are more accurate'), N3 and N4; Wu & Johnson 2021, section "
        "3; torch-residual-networks: momentum 1, 0.1 and 0.01 all end at 8.3 to 8.6 % error"
    ),
    experiments=("claim_ema",),
    protocol=(
        "MLP 3×100, ReLU, 300 steps at rates decaying to 1 % (cosine), momentum 0.1, batches of "
        "64; seeds 0-9."
    ),
    rule="Mean gap from 20 to 50 % of the run above 1 pp, at the end below 0.3 pp.",
    parts=lag_parts(512),
    traps=(
        "momentum is the weight of the new batch, as in torch.",
        (
            "Running statistics begin at 0 and 1: at 20 % of the run these weigh 0.2 % at "
            "momentum 0.1. At 0.01 they weigh 22 % at half of it, so that those readings show the "
            "start, not the lag."
        ),
    ),
)


# B6
COST = {  # norm -> the arms whose difference is the cost of batches of two classes
    norm: (classes(norm, "reshuffled"), classes(norm, "two_classes"))
    for norm in ("batchnorm", "layernorm", "batch_renorm", "none")
}

B6 = Claim(
    id="B6",
    sentence="Batches of few classes ruin BN, and not a norm that ignores the batch.",
    says="Ioffe 2017, section 4.3 (16 labels × 2); Wu & Johnson 2021, section 4",
    experiments=("claim_classes",),
    protocol=(
        "MLP 3×100, ReLU, 320 steps of 64 images of two classes, or mixed; each at the best of at "
        "least six rates on seeds 100-102; seeds 0-9."
    ),
    rule=(
        "What they cost BN (running statistics) above what they cost Layer Normalization, by more "
        "than 10 pp."
    ),
    parts={
        "cost beyond Layer Normalization's": gains_more(
            COST["batchnorm"], COST["layernorm"], Above(10.0)
        ),
        "the same, precise statistics": gains_more(
            COST["batchnorm"], COST["layernorm"], key=PRECISE
        ),
        "cost to BN": more_accurate(*COST["batchnorm"]),
        "cost to Layer Normalization": more_accurate(*COST["layernorm"]),
        "cost to Batch Renormalization": more_accurate(*COST["batch_renorm"]),
        "cost to no norm": more_accurate(*COST["none"]),
    },
    traps=("Such batches are hard for any net: the cost is compared with that to others.",),
)

BATCHES: dict[str, Claim] = {claim.id: claim for claim in (B1, B2, B3, B4, B5, B6)}
