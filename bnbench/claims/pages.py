"""Write the page of the claims about a data set: words and figures for `pages`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from bnbench.analysis.agreement import Boards
from bnbench.analysis.stats import interval_table
from bnbench.analysis.verdicts import ClaimView, PartView
from bnbench.claims.judge import Verdict
from bnbench.claims.records import Claim, ClaimPart, Overlay
from bnbench.claims.registry.table import FAMILIES
from bnbench.claims.statistics import CURVE
from bnbench.claims.study import LackingError, Study
from bnbench.config.labels import name_label
from bnbench.drawing.claims import published, surface
from bnbench.drawing.plots import Drawing
from bnbench.pages.claims import write_claims

UNITS = ("pp", "%")  # which a statistic may name in brackets


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
    views = [view(verdict) for verdict in verdicts]
    drawings = {v.claim.id: list(drawings_of(v.claim, study)) for v in verdicts}
    return write_claims(study.folder, views, drawings, facts, others)


def view(verdict: Verdict) -> ClaimView:
    """Make the view of a claim from its record."""
    claim = verdict.claim
    return ClaimView(
        id=claim.id,
        family=FAMILIES[claim.id[0]],
        sentence=claim.sentence,
        says=claim.says,
        rule=claim.rule,
        statistic=claim.protocol,
        parts=tuple(part_view(name, part) for name, part in claim.parts.items()),
        traps=claim.traps,
        caveats=claim.caveats,
        reason=verdict.reason,
    )


def part_view(name: str, part: ClaimPart) -> PartView:
    """Make the view of a part: its label and unit."""
    unit = next((unit for unit in UNITS if f"({unit})" in part.statistic), "")
    return PartView(name, name, unit, part.scale == "log")


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
