"""Write the scoreboards of a results folder as one Markdown page, to be read on a code host.

It says what the pages of the claims say, from the same rows, with the figures that lie beside it.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bnbench.analysis.agreement import Boards
from bnbench.analysis.agreement import section as agreement
from bnbench.analysis.replication import beside as replication
from bnbench.analysis.verdict_table import VERDICT_TABLE
from bnbench.analysis.verdict_words import estimate_words, found, tally, verdict_label
from bnbench.analysis.verdicts import JudgedClaim
from bnbench.pages.claims import board
from bnbench.pages.mentions import pieces
from bnbench.tracking.stored import is_file
from bnbench.tracking.whole_files import write_whole

FILE = "README.md"
# what Markdown, or a code host's extension of it (tables, maths, emoji, links), gives a meaning
SPECIAL = re.compile(
    r"[\\`*_\[\]#~$|@]|:(?=//|[\w+-]+:)|(?<=www)\.|^[-+=](?=[\s=-]|$)|^\d+[.)](?=\s|$)"
)
IN_CELL = ("estimate", "measure", "replication")
HEADER = ["id", "claim", "verdict", "estimate [interval]", "n", "to confirm"]
OPENING = """\
<!-- Written by `make claims` and `make report` from the tables beside this page. -->

# What became of the claims about Batch Normalization

Each sentence was judged by a rule and a smallest effect of interest written down before the runs.
"""
NOTES = """\
An id leads to its picture, its numbers and the command that repeats it. n: seeds, in pairs that
start from the same weights and see the same batches. [low, high]: t interval over seeds, not
adjusted; the verdicts are adjusted for how many claims are judged (Holm). pp: percentage points.
×: times. Identities are settled by arithmetic, problems without runs by made-up numbers: both are
the same on every data set and say nothing of training.
"""


def write_markdown(results: Path, judged: Boards) -> None:
    """Write claims/README.md for the scoreboards of a results folder; nothing where it has none.

    Args:
        results: the results folder.
        judged: its scoreboards by data set.
    """
    if judged:
        write_whole(results / "claims" / FILE, markdown(results / "claims", judged), 1)


def markdown(folder: Path, judged: Boards) -> str:
    """Write the scoreboards as Markdown.

    Args:
        folder: results/claims, beside which links and pictures lie.
        judged: the scoreboards by data set.
    """
    both = agreement(judged)
    lines = [OPENING]
    for data, claims in judged.items():
        first = tally(claims).splitlines()[0]
        lines.append(f"* **[On {plain(data)}](#{_anchor('on', data)})**, {plain(first)}")
    lines += [
        "",
        "What the words mean:",
        "",
        *(f"* **{label}** {look}" for label, look in _meanings()),
        "",
        NOTES,
    ]
    if both:
        lines += _disagreement(both)
    for data, claims in judged.items():
        lines += _data_set(folder / data, claims)
    return "\n".join(lines)


def _meanings() -> Iterable[tuple[str, str]]:
    return ((verdict_label(name), look.meaning) for name, look in VERDICT_TABLE.items())


def _data_set(folder: Path, claims: Sequence[JudgedClaim]) -> list[str]:
    """The scoreboard of a data set and what each claim rests on, kinds without runs folded."""
    told = board(folder, claims)
    by_id = {claim.view.id: claim for claim in claims}
    links = {name: f"#{_anchor(folder.name, name)}" for name in by_id}
    anchor = f'<a id="{_anchor("on", folder.name)}"></a>'
    lines = [anchor, "", f"## On {plain(folder.name)}", ""]
    lines += [f"* {plain(line)}" for line in told["tally"].splitlines()]
    if told["replicated"]:
        lines.append(f"* {plain(told['replicated'])}")
    lines.append("")
    for note in told["notes"]:
        lines += [plain(note), ""]
    if told["command"]:
        lines += ["Repeat a claim, for example:", "", *_code(told["command"]), ""]
    for kind in told["kinds"]:
        rows = [row for _, own in kind["families"] for row in own]
        table = _table(kind["families"], links)
        each = [line for row in rows for line in _claim(folder, by_id[row["id"]], links)]
        if kind["fold"]:
            opening = f"<details><summary>{_in_html(kind['fold'])}</summary>"
            lines += [opening, "", *table, "", *each, "</details>", ""]
        else:
            lines += [*table, "", f"### Evidence on {plain(folder.name)}", "", *each]
    return lines


def _table(
    families: Iterable[tuple[str, list[dict[str, Any]]]], links: Mapping[str, str]
) -> list[str]:
    """The rows of a kind of claims, those of each family below its name."""
    rows = []
    for family, own in families:
        rows.append(["", f"**{plain(family)}**", "", "", "", ""])
        for row in own:
            weak = f"<br>{plain(row['beside'])}" if row["beside"] else ""
            rows.append(
                [
                    f"[{row['id']}]({links[row['id']]})",
                    plain(row["sentence"], links, row["id"]),
                    f"{verdict_label(row['verdict']).replace(' ', '&nbsp;')}{weak}",
                    "<br>".join(plain(row[key]) for key in IN_CELL if row[key]),
                    plain(row["n"]),
                    plain(row["sesoi"]),
                ]
            )
    return _grid(HEADER, rows)


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(row)} |" for row in cells]


def _claim(folder: Path, claim: JudgedClaim, links: Mapping[str, str]) -> list[str]:
    """One claim, folded behind its verdict: the numbers in words, the figures, what to type."""
    name, data = claim.view.id, quote(folder.name)
    label = f"{name} {verdict_label(claim.row['verdict'])}: {claim.view.sentence}"
    anchor = f'<a id="{_anchor(folder.name, name)}"></a>'
    lines = [f"<details><summary>{anchor}{_in_html(label)}</summary>", ""]
    lines += [plain(found(claim), links, name), ""]
    lines += [f"{plain(line, links, name)}\n" for line in _beside(claim)]
    for figure in [name, *_further(folder, name)]:
        if is_file(folder / "figures" / f"{figure}.png"):
            alt = plain(f"{figure}: {found(claim)}")
            lines += [f"![{alt}]({data}/figures/{quote(figure)}.png)", ""]
    evidence = f"{data}/evidence/{name}.csv"
    if is_file(folder / "evidence" / f"{name}.csv"):
        lines += [f"Every number: [{plain(evidence)}]({evidence}).", ""]
    if claim.row["command"] and claim.row["verdict"] != "not run here":
        lines += ["Run it again:", "", *_code(claim.row["command"]), ""]
    return [*lines, "</details>", ""]


def _beside(claim: JudgedClaim) -> list[str]:
    """What the verdict is beside other seeds and under other choices."""
    lines = []
    if there := replication(claim):
        lines.append(f"{there[:1].upper()}{there[1:]}.")
    told = []
    for row in claim.sensitivity:
        numbers = estimate_words(claim.part(row["part"]), row)
        told.append(f"{row['choice']}: {verdict_label(row['verdict'])}, {numbers}")
    if told:
        lines.append(f"Under other choices: {'; '.join(told)}.")
    return lines


def _further(folder: Path, name: str) -> list[str]:
    return sorted(path.stem for path in (folder / "figures").glob(f"{name}-*.png"))


def _disagreement(told: Mapping[str, Any]) -> list[str]:
    """Where data sets disagree, with the verdict on each."""
    lines = ["## Where data sets disagree", "", plain(told["summary"]), ""]
    if not told["rows"]:
        return lines
    rows = []
    for row in told["rows"]:
        sides = row.sides
        cells = [f"[{row.id}](#{_anchor(next(iter(sides)), row.id)})", plain(row.sentence)]
        for name in told["data"]:
            side = sides.get(name)
            cells.append(_side(side, _anchor(name, row.id)) if side else "not run")
        rows.append(cells)
    header = ["id", "claim", *(f"on {plain(name)}" for name in told["data"])]
    return [*lines, *_grid(header, rows), ""]


def _side(side: Mapping[str, Any], anchor: str) -> str:
    weak = f", {plain(side['beside'])}" if side["beside"] else ""
    numbers = plain(f"{side['estimate']}; to confirm: {side['sesoi']}")
    verdict = f"[{verdict_label(side['verdict'])}](#{anchor}){weak}"
    return f"{verdict}<br>{numbers}; n&nbsp;=&nbsp;{plain(str(side['n']))}"


def _anchor(*words: str) -> str:
    """A place on the page, in letters that every code host leaves as they are."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower())


def _code(command: str) -> list[str]:
    """A command as a block, behind a fence that is longer than any in it."""
    text = " ".join(command.split())
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}sh", text, fence]


def plain(text: str, links: Mapping[str, str] | None = None, own: str = "") -> str:
    r"""Escape a text so that Markdown shows it as it is, on one line; ids become links.

    >>> plain("a|b <i> *c*\n# d")
    'a\\|b &lt;i&gt; \\*c\\* \\# d'
    >>> plain("as C2, unlike N0", {"C2": "#digits-c2"})
    'as [C2](#digits-c2), unlike N0'
    """
    return "".join(
        f"[{piece}]({(links or {})[piece]})" if is_id else _escaped(piece)
        for piece, is_id in pieces(" ".join(text.split()), links or {}, own)
    )


def _in_html(text: str) -> str:
    """Escape a text for a line of HTML, whether or not a code host reads Markdown in it."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return SPECIAL.sub(lambda found: f"{found[0][:-1]}&#{ord(found[0][-1])};", escaped)


def _escaped(text: str) -> str:
    escaped = html.escape(text, quote=False)
    return SPECIAL.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", escaped)
