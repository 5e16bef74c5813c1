"""W&B's own panels over keys that runs have, and the workspace that they stand in.

A key is written as W&B does, its kind before its name: `summary:val/loss`, `config:norm.name`.
The library names panels and runsets at random; here their ids come from their place and title, so
that the same dashboard is the same bytes, and one that is saved again keeps what it was.
"""

import contextlib
import hashlib
import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr
from wandb_workspaces.reports.v2.interface import ParallelCoordinatesPlotColumn
from wandb_workspaces.workspaces import Workspace

from bnbench.config.schema import MARKS
from bnbench.tracking.wandb_environment import own_environment

STEP = "Step"  # W&B's own count, which is the training step: not a key of ours
DESCRIBED = ("tags:__ALL__", "run:notes")  # W&B's own columns of the table of runs
SHOWN = 100  # lines that W&B draws in a panel at most, unless told otherwise
COLUMNS = 2  # panels beside each other
ROWS = 3
ID = 11  # characters, as W&B's own
# a line, bar or point is a group of runs: its mean, with one standard deviation
GROUPED: dict[str, Any] = {"groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}


@dataclass(frozen=True)
class Saved:
    """A workspace that a server has: where, and what the server knows it by."""

    server: str
    entity: str
    project: str
    id: str
    name: str
    url: str


class Board:
    """The dashboard of an experiment, to which its panels are added, by section and title.

    Every method raises a ValueError that names the place and the key where no run has one.
    """

    def __init__(self, name: str, logged: Collection[str], num_arms: int):
        """Begin without panels.

        Args:
            name: of the dashboard, for people.
            logged: the keys that its runs have.
            num_arms: how many groups its runs are in.
        """
        self.name = name
        self.logged = logged
        self.limit = min(SHOWN, num_arms)  # lines, points or bars in a panel at most
        self.sections: dict[str, list[Any]] = {}

    def _known(self, place: str, keys: Iterable[str]) -> list[str]:
        """The names of keys without their kinds."""
        names = []
        for key in keys:
            kind, _, name = key.partition(":")
            if key not in self.logged:
                raise ValueError(
                    f"{self.name}: {place} shows the {kind} key {name}, which no run of it has"
                )
            names.append(name)
        return names

    def _add(self, section: str, title: str, panel: Any, *keys: str) -> None:
        self._known(f"panel {title!r}", keys)
        panel._id = _fixed_id(self.name, section, title)
        self.sections.setdefault(section, []).append(panel)

    def text(self, section: str, title: str, markdown: str) -> None:
        """Add words in Markdown."""
        self._add(section, title, wr.MarkdownPanel(markdown=f"## {title}\n\n{markdown}"))

    def curves(self, section: str, title: str, x: str, y: str) -> None:
        """Add a line per group of runs, over names of the history; a loss is logarithmic."""
        # without a grouping of its own it has that of the table of runs, which has several levels
        panel = wr.LinePlot(
            title=title,
            x=x,
            y=[y],
            log_y=y.endswith("/loss") or None,
            max_runs_to_show=self.limit,
            **GROUPED,
        )
        self._add(section, title, panel, *(f"history:{name}" for name in (x, y) if name != STEP))

    def points(self, section: str, title: str, x: str, y: str) -> None:
        """Add a point per group of runs, on a logarithmic x-axis."""
        panel = wr.ScatterPlot(title=title, x=_metric(x), y=_metric(y), log_x=True)
        self._add(section, title, panel, x, y)

    def bars(self, section: str, title: str, keys: Sequence[str]) -> None:
        """Add a bar per group of runs and key of the summary."""
        panel = wr.BarPlot(
            title=title,
            metrics=[key.partition(":")[2] for key in keys],
            max_runs_to_show=self.limit,
            max_bars_to_show=SHOWN,
            **GROUPED,
        )
        self._add(section, title, panel, *keys)

    def parallel(
        self, section: str, title: str, keys: Sequence[str], logarithmic: Collection[str]
    ) -> None:
        """Add an axis per key and a line per group of runs."""
        columns = [
            ParallelCoordinatesPlotColumn(metric=_metric(key), log=key in logarithmic or None)
            for key in keys
        ]
        panel = wr.ParallelCoordinatesPlot(title=title, columns=columns)
        self._add(section, title, panel, *keys)

    def workspace(
        self,
        groups: Sequence[str],
        columns: Sequence[str],
        order: str,
        chosen: Mapping[str, Sequence[Any]],
    ) -> Workspace:
        """Make the workspace with all panels, as yet of no project.

        Args:
            groups: keys of settings that tell the arms apart, so that a group is an arm's seeds.
            columns: keys that the table of runs shows.
            order: the key that the table is sorted by, largest first.
            chosen: settings, and the values that runs must have of them.
        """
        table = "the table of runs"
        settings = self._known(table, groups)
        self._known(table, columns)
        (by,) = self._known(table, [order])
        self._known("the filter", (f"config:{name}" for name in chosen))
        layout = ws.SectionLayoutSettings(columns=COLUMNS, rows=ROWS)
        made = Workspace(
            entity="entity",
            project="project",
            name=f"bnbench: {self.name}",
            sections=[
                ws.Section(name=name, panels=panels, is_open=True, layout_settings=layout)
                for name, panels in self.sections.items()
            ],
            settings=ws.WorkspaceSettings(x_axis="samples", max_runs=self.limit),
            runset_settings=ws.RunsetSettings(
                filters=expr.And(
                    *(expr.Config(_stored(name)).isin(list(chosen[name])) for name in chosen),
                    expr.Tags().notin([*MARKS]),
                ),
                groupby=[expr.Config(name) for name in settings],
                order=[expr.Ordering(expr.Summary(by), ascending=False)],
                pinned_columns=["run:displayName", *map(_column, columns), *DESCRIBED],
            ),
        )
        made._internal_runset_id = _fixed_id(self.name, "runs")
        return made


def viewspec(made: Workspace) -> dict[str, Any]:
    """Return what W&B keeps of a workspace, as plain values."""
    return json.loads(made._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))


def save(made: Workspace, server: str, entity: str, project: str, known: Saved | None) -> Saved:
    """Save a workspace, in the place of the one that is known where there is one.

    Raises:
        Exception: the server does not do it; wandb raises kinds of its own.
    """
    made.entity, made.project = entity, project
    if known is not None:
        made._internal_id, made._internal_name = known.id, known.name
    # what the library prints is said once, by the script
    with own_environment(), contextlib.redirect_stderr(io.StringIO()):
        made.save()
        url = made.url
    return Saved(server, entity, project, made._internal_id, made._internal_name, url)


def _metric(key: str) -> wr.Config | wr.SummaryMetric:
    """A key as the axes of W&B's panels take it."""
    kind, _, name = key.partition(":")
    return wr.Config(name) if kind == "config" else wr.SummaryMetric(name)


def _column(key: str) -> str:
    """A key as a column of the table of runs."""
    kind, _, name = key.partition(":")
    return f"config:{_stored(name)}" if kind == "config" else key


def _stored(name: str) -> str:
    """A setting as W&B stores it, below `value`: `norm.name` is `norm.value.name`."""
    first, *rest = name.split(".")
    return ".".join((first, "value", *rest))


def _fixed_id(*place: str) -> str:
    """An id in W&B's form that is always the same for a place."""
    return hashlib.sha256("/".join(place).encode()).hexdigest()[:ID]
