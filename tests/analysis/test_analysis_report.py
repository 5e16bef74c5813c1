"""The report: self-contained, escaped, complete, with numbers that a hand computes."""

import runpy
import sys
from pathlib import Path

import pytest
from fake_results import arm_of, config, row, write_experiment, write_run
from report_page import Page

from bnbench.analysis.report import MAX_BYTES, within, write_report
from bnbench.analysis.stats import mean_interval

SCRIPT = Path(__file__).parents[2] / "scripts" / "report.py"
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
    assert write_report(results) == results / "report.html"
    for path in (folder / "report.html", results / "report.html"):
        page = Page(path)
        (image,) = page.images
        assert image["src"].startswith("data:image/png;base64,")
        assert image["alt"].startswith("Accuracy & batch. Test accuracy (%) against batch size")
        assert all(link.startswith("#") for link in page.links)
        assert not {"script", "link", "iframe", "object"} & set(page.tags)
        assert "url(" not in path.read_text(encoding="utf-8")
        assert page.tags.count("figcaption") == 1
        assert (
            "n = 3 seeds per point; mean over seeds, bar: 95 % t interval, unadjusted" in page.text
        )
    figures = sorted(path.name for path in (folder / "figures").iterdir())
    assert figures == ["01-accuracy-batch.png", "01-accuracy-batch.svg"]


def test_the_numbers_in_the_tables_are_those_of_a_hand(results, rows):
    write_experiment(results, "batch", rows, report={"figures": [VERSUS], "compare": [BESIDE_NONE]})
    page = Page(write_report(results))
    none, bn = page.table("arm")
    assert (none["arm"], bn["arm"]) == (arm_of(config(norm="none")), arm_of(config()))
    # s = 1 point in both arms: half-width 4.302653 / √3 = 2.48
    assert (none["test accuracy (%)"], bn["test accuracy (%)"]) == ("91.00 ± 2.48", "96.00 ± 2.48")
    precise = mean_interval(100 * one["test@precise/accuracy"] for one in rows[3:])
    half = precise.high - precise.estimate
    assert bn["with precise statistics (%)"] == f"{precise.estimate:.2f} ± {half:.2f}"
    assert none["with precise statistics (%)"] == "–"
    assert (bn["runs"], bn["steps to 0.8"], bn["seconds"]) == ("3", "40", "2.5")
    (pair,) = page.table("treatment")
    # differences 5, 4, 6: mean 5, s = 1
    assert pair == {
        "treatment": "mlp · batchnorm · pre",
        "baseline": "no norm",
        "difference (pp)": "+5.00",
        "95 % interval": "[+2.52, +7.48]",
        "pairs": "3",
        "diverged": "0 / 0",
    }


def test_outcomes_are_counted(results, rows):
    rows[0] |= {"status": "diverged", "test/accuracy": None, "steps_to/0.8": None}
    rows[1]["stuck"] = True
    rows += [row(config(), 8, "missing"), row(config(), 9, "failed"), row(config(), 10, "running")]
    write_experiment(results, "batch", rows, report={"figures": [VERSUS], "compare": [BESIDE_NONE]})
    page = Page(write_report(results))
    words = " ".join(page.text.split())
    assert "9 runs of 2 arms 5 done 1 stuck 1 diverged 1 failed 1 running 1 missing" in words
    none, bn = page.table("arm")
    assert (none["runs"], none["diverged"], none["stuck"]) == ("3", "1", "1")
    assert none["test accuracy (%)"] == "91.50 (n = 2)"
    assert none["steps to 0.8"] == "40 (1 of 3 not)"
    assert bn["runs"] == "3"
    (pair,) = page.table("treatment")
    assert (pair["pairs"], pair["diverged"], pair["95 % interval"]) == ("2 of 3", "0 / 1", "–")


def test_only_settings_that_tell_arms_apart_are_columns(results):
    rows = [
        write_run(results, config(model, norm, batch_size=size), 0)
        for model, norm, size in [("mlp", "none", 8), ("mlp", "batchnorm", 64), ("vgg", "none", 8)]
    ]
    write_experiment(results, "batch", rows, report={"figures": [VERSUS]})
    header = list(Page(write_report(results)).table("arm")[0])
    assert header[: header.index("runs")] == ["arm", "model", "norm", "placement", "batch size"]


def test_text_from_outside_is_escaped(results, rows):
    evil = "<script>alert('&')</script>"
    info = {"question": evil, "command": evil, "versions": {"torch": evil}, "device": evil}
    figures = [VERSUS | {"title": f'"{evil}'}]
    write_experiment(results, "batch", rows, report={"figures": figures, "compare": []}, **info)
    page = Page(write_report(results))
    assert "script" not in page.tags
    assert page.text.count(evil) == 4
    assert page.images[0]["alt"].startswith(f'"{evil}')


def test_how_it_was_run(results, rows):
    report = {"figures": [VERSUS]}
    write_experiment(results, "batch", rows, report=report)
    text = Page(write_report(results)).text
    assert "python scripts/train.py experiment=batch" in text
    assert "0123456789ab with uncommitted changes" in text
    assert "2025-06-01 10:12 UTC" in text
    unknown = dict.fromkeys(("git_commit", "git_dirty", "started"))
    write_experiment(results, "batch", rows, report=report, **unknown)
    assert "not from a git repository" in Page(write_report(results)).text


def test_a_sweep_without_declared_figures_has_the_default_ones(results, rows):
    folder = write_experiment(results, "adhoc", rows)
    (folder / "experiment.json").unlink()
    page = Page(write_report(results))
    assert [image["alt"].split(".")[0] for image in page.images] == [
        "Validation accuracy by step",
        "Validation accuracy by samples seen",
    ]


def test_an_experiment_whose_runs_are_all_missing_says_so(results):
    kinds = [VERSUS, {"kind": "curves", "title": "C"}, {"kind": "severity", "title": "S"}]
    report = {"figures": kinds, "compare": [BESIDE_NONE]}
    write_experiment(results, "batch", [row(config(), 0, "missing")], report=report)
    page = Page(write_report(results))
    assert not page.images
    assert page.text.count("nothing to draw yet") == 3
    assert "No run has finished yet." in page.text


def test_the_page_for_all_lists_every_experiment(results, rows):
    for name in ("batch", "adhoc"):
        write_experiment(results, name, rows, report={"figures": [VERSUS]})
    page = Page(write_report(results))
    assert [line["experiment"] for line in page.table("experiment")] == ["adhoc", "batch"]
    assert page.links == ["#adhoc-digits", "#batch-digits"]
    assert page.ids == ["adhoc-digits", "batch-digits"]
    assert len(page.images) == 2
    assert (results / "report.html").stat().st_size < MAX_BYTES


def test_figures_beyond_the_limit_are_left_to_their_own_page():
    sections = [{"figures": [{"title": "A", "source": "x" * 60}]} for _ in range(2)]
    first, second = within(sections, 100)
    assert first == sections[0]
    assert second["figures"] == [{"title": "A", "source": None, "elsewhere": True}]


def test_a_page_is_the_same_bytes_each_time(results, rows):
    write_experiment(results, "batch", rows, report={"figures": [VERSUS]})
    first = write_report(results).read_bytes()
    assert write_report(results).read_bytes() == first


@pytest.mark.parametrize("figure", [VERSUS | {"x": "batch"}, VERSUS | {"colour": "red"}])
def test_a_bad_figure_is_refused(results, rows, figure):
    write_experiment(results, "batch", rows, report={"figures": [figure]})
    with pytest.raises(
        ValueError, match=r"batch/digits/experiment\.json: figure 'Accuracy & batch': "
    ):
        write_report(results)


@pytest.mark.parametrize("made", [True, False])
def test_the_script_says_where_the_report_is_or_what_to_run(
    results, rows, made, monkeypatch, capsys
):
    if made:
        write_experiment(results, "batch", rows, report={"figures": [VERSUS]})
    monkeypatch.setattr(sys, "argv", ["report.py", "--results", str(results)])
    assert runpy.run_path(str(SCRIPT))["main"]() == (0 if made else 2)
    out, err = capsys.readouterr()
    if made:
        assert out == f"report: {results / 'report.html'}\n"
    else:
        assert err.count("\n") == 1
        assert str(results) in err
        assert "make sweep" in err
