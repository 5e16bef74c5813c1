from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench.data.batches import COMPOSITIONS, augment_light, batch_indices
from bnbench.schema import Batches


def epochs(num_samples, batch_size, num_epochs, seed, composition):
    """Index tensors (num_epochs, num_batches, batch_size)."""
    num_batches = num_samples // batch_size
    steps = batch_indices(num_samples, batch_size, num_epochs * num_batches, seed, composition)
    return torch.stack(list(steps)).view(num_epochs, num_batches, batch_size)


def compositions(batches):
    return {frozenset(batch.tolist()) for batch in batches}


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**32), st.sampled_from(COMPOSITIONS))
def test_an_epoch_uses_whole_batches_of_distinct_images(n, batch_size, seed, composition):
    batch_size = min(n, batch_size)
    for epoch in epochs(n, batch_size, 3, seed, composition):
        used = epoch.flatten()
        assert len(used) == n // batch_size * batch_size
        assert len(used.unique()) == len(used)
        assert used.min() >= 0
        assert used.max() < n
        assert used.dtype == torch.int64


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_the_same_seed_gives_the_same_batches_and_seed_0_is_a_seed(composition):
    first, again, other = (epochs(50, 8, 4, seed, composition) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.manual_seed(123)  # the global generator has no say
    assert torch.equal(first, epochs(50, 8, 4, 0, composition))


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_a_longer_run_starts_with_the_batches_of_a_shorter_one(composition):
    short, long = (list(batch_indices(50, 8, steps, 0, composition)) for steps in (5, 17))
    assert (len(short), len(long)) == (5, 17)
    assert all(map(torch.equal, short, long))


def test_reshuffled_batches_are_composed_anew_each_epoch():
    first, second, third = map(compositions, epochs(48, 8, 3, 0, "reshuffled"))
    assert not first & second
    assert not second & third


def test_frozen_batches_keep_their_composition_but_not_their_order():
    batches = epochs(50, 8, 5, 0, "frozen")
    assert len(set(map(frozenset, map(compositions, batches)))) == 1
    assert len({tuple(epoch[:, 0].tolist()) for epoch in batches}) == 5
    assert compositions(batches[0]) == compositions(epochs(50, 8, 1, 0, "reshuffled")[0])


def test_refusals_come_with_the_call_not_with_the_first_batch():
    with pytest.raises(ValueError, match="batch_size=11: expected 1 to 10"):
        batch_indices(10, 11, 1, seed=0)
    with pytest.raises(ValueError, match="batch_size=0"):
        batch_indices(10, 0, 1, seed=0)
    with pytest.raises(ValueError, match="batches=sorted: expected one of reshuffled, frozen"):
        batch_indices(10, 2, 1, seed=0, composition="sorted")


def test_the_schema_offers_the_same_compositions():
    assert list(COMPOSITIONS) == list(Batches)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def candidates(image, reach, flip):
    """Every image that augmentation may make of one image: pad with the edge, crop, mirror."""
    height, width = image.shape[1:]
    padded = F.pad(image[None], [reach] * 4, mode="replicate")[0]
    crops = {
        (down, right, False): padded[:, down : down + height, right : right + width]
        for down, right in product(range(2 * reach + 1), repeat=2)
    }
    mirrored = {(*key[:2], True): crop.flip(-1) for key, crop in crops.items()}
    return crops | mirrored if flip else crops


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("side", "reach"), [(8, 1), (28, 2), (32, 2)])
def test_augmented_images_are_crops_of_the_padded_ones(side, reach, flip):
    num_images = 200
    images = torch.rand(num_images, 2, side, side, generator=generator())
    found = []
    for image, augmented in zip(images, augment_light(images, generator(), flip), strict=True):
        pool = candidates(image, reach, flip)
        found += [key for key, crop in pool.items() if torch.equal(crop, augmented)]
    assert len(found) == num_images  # each is exactly one of the candidates
    assert len({key[:2] for key in found}) == (2 * reach + 1) ** 2  # and all moves occur
    mirrored = sum(key[2] for key in found) / num_images
    # Four standard deviations of a fair coin: 4·sqrt(1/4/200) = 0.14.
    assert abs(mirrored - 0.5) < 0.14 if flip else mirrored == 0


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_augmentation_keeps_layout_and_type_and_leaves_its_input_alone(layout):
    images = torch.rand(4, 3, 8, 8, dtype=torch.float64).to(memory_format=layout)
    before = images.clone()
    augmented = augment_light(images, generator(), flip=True)
    assert augmented.stride() == images.stride()
    assert augmented.dtype == images.dtype
    assert torch.equal(images, before)


def test_augmentation_is_a_function_of_its_generator():
    images = torch.rand(16, 1, 8, 8)
    first, again, other = (augment_light(images, generator(seed), True) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
