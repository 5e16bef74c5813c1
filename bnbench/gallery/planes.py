"""The plane through the weights of a run, measured once and kept while they are the same."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from bnbench.config.recipe import resolve
from bnbench.config.schema import Config
from bnbench.gallery.slices import direction, plane
from bnbench.probes import Batch
from bnbench.probes.passes import parameters
from bnbench.tracking.csv_log import write_table
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.stored import TABLE, content, make_folder
from bnbench.train import build, load_weights

VERSION = 1  # raised with the meaning of the numbers: planes of another version are measured anew
HALF = 1.0  # reach of the planes either way, in multiples of the directions
IMAGES = 500  # number of training images that the loss is computed on


def measured_plane(
    folder: Path,
    results: Path,
    arm: str,
    config: Config,
    seed: int,
    points: int,
    say: Callable[[str], None],
) -> np.ndarray:
    """Read or measure the plane through the weights of one run, (points, points).

    A plane that was measured before is read from its file.

    Raises:
        ValueError: the run kept no weights.
    """
    trained = RunFolder.of(results, arm, seed)
    summary = trained.read_summary()
    weights = summary.get("sha256", {}).get("weights.pt")
    facts = (VERSION, weights, points, HALF, IMAGES)
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:8]
    file = folder / "planes" / f"{arm}-seed-{seed}-{digest}.csv"
    with suppress(FileNotFoundError, ValueError):  # not there, or not whole
        return read_plane(file, points)
    run = build(resolve(config), seed)
    kept = trained.is_intact(summary, trained.weights)
    if not kept or not load_weights(run, trained.weights):
        raise ValueError(f"{trained.weights}: missing or damaged (train.save_weights)")
    images, labels = (x[:IMAGES] for x in run.splits["train"])
    at = parameters(run.model)
    ways = (direction(at, seed, "one"), direction(at, seed, "other"))
    axis = np.linspace(-HALF, HALF, points).tolist()
    rows = plane(run.model, Batch(images, labels, 0.0, images), ways, axis)
    make_folder(file.parent)
    table = [
        (a, b, value)
        for b, row in zip(axis, rows, strict=True)
        for a, value in zip(axis, row, strict=True)
    ]
    write_table(file, ("a", "b", "loss"), table)
    say(f"{arm} seed {seed}: {points}×{points} points of its plane")
    return read_plane(file, points)


def read_plane(file: Path, points: int) -> np.ndarray:
    """Read the losses of a plane, (points, points)."""
    lines = content(file, TABLE).decode().splitlines()
    return np.loadtxt(lines, delimiter=",", skiprows=1, usecols=2).reshape(points, points)
