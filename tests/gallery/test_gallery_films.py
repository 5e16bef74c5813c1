"""Films and slides: their frames, their bytes, and what they show."""

import doctest
import math
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from bnbench.gallery import drawings, films, slides
from bnbench.gallery.descent import descents
from bnbench.gallery.drawings import BASIN, PlaneOf
from bnbench.gallery.films import Densities, chosen, densities_film, descent_film


@pytest.mark.parametrize("module", [drawings, films, slides])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


def nets(steps=(0, 1, 2, 5)):
    """Two nets of two layers whose values move to the right, one bin at a step."""
    edges = np.linspace(-8, 8, 9)
    shares = np.zeros((len(steps), 2, 10))
    for time in range(len(steps)):
        shares[time, :, 2 + time] = 1
    accuracy = np.array([np.nan, *(10.0 * step for step in steps[1:])])
    return [
        Densities(norm, np.array(steps), shares, edges, accuracy) for norm in ("none", "batchnorm")
    ]


def opened(path):
    frames = []
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            frames.append((np.asarray(image.convert("RGB")).copy(), image.info["duration"]))
        return image.size, image.info["loop"], frames


def test_a_density_is_a_share_per_unit():
    (net, _) = nets()
    assert net.density().sum(2) * 2 == pytest.approx(1)  # bins are 2 wide
    assert net.density()[1, 0].tolist() == [0, 0, 0.5, 0, 0, 0, 0, 0]


@pytest.mark.slow
def test_a_film_has_a_frame_for_each_place_and_ends_as_the_picture(tmp_path):
    files = densities_film(nets(), "A title", "A caption.", tmp_path / "x", count=9)
    assert files == ["x.gif", "x.png", "x.svg"]
    size, loop, frames = opened(tmp_path / "x.gif")
    assert (size, loop) == ((960, 540), 0)  # for ever
    assert [duration for _, duration in frames] == [films.HOLD_FIRST, 220, 220, films.HOLD_LAST]
    assert all((frame[0, 0] >= 254).all() for frame, _ in frames)  # white, to the eye
    moved = [np.abs(a.astype(int) - b).max() for (a, _), (b, _) in pairwise(frames)]
    assert min(moved) > 50
    # what stands still does so to the pixel: title and caption, left and right edge
    for part in (slice(0, 30), slice(500, 540)):
        assert all((frame[part] == frames[0][0][part]).all() for frame, _ in frames)
    with Image.open(tmp_path / "x.png") as image:
        still = np.asarray(image.convert("RGB").resize((960, 540))).astype(int)
    assert np.abs(still - frames[-1][0]).mean() < 4
    svg = (tmp_path / "x.svg").read_text(encoding="utf-8")
    assert "step 5, accuracy 50 %" in svg


@pytest.mark.slow
def test_a_film_is_made_to_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        densities_film(nets(), "A title", "A caption.", tmp_path / name / "x")
    for file in ("x.gif", "x.png", "x.svg"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_nets_that_were_measured_apart_are_not_shown_together(tmp_path):
    one, _ = nets()
    _, other = nets((0, 1, 2, 6))
    with pytest.raises(ValueError, match="at the same steps"):
        densities_film([one, other], "A title", "A caption.", tmp_path / "x")


@pytest.mark.parametrize(
    ("steps", "count", "expected"),
    [
        ([0, 1], 9, [0, 1]),
        ([0, 10, 100, 1000], 4, [0, 1, 3]),
        ([0, 1, 2, 4, 8, 16], 60, [0, 1, 2, 3, 4, 5]),
        ([0], 5, [0]),
    ],
)
def test_places_are_distinct_in_order_and_have_both_ends(steps, count, expected):
    assert chosen(steps, count) == expected


@pytest.mark.slow
def test_the_way_down_has_a_frame_for_each_step(tmp_path):
    ways = descents()
    descent_film(ways, "A title", "A caption.", tmp_path / "x")
    *_, frames = opened(tmp_path / "x.gif")
    assert len(frames) == ways[0].steps + 1
    assert (tmp_path / "x.gif").stat().st_size < 1_500_000


def test_the_basin_is_what_is_drawn_below_the_level():
    loss = np.array([[BASIN / 2, BASIN * 2], [np.nan, BASIN * 2]])
    planes = [
        PlaneOf(norm, rate, np.array([-1.0, 1.0]), loss, [])
        for norm, rate in (("none", 0.01), ("batchnorm", 0.01), ("batchnorm", 0.1))
    ]
    assert drawings.planes_title(planes) == (
        "The loss stays below 0.5 nats on 25 % of the plane without BN, "
        "on 25 and 25 % of the plane with BN"
    )
    figure = drawings.draw_planes(planes, "A title", "A caption.")
    scales = {ax.collections[0].norm.vmax for ax in figure.axes[:3]}
    assert scales == {drawings.HIGH}


def test_halves_are_geometric_means_of_ratios_of_medians():
    steps = np.array([1, 2, 3, 4])
    curves = {
        "none": np.array([[1.0, 1.0, 1.0, 1.0], [9.0, 9.0, 1.0, 0.0], [0.0, 0.0, 9.0, 0.0]]),
        "batchnorm": np.array([[2.0, 8.0, 5.0, 1.0]] * 3),
    }
    # 2/1 and 8/1 in the first half; 5/1 in the second, where 1/0 is no ratio
    assert drawings.halves(steps, curves) == pytest.approx((4, 5))
    first, second = drawings.halves(
        np.array([1, 9, 9, 9]), {norm: v * 0 for norm, v in curves.items()}
    )
    assert math.isnan(first)
    assert math.isnan(second)
