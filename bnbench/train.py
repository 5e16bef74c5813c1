"""One arm from its configuration to its files, in four parts.

The life cycle of a run: `train_arm` has each seed completed, `train_run` trains one and writes it
down. Building: the net and the data that it meets. Fitting: training steps, evaluations and probes.
The outcome: what a trained net leaves behind, its summary, weights and accuracy under shifts.
"""

import math
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from bnbench.config.arms import derive_seed
from bnbench.config.points import SUBSET, TEST_SUBSET, TRAIN_SUBSET, Scope, crossing, metric_key
from bnbench.config.recipe import OwnSource, Recipe, resolve
from bnbench.config.schema import (
    AT_END,
    FAILED,
    INTERRUPTED,
    ONE_PASS,
    Augment,
    Config,
    DecayBy,
    SaveWeights,
    TrackMode,
)
from bnbench.data import own, shifts
from bnbench.data.batches import augment_light, batch_indices, light_draws, task_batches
from bnbench.data.datasets import Dataset, load, load_own
from bnbench.data.fingerprint import tensor_digest
from bnbench.data.shifts import apply_shift
from bnbench.models import MODELS, freeze, initialise, weight_layers
from bnbench.norms import NORMS, kernels
from bnbench.probes import PROBES, Batch, Unseen
from bnbench.tracking.csv_log import SHIFTS, CsvLog, Point, named_shifts, read_shifts, write_table
from bnbench.tracking.kept_images import kept
from bnbench.tracking.meta import circumstances, known_meta, united
from bnbench.tracking.rebuild import ensure_in_wandb, note_wandb_id
from bnbench.tracking.run_dir import RunBusyError, RunFolder, State
from bnbench.tracking.stored import WEIGHTS, DamagedError, opened
from bnbench.tracking.wandb_keys import wandb_summary
from bnbench.tracking.wandb_log import Identity, WandbLog
from bnbench.tracking.whole_files import as_json, write_whole
from bnbench.training.averages import WeightAverages
from bnbench.training.evaluation import (
    Images,
    StatisticsSource,
    Tasks,
    evaluate,
    evaluating_with,
    scores,
)
from bnbench.training.loop import ahead, schedule, training_steps
from bnbench.training.optimizers import OPTIMIZERS
from bnbench.training.precision import precision, use_float32
from bnbench.training.rescaling import rescaled

# images and pixels per forward pass of an evaluation, which are fastest
CHUNK, CHUNK_PIXELS = 2000, 200_000
FIRST = 100  # batches that a run's fingerprint is of
RECENT = 50  # steps whose mean training-mode loss tells whether a run has diverged
KEPT_BYTES = 5_000_000  # weights up to this size are kept where save_weights is auto


@dataclass
class Run:
    """A net with the data that it meets."""

    recipe: Recipe
    seed: int
    device: torch.device
    dataset: Dataset
    splits: dict[str, Images]
    model: nn.Module
    chunk: int


# The life cycle of a run


def train_arm(config: Config) -> dict[int, str]:
    """Train every seed of an arm that is not done; what fails is recorded and the rest goes on.

    Returns:
        What became of each seed: `done`, `running` where another process trains it, or the last
        line of its error.
    """
    recipe = resolve(config)
    torch.set_num_threads(recipe.threads)
    outcome: dict[int, str] = {}
    for seed in recipe.seeds:
        folder = RunFolder.of(recipe.results, recipe.arm, seed)
        try:
            with folder.locked():
                complete(recipe, seed, folder)
            outcome[seed] = State.done
        except RunBusyError:
            outcome[seed] = State.running  # whoever holds it finishes it
        except Exception as error:
            outcome[seed] = f"{type(error).__name__}: {error}".strip().splitlines()[-1]
            # where the disk is full, or the folder is a link, the sweep still hears of it
            with suppress(OSError, DamagedError):
                write_whole(folder.error, traceback.format_exc())
    return outcome


def complete(recipe: Recipe, seed: int, folder: RunFolder) -> None:
    """Give a run what it lacks: its training, the end of its W&B run, or shifts asked for later."""
    identity = Identity(
        recipe.track,
        recipe.project,
        recipe.entity,
        recipe.results,
        recipe.arm,
        seed,
        recipe.science,
        # an earlier attempt may have been for another experiment
        united(known_meta(folder).get("experiments", []), recipe.experiments),
        recipe.tags,
        recipe.notes,
        circumstances(recipe.results)["git_commit"],
    )
    if folder.state() != State.done and folder.is_pending():
        # its process died between its last number and its end: nothing is to be computed again
        if recipe.track == TrackMode.csv:
            note_wandb_id(folder, None)
        else:
            ensure_in_wandb(folder, identity, folder.read_summary(pending=True))
        folder.finish()
    # shifts that were asked for before are kept, and evaluated again where their file is damaged
    wanted = recipe.shifts | {row for row in named_shifts(folder) if row[2] in recipe.policies}
    run = summary = None
    with suppress(FileNotFoundError, DamagedError):
        summary = folder.read_summary()
    if summary is not None:
        rows = read_shifts(folder, summary)
        lacking = wanted - {row[:3] for row in rows}
        if folder.is_intact(summary, folder.metrics):
            if not lacking and folder.is_intact(summary, folder.shifts):
                return
            run = build(recipe, seed)
            if folder.is_intact(summary, folder.weights) and load_weights(run, folder.weights):
                table = sorted([*rows, *shifted(run, lacking)], key=lambda row: row[:3])
                write_table(folder.shifts, SHIFTS, table)
                folder.write_summary(summary)
                folder.error.unlink(missing_ok=True)
                return
    # a done run that lost its curve or its weights is trained again, to the same numbers
    train_run(run or build(recipe, seed), identity, folder, wanted)


def train_run(
    run: Run, identity: Identity, folder: RunFolder, asked: Collection[tuple[str, int, str]]
) -> None:
    """Train a run from the start and log it; done last, when all else is on the disk."""
    recipe = run.recipe
    folder.begin(recipe.science)
    csv_log = CsvLog(folder.metrics)
    wandb_log = None if recipe.track == TrackMode.csv else WandbLog(identity)
    meta = {
        **circumstances(recipe.results),
        "device": device_name(run.device),
        "threads": recipe.threads,
        **precision(),
        **identity.described,
        "wandb_id": wandb_log.id if wandb_log else None,
    }
    write_whole(folder.meta, as_json(meta))
    curve: list[tuple[int, Point]] = []

    def record(step: int, point: Point) -> None:
        curve.append((step, point))
        csv_log.write(step, step * recipe.batch_size, point)
        if wandb_log:
            wandb_log.write(step, step * recipe.batch_size, point)

    try:
        origin = fingerprint(run)
        started = time.perf_counter()
        with closing(csv_log):
            diverged = fit(run, record)
        seconds = time.perf_counter() - started
        save_weights(run, folder.weights)
        summary = summarise(run, curve, diverged, seconds) | {"fingerprint": origin}
        if asked:
            write_table(folder.shifts, SHIFTS, shifted(run, asked))
        folder.write_summary(summary, pending=True)
    except BaseException as error:
        if wandb_log:
            wandb_log.close(None, FAILED if isinstance(error, Exception) else INTERRUPTED)
        raise
    if wandb_log and not wandb_log.close(wandb_summary(folder, recipe.science, summary)):
        ensure_in_wandb(folder, identity, summary)
    folder.finish()


# Building: the net and the data that it meets


@contextmanager
def own_rows(
    norms: Mapping[str, Any], models: Mapping[str, Any], own_shifts: Mapping[str, Any]
) -> Iterator[None]:
    """Add rows of the user's own to the tables that a run is built from, inside a `with`.

    Args:
        norms: rows of `NORMS`.
        models: rows of `MODELS`.
        own_shifts: of each shift a row of `shifts.SHIFTS` and one of `shifts.SEVERITIES`.
    """
    tables = (NORMS, MODELS, shifts.SHIFTS, shifts.SEVERITIES)
    before = [dict(table) for table in tables]
    NORMS.update(norms)
    MODELS.update(models)
    for name, (change, levels) in own_shifts.items():
        shifts.SHIFTS[name], shifts.SEVERITIES[name] = change, levels
    try:
        yield
    finally:
        for table, rows in zip(tables, before, strict=True):
            table.clear()
            table.update(rows)  # pyright: ignore[reportArgumentType, reportCallIssue]


def build(recipe: Recipe, seed: int) -> Run:
    """Build the untrained net of a run, its weights drawn from the seed, and load its data."""
    device = device_of(recipe)
    drawn_from = seed if recipe.split_seed is None else recipe.split_seed
    dataset, splits = prepared(
        recipe.data,
        recipe.data_root,
        drawn_from,
        recipe.train_images,
        device,
        pixels=recipe.pixels,
        stratified=recipe.split_seed is None,
        source=recipe.own_data,
    )
    return assemble(recipe, seed, device, dataset, splits)


def device_of(recipe: Recipe) -> torch.device:
    """Where the runs of an arm are trained."""
    cuda = recipe.device == "cuda" or (recipe.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if cuda else "cpu")


def device_name(device: torch.device) -> str:
    """`cpu`, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@lru_cache(maxsize=2)  # of runs with splits of their own, only the last ones are kept in memory
def prepared(
    name: str,
    root: Path,
    split_seed: int,
    train_images: int | None,
    device: torch.device,
    *,
    pixels: str,
    stratified: bool,
    source: OwnSource | None,
) -> tuple[Dataset, dict[str, Images]]:
    """A data set and its splits on the device, as nets see them; kept for the next run."""
    if source is None:
        dataset = load(name, root, split_seed, train_images, stratified=stratified)
    else:
        images = own.read(source, kept)
        dataset = load_own(images, split_seed, train_images, stratified=stratified)
    dataset = dataset.with_pixels(pixels)
    splits = {
        split: (normalised(dataset, images, device), labels.to(device))
        for split, (images, labels) in (
            ("train", dataset.train),
            ("val", dataset.val),
            ("test", dataset.test),
        )
    }
    return dataset, splits


def normalised(dataset: Dataset, images: Tensor, device: torch.device) -> Tensor:
    """Raw images as a net sees them."""
    return dataset.normalise(images).to(device, memory_format=torch.channels_last)


def assemble(
    recipe: Recipe, seed: int, device: torch.device, dataset: Dataset, splits: dict[str, Images]
) -> Run:
    """Build the untrained net of a run, its weights drawn from the seed, around some data."""
    use_float32()
    kind, options = MODELS[recipe.model], recipe.norm_options
    kernels.require(options.get("backend", "reference"))  # no other may compute under its name
    norm = partial(NORMS[recipe.norm], spatial_dims=kind.spatial_dims, **options)
    model = kind(
        dataset.image_shape,
        dataset.num_classes,
        norm=None if recipe.norm == "none" else norm,
        **recipe.model_options,
    )
    initialise(model, recipe.init, seed, recipe.init_scale)
    model.to(device).to(memory_format=torch.channels_last)
    pixels = math.prod(dataset.image_shape[1:])
    chunk = CHUNK_PIXELS // pixels if kind.spatial_dims else CHUNK
    return Run(recipe, seed, device, dataset, splits, model, chunk)


def fingerprint(run: Run) -> dict[str, Any]:
    """What tells whether runs start from equal weights, see equal batches and have equal data."""
    return {
        "weights": tensor_digest(layer.weight for layer in weight_layers(run.model)),
        "batches": tensor_digest(batches(run, FIRST)),
        **run.dataset.fingerprint,
    }


# Fitting: training steps, evaluations and probes


def fit(run: Run, record: Callable[[int, Point], None]) -> bool:
    """Train a net and record its evaluation points.

    Returns:
        Whether the run diverged.
    """
    recipe, model = run.recipe, run.model
    losses: list[Tensor] = []  # on the device, since the last evaluation
    recent: deque[float] = deque(maxlen=RECENT)
    probe, source = prober(run), statistics_source(run)
    averages = WeightAverages(model, recipe.averages, recipe.steps)
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(run.seed, "dropout"))
        if before := probe(0):
            record(0, before)
        for step, loss in enumerate(steps(run), 1):
            losses.append(loss)
            averages.update(step)
            if step not in recipe.evaluation_points:
                continue
            largest = torch._foreach_norm(  # pyright: ignore[reportPrivateImportUsage]
                [*model.parameters()], math.inf
            )
            values = torch.stack([*losses, *largest]).tolist()
            finite = all(map(math.isfinite, values))
            del values[len(losses) :]
            losses.clear()
            recent.extend(values)
            scope = recipe.evaluation_points[step] if finite else Scope.everything
            policies = [p for p in recipe.policies if scope > Scope.curve or p in ONE_PASS]
            keys = evaluated(run, scope)
            results = evaluate(model, run.splits, keys, policies, source, tasks_of(run))
            if scope == Scope.everything:
                whole = ("test", len(run.splits["test"][1]))
                for kind in recipe.averages:
                    keys = {f"test_{kind}": whole}
                    with averages.held(kind):
                        results |= evaluate(model, run.splits, keys, policies, source)
            # what is evaluated comes last: the summary repeats the end of metrics.csv
            record(step, {("train@batch", "", "loss"): fmean(values), **probe(step), **results})
            if step == recipe.steps or not finite:
                return not finite or fmean(recent) > 2 * math.log(run.dataset.num_classes)
    raise AssertionError("the last step is an evaluation point")


def evaluated(run: Run, scope: Scope) -> dict[str, tuple[str, int]]:
    """What is evaluated at a point, by key: a split and how many of its first images."""
    sizes = {split: len(labels) for split, (_, labels) in run.splits.items()}
    keys = {"val": ("val", min(SUBSET, sizes["val"]))}
    if scope >= Scope.policies:
        keys = {"train": ("train", min(TRAIN_SUBSET, sizes["train"])), **keys}
    if scope == Scope.everything:
        keys |= {"val_all": ("val", sizes["val"]), "test": ("test", sizes["test"])}
    return keys


def steps(run: Run) -> Iterator[Tensor]:
    """Take the training steps of a run; yields the training-mode loss of each."""
    if run.recipe.decay_by == DecayBy.penalty:
        return own_steps(run)
    weights = hidden_weights(run.model)
    if run.recipe.decay_by == DecayBy.head:
        return own_steps(run, weights)
    copy = replace(run, model=deepcopy(run.model))
    pairs = list(zip(weights, hidden_weights(copy.model), strict=True))
    epoch = len(run.splits["train"][1]) // run.recipe.batch_size
    return rescaled(own_steps(run, weights), own_steps(copy), pairs, epoch)


def hidden_weights(model: nn.Module) -> list[Tensor]:
    """List the weights of a net's layers but the head, in order."""
    return [layer.weight for layer in weight_layers(model)[:-1]]


def own_steps(run: Run, spared: Collection[Tensor] = ()) -> Iterator[Tensor]:
    """Take the training steps of a net by itself, without weight decay on some of its weights."""
    recipe, model = run.recipe, run.model
    images, labels = run.splits["train"]
    augment = None
    if recipe.augment == Augment.light:
        generator = torch.Generator().manual_seed(derive_seed(run.seed, "batches", "augment"))
        height = images.shape[2]
        draws = light_draws(recipe.batch_size, height, generator, run.dataset.mirrored)
        augment = partial(augmented, draws=ahead(draws, run.device))
    masks = freeze(model, recipe.trainable, run.seed)
    optimizer = OPTIMIZERS[recipe.optimizer](
        model, masks, spared=spared, **recipe.optimizer_options
    )
    return training_steps(
        model,
        images,
        labels,
        batches(run, recipe.steps),
        optimizer,
        rates(recipe),
        augment,
    )


def augmented(images: Tensor, draws: Iterator[Tensor]) -> Tensor:
    """The images of a batch, changed by the next of the draws."""
    return augment_light(images, next(draws))


def batches(run: Run, num: int) -> Iterator[Tensor]:
    """The indices of a run's first training batches."""
    recipe, (_, labels) = run.recipe, run.dataset.train
    size, composition, tasks = recipe.batch_size, recipe.batches, tasks_of(run)
    if not tasks:
        return batch_indices(len(labels), size, num, run.seed, composition, labels)
    steps = recipe.steps // tasks.number
    return islice(task_batches(labels, tasks.classes, size, steps, run.seed, composition), num)


def tasks_of(run: Run) -> Tasks | None:
    """Tell what the classes of a run are cut into; None where all are trained on at once."""
    number = run.recipe.tasks
    return Tasks(number, run.dataset.num_classes // number) if number > 1 else None


def rates(recipe: Recipe) -> Callable[[int], float]:
    """The learning rate of each step of a run."""
    return schedule(recipe.schedule, recipe.first_rate, recipe.lr_end, recipe.steps)


def statistics_source(run: Run) -> StatisticsSource:
    """What the population statistics of a run's evaluations are drawn from: the first images."""
    return StatisticsSource(
        reference=run.splits["train"][0][:SUBSET],
        train_batch=run.recipe.batch_size,
        test_batch=run.recipe.test_batch,
        prior=run.recipe.prior,
        chunk=run.chunk,
        at_once=max(run.chunk, SUBSET),
    )


def prober(run: Run) -> Callable[[int], dict[tuple[str, str, str], float]]:
    """A function that says what a run's probes find in its net after a step; 0 for the start.

    They look at the first training images in training mode, without augmentation; those that are
    asked after the last step alone look at the first test images.
    """
    recipe = run.recipe
    probes = {name: PROBES[name]() for name in recipe.probes}
    images, labels = run.splits["train"]
    size, rate = recipe.batch_size, rates(recipe)
    unseen = unseen_images(run) if AT_END & probes.keys() else None

    def probe(step: int) -> dict[tuple[str, str, str], float]:
        batch = Batch(
            images[:size],
            labels[:size],
            rate=rate(min(step + 1, recipe.steps)),
            reference=images[:SUBSET],
            reference_labels=labels[:SUBSET],
            unseen=unseen,
            is_end=step in (0, recipe.steps),
        )
        return {
            ("test" if name in AT_END else "train@batch", layer, metric): value
            for name, measure in probes.items()
            if name not in AT_END or step == recipe.steps
            for (layer, metric), value in measure(run.model, batch).items()
        }

    return probe


def unseen_images(run: Run) -> Unseen:
    """The first test images of a run, for the probes that are asked for an accuracy."""
    images, labels = (tensor[:TEST_SUBSET] for tensor in run.splits["test"])
    mean, std = (of_channels.to(run.device) for of_channels in (run.dataset.mean, run.dataset.std))
    return Unseen(images, labels, mean, std)


# The outcome: what a trained net leaves behind


def summarise(
    run: Run, curve: list[tuple[int, Point]], diverged: bool, seconds: float
) -> dict[str, Any]:
    """What summary.json says of a run."""
    last, point = curve[-1]
    evaluated = [(step, values["val", "", "accuracy"]) for step, values in curve if step]
    steps, accuracies = map(list, zip(*evaluated, strict=True))
    steps_to = {str(t): crossing(steps, accuracies, t) for t in run.recipe.thresholds}
    size = run.recipe.batch_size
    return {
        "status": "diverged" if diverged else "done",
        "stuck": not diverged and accuracies[-1] <= 1 / run.dataset.num_classes + 0.02,
        "metrics": {
            metric_key(split, metric, layer): value
            for (split, layer, metric), value in point.items()
        },
        "steps_to": steps_to,
        "samples_to": {t: None if s is None else s * size for t, s in steps_to.items()},
        "steps": last,
        "samples": last * size,
        "seconds": round(seconds, 3),
        "parameters": sum(p.numel() for p in run.model.parameters()),
    }


def save_weights(run: Run, path: Path) -> None:
    """Keep the trained weights, where they are wanted, for evaluations to come."""
    weights = {name: tensor.cpu() for name, tensor in run.model.state_dict().items()}
    size = sum(tensor.nbytes for tensor in weights.values())
    wish = run.recipe.save_weights
    if wish == SaveWeights.always or (wish == SaveWeights.auto and size <= KEPT_BYTES):
        # in memory first: torch notes a file's name in it, and tells of a full disk in riddles
        content = BytesIO()
        torch.save(weights, content)
        write_whole(path, content.getvalue())


def load_weights(run: Run, path: Path) -> bool:
    """Load the weights that a run kept.

    Returns:
        False where there are none that can be read.
    """
    try:
        with opened(path, WEIGHTS) as file:
            weights = torch.load(file, weights_only=True, map_location=run.device)
        run.model.load_state_dict(weights)
    except Exception:  # torch.load raises a dozen kinds of its own at a damaged file
        return False
    return True


def shifted(run: Run, asked: Collection[tuple[str, int, str]]) -> list[tuple[Any, ...]]:
    """The rows of shifts.csv for (shift, severity, policy): loss and accuracy on the test set.

    Statistics that a policy takes from training images are those of unshifted ones; adabn, batch,
    blend and recalibrated adapt to the shifted images.
    """
    rows: list[tuple[Any, ...]] = []
    source = statistics_source(run)
    for name, severity in sorted({(name, severity) for name, severity, _ in asked}):
        raw, labels = apply_shift(*run.dataset.test, name, severity, run.seed)
        images, labels = normalised(run.dataset, raw, run.device), labels.to(run.device)
        for policy in [p for p in run.recipe.policies if (name, severity, p) in asked]:
            with evaluating_with(run.model, policy, source, images):
                means = scores(run.model, images, labels, source.size(policy)).sum(1) / len(labels)
            pairs = zip(("loss", "accuracy"), means.tolist(), strict=True)
            rows.extend((name, severity, policy, key, repr(value)) for key, value in pairs)
    return rows
