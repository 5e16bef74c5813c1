"""Labels for people: names of columns, metrics, values and arms in words."""

import json
import math
import re
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from itertools import groupby
from typing import Any

from bnbench.config.points import split_key

COLUMNS = {
    "step": "training step",
    "samples": "training samples seen",
    "norm.name": "norm",
    "model.name": "model",
    "model.widths": "widths",
    "model.depth": "depth",
    "optim.name": "optimiser",
    "optim.base_lr": "base learning rate",
    "optim.lr": "learning rate",
    "optim.lr_mult": "learning rate multiplier",
    "optim.lr_scaling": "rate",
    "train.steps": "training steps",
    "train.trainable": "trained parameters",
    "policy": "statistics",
    "data.batches": "batches",
    "data.split_seed": "split of the images",
    "data.pixels": "pixels",
    "data.tasks": "tasks in a row",
    "model.activation": "activation",
    "model.dropout": "dropout",
    "model.dropout_place": "place of dropout",
    "model.norm_layers": "norm on",
    "model.branch": "residual branches",
    "model.order": "order in residual blocks",
    "model.init": "initial weights",
    "model.init_scale": "scale of the initial weights",
    "norm.affine": "gamma and beta",
    "norm.ghost_size": "ghost size",
    "norm.momentum": "momentum of the EMA",
    "norm.plugin": "text of the plugin",
    "model.plugin": "text of the plugin",
    "optim.lr_end": "last / first learning rate",
    "optim.weight_decay": "weight decay",
    "optim.decay_by": "decay",
}
SPLITS = {
    "train": "training",
    "val": "validation",
    "val_all": "whole validation",
    "test": "test",
    "test_swa": "SWA test",
    "test_weight_ema": "weight-EMA test",
}
POLICIES = {
    "ema": "EMA statistics",
    "cumulative": "cumulative statistics",
    "algorithm2": "statistics of Algorithm 2",
    "precise": "precise statistics",
    "adabn": "AdaBN statistics",
    "batch": "batch statistics",
    "blend": "blended statistics",
    "recalibrated": "recalibrated layers",
}
ABSENT = "–"  # a setting that an arm does not have
FIRST = ("model.name", "norm.name", "placement")
UNTOLD = ("train.policies", "train.policy_points")  # settings that tell how an arm was measured
UNITS = {"accuracy": "%", "loss": "nats", "loss_range": "nats"}
PROBES = {  # metrics of probes (docs/probes.md) whose names say too little
    "gradient_growth": "growth of the gradient per layer (ratio)",
    "drift": "drift of the median (share of the spread)",
    "drift_shape": "drift of the shape (Kolmogorov-Smirnov distance)",
    "saturation": "share of saturated values",
    "weight_norm": "norm of the weights",
    "effective_rate": "effective learning rate (rate / squared norm of the weights)",
    "variance_ratio": "variance in evaluation over the running one (ratio)",
    "identity_distance": "distance of γ, β from what would undo BN (in σ)",
    "identity_distance_unlearned": "distance of 1, 0 from what would undo BN (in σ)",
    "conditioning": "largest over mean eigenvalue of a layer's inputs (ratio)",
    "ics_cosine": "cosine of the gradients",
    "ics_distance": "distance of the gradients",
    "ics_relative": "relative distance of the gradients",
    **{
        f"{attack}_{size}": f"test accuracy under {words} of {size / 100:g} (share)"
        for attack, words in (("fgsm", "FGSM"), ("pgd", "PGD"))
        for size in (1, 3, 10)
    },
    "unattacked": "test accuracy without an attack (share)",
    "unablated": "test accuracy with all units (share)",
    "ablated": "test accuracy without units (share)",
    "ablation_area": "area under the ablation curve (share)",
    "ablation_area_mean": "area under the ablation curve of units at their means (share)",
    "single_loss": "loss of test accuracy by the worst single unit (share)",
    "loss_range": "range of the loss",
    "predictiveness": "greatest change of the gradient",
    "smoothness": "effective smoothness",
    "eigenvalue_1": "largest eigenvalue of the Hessian",
    "eigenvalue_20": "20th eigenvalue of the Hessian",
    "eigenvalue_ratio": "largest over 20th eigenvalue of the Hessian (ratio)",
    "population_eigenvalue_1": "largest eigenvalue of the Hessian, running statistics",
    "population_eigenvalue_20": "20th eigenvalue of the Hessian, running statistics",
    "population_eigenvalue_ratio": (
        "largest over 20th eigenvalue of the Hessian, running statistics (ratio)"
    ),
}
AXES = {  # columns with their units
    "batch_size": "batch size (images)",
    "norm.ghost_size": "size of a ghost (images)",
    "severity": "severity of the shift",
}
SWITCH = {True: "on", False: "off"}  # 1 and 0 where a table was read from CSV
NAMES: dict[str, dict[Any, str]] = {  # values whose names in the configuration are no words
    "norm.name": {
        "none": "no norm",
        "batchnorm": "BatchNorm",
        "torch_batchnorm": "BatchNorm of torch",
        "layernorm": "LayerNorm",
        "groupnorm": "GroupNorm",
        "instancenorm": "InstanceNorm",
        "lrn": "LRN",
        "ghost_batchnorm": "ghost BatchNorm",
        "batch_renorm": "Batch Renorm",
        "noisy_batchnorm": "noisy BatchNorm",
        "noise": "noise alone",
        "l1_batchnorm": "L1 BatchNorm",
        "linf_batchnorm": "L∞ BatchNorm",
        "sync_batchnorm": "SyncBatchNorm",
        "l2norm": "L2 norm",
        "batchnorm_lrn": "BatchNorm, then LRN",
    },
    "model.name": {
        "mlp": "MLP",
        "sigmoid_mlp": "sigmoid MLP",
        "vgg": "VGG",
        "sigmoid_vgg": "sigmoid VGG",
        "vgg11": "VGG-11",
        "vgg16": "VGG-16",
        "residual_mlp": "residual MLP",
        "residual_vgg": "residual VGG",
    },
    "model.branch": {ABSENT: "as drawn", "skipinit": "SkipInit", "fixup": "Fixup"},
    "model.order": {
        ABSENT: "full pre-activation",
        "full_preactivation": "full pre-activation",
        "activation_only_preactivation": "pre-activation, activation alone",
    },
    "data.name": {"fashion_mnist": "Fashion-MNIST", "mnist": "MNIST", "cifar10": "CIFAR-10"},
    "optim.name": {"sgd": "SGD", "adam": "Adam"},
    "model.activation": {"relu": "ReLU"},
    "model.init": {
        "he": "He",
        "xavier": "Xavier",
        "xavier_sigmoid": "Xavier for sigmoids",
        "gaussian": "Gaussian",
    },
    "model.dropout_place": {"blocks": "behind every block", "head": "before the head"},
    "model.norm_layers": {
        "every": "every layer",
        "first": "the first layer",
        "last": "the last layer",
        "alternate": "one layer in two",
        "input": "the data alone",
    },
    "optim.decay_by": {
        "penalty": "on all weights",
        "head": "on the head alone",
        "rescaling": "by norms alone",
    },
    "optim.lr_scaling": {"none": "fixed", "linear": "∝ batch", "sqrt": "∝ √batch"},
    "placement": {"pre": "before activation", "post": "after activation"},
    "train.trainable": {ABSENT: "all", "norm": "norms"},
    "data.split_seed": {"per_seed": "of each seed"},
    "data.pixels": {"unit": "0 to 1", "bytes": "0 to 255"},
    "shift": {"gaussian_noise": "Gaussian noise", "class_sorted": "sorted by class"},
    "policy": {
        "ema": "EMA",
        "algorithm2": "Algorithm 2",
        "adabn": "AdaBN",
        "batch": "test batch",
    },
    **dict.fromkeys(("norm.affine", "norm.scale", "norm.bias"), SWITCH),
}
LEVELS = {
    "optim.lr_mult": "×{}",
    "model.init_scale": "weights ×{}",
    "hidden_layers": "{} hidden layers",
}
SIDES = {  # settings as one side of a comparison
    ("norm.name", "none"): "without a norm",
    ("placement", "pre"): "with the norm before the activation",
    ("placement", "post"): "with the norm after the activation",
    ("norm.affine", True): "with gamma and beta",
    ("norm.affine", False): "without gamma and beta",
    ("data.batches", "frozen"): "with the same batches in every epoch",
    ("data.batches", "reshuffled"): "with new batches in every epoch",
    ("data.batches", "two_classes"): "with two classes in each batch",
    ("train.trainable", "norm"): "with gamma, beta and the head trained",
    ("train.trainable", "head"): "with the head alone trained",
    ("optim.lr_end", 0.000001): "with a rate that decays six times as fast",
}
TRAINING = "train@batch"  # losses of training steps, in training mode, and metrics of probes
SELF_EXPLAINING = ("norm.name", "model.name", "optim.name", "placement", "shift")


def column_label(column: str) -> str:
    """Write a column in words: `optim.lr_mult` is the learning rate multiplier."""
    return COLUMNS.get(column, column.replace(".", " ").replace("_", " "))


def metric_label(key: str) -> str:
    """Write a metric key in words and unit: `val@precise/accuracy`, a validation accuracy in %."""
    split, metric, layer = split_key(key)
    of = f" of {'layer ' * layer.isdigit()}{layer}" if layer else ""
    if split == TRAINING or metric in PROBES:
        named = metric.replace("_", " ")
        words = f"training {named} in training mode" if key == f"{TRAINING}/loss" else named
        words, _, unit = PROBES.get(metric, words).partition(" (")
        unit = unit.rstrip(")") or UNITS.get(metric)
        return f"{words}{of} ({unit})" if unit else words + of
    split, _, policy = split.partition("@")
    split, is_of_tasks, task = split.partition("_task")
    words = f"{SPLITS.get(split, split)} {metric.replace('_', ' ')}"
    if is_of_tasks:
        words += " among the classes of a task" if task == "s" else f" of task {task[1:]}"
    words += of
    words += f", {POLICIES.get(policy, policy)}" if policy else ""
    return f"{words} ({UNITS[metric]})" if metric in UNITS else words


def is_accuracy(key: str) -> bool:
    """Whether a metric is a share that people read in percent."""
    return split_key(key)[1] == "accuracy"


def value_label(value: Any) -> str:
    """Write a value of a column: 64.0 as 64, [100, 100] as 2×100, an absent one as a dash."""
    if isinstance(value, str) and value.startswith("["):
        with suppress(ValueError):  # a text that begins like a list but is none
            value = json.loads(value)
    if isinstance(value, list):
        return _list_label(value)
    if isinstance(value, str):
        return value
    return ABSENT if value is None or math.isnan(value) else f"{value:.9g}"


def _list_label(values: list[Any]) -> str:
    groups = [(value, len(list(same))) for value, same in groupby(values)]
    return ", ".join(f"{n}×{value}" if n > 1 else str(value) for value, n in groups)


def axis_label(column: str) -> str:
    """Write a column in words with its unit, for an axis."""
    return AXES.get(column, column_label(column))


def name_label(column: str, value: Any) -> str:
    """Write a value for figures: `gaussian_noise` as Gaussian noise, `mlp` as MLP.

    Tables keep the names of the configuration, which a command line needs.
    """
    known = NAMES.get(column, {})
    if isinstance(value, Hashable) and value in known:
        return known[value]
    text = value_label(value)
    return text.replace("_", " ") if isinstance(value, str) else text


def setting_name(column: str, value: Any) -> str:
    """Write one setting for figures: `learning rate 0.3`, or `MLP`, which explains itself."""
    name = name_label(column, value)
    return name if column in SELF_EXPLAINING else f"{column_label(column)} {name}"


def plain_label(text: str) -> str:
    """Replace names of shifts and data sets in a text: `gaussian_noise` by Gaussian noise."""
    for column in ("shift", "data.name"):
        for name, words in NAMES[column].items():
            text = re.sub(rf"\b{name}\b", words, text)
    return text


def drawn_label(text: str) -> str:
    """Escape a text for matplotlib, which would read a formula between dollars.

    Characters that no font has, such as the escape sequences of terminals, become their codes.
    """
    return escaped(text, keep="\n\xa0").replace("$", r"\$")


def escaped(text: str, keep: str = "") -> str:
    """Escape a text for any file and terminal: unprintable characters become their codes.

    >>> print(escaped("a\\x1b[2Jb"))
    a\\x1b[2Jb
    """
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def ranges_label(numbers: list[int]) -> str:
    """Write sorted integers as ranges: [0, 1, 2, 7] as `0–2, 7`."""
    runs = groupby(enumerate(numbers), lambda item: item[1] - item[0])
    ends = [(own[0][1], own[-1][1]) for own in (list(same) for _, same in runs)]
    return ", ".join(f"{a}–{b}" if a < b else str(a) for a, b in ends)


def count_label(number: int, noun: str) -> str:
    """Write a count with its noun: `1 seed`, `2 seeds`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration_label(seconds: float) -> str:
    """A duration as hours, where there are some, minutes and seconds: `1:01:05`, `0:59`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def arm_words(settings: Mapping[str, Any], columns: Iterable[str]) -> str:
    """Write an arm in words, by some columns; settings that the arm lacks are left out."""
    told = ((column, settings.get(column)) for column in columns)
    return " · ".join(level_label(*setting) for setting in told if is_had(*setting))


def telling(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """List the columns that distinguish some arms.

    Those of `FIRST` that vary, then others that vary within one model. If no column varies, as for
    a single arm, all of `FIRST`.

    Args:
        settings: arm id -> its science config with dotted keys.
    """
    values: dict[str, dict[str, set[str]]] = {}  # column -> model -> values
    for own in settings.values():
        for column, value in own.items():
            if column not in UNTOLD and is_had(column, value):
                models = values.setdefault(column, {})
                models.setdefault(own["model.name"], set()).add(str(value))
    names = [c for c in FIRST if len(set().union(*values.get(c, {}).values())) > 1]
    varying = [c for c in values if c not in FIRST and max(map(len, values[c].values())) > 1]
    return [*names, *varying] if names or varying else list(FIRST)


def level_label(column: str, value: Any) -> str:
    """Write a setting as a level of a factor: `×5`, `10 hidden layers`, `batch size 16`."""
    known = LEVELS.get(column)
    return known.format(value_label(value)) if known else setting_name(column, value)


def side_label(settings: Mapping[str, Any]) -> str:
    """Write what one side of a comparison has: `with BatchNorm`, `after the activation`."""
    known = (SIDES.get((column, value)) for column, value in settings.items())
    words = zip(known, settings.items(), strict=True)
    return ", ".join(
        phrase or f"{'at' if own[0] in LEVELS else 'with'} {level_label(*own)}"
        for phrase, own in words
    )


def list_label(words: Iterable[str], last: str = "and") -> str:
    """Join words as a sentence does: `a, b and c`.

    >>> list_label(["a", "b", "c"]), list_label(["a"])
    ('a, b and c', 'a')
    """
    *first, end = [*words] or [""]
    return f"{', '.join(first)} {last} {end}" if first else end


def arm_labels(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Write arms in words, each by the columns that distinguish them (`telling`)."""
    columns = telling(settings)
    return {arm: arm_words(own, columns) for arm, own in settings.items()}


def is_had(column: str, value: Any) -> bool:
    """Whether an arm has a setting: a net without norm has no placement."""
    is_nan = isinstance(value, float) and math.isnan(value)
    return value is not None and not is_nan and (column, value) != ("placement", "none")
