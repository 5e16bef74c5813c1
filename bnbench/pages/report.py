"""Write what the experiments found as self-contained pages: one for each, and one for all."""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import joblib

from bnbench import CALL, CONFIGS
from bnbench.analysis.agreement import read_boards
from bnbench.analysis.answers import answers
from bnbench.analysis.best import best_arm
from bnbench.analysis.load import ExperimentData, finished, load
from bnbench.analysis.verdicts import FACTS, read_claims, read_judged
from bnbench.config.labels import escaped, ranges_label, value_label
from bnbench.config.quoting import subcommand
from bnbench.config.report import declared_report
from bnbench.config.schema import DATA_SIZES, Figure, FigureKind
from bnbench.drawing.plots import draw
from bnbench.pages import tables
from bnbench.pages.answer_text import best_line
from bnbench.pages.answers import answer_view
from bnbench.pages.claims import PAGE, boards, judged_boards, write_claims
from bnbench.pages.claims_markdown import write_markdown
from bnbench.pages.render import kept_picture, picture, render
from bnbench.pages.runs import run_details
from bnbench.pages.up_to_date import Report, unless_known
from bnbench.tracking.citation import cited_as
from bnbench.tracking.experiment_dir import schema_note, survey, write_runs
from bnbench.tracking.meta import commit_words
from bnbench.tracking.stored import DEPTH, check_folder
from bnbench.tracking.whole_files import write_whole

FIGURES = [
    Figure(FigureKind.curves, "Validation accuracy by step", col="model.name"),
    Figure(FigureKind.curves, "Validation accuracy by samples seen", x="samples", col="model.name"),
]
ORDER = ("placement", "lr_mult", "batch_size", "shift", "sigmoid")  # of README
CRITERIA = {  # of tuning, in words
    "accuracy": ", by the accuracy at the end",
    "area": ", by the area under the validation curve",
    "tasks": ", by the accuracy at the end, among the classes of a task",
}
MANY = 3  # experiments; the figures of fewer are drawn before other processes have started
ROOT = "../../../"  # of the results, seen from an experiment's own page


def write_report(results: Path, jobs: int = 1) -> Report:
    """Write what became of every experiment, and `results/report.html` over all.

    Each gets its runs.csv, report.html and figures/. One that cannot be read keeps what it has,
    and the page over all says why. At its top are the scoreboards of the claims that were judged.
    The figures of an experiment that is as it was when they were drawn are not drawn again.

    Args:
        results: the results folder.
        jobs: processes that draw the figures of many experiments.

    Raises:
        ValueError: there is no experiment.
    """
    folders, problems = survey(results)
    folders.sort(key=_place)
    if not folders and not problems:
        raise ValueError(f"{results}: no runs of any experiment there: run `{CALL} sweep` first")
    sections = []
    jobs = jobs if len(folders) >= MANY else 1
    for folder in folders:
        name, data = folder.parts[-2:]
        try:
            write_runs(results, name, data)
            section = _section(load(folder), jobs)
            alone = section | {"page": None, "folder": "", "root": ROOT}
            _write(folder / "report.html", [alone], depth=DEPTH)
        except Exception as error:  # whatever a file makes of it, the other experiments are written
            problems.append(_line(folder, error))
            section = {**_heading(name, data), "problem": problems[-1], "figures": []}
        sections.append(section)
    claims = None
    try:
        with suppress(FileNotFoundError):
            check_folder(results / "claims", 1)
        complete_claims(results, problems)
        judged = judged_boards(results, problems)
        claims = boards(results, judged)
        write_markdown(results, judged)
    except Exception as error:  # likewise
        problems.append(_line(results / "claims", error))
    problems = list(dict.fromkeys(problems))
    return Report(_write(results / "report.html", sections, claims), problems)


def _place(folder: Path) -> tuple[int, Path]:
    """Sort the experiments as README tells of them, then others by name."""
    name = folder.parent.name
    return (ORDER.index(name) if name in ORDER else len(ORDER)), folder


def complete_claims(results: Path, problems: list[str]) -> None:
    """Write the pages of claims that have tables and none, such as those kept in a repository.

    Args:
        results: the results folder.
        problems: gets a line for each data set whose page cannot be written.
    """
    folders = sorted(path.parent for path in results.glob(f"claims/*/{FACTS}"))
    for folder in folders:
        if os.path.lexists(folder / PAGE):
            continue
        try:
            views = [claim.view for claim in read_claims(folder)]
            info = read_judged(folder)
            terms = {"Command": info["command"], **facts(info)}
            others = read_boards([other for other in folders if other != folder], problems)
            write_claims(folder, views, facts=terms, others=others)
        except Exception as error:  # whatever a file makes of it, the others are written
            problems.append(_line(folder, error))


def _line(folder: Path, error: Exception) -> str:
    """What is wrong with an experiment, as one line that any file can hold."""
    told = isinstance(error, OSError | OverflowError | ValueError)
    text = " ".join(f"{'' if told else f'{type(error).__name__}: '}{error}".split())
    text = escaped(text)
    return text if str(folder) in text else f"{folder}: {text}"


def _heading(name: str, data: str) -> dict[str, Any]:
    """What the template says about any experiment."""
    folder = f"experiments/{name}/{data}/"
    links = {"folder": folder, "page": f"{folder}report.html", "root": ""}
    again = subcommand("sweep", experiment=name, data="" if data == "digits" else data)
    told = {"name": name, "data": data, "question": "", "problem": None}
    # a sweep by hand has no name, and where YAML files or images of a user's own lie is not known
    is_shipped = data in DATA_SIZES and (CONFIGS / "experiment" / f"{name}.yaml").exists()
    told["again"] = again if is_shipped else None
    return {"id": f"{name}-{data}", **told, **links}


def _section(experiment: ExperimentData, jobs: int) -> dict[str, Any]:
    """Everything that the template says about one experiment; draws and saves its figures.

    Raises:
        ValueError: a figure or comparison is malformed or asks for what is not there.
    """
    info, runs = experiment.info, experiment.runs
    reported = experiment.reporting().runs
    some = not finished(reported).empty
    try:
        declared = declared_report(info.get("report") or {})
        return {
            **_heading(experiment.name, experiment.data),
            "question": info.get("question") or declared.question,
            "answers": [answer_view(a) for a in answers(experiment, declared.answer)],
            "best": best_line(best_arm(experiment)) if some and not declared.answer else None,
            "facts": facts(info),
            "command": info.get("command"),
            "num_runs": len(runs),
            "num_arms": runs["arm"].nunique(),
            "counts": tables.counts(runs),
            **unless_known(
                experiment.folder, partial(_slow, experiment, declared.figures or FIGURES, jobs)
            ),
            "arms": tables.arms(reported) if some else None,
            "comparisons": [
                (
                    tables.baseline_name(spec.baseline),
                    tables.compared(reported, spec.baseline, experiment.found),
                )
                for spec in declared.compare
                if some
            ],
        }
    except ValueError as error:
        raise ValueError(f"{experiment.folder / 'experiment.json'}: {error}") from None


def _slow(experiment: ExperimentData, specs: Sequence[Figure], jobs: int) -> dict[str, Any]:
    """Draw and save the figures of an experiment, and find the commands of its arms."""
    reported, results = experiment.reporting().runs, experiment.folder.parents[2]
    work: list[Any] = [
        joblib.delayed(_figure)(experiment, n, spec) for n, spec in enumerate(specs, 1)
    ]
    if not finished(reported).empty:
        work.insert(0, joblib.delayed(run_details)(reported, results))
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        # no arrays in files: what is drawn is small
        parallel = joblib.Parallel(min(jobs, len(work)), max_nbytes=None)
        done: list[Any] = list(parallel(work))  # pyright: ignore
    runs = done.pop(0) if len(done) > len(specs) else None
    return {"figures": done, "runs": runs}


def _figure(experiment: ExperimentData, number: int, spec: Figure) -> dict[str, Any]:
    """Draw and save one figure; gives what the templates say of it."""
    drawing = draw(spec, experiment)
    words = re.sub(r"[^a-z0-9]+", "-", spec.title.lower()).strip("-")
    path = experiment.folder / "figures" / f"{number:02}-{words}.png"
    if drawing is not None:
        return picture(drawing, path, DEPTH + 1)
    if os.path.lexists(path):
        return kept_picture(path, spec.title, DEPTH + 1)
    return {"title": spec.title, "source": None}


def facts(info: Mapping[str, Any]) -> dict[str, str]:
    """How it was run, as terms and descriptions; without what was not recorded."""
    versions = (f"{name} {version}" for name, version in (info.get("versions") or {}).items())
    unknown = info.get("git_note") or "not from a git repository"
    terms = {
        "Commit": commit_words(info) or unknown,
        "Versions": ", ".join(versions),
        "Settings": schema_note(info),
        "Learning rates": _tuned(info.get("tune")),
        "Device": info.get("device"),
        "Started": _moment(info.get("started")),
        "Finished": _moment(info.get("finished")),
        "To cite": cited_as(info),
    }
    return {term: text for term, text in terms.items() if text}


def _tuned(tune: dict[str, Any] | None) -> str | None:
    if not tune:
        return None
    low, high = map(value_label, (tune["low"], tune["high"]))
    words = f"tuned on seeds {ranges_label(tune['seeds'])} over half decades from {low} to {high}"
    return words + CRITERIA.get(tune.get("by", ""), "")


def _moment(text: str | None) -> str | None:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M %Z}" if text else None


def _write(
    path: Path,
    sections: list[dict[str, Any]],
    claims: Mapping[str, Any] | None = None,
    depth: int = 0,
) -> Path:
    one = len(sections) == 1
    name = f"{sections[0]['name']} on {sections[0]['data']}" if one else "all experiments"
    claims = claims or {"boards": [], "agreement": None}
    page = render("report.html.j2", title=f"bnbench: {name}", sections=sections, **claims)
    write_whole(path, page, depth)
    return path
