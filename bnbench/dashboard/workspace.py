"""From a dashboard to the W&B workspace that shows it, by wandb-workspaces.

The library names panels and runsets at random; here their ids come from their place and title, so
that the same dashboard is the same bytes, and one that is saved again keeps what it was.
"""

import contextlib
import hashlib
import io
import json
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr
from wandb_workspaces.reports.v2.interface import ParallelCoordinatesPlotColumn

from bnbench.dashboard.records import (
    Bars,
    Curves,
    Dashboard,
    Key,
    Parallel,
    Points,
    Text,
)
from bnbench.tracking.wandb_environment import own_environment
from bnbench.tracking.wandb_log import FAILED, INTERRUPTED

SHOWN = 100  # lines that W&B draws in a panel at most, unless told otherwise
COLUMNS = 2  # panels beside each other
ROWS = 3
ID = 11  # characters, as W&B's own


@dataclass(frozen=True)
class Saved:
    """A workspace that a server has: where, and what the server knows it by."""

    server: str
    entity: str
    project: str
    id: str
    name: str
    url: str


def viewspec(dashboard: Dashboard) -> dict[str, Any]:
    """What W&B keeps of a workspace, as plain values."""
    view = workspace(dashboard, "entity", "project")._to_model()
    return json.loads(view.spec.model_dump_json(by_alias=True, exclude_none=True))


def save(
    dashboard: Dashboard, server: str, entity: str, project: str, known: Saved | None
) -> Saved:
    """Save a workspace, in the place of the one that is known where there is one.

    Raises:
        Exception: the server does not do it; wandb raises kinds of its own.
    """
    made = workspace(dashboard, entity, project)
    if known is not None:
        made._internal_id, made._internal_name = known.id, known.name
    # what the library prints is said once, by the script
    with own_environment(), contextlib.redirect_stderr(io.StringIO()):
        made.save()
        url = made.url
    return Saved(server, entity, project, made._internal_id, made._internal_name, url)


def workspace(dashboard: Dashboard, entity: str, project: str) -> ws.Workspace:
    """A dashboard as a workspace of a project."""
    limit = min(SHOWN, len(dashboard.arms))
    made = ws.Workspace(
        entity=entity,
        project=project,
        name=f"bnbench: {dashboard.name}",
        sections=[
            ws.Section(
                name=section.name,
                panels=[
                    identified(panel(part, limit), dashboard.name, section.name, part.title)
                    for part in section.panels
                ],
                is_open=True,
                layout_settings=ws.SectionLayoutSettings(columns=COLUMNS, rows=ROWS),
            )
            for section in dashboard.sections
        ],
        settings=ws.WorkspaceSettings(x_axis="samples", max_runs=limit),
        runset_settings=ws.RunsetSettings(
            filters=expr.And(
                expr.Config(stored("arm")).isin(list(dashboard.arms)),
                expr.Config(stored("seed")).isin(list(dashboard.seeds)),
                expr.Tags().notin([INTERRUPTED, FAILED]),
            ),
            groupby=[expr.Config(key.name) for key in dashboard.groups],
            order=[expr.Ordering(expr.Summary(dashboard.order.name), ascending=False)],
            pinned_columns=["run:displayName", *map(column, dashboard.columns)],
        ),
    )
    made._internal_runset_id = fixed_id(dashboard.name, "runs")
    return made


@singledispatch
def panel(part: Any, limit: int) -> Any:
    """A panel of ours as one of W&B's, of at most so many lines, points or bars."""
    raise TypeError(type(part).__name__)


@panel.register
def _(part: Text, limit: int) -> wr.MarkdownPanel:
    return wr.MarkdownPanel(markdown=f"## {part.title}\n\n{part.markdown}")


@panel.register
def _(part: Curves, limit: int) -> wr.LinePlot:
    # without a grouping of its own it has that of the table of runs, which has several levels
    return wr.LinePlot(
        title=part.title,
        x=part.x,
        y=[part.y],
        log_y=part.log_y or None,
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        max_runs_to_show=limit,
    )


@panel.register
def _(part: Points, limit: int) -> wr.ScatterPlot:
    return wr.ScatterPlot(
        title=part.title, x=metric(part.x), y=metric(part.y), log_x=part.log_x or None
    )


@panel.register
def _(part: Bars, limit: int) -> wr.BarPlot:
    return wr.BarPlot(
        title=part.title,
        metrics=[key.name for key in part.keys],
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        max_runs_to_show=limit,
        max_bars_to_show=SHOWN,
    )


@panel.register
def _(part: Parallel, limit: int) -> wr.ParallelCoordinatesPlot:
    return wr.ParallelCoordinatesPlot(
        title=part.title,
        columns=[
            ParallelCoordinatesPlotColumn(metric=metric(key), log=key in part.log or None)
            for key in part.keys
        ],
    )


def metric(key: Key) -> wr.Config | wr.SummaryMetric:
    """A key as the axes of W&B's panels take it."""
    return wr.Config(key.name) if key.kind == "config" else wr.SummaryMetric(key.name)


def column(key: Key) -> str:
    """A key as a column of the table of runs."""
    return f"{key.kind}:{stored(key.name) if key.kind == 'config' else key.name}"


def stored(name: str) -> str:
    """A setting as W&B stores it, below `value`: `norm.name` is `norm.value.name`."""
    first, *rest = name.split(".")
    return ".".join((first, "value", *rest))


def identified(made: Any, *place: str) -> Any:
    """A panel with an id that says where it is."""
    made._id = fixed_id(*place)
    return made


def fixed_id(*place: str) -> str:
    """An id in W&B's form that is always the same for a place."""
    return hashlib.sha256("/".join(place).encode()).hexdigest()[:ID]
