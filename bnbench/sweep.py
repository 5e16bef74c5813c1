"""A request from the command line to its results: launch arms through Hydra's launchers.

A single arm is a sweep of one job. The parent never imports torch: it checks the request, starts
the launcher again for what a dead worker left behind, and reads the outcome from the run folders.
"""

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from rich.console import Console

from bnbench import cli
from bnbench.checks import RequestError
from bnbench.config import science, typed
from bnbench.launch import Work, train_missing
from bnbench.process import STOPPED, follow, leading
from bnbench.progress import Watcher, clock
from bnbench.refusal import REFUSED, complain, one_line
from bnbench.tracking.experiment_dir import (
    experiment_path,
    write_arms,
    write_experiment,
    write_runs,
)
from bnbench.tracking.meta import circumstances, read_meta
from bnbench.tracking.run_dir import run_path

CONFIGS = Path(__file__).parents[1] / "configs"

parent: int | None = None  # the process that leads the sweep; None in its workers


@dataclass
class Outcome:
    """What became of a request."""

    request: cli.Request
    failures: list[tuple[str, int, str]]  # arm, seed, reason
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 when every asked-for run has a result, else 1."""
        return int(bool(self.failures))


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point of `scripts/train.py` and of the command `bnbench`; returns its exit code."""
    outcome = sweep(sys.argv[1:] if argv is None else list(argv))
    return outcome if isinstance(outcome, int) else outcome.exit_code


def sweep(argv: list[str]) -> Outcome | int:
    """Run a command line: what became of it, or the exit code where nothing was to be trained."""
    global parent
    parent = os.getpid()
    parser = get_args_parser()
    parser.error = lambda message: sys.exit(complain(message))
    args = parser.parse_intermixed_args(argv)  # overrides and options in any order
    for flag in ("config_name", "config_path", "config_dir", "experimental_rerun"):
        if getattr(args, flag, None):
            return complain(f"--{flag.replace('_', '-')}: expected overrides of configs/ instead")
    if args.help or args.hydra_help or args.cfg or args.info or args.shell_completion:
        options = [word for word in argv if word not in args.overrides]
        return hydra_itself([*options, *args.overrides])
    try:
        with leading(), hydra.initialize_config_dir(str(CONFIGS), job_name="train", version_base="1.3"):
            request = cli.read(args.overrides, args.multirun)
            return run(request, shlex.join(["python", "scripts/train.py", *argv]))
    except RequestError as error:
        return complain(str(error))
    except OSError as error:  # a full disk, a folder that is gone
        print(f"bnbench: {error}; what is done is kept", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the same command finishes what is missing", file=sys.stderr)
        return 130


def hydra_itself(argv: list[str]) -> int:
    """Let Hydra answer --help, --cfg, --info and TAB, with its errors in one line."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # it then raises instead of printing
    sys.argv[1:] = argv
    try:
        hydra.main(config_path=str(CONFIGS), config_name="config", version_base="1.3")(task)()
    except REFUSED as error:
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            assert isinstance(loader, ConfigLoaderImpl)
            overrides = [a for a in argv if not a.startswith("-")]
            return complain(one_line(error, loader, overrides))
    return 0


def task(config: DictConfig) -> dict[int, str]:
    """One job of a launcher: train one arm. Runs in a worker, where torch is imported."""
    is_worker = parent != os.getpid()
    if is_worker:
        follow()
    from bnbench.train import train_arm

    try:
        return train_arm(typed(cli.plain(config)))
    except KeyboardInterrupt:
        if is_worker:
            os._exit(STOPPED)  # raised further, it would reach the leader as the user's Ctrl-C
        raise


def run(request: cli.Request, command: str) -> Outcome:
    """Train what is missing of a request, and write its experiments' tables."""
    console = Console(file=sys.stdout, markup=False, highlight=False)
    started, clock_started = datetime.now(UTC), time.monotonic()
    work = Work(request)
    todo = work.lacking()
    describe(request, todo, console)
    for experiment in request.experiments:
        path = experiment_path(request.results, experiment.name, experiment.data)
        write_arms(
            path,
            (
                (arm, seed, science(request.arms[arm].config))
                for arm, seeds in experiment.runs.items()
                for seed in seeds
            ),
        )
    if todo:
        with Watcher(todo, work.settled, work.failed, console):
            train_missing(work, task)
    failures = [
        (arm, int(path.name.removeprefix("seed-")), work.reason(path))
        for arm, paths in todo.items()
        for path in paths
        if work.failed(path)
    ]
    seconds = time.monotonic() - clock_started
    finished = datetime.now(UTC)
    for experiment in request.experiments:
        path = experiment_path(request.results, experiment.name, experiment.data)
        facts = {
            "name": experiment.name,
            "data": experiment.data,
            "question": experiment.report["question"],
            "command": command,
            **circumstances(),
            "device": device(request),
            "started": started.isoformat(timespec="seconds"),
            "finished": finished.isoformat(timespec="seconds"),
            "report": experiment.report,
        }
        write_experiment(path, facts)
        write_runs(request.results, experiment.name, experiment.data)
    outcome = Outcome(request, failures, seconds)
    conclude(outcome, todo, console)
    return outcome


def device(request: cli.Request) -> str:
    """What the runs were trained on, as the last of them recorded it."""
    arm = next(reversed(request.arms.values()))
    path = run_path(request.results, arm.id, arm.config.seeds[-1])
    return str(read_meta(path).get("device", "unknown"))


def describe(request: cli.Request, todo: dict[str, list[Path]], console: Console) -> None:
    """Say what was asked for, what is there already and what is trained now."""
    for experiment in request.experiments:
        num_runs = sum(map(len, experiment.runs.values()))
        console.print(
            f"{experiment.name} on {experiment.data}: {len(experiment.runs)} arms, {num_runs} runs",
        )
    num_runs = sum(len(arm.config.seeds) for arm in request.arms.values())
    num_todo = sum(map(len, todo.values()))
    duplicates = f" ({request.duplicates} duplicate arms merged)" if request.duplicates else ""
    console.print(
        f"{len(request.arms)} arms, {num_runs} runs{duplicates}: "
        f"{num_runs - num_todo} done already, {num_todo} to train",
    )


def conclude(outcome: Outcome, todo: dict[str, list[Path]], console: Console) -> None:
    """Say what came of it; failures by arm, seed and reason."""
    num_todo = sum(map(len, todo.values()))
    for arm, seed, why in outcome.failures:
        console.print(f"FAILED {arm} seed {seed}: {why}", soft_wrap=True)
    if outcome.failures:
        console.print(f"{len(outcome.failures)} of {num_todo} runs failed")
    elif num_todo:
        console.print(f"{num_todo} runs finished in {clock(outcome.seconds)}")
    console.print(f"results: {outcome.request.results}", soft_wrap=True)
