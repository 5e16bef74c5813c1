"""A device is never waited for in a training step, and at most once by a probe: on fake tensors.

A fake tensor has a shape and a device and no values: whatever asks for a value, as `.item()` and a
branch do, raises. `Watched` sees the copies between the host and the device. In the place of a GPU
the device is "meta", another than the host: autograd asks CUDA itself for its GPU.
"""

import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import hydra
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bnbench import CONFIGS, cli, train
from bnbench.config.recipe import resolve
from bnbench.config.schema import NORM_CONFIGS
from bnbench.data.datasets import Dataset, Split
from bnbench.models import MODELS
from bnbench.norms import NORMS, BatchNorm1d
from bnbench.norms.population import POLICIES, population
from bnbench.norms.recalibration import recalibrated
from bnbench.probes import PROBES, Batch, Unseen
from bnbench.training import loop
from bnbench.training.evaluation import StatisticsSource, Tasks, evaluate
from bnbench.training.optimizers import OPTIMIZERS

DEVICE = "meta"
SIZE = 8  # images of a batch
SHAPE = (3, 32, 32)
SMALL = {"widths": [8, 8], "depth": [1]}
NETS = {  # of the depth of configs/model/, where that may matter
    "mlp": SMALL,
    "sigmoid_mlp": {**SMALL, "activation": "sigmoid"},
    "vgg": SMALL,
    "sigmoid_vgg": {**SMALL, "activation": "sigmoid", "dropout": 0.1},
    "vgg11": {"widths": [8] * 5, "depth": [1, 1, 2, 2, 2]},
    "vgg16": {"widths": [8] * 5, "depth": [2, 2, 3, 3, 3], "placement": "post"},
    "residual_mlp": {**SMALL, "depth": [3], "branch": "skipinit", "order": "original"},
    "residual_vgg": {**SMALL, "depth": [3]},
}
REFUSE_MLP = ("instancenorm", "lrn", "batchnorm_lrn")  # they need spatial dimensions
WITH_BACKENDS = [name for name in NORMS if hasattr(NORM_CONFIGS[name], "backend")]
NORMS_BY_BACKEND = [(norm, None) for norm in NORMS if norm not in WITH_BACKENDS] + [
    (norm, backend) for norm in WITH_BACKENDS for backend in ("reference", "native")
]
NORMS_BY_NET = [
    (norm, backend, model)
    for norm, backend in NORMS_BY_BACKEND
    for model in ("mlp", "vgg")
    if not (norm in REFUSE_MLP and model == "mlp")
]


class WaitingError(Exception):
    """Says which operation makes the host and the device wait for each other."""


class Watched(TorchDispatchMode):
    """Refuses operations on tensors of both sides, and counts the copies to the host.

    Such a copy gets ones.
    """

    def __init__(self):
        super().__init__()
        self.reads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given, made = (
            {x.device.type for x in tree_leaves(tree) if isinstance(x, torch.Tensor)}
            for tree in ((args, kwargs), result)
        )
        if (given, made) == ({DEVICE}, {"cpu"}):
            self.reads += 1
            with unset_fake_temporarily():
                return torch.ones(result.shape, dtype=result.dtype)
        if len(given | made) > 1:
            raise WaitingError(f"{func} of tensors on {given} and {made}")
        return result


@pytest.fixture(scope="module")
def recipe():
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3", job_name="train"):
        (arm,) = cli.read(["batch_size=8", "track=csv"], False).arms.values()
    return resolve(arm.config)


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setattr(loop, "AHEAD", 2)
    # the bytes of a random state are none of a fake tensor
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: nullcontext())
    meta = torch.library.Library("aten", "IMPL")  # what torch lacks for fake tensors of meta
    for name in ("_fused_sgd_", "_fused_adam_"):
        meta.impl(name, lambda *_, **__: None, "Meta")
    with FakeTensorMode():
        yield
    meta._destroy()


def build(model, norm, backend=None):
    kind, options = MODELS[model], {} if backend is None else {"backend": backend}
    make = partial(NORMS[norm], spatial_dims=kind.spatial_dims, **options)
    net = kind(SHAPE, 10, norm=None if norm == "none" else make, **NETS[model])
    for module in net.modules():  # Module.to changes tensors in place, which fake ones do not allow
        for name, p in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(p.to(DEVICE)))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(DEVICE))
    return net


def images(number):
    drawn = torch.randn(number, *SHAPE, device=DEVICE)
    return drawn.to(memory_format=torch.channels_last), torch.arange(number, device=DEVICE) % 10


def steps(recipe, net, **changes):
    some = Split(*images(3 * SIZE))
    mean, std = torch.zeros(3), torch.ones(3)
    dataset = Dataset(*[Split(some.images, some.labels.cpu())] * 3, 10, mean, std, mirrored=True)
    recipe = replace(recipe, **changes)
    device = torch.device(DEVICE)
    return train.steps(train.Run(recipe, 0, device, dataset, {"train": some}, net, SIZE))


def take(steps):
    """Take two steps; in the first, what was drawn for many is copied to the device."""
    next(steps)
    with Watched() as watched:
        next(steps)
    assert watched.reads == 0


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    ("norm", "backend", "model"),
    [*NORMS_BY_NET, *(("batchnorm", "reference", model) for model in MODELS)],
)
def test_a_step_waits_for_nothing(recipe, norm, backend, model):
    take(steps(recipe, build(model, norm, backend)))


@pytest.mark.parametrize("trainable", ["all", "random"])
@pytest.mark.parametrize("augment", ["none", "light"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_whatever_trains_on_whatever_images(recipe, optimizer, augment, trainable):
    changes = {"optimizer": optimizer, "augment": augment, "trainable": trainable}
    changes["optimizer_options"] = {"weight_decay": 0.1}
    take(steps(recipe, build("vgg", "batchnorm"), **changes))


def has_numbers(name, net):
    """Whether a probe finds any: one of running statistics does where a norm has some."""
    has_running = any("running_var" in key for key in net.state_dict())
    return name not in ("variance", "affine") or has_running


def reads_of(name, net):
    """The copies to the host of a probe that has looked at a net before."""
    drawn, labels = images(3 * SIZE)
    mean, std = torch.zeros(3, device=DEVICE), torch.ones(3, device=DEVICE)
    unseen = Unseen(drawn[SIZE:], labels[SIZE:], mean, std)
    seen = Batch(drawn[:SIZE], labels[:SIZE], 0.1, drawn, unseen=unseen, reference_labels=labels)
    probe, batch = PROBES[name](), seen
    found = []
    for _ in range(2):
        with Watched() as watched:
            assert bool(probe(net, batch)) == has_numbers(name, net) or not found
        found.append(watched.reads)
    return found


# what a probe does again and again it does twice here: each time is like the others, and slow
FEWER = {
    "attacks": {"EPSILONS": {"1": 0.01, "3": 0.03}, "STEPS": 2},
    "curvature": {"STEPS": 2},
    "landscape": {"RATES": [0.5, 4.0], "DISTANCES": [0.01, 0.4]},
    "units": {"ORDERS": 2, "PARTS": 2, "SINGLE": 2},
}


@pytest.mark.one_in(15)
@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize(
    ("norm", "backend", "model"),
    [
        *((norm, back, "vgg" if norm in REFUSE_MLP else "mlp") for norm, back in NORMS_BY_BACKEND),
        ("batchnorm", "reference", "sigmoid_vgg"),
    ],
)
def test_a_probe_reads_once(norm, backend, model, name, monkeypatch):
    for module, numbers in FEWER.items():
        for number, value in numbers.items():
            monkeypatch.setattr(sys.modules[f"bnbench.probes.{module}"], number, value)
    net = build(model, norm, backend)
    assert reads_of(name, net) == [int(has_numbers(name, net))] * 2


HAVE_STATISTICS = [pair for pair in NORMS_BY_BACKEND if "batch" in pair[0]]


@pytest.mark.one_in(11)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("norm", "backend"), HAVE_STATISTICS)
def test_population_statistics_wait_for_nothing(norm, backend, policy):
    net, (drawn, _) = build("vgg", norm, backend), images(2 * SIZE)
    statistics = population(net, policy, drawn.split(SIZE))
    with Watched() as watched, torch.no_grad(), statistics:
        net.eval()(drawn)
    assert watched.reads == 0


@pytest.mark.parametrize("model", ["mlp", "vgg"])
def test_recalibration_waits_for_nothing(model):
    net, (drawn, _) = build(model, "none"), images(2 * SIZE)
    statistics = recalibrated(net.eval(), drawn.split(SIZE), drawn.split(SIZE))
    with Watched() as watched, torch.no_grad(), statistics:
        net(drawn)
    assert watched.reads == 0


@pytest.mark.parametrize("tasks", [None, Tasks(5, 2)])
@pytest.mark.parametrize("model", ["mlp", "vgg"])
@pytest.mark.parametrize("norm", ["none", "batchnorm", "torch_batchnorm"])
def test_an_evaluation_point_reads_once(norm, model, tasks):
    """Under all policies of the net, with keys that share passes, and by task."""
    net, number = build(model, norm), 3 * SIZE
    splits = {split: images(number) for split in ("train", "val")}
    keys = {"train": ("train", SIZE), "val": ("val", SIZE), "val_all": ("val", number)}
    source = StatisticsSource(
        splits["train"][0], SIZE, SIZE, prior=16.0, chunk=number, at_once=number
    )
    with Watched() as watched:
        evaluate(net, splits, keys, ["none"] if norm == "none" else [*POLICIES], source, tasks)
    assert watched.reads == 1


def test_a_value_that_a_norm_asks_for_is_caught(recipe, monkeypatch):
    forward = BatchNorm1d.forward

    def asking(layer, input):
        return forward(layer, input) * (1 if input.mean().item() > 0 else -1)

    monkeypatch.setattr(BatchNorm1d, "forward", asking)
    with pytest.raises(DataDependentOutputException):
        take(steps(recipe, build("mlp", "batchnorm")))


@pytest.mark.parametrize("augment", ["none", "light"])
def test_a_draw_that_is_copied_in_each_step_is_caught(recipe, monkeypatch, augment):
    def ahead(draws, device):
        return (draw.to(device) for draw in draws)

    monkeypatch.setattr(train if augment == "light" else loop, "ahead", ahead)
    with pytest.raises(WaitingError, match="_to_copy"):
        take(steps(recipe, build("mlp", "batchnorm"), augment=augment))


def test_an_index_that_stays_on_the_host_is_caught(recipe, monkeypatch):
    monkeypatch.setattr(loop, "ahead", lambda draws, device: draws)
    with pytest.raises(RuntimeError, match="cpu"):
        take(steps(recipe, build("mlp", "batchnorm")))
    with pytest.raises(WaitingError), Watched():  # this one fake tensors would let pass
        images(3)[0][torch.arange(2)]


def test_a_probe_that_reads_each_layer_is_caught(monkeypatch):
    def read(measured):
        return {key: value.cpu().tolist() for key, value in measured.items()}

    monkeypatch.setattr(sys.modules["bnbench.probes.gradients"], "read", read)
    assert reads_of("gradients", build("mlp", "batchnorm")) == [3, 3]
