"""From a composed configuration to a checked arm: range checks, canonical form, arm id, seeds.

Hydra composes YAML from `configs/`; `typed` turns the result into a `Config` or says in one line
what is wrong with it; `science` is the canonical part that decides the numbers, `arm_id` its name.
Nothing here imports torch: a bad request is refused before anything slow is loaded.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bnbench.schema import (
    BATCH_NORMS,
    DATA_SHAPES,
    DATA_SIZES,
    MLPS,
    NORM_CONFIGS,
    OPTIM_CONFIGS,
    SCHEMA,
    SPATIAL_NORMS,
    TUNED_BATCH,
    Config,
    GroupNorm,
    LrScaling,
    Policy,
    Schedule,
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


KINDS: dict[str, Mapping[str, type]] = {"norm": NORM_CONFIGS, "optim": OPTIM_CONFIGS}


def typed(plain: Mapping[str, Any]) -> Config:
    """The checked `Config` of a composed and resolved configuration without its hydra node.

    Raises:
        RequestError: a value is out of range or does not fit the rest of the request.
        omegaconf.errors.OmegaConfBaseException: unknown key, wrong type or bad name.
    """
    names = [f.name for f in fields(Config)]
    if unknown := [key for key in plain if key not in names]:
        raise RequestError(f"{unknown[0]}: no such key, expected one of {', '.join(names)}")
    for key, kinds in KINDS.items():
        name = str((plain.get(key) or {}).get("name"))
        if name not in kinds:
            raise RequestError(f"{key}.name={name}: expected one of {', '.join(kinds)}")
        known = [f.name for f in fields(kinds[name])]
        if unknown := [k for k in plain[key] if k not in known]:
            raise RequestError(
                f"{key}.{unknown[0]}: no such key with {key}={name}, "
                f"expected one of {', '.join(known)}"
            )
    if lacking := [name for name in names if name not in plain]:
        raise RequestError(f"{lacking[0]}: missing, it cannot be removed")
    config = Config(**{key: typed_part(key, json.dumps(plain[key])) for key in names})
    check(config)
    return config


@cache
def typed_part(key: str, text: str) -> Any:
    """One root key of a configuration, typed; the jobs of a sweep have most of theirs in common."""
    schema, value = OmegaConf.structured(Config), json.loads(text)
    if key in KINDS:
        schema[key] = OmegaConf.structured(KINDS[key][value["name"]])
    config = OmegaConf.merge(schema, {key: value})
    assert isinstance(config, DictConfig)
    part = config[key]
    return OmegaConf.to_object(part) if OmegaConf.is_config(part) else part


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


def num_steps(config: Config) -> int:
    """Optimiser steps of a run: train.steps, or epochs times the whole batches in an epoch."""
    train = config.train
    if train.steps is not None:
        return train.steps
    batch = train.epoch_batch or config.batch_size
    return (train.epochs or config.data.default_epochs) * (DATA_SIZES[config.data.name][0] // batch)


def learning_rate(config: Config) -> float:
    """The rate at step 1: base_lr · lr_mult, times what lr_scaling makes of the batch size."""
    optim = config.optim
    power = {LrScaling.none: 0.0, LrScaling.linear: 1.0, LrScaling.sqrt: 0.5}[optim.lr_scaling]
    return optim.base_lr * optim.lr_mult * (config.batch_size / TUNED_BATCH) ** power


def science(config: Config) -> dict[str, Any]:
    """The canonical part of a request that decides the numbers, as plain nested values.

    Left out are what never changes a number (seeds, paths, device, tracking, …) and settings that
    cannot matter: placement and policies without a norm to which they apply, a decay that the
    schedule does not do. Budgets become steps and depths become one entry per width, so that two
    spellings of one arm are equal.
    """
    model, data, optim, train = map(asdict, (config.model, config.data, config.optim, config.train))
    depth = model["depth"] * (len(model["widths"]) if len(model["depth"]) == 1 else 1)
    if model["name"] in MLPS:
        model["widths"] = [w for w, d in zip(model["widths"], depth, strict=True) for _ in range(d)]
        depth = [1] * len(model["widths"])
    model["depth"] = depth
    if optim["schedule"] == Schedule.constant:
        del optim["lr_end"]
    if config.batch_size == TUNED_BATCH:
        optim["lr_scaling"] = LrScaling.none
    if config.norm.name not in BATCH_NORMS:
        train["policies"] = [Policy.ema]
    train["policies"], train["thresholds"] = sorted(train["policies"]), sorted(train["thresholds"])
    return {
        "model": model,
        "norm": asdict(config.norm),
        "placement": "none" if config.norm.name == "none" else config.placement,
        "data": {key: data[key] for key in ("name", "split_seed", "augment", "batches")},
        "optim": optim,
        "batch_size": config.batch_size,
        "train": {
            "steps": num_steps(config),
            **{key: train[key] for key in ("eval_points", "thresholds", "policies")},
        },
        "probes": list(config.probes),
    }


def asked_shifts(config: Config) -> set[tuple[str, int, str]]:
    """The rows that a request asks of shifts.csv: (shift, severity, policy)."""
    return {
        (name, severity, policy)
        for name in config.shift.names
        for severity in config.shift.severities
        for policy in evaluation_policies(config)
    }


def evaluation_policies(config: Config) -> list[str]:
    """The policies a net is evaluated under; `none` for one without population statistics."""
    return sorted(config.train.policies) if config.norm.name in BATCH_NORMS else ["none"]


def arm_id(canonical: Mapping[str, Any]) -> str:
    """The name of an arm, `<model>-<norm>-<placement>-<8 hex of sha256>`, from its `science`."""
    text = json.dumps({"schema": SCHEMA, **canonical}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    names = (canonical["model"]["name"], canonical["norm"]["name"], canonical["placement"])
    return "-".join((*names, digest))


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed for one purpose of a run, from the run's seed alone: the same for every arm.

    The first 63 bits of sha256 over `seed/purpose/…`: purposes and seeds are independent draws.

    >>> derive_seed(0, "init", 1) == derive_seed(0, "init", 1) != derive_seed(0, "batches", 1)
    True
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def shown(value: Any) -> str:
    """A value as the user would type it."""
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
