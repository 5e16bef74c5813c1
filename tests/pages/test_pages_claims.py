"""The pages and the terminal: every number in words, links that lead somewhere, escaped text."""

import base64
import doctest
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fake_claims import EVIL, five_claims, part, view, write_folder
from fake_results import config, write_experiment, write_run
from report_page import Page
from rich.console import Console

from bnbench.analysis import replication
from bnbench.analysis import verdict_words as claim_words
from bnbench.analysis.verdict_columns import SENSITIVITY
from bnbench.analysis.verdict_table import VERDICT_TABLE, VERDICTS
from bnbench.analysis.verdict_words import (
    estimate_words,
    found,
    numbers,
    rates_words,
    sesoi_words,
    tally,
)
from bnbench.analysis.verdicts import ClaimView, PartView, kind_of, read_claims
from bnbench.claims.files import write_replication
from bnbench.drawing.claims import forest
from bnbench.pages import intervals
from bnbench.pages import render as page_render
from bnbench.pages.claims import write_claims
from bnbench.pages.claims_markdown import markdown
from bnbench.pages.intervals import interval_picture
from bnbench.pages.report import write_report
from bnbench.pages.scoreboard_text import show_scoreboard
from bnbench.tracking.stored import DamagedError

TALLY = """\
claims about training: 1 confirmed, 1 contrary, 1 undecided, 1 not run here
identities: 1 confirmed"""


def row(estimate, low, high, **sesoi):
    sesoi = {"sesoi_low": math.nan, "sesoi_high": math.nan} | sesoi
    return {"estimate": estimate, "ci_low": low, "ci_high": high, **sesoi}


@pytest.fixture
def folder(results):
    return five_claims(results / "claims" / "digits")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = five_claims(tmp_path_factory.mktemp("claims") / "digits")
    return written(folder, facts={"Commit": "0123456789ab"})


def written(folder, **given):
    return Page(write_claims(folder, [claim.view for claim in read_claims(folder)], **given))


def scoreboard(page):
    """The rows of all kinds of claims by id, in the order of the page."""
    boards = [table for table in page.tables if table[0][:3] == ["id", "claim", "verdict"]]
    return {
        cells[0]: dict(zip(header, cells, strict=True))
        for header, *rows in boards
        for cells in rows
        if len(cells) > 1
    }


def test_the_scoreboard_says_what_was_claimed_what_was_found_and_how_sure(page):
    assert f"{TALLY}\n" in page.text
    rows = scoreboard(page)
    assert list(rows) == ["C1", "C2", "C3", "P4", "E1"]  # claims about training first
    assert rows["C1"]["claim"] == "Sentence of C1."
    assert rows["C1"]["verdict"] == "✓ confirmed"
    own = read_claims(page.path.parent)[1].headline
    low, middle, high = (f"{own[key]:.2f}" for key in ("ci_low", "estimate", "ci_high"))
    assert rows["C1"]["estimate [interval]"] == f"{middle}× [{low}, {high}]ratio of steps"
    assert (rows["C1"]["n"], rows["C1"]["to confirm"]) == ("10", "above 1.5×")
    assert rows["C3"]["verdict"] == "? undecided0.85 from the bound, underpowered"
    assert rows["E1"]["estimate [interval]"] == "4e-16largest error"
    assert (rows["E1"]["n"], rows["E1"]["to confirm"]) == ("exact", "≤ 1e-10")
    assert [rows["P4"][key] for key in ("verdict", "n", "to confirm")] == [
        "– not run here",
        "–",
        "–",
    ]


def test_only_an_undecided_claim_is_underpowered(page):
    """C2 is contrary, and would have shown larger effects alone; C3 is undecided."""
    told = {
        name: "underpowered" in " ".join(row.values()) for name, row in scoreboard(page).items()
    }
    assert told == {"C1": False, "C2": False, "C3": True, "P4": False, "E1": False}
    # what the word means, and of C3 row, estimate and evidence
    assert page.text.count("underpowered") == 4


def test_what_needs_no_runs_is_folded_after_the_claims_about_training(page):
    html = page.path.read_text(encoding="utf-8")
    for place in ("<header>", "<main>"):  # the scoreboard, and the claims one by one
        own = html[html.index(place) :].partition("Identities, settled by arithmetic: 1 confirmed")
        assert "Sentence of C1." in own[0]
        assert "Sentence of E1." not in own[0]
        assert "Sentence of E1." in own[2]
        assert own[0].rstrip().endswith("<summary>")


def test_one_screen_has_sentence_verdict_estimate_picture_and_command(page):
    """What stands outside the fold of C1, between its heading and its evidence."""
    html = page.path.read_text(encoding="utf-8")
    section = html[html.index('<article id="C1"') :].partition("Evidence of C1")[0]
    own = read_claims(page.path.parent)[1].headline
    for words in (
        "Sentence of C1.", 'class="verdict confirmed">✓ confirmed', "make claims ARGS=C1",
        f"{own['estimate']:.2f}× [", "n = 10, 95 % interval, unadjusted",
        'role="img"', 'class="bar"', "to confirm: above 1.5×", ">1.5×</span>",
    ):  # fmt: skip
        assert words in section
    assert "The rule." not in section
    assert html.count('class="bar"') == 1 + 2 + 1  # C2 has two parts that decide, its reading none


def test_every_mention_of_an_id_is_a_link(results):
    words = view("C1", caveats=("See C2 and N3.",), traps=("C2 <b>",))
    words = ClaimView(**words.__dict__ | {"sentence": "As C2, C1 holds.", "rule": "That of C2."})
    given = [part("a", "confirmed", 3.0, sesoi=(1, None))]
    write_folder(results, [(words, "confirmed", given, 0.9), (view("C2"), "confirmed", given, 0.9)])
    page = written(results)
    mentioned = page.path.read_text(encoding="utf-8").count('<a href="#C2">C2</a>')
    # its row and heading; the sentence in row and section, rule, trap, caveat
    assert mentioned == 2 + 2 + 3
    assert page.text.count("N3") == 1
    assert "#N3" not in page.links


def test_one_table_has_the_words_colours_and_meanings_of_verdicts(page):
    html = page.path.read_text(encoding="utf-8")
    assert set(VERDICT_TABLE) == set(VERDICTS)
    for name, look in VERDICT_TABLE.items():
        assert look.meaning in page.text
        for colour in (look.light, look.dark):
            assert f".{name.replace(' ', '-')} {{ --own: {colour}; }}" in html
    colours = {colour for look in VERDICT_TABLE.values() for colour in (look.light, look.dark)}
    sheet = (Path(page_render.__file__).parent / "page.css").read_text(encoding="utf-8")
    rules = "".join(line for line in sheet.splitlines() if "--own" in line)
    assert not any(colour in rules for colour in colours)


def test_a_contrary_claim_shows_the_part_that_makes_it_so(page):
    rows = scoreboard(page)
    assert rows["C2"]["estimate [interval]"].startswith("−")
    assert rows["C2"]["estimate [interval]"].endswith("(Second)")


def test_a_verdict_that_no_part_has_shows_the_first_part(results):
    one = part("a", "confirmed", 0.9, ratio=True, sesoi=(1.5, None))
    write_folder(results, [(view("C1"), "undecided", [one], 0.9)])
    assert scoreboard(written(results))["C1"]["to confirm"] == "above 1.5×"


def test_a_section_has_all_that_the_verdict_rests_on(page):
    text = " ".join(page.text.split())
    for words in (
        "Source of C1", "The rule.", "A trap.", "A caveat.", "make claims ARGS=C1", "claim_C1",
        "p, Holm-adjusted0.0012", "Power95 % to confirm", "n10 seeds", "n = 10",
        "(95 % interval, unadjusted)", "evidence/C1.csv", "P4 Placement", "It needs a GPU.",
        "All 2 parts must hold, of which 1 confirmed, 1 contrary.",
        "These data decide nothing.", "0123456789ab", "1 number kept the bound",
        "40 % to confirm an effect beyond the bound by the smallest of interest: underpowered",
    ):  # fmt: skip
        assert words in text
    assert "make claims ARGS=P4" not in text


def test_the_table_of_parts_has_readings_too(page):
    (table,) = [t for t in page.tables if len(t) == 4 and t[0][0] == "part"]
    assert [cells[:3] for cells in table[1:]] == [
        ["first", "✓ confirmed", "above 1 pp"],
        ["Second", "✗ contrary", "above 1 pp"],
        ["beside", "reading", "–"],
    ]


def test_every_link_leads_somewhere_and_every_image_is_told(page):
    folder = page.path.parent
    assert {"#E1", "#C1", "#P4", "evidence/C1.csv", "#scoreboard"} <= set(page.links)
    for link in page.links:
        assert link[1:] in page.ids if link.startswith("#") else (folder / link).exists()
    assert len(page.ids) == len(set(page.ids))
    assert [len(image["alt"]) > 40 for image in page.images] == [True] * 4
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.images)
    assert not {"link", "iframe"} & set(page.tags)
    assert page.scripts == [{}]
    names = sorted(path.name for path in (folder / "figures").iterdir())
    assert names == [f"{i}.{kind}" for i in ("C1", "C2", "C3", "E1") for kind in ("png", "svg")]


def test_text_from_outside_is_escaped(results):
    words = ClaimView("C1", EVIL, EVIL, EVIL, EVIL, EVIL, traps=(EVIL,), caveats=(EVIL,))
    given = [part("a", "confirmed", 1.0, statistic=EVIL, label=EVIL, unit=EVIL)]
    write_folder(results, [(words, "confirmed", given, 0.9)])
    page = written(results, facts={EVIL: EVIL})
    assert page.scripts == [{}]  # the page's own
    assert page.text.count(EVIL) > 12
    assert EVIL in page.images[0]["alt"]
    assert printed(results).count(EVIL) == 2  # as family and as sentence


@pytest.mark.slow
def test_the_report_over_everything_ends_with_the_claims(results, folder):
    write_experiment(results, "one", [write_run(results, config(), 0)])
    before = Page(write_report(results).page)
    assert "Claims" not in before.text  # judged, but without a page to lead to
    written(folder)
    page = Page(write_report(results).page)
    assert page.text.index(TALLY) > page.text.index("How to read this")
    assert "claims/digits/report.html#C1" in page.links
    assert list(scoreboard(page)) == ["C1", "C2", "C3", "P4", "E1"]
    for link in page.links:
        assert link.startswith("#") or (results / link.partition("#")[0]).exists()


@pytest.mark.slow
def test_claims_that_are_kept_without_their_page_get_it_from_their_tables(results, folder):
    write_experiment(results, "one", [write_run(results, config(), 0)])
    written(folder)
    further = (folder / "figures" / "C2.png").read_bytes()
    (folder / "figures" / "C1-2.png").write_bytes(further)  # of curves, say: it needs the runs
    (folder / "report.html").unlink()
    facts = {"command": "make claims", "git_commit": "0123456789abcdef", "versions": {"torch": "2"}}
    (folder / "judged.json").write_text(json.dumps(facts))
    assert write_report(results).problems == []
    page = Page(folder / "report.html")
    assert list(scoreboard(page)) == ["C1", "C2", "C3", "P4", "E1"]
    assert "0123456789ab" in page.text
    assert "runs of commit 0123456789ab (make cite" in " ".join(page.text.split())
    alts = [image["alt"] for image in page.images]
    assert alts[1] == "C1, further. Drawn earlier, from runs that are not in these results."
    assert base64.b64decode(page.images[1]["src"].partition(",")[2]) == further
    assert len(alts) == 5


@pytest.mark.slow
def test_damaged_words_leave_the_report_the_rest(results, folder):
    write_experiment(results, "one", [write_run(results, config(), 0)])
    written(folder)
    (folder / "claims.json").write_text('[{"id": "C1"}]')
    page, (problem,) = write_report(results)
    assert "claims.json: damaged" in problem
    assert Page(page).images


def test_a_board_of_older_verdicts_is_told_in_one_line(results, folder):
    write_experiment(results, "one", [write_run(results, config(), 0)])
    written(folder)
    board = folder / "scoreboard.csv"
    board.write_text(board.read_text().replace("power,", "powered,", 1))
    page, (problem,) = write_report(results)
    assert problem == f"{board}: judged by an older version: make claims judges it anew"
    assert Page(page).images


@pytest.mark.parametrize(
    ("file", "column"),
    [
        ("scoreboard.csv", "depends_on"),
        ("parts.csv", "seeds"),
        ("evidence/C1.csv", "treatment_rate"),
    ],
)
def test_a_table_without_the_newer_columns_is_of_an_older_version(folder, file, column):
    table = pd.read_csv(folder / file)
    table.drop(columns=column).to_csv(folder / file, index=False)
    with pytest.raises(DamagedError) as error:
        read_claims(folder)
    words = "judged by an older version: make claims judges it anew"
    assert str(error.value) == f"{folder / file}: {words}"


def test_words_of_an_older_version_are_read(folder):
    words = json.loads((folder / "claims.json").read_text())
    for one in words:
        for key in ("why_statistic", "why_bound", "would_change", "by_construction"):
            del one[key]
        for of_part in one["parts"]:
            del of_part["sizing"]
    (folder / "claims.json").write_text(json.dumps(words))
    assert [claim.view.why_bound for claim in read_claims(folder)] == [""] * 5


WHY = {
    "why_statistic": "Area is what <fast> means.",
    "why_bound": "A tenth of a run.",
    "would_change": "Another optimiser.",
    "by_construction": "The mean of the inputs.",
}


@pytest.fixture
def sensitive(results):
    """C1, of which two of ten seeds gave no number; C2 has two rates and a part under a choice."""
    lost = part("a", "confirmed", 3.0, sesoi=(1, None), unit="pp", n=8, lost=2, rates=(0.3, 0.1))
    lost["view"] = replace(lost["view"], sizing="10 seeds: power 0.93.")
    other = part("b: threshold 0.9", "undecided", 0.9, role="choice", unit="pp", rates=(1, 1))
    same = part("b", "confirmed", 3.0, sesoi=(1, None), unit="pp", rates=(0.1, 0.1))
    folder = results / "claims" / "digits"
    given = [
        (view("C1", **WHY), "confirmed", [lost], 0.9),
        (view("C2"), "confirmed", [same, other], 0.9),
    ]
    write_folder(folder, given)
    board = pd.read_csv(folder / "scoreboard.csv", dtype=str)
    board["depends_on"] = ["", "threshold+half"]
    board.to_csv(folder / "scoreboard.csv", index=False)
    rows = [
        ("C2", "threshold 0.9", "b", 0.9, 0.8, 1.0, 10, "undecided", "yes"),
        ("C2", "median", "b", 3.1, 2.9, 3.3, 10, "confirmed", "no"),
    ]
    pd.DataFrame(rows, columns=SENSITIVITY).to_csv(folder / "sensitivity.csv", index=False)
    return folder


def test_seeds_that_gave_no_number_and_learning_rates_are_told(sensitive):
    page = written(sensitive)
    rows = scoreboard(page)
    assert [rows[name]["n"] for name in ("C1", "C2")] == ["8 of 10", "10"]
    text = " ".join(page.text.split())
    for words in ("n = 8 of 10, 95 % interval, unadjusted, at rates 0.3 and 0.1", "8 of 10 seeds",
                  "n = 10, 95 % interval, unadjusted, at the rate 0.1"):  # fmt: skip
        assert words in text
    one, two = read_claims(sensitive)
    assert "(95 % interval, n = 8 of 10, at rates 0.3 and 0.1)" in found(one)
    assert "n = 8 of 10" in interval_picture(one)["alt"]
    assert (rates_words(one, "a"), rates_words(two, "nothing")) == ("at rates 0.3 and 0.1", "")
    assert "8 of 10" in printed(sensitive)


def test_what_a_verdict_depends_on_is_told_beside_it_with_what_other_choices_give(sensitive):
    page = written(sensitive)
    words = "depends on the threshold and the number of seeds"
    assert scoreboard(page)["C2"]["verdict"] == f"✓ confirmed{words}"
    assert words in " ".join(printed(sensitive).split())
    (table,) = [table for table in page.tables if table[0][0] == "other choice"]
    assert table[1:] == [
        ["threshold 0.9", "? undecided", "yes", "b", "+0.90 pp [+0.80, +1.00]", "10"],
        ["median", "✓ confirmed", "no", "b", "+3.10 pp [+2.90, +3.30]", "10"],
    ]
    (parts,) = [table for table in page.tables if len(table) == 3 and table[0][0] == "part"]
    assert [row[:2] for row in parts[1:]] == [
        ["b", "✓ confirmed"],
        ["b: threshold 0.9", "choice"],
    ]
    (claim,) = read_claims(sensitive)[1:]
    assert "threshold" not in forest(claim).alt


def test_the_reasons_of_a_claim_and_its_sizing_stand_in_its_evidence(sensitive):
    text = " ".join(written(sensitive).text.split())
    for words in WHY.values():
        assert words in text
    assert "10 seeds: power 0.93." in text


def test_the_published_verdict_stands_beside_ones_own(sensitive, tmp_path):
    other = tmp_path / "reference" / "claims" / "digits"
    there = part("a", "undecided", 2.9, sesoi=(1, None), unit="pp")
    write_folder(other, [(view("C1"), "undecided", [there], 0.9)])
    write_replication(sensitive, other)
    page, (claim, _) = written(sensitive), read_claims(sensitive)
    words = replication.beside(claim)
    assert words.startswith("reference: ? undecided, +2.8")
    assert words.endswith(" s.e. apart")
    told = "0 of 1 verdicts agree with the reference; 1 is decided here alone (C1)."
    assert page.text.count(words) == 3  # its row, its section, and the facts in that
    assert told in page.text
    shown = printed(sensitive)
    assert told in shown.splitlines()
    assert "reference: ? undecided" in shown
    text = markdown(sensitive.parent, {"digits": read_claims(sensitive)})
    assert text.count("reference: ? undecided") == 1
    assert text.count("Reference: ? undecided") == 1
    assert f"* {told}" in text
    assert "Under other choices: threshold 0.9: ? undecided, +0.90 pp" in text


def test_claims_that_were_taken_from_elsewhere_are_named(sensitive):
    facts = {"command": "make claims", "taken": ["C1", "C2"]}
    (sensitive / "judged.json").write_text(json.dumps(facts))
    told = "2 claims taken from results/reference, not trained here: C1, C2."
    assert told in written(sensitive).text
    assert told in markdown(sensitive.parent, {"digits": read_claims(sensitive)})


def picture_of(results, *parts, verdict="confirmed"):
    write_folder(results, [(view("C1"), verdict, list(parts), 0.9)])
    return interval_picture(read_claims(results)[0])


def test_the_picture_of_an_interval_has_each_number_in_its_place(results):
    one = part("a", "confirmed", 3.0, sesoi=(1, None), unit="pp")
    (row,) = picture_of(results, one)["rows"]
    low, high = one["row"]["ci_low"], one["row"]["ci_high"]
    size = high * (1 + 2 * intervals.MARGIN)  # the axis begins at no difference, less its margin
    places = [100 * (high * intervals.MARGIN + value) / size for value in (0, 1, low, high)]
    (left, width), (region, rest) = row["bar"], row["region"]
    given = [row["nothing"], region, left, left + width]
    assert given == pytest.approx(places, abs=0.02)
    assert region + rest == pytest.approx(100)
    assert row["marks"] == [(region, "1 pp"), (row["nothing"], "0 pp")]


def test_parts_that_measure_the_same_share_an_axis_and_others_do_not(results):
    same = [part(name, "confirmed", mean, sesoi=(1, None)) for name, mean in (("a", 2), ("b", 9))]
    other = part("c", "confirmed", 0.7, ratio=True, sesoi=(1.5, None), statistic="ratio")
    picture = picture_of(results, *same, other)
    first, second, third = picture["rows"]
    assert first["nothing"] == second["nothing"]
    assert first["at"] < 30 < 50 < third["at"]  # both about 2, on axes up to 9 and to 2
    assert first["at"] < second["at"]
    assert [text for _, text in third["marks"]] == ["1.5×", "1×"]
    assert "c: " in picture["alt"]
    assert picture["more"] == 0


def test_a_picture_has_the_deciding_part_first_and_leaves_many_to_the_evidence(results):
    parts = [part(f"p{n}", "confirmed", 3.0, sesoi=(1, None), label=f"Part {n}") for n in range(6)]
    picture = picture_of(results, *parts, part("x", "contrary", 0, label="X"), verdict="contrary")
    assert [row["label"] for row in picture["rows"]] == ["X", "Part 0", "Part 1", "Part 2"]
    assert picture["more"] == 3


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e308, -1e308, 0.0])
def test_odd_numbers_have_no_place_or_a_finite_one(results, odd):
    for ratio in (False, True):
        one = part("a", "confirmed", 3.0, sesoi=(1, None), ratio=ratio)
        for column in ("estimate", "ci_low", "ci_high", "sesoi_low", "sesoi_high"):
            picture = picture_of(results, one | {"row": one["row"] | {column: odd}})
            for row in picture["rows"] if picture else []:
                places = [row["at"], *(row["bar"] or ()), *(row["region"] or ())]
                assert all(map(math.isfinite, places))


def test_a_claim_without_a_sample_has_no_picture(folder):
    claims = {claim.view.id: claim for claim in read_claims(folder)}
    assert [name for name, claim in claims.items() if not interval_picture(claim)] == ["E1", "P4"]


def test_a_claim_without_words_or_with_an_unknown_verdict_is_refused(folder):
    claims = read_claims(folder)
    with pytest.raises(ValueError, match="nothing about claim 'C1'"):
        write_claims(folder, [claims[0].view])
    board = folder / "scoreboard.csv"
    board.write_text(board.read_text().replace("C1,confirmed", "C1,proven"))
    with pytest.raises(ValueError, match="C1: verdict 'proven': expected one of confirmed"):
        write_claims(folder, [claim.view for claim in claims])


@pytest.mark.slow
def test_a_page_is_the_same_bytes_each_time(folder):
    first = written(folder).path.read_bytes()
    assert written(folder).path.read_bytes() == first


def printed(folder, **options):
    out = io.StringIO()
    console = Console(file=out, **options)
    show_scoreboard(read_claims(folder), Path("results/report.html"), console)
    return out.getvalue()


def test_what_a_verdict_depends_on_leaves_sentences_their_room(folder):
    board = pd.read_csv(folder / "scoreboard.csv", dtype=str, keep_default_na=False)
    board.loc[board["claim"] == "C1", "depends_on"] = "median+half"
    board.to_csv(folder / "scoreboard.csv", index=False)
    lines = printed(folder).splitlines()
    (head,) = [line for line in lines if "verdict" in line and "estimate" in line]
    assert head.index("verdict") - head.index("claim") >= 35
    assert any("  depends on mean or " in line for line in lines)


def test_the_terminal_has_the_verdicts_by_family_and_what_to_do_next(folder):
    text = printed(folder)
    lines = text.splitlines()
    assert "\x1b" not in text
    assert max(map(len, lines)) <= 110
    order = ["Convergence", "C1", "C2", "C3", "Placement", "P4", "Identities, settled by"]
    starts = [next(n for n, line in enumerate(lines) if line.strip().startswith(w)) for w in order]
    assert starts == sorted(starts)
    assert "estimate [interval]" in text
    (c1,) = [line for line in lines if line.strip().startswith("C1")]
    assert "✓ confirmed" in c1
    assert c1.endswith((" 10 ", " 10"))
    assert lines[-4:] == [
        *TALLY.splitlines(),
        "report: results/report.html",
        "repeat a claim, for example: make claims ARGS=C1",
    ]


def test_a_real_terminal_has_colour_and_its_own_width(folder):
    text = printed(folder, force_terminal=True, width=90)
    assert "\x1b[32m" in text
    assert max(len(line) for line in printed(folder, force_terminal=True, width=90, no_color=True)
               .replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
               .splitlines()) <= 90  # fmt: skip


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1.2114, 1.2091, 1.2136], {}, ["1.2114", "1.2091", "1.2136"]),
        ([34.2, 22.1, 46.3], {}, ["34", "22", "46"]),
        ([250.0, 10.0, 6000.0], {"ratio": True}, ["250", "10", "6,000"]),
        ([0.5, -0.25, 1.25], {"signed": True}, ["+0.5", "−0.2", "+1.2"]),
        ([0.0], {"signed": True}, ["0"]),
        ([math.nan], {}, ["–"]),
        ([math.inf, 1.0, 3.0], {}, ["∞", "1.0", "3.0"]),
        ([3e-9], {}, ["3.00e-09"]),
    ],
)
def test_numbers_have_two_digits_of_their_spread(values, kind, expected):
    assert numbers(values, **kind) == expected


def test_units_and_bounds_in_words():
    points, times = PartView("a", "a", "pp"), PartView("a", "a", ratio=True)
    assert estimate_words(points, row(-1.25, -2.0, -0.5)) == "−1.2 pp [−2.0, −0.5]"
    assert estimate_words(points, row(-1.25, math.nan, math.nan)) == "−1.25 pp"
    assert estimate_words(times, row(math.nan, math.nan, math.nan)) == "–"
    assert sesoi_words(times, row(1, 1, 1, sesoi_low=1.5)) == "above 1.5×"
    assert sesoi_words(points, row(1, 1, 1, sesoi_high=-5)) == "below −5 pp"
    assert sesoi_words(points, row(1, 1, 1, sesoi_low=-1, sesoi_high=1)) == "within ±1 pp"
    assert sesoi_words(times, row(1, 1, 1, sesoi_low=0.9, sesoi_high=1.1)) == "0.9 to 1.1×"
    assert sesoi_words(points, row(1, 1, 1)) == "–"
    assert tally([]) == "no claims"


@pytest.mark.parametrize(
    ("experiments", "kind"),
    [
        (["exact"], "identities"),
        (["least_squares"], "problems without runs"),
        (["two_branches", "linear_net"], "problems without runs"),
        (["claim_ics", "linear_net"], "claims about training"),
        (["claim_sigmoid"], "claims about training"),
        (["exact", "claim_sigmoid"], "claims about training"),
        ([""], "claims about training"),  # not run anywhere
        ([], "claims about training"),
    ],
)
def test_what_needs_no_runs_is_no_claim_about_training(experiments, kind):
    assert kind_of(experiments) == kind


def test_the_examples_in_the_docs_hold():
    assert doctest.testmod(claim_words).failed == 0
