"""The report that an experiment declares, checked before anything trains: can it be drawn?

`analysis` finds the same faults in the tables, when all is trained. Nothing here imports pandas.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bnbench.config.checks import RequestError
from bnbench.config.points import metric_key
from bnbench.config.query import Kind, kind_of, parse
from bnbench.config.schema import (
    MAX_FIGURES,
    MAX_PANELS,
    MAX_TITLE,
    PROBED,
    Figure,
    Policy,
    ReportConfig,
)

# Columns of the tables that figures are drawn from, beside the settings of the arms.
OF_RUNS = ("arm", "seed", "status", "stuck", "epochs", "optim.lr", "hidden_layers")
MEASURED = ("steps", "samples", "seconds", "parameters")
BY_KIND = {
    "curves": ("step", "samples", "value"),
    "versus": (*MEASURED, "value"),
    "severity": (*MEASURED, "shift", "severity", "policy", "metric", "value"),
}
WORDS = {"arm", "status", "shift", "policy", "metric"}  # columns that are not numbers
SPLITS = ("train", "val", "val_all", "test")
METRICS = ("loss", "accuracy")


def check_report(report: ReportConfig, arms: Sequence[Mapping[str, Any]]) -> None:
    """Refuse figures and comparisons over what the runs will not have.

    Args:
        report: what an experiment declares.
        arms: the settings of its arms by dotted key.

    Raises:
        RequestError: with the first of them.
    """
    settings = {key: [arm.get(key) for arm in arms] for arm in arms for key in arm}
    thresholds = {threshold for arm in arms for threshold in arm["train.thresholds"]}
    known = [*metrics(thresholds), *dict.fromkeys(key for arm in arms for key in probed(arm))]
    for part in ("figures", "compare"):
        if len(getattr(report, part)) > MAX_FIGURES:
            raise RequestError(f"report.{part}: expected at most {MAX_FIGURES}")
    for number, figure in enumerate(report.figures):
        check_figure(f"report.figures[{number}]", figure, settings, known)
    for number, comparison in enumerate(report.compare):
        key = f"report.compare[{number}].baseline"
        if not comparison.baseline:
            raise RequestError(f"{key}={{}}: expected settings such as {{norm.name: none}}")
        for column in comparison.baseline:
            if column not in settings:
                raise RequestError(f"{key}: {column}: expected one of {', '.join(settings)}")


def metrics(thresholds: Collection[float]) -> list[str]:
    """The keys of the metrics that a run ends with, in the order in which they are told."""
    policies = [f"@{policy}" for policy in Policy if policy != Policy.ema]  # ema is the plain split
    splits = [f"{split}{policy}" for policy in ("", *policies) for split in SPLITS]
    splits.remove("train@batch")  # it is the loss of the training steps, whatever the policies
    named = [metric_key(split, metric) for split in splits for metric in METRICS]
    times = [f"{unit}_to/{t}" for unit in ("steps", "samples") for t in sorted(thresholds)]
    return [*named, "train@batch/loss", *times]


def probed(arm: Mapping[str, Any]) -> list[str]:
    """The keys that the probes of an arm may record, given its settings by dotted key."""
    layers = ["", *map(str, range(1, sum(arm["model.depth"]) + 1)), "head"]
    return [
        metric_key("train@batch", metric, layer)
        for probe in arm["probes"]
        for metric, is_of_layers in PROBED[probe].items()
        for layer in (layers[1:] if is_of_layers else layers[:1])
    ]


def check_figure(
    key: str, figure: Figure, settings: Mapping[str, Sequence[Any]], known: Sequence[str]
) -> None:
    """Refuse a figure that cannot be drawn (`RequestError`)."""
    columns = [*OF_RUNS, *BY_KIND[figure.kind], *settings]
    if len(figure.title) > MAX_TITLE:
        raise RequestError(f"{key}.title={figure.title}: expected at most {MAX_TITLE} characters")
    if len(figure.panels or ()) > MAX_PANELS:
        raise RequestError(f"{key}.panels: expected at most {MAX_PANELS}")
    keys = [name for name in known if figure.kind != "severity" or name.startswith("test/")]
    y = f"test/{figure.y.partition('/')[2]}" if figure.kind == "severity" else figure.y
    if "/" not in figure.y or y not in keys:
        raise RequestError(f"{key}.y={figure.y}: expected a metric, one of {', '.join(keys)}")
    # severity is drawn over itself, a panel per shift
    roles = ("hue", "row") if figure.kind == "severity" else ("x", "hue", "style", "col", "row")
    for role in roles:
        column = getattr(figure, role)
        is_left_out = not column and role in ("style", "col", "row")
        if not is_left_out and column not in (*columns, *known):
            raise RequestError(
                f"{key}.{role}={column}: expected a column, one of {', '.join(columns)}"
            )
    if "x" in roles and kind(figure.x, settings) == "text":
        raise RequestError(f"{key}.x={figure.x}: expected a column of numbers")
    queries = {f"{key}.where": figure.where}
    queries |= {f"{key}.panels[{n}].where": p.where for n, p in enumerate(figure.panels or ())}
    for place, query in queries.items():
        try:
            asked = parse(query, [*columns, *known]) if query else None
            if asked:
                asked.check({name: kind(name, settings) for name in asked.names})
        except RequestError as error:
            raise RequestError(f"{place}={query}: {error}") from None


def kind(column: str, settings: Mapping[str, Sequence[Any]]) -> Kind | None:
    """What a column of the tables will hold."""
    if column in settings:
        return kind_of(settings[column])
    return "text" if column in WORDS else "flag" if column == "stuck" else "number"
