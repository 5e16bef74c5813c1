"""A stranger's experiment.json is shown: nothing of it is run, resolved or followed."""

import pytest
from fake_results import config, write_experiment, write_run
from matplotlib.cbook import is_math_text
from matplotlib.text import Text
from report_page import Page

from bnbench.analysis.load import load
from bnbench.config.labels import drawn_label
from bnbench.config.schema import MAX_FIGURES, MAX_PANELS, Figure, FigureKind, Panel
from bnbench.drawing.plots import draw
from bnbench.pages.report import write_report

VERSUS = {"kind": "versus", "title": "Accuracy", "x": "batch_size", "y": "test/accuracy"}


@pytest.fixture
def rows(results):
    return [
        write_run(results, config(norm=norm), k) for norm in ("none", "batchnorm") for k in "01"
    ]


@pytest.fixture
def report(results, rows, monkeypatch):
    """Write the report of an experiment with one figure, and of a good one beside it."""

    def write(*figures, **info):
        monkeypatch.chdir(results)
        declared = {"figures": list(figures), "compare": []}
        folder = write_experiment(results, "mine", rows, report=declared, **info)
        write_experiment(results, "other", rows)
        written = write_report(results)
        assert (results / "experiments/other/digits/report.html").exists()
        return folder, written.problems

    return write


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("(@pd.io.common.os.system('touch ran') == 0) | (seed >= 0)", "expected a query of colum"),
        ("seed.to_csv('ran') == 0", "seed.to_csv: expected a name with dots in backticks"),
        ("`seed`.to_csv('ran') == 0", "expected a name with dots in backticks"),
        ("seed ** 10 ** 10 ** 10 > 0", "expected a query of columns, not ** 10"),
        ("__import__('os').system('touch ran')", "('os').system: expected a name with"),
        ("seed == " + "9" * 5000, "expected a query of at most 4000 characters"),
        ("(" * 300, "expected a query of columns: names, values"),
        ("not " * 300 + "stuck", "expected a query of columns at most 20 levels deep"),
        ("`norm.name` < 3", "norm.name < 3: a text is neither less nor greater than a number"),
        ("x == 64", "x: expected a column, one of arm, seed"),  # as before training
    ],
)
@pytest.mark.parametrize("of_panel", [False, True])
def test_a_query_runs_nothing_and_costs_its_experiment_alone(
    report, results, query, reason, of_panel
):
    panels = {"panels": [{"title": "P", "where": query}]} if of_panel else {"where": query}
    before = {path.name for path in results.iterdir()}
    folder, (line,) = report(VERSUS | panels)
    assert line.startswith(f"{folder / 'experiment.json'}: figure 'Accuracy': where=")
    assert reason in line
    assert {path.name for path in results.iterdir()} - before <= {"report.html", "experiments"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "title", ["../../../ran", "/tmp/ran", "..", "a\0b", "~/ran", "$(touch ran)"]
)
def test_a_title_leads_to_no_other_folder(report, title):
    folder, problems = report(VERSUS | {"title": title})
    assert problems == []
    names = sorted(path.name for path in (folder / "figures").iterdir())
    assert all(name.startswith("01-") for name in names)
    assert {path.name for path in folder.parents[2].iterdir()} <= {
        *("experiments", "runs", "report.html")
    }


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ([VERSUS | {"title": "x" * 201}], "expected a title of at most 200 letters"),
        ([VERSUS] * (MAX_FIGURES + 1), "report.figures: expected at most 50"),
        (
            [VERSUS | {"panels": [{"title": "P", "where": "seed == 0"}] * (MAX_PANELS + 1)}],
            "101 panels, expected at most 100",
        ),
        ([VERSUS | {"title": "${oc.env:HOME}"}], "expected values, not interpolations"),
    ],
)
def test_a_report_without_end_is_one_line(report, figures, reason):
    _, (line,) = report(*figures)
    assert reason in line
    assert "\n" not in line


@pytest.mark.slow
def test_too_many_panels_by_the_values_of_a_column_are_one_line(results, rows):
    rows = [row | {"seed": seed} for row in rows[:1] for seed in range(MAX_PANELS + 1)]
    write_experiment(results, "mine", rows, report={"figures": [VERSUS | {"col": "seed"}]})
    assert "101 panels, expected at most 100" in write_report(results).problems[0]


@pytest.mark.slow
def test_a_question_is_shown_and_not_resolved(report, monkeypatch):
    monkeypatch.setenv("BNBENCH_SECRET", "hush4711")
    question = "What of ${oc.env:BNBENCH_SECRET} {BNBENCH_SECRET} {{ 7 * 7 }} <b>?"
    folder, problems = report(VERSUS | {"hue": "norm.name"}, question=question)
    assert problems == []
    assert question in Page(folder / "report.html").text
    assert "hush4711" not in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "text", [r"$\frac{$", "$x$", "a $5 and a $6", r"\$", "$$$$", r"\$$x$", "a\0\x1b[2Jb"]
)
def test_formulas_in_a_title_are_drawn_letter_by_letter(results, rows, text):
    experiment = load(write_experiment(results, "mine", rows))
    panels = [Panel(text, "seed == 0"), Panel(f"{text} too", "seed == 1")]
    figure = Figure(FigureKind.versus, text, x="batch_size", y="test/accuracy", panels=panels)
    drawing = draw(figure, experiment)
    assert drawing.title == text
    told = [" ".join(own.get_text().split()) for own in drawing.canvas.findobj(Text)]
    assert any(drawn_label(text) in words for words in told)
    assert not any(is_math_text(words) for words in told)


@pytest.mark.slow
def test_a_file_in_the_place_of_the_claims_costs_one_line(report, results):
    (results / "claims").write_text("")
    _, (problem,) = report(VERSUS)
    assert problem.startswith(f"{results / 'claims'}: a file, expected a folder")
