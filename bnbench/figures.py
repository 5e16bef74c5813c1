"""The report that an experiment declares, checked before anything trains: can it be drawn?

`analysis` finds the same faults in the tables, when all is trained. Nothing here imports pandas.
"""

import ast
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bnbench.checks import RequestError
from bnbench.schema import PROBED, Figure, Policy, Report

# Columns of the tables that figures are drawn from, beside the settings of the arms.
OF_RUNS = ("arm", "seed", "status", "stuck", "epochs", "optim.lr", "hidden_layers")
MEASURED = ("steps", "samples", "seconds", "parameters")
BY_KIND = {
    "curves": ("step", "samples", "value"),
    "versus": (*MEASURED, "value"),
    "severity": (*MEASURED, "shift", "severity", "policy", "metric", "value"),
}
WORDS = {"arm", "status", "shift", "policy", "metric"}  # columns that are not numbers
SPLITS = ("train", "val", "test")
METRICS = ("loss", "accuracy")
MAX_TITLE = 200  # characters; the file of a figure is called by its title


def check_report(report: Report, arms: Sequence[Mapping[str, Any]]) -> None:
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
    named = [f"{split}/{metric}" for split in splits for metric in METRICS]
    times = [f"{unit}_to/{t}" for unit in ("steps", "samples") for t in sorted(thresholds)]
    return [*named, "train@batch/loss", *times]


def probed(arm: Mapping[str, Any]) -> list[str]:
    """The keys that the probes of an arm may record, given its settings by dotted key."""
    layers = ["", *(f"/{layer}" for layer in range(1, sum(arm["model.depth"]) + 1)), "/head"]
    return [
        f"train@batch/{metric}{layer}"
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
    if "x" in roles and not is_number(figure.x, settings):
        raise RequestError(f"{key}.x={figure.x}: expected a column of numbers")
    check_query(f"{key}.where", figure.where, [*columns, *known])
    for number, panel in enumerate(figure.panels or ()):
        check_query(f"{key}.panels[{number}].where", panel.where, [*columns, *known])


def is_number(column: str, settings: Mapping[str, Sequence[Any]]) -> bool:
    """Whether a column has a number in every row, or nothing."""
    values = settings.get(column, ())
    return column not in WORDS and all(v is None or isinstance(v, int | float) for v in values)


def check_query(key: str, query: str | None, columns: Sequence[str]) -> None:
    """Refuse a query of pandas that cannot be read or names no column (`RequestError`).

    Names in backticks are columns whatever they hold; the rest has the grammar of Python.
    """
    if not query:
        return
    quoted = re.findall("`([^`]*)`", query)
    try:
        tree = ast.parse(re.sub("`[^`]*`", "arm", query).strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RequestError(f"{key}={query}: expected a query of columns ({error})") from error
    named = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    if unknown := [name for name in [*quoted, *named] if name not in columns]:
        raise RequestError(
            f"{key}={query}: {unknown[0]}: expected a column, one of {', '.join(columns)}"
        )
    if not isinstance(tree.body, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.BinOp | ast.Call):
        raise RequestError(f"{key}={query}: expected a comparison such as batch_size == 64")
