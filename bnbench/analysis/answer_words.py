"""Say what answers an experiment's question: a sentence for each of its statistics."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from bnbench.analysis.answers import Answer, AnswerRow, Side, is_time
from bnbench.analysis.stats import ACCURACY, MIN_SEEDS, Interval
from bnbench.config.labels import (
    column_label,
    is_accuracy,
    level_label,
    list_label,
    metric_label,
    name_label,
    side_label,
    value_label,
)
from bnbench.config.schema import AnswerConfig, Statistic

MANY = 4  # comparisons; of more a sentence tells how many came out how, and the largest
UNDECIDED = "no difference shown"


class Told(NamedTuple):
    """A sentence in parts: what is told, and what came of it in each comparison."""

    lead: str
    items: list[str]

    @property
    def findings(self) -> list[list[str]]:
        """Each item in parts: what was found, the numbers behind it in brackets, and so on."""
        return [re.split(r"( \([^)]*\))", item) for item in self.items]

    def __str__(self) -> str:
        ends = f": {'; '.join(self.items)}" if self.items else ""
        return f"{self.lead}{ends}."


def tell(answer: Answer) -> Told:
    """Say in a sentence what a statistic came to."""
    spec, rows = answer.spec, answer.rows
    sides = [side for row in rows for side in (row.treatment, row.baseline) if side]
    if not any(side.ended for side in sides):
        return Told("No run has finished yet" if sides else _lacking(spec), [])
    return SENTENCES[spec.statistic](spec, rows)


def _lacking(spec: AnswerConfig) -> str:
    if spec.statistic == Statistic.kept:
        return "Nothing to tell, since no shift of the test images was asked for"
    return f"Nothing to compare, since no arm is {side_label(spec.treatment or spec.baseline)}"


def _difference(spec: AnswerConfig, rows: Sequence[AnswerRow]) -> Told:
    """`Test accuracy with BatchNorm rather than without a norm: MLP: 0.56 points lower (…)`."""
    metric = metric_words(spec.metric)
    if spec.against:
        lead = f"{metric} rather than {metric_words(spec.against)}"
    else:
        lead = f"{metric} {_rather(side_label(spec.treatment), side_label(spec.baseline))}"
    return Told(capital(lead), _compared(spec, rows))


def _rather(one: str, other: str) -> str:
    """`with the norm after rather than before the activation`: what both say is said once."""
    if not one:
        return f"against that {other}"
    a, b = one.split(), other.split()
    same = [x == y for x, y in zip(a, b, strict=False)]
    start = (*same, False).index(False)
    same = [x == y for x, y in zip(a[:start:-1], b[:start:-1], strict=False)]
    end = (*same, False).index(False)
    inner = f"{' '.join(a[start : len(a) - end])} rather than {' '.join(b[start : len(b) - end])}"
    return " ".join([*a[:start], inner, *a[len(a) - end :]])


def _compared(spec: AnswerConfig, rows: Sequence[AnswerRow]) -> list[str]:
    """Tell each comparison; of many, how many came out how, and the largest."""
    if len(rows) <= MANY:
        return [_labelled(row.label, _one(row, spec.metric)) for row in rows]
    found = sorted_out(rows, spec.metric)
    items = [f"{word} in {len(own)} of {len(rows)}" for word, own in found.items() if own]
    told = [row for row in rows if row.difference.n >= MIN_SEEDS]
    if told:
        most = max(told, key=lambda row: abs(_effect(row.difference, spec.metric)))
        items.append(f"the largest, {_labelled(most.label, _one(most, spec.metric))}")
    return items


def sorted_out(rows: Sequence[AnswerRow], metric: str) -> Mapping[str, list[AnswerRow]]:
    """Sort comparisons by what they show: more, less, no difference, or too little to tell."""
    more, less = ("faster", "slower") if is_time(metric) else ("higher", "lower")
    found: dict[str, list[AnswerRow]] = {more: [], less: [], UNDECIDED: [], "too few runs": []}
    for row in rows:
        if row.difference.n < MIN_SEEDS:
            word = "too few runs"
        elif not is_shown(row.difference, metric):
            word = UNDECIDED
        else:
            word = more if _effect(row.difference, metric) > 0 else less
        found[word].append(row)
    return found


def is_shown(difference: Interval, metric: str) -> bool:
    """Whether the interval of a difference excludes that there is none."""
    neutral = 1.0 if is_time(metric) else 0.0
    return difference.low > neutral or difference.high < neutral


def _effect(difference: Interval, metric: str) -> float:
    return math.log(difference.estimate) if is_time(metric) else difference.estimate


def _one(row: AnswerRow, metric: str) -> str:
    """`0.56 points lower (97.2 % against 97.8 %; 95 % interval -1.10 to -0.01, n = 5)`."""
    mine, other = row.treatment, row.baseline
    assert other is not None
    if not mine.ended or not other.ended or not row.difference.n:
        return f"nothing to compare ({_state(mine, metric)} against {_state(other, metric)})"
    numbers = f"{_number(mine.value, metric)} against {_number(other.value, metric)}"
    return _change(row.difference, metric, numbers, _diverged(mine, other))


def _state(side: Side, metric: str) -> str:
    if side.ended:
        return _number(side.value, metric)
    return "an arm without a result" if side.asked else "no arm"


def _change(difference: Interval, metric: str, *more: str) -> str:
    """`0.56 points lower (95 % interval -1.10 to -0.01, n = 5)`, with more in the brackets."""
    words = f"{_size(difference, metric)} {_way(difference, metric)}"
    known = interval_words(difference, _decimals(difference, metric))
    if difference.n < MIN_SEEDS:
        known += ", too few seeds to tell"
    elif not is_shown(difference, metric):
        words = UNDECIDED
    return f"{words} ({'; '.join(filter(None, [*more[:1], known, *more[1:]]))})"


def interval_words(value: Interval, decimals: int) -> str:
    """`95 % interval -1.10 to -0.01, n = 5`; without enough seeds n alone."""
    if not math.isfinite(value.low):
        return f"n = {value.n}"
    low, high = (f"{bound:.{decimals}f}" for bound in (value.low, value.high))
    return f"95 % interval {low} to {high}, n = {value.n}"


def _decimals(value: Interval, metric: str) -> int:
    """Two digits of the smallest number of an interval that is not zero, for accuracies 1 or 2."""
    known = [abs(number) for number in value[:3] if math.isfinite(number) and number]
    least = min(known, default=1.0)
    if is_accuracy(metric) or is_time(metric):
        return 1 if least >= 1 else 2
    return min(6, max(0, 1 - math.floor(math.log10(max(known, default=1.0)))))


def _size(difference: Interval, metric: str) -> str:
    decimals = _decimals(difference, metric)
    if is_time(metric):
        return f"{difference.estimate:.{decimals}f} times"
    size = f"{abs(difference.estimate):.{decimals}f}"
    return f"{size} points" if is_accuracy(metric) else size


def _way(difference: Interval, metric: str) -> str:
    if is_time(metric):
        return "as fast"
    return "higher" if difference.estimate > 0 else "lower"


def _diverged(mine: Side, other: Side) -> str:
    if not mine.diverged + other.diverged:
        return ""
    counts = (f"{side.diverged} of {side.ended}" for side in (mine, other))
    return f"diverged: {' against '.join(counts)}"


def _trains(spec: AnswerConfig, rows: Sequence[AnswerRow]) -> Told:
    """`Compared with ×1: MLP with BatchNorm: ×5 trains, 0.67 points lower (…), ×30 does not`."""
    items = []
    named = [replace(row, label=f"{row.label} {row.side}".strip()) for row in rows]
    for label, levels in _by_label(named):
        told = [row for row in levels if row.level != spec.reference or not _has_trained(row)]
        if told:
            items.append(_labelled(label, ", ".join(_level(row, spec) for row in told)))
    reference = level_label(str(spec.level), spec.reference)
    lead = f"Test accuracy compared with {reference}" if spec.reference is not None else "Training"
    return Told(lead, items)


def _by_label(rows: Sequence[AnswerRow]) -> Iterator[tuple[str, list[AnswerRow]]]:
    """Group comparisons by what tells them apart, each with its levels in ascending order."""
    for label in dict.fromkeys(row.label for row in rows):
        own = [row for row in rows if row.label == label]
        yield label, sorted(own, key=lambda row: row.level)


def _has_trained(row: AnswerRow, side: str = "treatment") -> bool:
    """Whether every run of a side has trained."""
    own: Side | None = getattr(row, side)
    return own is not None and 0 < own.trained == own.ended


def _level(row: AnswerRow, spec: AnswerConfig) -> str:
    level, side = level_label(str(spec.level), row.level), row.treatment
    if not side.ended:
        return f"{level} has no result"
    if not side.trained:
        return f"{level} does not train (n = {side.ended})"
    if not _has_trained(row):
        return f"{level} trains in {side.trained} of {side.ended} runs"
    if not row.difference.n:
        return f"{level} trains"
    return f"{level} trains, {_change(row.difference, spec.metric)}"


def _greatest(spec: AnswerConfig, rows: Sequence[AnswerRow]) -> Told:
    """`Greatest depth at which every run trains: 10 with BatchNorm, 3 without a norm …`."""
    items = []
    for label, levels in _by_label(rows):
        told = []
        for words, side in ((spec.treatment, "treatment"), (spec.baseline, "baseline")):
            held = [value_label(row.level) for row in levels if _has_trained(row, side)]
            told.append(f"{held[-1] if held else 'none'} {side_label(words)}")
        tried, last = [value_label(row.level) for row in levels], levels[-1]
        at = f"at {tried[-1]}: {_one(last, spec.metric)}"
        items.append(_labelled(label, f"{list_label(told)}, of {list_label(tried)} tried; {at}"))
    what = column_label(str(spec.level))
    what = f"number of {what}" if what.endswith("s") else what
    return Told(f"Greatest {what} at which every run trains", items)


def _as_good(spec: AnswerConfig, rows: Sequence[AnswerRow]) -> Told:
    """`Smallest batch size at which BatchNorm is as good as GroupNorm: equal epochs: 16 (…)`."""
    items = []
    for label, levels in _by_label(rows):
        good = [r for r in levels if _has_trained(r) and r.difference.low > -spec.margin]
        if good:
            text = f"{value_label(good[0].level)}, {_one(good[0], spec.metric)}"
            later = [r for r in levels if r.level > good[0].level and r not in good]
            if later:
                text += f"; not shown at {list_label(value_label(r.level) for r in later)}"
        else:
            text = f"none of {list_label((value_label(r.level) for r in levels), 'or')}"
        items.append(_labelled(label, text))
    margin = f"{spec.margin:g} {'point' if spec.margin == 1 else 'points'}"
    return Told(
        f"Smallest {column_label(str(spec.level))} at which {metric_words(spec.metric)} "
        f"{side_label(spec.treatment)} is as good as {side_label(spec.baseline)} (every run "
        f"trained, and the whole interval at most {margin} below)",
        items,
    )


def _kept(spec: AnswerConfig, rows: Sequence[AnswerRow]) -> Told:
    """`Share of the test accuracy kept …: MLP: under contrast (severity 5) 41 % against 97 % …`."""
    items = []
    for label, shifts in _by_label(rows):
        worst = min(shifts, key=lambda row: _or(row.difference.estimate, math.inf))
        name, _, severity = worst.level.rpartition("-")
        assert worst.baseline is not None
        texts = [
            f"{_number(worst.treatment.value, ACCURACY)} {side_label(spec.treatment)} and "
            f"{_number(worst.baseline.value, ACCURACY)} {side_label(spec.baseline)} under "
            f"{name_label('shift', name)} at severity {severity}, "
            f"{_change(worst.difference, ACCURACY)}"
        ]
        for word, others in sorted_out([r for r in shifts if r is not worst], ACCURACY).items():
            names = [name_label("shift", row.level.rpartition("-")[0]) for row in others]
            texts += [f"{word} under {list_label(names)}"] if names else []
        items.append(_labelled(label, ", ".join(texts)))
    return Told("Of its test accuracy on unchanged images a net keeps", items)


def _or(value: float, other: float) -> float:
    return value if math.isfinite(value) else other


def _value(spec: AnswerConfig, rows: Sequence[AnswerRow]) -> Told:
    """`Growth of the gradient per layer: BatchNorm: 1.21 (95 % interval 1.19 to 1.23, n = 10)`."""
    told = [row for row in rows if row.difference.n]
    lead = capital(metric_words(spec.metric))
    if not told:
        return Told(f"{lead} has no number in any run", [])
    items = [_labelled(row.label, _measured(row.difference, spec.metric)) for row in told]
    if len(told) > MANY:
        ends = (f(told, key=lambda row: row.difference.estimate) for f in (min, max))
        words = zip(("lowest", "highest"), (items[told.index(row)] for row in ends), strict=True)
        items = [f"{word}, {text}" for word, text in words]
    return Told(lead, items)


def _best(spec: AnswerConfig, rows: Sequence[AnswerRow]) -> Told:
    """`Best by validation accuracy: MLP: base learning rate 0.1, test accuracy 97.2 % (…)`."""
    metric = metric_words(spec.metric)
    items = [
        _labelled(row.label, f"{row.level}, {metric} {_measured(row.difference, spec.metric)}")
        for row in rows
    ]
    return Told("Best by validation accuracy", items)


def _measured(value: Interval, metric: str) -> str:
    decimals = 1 if is_accuracy(metric) else _decimals(value, metric)
    return f"{_number(value.estimate, metric)} ({interval_words(value, decimals)})"


def _number(value: float, metric: str) -> str:
    if not math.isfinite(value):
        return "no number"
    if is_accuracy(metric):
        return f"{value:.1f} %"
    return f"{value:,.0f} {metric.split('_')[0]}" if is_time(metric) else f"{value:.3g}"


def metric_words(metric: str) -> str:
    """Write a metric without its unit: `test accuracy`, `speed to 90 % of validation accuracy`."""
    if is_time(metric):
        unit, _, threshold = metric.partition("_to/")
        return f"{unit} to {100 * float(threshold):.3g} % of the validation images"
    return metric_label(metric).rpartition(" (")[0] or metric_label(metric)


def _labelled(label: str, text: str) -> str:
    return f"{label}: {text}" if label else text


def capital(text: str) -> str:
    """Begin a text with a capital letter."""
    return text[:1].upper() + text[1:]


SENTENCES: dict[Statistic, Callable[[AnswerConfig, Sequence[AnswerRow]], Told]] = {
    Statistic.difference: _difference,
    Statistic.trains: _trains,
    Statistic.greatest: _greatest,
    Statistic.as_good: _as_good,
    Statistic.kept: _kept,
    Statistic.value: _value,
    Statistic.best: _best,
}
