"""The recipe of an arm: its configuration, resolved once into plain values for training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnbench.config.arms import (
    arm_id,
    asked_shifts,
    evaluation_policies,
    learning_rate,
    num_steps,
    science,
)
from bnbench.config.facts import DataFacts, facts
from bnbench.config.points import Scope, evaluation_points, scopes
from bnbench.config.schema import (
    PER_SEED,
    POPULATION,
    Config,
    DataConfig,
    DropoutPlace,
    FolderDataConfig,
    NormLayers,
    NpzDataConfig,
    OwnDataConfig,
    PolicyPoints,
    SaveWeights,
    ShippedDataConfig,
    TrackMode,
)

NOT_OPTIONS = {"name", "plugin", POPULATION}  # keys of a norm that its constructor does not take


@dataclass(frozen=True)
class OwnSource:
    """Where images of the user's own lie, and by what they are known again.

    Attributes:
        kind: `folder` or `npz`.
        path: of the folder or the file.
        size: height and width to which the images of a folder are brought; 0 for a file.
        digest: of images, labels and preparation; empty while it is not known.
        results: the folder of all results, in which prepared images are kept.
    """

    kind: str
    path: Path
    size: int
    digest: str
    results: Path


@dataclass(frozen=True)
class Recipe:
    """Holds all that the training of an arm asks of its configuration; every seed shares it."""

    arm: str  # the arm's id
    science: dict[str, Any]  # the canonical configuration that the id names
    results: Path  # the folder of all results
    seeds: list[int]  # one run of the arm each
    track: TrackMode  # where runs are logged beside metrics.csv, in `project` of `entity`
    project: str
    entity: str | None
    experiments: list[str]  # that ask for the arm
    tags: list[str]  # of the user's own, and `notes`: what W&B runs are described by
    notes: str | None
    threads: int  # of the CPU
    device: str  # `cpu`, `cuda` or `auto`
    data: str  # the name of the data set, whose files lie in `data_root`
    data_root: Path
    own_data: OwnSource | None  # the user's own data; None for a data set that is known by name
    facts: DataFacts  # what was known of the data set when the request was checked
    split_seed: int | None  # what the splits are drawn from; None for the seed of each run
    train_images: int | None  # how many training images are kept; None for all
    pixels: str  # what nets see of the images: see `data.datasets.Dataset.with_pixels`
    batches: str  # how images are put into batches: see `data.batches.batch_indices`
    tasks: int  # groups of classes that are trained on in a row: see `data.batches.task_batches`
    augment: str  # the random change of a batch's images, or `none`
    model: str  # a key of `MODELS`, constructed with `model_options`
    model_options: dict[str, Any]
    norm: str  # a key of `NORMS`, constructed with `norm_options`, or `none`
    norm_options: dict[str, Any]
    init: str  # a key of `models.init.SCHEMES`, whose weights are multiplied by `init_scale`
    init_scale: float
    trainable: str  # which parameters are trained: see `models.trainable.freeze`
    optimizer: str  # `sgd` or `adam`, with `optimizer_options`
    optimizer_options: dict[str, float]
    decay_by: str  # how weight decay acts: `penalty`, `head` or `rescaling`
    schedule: str  # the shape of the learning rate, from `first_rate` at step 1 to `lr_end` of it
    first_rate: float
    lr_end: float
    batch_size: int  # training images of a step
    steps: int  # of the optimiser
    evaluation_points: dict[int, Scope]  # the steps after which a run is evaluated, and on what
    policies: list[str]  # of population statistics, each of which a run is evaluated under
    averages: list[str]  # of the weights, under each of which a run is evaluated on the test set
    test_batch: int  # images that batch and blend see at once
    prior: float  # images that blend counts the running statistics as
    thresholds: list[float]  # validation accuracies whose first crossing is reported
    probes: list[str]  # the names of what is measured beside the accuracy
    shifts: set[tuple[str, int, str]]  # rows of shifts.csv: (shift, severity, policy)
    save_weights: SaveWeights  # whether trained weights are kept


def resolve(config: Config) -> Recipe:
    """Resolve a checked configuration into the recipe of its arm."""
    model, data, optim, train = config.model, config.data, config.optim, config.train
    canonical, steps = science(config), num_steps(config)
    constructed = ("widths", "depth", "activation", "dropout", "branch", "order")
    # which models of plugins and residual ones do not know
    place, normed = model.dropout_place, model.norm_layers
    of_optimizer = ("weight_decay", "momentum", "beta1", "beta2", "eps")
    return Recipe(
        arm=arm_id(canonical),
        science=canonical,
        results=Path(config.results),
        seeds=config.seeds,
        track=config.track.mode,
        project=config.track.project,
        entity=config.track.entity,
        experiments=config.track.experiments,
        tags=config.track.tags,
        notes=config.track.notes,
        threads=config.threads,
        device=config.device,
        data=data.name,
        data_root=Path(data.root) if isinstance(data, ShippedDataConfig) else Path(),
        own_data=own_source(data, Path(config.results)),
        facts=facts(vars(data)),
        split_seed=None if data.split_seed == PER_SEED else int(data.split_seed),
        train_images=data.train_images,
        pixels=data.pixels,
        batches=data.batches,
        tasks=data.tasks,
        augment=data.augment,
        model=model.name,
        model_options={
            **{key: getattr(model, key) for key in constructed if hasattr(model, key)},
            "placement": config.placement,
            **({"dropout_place": place} if place != DropoutPlace.blocks else {}),
            **({"norm_layers": normed} if normed != NormLayers.every else {}),
        },
        norm=config.norm.name,
        norm_options={k: v for k, v in vars(config.norm).items() if k not in NOT_OPTIONS},
        init=model.init,
        init_scale=model.init_scale,
        trainable=train.trainable,
        optimizer=optim.name,
        optimizer_options={k: v for k, v in vars(optim).items() if k in of_optimizer},
        decay_by=optim.decay_by,
        schedule=optim.schedule,
        first_rate=learning_rate(config),
        lr_end=optim.lr_end,
        batch_size=config.batch_size,
        steps=steps,
        evaluation_points=scopes(
            evaluation_points(steps, train.eval_points),
            train.policy_points == PolicyPoints.few,
            data.tasks,
        ),
        policies=evaluation_policies(config),
        averages=sorted(train.averages),
        test_batch=train.test_batch or config.batch_size,
        prior=train.prior,
        thresholds=train.thresholds,
        probes=sorted(config.probes),
        shifts=asked_shifts(config),
        save_weights=train.save_weights,
    )


def own_source(data: DataConfig, results: Path) -> OwnSource | None:
    """State where images of the user's own lie; None for a data set that is known by name."""
    if not isinstance(data, OwnDataConfig):
        return None
    path, size = "", 0
    if isinstance(data, FolderDataConfig):
        path, size = data.root, data.size
    elif isinstance(data, NpzDataConfig):
        path = data.file
    return OwnSource(data.kind, Path(path), size, data.digest, results)
