import doctest
import math
from itertools import pairwise, product
from pathlib import Path

import pytest
import torch
from torchvision.transforms.v2.functional import gaussian_blur

from bnbench.config.schema import ShiftName
from bnbench.data import shifts
from bnbench.data.datasets import load
from bnbench.data.shifts import ORDERS, SEVERITIES, SHIFTS, apply_shift

LEVELS = range(1, 6)
DRAWN = ("gaussian_noise", "translate", "invert")
# A shift of values in [0, 1] is a few float32 operations: a few units of 6e-8.
CLOSE = {"atol": 1e-6, "rtol": 0}


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    return load("digits", Path(), split_seed=0).test.images


def random_images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(7))


def corrupted(images: torch.Tensor, name: str, severity: int, seed: int) -> torch.Tensor:
    """The images of a shift that leaves labels and order alone."""
    labels = torch.arange(len(images))
    shifted, after = apply_shift(images, labels, name, severity, seed)
    assert torch.equal(after, torch.arange(len(images)))
    return shifted


def test_the_tables_know_the_same_shifts():
    assert [*SHIFTS, *ORDERS] == list(SEVERITIES) == list(ShiftName)


@pytest.mark.parametrize("name", SHIFTS)
def test_severity_grows(name, digits):
    changes = [(corrupted(digits, name, k, 0) - digits).square().mean() for k in LEVELS]
    assert changes[0] > 1e-4
    assert all(mild < hard for mild, hard in pairwise(changes))


@pytest.mark.parametrize("severity", LEVELS)
@pytest.mark.parametrize("name", SHIFTS)
def test_shifted_images_are_new_images_in_range(name, severity):
    images = random_images(5, 3, 9, 7)
    before = images.clone()
    shifted = corrupted(images, name, severity, seed=0)
    assert shifted.shape == images.shape
    assert shifted.dtype == torch.float32
    assert shifted.min() >= 0
    assert shifted.max() <= 1
    assert not torch.equal(shifted, images)
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", SHIFTS)
def test_an_image_is_shifted_alike_whatever_follows_it(name):
    images = random_images(6, 1, 8, 8)
    whole = corrupted(images, name, 3, seed=0)
    for count in (1, 4):
        torch.testing.assert_close(corrupted(images[:count], name, 3, 0), whole[:count], **CLOSE)
    torch.manual_seed(123)  # the global generator has no say
    assert torch.equal(corrupted(images, name, 3, seed=0), whole)


@pytest.mark.parametrize("name", SHIFTS)
def test_only_what_is_drawn_depends_on_the_seed(name):
    images = random_images(20, 1, 8, 8)
    first, second = (corrupted(images, name, 3, seed) for seed in (0, 1))
    assert torch.equal(first, second) == (name not in DRAWN)


def test_equal_images_at_different_places_get_different_draws():
    images = random_images(1, 1, 8, 8).repeat(4, 1, 1, 1)
    for name in ("gaussian_noise", "translate"):
        shifted = corrupted(images, name, 5, seed=0)
        assert len(shifted.flatten(1).unique(dim=0)) == 4


def test_brightness_by_hand():
    images = torch.tensor([0.0, 0.25, 0.75, 1.0]).view(1, 1, 2, 2)
    shifted = corrupted(images, "brightness", 3, seed=0)
    torch.testing.assert_close(shifted.flatten(), torch.tensor([0.3, 0.55, 1, 1]), **CLOSE)


def test_contrast_by_hand():
    images = torch.tensor([[0.2, 0.8], [0.0, 0.4]]).view(2, 1, 1, 2)  # means 0.5 and 0.2
    shifted = corrupted(images, "contrast", 3, seed=0)
    expected = torch.tensor([[0.38, 0.62], [0.12, 0.28]])
    torch.testing.assert_close(shifted.flatten(1), expected, **CLOSE)


@pytest.mark.parametrize("severity", LEVELS)
def test_noise_has_its_standard_deviation_and_the_same_draw_at_each_severity(severity):
    grey = torch.full((40, 1, 28, 28), 0.5)
    noise = corrupted(grey, "gaussian_noise", severity, seed=0) - 0.5
    unit = (corrupted(grey, "gaussian_noise", 1, seed=0) - 0.5) / 0.1
    std = SEVERITIES["gaussian_noise"][severity - 1]
    # At severity 1 black and white are five deviations away: nothing is clamped.
    torch.testing.assert_close(noise, (std * unit).clamp(-0.5, 0.5), **CLOSE)
    # 31,360 normal draws: five standard errors of mean and variance are 0.028 and 0.04.
    assert abs(unit.mean()) < 0.028
    assert abs(unit.var() - 1) < 0.04


def test_invert_by_hand_and_nested():
    images = random_images(1000, 1, 2, 2)
    inverted = []
    for severity in LEVELS:
        shifted = corrupted(images, "invert", severity, seed=0)
        flipped = (shifted == 1 - images).flatten(1).all(1)
        kept = (shifted == images).flatten(1).all(1)
        assert torch.equal(flipped, ~kept)
        # Four standard deviations of a share of 1,000 are at most 4·sqrt(1/4/1000) = 0.064.
        assert abs(flipped.float().mean() - severity / 5) < 0.064
        inverted.append(flipped)
    assert inverted[-1].all()
    assert all((mild <= hard).all() for mild, hard in pairwise(inverted))


@pytest.mark.parametrize("severity", LEVELS)
@pytest.mark.parametrize("side", [8, 28, 32])
def test_translation_moves_a_ramp_by_the_distance_in_every_direction(side, severity):
    # Channel 0 rises by 1/side a column and channel 1 a row, so what a move changes in the
    # interior is the move itself, whatever lies between the pixels.
    ramp = torch.arange(side) / side
    image = torch.stack([ramp.expand(side, side), ramp[:, None].expand(side, side)])
    images = image.repeat(200, 1, 1, 1)
    margin = math.ceil(side / 4) + 1
    inside = slice(margin, side - margin)
    change = (corrupted(images, "translate", severity, seed=0) - images)[..., inside, inside]
    assert change.flatten(2).std(dim=2).max() < 1e-5
    move = change.mean((2, 3))  # (N, 2), as a share of the side
    share = SEVERITIES["translate"][severity - 1]
    # Grid coordinates are float32 in [-1, 1]: a pixel position is good to about side·1e-7.
    torch.testing.assert_close(move.norm(dim=1), torch.full((200,), share), atol=1e-5, rtol=0)
    assert len(set(zip(*(move > 0).T.tolist(), strict=True))) == 4  # all four quadrants
    mild = corrupted(images, "translate", 1, seed=0) - images
    direction = mild[..., inside, inside].mean((2, 3)) / SEVERITIES["translate"][0]
    torch.testing.assert_close(move / share, direction, atol=1e-3, rtol=0)


def test_translation_repeats_the_edge():
    images = torch.full((10, 1, 8, 8), 0.5)
    torch.testing.assert_close(corrupted(images, "translate", 5, seed=0), images, **CLOSE)


def test_blur_is_a_mean_weighted_by_distance_within_the_image():
    height, width = 5, 3
    images = random_images(1, 1, height, width)
    blurred = corrupted(images, "blur", 5, seed=0)[0, 0]
    for row, column in product(range(height), range(width)):
        total = weights = 0.0
        for i, j in product(range(height), range(width)):
            down, right = (row - i) / (0.12 * height), (column - j) / (0.12 * width)
            weight = math.exp(-(down**2 + right**2) / 2)
            total, weights = total + weight * images[0, 0, i, j].item(), weights + weight
        assert blurred[row, column].item() == pytest.approx(total / weights, abs=1e-6)


@pytest.mark.parametrize("severity", LEVELS)
def test_blur_agrees_with_torchvision_away_from_the_edges(severity):
    side = 32
    sigma = SEVERITIES["blur"][severity - 1] * side
    images = random_images(2, 3, side, side)
    radius = math.ceil(4 * sigma)
    expected = gaussian_blur(images, [2 * radius + 1] * 2, [sigma] * 2)
    inside = slice(radius, side - radius)
    assert severity > 3 or side > 2 * radius
    # Beyond four sigma torchvision's kernel is cut: 6e-5 of its weight.
    torch.testing.assert_close(
        corrupted(images, "blur", severity, 0)[..., inside, inside],
        expected[..., inside, inside],
        atol=1e-4,
        rtol=0,
    )


def test_blur_leaves_constants_alone():
    images = torch.full((1, 1, 8, 6), 0.3)
    torch.testing.assert_close(corrupted(images, "blur", 5, seed=0), images, **CLOSE)


def numbered(num: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that say which they are and of which of ten classes, and their labels."""
    labels = torch.arange(num)[torch.randperm(num, generator=torch.Generator().manual_seed(3))] % 10
    pixels = torch.stack([torch.arange(num) / num, labels / 10], dim=1)
    return pixels.view(num, 1, 1, 2), labels


@pytest.mark.parametrize("severity", LEVELS)
def test_sorting_by_class_moves_images_with_their_labels(severity):
    images, labels = numbered(500)
    before = images.clone(), labels.clone()
    moved, classes = apply_shift(images, labels, "class_sorted", severity, seed=0)
    assert torch.equal((10 * moved[:, 0, 0, 1]).round().long(), classes)
    number = (500 * moved[:, 0, 0, 0]).round().long()
    assert torch.equal(number.sort()[0], torch.arange(500))  # each once
    assert torch.equal(labels[number], classes)
    assert torch.equal(images[number], moved)  # and not a pixel is another
    assert not torch.equal(classes, labels)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


def test_sorting_by_class_is_the_formula_and_ends_sorted():
    """label + width·u with one u per image at all severities; 0 <= u < 1."""
    images, labels = numbered(500)
    turns = []
    for severity, width in zip(LEVELS, SEVERITIES["class_sorted"], strict=True):
        moved, classes = apply_shift(images, labels, "class_sorted", severity, seed=0)
        # no image comes before one of a class that is `width` or more below its own
        highest = classes.cummax(0)[0]
        assert (highest - classes).max() < width
        turns.append((500 * moved[:, 0, 0, 0]).round().long())
    assert torch.equal(classes, labels.sort()[0])
    of_class = [order[labels[order] == 4].tolist() for order in turns]
    assert all(order == of_class[0] for order in of_class)  # within a class u alone decides
    assert of_class[0] != sorted(of_class[0])


def test_batches_hold_fewer_classes_the_harder_it_is():
    images, labels = numbered(2000)
    counts = [
        sum(len(batch.unique()) for batch in apply_shift(images, labels, *which)[1].split(40)) / 50
        for which in (("class_sorted", severity, 0) for severity in LEVELS)
    ]
    assert all(mild > hard for mild, hard in pairwise(counts))
    mixed = sum(len(batch.unique()) for batch in labels.split(40)) / 50
    assert counts[0] < mixed
    # 200 of each class are five whole batches
    assert counts[-1] == 1


def test_the_order_depends_on_the_seed_and_on_nothing_global():
    images, labels = numbered(100)
    first, second = (apply_shift(images, labels, "class_sorted", 3, seed)[0] for seed in (0, 1))
    assert not torch.equal(first, second)
    torch.manual_seed(99)
    assert torch.equal(apply_shift(images, labels, "class_sorted", 3, 0)[0], first)


@pytest.mark.parametrize("severity", [0, 6, -1])
def test_a_bad_severity_is_answered_with_the_good_ones(severity):
    with pytest.raises(ValueError, match=f"severity {severity} of blur: expected 1, 2, 3, 4 or 5"):
        corrupted(torch.zeros(1, 1, 2, 2), "blur", severity, seed=0)


def test_a_bad_name_is_answered_with_the_good_ones():
    with pytest.raises(ValueError, match="'fog'; known are gaussian_noise, contrast, brightness"):
        corrupted(torch.zeros(1, 1, 2, 2), "fog", 1, seed=0)


def test_normalised_images_are_refused():
    with pytest.raises(AssertionError, match="raw images"):
        corrupted(torch.randn(4, 1, 8, 8), "blur", 1, seed=0)


def test_examples():
    assert doctest.testmod(shifts).failed == 0
