"""What columns, metrics and values are called where people read them."""

import json
import math
from contextlib import suppress
from itertools import groupby
from typing import Any

COLUMNS = {
    "step": "training step",
    "samples": "training samples seen",
    "norm.name": "norm",
    "model.name": "model",
    "optim.name": "optimiser",
    "optim.lr": "learning rate",
    "optim.lr_mult": "learning rate multiplier",
    "train.steps": "training steps",
    "train.trainable": "trained parameters",
    "policy": "statistics",
}
SPLITS = {"train": "training", "val": "validation", "test": "test"}
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
UNITS = {"accuracy": "%", "loss": "nats"}
ABSENT = "–"  # a setting that an arm does not have
SELF_EXPLAINING = ("norm.name", "model.name", "optim.name", "placement", "shift")


def column_label(column: str) -> str:
    """A column as words: `optim.lr_mult` is the learning rate multiplier."""
    return COLUMNS.get(column, column.replace(".", " ").replace("_", " "))


def metric_label(key: str) -> str:
    """A metric key as words with its unit: `val@precise/accuracy` is a validation accuracy in %."""
    split, metric, *layer = key.split("/", 2)
    split, _, policy = split.partition("@")
    words = f"{SPLITS.get(split, split)} {metric.replace('_', ' ')}"
    if layer:
        words += f" of {'layer ' * layer[0].isdigit()}{layer[0]}"
    words += f", {POLICIES.get(policy, policy)}" if policy else ""
    return f"{words} ({UNITS[metric]})" if metric in UNITS else words


def is_accuracy(key: str) -> bool:
    """Whether a metric is a share that people read in percent."""
    return key.split("/")[1] == "accuracy"


def value_label(value: Any) -> str:
    """A value of a column without noise: 64.0 is 64, [100, 100] is 2×100, an absent key a dash."""
    if isinstance(value, str) and value.startswith("["):
        with suppress(ValueError):  # it is no list but begins like one
            value = json.loads(value)
    if isinstance(value, list):
        return _list_label(value)
    if isinstance(value, str):
        return value
    return ABSENT if value is None or math.isnan(value) else f"{value:.9g}"


def _list_label(values: list[Any]) -> str:
    groups = [(value, len(list(same))) for value, same in groupby(values)]
    return ", ".join(f"{n}×{value}" if n > 1 else str(value) for value, n in groups)


def setting_label(column: str, value: Any) -> str:
    """One setting: `batch size 64`, and the value alone where it says enough."""
    if (column, value) == ("norm.name", "none"):
        return "no norm"
    if column in SELF_EXPLAINING:
        return value_label(value)
    return f"{column_label(column)} {value_label(value)}"


def ranges_label(numbers: list[int]) -> str:
    """Sorted integers in few words: [0, 1, 2, 7] is `0–2, 7`."""
    runs = groupby(enumerate(numbers), lambda item: item[1] - item[0])
    ends = [(own[0][1], own[-1][1]) for own in (list(same) for _, same in runs)]
    return ", ".join(f"{a}–{b}" if a < b else str(a) for a, b in ends)


def count_label(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
