from itertools import islice, product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench.config.arms import derive_seed
from bnbench.config.schema import Batches
from bnbench.data.batches import (
    COMPOSITIONS,
    augment_light,
    batch_indices,
    light_draws,
    task_batches,
    two_class_batches,
)

ONE_PERMUTATION = COMPOSITIONS[:2]  # of all images is an epoch; the third is one for each class


def epochs(num_samples, batch_size, num_epochs, seed, composition):
    """Index tensors (num_epochs, num_batches, batch_size); images of four classes by turns."""
    num_batches = num_samples // batch_size
    steps = batch_indices(
        num_samples,
        batch_size,
        num_epochs * num_batches,
        seed,
        composition,
        torch.arange(num_samples) % 4,
    )
    return torch.stack(list(steps)).view(num_epochs, num_batches, batch_size)


def compositions(batches):
    return {frozenset(batch.tolist()) for batch in batches}


@settings(deadline=None)
@given(
    st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**32), st.sampled_from(ONE_PERMUTATION)
)
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
    labels = torch.arange(50) % 3
    short, long = (list(batch_indices(50, 8, steps, 0, composition, labels)) for steps in (5, 17))
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
    with pytest.raises(ValueError, match="two_classes: expected the labels of 10 images"):
        batch_indices(10, 2, 1, seed=0, composition="two_classes")
    labels = torch.tensor([0] * 5 + [1] * 2 + [2] * 3)  # classes 1 and 2 fill no batch of six
    for size in (1, 6):
        with pytest.raises(ValueError, match=f"batch_size={size}: expected 2 to 5, the training"):
            batch_indices(10, size, 1, seed=0, composition="two_classes", labels=labels)


@pytest.mark.parametrize("composition", ONE_PERMUTATION)
def test_tasks_come_in_a_row_and_each_is_drawn_from_its_own_images(composition):
    labels = torch.tensor([5, 0, 3, 1, 4, 2] * 7)
    found = list(task_batches(labels, 2, 4, 8, 3, composition))
    assert len(found) == 3 * 8
    for task in range(3):
        own = (labels // 2 == task).nonzero()[:, 0]
        alone = batch_indices(14, 4, 8, derive_seed(3, "task", task), composition)
        for batch, places in zip(found[8 * task : 8 * task + 8], alone, strict=True):
            assert torch.equal(batch, own[places])  # of its images, drawn as by themselves
    # three batches are an epoch: twelve of a task's images, each once
    assert len(torch.cat(found[:3]).unique()) == 12
    orders = [labels[batch] % 2 for batch in (found[0], found[8], found[16])]
    assert not all(torch.equal(orders[0], other) for other in orders)
    again = list(task_batches(labels, 2, 4, 8, 3, composition))
    assert all(map(torch.equal, found, again))
    assert not all(map(torch.equal, found, task_batches(labels, 2, 4, 8, 4, composition)))


def test_a_task_that_fills_no_batch_is_refused_before_the_first_is_drawn():
    labels = torch.tensor([0, 1] * 5 + [2, 3])
    with pytest.raises(ValueError, match="batch_size=3: expected 1 to 2"):
        task_batches(labels, 2, 3, 1, seed=0)


def class_sizes(num_classes):
    return st.lists(st.integers(6, 30), min_size=num_classes, max_size=num_classes)


@settings(deadline=None)
@given(
    st.integers(2, 7).flatmap(class_sizes), st.integers(2, 12), st.integers(0, 2**32), st.randoms()
)
def test_a_batch_holds_both_classes_of_its_pair_in_proportion(sizes, batch_size, seed, rng):
    labels = [c for c, size in enumerate(sizes) for _ in range(size)]
    rng.shuffle(labels)
    for epoch in range(2):
        batches = two_class_batches(torch.tensor(labels), batch_size, seed, epoch).tolist()
        used = [i for batch in batches for i in batch]
        assert len(set(used)) == len(used)
        pairs: dict[tuple[int, ...], int] = {}
        for batch in batches:
            assert len(batch) == batch_size
            of = [labels[i] for i in batch]
            pair = tuple(sorted(set(of)))
            if len(pair) == 2:  # a small batch may have none of the smaller class
                pairs[pair] = pairs.get(pair, 0) + 1
                total = sizes[pair[0]] + sizes[pair[1]]
                # what is mixed evenly is within one image of its share, at either end of a batch
                assert abs(of.count(pair[0]) - batch_size * sizes[pair[0]] / total) < 2
            assert len(pair) <= 2
        assert len({c for pair in pairs for c in pair}) == 2 * len(pairs)  # a class has one partner
        for (a, b), count in pairs.items():
            assert count <= (sizes[a] + sizes[b]) // batch_size
        assert len(batches) >= len(sizes) // 2  # every pair fills one


def test_pairs_of_classes_of_one_size_share_each_batch_half_and_half():
    labels = torch.arange(400) % 10
    met = set()
    for epoch in range(60):
        batches = two_class_batches(labels, 16, 0, epoch)
        assert batches.shape == (25, 16)  # 80 images a pair: five batches, nothing dropped
        assert sorted(batches.flatten().tolist()) == list(range(400))
        counts = torch.stack([(labels[batches] == c).sum(1) for c in range(10)])
        assert counts.unique().tolist() == [0, 8]
        met |= {tuple(batch.nonzero().flatten().tolist()) for batch in counts.T}
        turns = (labels[batches].amin(1).diff() != 0).sum()
        assert turns > 4  # five pairs do not come one after another
    # one of 45 pairs is missing after 60 epochs with probability 45·(8/9)^60 = 4 %, not here
    assert len(met) == 45


def test_every_image_is_seen_about_equally_often():
    """Images of unequal classes, some dropped in each epoch: none is dropped more than others."""
    sizes = [95, 100, 105, 110, 115]
    labels = torch.repeat_interleave(torch.tensor(sizes))
    num_epochs = 400
    seen = torch.zeros(len(labels))
    for epoch in range(num_epochs):
        seen[two_class_batches(labels, 32, 1, epoch).flatten()] += 1
    # One of five classes sits out (share 1/5) and of a pair less than a batch is dropped.
    share = seen / num_epochs
    by_class = torch.stack([share[labels == c].mean() for c in range(5)])
    # A class meets each other one in 1/5 of the epochs, and the pair keeps its whole batches. Four
    # standard deviations of the share of epochs in which it sits out, 4·sqrt(0.2·0.8/400) = 0.08.
    for size, mean in zip(sizes, by_class.tolist(), strict=True):
        kept = [(size + other) // 32 * 32 / (size + other) for other in sizes if other != size]
        assert mean == pytest.approx(sum(kept) / 5, abs=0.08)
    # Within a class all are alike: five standard deviations of a share of 400 epochs, at most.
    assert (share - by_class[labels]).abs().max() < 5 * (0.25 / num_epochs) ** 0.5


def test_labels_decide_nothing_where_no_class_is_asked_for():
    labels = torch.arange(50) % 7
    with_labels = list(batch_indices(50, 8, 9, 0, "reshuffled", labels))
    assert all(map(torch.equal, with_labels, batch_indices(50, 8, 9, 0)))


def test_the_schema_offers_the_same_compositions():
    assert list(COMPOSITIONS) == list(Batches)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def augmented_once(images, generator, flip):
    """The images by the first draw of a generator."""
    return augment_light(images, next(light_draws(len(images), images.shape[2], generator, flip)))


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
    for image, augmented in zip(images, augmented_once(images, generator(), flip), strict=True):
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
    augmented = augmented_once(images, generator(), flip=True)
    assert augmented.stride() == images.stride()
    assert augmented.dtype == images.dtype
    assert torch.equal(images, before)


def test_augmentation_is_a_function_of_its_generator():
    images = torch.rand(16, 1, 8, 8)
    first, again, other = (augmented_once(images, generator(seed), True) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("flip", [False, True])
def test_the_draws_of_augmentation_are_pinned(flip):
    """Of each batch the moves, then the mirrored images: other draws would change stored runs."""
    draws, source = light_draws(16, 28, generator(), flip), generator()
    for draw in islice(draws, 3):
        assert torch.equal(draw[:2], torch.randint(-2, 3, (2, 16, 1), generator=source))
        mirror = [torch.rand(16, 1, generator=source) < 0.5] if flip else []
        assert len(draw) == 2 + len(mirror)
        assert all(torch.equal(draw[2] == 1, one) for one in mirror)
