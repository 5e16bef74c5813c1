"""Write what the experiments found as self-contained pages: one for each, and one for all."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnbench.analysis import tables
from bnbench.analysis.claim_agreement import read_boards
from bnbench.analysis.claim_report import PAGE, boards, write_claims
from bnbench.analysis.claim_views import read_claims
from bnbench.analysis.load import Experiment, finished, load
from bnbench.analysis.pages import kept_picture, picture, render
from bnbench.analysis.plots import draw
from bnbench.analysis.runs import run_details
from bnbench.labels import ranges_label, value_label
from bnbench.schema import Figure, FigureKind
from bnbench.schema import Report as Declared
from bnbench.tracking.experiment_dir import find, write_runs
from bnbench.tracking.run_dir import write_whole

FIGURES = [
    Figure(FigureKind.curves, "Validation accuracy by step", col="model.name"),
    Figure(FigureKind.curves, "Validation accuracy by samples seen", x="samples", col="model.name"),
]
JUDGED = "judged.json"  # in a folder of claims: command, commit, versions, device
ROOT = "../../../"  # of the results, seen from an experiment's own page


class Report(NamedTuple):
    """The page over all experiments, and a line for each experiment that could not be read."""

    page: Path
    problems: list[str]


def write_report(results: Path) -> Report:
    """Write what became of every experiment, and `results/report.html` over all.

    Each gets its runs.csv, report.html and figures/. One that cannot be read keeps what it has,
    and the page over all says why. At its top are the scoreboards of the claims that were judged.

    Raises:
        ValueError: there is no experiment.
    """
    folders = find(results)
    if not folders:
        raise ValueError(f"{results}: no runs of any experiment there: run `make sweep` first")
    sections, problems = [], []
    for folder in folders:
        name, data = folder.parts[-2:]
        try:
            write_runs(results, name, data)
            section = _section(load(folder))
            _write(folder / "report.html", [section | {"page": None, "folder": "", "root": ROOT}])
        except (OSError, OverflowError, ValueError) as error:
            problems.append(_line(folder, error))
            section = {**_heading(name, data), "problem": problems[-1], "figures": []}
        sections.append(section)
    try:
        complete_claims(results)
        claims = boards(results)
    except (OSError, ValueError) as error:
        claims = None
        problems.append(_line(results / "claims", error))
    return Report(_write(results / "report.html", sections, claims), problems)


def complete_claims(results: Path) -> None:
    """Write the pages of claims that have tables and none, such as those kept in a repository.

    Raises:
        ValueError: a file is damaged.
        OSError: a file is missing, or cannot be written.
    """
    folders = sorted(path.parent for path in results.glob(f"claims/*/{JUDGED}"))
    for folder in folders:
        if not (folder / PAGE).exists():
            views = [claim.view for claim in read_claims(folder)]
            info = json.loads((folder / JUDGED).read_text(encoding="utf-8"))
            terms = {"Command": info["command"], **facts(info)}
            others = read_boards([other for other in folders if other != folder])
            write_claims(folder, views, facts=terms, others=others)


def _line(folder: Path, error: Exception) -> str:
    """What is wrong with an experiment, as one line that any file can hold."""
    text = " ".join(str(error).encode(errors="replace").decode().split())
    return text if str(folder) in text else f"{folder}: {text}"


def _heading(name: str, data: str) -> dict[str, Any]:
    """What the template says about any experiment."""
    folder = f"experiments/{name}/{data}/"
    links = {"folder": folder, "page": f"{folder}report.html", "root": ""}
    return {"id": f"{name}-{data}", "name": name, "data": data, **links, "problem": None}


def _section(experiment: Experiment) -> dict[str, Any]:
    """Everything that the template says about one experiment; draws and saves its figures.

    Raises:
        ValueError: a figure or comparison is malformed or asks for what is not there.
    """
    info, runs = experiment.info, experiment.runs
    reported = experiment.reporting().runs
    some = not finished(reported).empty
    try:
        declared = _declared(info.get("report") or {})
        return {
            **_heading(experiment.name, experiment.data),
            "question": info.get("question") or declared.question,
            "facts": facts(info),
            "command": info.get("command"),
            "num_runs": len(runs),
            "num_arms": runs["arm"].nunique(),
            "counts": tables.counts(runs),
            "figures": list(_figures(experiment, declared.figures or FIGURES)),
            "arms": tables.arms(reported) if some else None,
            "runs": run_details(reported, experiment.folder.parents[2]) if some else None,
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


def _declared(report: dict[str, Any]) -> Declared:
    """The checked declaration of figures and comparisons out of experiment.json."""
    given = {key: value for key, value in report.items() if value is not None}
    if "${" in json.dumps(given):
        raise ValueError("report: expected values, not interpolations")
    try:
        node = OmegaConf.merge(
            OmegaConf.structured(Declared(question="", figures=[], compare=[])), given
        )
        declared = cast(Declared, OmegaConf.to_object(node))
    except OmegaConfBaseException as error:
        raise ValueError(f"report.{error.full_key}: {str(error).splitlines()[0]}") from None
    for spec in declared.compare:
        if not spec.baseline or any(isinstance(value, dict) for value in spec.baseline.values()):
            raise ValueError("report.compare: expected a baseline of columns and their values")
    return declared


def _figures(experiment: Experiment, specs: Iterable[Figure]) -> Iterable[dict[str, Any]]:
    for number, spec in enumerate(specs, start=1):
        drawing = draw(spec, experiment)
        words = re.sub(r"[^a-z0-9]+", "-", spec.title.lower()).strip("-")
        path = experiment.folder / "figures" / f"{number:02}-{words}.png"
        if drawing is not None:
            yield picture(drawing, path)
        elif path.exists():
            yield kept_picture(path, spec.title)
        else:
            yield {"title": spec.title, "source": None}


def facts(info: Mapping[str, Any]) -> dict[str, str]:
    """How it was run, as terms and descriptions; without what was not recorded."""
    commit = info.get("git_commit")
    dirty = " with uncommitted changes" if info.get("git_dirty") else ""
    versions = (f"{name} {version}" for name, version in (info.get("versions") or {}).items())
    terms = {
        "Commit": f"{commit[:12]}{dirty}" if commit else "not from a git repository",
        "Versions": ", ".join(versions),
        "Learning rates": _tuned(info.get("tune")),
        "Device": info.get("device"),
        "Started": _moment(info.get("started")),
        "Finished": _moment(info.get("finished")),
    }
    return {term: text for term, text in terms.items() if text}


def _tuned(tune: dict[str, Any] | None) -> str | None:
    if not tune:
        return None
    low, high = map(value_label, (tune["low"], tune["high"]))
    return f"tuned on seeds {ranges_label(tune['seeds'])} over half decades from {low} to {high}"


def _moment(text: str | None) -> str | None:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M %Z}" if text else None


def _write(
    path: Path, sections: list[dict[str, Any]], claims: Mapping[str, Any] | None = None
) -> Path:
    one = len(sections) == 1
    name = f"{sections[0]['name']} on {sections[0]['data']}" if one else "all experiments"
    claims = claims or {"boards": [], "agreement": None}
    page = render("report.html.j2", title=f"bnbench: {name}", sections=sections, **claims)
    write_whole(path, page)
    return path
