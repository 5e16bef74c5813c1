"""What columns, metrics and values are called where people read them."""

import json
import math
from collections.abc import Iterable, Mapping
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
NAMES = ("model.name", "norm.name", "placement")
UNTOLD = ("train.policies",)  # settings that tell how an arm was measured
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


def arm_words(settings: Mapping[str, Any], columns: Iterable[str]) -> str:
    """An arm in words, by some of its settings; what it does not have is left out."""
    told = ((column, settings.get(column)) for column in columns)
    return " · ".join(setting_label(*setting) for setting in told if _is_had(*setting))


def telling(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The columns that tell arms apart: `NAMES` that differ, then what else does within a model.

    All of `NAMES` where they tell nothing, as of a single arm.

    Args:
        settings: arm id -> its science config with dotted keys.
    """
    values: dict[str, dict[str, set[str]]] = {}  # column -> model -> values
    for own in settings.values():
        for column, value in own.items():
            if column not in UNTOLD and _is_had(column, value):
                models = values.setdefault(column, {})
                models.setdefault(own["model.name"], set()).add(str(value))
    names = [c for c in NAMES if len(set().union(*values.get(c, {}).values())) > 1]
    varying = [c for c in values if c not in NAMES and max(map(len, values[c].values())) > 1]
    return [*names, *varying] if names or varying else list(NAMES)


def arm_labels(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Arms in the words of the report, each by what tells it from the others (`telling`)."""
    columns = telling(settings)
    return {arm: arm_words(own, columns) for arm, own in settings.items()}


def _is_had(column: str, value: Any) -> bool:
    is_nan = isinstance(value, float) and math.isnan(value)
    return value is not None and not is_nan and (column, value) != ("placement", "none")
