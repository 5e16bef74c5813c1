"""The benchmark compares like with like, and its ratio is that of the pairs."""

import itertools

import pytest
import torch

from bnbench.bench import loop as bench
from bnbench.data.datasets import Dataset, Split


@pytest.fixture(scope="module")
def dataset():
    """Random bytes in the shape of Fashion-MNIST, as the loader would give them."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (200, 1, 28, 28), generator=generator, dtype=torch.uint8)
    split = Split(pixels.float().div_(255), torch.arange(200) % 10)
    std, mean = torch.std_mean(split.images, dim=(0, 2, 3), correction=0)
    return Dataset(split, split, split, 10, mean, std, mirrored=True)


def test_the_ratio_is_the_median_over_pairs(monkeypatch):
    """Side A takes 3, 3, 9, 3 … ms a unit, side B 1 ms: the ratios are 3, 3, 9, 3 …"""
    now = [0.0]
    durations = itertools.cycle([3e-3, 3e-3, 9e-3, 3e-3])
    monkeypatch.setattr(bench.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(bench, "repeats", lambda *given: 1)

    def slow():
        now[0] += next(durations)

    def fast():
        now[0] += 1e-3

    ratio = bench.paired("x", ("a", slow), ("b", fast), pairs=40)
    assert ratio.median == pytest.approx(3)
    assert ratio.p90 == pytest.approx(9)
    assert (ratio.slow_ms, ratio.fast_ms) == (pytest.approx(3), pytest.approx(1))


def test_repetitions_fill_the_time_and_are_divided_out():
    asked = []

    def clock(work, repeats):
        asked.append(repeats)
        return 3.0 * repeats

    assert bench.interleaved([lambda: None], 2, 10, clock) == [[3.0, 3.0]]
    assert asked == [3, 1, 4, 4]


def test_work_is_repeated_to_be_measurable(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(bench.time, "perf_counter", lambda: now[0])

    def work():
        now[0] += 3e-3

    assert bench.repeats(work, milliseconds=20) == 7


def test_the_reference_is_timed_beside_torch_s_kernel_on_digits_too(dataset, monkeypatch, tmp_path):
    """The MLP, and the ten sigmoid layers, whose steps are Python for the most part."""
    loaded = []
    monkeypatch.setattr(bench, "load", lambda name, *_, **__: loaded.append(name) or dataset)
    monkeypatch.setattr(bench, "typical_loop", lambda *given: lambda: None)
    monkeypatch.setattr(bench, "our_loop", lambda *given, **options: (*given[1:], options))
    monkeypatch.setattr(bench, "paired", lambda what, slow, fast, pairs: (what, slow[1], fast[1]))
    rows = {what: sides for what, *sides in bench.run("mnist", tmp_path, 2, ["reference"])}
    assert loaded == ["mnist", "digits"]
    for name in ("mlp", "sigmoid_mlp"):
        assert rows[f"{name} step on digits, bnbench loop"] == [
            (name, "batchnorm", {"backend": backend}) for backend in ("reference", "native")
        ]
    sigmoids = bench.net("sigmoid_mlp", "batchnorm", dataset.image_shape)
    assert sum(isinstance(module, torch.nn.Sigmoid) for module in sigmoids.modules()) == 10


def test_both_loops_see_the_same_images(dataset):
    typical = bench.torchvision_dataset(dataset)
    images = torch.stack([typical[i][0] for i in range(len(typical))])
    assert [typical[i][1] for i in range(20)] == dataset.train.labels[:20].tolist()
    # ToTensor and Normalize round at other places than (x - mean)/std on the whole tensor
    assert torch.allclose(images, dataset.normalise(dataset.train.images), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", bench.NETS)
def test_both_loops_train_the_same_net(dataset, name):
    nets = [bench.net(name, norm, dataset.image_shape) for norm in ("batchnorm", "torch_batchnorm")]
    for one, other in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.equal(one, other)
    for loop in (bench.our_loop, bench.typical_loop):
        step = loop(dataset, name, "torch_batchnorm")
        for _ in range(4):  # past the end of an epoch of three batches
            step()
