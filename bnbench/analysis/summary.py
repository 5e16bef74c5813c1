"""Summarise an experiment: its question, how many runs ended how, and what answers it."""

from dataclasses import dataclass
from pathlib import Path

from bnbench.analysis.answer_words import Told, tell
from bnbench.analysis.answers import answers
from bnbench.analysis.best import Best, best_arm
from bnbench.analysis.load import finished, load_runs
from bnbench.config.report import declared_report


@dataclass(frozen=True)
class ExperimentSummary:
    """What an experiment came to.

    Attributes:
        name: of the experiment.
        data: the data set.
        question: of the experiment; may be empty.
        num_arms: number of arms with a result.
        num_runs: number of runs of these arms.
        failed: number of runs that ended in an error.
        diverged: number of runs that diverged.
        stuck: number of runs that got stuck.
        answers: a sentence for each statistic that the experiment declares.
        best: the best arm.
    """

    name: str
    data: str
    question: str
    num_arms: int
    num_runs: int
    failed: int
    diverged: int
    stuck: int
    answers: list[Told]
    best: Best


def summarise(folder: Path) -> ExperimentSummary | None:
    """Summarise `results/experiments/<name>/<data>`; None where no arm has a result.

    Raises:
        ValueError: the experiment cannot be read; one line that names the file.
    """
    experiment = load_runs(folder)
    runs = experiment.reporting().runs
    ended = finished(runs)
    if ended.empty:
        return None
    try:
        specs = declared_report(experiment.info.get("report") or {}).answer
        told = [tell(answer) for answer in answers(experiment, specs)]
    except ValueError as error:
        raise ValueError(f"{folder / 'experiment.json'}: {error}") from None
    return ExperimentSummary(
        experiment.name,
        experiment.data,
        experiment.info.get("question") or "",
        ended["arm"].nunique(),
        len(ended),
        int((runs["status"] == "failed").sum()),
        int((ended["status"] == "diverged").sum()),
        int(ended["stuck"].sum()),
        told,
        best_arm(experiment),
    )
