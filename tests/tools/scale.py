"""What a big sweep costs beside its training.

    python tests/tools/scale.py [--arms 1000] [--seeds 1] [--report 10000]

The same path as a sweep, W&B offline included, with a trainer that makes its numbers up at once;
then the report of `--report` made-up runs. Prints a table of times and memory.
"""

import argparse
import contextlib
import io
import math
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from bnbench import cli, sweep
from bnbench.config.arms import arm_id, num_steps, science
from bnbench.config.points import evaluation_points
from bnbench.config.schema import TrackMode
from bnbench.pages.report import write_report
from bnbench.running.estimate import Estimate, time_left
from bnbench.running.launch import Work, train_missing
from bnbench.running.progress import Watcher
from bnbench.tracking.csv_log import Point
from bnbench.tracking.experiment_dir import experiment_path, write_arms, write_runs


def made_up(run: Any, record: Callable[[int, Point], None]) -> bool:
    """The points of a run that was not trained, each at its step; it has not diverged."""
    config, seed = run.config, run.seed
    num = num_steps(config)
    for step in evaluation_points(num, config.train.eval_points):
        loss = 2.3 * math.exp(-3 * step / num) + 0.01 * seed
        splits = ("train", "val", *(("test",) if step == num else ()))
        names = [f"{s}{p}" for s in splits for p in ("", "@precise")]
        point = {(name, "", key): v for name in names for key, v in values(loss).items()}
        record(step, {("train@batch", "", "loss"): loss, **point})
    return False


def values(loss: float) -> dict[str, float]:
    """A loss, and an accuracy to go with it."""
    return {"loss": loss, "accuracy": math.exp(-loss)}


def task(config: DictConfig) -> dict[int, str]:
    """One job: as in a sweep, with the training made up."""
    from bnbench import train

    train.fit = made_up  # pyright: ignore[reportAttributeAccessIssue]
    return sweep.task(config)


def request(results: Path, arms: int, seeds: int, track: str) -> cli.Request:
    """A checked request of some hundred or thousand arms."""
    multiples = ",".join(f"{1 + k / 1000:.3f}" for k in range(math.ceil(arms / 4)))
    overrides = [
        *("norm=batchnorm,layernorm", "placement=pre,post", f"optim.lr_mult={multiples}"),
        *(f"seeds={list(range(seeds))}", f"track={track}", f"results={results}", "device=cpu"),
    ]
    with hydra.initialize_config_dir(str(sweep.CONFIGS), version_base="1.3", job_name="train"):
        return cli.read(overrides, True)


def launched(asked: cli.Request) -> None:
    """Launch a request as a sweep does, with the progress that it shows."""
    work = Work(asked)
    console = Console(file=io.StringIO())
    ids = {arm: arm for arm in asked.arms}
    left = time_left(Estimate(), asked, work.lacking())
    with (
        hydra.initialize_config_dir(str(sweep.CONFIGS), version_base="1.3", job_name="train"),
        Watcher(work, work.lacking(), console, ids, left),
    ):
        train_missing(work, task)
    assert not work.lacking()


def tables(asked: cli.Request) -> None:
    """Write arms.csv and runs.csv of a request."""
    for experiment in asked.experiments:
        path = experiment_path(asked.results, experiment.name, experiment.data)
        runs = ((a, s) for a, seeds in experiment.runs.items() for s in seeds)
        write_arms(path, ((a, s, science(asked.arms[a].config)) for a, s in runs))
        write_runs(asked.results, experiment.name, experiment.data)


def invented(asked: cli.Request) -> None:
    """Write the files of every run of a request in this process, without a launcher or W&B."""
    from bnbench import train

    train.fit = made_up  # pyright: ignore[reportAttributeAccessIssue]
    for arm in asked.arms.values():
        config = replace(arm.config, track=replace(arm.config.track, mode=TrackMode.csv))
        assert arm_id(science(config)) == arm.id
        train.train_arm(config)


@contextlib.contextmanager
def timed(rows: list[tuple[str, ...]], what: str, per: int = 0) -> Iterator[None]:
    """Time a step; per is what its time is also divided by."""
    begun = time.monotonic()
    yield
    seconds = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows.append((what, f"{seconds:.2f}", f"{seconds / per:.3f}" if per else "", f"{peak:.0f}"))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--report", type=int, default=10_000, help="runs; 0 leaves it out")
    args = parser.parse_args()
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as name:
        results = Path(name) / "results"
        runs = 4 * math.ceil(args.arms / 4) * args.seeds
        with timed(rows, f"compose and check {runs // args.seeds} arms"):
            asked = request(results, args.arms, args.seeds, "default")
        with timed(rows, f"launch {runs} runs, nothing trained, W&B offline", runs):
            launched(asked)
        with timed(rows, "find that all are done"):
            assert not Work(asked).lacking()
        with timed(rows, "write arms.csv and runs.csv"):
            tables(asked)
        if args.report:
            results = Path(name) / "many"
            asked = request(results, math.ceil(args.report / 5), 5, "csv")
            invented(asked)
            count = sum(len(arm.config.seeds) for arm in asked.arms.values())
            with timed(rows, f"write arms.csv and runs.csv of {count} runs"):
                tables(asked)
            with timed(rows, f"report of {count} runs"):
                write_report(results)
    table = Table("what", "seconds", "per run", "peak MB", box=None)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak of a worker: {children:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
