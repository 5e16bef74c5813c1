"""Digests tell what is equal from what is not, and the overlap what splits share."""

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bnbench.data.datasets import Dataset, Split, load
from bnbench.data.fingerprint import overlap, tensor_digest


def test_a_digest_is_sha256_of_type_shape_and_values():
    text = b"torch.int64[2]" + (1).to_bytes(8, "little") + (2).to_bytes(8, "little")
    assert tensor_digest([torch.tensor([1, 2])]) == hashlib.sha256(text).hexdigest()[:16]


def test_what_differs_in_anything_but_memory_has_another_digest():
    x = torch.arange(24.0).view(2, 3, 2, 2)
    same = [x.clone(), x.to(memory_format=torch.channels_last), x.requires_grad_()]
    assert {tensor_digest([y]) for y in same} == {tensor_digest([x])}
    last_bit = x.detach().clone()
    last_bit[1, 2, 1, 1] = last_bit[1, 2, 1, 1].nextafter(torch.tensor(99.0))
    others = [[last_bit], [x.double()], [x.view(6, 4)], [x, x], [x[:1], x[1:]], [x[1:], x[:1]], []]
    assert len({tensor_digest(other) for other in [[x], *others]}) == 1 + len(others)


@given(st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=4))
def test_the_overlap_is_counted_by_content(splits):
    images = [torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1) for values in splits]
    expected = sum(sum(value in split for split in splits) > 1 for value in range(10))
    assert overlap(images) == expected


@pytest.mark.parametrize("seed", [0, 1])
def test_digits_have_no_image_twice(tmp_path, seed):
    assert load("digits", tmp_path, seed).fingerprint["overlap"] == 0


def with_splits(dataset, **splits):
    parts = {name: getattr(dataset, name) for name in ("train", "val", "test")} | splits
    return Dataset(**parts, num_classes=10, mean=dataset.mean, std=dataset.std, mirrored=False)


def test_a_split_that_shares_images_is_seen(tmp_path):
    """Three training images among the test images, one of them among the validation images too."""
    dataset = load("digits", tmp_path, 0)
    test, val = dataset.test.images.clone(), dataset.val.images.clone()
    test[:3], val[7] = dataset.train.images[10:13], dataset.train.images[11]
    leaky = with_splits(
        dataset, test=Split(test, dataset.test.labels), val=Split(val, dataset.val.labels)
    )
    assert leaky.fingerprint["overlap"] == 3
    assert leaky.fingerprint["splits"] != dataset.fingerprint["splits"]


def test_images_labels_and_their_splits_are_in_the_fingerprint(tmp_path):
    dataset, again, other = (load("digits", tmp_path, seed) for seed in (0, 0, 1))
    flipped = dataset.train.labels.clone()
    flipped[5] += 1
    images = dataset.test.images.clone()
    images[0, 0, 0, 0] += 1 / 16
    changed = [
        with_splits(dataset, train=Split(dataset.train.images, flipped)),
        with_splits(dataset, test=Split(images, dataset.test.labels)),
        with_splits(dataset, test=dataset.val, val=dataset.test),
        other,
    ]
    assert dataset.fingerprint == again.fingerprint == with_splits(dataset).fingerprint
    digests = {d.fingerprint["splits"] for d in [dataset, *changed]}
    assert len(digests) == 1 + len(changed)
