from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from bnbench.config.schema import DATA_SHAPES, DATA_SIZES, NUM_CLASSES
from bnbench.data.datasets import DATASETS, Dataset, load, stratified_splits
from bnbench.data.files import FILES, DataError

EMBEDDED = sorted(DATA_SIZES.keys() - FILES.keys())


def everything(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    splits = (dataset.train, dataset.val, dataset.test)
    images = torch.cat([split.images for split in splits])
    return images.numpy(), torch.cat([split.labels for split in splits]).numpy()


def rows(images: np.ndarray, labels: np.ndarray) -> list[tuple[float, ...]]:
    return sorted(map(tuple, np.column_stack([images.reshape(len(images), -1), labels]).tolist()))


def test_every_known_data_set_can_be_loaded():
    assert list(DATASETS) == list(DATA_SIZES)


@pytest.mark.parametrize("name", EMBEDDED)
def test_sizes_shapes_and_types(name, tmp_path):
    dataset = load(name, tmp_path, split_seed=0)
    splits = (dataset.train, dataset.val, dataset.test)
    assert tuple(len(split.labels) for split in splits) == DATA_SIZES[name]
    for split in splits:
        assert split.images.shape == (len(split.labels), *DATA_SHAPES[name])
        assert split.images.dtype == torch.float32
        assert split.labels.dtype == torch.int64
        assert 0 <= split.images.min() < split.images.max() <= 1
        assert split.labels.unique().tolist() == list(range(NUM_CLASSES))
    assert dataset.num_classes == NUM_CLASSES
    assert not dataset.mirrored


def test_digits_are_scikit_learns_each_in_one_split(tmp_path):
    pixels, labels = load_digits(return_X_y=True)
    assert rows(*everything(load("digits", tmp_path, 0))) == rows(np.asarray(pixels) / 16, labels)


def test_a_part_of_the_training_images_is_the_first_of_them_and_sets_the_scale(tmp_path):
    whole, part = load("digits", tmp_path, 0), load("digits", tmp_path, 0, train_images=100)
    assert torch.equal(part.train.images, whole.train.images[:100])
    assert torch.equal(part.train.labels, whole.train.labels[:100])
    for split in ("val", "test"):
        assert torch.equal(getattr(part, split).images, getattr(whole, split).images)
    seen = part.normalise(part.train.images).double()
    assert seen.mean().item() == pytest.approx(0, abs=1e-6)
    assert seen.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert part.mean != whole.mean


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_split_is_a_function_of_its_seed(name, tmp_path):
    first, again, other = (load(name, tmp_path, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(everything(first)[0], everything(again)[0])
    assert not np.array_equal(everything(first)[1], everything(other)[1])
    # There is no official test set to keep: the seed decides which images are in it, too.
    assert not torch.equal(first.test.labels, other.test.labels)
    assert rows(*everything(first)) == rows(*everything(other))


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_official_test_set_is_kept(name, small, small_root):
    dataset = load(name, small_root, split_seed=0)
    images, labels = everything(dataset)
    assert (
        tuple(map(len, (dataset.train.labels, dataset.val.labels, dataset.test.labels)))
        == (DATA_SIZES[name])
    )
    expected = small.images[name].astype(np.float32) / 255
    num_test = len(dataset.test.labels)
    np.testing.assert_array_equal(dataset.test.images, expected[-num_test:])
    np.testing.assert_array_equal(dataset.test.labels, small.labels[-num_test:])
    assert rows(images, labels) == rows(expected, small.labels)
    assert not np.array_equal(labels, small.labels)  # the rest is permuted
    assert dataset.mirrored == (name != "mnist")


@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    shares=st.lists(st.integers(0, 9), min_size=2, max_size=4).filter(any),
    seed=st.integers(0, 99),
)
def test_stratified_splits_hold_each_image_once_and_each_class_in_its_share(counts, shares, seed):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    sizes = [len(labels) * share // sum(shares) for share in shares]
    sizes[0] += len(labels) - sum(sizes)
    splits = stratified_splits(labels, sizes, torch.Generator().manual_seed(seed))
    assert [len(split) for split in splits] == sizes
    assert sorted(torch.cat(splits).tolist()) == list(range(len(labels)))
    left = torch.tensor(counts)  # the last split is drawn first, of all
    for split in reversed(splits):
        share = left * len(split) / max(1, left.sum())
        drawn = labels[split].bincount(minlength=len(counts))
        assert (drawn - share).abs().max() < 1 + 1e-6
        left = left - drawn


def test_every_image_is_as_likely_in_a_stratified_split_and_in_any_place_of_it():
    labels = torch.arange(30) % 3
    draws = torch.Generator().manual_seed(0)
    splits = [stratified_splits(labels, (20, 5, 5), draws) for _ in range(1000)]
    for number, size in ((0, 20), (1, 5), (2, 5)):
        drawn = torch.stack([split[number] for split in splits])
        # binomial counts: six standard deviations
        assert (drawn.flatten().bincount(minlength=30) - 1000 * size / 30).abs().max() < 6 * 15
        first = drawn[:, 0].bincount(minlength=30)
        assert (first - 1000 / 30).abs().max() < 6 * 5.7


def test_a_stratified_split_is_a_function_of_its_seed_and_keeps_an_official_test_set(small_root):
    first, again, other = (load("digits", Path(), s, stratified=True) for s in (3, 3, 4))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.fingerprint["overlap"] == 0
    assert first.fingerprint["splits"] != load("digits", Path(), 3).fingerprint["splits"]
    assert (
        tuple(map(len, (first.train.labels, first.val.labels, first.test.labels)))
        == (DATA_SIZES["digits"])
    )
    assert rows(*everything(first)) == rows(*everything(other))
    drawn, plain = (load("mnist", small_root, 0, stratified=s) for s in (True, False))
    assert torch.equal(drawn.test.images, plain.test.images)
    assert not torch.equal(drawn.val.images, plain.val.images)


def test_normalised_training_images_have_mean_0_and_variance_1(small_root):
    dataset = load("cifar10", small_root, split_seed=0)
    images = dataset.normalise(dataset.train.images).double()
    # 40,960 float32 values per channel: sums of rounding errors stay far below 1e-5.
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        images.square().mean((0, 2, 3)), torch.ones(3).double(), atol=1e-5, rtol=0
    )


def test_normalisation_by_hand():
    split = load("synthetic", Path(), 0).train
    dataset = Dataset(
        split, split, split, 10, torch.tensor([0.5, 0.25]), torch.tensor([0.25, 0.5]), False
    )
    images = torch.tensor([0.0, 1.0, 0.5]).view(3, 1, 1, 1).repeat(1, 2, 1, 1)
    normalised = dataset.normalise(images)
    assert normalised[:, :, 0, 0].tolist() == [[-2, -0.5], [2, 1.5], [0, 0.5]]
    assert images[0].unique().tolist() == [0]  # the raw images stay raw


def test_other_pixels_are_the_raw_images_and_the_bytes_of_the_files(tmp_path):
    dataset = load("digits", tmp_path, split_seed=0)
    raw = dataset.test.images
    assert dataset.with_pixels("normalised") is dataset
    unit, numbers = dataset.with_pixels("unit"), dataset.with_pixels("bytes")
    assert torch.equal(unit.normalise(raw), raw)
    levels = 16 * raw  # whole numbers, of which 16 is white
    # 1 / 255 is rounded, and so is the quotient by it
    torch.testing.assert_close(numbers.normalise(raw), levels * (255 / 16), rtol=3e-7, atol=0)
    for other in (unit, numbers):
        assert other.fingerprint == dataset.fingerprint
    with pytest.raises(ValueError, match="'grey'; allowed: normalised, unit, bytes"):
        dataset.with_pixels("grey")


def test_the_synthetic_classes_can_be_learned(tmp_path):
    dataset = load("synthetic", tmp_path, split_seed=0)
    means = torch.stack(
        [dataset.train.images[dataset.train.labels == k].mean(0) for k in range(10)]
    )
    distances = torch.cdist(dataset.test.images.flatten(1), means.flatten(1))
    assert (distances.argmin(1) == dataset.test.labels).float().mean() > 0.95


def test_a_bad_name_is_answered_with_the_good_ones(tmp_path):
    with pytest.raises(ValueError, match="'imagenet'; known are digits, fashion_mnist, mnist"):
        load("imagenet", tmp_path, split_seed=0)


def test_a_missing_file_is_a_value_error_that_says_what_to_do(small_tables):
    with pytest.raises(DataError, match="make data DATA=mnist"):
        load("mnist", small_tables, split_seed=0)
    assert issubclass(DataError, ValueError)
