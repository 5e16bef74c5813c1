"""Checks of a configuration beyond its schema: ranges and combinations, refused in one line."""

import math
import re
from collections.abc import Callable
from typing import Any

from bnbench.config.facts import facts
from bnbench.config.quantities import data_features, layers_per_width
from bnbench.config.schema import (
    MARKS,
    NUM_CLASSES,
    PER_SEED,
    SPATIAL_NORMS,
    TUNING_SEEDS,
    Batches,
    Branch,
    Config,
    Criterion,
    DecayBy,
    DropoutPlace,
    EpsNormConfig,
    GhostBatchNormConfig,
    GroupNormConfig,
    L2NormConfig,
    LrScaling,
    ModelConfig,
    NormConfig,
    NormLayers,
    OurBatchNormConfig,
    OwnDataConfig,
    OwnModelConfig,
    OwnNormConfig,
    Policy,
    ResidualModelConfig,
    Search,
    Trainable,
    is_batch_norm,
    is_flat,
)


class RequestError(ValueError):
    """A request that cannot be run: its text is the one line that the user sees."""


# Upper limits. A larger value is almost certainly a typo; the run could not finish, or not fit in
# memory.
MAX_STEPS = 10**8  # 2,000 times the budget of Ioffe & Szegedy 2015; a day of the smallest net
MAX_EPOCHS = 10**4
MAX_POINTS = 10**4  # evaluations of a run
MAX_LAYERS = 1000
MAX_WEIGHTS = 10**9  # 16 GB with gradients and Adam's moments; 60 times VGG-16
MAX_VALUES = 10**10  # activations of a batch: 40 GB
MIN_IMAGES = 1000  # evaluated at once at least, however small the training batches
MAX_THREADS = 1024
MAX_SEED = 2**63 - 1  # the largest integer of a column in a table of results
MAX_EXTEND = 20  # half decades
MAX_PER_DECADE = 64  # 3.7 % from one rate to the next; seeds differ by more
RATES = (1e-9, 1e9)  # lowest and highest rate to search: beyond them no net trains
MAX_PATH = 1000  # characters; a path is cut off by the system at some 4,000 bytes
MAX_TAG = 64  # characters; W&B takes no more
MAX_TAGS = 20
MAX_NOTES = 1000  # characters
MAX_SIDE = 1024  # pixels; no net here is for larger images
MAX_NAME = 40  # characters of the name of the user's own data, which is a W&B tag too

Rule = tuple[Callable[[Any], bool], str]
POSITIVE: Rule = (lambda v: math.isfinite(v) and v > 0, "a finite number > 0")
NOT_NEGATIVE: Rule = (lambda v: math.isfinite(v) and v >= 0, "a finite number >= 0")
SHARE: Rule = (lambda v: 0 <= v < 1, "a number >= 0 and < 1")
PART: Rule = (lambda v: 0 < v <= 1, "a number > 0 and <= 1")
AT_LEAST_ONE: Rule = (lambda v: math.isfinite(v) and v >= 1, "a finite number >= 1")
COUNT: Rule = (lambda v: v >= 1, "an integer >= 1")
SEED: Rule = (lambda v: 0 <= v <= MAX_SEED, "an integer >= 0 and < 2^63")
FOLDER: Rule = (
    lambda v: bool(v.strip()) and v.isprintable() and len(v) <= MAX_PATH and "${" not in v,
    f"the path of a folder, of at most {MAX_PATH} printable characters without ${{",
)
FILES: Rule = (
    lambda v: len(v) == len(set(v)) and all(map(FOLDER[0], v)),
    "a list of distinct paths of Python files, such as [my_norm.py]",
)
COUNTS: Rule = (
    lambda v: len(v) > 0 and min(v) >= 1 and max(v) <= MAX_WEIGHTS,
    f"a non-empty list of integers >= 1 and <= {MAX_WEIGHTS:,}",
)


def up_to(most: int, least: int = 1) -> Rule:
    """Make the rule for a count with an upper limit."""
    return (lambda v: least <= v <= most, f"an integer >= {least} and <= {most:,}")


def null_or(rule: Rule) -> Rule:
    """Make a rule that lets null pass too."""
    return (lambda v: v is None or rule[0](v), f"null or {rule[1]}")


def half_decades(low: float, high: float) -> list[float]:
    """List the rates 1 and 3 times a power of ten, from the nearest to low to the nearest to high.

    >>> half_decades(0.03, 1)
    [0.03, 0.1, 0.3, 1.0]
    """
    first, last = (round(2 * math.log10(rate)) for rate in (low, high))
    return [float(f"{3 if k % 2 else 1}e{k // 2}") for k in range(first, last + 1)]


def distinct(test: Callable[[Any], bool], words: str, least: int = 0) -> Rule:
    """Make the rule for a list without repetitions, empty or not, whose items all pass the test."""
    return (
        lambda v: least <= len(v) == len(set(v)) and all(map(test, v)),
        f"a {'non-empty ' if least else ''}list of distinct {words}",
    )


HALF_DECADE: Rule = (
    lambda v: RATES[0] <= v <= RATES[1] and math.isclose(v, *half_decades(v, v), rel_tol=1e-9),
    "1 or 3 times a power of ten from 1e-9 to 1e9",
)
SEEDS = distinct(SEED[0], "integers >= 0 and < 2^63", least=1)
NAME = re.compile(r"[A-Za-z0-9_.-]+( +[A-Za-z0-9_.-]+)*")  # of a W&B project or entity
WORDS = "a name of letters, digits, spaces and any of _ . -"
# a letter first: pandas would read 1e-1234 as a number
OWN_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_.-]{{0,{MAX_NAME + 4}}}")
OWN_WORDS = f"a letter, then up to {MAX_NAME - 1} letters, digits and any of _ . -"
DIGEST = re.compile(r"sha256:[0-9a-f]{16}")


def is_line(text: Any, most: int) -> bool:
    """Whether a value is a text in one line that a worker reads as it is."""
    is_text = isinstance(text, str) and bool(text.strip()) and text.isprintable()
    return is_text and len(text) <= most and "${" not in text and text != "???"


TAGS: Rule = (
    lambda v: (
        len(v) == len(set(v)) <= MAX_TAGS
        and all(is_line(tag, MAX_TAG) and tag not in MARKS for tag in v)
    ),
    f"a list of at most {MAX_TAGS} distinct tags of 1 to {MAX_TAG} printable characters without "
    f"${{, other than {' and '.join(MARKS)}",
)
NOTES: Rule = (
    lambda v: len(v) <= MAX_NOTES and is_line(v.replace("\n", " "), MAX_NOTES),
    f"a text of at most {MAX_NOTES:,} characters, in printable lines without ${{",
)
RULES: dict[str, Rule] = {
    "model.widths": COUNTS,
    "model.depth": COUNTS,
    "model.init_scale": POSITIVE,
    "model.dropout": SHARE,
    "norm.momentum": (lambda v: v is None or 0 <= v <= 1, "null or a number from 0 to 1"),
    "norm.eps": POSITIVE,
    "norm.groups": COUNT,
    "norm.size": up_to(MAX_LAYERS),
    "norm.alpha": POSITIVE,
    "norm.beta": POSITIVE,
    "norm.k": POSITIVE,
    "norm.ghost_size": COUNT,
    "norm.r_max": AT_LEAST_ONE,
    "norm.d_max": NOT_NEGATIVE,
    "norm.warmup": up_to(MAX_STEPS, least=0),
    "norm.n_mu": NOT_NEGATIVE,
    "norm.n_sigma": AT_LEAST_ONE,
    "norm.r_mu": NOT_NEGATIVE,
    "norm.r_sigma": NOT_NEGATIVE,
    "norm.init_scale": POSITIVE,
    "optim.base_lr": POSITIVE,
    "optim.lr_mult": POSITIVE,
    "optim.weight_decay": NOT_NEGATIVE,
    "optim.lr_end": PART,
    "optim.momentum": SHARE,
    "optim.beta1": SHARE,
    "optim.beta2": SHARE,
    "optim.eps": POSITIVE,
    "data.root": FOLDER,
    "data.file": (FOLDER[0], FOLDER[1].replace("folder", "file")),
    "data.name": (lambda v: bool(OWN_NAME.fullmatch(v)), OWN_WORDS),
    "data.size": up_to(MAX_SIDE),
    "data.digest": (
        lambda v: bool(DIGEST.fullmatch(v)),
        "null or sha256: and 16 hexadecimal digits",
    ),
    "data.default_steps": up_to(MAX_STEPS),
    "data.split_seed": (
        lambda v: v == PER_SEED or (not isinstance(v, str) and SEED[0](v)),
        f"{PER_SEED} or {SEED[1]}",
    ),
    "data.train_images": null_or(COUNT),
    "data.tasks": COUNT,
    "data.default_epochs": up_to(MAX_EPOCHS),
    "shift.severities": distinct(lambda v: 1 <= v <= 5, "integers from 1 to 5", least=1),
    "track.project": (lambda v: bool(NAME.fullmatch(v)), WORDS),
    "track.entity": (lambda v: v is None or bool(NAME.fullmatch(v)), f"null or {WORDS}"),
    "track.tags": TAGS,
    "track.notes": null_or(NOTES),
    "shift.names": distinct(lambda v: True, "shifts"),
    "batch_size": COUNT,
    "train.steps": null_or(up_to(MAX_STEPS)),
    "train.epochs": null_or(up_to(MAX_EPOCHS)),
    "train.epoch_batch": null_or(COUNT),
    "train.eval_points": up_to(MAX_POINTS),
    "train.thresholds": distinct(lambda v: 0 < v <= 1, "accuracies > 0 and <= 1"),
    "train.policies": distinct(lambda v: True, "policies"),
    "train.averages": distinct(lambda v: True, "averages"),
    "train.test_batch": null_or(COUNT),
    "train.prior": NOT_NEGATIVE,
    "probes": distinct(lambda v: True, "probes"),
    "tune.low": null_or(HALF_DECADE),
    "tune.high": null_or(HALF_DECADE),
    "tune.seeds": distinct(
        TUNING_SEEDS.__contains__,
        f"integers from {TUNING_SEEDS[0]} to {TUNING_SEEDS[-1]}, on which nothing is reported",
        least=1,
    ),
    "tune.extend": up_to(MAX_EXTEND, least=0),
    "tune.per_decade": up_to(MAX_PER_DECADE),
    "seeds": SEEDS,
    "threads": up_to(MAX_THREADS),
    "results": FOLDER,
    "plugins": FILES,
}

ABSENT = object()  # a key that the chosen norm or optimiser does not have


def check(config: Config) -> None:
    """Refuse values out of range and combinations that cannot be trained (`RequestError`)."""
    for key in RULES:
        part, _, name = key.partition(".")
        if part == "norm" and isinstance(config.norm, OwnNormConfig):
            continue  # its options have rules of their own, see request/plugins.py
        value = getattr(config, part)
        check_range(key, getattr(value, name, ABSENT) if name else value)
    check_tune(config)
    check_fit(config)


def check_range(key: str, value: Any) -> None:
    """Refuse a value that the rule of its key does not allow (`RequestError`)."""
    test, words = RULES[key]
    try:
        is_allowed = value is ABSENT or test(value)
    except TypeError:  # a list in a list, which the schema lets pass, cannot be compared
        is_allowed = False
    if not is_allowed:
        raise RequestError(f"{key}={as_typed(value)}: expected {words}")


def check_rates(tuned: Any, key: str = "tuned_lr") -> None:
    """Refuse a table of tuned learning rates with any other value (`RequestError`)."""
    if isinstance(tuned, dict):
        for name, entry in tuned.items():
            check_rates(entry, f"{key}.{name}")
    elif type(tuned) not in (int, float) or not POSITIVE[0](tuned):
        raise RequestError(f"{key}={as_typed(tuned)}: expected {POSITIVE[1]}")


def check_tune(config: Config) -> None:
    """Refuse a search for a learning rate that cannot be made (`RequestError`)."""
    tune, optim = config.tune, config.optim
    is_stable = tune.find == Search.stable
    if tune.low is None and tune.high is None:
        if is_stable:
            raise RequestError(f"tune.find={tune.find}: expected tune.low and tune.high with it")
        return
    ends = f"tune.low={as_typed(tune.low)} tune.high={as_typed(tune.high)}"
    if tune.low is None or tune.high is None:
        raise RequestError(f"{ends}: expected both or none")
    if tune.low > tune.high:
        raise RequestError(f"{ends}: expected low <= high")
    if is_stable and tune.low == tune.high:
        raise RequestError(f"{ends}: expected low < high with tune.find={tune.find}")
    if is_stable and tune.batches is not None:
        raise RequestError(
            f"tune.batches={tune.batches}: expected null with tune.find={tune.find}, whose runs are"
            " those that are reported"
        )
    for name, want in (("lr_mult", 1), ("lr_scaling", LrScaling.none)):
        if (value := getattr(optim, name)) != want:
            raise RequestError(
                f"optim.{name}={as_typed(value)}: expected {want} where tune.low and tune.high "
                "have the rate found"
            )


def check_fit(config: Config) -> None:
    """Refuse keys that are each in range but do not fit together (`RequestError`)."""
    model, norm, train = config.model, config.norm, config.train
    (whole, validated, tested), shape, num_classes = facts(vars(config.data))
    size = config.data.train_images or whole
    to_train = f"training images of {config.data.name}"
    kept = f"{to_train} that are kept" if size < whole else to_train
    to_test = f"images that {config.data.name} is tested on"
    for key, value, most, images in (
        ("data.train_images", size, whole, to_train),
        ("batch_size", config.batch_size, size, kept),
        ("train.epoch_batch", train.epoch_batch, size, kept),
        ("train.test_batch", train.test_batch, max(validated, tested), to_test),
    ):
        if (value or 1) > most:
            raise RequestError(f"{key}={value}: expected at most {most}, the {images}")
    own_places = {OwnModelConfig: "where its plugin puts", ResidualModelConfig: "in its blocks"}
    where = own_places.get(type(model), "")
    for key, as_ever, what, pronoun in (
        ("dropout_place", DropoutPlace.blocks, "dropout", "it"),
        ("norm_layers", NormLayers.every, "norms", "them"),
    ):
        if where and (value := getattr(model, key)) != as_ever:
            own = f" {pronoun}" if isinstance(model, OwnModelConfig) else ""
            raise RequestError(
                f"model.{key}={value}: expected {as_ever} with model={model.name}, which has its "
                f"{what} {where}{own}"
            )
    side = min(shape[1:])
    if len(model.depth) not in (1, len(model.widths)):
        raise RequestError(
            f"model.depth={as_typed(model.depth)}: expected one entry or one for each of the "
            f"{len(model.widths)} model.widths"
        )
    if isinstance(model, ResidualModelConfig):
        if not all(layers % 2 for layers in model.depth):
            raise RequestError(
                f"model.depth={as_typed(model.depth)}: expected odd numbers with model="
                f"{model.name}, one layer and two for each residual branch"
            )
        if model.branch == Branch.fixup and norm.name != "none":
            raise RequestError(
                f"model.branch={model.branch}: stands in the place of a norm, expected norm=none"
            )
    if sum(layers_per_width(model.widths, model.depth)) > MAX_LAYERS:
        raise RequestError(
            f"model.depth={as_typed(model.depth)}: expected at most {MAX_LAYERS} layers in all"
        )
    flat = is_flat(vars(model))
    if not (flat or isinstance(model, OwnModelConfig)) and 2 ** len(model.widths) > side:
        raise RequestError(
            f"model.widths={as_typed(model.widths)}: images of side {side} ({config.data.name}) "
            f"can be halved {int(math.log2(side))} times, expected at most so many stages"
        )
    of_two = of_two_classes(config)
    tuned_on = None if config.tune.low is None else config.tune.batches
    for key, batches in (("data.batches", config.data.batches), ("tune.batches", tuned_on)):
        if batches == Batches.two_classes and not 2 <= config.batch_size <= of_two:
            raise RequestError(
                f"batch_size={config.batch_size}: expected 2 to {of_two} with {key}={batches}, "
                f"what any two classes of {config.data.name} can fill"
            )
    weights, values = net_size(model, shape, num_classes)
    if weights > MAX_WEIGHTS:
        raise RequestError(
            f"model.widths={as_typed(model.widths)}: a net of {weights:.2g} weights, expected at "
            f"most {MAX_WEIGHTS:.0e}"
        )
    images = max(config.batch_size, MIN_IMAGES, train.test_batch or 1)
    if images * values > MAX_VALUES:
        raise RequestError(
            f"model.widths={as_typed(model.widths)}: a batch of {images} images has "
            f"{images * values:.2g} activations, expected at most {MAX_VALUES:.0e}"
        )
    if config.batch_size == 1 and is_batch_norm(norm) and flat:
        raise RequestError(
            f"batch_size=1: {norm.name} in an MLP would see one value per channel, expected >= 2"
        )
    if isinstance(norm, GhostBatchNormConfig) and norm.ghost_size == 1 and flat:
        raise RequestError("norm.ghost_size=1: a ghost in an MLP of one value, expected >= 2")
    alone = Policy.batch in train.policies or (Policy.blend in train.policies and not train.prior)
    if train.test_batch == 1 and alone and is_batch_norm(norm) and flat:
        raise RequestError(
            f"train.test_batch=1: {norm.name} in an MLP would be tested on one value per channel, "
            "expected >= 2"
        )
    if norm.name in SPATIAL_NORMS and flat:
        raise RequestError(f"norm={norm.name}: an MLP has one value per channel, expected a vgg")
    on_data = model.norm_layers == NormLayers.input
    features = [data_features(shape, flat)] if on_data else model.widths
    if isinstance(norm, GroupNormConfig) and any(width % norm.groups for width in features):
        of_widths = f"every entry of model.widths={as_typed(model.widths)}"
        of = f"the {features[0]} features of the data" if on_data else of_widths
        raise RequestError(f"norm.groups={norm.groups}: expected a divisor of {of}")
    if isinstance(norm, GroupNormConfig) and flat and norm.groups in features:
        raise RequestError(f"norm.groups={norm.groups}: groups of one value each, expected fewer")
    if train.trainable == Trainable.norm and not has_parameters(norm):
        raise RequestError(
            f"train.trainable=norm: norm={norm.name} has no parameters here, expected a norm with "
            "an affine map"
        )
    if config.optim.decay_by == DecayBy.rescaling and train.trainable != Trainable.all:
        raise RequestError(
            f"train.trainable={train.trainable}: expected {Trainable.all} with optim.decay_by="
            f"{DecayBy.rescaling}, which rescales all hidden weights"
        )
    if train.steps is not None and train.epochs is not None:
        raise RequestError(
            f"train.steps={train.steps} train.epochs={train.epochs}: expected one of the two"
        )
    if Policy.ema not in train.policies:
        raise RequestError(
            f"train.policies={as_typed(train.policies)}: expected ema among them "
            "(thresholds read it)"
        )


def of_two_classes(config: Config) -> int:
    """Bound from below the training images that any two classes have together.

    Class sizes vary a little, and splits: any two classes have three quarters of their share.
    """
    data = config.data
    sizes, _, num_classes = facts(vars(data))
    size = data.train_images or sizes[0]
    if isinstance(data, OwnDataConfig):
        return 3 * size * data.rarest // (4 * sum(sizes))
    return 3 * size // (2 * num_classes)


def check_tasks(config: Config, steps: int) -> None:
    """Refuse tasks in a row that so many steps cannot train, or no point measures at its end."""
    data, train, tune, number = config.data, config.train, config.tune, config.data.tasks
    if number == 1:
        if tune.by == Criterion.tasks:
            raise RequestError(f"tune.by={tune.by}: expected data.tasks of 2 or more with it")
        return
    asked = f"data.tasks={number}"
    num_classes = facts(vars(data)).num_classes
    allowed = [n for n in range(1, num_classes // 2 + 1) if num_classes % n == 0]
    if number not in allowed:
        raise RequestError(
            f"{asked}: expected one of {', '.join(map(str, allowed))}, which cut the {num_classes} "
            f"classes of {data.name} into groups of equal size, of two or more"
        )
    for key, batches in (("data.batches", data.batches), ("tune.batches", tune.batches)):
        if batches == Batches.two_classes:
            raise RequestError(f"{key}={batches}: expected reshuffled or frozen with {asked}")
    most = of_two_classes(config) * (num_classes // number // 2)
    if config.batch_size > most:
        raise RequestError(
            f"batch_size={config.batch_size}: expected at most {most} with {asked}, the training "
            f"images that each task of {data.name} surely has"
        )
    if steps % number or not steps:
        raise RequestError(
            f"train.steps={steps}: expected a multiple of {asked}, as many steps for each task"
        )
    if train.eval_points % number:
        raise RequestError(
            f"train.eval_points={train.eval_points}: expected a multiple of {asked}, so that a "
            "point is at the end of each task"
        )


def has_parameters(norm: NormConfig) -> bool:
    """Whether a norm layer has parameters.

    >>> has_parameters(NormConfig("none")), has_parameters(L2NormConfig("l2norm"))
    (False, True)
    """
    if isinstance(norm, OwnNormConfig):  # which `request.plugins` has constructed and looked at
        return True
    if isinstance(norm, OurBatchNormConfig):
        return norm.affine and (norm.scale or norm.bias)
    return norm.affine if isinstance(norm, EpsNormConfig) else isinstance(norm, L2NormConfig)


def net_size(
    model: ModelConfig, shape: tuple[int, int, int], num_classes: int = NUM_CLASSES
) -> tuple[int, int]:
    """Count the weights of a net, without biases and norms, and its activations for one image.

    >>> net_size(ModelConfig("mlp", widths=[100], depth=[2]), (1, 8, 8))
    (17400, 200)
    """
    channels, height, width = shape
    depth = layers_per_width(model.widths, model.depth)
    is_mlp = is_flat(vars(model))
    kernel, fan_in = (1, channels * height * width) if is_mlp else (9, channels)
    weights, values = 0, 0
    for features, layers in zip(model.widths, depth, strict=True):
        area = 1 if is_mlp else height * width
        weights += kernel * features * (fan_in + (layers - 1) * features)
        values += layers * features * area
        fan_in, height, width = features, height // 2, width // 2
    return weights + num_classes * fan_in * (1 if is_mlp else height * width), values


def as_typed(value: Any) -> str:
    """Write a value as the user would type it."""
    if isinstance(value, list):
        return f"[{','.join(map(as_typed, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
