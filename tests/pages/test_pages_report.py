"""The report: self-contained, escaped, complete, with numbers that a hand computes."""

import base64
import runpy
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from fake_results import config, row, write_experiment, write_run
from report_page import Page

from bnbench import ROOT, __version__
from bnbench.analysis.stats import mean_interval
from bnbench.commands.report import main
from bnbench.config.schema import SCHEMA
from bnbench.pages import render as pages
from bnbench.pages.render import MAX_BYTES, within
from bnbench.pages.report import write_report
from bnbench.tracking.experiment_dir import other_schema_line, schema_note

SCRIPT = ROOT / "scripts" / "report.py"
VERSUS = {"kind": "versus", "title": "Accuracy & batch", "x": "batch_size", "y": "test/accuracy"}
BESIDE_NONE = {"baseline": {"norm.name": "none"}}


@pytest.fixture
def rows(results):
    rows = [
        write_run(results, config(norm=norm), k)
        for norm in ("none", "batchnorm")
        for k in (0, 1, 2)
    ]
    for values, some in (([0.90, 0.92, 0.91], rows[:3]), ([0.95, 0.96, 0.97], rows[3:])):
        for value, one in zip(values, some, strict=True):
            one["test/accuracy"] = value
    return rows


def test_a_page_is_whole_without_the_network(results, rows):
    folder = write_experiment(results, "batch", rows, report={"figures": [VERSUS], "compare": []})
    assert write_report(results) == (results / "report.html", [])
    for path in (folder / "report.html", results / "report.html"):
        page = Page(path)
        (image,) = page.images
        assert image["src"].startswith("data:image/png;base64,")
        assert image["alt"].startswith("Accuracy & batch. Test accuracy (%) against batch size")
        assert {Path(link).suffix for link in page.links} >= {".svg", ".png"}
        for link in page.links:
            assert link.startswith("#") or (path.parent / link).exists()
        assert not {"link", "iframe", "object"} & set(page.tags)
        assert not any("src" in script for script in page.scripts)
        assert "url(" not in path.read_text(encoding="utf-8")
        assert page.tags.count("figcaption") == 1
        assert (
            "n = 3 seeds per point; mean over seeds, bar: 95 % t interval, unadjusted" in page.text
        )
    figures = sorted(path.name for path in (folder / "figures").iterdir())
    assert figures == ["01-accuracy-batch.png", "01-accuracy-batch.svg"]


def test_the_numbers_in_the_tables_are_those_of_a_hand(results, rows):
    write_experiment(results, "batch", rows, report={"figures": [VERSUS], "compare": [BESIDE_NONE]})
    page = Page(write_report(results).page)
    none, bn = page.table("arm")
    assert (none["arm"], bn["arm"]) == ("no norm", "BatchNorm")
    # s = 1 point in both arms: half-width 4.302653 / √3 = 2.48
    assert (none["test accuracy (%)"], bn["test accuracy (%)"]) == ("91.00 ± 2.48", "96.00 ± 2.48")
    precise = mean_interval(100 * one["test@precise/accuracy"] for one in rows[3:])
    half = precise.high - precise.estimate
    assert bn["with precise statistics (%)"] == f"{precise.estimate:.2f} ± {half:.2f}"
    assert none["with precise statistics (%)"] == "–"
    same = "The same in every row: steps to 0.8 40, runs 3, diverged 0, stuck 0, seconds 2.5."
    assert same in page.text
    (pair,) = page.table("treatment")
    # differences 5, 4, 6: mean 5, s = 1
    assert pair == {
        "treatment": "BatchNorm",
        "baseline": "no norm",
        "difference (points)": "+5.00",
        "95 % interval": "[+2.52, +7.48]",
        "pairs": "3",
        "diverged": "0 / 0",
    }


def test_outcomes_are_counted(results, rows):
    rows[0] |= {"status": "diverged", "test/accuracy": None, "steps_to/0.8": None}
    rows[1]["stuck"] = True
    rows += [row(config(), 8, "missing"), row(config(), 9, "failed"), row(config(), 10, "running")]
    write_experiment(results, "batch", rows, report={"figures": [VERSUS], "compare": [BESIDE_NONE]})
    page = Page(write_report(results).page)
    words = " ".join(page.text.split())
    assert "9 runs of 2 arms 5 done 1 stuck 1 diverged 1 failed 1 running 1 missing" in words
    none, bn = page.table("arm")
    assert (none["diverged"], none["stuck"], bn["stuck"]) == ("1", "1", "0")
    assert none["test accuracy (%)"] == "91.50 (n = 2)"
    assert none["steps to 0.8"] == "40 (1 of 3 not)"
    assert "The same in every row: runs 3, seconds 2.5." in page.text
    (pair,) = page.table("treatment")
    assert (pair["pairs"], pair["diverged"], pair["95 % interval"]) == ("2 of 3", "0 / 1", "–")


def test_rows_are_named_by_what_differs(results):
    rows = [
        write_run(results, config(model, norm, batch_size=size), 0)
        for model, norm, size in [("mlp", "none", 8), ("mlp", "batchnorm", 64), ("vgg", "none", 8)]
    ]
    write_experiment(results, "batch", rows, report={"figures": [VERSUS]})
    named = [row["arm"] for row in Page(write_report(results).page).table("arm")]
    assert named == [
        "MLP · no norm · batch size 8",
        "MLP · BatchNorm · batch size 64",
        "VGG · no norm · batch size 8",
    ]


def test_text_from_outside_is_escaped(results, rows):
    evil = "<script>alert('&')</script>"
    info = {"question": evil, "command": evil, "versions": {"torch": evil}, "device": evil}
    figures = [VERSUS | {"title": f'"{evil}'}]
    write_experiment(results, "batch", rows, report={"figures": figures, "compare": []}, **info)
    page = Page(write_report(results).page)
    data = [script["type"] for script in page.scripts if "type" in script]
    assert set(data) == {"application/json", "text/plain"}
    assert len(page.scripts) - len(data) == 3  # the page's own: of tables and of plots
    assert page.text.count(evil) == 4
    assert page.images[0]["alt"].startswith(f'"{evil}')


@pytest.mark.slow
def test_how_it_was_run(results, rows):
    report = {"figures": [VERSUS]}
    write_experiment(results, "batch", rows, report=report)
    text = Page(write_report(results).page).text
    assert "python scripts/train.py experiment=batch" in text
    assert "0123456789ab with uncommitted changes" in text
    assert f"bnbench {__version__}, runs of commit 0123456789ab with uncommitted changes" in text
    assert "2025-06-01 10:12 UTC" in text
    unknown = dict.fromkeys(("git_commit", "git_dirty", "started"))
    write_experiment(results, "batch", rows, report=report, **unknown)
    assert "not from a git repository" in Page(write_report(results).page).text


@pytest.mark.slow
def test_a_sweep_without_declared_figures_has_the_default_ones(results, rows):
    folder = write_experiment(results, "adhoc", rows)
    (folder / "experiment.json").unlink()
    page = Page(write_report(results).page)
    assert [image["alt"].split(".")[0] for image in page.images] == [
        "Validation accuracy by step",
        "Validation accuracy by samples seen",
    ]


def test_an_experiment_whose_runs_are_all_missing_says_so(results):
    kinds = [VERSUS, {"kind": "curves", "title": "C"}, {"kind": "severity", "title": "S"}]
    report = {"figures": kinds, "compare": [BESIDE_NONE]}
    write_experiment(results, "batch", [row(config(), 0, "missing")], report=report)
    page = Page(write_report(results).page)
    assert not page.images
    assert page.text.count("nothing to draw yet") == 3
    assert "No run has finished yet." in page.text


def test_the_page_for_all_lists_every_experiment(results, rows):
    for name in ("batch", "adhoc"):
        write_experiment(results, name, rows, report={"figures": [VERSUS]})
    page = Page(write_report(results).page)
    heads = [link for link in page.links if link.endswith("-digits")]
    assert heads == ["#adhoc-digits", "#batch-digits"]
    assert {"adhoc-digits", "batch-digits"} <= set(page.ids)
    assert len(page.images) == 2
    assert (results / "report.html").stat().st_size < MAX_BYTES


def test_figures_beyond_the_limit_are_left_to_their_own_page():
    figure = {"title": "A", "file": "01-a", "source": "x" * 60_000}
    sections = [{"figures": [figure]} for _ in range(2)]
    first, second = within(sections, 100_000)
    assert first == sections[0]
    left_out = {"title": "A", "file": "01-a", "source": None, "elsewhere": True}
    assert second["figures"] == [left_out]
    assert within(sections, -1)[0]["figures"] == [left_out]


@pytest.mark.slow
def test_a_page_is_never_larger_than_its_limit(results, rows, monkeypatch):
    curves = {"kind": "curves", "title": "Curves"}
    folder = write_experiment(results, "batch", rows, report={"figures": [VERSUS, curves]})
    whole = write_report(results).page.stat().st_size
    monkeypatch.setattr(pages, "MAX_BYTES", whole - 10_000)
    page = Page(write_report(results).page)
    assert page.path.stat().st_size <= whole - 10_000
    assert len(page.images) == 1
    assert "experiments/batch/digits/report.html" in page.links
    own = Page(folder / "report.html")
    assert len(own.images) == 1
    assert "figures/02-curves.png" in own.links  # a page need not lead to itself


@pytest.mark.slow
def test_a_page_is_the_same_bytes_each_time(results, rows):
    write_experiment(results, "batch", rows, report={"figures": [VERSUS]})
    first = write_report(results).page.read_bytes()
    assert write_report(results).page.read_bytes() == first


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"figures": [VERSUS | {"x": "batch"}]}, "figure 'Accuracy & batch': x=batch: expected a"),
        ({"figures": [VERSUS | {"where": "64"}]}, "figure 'Accuracy & batch': where=64: expected"),
        ({"figures": [VERSUS | {"colour": "red"}]}, "report.colour: Key 'colour' not in 'Figure'"),
        ({"figures": [VERSUS | {"title": "${oc.env:HOME}"}]}, "report: expected values, not inter"),
        ({"figures": "all"}, "report.figures: "),
        ({"compare": [{"baseline": {}}]}, "report.compare: expected a baseline"),
        ({"compare": [{"baseline": {"norm": "none"}}]}, "no column 'norm' to compare by"),
    ],
)
def test_a_bad_declaration_is_one_line(results, rows, changes, complaint):
    write_experiment(results, "batch", rows, report={"figures": [VERSUS]} | changes)
    (problem,) = write_report(results).problems
    file = results / "experiments" / "batch" / "digits" / "experiment.json"
    assert problem.startswith(f"{file}: {complaint}")


def not_utf8(folder):
    (folder / "runs.csv").write_bytes((folder / "runs.csv").read_bytes() + b"\xff\xfe")


def without_seeds(folder):
    pd.read_csv(folder / "runs.csv").drop(columns="seed").to_csv(folder / "runs.csv", index=False)


def a_list(folder):
    (folder / "experiment.json").write_text("[]")


def a_bad_curve(folder):
    (arm,) = set(pd.read_csv(folder / "runs.csv")["arm"])
    (folder.parents[2] / "runs" / arm / "seed-0" / "metrics.csv").write_text("step\n")


@pytest.mark.one_in(4)
@pytest.mark.parametrize("harm", [not_utf8, without_seeds, a_list, a_bad_curve])
def test_one_bad_experiment_leaves_the_others_their_report(results, rows, harm):
    tree = config(batch_size=8)
    good, bad = (
        write_experiment(results, name, some, report={"figures": [VERSUS]})
        for name, some in (("good", rows), ("bad", [write_run(results, tree, 0)]))
    )
    assert write_report(results).problems == []
    before = (bad / "report.html").read_bytes()
    (good / "report.html").unlink()
    harm(bad)
    page, (problem,) = write_report(results)
    assert "\n" not in problem
    assert str(results) in problem
    assert (bad / "report.html").read_bytes() == before
    assert (good / "report.html").exists()
    text = " ".join(Page(page).text.split())
    assert f"since it could not be read. {problem}" in text
    assert "This experiment could not be read." in text
    assert len(Page(page).images) == 1


def test_committed_results_keep_their_runs_csv(results, rows):
    """Without the runs there is nothing to derive it from, and it is the record."""
    folder = write_experiment(results, "batch", rows, report={"figures": [VERSUS]})
    shutil.rmtree(results / "runs")
    shutil.copyfile(folder / "runs.csv", folder / "arms.csv")
    before = (folder / "runs.csv").read_bytes()
    page, problems = write_report(results)
    assert problems == []
    assert (folder / "runs.csv").read_bytes() == before
    assert "runs 3" in Page(page).text


CURVES = {"kind": "curves", "title": "Accuracy by step"}


@pytest.mark.slow
def test_results_without_their_runs_show_the_figures_that_were_drawn_from_them(results, rows):
    folder = write_experiment(results, "batch", rows, report={"figures": [CURVES, VERSUS]})
    write_report(results)
    drawn = (folder / "figures" / "01-accuracy-by-step.png").read_bytes()
    shutil.rmtree(results / "runs")
    (folder / "figures" / "01-accuracy-by-step.svg").unlink()
    page = Page(write_report(results).page)
    kept, anew = page.images
    assert base64.b64decode(kept["src"].partition(",")[2]) == drawn
    told = "Accuracy by step. Drawn earlier, from runs that are not in these results."
    assert kept["alt"] == told
    assert told in page.text
    assert anew["alt"].startswith("Accuracy & batch. Test accuracy")
    formats = [Path(link).name for link in page.links if "figures" in link]
    there = ["01-accuracy-by-step.png", "02-accuracy-batch.svg", "02-accuracy-batch.png"]
    assert formats == there


@pytest.mark.parametrize(("outcome", "code"), [("made", 0), ("damaged", 1), ("nothing there", 2)])
def test_the_script_says_where_the_report_is_or_what_to_do(
    results, rows, outcome, code, monkeypatch, capsys
):
    if outcome != "nothing there":
        folder = write_experiment(results, "batch", rows, report={"figures": [VERSUS]})
    if outcome == "damaged":
        a_list(folder)
    monkeypatch.setattr(sys, "argv", ["report.py", f"results={results}"])
    assert runpy.run_path(str(SCRIPT))["main"]() == code
    out, err = capsys.readouterr()
    assert out == ("" if outcome == "nothing there" else f"report: {results / 'report.html'}\n")
    assert err.count("\n") == (0 if outcome == "made" else 1)
    assert ("experiment.json" in err, "make sweep" in err) == (code == 1, code == 2)


def test_results_of_another_schema_are_shown_and_told(results, monkeypatch, capsys):
    """They stay readable beside those of the present schema, and one line counts them."""
    rows = [write_run(results, config(), seed) for seed in range(3)]
    old = {"schema": SCHEMA - 1}
    write_experiment(results, "old", rows, **old)
    write_experiment(results, "new", rows)
    monkeypatch.setattr(sys, "argv", ["report.py", f"results={results}"])
    assert main() == 0
    assert other_schema_line(3) in capsys.readouterr().out
    page = (results / "report.html").read_text(encoding="utf-8")
    assert page.count(schema_note(old)) == 1
