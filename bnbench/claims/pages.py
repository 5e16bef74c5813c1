"""Write the page of the claims about a data set: words and figures for `pages`."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from bnbench.analysis.agreement import Boards
from bnbench.analysis.stats import interval_table
from bnbench.analysis.verdict_words import bound_words, unit_of
from bnbench.analysis.verdicts import ClaimView, PartView
from bnbench.claims.judge import ALPHA, Verdict, alpha_of, choice_name, family_of
from bnbench.claims.records import Claim, ClaimPart, Overlay
from bnbench.claims.registry.table import FAMILIES
from bnbench.claims.sizing import planned_power
from bnbench.claims.study import CURVE, LackingError, Study
from bnbench.config.labels import name_label
from bnbench.drawing.claims import published, surface
from bnbench.drawing.plots import Drawing
from bnbench.pages.claims import write_claims


def write_page(
    verdicts: Iterable[Verdict],
    study: Study,
    facts: Mapping[str, str],
    others: Boards | None = None,
) -> Path:
    """Write figures and report.html beside the files that `claims.files` wrote.

    Args:
        verdicts: the verdicts of the page.
        study: the runs behind the verdicts.
        facts: circumstances of the judging, as terms and descriptions.
        others: the claims on other data sets, for the section on disagreement.
    """
    verdicts = list(verdicts)
    sizes = Counter(family_of(verdict.claim) for verdict in verdicts)
    views = [view(verdict, sizes[family_of(verdict.claim)]) for verdict in verdicts]
    drawings = {v.claim.id: list(drawings_of(v.claim, study)) for v in verdicts}
    return write_claims(study.folder, views, drawings, facts, others)


def view(verdict: Verdict, family: int = 1) -> ClaimView:
    """Make the view of a claim from its record.

    Args:
        verdict: on the claim.
        family: the number of claims in its family of Holm's adjustment.
    """
    claim = verdict.claim
    alpha = alpha_of(claim) / (family if family_of(claim) else 1)
    parts = []
    for name, part in claim.parts.items():
        parts.append(part_view(name, part, alpha))
        parts += [part_view(choice_name(name, key), one) for key, one in part.choices.items()]
    return ClaimView(
        id=claim.id,
        family=FAMILIES[claim.id[0]],
        sentence=claim.sentence,
        says=claim.says,
        rule=claim.rule,
        statistic=claim.protocol,
        why_statistic=claim.why_statistic,
        why_bound=claim.why_bound,
        would_change=claim.would_change,
        by_construction=claim.by_construction,
        parts=tuple(parts),
        traps=claim.traps,
        caveats=claim.caveats,
        reason=verdict.reason,
    )


def part_view(name: str, part: ClaimPart, alpha: float = ALPHA) -> PartView:
    """Make the view of a part: its label, unit, and how its number of seeds was set.

    Args:
        name: of the part.
        part: the part.
        alpha: level of its test at the first step of the adjustment, the most severe.
    """
    shown = PartView(name, name, unit_of(part.statistic), part.scale == "log")
    return replace(shown, sizing=sizing_words(shown, part, alpha))


def sizing_words(shown: PartView, part: ClaimPart, alpha: float) -> str:
    """Write how the number of seeds of a deciding part was set; empty where that is not declared.

    `20 seeds: power 0.93 after the adjustment if the mean is 1.5 pp with s.d. 0.6 pp (a pilot).`
    """
    if part.sizing is None or part.target is None:
        return ""
    effect, std, n, source = part.sizing
    centre = "median" if part.scale == "grid" else "mean"
    if part.scale == "share":
        taken = f"the share is {effect:.3g}"
    elif part.scale == "log":
        taken = f"the ratio is {bound_words(shown, float(f'{math.exp(effect):.3g}'))} with s.d. "
        taken += f"{std:.2g} of its logarithm"
    else:
        size, spread = (bound_words(shown, float(f"{value:.3g}")) for value in (effect, std))
        taken = f"the {centre} is {size} with s.d. {spread}"
    power = planned_power(part, alpha)
    return f"{n} seeds: power {power:.2f} after the adjustment if {taken} ({source})."


def drawings_of(claim: Claim, study: Study) -> Iterable[Drawing]:
    """Draw the figures of a claim beside the forest plot; none where runs are missing."""
    try:
        if claim.overlay:
            yield beside_published(claim, claim.overlay, study)
        if "least_squares" in claim.experiments:
            yield surface(
                study.measured("least_squares_surface"),
                "Gradient descent on features of different scale, and standardised",
            )
    except LackingError:
        return


def beside_published(claim: Claim, overlay: Overlay, study: Study) -> Drawing:
    """Draw our mean validation accuracies beside the published curves."""
    tables: list[pd.DataFrame] = []
    num_seeds: Sequence[int] = []
    for name, arm in overlay.ours.items():
        (runs,) = study.paired([arm])
        num_seeds = [*num_seeds, len(runs)]
        table = interval_table(study.curves(arm, runs, CURVE), "step", "value").reset_index()
        columns = {"estimate": "accuracy"}
        tables.append(table.rename(columns=columns).drop(columns="n").assign(series=name))
    what = f"{name_label('data.name', study.data)}, {overlay.what}, n = {min(num_seeds)}"
    title = f"{claim.id}: our curves beside the published ones"
    return published(pd.concat(tables), overlay.figure, what, title)
