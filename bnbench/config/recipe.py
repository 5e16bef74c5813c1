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
from bnbench.config.points import evaluation_points
from bnbench.config.schema import Config, SaveWeights, TrackMode


@dataclass(frozen=True)
class Recipe:
    """Holds all that the training of an arm asks of its configuration; every seed shares it.

    Attributes:
        arm: the arm's id.
        science: the canonical configuration that the id names.
        results: the folder of all results.
        seeds: one run of the arm each.
        track: where runs are logged beside metrics.csv, in `project` of `entity`.
        threads: of the CPU.
        device: `cpu`, `cuda` or `auto`.
        data: the name of the data set, whose files lie in `data_root`.
        split_seed: what the split into training, validation and test images is drawn from.
        train_images: how many training images are kept; None for all.
        batches: how images are put into batches: see `data.batches.batch_indices`.
        augment: the random change of a batch's images, or `none`.
        model: a key of `MODELS`, constructed with `model_options`.
        norm: a key of `NORMS`, constructed with `norm_options`, or `none`.
        init: a key of `models.init.SCHEMES`.
        trainable: which parameters are trained: see `models.trainable.freeze`.
        optimizer: `sgd` or `adam`, with `optimizer_options`.
        schedule: the shape of the learning rate, from `first_rate` at step 1 to `lr_end` of it.
        batch_size: training images of a step.
        steps: of the optimiser.
        evaluation_points: the steps after which a run is evaluated.
        policies: of population statistics, each of which a run is evaluated under.
        test_batch: images that batch and blend see at once.
        prior: images that blend counts the running statistics as.
        thresholds: validation accuracies whose first crossing is reported.
        probes: the names of what is measured beside the accuracy.
        shifts: rows that are asked of shifts.csv: (shift, severity, policy).
        save_weights: whether trained weights are kept.
    """

    arm: str
    science: dict[str, Any]
    results: Path
    seeds: list[int]
    track: TrackMode
    project: str
    entity: str | None
    threads: int
    device: str
    data: str
    data_root: Path
    split_seed: int
    train_images: int | None
    batches: str
    augment: str
    model: str
    model_options: dict[str, Any]
    norm: str
    norm_options: dict[str, Any]
    init: str
    trainable: str
    optimizer: str
    optimizer_options: dict[str, float]
    schedule: str
    first_rate: float
    lr_end: float
    batch_size: int
    steps: int
    evaluation_points: list[int]
    policies: list[str]
    test_batch: int
    prior: float
    thresholds: list[float]
    probes: list[str]
    shifts: set[tuple[str, int, str]]
    save_weights: SaveWeights


def resolve(config: Config) -> Recipe:
    """Resolve a checked configuration into the recipe of its arm."""
    model, data, optim, train = config.model, config.data, config.optim, config.train
    canonical, steps = science(config), num_steps(config)
    constructed = ("widths", "depth", "activation", "dropout")
    of_optimizer = ("weight_decay", "momentum", "beta1", "beta2", "eps")
    return Recipe(
        arm=arm_id(canonical),
        science=canonical,
        results=Path(config.results),
        seeds=config.seeds,
        track=config.track.mode,
        project=config.track.project,
        entity=config.track.entity,
        threads=config.threads,
        device=config.device,
        data=data.name,
        data_root=Path(data.root),
        split_seed=data.split_seed,
        train_images=data.train_images,
        batches=data.batches,
        augment=data.augment,
        model=model.name,
        model_options={
            **{key: getattr(model, key) for key in constructed},
            "placement": config.placement,
        },
        norm=config.norm.name,
        norm_options={key: value for key, value in vars(config.norm).items() if key != "name"},
        init=model.init,
        trainable=train.trainable,
        optimizer=optim.name,
        optimizer_options={k: v for k, v in vars(optim).items() if k in of_optimizer},
        schedule=optim.schedule,
        first_rate=learning_rate(config),
        lr_end=optim.lr_end,
        batch_size=config.batch_size,
        steps=steps,
        evaluation_points=evaluation_points(steps, train.eval_points),
        policies=evaluation_policies(config),
        test_batch=train.test_batch or config.batch_size,
        prior=train.prior,
        thresholds=train.thresholds,
        probes=sorted(config.probes),
        shifts=asked_shifts(config),
        save_weights=train.save_weights,
    )
