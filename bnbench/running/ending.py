"""How a sweep ends on the terminal: the answer of each experiment, and what to type next."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bnbench import BIN
from bnbench.analysis.stats import MIN_SEEDS
from bnbench.analysis.summary import ExperimentSummary, summarise
from bnbench.cli import Experiment, Request
from bnbench.config.quoting import (
    VARIABLES,
    command,
    elsewhere,
    entry_words,
    shown_path,
    subcommand,
)
from bnbench.config.schema import Augment, OwnDataConfig, Schedule, TrackMode
from bnbench.pages.answer_text import show_answers
from bnbench.request.refusal import print_error
from bnbench.tracking.experiment_dir import ADHOC, experiment_path


def end(
    request: Request, argv: Sequence[str], failed: bool, console: Console, report: Path | None
) -> None:
    """Print the summary and the commands to type next.

    Args:
        request: what was run.
        argv: as it was typed.
        failed: whether a run has.
        console: where to print.
        report: the page that was written; None where only the command line of training was used.
    """
    found: list[ExperimentSummary] = []
    for experiment in request.experiments:
        try:
            path = experiment_path(request.results, experiment.name, experiment.data)
            summary = summarise(path)
        except (OSError, OverflowError, ValueError) as error:
            print_error(str(error))
            continue
        found += [summary] if summary else []
    if found:
        console.print()
        show_answers(found, console)
        console.print()
    for word, told in commands(request, argv, failed, report).items():
        line = Text.assemble((f"{word + ':':12} ", "bold"), told)
        console.print(line, soft_wrap=True)


def commands(
    request: Request, argv: Sequence[str], failed: bool, report: Path | None
) -> dict[str, str]:
    """What to paste into bash next, each under a word that says what for."""
    results = elsewhere(request.results)
    by_make = report is not None
    told = {}
    if failed:
        script = "sweep" if by_make else "train"
        told["try again"] = command([*entry_words(script), *argv])
    told["status"] = subcommand("status", results)
    without_wandb = next(iter(request.arms.values())).config.track.mode == TrackMode.csv
    if not without_wandb:
        told["online"] = f"{subcommand('sync', results)} && {subcommand('dashboard', results)}"
    told["report"] = shown_path(report) if report else subcommand("report", results)
    told["try next"] = by_make_next(request, argv) if by_make else by_hand_next(request, argv)
    if without_wandb:
        told["compare"] = command([*entry_words("wandb_upload"), *results])
    else:
        told["compare"] = f"{BIN}wandb leet {shown_path(request.results / 'wandb')}"
    return told


def by_make_next(request: Request, argv: Sequence[str]) -> str:
    """A `make sweep` of the first experiment with one thing changed."""
    experiment = request.experiments[0]
    key, value = suggestion(request, experiment)
    typed = {key: value for key, _, value in (word.partition("=") for word in argv)}
    own = request.arms[next(iter(experiment.runs))].config.data
    data = own.kind if isinstance(own, OwnDataConfig) else str(experiment.data)
    data = "" if data == "digits" else data
    given = typed | {"experiment": experiment.name, "data": data, key: value}
    named = {name: given.pop(name, "") for name in VARIABLES}
    rest = [f"{k}={v}" for k, v in given.items() if not k.startswith("hydra")]
    return subcommand("sweep", rest, **named)


def by_hand_next(request: Request, argv: Sequence[str]) -> str:
    """The same sweep with one thing changed; a single arm beside the net without norm."""
    arms = list(request.arms.values())
    words = [word for word in argv if word not in ("-m", "--multirun")]
    if len(arms) == 1 and not any(word.startswith("norm.") for word in words):
        norm = arms[0].config.norm.name
        key, value = "norm", "none,batchnorm" if norm == "none" else f"none,{norm}"
    else:
        key, value = suggestion(request, request.experiments[0])
    kept = [word for word in words if word.partition("=")[0] != key]
    is_sweep = request.experiments[0].name == ADHOC and (len(arms) > 1 or "," in value)
    flags = ["-m"] if is_sweep else []
    return command([*entry_words("train"), *flags, *kept, f"{key}={value}"])


def suggestion(request: Request, experiment: Experiment) -> tuple[str, str]:
    """One override to try next: what makes the answer surer, else what it might hang on."""
    configs = [request.arms[arm].config for arm in experiment.runs]
    seeds = experiment.runs.values()
    searches = any(job.plan for job in request.jobs if job.experiment == experiment.name)
    if min(map(len, seeds)) < MIN_SEEDS and not searches:
        return "seeds", str(list(range(MIN_SEEDS))).replace(" ", "")
    if all(config.optim.schedule == Schedule.constant for config in configs):
        return "optim.schedule", "cosine"
    if all(config.data.augment == Augment.none for config in configs):
        return "data.augment", "light"
    return "seeds", str(list(range(max(map(len, seeds)) + MIN_SEEDS))).replace(" ", "")
