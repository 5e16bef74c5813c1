"""Write what became of the claims as one self-contained page, and as a section for the report."""

import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bnbench.analysis.agreement import Boards, read_boards
from bnbench.analysis.agreement import section as agreement
from bnbench.analysis.replication import beside as replication
from bnbench.analysis.replication import summary as replicated
from bnbench.analysis.verdict_columns import DEPTH, P_KINDS
from bnbench.analysis.verdict_table import VERDICTS
from bnbench.analysis.verdict_words import (
    KINDS,
    beside,
    by_kind,
    estimate_words,
    exact_words,
    fold_line,
    lead,
    measured,
    n_words,
    p_words,
    rates_words,
    row_texts,
    sesoi_words,
    tally,
    verdict_label,
    with_unit,
)
from bnbench.analysis.verdict_words import numbers as digits
from bnbench.analysis.verdicts import (
    WORDS,
    ClaimView,
    JudgedClaim,
    read_claims,
    read_judged,
    records,
    write_views,
)
from bnbench.config.labels import ABSENT, count_label
from bnbench.drawing.claims import forest
from bnbench.drawing.plots import Drawing
from bnbench.pages.intervals import interval_picture
from bnbench.pages.render import kept_picture, picture, render
from bnbench.pages.tables import Table
from bnbench.tracking.experiment_dir import schema_note
from bnbench.tracking.whole_files import write_whole

PAGE = "report.html"
PART_COLUMNS = ["part", "verdict", "to confirm", "estimate [interval]", "level", "n"]
PART_NUMBERS = [*(f"p ({kind})" for kind in P_KINDS), "smallest detectable effect", "bounds"]
CHOICE_COLUMNS = ["other choice", "verdict", "says something else", "part"]
CHOICE_NUMBERS = ["estimate [interval]", "n"]
EXACT_COLUMNS = ["part", "what is measured", "measured", "bound", "kept"]


def write_claims(
    folder: Path,
    views: Sequence[ClaimView],
    drawings: Mapping[str, Sequence[Drawing]] | None = None,
    facts: Mapping[str, str] | None = None,
    others: Boards | None = None,
) -> Path:
    """Write claims.json, figures/ and report.html for the verdicts that a folder holds.

    Args:
        folder: results/claims/<data>, with scoreboard.csv, parts.csv and evidence/.
        views: the words of the claims.
        drawings: figures by claim id, beside the one of its evidence.
        facts: how it was run, as terms and descriptions.
        others: the claims on other data sets, to say where they disagree.

    Returns:
        The page.

    Raises:
        ValueError: a file is damaged, or the scoreboard names a claim without a view.
    """
    write_views(folder, views)
    claims = read_claims(folder)
    sections = [
        _section(folder, claim, (drawings or {}).get(claim.view.id, ()))
        for own in by_kind(claims).values()
        for claim in own
    ]
    both = {folder.name: claims, **(others or {})}
    shown = board(folder, claims)
    page = render(
        "claims.html.j2",
        title=f"bnbench: claims on {folder.name}",
        board=shown,
        agreement=with_links(agreement(both), shown["links"]),
        sections=sections,
        facts=facts or {},
    )
    write_whole(folder / PAGE, page, DEPTH)
    return folder / PAGE


def judged_boards(results: Path, problems: list[str]) -> Boards:
    """Read the scoreboards of a results folder.

    Args:
        results: the results folder.
        problems: gets a line for each data set whose files are damaged, and which is left out.
    """
    folders = sorted(path.parent for path in results.glob("claims/*/scoreboard.csv"))
    # a board without words is being judged, or was stopped before it had a page
    told = [one for one in folders if any(os.path.lexists(one / name) for name in (WORDS, PAGE))]
    return read_boards(told, problems)


def boards(results: Path, judged: Boards) -> dict[str, Any]:
    """What the page over everything says of the claims: each scoreboard, and where they disagree.

    Args:
        results: the results folder.
        judged: its scoreboards; those without a page of their own are left out.
    """
    paged = {
        data: claims
        for data, claims in judged.items()
        if (results / "claims" / data / PAGE).exists()
    }
    shown = [
        board(results / "claims" / data, claims, f"claims/{quote(data)}/{PAGE}")
        for data, claims in paged.items()
    ]
    links = {name: link for one in reversed(shown) for name, link in one["links"].items()}
    return {"boards": shown, "agreement": with_links(agreement(paged), links)}


def board(folder: Path, claims: Sequence[JudgedClaim], page: str = "") -> dict[str, Any]:
    """Give what the templates say of a scoreboard.

    Args:
        folder: of the data set.
        claims: its claims.
        page: the page of the claims, as seen from the page that shows the scoreboard; empty for
            the same page.

    Returns:
        data, page, tally, replicated (how many verdicts another scoreboard shares), notes (of
        another schema, of evidence that was taken from the reference), command (one that repeats a
        claim), links (of ids), and kinds: those about training first. A kind has its name, the line
        behind which it is folded (empty for claims about training), and families of rows.
    """
    notes = []
    with suppress(FileNotFoundError):
        judged = read_judged(folder)
        notes += [f"Judged on runs of {note}." for note in [schema_note(judged)] if note]
        notes += [f"{taken_words(judged['taken'])}."] if judged.get("taken") else []
    kinds = by_kind(claims)
    ordered = [claim for own in kinds.values() for claim in own]
    return {
        "data": folder.name,
        "page": page,
        "tally": tally(claims),
        "replicated": replicated(claims),
        "notes": notes,
        "command": next((claim.row["command"] for claim in ordered if claim.row["command"]), ""),
        "links": {claim.view.id: f"{page}#{claim.view.id}" for claim in ordered},
        "kinds": [
            {
                "name": kind,
                "fold": fold_line(kind, own) if KINDS[kind] else "",
                "families": [
                    (family, [_row(claim) for claim in group])
                    for family, group in groupby(own, key=lambda claim: claim.view.family)
                ],
            }
            for kind, own in kinds.items()
        ],
    }


def taken_words(names: Sequence[str]) -> str:
    """Say which claims were judged from the evidence of the reference."""
    number = count_label(len(names), "claim")
    return f"{number} taken from results/reference, not trained here: {', '.join(names)}"


def with_links(found: dict[str, Any] | None, links: Mapping[str, str]) -> dict[str, Any] | None:
    """Add where ids lead to the section on several data sets."""
    return found and found | {"links": links}


def _row(claim: JudgedClaim) -> dict[str, Any]:
    verdict = claim.row["verdict"]
    return {
        "id": claim.view.id,
        "sentence": claim.view.sentence,
        "verdict": verdict,
        "rank": VERDICTS.index(verdict),
        "beside": beside(claim),
        "replication": replication(claim),
        "is_exact": claim.is_exact,
        **row_texts(claim),
    }


def _section(folder: Path, claim: JudgedClaim, extra: Sequence[Drawing]) -> dict[str, Any]:
    """Everything that the template says about one claim; draws and saves its figures."""
    name = claim.view.id
    own = forest(claim)
    drawings = [*([own] if own else []), *extra]
    figures = [
        picture(drawing, folder / "figures" / f"{name}{f'-{number}' if number > 1 else ''}.png", 3)
        for number, drawing in enumerate(drawings, start=1)
    ]
    figures += [
        kept_picture(path, f"{name}, further", DEPTH + 1)
        for path in sorted((folder / "figures").glob(f"{name}-*.png"))
        if path.stem not in [figure["file"] for figure in figures]
    ]
    has_evidence = (folder / "evidence" / f"{name}.csv").exists()
    return {
        **_row(claim),
        "kind": claim.kind,
        "view": claim.view,
        "told": measured(claim),
        "lead": lead(claim),
        "rates": rates_words(claim, claim.headline["part"]),
        "intervals": interval_picture(claim),
        "facts": _facts(claim),
        "figures": figures,
        "parts": _exact_parts(claim) if claim.is_exact else _parts(claim),
        "choices": _choices(claim),
        "evidence": f"evidence/{name}.csv" if has_evidence else None,
        "command": claim.row["command"],
    }


def _facts(claim: JudgedClaim) -> dict[str, str]:
    """What the verdict stands on, as terms and descriptions; without what there is not."""
    view, row, text = claim.view, claim.row, row_texts(claim)
    level = f" ({text['level']} interval, unadjusted)" if text["level"] else ""
    facts = {"Who says it": view.says, "Measured": view.statistic or row["statistic"]}
    facts |= {"Why that": view.why_statistic, "By construction": view.by_construction}
    facts |= {"Decision rule": view.rule, "Why that bound": view.why_bound}
    if claim.is_exact:
        facts |= {"Bound": text["sesoi"], "Measured value": text["estimate"]}
    else:
        facts |= {
            "Smallest effect of interest": f"{text['sesoi']}, to confirm",
            "Estimate": f"{text['estimate']}{level}",
            "n": f"{text['n']} seeds",
            "Seeds, set beforehand": _sizing(claim),
            "p, Holm-adjusted": p_words(row["p_holm"]),
            "Power": _power(claim),
        }
    facts |= {"Elsewhere": replication(claim), "What would change it": view.would_change}
    facts["Experiment"] = row["experiment"]
    absent = ("", ABSENT, f"{ABSENT} seeds", f"{ABSENT}, to confirm")
    return {term: words for term, words in facts.items() if words not in absent}


def _power(claim: JudgedClaim) -> str:
    if math.isnan(power := claim.row["power"]):
        return ABSENT
    words = f"{100 * power:.0f} % to confirm an effect beyond the bound by the smallest of interest"
    return f"{words}: underpowered" if claim.is_underpowered else words


def _sizing(claim: JudgedClaim) -> str:
    """How the numbers of seeds of the deciding parts were set; each sentence once."""
    parts: dict[str, list[str]] = {}
    for row in claim.deciding:
        part = claim.part(row["part"])
        if part.sizing:
            parts.setdefault(part.sizing, []).append(part.label)
    is_one = len(claim.deciding) == 1
    told = (words if is_one else f"{', '.join(labels)}: {words}" for words, labels in parts.items())
    return " ".join(told)


def _effect(claim: JudgedClaim, row: Mapping[str, Any]) -> str:
    return with_unit(digits([row["detectable"]])[0], claim.part(row["part"]))


def _parts(claim: JudgedClaim) -> Table | None:
    if claim.parts.empty:
        return None
    rows = []
    for row in records(claim.parts):
        part = claim.part(row["part"])
        verdict = verdict_label(row["verdict"]) if row["role"] == "verdict" else row["role"]
        has_interval = row["ci_low"] == row["ci_low"]
        level = f"{100 * row['ci_level']:.0f} %" if has_interval else ABSENT
        rows.append(
            [
                *(part.label, verdict, sesoi_words(part, row)),
                *(estimate_words(part, row), level, n_words(row)),
                *(p_words(row[f"p_{kind}"]) for kind in P_KINDS),
                *(_effect(claim, row), _count(row["censored"])),
            ]
        )
    return Table([*PART_COLUMNS, *PART_NUMBERS], rows, [""] * len(rows), 3)


def _choices(claim: JudgedClaim) -> Table | None:
    """What other choices give; None where none was tried."""
    rows = []
    for row in claim.sensitivity:
        part = claim.part(row["part"])
        rows.append(
            [
                *(row["choice"], verdict_label(row["verdict"]), row["flips"], part.label),
                *(estimate_words(part, row), _count(row["n"])),
            ]
        )
    header = [*CHOICE_COLUMNS, *CHOICE_NUMBERS]
    return Table(header, rows, [""] * len(rows), len(CHOICE_COLUMNS)) if rows else None


def _count(number: float) -> str:
    return f"{number:.0f}" if number == number else ABSENT


def _exact_parts(claim: JudgedClaim) -> Table:
    rows = [
        [
            claim.part(row["part"]).label,
            row["statistic"],
            *exact_words(row),
            "✓ yes" if row["holds"] else "✗ no",
        ]
        for row in records(claim.evidence)
    ]
    return Table(EXACT_COLUMNS, rows, [""] * len(rows), 2)
