"""The answer of an experiment as a page shows it: its sentences, and a small picture."""

import math
from collections.abc import Mapping
from typing import Any

from bnbench.analysis.answer_words import metric_words, tell
from bnbench.analysis.answers import Answer, AnswerRow, Side, is_time
from bnbench.config.labels import is_accuracy, level_label, name_label, side_label, value_label
from bnbench.config.schema import AnswerConfig, Statistic
from bnbench.drawing.style import norm_colour
from bnbench.pages.answer_text import GLUED

MOST = 24  # rows of a picture; a longer one is no small picture
COLOURS = ("#0072b2", "#767676")  # of a treatment and its baseline that are no norms


def answer_view(answer: Answer) -> dict[str, Any]:
    """Give what the templates say of an answer.

    Returns:
        lead, findings: of the sentence.
        picture: None where there is nothing to draw; else what is drawn (`words`), the two sides
            with their colours, the ends of the axis, and panels of rows: a label, and where
            treatment and baseline stand from 0 to 100 (None for nowhere), with their numbers.
    """
    told = tell(answer)
    findings = [[GLUED.sub("\xa0", part) for part in parts] for parts in told.findings]
    return {"lead": told.lead, "findings": findings, "picture": _picture(answer)}


def _picture(answer: Answer) -> dict[str, Any] | None:
    spec = answer.spec
    panels = _panels(answer)
    values = [v for rows in panels.values() for _, *sides in rows for v in sides if v is not None]
    if not values or sum(map(len, panels.values())) > MOST:
        return None
    low, high = _ends(spec, values)
    return {
        "words": "share of the test accuracy kept"
        if spec.statistic == Statistic.kept
        else metric_words(spec.metric),
        "sides": _sides(spec),
        "ends": [_number(end, spec.metric) for end in (low, high)],
        "panels": [
            {
                "title": title,
                "rows": [
                    {
                        "label": label,
                        "places": [
                            None if v is None else round(100 * (v - low) / (high - low), 2)
                            for v in sides
                        ],
                        "numbers": ["–" if v is None else _number(v, spec.metric) for v in sides],
                    }
                    for label, *sides in rows
                ],
            }
            for title, rows in panels.items()
        ],
    }


def _ends(spec: AnswerConfig, values: list[float]) -> tuple[float, float]:
    """The ends of the axis: of accuracies 0 and 100 %, and nearer where differences are told."""
    if not is_accuracy(spec.metric):
        return min(0.0, *values), max(values) or 1.0
    if spec.statistic != Statistic.difference:
        return 0.0, 100.0
    return 5.0 * math.floor(min(values) / 5), 5.0 * math.floor(max(values) / 5) + 5


def _panels(answer: Answer) -> dict[str, list[tuple[str, float | None, float | None]]]:
    """Sort the rows of a picture into panels by title: label, treatment, baseline."""
    spec, panels = answer.spec, {}
    if spec.statistic == Statistic.trains:
        words = side_label(spec.treatment), side_label(spec.baseline)
        found: dict[tuple[str, Any], dict[str, float | None]] = {}
        for row in answer.rows:
            found.setdefault((row.label, row.level), {})[row.side] = _value(row.treatment)
        for (title, level), sides in sorted(found.items(), key=lambda item: item[0][1]):
            own = panels.setdefault(title, [])
            own.append((level_label(str(spec.level), level), *map(sides.get, words)))
        return panels
    rows = sorted(answer.rows, key=lambda row: row.level) if spec.level else answer.rows
    for row in rows:
        sides = _value(row.treatment), _value(row.baseline)
        if row.level is None:
            panels.setdefault("", []).append((row.label, *sides))
        else:
            panels.setdefault(row.label, []).append((_level(spec, row), *sides))
    return panels


def _level(spec: AnswerConfig, row: AnswerRow) -> str:
    if spec.statistic == Statistic.kept:
        return name_label("shift", row.level.rpartition("-")[0])
    return value_label(row.level) if spec.level else str(row.level)


def _value(side: Side | None) -> float | None:
    return side.value if side and math.isfinite(side.value) else None


def _number(value: float, metric: str) -> str:
    if is_accuracy(metric):
        return f"{value:.0f} %"
    return f"{value:,.0f}" if is_time(metric) else f"{value:.3g}"


def _sides(spec: AnswerConfig) -> list[dict[str, str]]:
    """The sides that the picture shows: their words and colours."""
    settings: list[Mapping[str, Any]] = [spec.treatment]
    settings += [spec.baseline] if spec.baseline or spec.against else []
    sides = []
    for own, colour in zip(settings, COLOURS, strict=False):
        norm = own.get("norm.name")
        words = side_label(own) or metric_words(spec.metric)
        sides.append(
            {
                "words": words if own or own is spec.treatment else metric_words(str(spec.against)),
                "colour": norm_colour(norm) if norm else colour,
            }
        )
    return sides
