"""Range checks: what no schema can say about a configuration, each refused in one line."""

import math
import re
from collections.abc import Callable
from typing import Any

from bnbench.schema import (
    BATCH_NORMS,
    DATA_SHAPES,
    DATA_SIZES,
    MLPS,
    SPATIAL_NORMS,
    Config,
    GroupNorm,
    Policy,
)


class RequestError(ValueError):
    """A request that cannot be run: its text is the one line that the user sees."""


Rule = tuple[Callable[[Any], bool], str]
POSITIVE: Rule = (lambda v: math.isfinite(v) and v > 0, "a finite number > 0")
NOT_NEGATIVE: Rule = (lambda v: math.isfinite(v) and v >= 0, "a finite number >= 0")
SHARE: Rule = (lambda v: 0 <= v < 1, "a number >= 0 and < 1")
PART: Rule = (lambda v: 0 < v <= 1, "a number > 0 and <= 1")
COUNT: Rule = (lambda v: v >= 1, "an integer >= 1")
COUNTS: Rule = (lambda v: len(v) > 0 and min(v) >= 1, "a non-empty list of integers >= 1")


def distinct(test: Callable[[Any], bool], words: str) -> Rule:
    """The rule for a list without repetitions whose every item passes the test."""
    return (lambda v: len(set(v)) == len(v) and all(map(test, v)), f"a list of distinct {words}")


NAME = re.compile(r"[A-Za-z0-9_.-]+( +[A-Za-z0-9_.-]+)*")  # of a W&B project or entity
WORDS = "a name of letters, digits, spaces and any of _ . -"
RULES: dict[str, Rule] = {
    "model.widths": COUNTS,
    "model.depth": COUNTS,
    "model.dropout": SHARE,
    "norm.momentum": (lambda v: v is None or 0 <= v <= 1, "null or a number from 0 to 1"),
    "norm.eps": POSITIVE,
    "norm.groups": COUNT,
    "norm.size": COUNT,
    "norm.alpha": POSITIVE,
    "norm.beta": POSITIVE,
    "norm.k": POSITIVE,
    "optim.base_lr": POSITIVE,
    "optim.lr_mult": POSITIVE,
    "optim.weight_decay": NOT_NEGATIVE,
    "optim.lr_end": PART,
    "optim.momentum": SHARE,
    "optim.beta1": SHARE,
    "optim.beta2": SHARE,
    "optim.eps": POSITIVE,
    "data.split_seed": (lambda v: v >= 0, "an integer >= 0"),
    "data.default_epochs": COUNT,
    "shift.severities": (
        lambda v: len(v) > 0 and len(set(v)) == len(v) and set(v) <= {1, 2, 3, 4, 5},
        "a non-empty list of distinct integers from 1 to 5",
    ),
    "track.project": (lambda v: bool(NAME.fullmatch(v)), WORDS),
    "track.entity": (lambda v: v is None or bool(NAME.fullmatch(v)), f"null or {WORDS}"),
    "shift.names": distinct(lambda v: True, "shifts"),
    "batch_size": COUNT,
    "train.steps": (lambda v: v is None or v >= 1, "null or an integer >= 1"),
    "train.epochs": (lambda v: v is None or v >= 1, "null or an integer >= 1"),
    "train.epoch_batch": (lambda v: v is None or v >= 1, "null or an integer >= 1"),
    "train.eval_points": COUNT,
    "train.thresholds": distinct(lambda v: 0 < v <= 1, "accuracies > 0 and <= 1"),
    "train.policies": distinct(lambda v: True, "policies"),
    "seeds": (
        lambda v: len(v) > 0 and len(set(v)) == len(v) and min(v) >= 0,
        "a non-empty list of distinct integers >= 0",
    ),
    "threads": COUNT,
    "results": (lambda v: bool(v.strip()), "the path of a folder"),
}

ABSENT = object()  # a key that the chosen norm or optimiser does not have


def check(config: Config) -> None:
    """Refuse values out of range and combinations that cannot be trained (`RequestError`)."""
    for key, (test, words) in RULES.items():
        part, _, name = key.partition(".")
        value = getattr(config, part)
        value = getattr(value, name, ABSENT) if name else value
        if value is not ABSENT and not test(value):
            raise RequestError(f"{key}={shown(value)}: expected {words}")
    check_fit(config)


def check_fit(config: Config) -> None:
    """Refuse keys that are each in range but do not fit together (`RequestError`)."""
    model, norm, train = config.model, config.norm, config.train
    size, side = DATA_SIZES[config.data.name][0], DATA_SHAPES[config.data.name][1]
    if len(model.depth) not in (1, len(model.widths)):
        raise RequestError(
            f"model.depth={shown(model.depth)}: expected one entry or one for each of the "
            f"{len(model.widths)} model.widths"
        )
    if model.name not in MLPS and 2 ** len(model.widths) > side:
        raise RequestError(
            f"model.widths={shown(model.widths)}: images of side {side} ({config.data.name}) can "
            f"be halved {int(math.log2(side))} times, expected at most so many stages"
        )
    if config.batch_size > size:
        raise RequestError(
            f"batch_size={config.batch_size}: expected at most {size}, the training images of "
            f"{config.data.name}"
        )
    if config.batch_size == 1 and norm.name in BATCH_NORMS and model.name in MLPS:
        raise RequestError(
            f"batch_size=1: {norm.name} in an MLP would see one value per channel, expected >= 2"
        )
    if norm.name in SPATIAL_NORMS and model.name in MLPS:
        raise RequestError(f"norm={norm.name}: an MLP has one value per channel, expected a vgg")
    if isinstance(norm, GroupNorm) and any(width % norm.groups for width in model.widths):
        raise RequestError(
            f"norm.groups={norm.groups}: expected a divisor of every entry of "
            f"model.widths={shown(model.widths)}"
        )
    if isinstance(norm, GroupNorm) and model.name in MLPS and norm.groups in model.widths:
        raise RequestError(f"norm.groups={norm.groups}: groups of one value each, expected fewer")
    if train.steps is not None and train.epochs is not None:
        raise RequestError(
            f"train.steps={train.steps} train.epochs={train.epochs}: expected one of the two"
        )
    if train.epoch_batch is not None and train.epoch_batch > size:
        raise RequestError(
            f"train.epoch_batch={train.epoch_batch}: expected at most {size}, the training images "
            f"of {config.data.name}"
        )
    if Policy.ema not in train.policies:
        raise RequestError(
            f"train.policies={shown(train.policies)}: expected ema among them (thresholds read it)"
        )
    if config.probes:
        raise RequestError(f"probes={shown(config.probes)}: expected [], there are no probes yet")


def shown(value: Any) -> str:
    """A value as the user would type it."""
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
