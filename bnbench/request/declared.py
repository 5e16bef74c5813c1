"""The report that an experiment declares, checked before anything trains: can it be drawn?

`analysis` finds the same faults in the tables, when all is trained. Nothing here imports pandas.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from bnbench.config.checks import RequestError, as_typed
from bnbench.config.points import metric_key
from bnbench.config.query import Kind, kind_of, parse
from bnbench.config.schema import (
    AT_END,
    MAX_FIGURES,
    MAX_PANELS,
    MAX_TITLE,
    PROBED,
    AnswerConfig,
    Figure,
    Panel,
    Policy,
    ReportConfig,
    Statistic,
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
PAIRED = {Statistic.difference, Statistic.greatest, Statistic.as_good, Statistic.kept}
OF_LEVELS = {Statistic.trains, Statistic.greatest, Statistic.as_good}
TIME = re.compile(r"(?:steps|samples)_to/0?\.\d{1,9}")  # to a threshold that arms may not watch
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
    parts = averaged, tasked, probed
    own = dict.fromkeys(key for arm in arms for part in parts for key in part(arm))
    known = [*metrics(thresholds), *own]
    for part in ("answer", "figures", "compare"):
        if len(getattr(report, part)) > MAX_FIGURES:
            raise RequestError(f"report.{part}: expected at most {MAX_FIGURES}")
    for number, figure in enumerate(report.figures):
        check_figure(f"report.figures[{number}]", figure, settings, known)
    for number, comparison in enumerate(report.compare):
        key = f"report.compare[{number}].baseline"
        if not comparison.baseline:
            raise RequestError(f"{key}={{}}: expected settings such as {{norm.name: none}}")
        check_settings(key, comparison.baseline, settings)
    for number, answer in enumerate(report.answer):
        check_answer(f"report.answer[{number}]", answer, settings, known)


def metrics(thresholds: Collection[float]) -> list[str]:
    """The keys of the metrics that a run ends with, in the order in which they are told."""
    policies = [f"@{policy}" for policy in Policy if policy != Policy.ema]  # ema is the plain split
    splits = [f"{split}{policy}" for policy in ("", *policies) for split in SPLITS]
    splits.remove("train@batch")  # it is the loss of the training steps, whatever the policies
    named = [metric_key(split, metric) for split in splits for metric in METRICS]
    times = [f"{unit}_to/{t}" for unit in ("steps", "samples") for t in sorted(thresholds)]
    return [*named, "train@batch/loss", *times]


def averaged(arm: Mapping[str, Any]) -> list[str]:
    """The keys of an arm's averages of weights, given its settings by dotted key."""
    return of_splits(f"test_{average}" for average in arm.get("train.averages", ()))


def tasked(arm: Mapping[str, Any]) -> list[str]:
    """The keys of an arm's tasks in a row, given its settings by dotted key."""
    number = arm.get("data.tasks", 1)
    parts = ["tasks", *(f"task_{task}" for task in range(1, number + 1))] if number > 1 else []
    return of_splits(f"{split}_{part}" for split in SPLITS if split != "train" for part in parts)


def of_splits(splits: Iterable[str]) -> list[str]:
    """The keys of splits under every policy."""
    return [
        metric_key(f"{split}{policy}", metric)
        for split in splits
        for policy in ("", *(f"@{policy}" for policy in Policy if policy != Policy.ema))
        for metric in METRICS
    ]


def probed(arm: Mapping[str, Any]) -> list[str]:
    """The keys that the probes of an arm may record, given its settings by dotted key."""
    layers = ["", *map(str, range(1, sum(arm["model.depth"]) + 1)), "head"]
    return [
        metric_key("test" if probe in AT_END else "train@batch", metric, layer)
        for probe in arm["probes"]
        for metric, is_of_layers in PROBED[probe].items()
        for layer in (layers[1:] if is_of_layers else layers[:1])
    ]


def check_settings(key: str, asked: Iterable[str], settings: Mapping[str, Any]) -> None:
    """Refuse settings that no arm has (`RequestError`)."""
    for column in asked:
        if column not in settings:
            raise RequestError(f"{key}: {column}: expected one of {', '.join(settings)}")


def check_answer(
    key: str, answer: AnswerConfig, settings: Mapping[str, Sequence[Any]], known: Sequence[str]
) -> None:
    """Refuse a statistic that cannot be computed (`RequestError`)."""
    statistic, columns = answer.statistic, [*OF_RUNS, *settings]
    for side in ("treatment", "baseline"):
        check_settings(f"{key}.{side}", getattr(answer, side), settings)
    if statistic in PAIRED and not answer.baseline and not answer.against:
        raise RequestError(f"{key}.baseline={{}}: expected settings such as {{norm.name: none}}")
    for role in ("metric", "against"):
        metric = getattr(answer, role)
        if metric is not None and metric not in known and not TIME.fullmatch(metric):
            raise RequestError(
                f"{key}.{role}={metric}: expected a metric, one of {', '.join(known)}"
            )
    for column in [answer.level] if statistic in OF_LEVELS else [answer.level or "arm"]:
        if column not in columns or (column != "arm" and kind(column, settings) == "text"):
            allowed = ", ".join(c for c in columns if kind(c, settings) != "text")
            raise RequestError(f"{key}.level={as_typed(column)}: expected one of {allowed}")
    if not 0 <= answer.margin <= 100:
        raise RequestError(f"{key}.margin={answer.margin:g}: expected 0 to 100 points")
    check_settings(f"{key}.by", answer.by or (), settings)
    if len(answer.parts or ()) > MAX_PANELS:
        raise RequestError(f"{key}.parts: expected at most {MAX_PANELS}")
    check_queries(key, answer.where, "parts", answer.parts, settings, columns)


def check_queries(
    key: str,
    where: str | None,
    part: str,
    panels: Sequence[Panel] | None,
    settings: Mapping[str, Sequence[Any]],
    columns: Sequence[str],
) -> None:
    """Refuse queries of a declaration that have no answer in the tables (`RequestError`)."""
    queries = {f"{key}.where": where}
    queries |= {f"{key}.{part}[{n}].where": panel.where for n, panel in enumerate(panels or ())}
    for place, query in queries.items():
        try:
            asked = parse(query, columns) if query else None
            if asked:
                asked.check({name: kind(name, settings) for name in asked.names})
        except RequestError as error:
            raise RequestError(f"{place}={query}: {error}") from None


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
    check_queries(key, figure.where, "panels", figure.panels, settings, [*columns, *known])


def kind(column: str, settings: Mapping[str, Sequence[Any]]) -> Kind | None:
    """What a column of the tables will hold."""
    if column in settings:
        return kind_of(settings[column])
    return "text" if column in WORDS else "flag" if column == "stuck" else "number"
