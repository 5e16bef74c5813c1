"""Write what the experiments found as self-contained pages: one for each, and one for all."""

import base64
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from bnbench.analysis import style, tables
from bnbench.analysis.load import Experiment, find, finished, load
from bnbench.analysis.plots import Drawing, draw
from bnbench.schema import Figure, FigureKind, Panel
from bnbench.tracking.run_dir import write_whole

MAX_BYTES = 6_000_000  # of the page for all; figures beyond it are on their experiment's page
FIGURES = [
    Figure(FigureKind.curves, "Validation accuracy by step", col="model.name"),
    Figure(FigureKind.curves, "Validation accuracy by samples seen", x="samples", col="model.name"),
]


def write_report(results: Path) -> Path:
    """Write report.html and figures/ of every experiment, and `results/report.html` over all.

    Raises:
        ValueError: there is no experiment, a file is malformed, or a figure asks for what is not
            there; one line that names it.
    """
    folders = find(results)
    if not folders:
        raise ValueError(f"{results}: no runs of any experiment there: run `make sweep` first")
    sections = []
    for folder in folders:
        experiment = load(folder)
        try:
            section = _section(experiment)
        except ValueError as error:
            raise ValueError(f"{folder / 'experiment.json'}: {error}") from None
        sections.append(section)
        _write(folder / "report.html", [section])
    return _write(results / "report.html", within(sections, MAX_BYTES))


def _section(experiment: Experiment) -> dict[str, Any]:
    """Everything that the template says about one experiment; draws and saves its figures."""
    info, runs = experiment.info, experiment.runs
    declared = info.get("report") or {}
    some = not finished(runs).empty
    baselines = [spec["baseline"] for spec in declared.get("compare") or []] if some else []
    return {
        "id": f"{experiment.name}-{experiment.data}",
        "name": experiment.name,
        "data": experiment.data,
        "page": f"experiments/{experiment.name}/{experiment.data}/report.html",
        "question": info.get("question") or declared.get("question"),
        "facts": _facts(info),
        "command": info.get("command"),
        "num_runs": len(runs),
        "num_arms": runs["arm"].nunique(),
        "counts": tables.counts(runs),
        "figures": list(_figures(experiment, map(_spec, declared.get("figures") or []))),
        "arms": tables.arms(runs) if some else None,
        "comparisons": [
            (tables.baseline_name(baseline), tables.compared(runs, baseline))
            for baseline in baselines
        ],
    }


def _spec(figure: dict[str, Any]) -> Figure:
    fields = dict(figure)
    try:
        fields["panels"] = [Panel(**panel) for panel in figure.get("panels") or []]
        return Figure(**fields)
    except TypeError as error:
        raise ValueError(f"figure {figure.get('title')!r}: {error}") from None


def _figures(experiment: Experiment, specs: Iterable[Figure]) -> Iterable[dict[str, Any]]:
    for number, spec in enumerate(list(specs) or FIGURES, start=1):
        drawing = draw(spec, experiment)
        if drawing is None:
            yield {"title": spec.title, "source": None}
            continue
        words = re.sub(r"[^a-z0-9]+", "-", spec.title.lower()).strip("-")
        path = experiment.folder / "figures" / f"{number:02}-{words}.png"
        style.save(drawing.canvas, path)
        yield {**_words(drawing), **_pixels(path)}


def _words(drawing: Drawing) -> dict[str, str]:
    return {"title": drawing.title, "caption": drawing.caption, "alt": drawing.alt}


def _pixels(path: Path) -> dict[str, Any]:
    """An image to embed, and its size in CSS pixels (96 to the inch)."""
    with Image.open(path) as image:
        width, height = (round(96 * pixels / style.DPI) for pixels in image.size)
    source = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    return {"source": source, "width": width, "height": height}


def _facts(info: dict[str, Any]) -> dict[str, str]:
    """How it was run, as terms and descriptions; without what was not recorded."""
    commit = info.get("git_commit")
    dirty = " with uncommitted changes" if info.get("git_dirty") else ""
    versions = (f"{name} {version}" for name, version in (info.get("versions") or {}).items())
    facts = {
        "Commit": f"{commit[:12]}{dirty}" if commit else "not from a git repository",
        "Versions": ", ".join(versions),
        "Device": info.get("device"),
        "Started": _moment(info.get("started")),
        "Finished": _moment(info.get("finished")),
    }
    return {term: text for term, text in facts.items() if text}


def _moment(text: str | None) -> str | None:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M %Z}" if text else None


def within(sections: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """The sections with only as many figures as fit into `limit` bytes, first come first served."""
    left = limit
    kept = []
    for section in sections:
        size = sum(len(figure["source"] or "") for figure in section["figures"])
        figures = section["figures"]
        if size > left:
            figures = [{"title": f["title"], "source": None, "elsewhere": True} for f in figures]
        else:
            left -= size
        kept.append(section | {"figures": figures})
    return kept


def _write(path: Path, sections: list[dict[str, Any]]) -> Path:
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    name = (
        f"{sections[0]['name']} on {sections[0]['data']}"
        if len(sections) == 1
        else "all experiments"
    )
    text = pages.get_template("report.html.j2").render(title=f"bnbench: {name}", sections=sections)
    write_whole(path, text)
    return path
