"""From a composed configuration to a checked arm: types, canonical form, arm id, derived seeds.

Hydra composes YAML from `configs/`; `typed` turns the result into a `Config` or says in one line
what is wrong with it; `science` is the canonical part that decides the numbers, `arm_id` its name.
Nothing here imports torch: a bad request is refused before anything slow is loaded.
"""

import hashlib
import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnbench.config.checks import RequestError, check, check_rates, check_tasks
from bnbench.config.facts import facts, is_own
from bnbench.config.quantities import layers_per_width, norm_places, peak_rate
from bnbench.config.schema import (
    BY_TEST_BATCH,
    DATA_SIZES,
    MLPS,
    MODEL_CONFIGS,
    NORM_CONFIGS,
    OPTIM_CONFIGS,
    OWN_DATA_CONFIGS,
    SCHEMA,
    TUNED_BATCH,
    TUNING_SEEDS,
    Branch,
    Config,
    DecayBy,
    DropoutPlace,
    LrScaling,
    NormLayers,
    Order,
    OurBatchNormConfig,
    OwnDataConfig,
    OwnModelConfig,
    Placement,
    Policy,
    ResidualModelConfig,
    Schedule,
    ShippedDataConfig,
    Trainable,
    is_batch_norm,
    own_norm_config,
)

FRESH = 200  # what is added to a seed for one that the committed results did not use
# settings that arm ids leave out, and tables that have them in some arms show in all
AS_EVER = {
    "model.init_scale": 1.0,
    "model.dropout_place": "blocks",
    "model.norm_layers": "every",
    "data.pixels": "normalised",
    "data.tasks": 1,
    "optim.decay_by": "penalty",
}

WITHOUT_NORM = {  # orders in residual blocks that are another where there is no norm
    Order.norm_after_addition: Order.original,
    Order.activation_only_preactivation: Order.full_preactivation,
}
KINDS: dict[str, Mapping[str, type]] = {
    "model": MODEL_CONFIGS,
    "norm": NORM_CONFIGS,
    "optim": OPTIM_CONFIGS,
    "data": dict.fromkeys(DATA_SIZES, ShippedDataConfig),
}


def typed(plain: Mapping[str, Any]) -> Config:
    """The checked `Config` of a composed and resolved configuration without its hydra node.

    Raises:
        RequestError: a value is out of range or does not fit the rest of the request.
        omegaconf.errors.OmegaConfBaseException: unknown key, wrong type or bad name.
    """
    names = [f.name for f in fields(Config)]
    if unknown := [key for key in plain if key not in names]:
        raise RequestError(f"{unknown[0]}: no such key, expected one of {', '.join(names)}")
    for key in KINDS:
        part = plain.get(key) or {}
        name, kind = kind_of(key, part)
        known = [f.name for f in fields(kind)]
        if unknown := [k for k in part if k not in known]:
            raise RequestError(
                f"{key}.{unknown[0]}: no such key with {key}={name}, "
                f"expected one of {', '.join(known)}"
            )
    if lacking := [name for name in names if name not in plain]:
        raise RequestError(f"{lacking[0]}: missing, it cannot be removed")
    check_rates(plain["tuned_lr"])  # before optim.base_lr, which is one of them
    config = Config(**{key: typed_part(key, json.dumps(plain[key])) for key in names})
    check(config)
    check_tasks(config, num_steps(config))
    return config


def kind_of(key: str, part: Mapping[str, Any]) -> tuple[str, type]:
    """Find the name of what a root key chooses, and the class that has its keys.

    Raises:
        RequestError: there is no such choice.
    """
    if "plugin" in part:
        return str(part.get("name")), own_kind(key, part)
    by, kinds = ("kind", OWN_DATA_CONFIGS) if "kind" in part else ("name", KINDS[key])
    name = str(part.get(by))
    if name not in kinds:
        raise RequestError(f"{key}.{by}={name}: expected one of {', '.join(kinds)}")
    return name, kinds[name]


def own_kind(key: str, part: Mapping[str, Any]) -> type:
    """Find the class of a norm or a model of a plugin, which was checked when it was filled in."""
    if key == "model":
        return OwnModelConfig
    options = {k: type(v) for k, v in part.items() if k not in ("name", "plugin")}
    return own_norm_config(tuple(options.items()))


@cache
def typed_part(key: str, text: str) -> Any:
    """One root key of a configuration, typed; the jobs of a sweep have most of theirs in common."""
    schema, value = pickle.loads(pickled_schema()), json.loads(text)
    if key in KINDS or (isinstance(value, dict) and "plugin" in value):
        schema[key] = OmegaConf.structured(kind_of(key, value)[1])
    try:
        config = OmegaConf.merge(schema, {key: value})
    except OmegaConfBaseException as error:
        if str(error.full_key).startswith(key):
            raise
        raise RequestError(f"{key}: {str(error).splitlines()[0]}") from error
    assert isinstance(config, DictConfig)
    part = config[key]
    return OmegaConf.to_object(part) if OmegaConf.is_config(part) else part


@cache
def pickled_schema() -> bytes:
    """Pickle the schema of a configuration: a copy is made sooner than another from classes."""
    return pickle.dumps(OmegaConf.structured(Config))


def num_steps(config: Config) -> int:
    """Optimiser steps of a run: train.steps, or epochs times the whole batches in an epoch.

    Without both, the default epochs of a shipped data set, or as many images as the default steps
    see of the user's own.
    """
    train, data = config.train, config.data
    if train.steps is not None:
        return train.steps
    batch = train.epoch_batch or config.batch_size
    if train.epochs is None and isinstance(data, OwnDataConfig):
        return max(1, data.default_steps * TUNED_BATCH // batch)
    epochs = train.epochs or (data.default_epochs if isinstance(data, ShippedDataConfig) else 0)
    return epochs * (num_train(config) // batch)


def num_train(config: Config) -> int:
    """How many images a run is trained on."""
    return config.data.train_images or facts(vars(config.data)).sizes[0]


def learning_rate(config: Config) -> float:
    """The rate at step 1: base_lr · lr_mult, times what lr_scaling makes of the batch size."""
    optim = config.optim
    return peak_rate(optim.base_lr, optim.lr_mult, optim.lr_scaling, config.batch_size)


def science(config: Config) -> dict[str, Any]:
    """The canonical part of a request that decides the numbers, as plain nested values.

    Left out are what never changes a number (seeds, paths, device, tracking, …) and settings that
    cannot matter: placement and policies without a net to which they apply, a test batch or a
    prior without a policy that has one, a decay that the schedule does not do; and what is as ever:
    the parts of the affine map that are there, that all parameters are trained, and on all images
    with normalised pixels, of all classes at once,
    from initial weights of the scheme's own scale, whose averages are not looked at, with dropout
    behind every block, a norm in each of them, and residual branches as drawn, in full
    pre-activation; and weights that decay by a penalty.
    Budgets become steps and depths become one entry per width, so that two spellings of one arm are
    equal.
    """
    model, data, optim, train = map(asdict, (config.model, config.data, config.optim, config.train))
    norm = asdict(config.norm)
    depth = layers_per_width(model["widths"], model["depth"])
    if isinstance(config.model, ResidualModelConfig):
        branch, order = model.pop("branch"), model.pop("order")
        if config.norm.name == "none" and branch != Branch.fixup:
            order = WITHOUT_NORM.get(order, order)
        model |= {} if branch == Branch.none else {"branch": branch}
        model |= {} if order == Order.full_preactivation else {"order": order}
    elif model["name"] in MLPS:
        model["widths"] = [w for w, d in zip(model["widths"], depth, strict=True) for _ in range(d)]
        depth = [1] * len(model["widths"])
    model["depth"] = depth
    if not model["dropout"]:
        model["dropout_place"] = DropoutPlace.blocks
    model["norm_layers"] = own_norm_layers(config)
    on_data = model["norm_layers"] == NormLayers.input  # in front of all weights and activations
    placement = Placement.pre if on_data else config.placement
    if not optim["weight_decay"]:
        optim["decay_by"] = DecayBy.penalty
    parts = {"model": model, "data": data, "optim": optim}
    for key, value in AS_EVER.items():
        part, name = key.split(".")
        if parts[part][name] == value:
            del parts[part][name]
    of_affine = ("scale", "bias") if isinstance(config.norm, OurBatchNormConfig) else ()
    affine = {key: norm.pop(key) for key in of_affine}
    if affine and not any(affine.values()):
        norm["affine"] = False
    if norm.get("affine"):
        norm |= {key: False for key, present in affine.items() if not present}
    if optim["schedule"] == Schedule.constant:
        del optim["lr_end"]
    if config.batch_size == TUNED_BATCH:
        optim["lr_scaling"] = LrScaling.none
    train["policies"] = own_policies(config)
    policies = set(train["policies"])
    of_policies = {}
    if policies & BY_TEST_BATCH:
        is_default = train["test_batch"] == config.batch_size
        of_policies["test_batch"] = None if is_default else train["test_batch"]
    if Policy.blend in policies:
        of_policies["prior"] = train["prior"]
    some = num_train(config) < facts(data).sizes[0]
    found_out = ("digest", "num_classes", "shape", "sizes") if is_own(data) else ()
    trained = {} if train["trainable"] == Trainable.all else {"trainable": train["trainable"]}
    averaged = {"averages": sorted(train["averages"])} if train["averages"] else {}
    train["thresholds"] = sorted(train["thresholds"])
    return {
        "model": model,
        "norm": norm,
        "placement": "none" if config.norm.name == "none" else placement,
        "data": {
            **{key: data[key] for key in ("name", "split_seed", "augment", "batches", *found_out)},
            **({"train_images": data["train_images"]} if some else {}),
            **{key: data[key] for key in ("pixels", "tasks") if key in data},
        },
        "optim": optim,
        "batch_size": config.batch_size,
        "train": {
            "steps": num_steps(config),
            **{
                key: train[key]
                for key in ("eval_points", "policy_points", "thresholds", "policies")
            },
            **of_policies,
            **trained,
            **averaged,
        },
        "probes": sorted(config.probes),
    }


def own_norm_layers(config: Config) -> NormLayers:
    """Which layers have the norm: of choices that are equal in a net the first, `every` if none."""
    if config.norm.name == "none":
        return NormLayers.every
    layers = sum(layers_per_width(config.model.widths, config.model.depth))
    places = norm_places(config.model.norm_layers, layers)
    return next(name for name in NormLayers if norm_places(name, layers) == places)


def asked_shifts(config: Config) -> set[tuple[str, int, str]]:
    """The rows that a request asks of shifts.csv: (shift, severity, policy)."""
    return {
        (name, severity, policy)
        for name in (*config.shift.names, *config.shift.own)
        for severity in config.shift.severities
        for policy in evaluation_policies(config)
    }


def own_policies(config: Config) -> list[Policy]:
    """The policies of a request that mean something for its net, `ema` the net as it is."""
    asked = set(config.train.policies)
    if is_batch_norm(config.norm):
        return sorted(asked - {Policy.recalibrated})
    return sorted(asked & {Policy.ema, Policy.recalibrated})


def evaluation_policies(config: Config) -> list[str]:
    """The policies a net is evaluated under; for ema `none`, without population statistics."""
    plain = Policy.ema if is_batch_norm(config.norm) else "none"
    return [plain if policy == Policy.ema else policy for policy in own_policies(config)]


def arm_id(canonical: Mapping[str, Any]) -> str:
    """The name of an arm, `<model>-<norm>-<placement>-<8 hex of sha256>`, from its `science`.

    Of the user's own data the digest counts, and not what they are called.
    """
    data = canonical["data"]
    if is_own(data):
        data = {key: value for key, value in data.items() if key != "name"}
    text = json.dumps({"schema": SCHEMA, **canonical, "data": data}, sort_keys=True)
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


def fresh_seed(seed: int) -> int:
    """Shift a reporting seed by 200, to one that the committed results did not use.

    A tuning seed stays, so that the same learning rates are found.

    >>> fresh_seed(7), fresh_seed(107), fresh_seed(207)
    (207, 107, 407)
    """
    return seed if seed in TUNING_SEEDS else seed + FRESH


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
