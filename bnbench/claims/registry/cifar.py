"""Claims on CIFAR-10, in nets of the size that they are about: a programme for a GPU.

No part of the programme has been run: its numbers are from the literature, to compare with. The
settings are in configs/on_data/cifar10/, the cost in docs/gpu.md. Claims about perceptrons and
small nets have no form here; claims that need no runs are the same on every data set.
"""

from collections.abc import Mapping
from dataclasses import replace

from bnbench.claims.records import Below, Claim
from bnbench.claims.registry import batches, convergence, mechanism, shift
from bnbench.claims.registry.parts import EQUAL, accuracy, arms_of, as_good, more_accurate, pair
from bnbench.claims.registry.setting import CIFAR, COSINE

VGG_16 = "VGG-16 with one linear layer on top, He's weights, no dropout, no weight decay"
VGG_A = "VGG configuration A (8 convolutions, one linear layer on top), Glorot's weights, plain SGD"
FEW_SEEDS = "Few seeds: only large and steady effects pass."
UNTRAINED = (
    "Without norm VGG-16 may not train at a rate that suits BN, or in some seeds not at all. Such "
    "runs count with the accuracy that they have."
)
LEFT_OUT = (
    "No weight decay and no dropout, which the best published numbers of such nets have: ours may "
    "end some points lower."
)
SANTURKARS = (
    "Santurkar et al. 2018 name the VGG, rate 0.1, batches of 128, 15,000 steps and Glorot's "
    "weights; without momentum, with one linear layer and at a second rate is our reading."
)
AT_A_RATE = (
    "At a matched rate the net without norm may diverge, so that a part has no number, or stay at "
    "chance, where its gradients say nothing: see the accuracies."
)
IMAGES = {"plain images": "none", "augmented images": "light"}
PERCEPTRON = "No form on CIFAR-10: its perceptrons are judged on digits and Fashion-MNIST."
SMALL_NET = "No form on CIFAR-10: its small nets are judged on digits and Fashion-MNIST."
OF_SMALL_NETS = ("C2b", "C8", "D1", "D3a", "D3b", "D3g", "D4", "B2b")


def claims(small: Mapping[str, Claim]) -> dict[str, Claim]:
    """Give the claims of the small data sets their form on CIFAR-10."""
    forms = {claim.id: claim for claim in (*orders(), ends(small), *mechanisms(), *statistics())}
    return {name: forms.get(name) or absent(claim) for name, claim in small.items()}


def absent(claim: Claim) -> Claim:
    """A claim without a form on CIFAR-10; those that need no runs, or none has, stay."""
    if not any(name.startswith("claim_") for name in claim.experiments):
        return claim
    reason = SMALL_NET if claim.id.startswith(OF_SMALL_NETS) else PERCEPTRON
    return replace(claim, experiments=(), parts={}, overlay=None, reason=reason)


def orders() -> list[Claim]:
    """C3: the ladder of rates in VGG-16."""
    caveats = (
        "The paper's net is an Inception on ImageNet: its orders are the target, not its numbers.",
        "Where no net without norm trains at x1 the orders in speed are those of BN alone.",
    )
    found = convergence.ladder_of_rates(CIFAR, "vgg16", "VGG-16")
    return [replace(claim, caveats=(*caveats, FEW_SEEDS)) for claim in found]


def ends(small: Mapping[str, Claim]) -> Claim:
    """C6c: the end of VGG-16, on plain and on augmented images."""
    arm = arms_of("claim_accuracy", "norm.name", "data.augment")
    pairs = {
        words: (arm("batchnorm", augment), arm("none", augment))
        for words, augment in IMAGES.items()
    }
    claim = small["C6c"]
    return replace(
        claim,
        says=(
            f"{claim.says}. Targets on CIFAR-10: Santurkar et al. 2018, VGG, 80 to 83 %, "
            "augmented 88 to 92 %; Normalization-Benchmark, VGG-16, 92.01 to 94.12 % (one run)"
        ),
        experiments=("claim_accuracy",),
        protocol=(
            f"{VGG_16}; plain and augmented images, {CIFAR.budget('accuracy')}; {COSINE}, each "
            "side at the best of at least six rates."
        ),
        rule="Within ±1 pp of test accuracy (TOST), with and without augmentation.",
        parts={
            **{
                words: more_accurate(*arms, EQUAL, words="with BN minus without")
                for words, arms in pairs.items()
            },
            **{
                f"{words}, {side}": accuracy(one)
                for words, arms in pairs.items()
                for side, one in zip(("with BN", "without"), arms, strict=True)
            },
        },
        caveats=(UNTRAINED, LEFT_OUT, FEW_SEEDS),
        reason="",
    )


def mechanisms() -> list[Claim]:
    """M2 and M4 in the VGG of Santurkar et al. 2018, M9 in VGG-16."""
    ends_at = {
        f"{words}, rate {rate:g}": accuracy(arm)
        for rate in CIFAR.rates["ics"]
        for words, arm in zip(("with BN", "without BN"), pair("claim_ics", rate), strict=True)
    }
    target = "Targets: that VGG ends at 80 % without BN and 83 % with it"
    caveats = (SANTURKARS, AT_A_RATE, FEW_SEEDS)
    gradients = [
        replace(
            claim,
            says=f"{claim.says}. {target}",
            experiments=("claim_ics",),
            parts={
                **{name: part for name, part in claim.parts.items() if "linear" not in name},
                **(ends_at if claim.id == "M2a" else {}),
            },
            caveats=caveats,
        )
        for claim in mechanism.gradients(CIFAR, VGG_A, range(2, 9))
    ]
    smoother = [
        replace(claim, says=f"{claim.says}. {target}", caveats=caveats)
        for claim in mechanism.smoothness(CIFAR, VGG_A)
    ]
    regularised = [
        replace(
            claim,
            says=(
                f"{claim.says}. Targets on CIFAR-10, ResNet-44: batches of 128 92.83 %, of 2,048 "
                "86.10, with a larger rate 89.30, with ghosts of 128 90.50, with more steps 93.07"
            ),
            caveats=(
                "VGG-16, where Hoffer et al. train a ResNet-44: the order is the target.",
                "Rate 0.4 is 0.1 times the square root of 2048/128.",
                FEW_SEEDS,
            ),
        )
        for claim in mechanism.regularises(CIFAR, VGG_16, (8, 32, 128, 512))
    ]
    return [*gradients, *smoother, *regularised]


def statistics() -> list[Claim]:
    """B1 and D2 in VGG-16."""
    sized = arms_of("claim_batch", "norm.name", "batch_size")
    target = "Targets on CIFAR-10, ResNet-20: 93.0 % with BN at 128, 91.2 at 32 (FRN's page)"
    protocol = (
        f"{VGG_16}; Group Normalization with 32 groups as in its paper; {CIFAR.budget('batch')}; "
        f"{COSINE}, each at the best of at least five rates for each batch size."
    )
    caveats = (
        "VGG-16, where Wu & He train a ResNet-50 on ImageNet: the order is the target.",
        "Images have places: the deepest layers see 4 values per channel and image.",
        FEW_SEEDS,
    )
    parts = {
        "B1b": {"batch 2": batches.bn_minus_gn(sized("batchnorm", 2), Below(-5.0))},
        "B1c": {
            f"batch {size}": batches.bn_minus_gn(sized("batchnorm", size), as_good())
            for size in (16, 64)
        },
    }
    small = {claim.id: claim for claim in batches.small_batches(CIFAR)}
    repairs = shift.repairs(CIFAR)
    return [
        *(
            replace(
                small[name],
                says=f"{small[name].says}. {target}",
                protocol=protocol,
                parts=own,
                caveats=caveats,
            )
            for name, own in parts.items()
        ),
        replace(
            repairs,
            says=f"{repairs.says} (WRN-28-10, severity 5): the target",
            protocol=f"{VGG_16}; {CIFAR.budget('shift')}; {COSINE}; severities 1, 3, 5.",
            caveats=(
                "VGG-16 under our own contrast, brightness, noise and blur, not CIFAR-10-C, which "
                "has fifteen corruptions: errors are not comparable, the share won back is.",
                UNTRAINED,
                FEW_SEEDS,
            ),
        ),
    ]
