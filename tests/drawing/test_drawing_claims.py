"""Figures of claims: every mark where its number is, every panel with one scale and one unit."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fake_claims import part, write_folder
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from bnbench.analysis.verdict_words import COLOURS
from bnbench.analysis.verdicts import ClaimView, read_claims
from bnbench.drawing import style
from bnbench.drawing.canvas import MARKERS, READING, REGION
from bnbench.drawing.claims import SERIES, by_depth, forest, published, surface

STEPS = "ratio of steps"


@pytest.fixture
def judged(tmp_path):
    """A claim of the given parts as read back from its files."""

    def claim(verdict, *parts):
        write_folder(tmp_path, [(ClaimView("C1", "F", "BN helps.", "X"), verdict, parts, 0.9)])
        return read_claims(tmp_path)[0]

    return claim


def marks(ax, kind):
    return [line for line in ax.lines if line.get_gid() == kind]


def regions(ax):
    """The x-range of each shaded region."""
    shaded = [c for c in ax.collections if len(c.get_facecolor())]
    assert {to_hex(c.get_facecolor()[0]) for c in shaded} == {REGION}
    ends = [c.get_paths()[0].vertices[:, 0] for c in shaded]
    return [(x.min(), x.max()) for x in ends]


def edges(ax):
    """The x of the lines that bound the regions."""
    lines = [c for c in ax.collections if hasattr(c, "get_segments")]
    segments = [s for c in lines for s in c.get_segments() if np.ptp(s[:, 1])]
    return [segment[0, 0] for segment in segments]


def test_parts_of_another_statistic_unit_or_scale_have_an_axis_of_their_own(judged):
    claim = judged(
        "confirmed",
        part("a", "confirmed", 0.9, statistic=STEPS, ratio=True),
        part("b", "", 1.0, statistic=STEPS, ratio=True, role="reading"),
        part("c", "confirmed", 2.0, unit="pp"),
        part("d", "confirmed", 2.0, unit="%"),
    )
    axes = forest(claim).canvas.axes
    assert [ax.get_xscale() for ax in axes] == ["log", "linear", "linear"]
    assert [ax.get_xlabel() for ax in axes] == [
        "ratio of steps (log scale)",
        "difference of test accuracy (pp)",
        "difference of test accuracy (%)",
    ]
    assert [len(marks(ax, "mean")) for ax in axes] == [2, 1, 1]


@pytest.mark.parametrize("ratio", [False, True])
def test_seeds_mean_and_interval_stand_where_their_numbers_are(judged, ratio):
    one = part("a", "confirmed", 0.9, statistic=STEPS, ratio=ratio)
    claim = judged("confirmed", one)
    (ax,) = forest(claim).canvas.axes
    (seeds,) = marks(ax, "seeds")
    values = np.exp(one["values"]) if ratio else one["values"]
    assert seeds.get_xdata() == pytest.approx(values)
    (mean,) = marks(ax, "mean")
    assert mean.get_xdata() == pytest.approx([one["row"]["estimate"]])
    flat = [s for c in ax.collections if hasattr(c, "get_segments") for s in c.get_segments()]
    (interval,) = [s[:, 0] for s in flat if not np.ptp(s[:, 1])]
    assert interval == pytest.approx([one["row"]["ci_low"], one["row"]["ci_high"]])


def test_bounds_are_arrows_and_a_pair_without_information_is_counted_not_drawn(judged):
    bounds = ("at least", "at least", "at most", "none")
    drawing = forest(judged("confirmed", part("a", "confirmed", 1.0, ratio=True, bounds=bounds)))
    seeds = marks(drawing.canvas.axes[0], "seeds")
    assert {s.get_marker(): len(s.get_xdata()) for s in seeds} == {"o": 6, ">": 2, "<": 1}
    assert "which are not drawn: 1." in drawing.caption


@pytest.mark.parametrize(
    ("sesoi", "left", "right"),
    [((1.5, None), 1.5, None), ((None, -1.0), None, -1.0), ((-1.0, 1.0), -1.0, 1.0)],
)
def test_what_would_confirm_is_shaded_from_the_sesoi_on(judged, sesoi, left, right):
    (ax,) = forest(judged("undecided", part("a", "undecided", 0.5, sesoi=sesoi))).canvas.axes
    low, high = ax.get_xlim()
    assert regions(ax) == [(low if left is None else left, high if right is None else right)]
    assert edges(ax) == [end for end in sesoi if end is not None]
    assert all(low < end < high for end in edges(ax))  # the line is in sight, wherever the data


def test_each_row_has_the_region_of_its_own_sesoi(judged):
    claim = judged(
        "confirmed",
        part("a", "confirmed", -16, sesoi=(None, -5)),
        part("b", "confirmed", 0.1, sesoi=(-1, 1)),
        part("r", "", 0.1, role="reading"),
    )
    (ax,) = forest(claim).canvas.axes
    assert regions(ax) == [(ax.get_xlim()[0], -5), (-1, 1)]


@pytest.mark.parametrize("verdict", ["confirmed", "contrary", "undecided"])
def test_a_verdict_is_a_word_a_symbol_and_a_shape_beside_its_colour(judged, verdict):
    reading = part("r", "", 1.0, role="reading")
    ax = forest(judged(verdict, part("a", verdict, 1.0), reading)).canvas.axes[0]
    mean, light = marks(ax, "mean")
    assert mean.get_marker() == MARKERS[verdict]
    assert to_hex(mean.get_color()) == COLOURS[verdict]
    words = [text.get_text() for text in ax.texts]
    assert words[0][2:] == verdict
    assert words[0][0] in "✓✗?"
    assert ax.get_title(loc="left") == words[0]
    assert words[1].endswith(", n = 10")
    assert words[2].startswith("reading\n")
    assert to_hex(light.get_color()) == READING
    assert light.get_markersize() < mean.get_markersize()
    assert len(set(MARKERS.values())) == len(MARKERS)


@pytest.mark.parametrize(
    ("verdict", "parts", "noted"),
    [
        ("undecided", ["confirmed", "confirmed"], True),
        ("undecided", ["contrary", "undecided"], True),
        ("undecided", ["confirmed", "undecided"], False),
        ("contrary", ["contrary", "confirmed"], False),
        ("confirmed", ["confirmed", "confirmed"], False),
    ],
)
def test_a_verdict_that_the_adjustment_took_back_says_so(judged, verdict, parts, noted):
    reading = part("r", "", 1.0, role="reading")
    claim = judged(verdict, *(part(f"p{i}", own, 1.0) for i, own in enumerate(parts)), reading)
    note = forest(claim).canvas.axes[0].get_title(loc="right")
    assert note == ("its parts are not adjusted" if noted else "")


def test_a_title_as_wide_as_they_come_stays_on_the_canvas(judged):
    claim = judged("confirmed", part("a", "confirmed", 1.0))
    view = replace(claim.view, sentence=" ".join(["Normalizes"] * 15) + ".")
    canvas = forest(claim._replace(view=view)).canvas
    FigureCanvasAgg(canvas).draw()
    (text,) = (text for text in canvas.texts if text.get_text() == canvas.get_suptitle())
    text = text.get_window_extent()
    assert text.x0 >= 0
    assert text.x1 <= canvas.bbox.width


def test_readings_come_after_what_decides(judged):
    claim = judged(
        "confirmed", part("r", "", 1.0, role="reading"), part("a", "confirmed", 1.0, label="A")
    )
    (ax,) = forest(claim).canvas.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["A", "r"]
    top, bottom = (mark.get_ydata()[0] for mark in marks(ax, "mean"))
    assert top < bottom
    assert ax.yaxis_inverted()


def test_missing_numbers_are_no_marks(judged):
    two, lost = part("a", "", 1.0, n=2), part("b", "", 1.0)
    lost["row"] |= dict.fromkeys(["estimate", "ci_low", "ci_high", "n"], np.nan)
    drawing = forest(judged("undecided", two, lost))
    (ax,) = drawing.canvas.axes
    (mean,) = marks(ax, "mean")
    assert mean.get_xdata() == pytest.approx([two["row"]["estimate"]])
    assert not [c for c in ax.collections if hasattr(c, "get_segments")]  # no interval at n = 2
    assert "n = 2" in ax.texts[1].get_text()
    assert forest(judged("undecided", lost)) is None
    assert forest(judged("not run here")) is None


def test_the_levels_of_the_intervals_are_told(judged):
    claim = judged("confirmed", part("a", "confirmed", 1.0, level=0.90, sesoi=(-2, 2)))
    drawing = forest(claim)
    words = [text.get_text() for text in drawing.canvas.legends[0].texts]
    assert "mean with 90 % interval, unadjusted" in words
    assert "C1: BN helps. ✓ confirmed." in drawing.alt


def test_exact_numbers_stand_beside_their_bounds_and_zero_at_the_left(judged):
    rows = [
        ("y", "error", 4e-16, "<=", 1e-10),
        ("zero", "error", 0.0, "<=", 1e-12),
        ("myth", "gap", 0.3, ">=", 0.25),
        ("sign", "gap", -0.7, "<=", -0.5),
        ("lost", "error", 2e-3, "<=", 1e-5),
    ]
    (ax,) = forest(judged("contrary", *rows)).canvas.axes
    numbers = [mark.get_xdata()[0] for mark in marks(ax, "mean")]
    (zero,) = [
        tick for tick, word in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
        if word.get_text() == "0"
    ]  # fmt: skip
    assert numbers == [4e-16, zero, 0.3, 0.7, 2e-3]
    assert zero < 4e-16
    assert edges(ax) == [1e-10, 1e-12, 0.25, 0.5, 1e-5]
    low, high = ax.get_xlim()
    assert regions(ax) == [(low, 1e-10), (low, 1e-12), (0.25, high), (0.5, high), (low, 1e-5)]
    assert [mark.get_marker() for mark in marks(ax, "mean")] == [*"oooo", "X"]
    assert [text.get_text()[0] for text in ax.texts] == [*"✓✓✓✓✗"]


def ours(*series):
    steps = [1, 10, 100]
    return pd.concat(
        pd.DataFrame(
            {"series": name, "step": steps, "accuracy": [0.1, 0.8, 0.9], "low": 0.7, "high": 0.95}
        )
        for name in series
    )


def test_ours_and_theirs_have_the_same_axes_and_colours():
    drawing = published(ours("without BN", "with BN", "BN ×5"), "fig2", "digits, n = 5", "C3")
    left, right = drawing.canvas.axes
    assert left.get_ylim() == right.get_ylim() == (40, 100)
    assert left.get_xlabel() == right.get_xlabel() == "training step"
    assert right.get_title() == ("Ioffe & Szegedy 2015, fig. 2 (digitised)\nImageNet, Inception")
    mine, theirs = ({line.get_label(): line for line in ax.lines} for ax in (left, right))
    assert set(mine) == {"without BN", "with BN", "BN ×5"}
    assert set(theirs) == {*mine, "BN ×30", "BN ×5, sigmoid"}
    for name, line in mine.items():
        assert line.get_color() == theirs[name].get_color()
    assert mine["with BN"].get_ydata() == pytest.approx([10, 80, 90])
    assert len(set(SERIES.values())) == len(SERIES)  # the dash tells the rate, the colour the norm
    blue, grey = (style.NORM_COLOURS[norm] for norm in ("batchnorm", "none"))
    for name, line in theirs.items():
        assert line.get_color() == (grey if name.startswith("without") else blue)


def test_the_published_curves_cross_where_the_paper_says():
    """Ioffe & Szegedy 2015, fig. 3: 72.2 % after 31.0, 13.3, 2.1 and 2.7 million steps."""
    drawing = published(ours("with BN"), "fig2", "digits", "C3")
    lines = {line.get_label(): line for line in drawing.canvas.axes[1].lines}
    for name, millions in {"with BN": 13.3, "BN ×5": 2.1, "BN ×30": 2.7}.items():
        steps, accuracy = lines[name].get_data()
        after = int(np.argmax(accuracy >= 72.2))
        at = np.interp(72.2, accuracy[after - 1 : after + 1], steps[after - 1 : after + 1])
        assert at / 1e6 == pytest.approx(millions, rel=0.03)
    assert lines["BN ×30"].get_ydata().max() == pytest.approx(74.8, abs=0.1)
    assert lines["without BN"].get_ydata().max() == pytest.approx(72.2, abs=0.1)


def test_a_net_that_stays_at_chance_is_still_in_sight():
    stuck = ours("with BN").assign(accuracy=0.1)
    left, _ = published(stuck, "fig1a", "digits", "C1").canvas.axes
    assert left.get_ylim()[0] < 10


def bowl(features, curvature):
    axis = np.linspace(-1, 1, 9)
    grid = [(features, "loss", x, y, x**2 + curvature * y**2, None) for x in axis for y in axis]
    path = [(features, "path", 0.9 / 2**k, 0.5 / 2**k, 1 / 2**k, k) for k in range(4)]
    return pd.DataFrame([*grid, *path], columns=["features", "kind", "x", "y", "value", "step"])


def test_an_error_surface_has_the_path_on_its_contours():
    table = pd.concat([bowl("scaled", 100), bowl("standardised", 1)])
    drawing = surface(table, "M8")
    scaled, standardised = drawing.canvas.axes
    assert scaled.get_title() == "scaled features\nloss 0.125 after 3 steps"
    path, start, end = standardised.lines
    assert path.get_xdata().tolist() == [0.9, 0.45, 0.225, 0.1125]
    assert (start.get_xdata()[0], end.get_xdata()[0]) == (0.9, 0.1125)
    filled = standardised.collections[0]
    assert len(filled.get_paths()) > 5
    with pytest.raises(ValueError, match="one value at each point of a grid"):
        surface(table.drop(index=3), "M8")
    with pytest.raises(ValueError, match="scaled or standardised"):
        surface(table.iloc[:0], "M8")


def test_depths_are_lines_in_the_colours_of_norms_and_dashes_of_nets():
    rows = [
        (net, arm, depth, level / depth, level / depth - 0.1, level / depth + 0.1, 40)
        for net, level in (("linear", 4.0), ("ReLU", 8.0))
        for arm in ("none", "batchnorm")
        for depth in (2, 1)
    ]
    table = pd.DataFrame(rows, columns=["net", "arm", "depth", "estimate", "low", "high", "n"])
    drawing = by_depth(table, "stable rank", "A9a")
    (ax,) = drawing.canvas.axes
    assert [list(line.get_ydata()) for line in ax.lines] == [[4, 2], [4, 2], [8, 4], [8, 4]]
    assert [list(line.get_xdata()) for line in ax.lines] == [[1, 2]] * 4
    colours, dashes = (
        [get(line) for line in ax.lines] for get in (Line2D.get_color, Line2D.get_ls)
    )
    assert colours == [style.NORM_COLOURS[arm] for arm in ("none", "batchnorm")] * 2
    assert len({*dashes}) == 2
    assert ax.get_ylabel() == "stable rank"
    assert "ReLU, with BN: 8.00 at depth 1, 4.00 at depth 2" in drawing.alt
    assert "n = 40" in drawing.caption
    with pytest.raises(ValueError, match="a row for each net, arm and depth"):
        by_depth(table.iloc[:0], "stable rank", "A9a")


@pytest.mark.slow
def test_a_figure_is_the_same_bytes_each_time(judged, tmp_path):
    claim = judged("confirmed", part("a", "confirmed", 0.9, ratio=True, sesoi=(1.5, None)))
    files = []
    for name in ("a", "b"):
        style.save(forest(claim).canvas, tmp_path / name / "C1.png")
        files.append([(tmp_path / name / f"C1.{kind}").read_bytes() for kind in ("png", "svg")])
    assert files[0] == files[1]
