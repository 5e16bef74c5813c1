"""The dashboard of one experiment: from its files to a checked specification, and what is saved."""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bnbench import CALL, IS_CHECKOUT
from bnbench.analysis.load import ExperimentData, finished, load
from bnbench.analysis.summary import summarise
from bnbench.config.quoting import entry_words, subcommand
from bnbench.dashboard import workspace
from bnbench.dashboard.specification import keys_logged, specify
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.shapes import SAVED, checked, parsed
from bnbench.tracking.stored import DamagedError, content, make_folder
from bnbench.tracking.upload import Attempt
from bnbench.tracking.wandb_log import describe, read_facts
from bnbench.tracking.whole_files import as_json, write_whole

FROM_CSV = entry_words("wandb_upload")[-1] if IS_CHECKOUT else " ".join(entry_words("wandb_upload"))


@dataclass
class Runs:
    """The finished runs of an experiment, as W&B has them.

    Attributes:
        number: how many there are.
        absent: how many have no W&B run that can be read here.
        unsent: how many of the others no server has.
        unshifted: how many were evaluated under a shift after their W&B run had ended.
        places: how many lie in each (entity, project) of the server; "" is the account's own.
    """

    number: int
    absent: int
    unsent: int
    unshifted: int
    places: Counter[tuple[str, str]]

    @property
    def sent(self) -> int:
        """How many a server has."""
        return self.number - self.absent - self.unsent

    def lacks(self) -> list[str]:
        """Lines on the runs that the dashboard does not show in full, and what helps."""
        lines = [
            (self.absent, f"have no W&B run: {FROM_CSV} makes it from CSV"),
            (self.unsent, f"are not on a server: {CALL} sync"),
            (self.unshifted, f"have shifts that W&B lacks: {FROM_CSV} --all logs them anew"),
            (self.sent - max(self.places.values(), default=0), "are in another W&B project"),
        ]
        return [f"{number} of {self.number} runs {words}" for number, words in lines if number]


@dataclass(frozen=True)
class Built:
    """A dashboard with the file that it is written to, and the runs that it shows."""

    name: str
    made: workspace.Workspace
    runs: Runs
    file: Path

    @property
    def saved(self) -> Path:
        """The file that says where a server has it."""
        return self.file.with_suffix(".saved.json")

    def known(self, server: str, entity: str, project: str) -> workspace.Saved | None:
        """The workspace that an earlier call has saved in this place.

        Raises:
            ValueError: the file that says so is not what that call wrote.
        """
        try:
            saved = workspace.Saved(**checked(parsed(content(self.saved, depth=1)), SAVED))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise ValueError(
                f"{self.saved}: not what `{CALL} dashboard` wrote; without it there will be a new "
                "workspace"
            ) from None
        there = (saved.server, saved.entity, saved.project) == (server, entity, project)
        return saved if there else None

    def save(self, server: str, entity: str) -> workspace.Saved:
        """Save it where most of its runs are, and note where.

        Raises:
            ValueError: the note of an earlier call is damaged.
            Exception: the server does not do it; wandb raises kinds of its own.
        """
        (own, project), _ = self.runs.places.most_common(1)[0]
        known = self.known(server, own or entity, project)
        try:
            saved = workspace.save(self.made, server, own or entity, project, known)
        except Exception as error:
            if known is None:
                raise
            hint = f"if it was deleted there: without {self.saved} there will be a new one"
            raise RuntimeError(f"{describe(error)}; {hint}") from error
        write_whole(self.saved, as_json(asdict(saved)), depth=1)
        return saved


def build(folder: Path, attempts: Iterable[Attempt]) -> Built:
    """Specify the dashboard of an experiment, check it and write it down.

    Args:
        folder: `results/experiments/<name>/<data>`.
        attempts: the W&B runs on disk.

    Raises:
        ValueError: there is nothing to show, a file is damaged, or a panel would be empty.
    """
    experiment = load(folder).reporting()
    results = folder.parents[2]
    runs = wandb_runs(experiment, results, attempts)
    name = f"{experiment.name} on {experiment.data}"
    if not runs.number:
        again = subcommand("sweep", experiment=experiment.name)
        raise ValueError(f"{name}: no run is finished ({again})")
    if runs.absent == runs.number:
        raise ValueError(f"{name}: no run was logged to W&B here ({FROM_CSV} does it from CSV)")
    summary = summarise(folder)
    answer = [str(told) for told in summary.answers] if summary else []
    made = specify(experiment, keys_logged(experiment), answer)
    file = results / "dashboards" / f"{experiment.name}-{experiment.data}.json"
    make_folder(file.parent, 1)
    write_whole(file, as_json(workspace.viewspec(made)), 1)
    return Built(name, made, runs, file)


def wandb_runs(experiment: ExperimentData, results: Path, attempts: Iterable[Attempt]) -> Runs:
    """Read what W&B has of the finished runs of an experiment, from its files on this disk."""
    attempt_of = {attempt.run: attempt for attempt in attempts if attempt.run}
    ended = finished(experiment.runs)
    shifted = Counter(zip(experiment.shifts["arm"], experiment.shifts["seed"], strict=True))
    runs = Runs(len(ended), 0, 0, 0, Counter())
    for arm, seed in zip(ended["arm"], ended["seed"], strict=True):
        attempt = attempt_of.get(RunFolder.of(results, arm, seed))
        facts = None
        with suppress(FileNotFoundError, DamagedError):
            facts = read_facts(attempt.file) if attempt else None
        if attempt is None or facts is None:
            runs.absent += 1
            continue
        runs.unshifted += shifted[arm, seed] > facts["shifts"]
        if attempt.is_sent:
            runs.places[facts["entity"], facts["project"]] += 1
        else:
            runs.unsent += 1
    return runs
