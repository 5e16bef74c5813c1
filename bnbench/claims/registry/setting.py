"""What the claims have in common, and the facts in which two data sets differ."""

from collections.abc import Mapping
from dataclasses import dataclass

AT_BEST = "each side at the best of at least four rates on seeds 100-104"
COSINE = "rates decaying to 1 % (cosine)"
CONSTANT = "constant rates"

# why a statistic measures what a sentence says
AREA = (
    "The mean validation accuracy over the whole budget counts how soon every accuracy is reached, "
    "not one that suits a side. The ladder of thresholds stands beside it."
)
END = (
    "The mean test accuracy of the last five evaluations of a run whose rate has decayed: no lucky "
    "evaluation, and no net that is still jumping."
)
GAPS = (
    "A difference of differences: what both sides would show without the cause in question is "
    "taken away."
)
YES_NO = "Whether a net trains at all is yes or no, and is counted: an exact test of a share."

# why a bound is where it is
POINT = "1 pp is what a reader would change a net for, and what tables of papers tell apart."
SIGN = "The sentence claims no more than a direction."
AS_GOOD = "Less than 1 pp behind is as good: half of what papers call a gain on such data."

# what would change our mind
OTHER_RATES = "The other sign at the rates beside the best, or with more steps."
LARGER = "The other sign in larger nets, or on more and harder images."


@dataclass(frozen=True)
class Setting:
    """The facts of one data set that its claims name.

    Attributes:
        data: as in configs/data.
        images: what is trained on, and what the seeds draw.
        budgets: experiment, without `claim_` -> its budget, in words.
        rates: experiment -> the learning rates that are not tuned.
        x1: the rate that C3 multiplies.
        x1_place: where that rate stands.
        at_64: steps of claim_batch at batches of 64: in its epochs, and as many as at 2.
        conv_widths: the channels of the convolutional nets of claim_shift.
        conv_severities: the severities of shift that these are evaluated under.
        attack: the size of the attacks that decide, in percent of the range of pixels.
    """

    data: str
    images: str
    budgets: Mapping[str, str]
    rates: Mapping[str, tuple[float, ...]]
    x1: float
    x1_place: str
    at_64: tuple[int, int] = (0, 0)
    conv_widths: tuple[int, int] = (16, 32)
    conv_severities: tuple[int, ...] = (1, 3, 5)
    attack: str = "3"

    def budget(self, experiment: str) -> str:
        """Tell the budget of an experiment, and the images it is spent on."""
        return f"{self.budgets[experiment]}; {self.images}"

    def rate_in_test_batches(self, experiment: str) -> float | None:
        """Return the rate of arms for statistics of test batches alone; None where none are."""
        return next(iter(self.rates.get(experiment.removeprefix("claim_"), ())), None)


DIGITS = Setting(
    "digits",
    "every seed draws training, validation and test images anew from all 1,797",
    {
        "sigmoid": "1,000 steps of 60",
        "rates": "320 steps of 64",
        "rates_vgg": "320 steps of 64",
        "depth": "320 steps of 64",
        "depth_long": "960",
        "stability": "320 steps of 64",
        "accuracy": "320 steps of 64",
        "bundle": "320 steps of 64",
        "decay": "1,000 steps of 64",
        "lrn": "320 steps of 64",
        "shuffle": "320 steps of 64",
        "drift": "600 steps of 60",
        "ics": "320 steps of 64",
        "noise": "320 steps of 64",
        "landscape": "400 steps of 64",
        "norms": "320 steps of 64",
        "growth": "as drawn, before any step",
        "ghost": "40 epochs in batches of 256",
        "large": "40 epochs in batches of 512",
        "placement": "320 steps of 64",
        "affine": "320 steps of 64",
        "freeze": "320 steps of 64",
        "batch": "3 epochs at each batch size",
        "batch_steps": "1,617 steps of 64, as many as batches of 2 take",
        "classes": "320 steps of 64",
        "ema": "300 steps of 64",
        "shift": "320 steps of 64",
        "shift_mlp": "320 steps of 64",
        "init": "320 steps of 64",
        "adam": "320 steps of 64",
        "dropout": "320 steps of 64",
        "averages": "320 steps of 64",
        "residual": "100 steps of 64",
        "orders": "100 steps of 64",
        "layers": "160 steps of 64",
        "inputs": "320 steps of 64",
        "attacks": "320 steps of 64",
        "drift_deep": "320 steps of 64",
        "undo": "320 steps of 64",
        "curvature": "320 steps of 64",
        "conditioning": "320 steps of 64",
        "weight_decay": "320 steps of 64",
        "tasks": "200 steps of 64, 40 for each of five tasks",
    },
    {
        "rates": (0.1,),
        "rates_vgg": (0.01,),
        "drift": (0.3, 1.0),
        "ics": (0.03, 0.1),
        "noise": (0.1,),
        "landscape": (0.03,),
        "conditioning": (0.1, 1.0),
        "ghost": (0.1,),
        "drift_deep": (0.03,),
        "undo": (1.0, 0.1),
        "weight_decay": (0.1,),
    },
    0.03,
    "a third of the rate that is best for the net without BN, so that 30 times it exists at all",
    (48, 1617),
    attack="10",
)
FASHION = Setting(
    "fashion_mnist",
    "a fixed split of its 60,000 images, 10,000 of them for validation, and its own test images",
    {
        "sigmoid": "3,000 steps of 60",
        "rates": "1,562 steps of 64",
        "rates_vgg": "781 steps of 64",
        "depth": "1,000 steps of 64",
        "depth_long": "3,000",
        "stability": "400 steps of 64",
        "accuracy": "781 steps of 64",
        "bundle": "780 steps of 64, 10,000 training images",
        "decay": "4,000 steps of 64, 10,000 training images",
        "lrn": "390 steps of 64",
        "shuffle": "1,560 steps of 64, 5,000 training images",
        "drift": "1,500 steps of 60",
        "ics": "781 steps of 64",
        "noise": "781 steps of 64",
        "landscape": "400 steps of 64",
        "norms": "two epochs: 1,562 steps of 64",
        "growth": "as drawn, before any step",
        "ghost": "20 epochs of 10,000 images in batches of 1,024",
        "large": "20 epochs of 10,000 images in batches of 1,024",
        "placement": "781 steps of 64",
        "affine": "781 steps of 64",
        "freeze": "two epochs: 1,562 steps of 64",
        "batch": "one epoch of 5,000 images at each batch size",
        "batch_steps": "2,500 steps of 64, as many as batches of 2 take",
        "classes": "781 steps of 64",
        "ema": "300 steps of 64",
        "shift": "781 steps of 64",
        "shift_mlp": "781 steps of 64",
        "init": "781 steps of 64",
        "adam": "781 steps of 64",
        "dropout": "781 steps of 64",
        "averages": "781 steps of 64",
        "residual": "300 steps of 64",
        "orders": "300 steps of 64",
        "layers": "300 steps of 64",
        "inputs": "781 steps of 64",
        "attacks": "781 steps of 64",
        "drift_deep": "781 steps of 64",
        "undo": "781 steps of 64",
        "curvature": "781 steps of 64",
        "conditioning": "781 steps of 64",
        "weight_decay": "780 steps of 64, 10,000 training images",
        "tasks": "300 steps of 64, 60 for each of five tasks",
    },
    {
        "rates": (0.01,),
        "rates_vgg": (0.01,),
        "shift": (0.1,),
        "drift": (0.3, 1.0),
        "ics": (0.01, 0.03),
        "noise": (0.03,),
        "landscape": (0.03,),
        "curvature": (0.03,),
        "conditioning": (0.03, 0.03),
        "ghost": (0.1,),
        "batch": (0.01,),
        "drift_deep": (0.01,),
        "undo": (0.3, 0.1),
        "weight_decay": (0.1,),
    },
    0.01,
    "the rate that is best for the net without BN",
    (78, 2500),
    (8, 16),
    (5,),
)
CIFAR = Setting(
    "cifar10",
    "40,000 training images and 10,000 test images",
    {
        "rates": "60 epochs of batches of 128: 18,720 steps",
        "accuracy": "60 epochs of batches of 128: 18,720 steps",
        "ics": "15,000 steps of 128",
        "landscape": "15,000 steps of 128",
        "ghost": "100 epochs in batches of 2,048: 1,900 steps",
        "batch": "10 epochs at each batch size: 200,000 steps at 2, 6,250 at 64",
        "batch_steps": "as many steps as batches of 2 take",
        "shift": "60 epochs of batches of 128: 18,720 steps, augmented images",
    },
    {"ics": (0.03, 0.1), "landscape": (0.1,), "ghost": (0.4,)},
    0.01,
    "not tuned: before these runs it is set to what claim_accuracy finds",
)
