from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from bnbench.config.schema import DATA_SHAPES, DATA_SIZES, NUM_CLASSES
from bnbench.data.datasets import DATASETS, Dataset, load
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
