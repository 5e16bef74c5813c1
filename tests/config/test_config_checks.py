"""Limits of size, what the checks compute of a net is what torch builds, and what does not fit."""

import pytest
import torch

from bnbench.config.checks import MAX_VALUES, MAX_WEIGHTS, RequestError, net_size
from bnbench.config.recipe import resolve
from bnbench.config.schema import DATA_SHAPES, NUM_CLASSES, ModelConfig
from bnbench.data.datasets import load
from bnbench.models import MODELS
from bnbench.train import build


@pytest.mark.parametrize(
    ("name", "data", "widths", "depth"),
    [
        ("mlp", "digits", [100, 100, 100], [1]),
        ("mlp", "cifar10", [7, 5], [3, 1]),
        ("sigmoid_mlp", "fashion_mnist", [30], [10]),
        ("vgg", "digits", [16, 32], [2]),
        ("vgg", "fashion_mnist", [4, 5, 6], [1, 2, 3]),
        ("vgg16", "cifar10", [64, 128, 256, 512, 512], [2, 2, 3, 3, 3]),
        ("residual_mlp", "digits", [7, 5], [5, 3]),
        ("residual_vgg", "fashion_mnist", [4, 3], [5, 1]),
    ],
)
def test_the_size_of_a_net_is_that_of_the_built_one(name, data, widths, depth):
    shape = DATA_SHAPES[data]
    activations = []
    with torch.device("meta"):
        model = MODELS[name](shape, NUM_CLASSES, widths=widths, depth=depth)
        for module in model.modules():
            if isinstance(module, torch.nn.ReLU):
                module.register_forward_hook(lambda *hook: activations.append(hook[-1].numel()))
        model(torch.empty(1, *shape))
    weights = sum(p.numel() for p in model.parameters() if p.ndim > 1)
    assert net_size(ModelConfig(name, widths, depth), shape) == (weights, sum(activations))


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("fits", "exceeds", "word"),
    [
        # 64·w + w·w + 10·w weights
        ("[31585,31585]", "[31586,31586]", "weights"),
        # 1,000 images are evaluated at once
        ("[10000000]", "[10000001]", "activations"),
    ],
)
def test_a_net_is_refused_just_above_the_limit(read, fits, exceeds, word):
    assert 31585**2 + 74 * 31585 <= MAX_WEIGHTS < 31586**2 + 74 * 31586
    assert MAX_VALUES == 1000 * 10_000_000
    read(f"model.widths={fits}", "norm=none")
    with pytest.raises(RequestError, match=word):
        read(f"model.widths={exceeds}", "norm=none")


@pytest.mark.one_in(2)
@pytest.mark.parametrize("data", ["digits", "synthetic"])
def test_a_batch_of_two_classes_fits_into_any_two(read, tmp_path, data):
    """Up to the limit of the check, for the classes of splits as they are."""
    arguments = [f"data={data}", "data.batches=two_classes"]
    most = {"digits": 161, "synthetic": 45}[data]
    for size in (2, most):
        read(*arguments, f"batch_size={size}")
    for size in (1, most + 1):
        with pytest.raises(RequestError) as refusal:
            read(*arguments, "norm=none", f"batch_size={size}")
        assert str(refusal.value).startswith(
            f"batch_size={size}: expected 2 to {most} with data.batches=two_classes, what any two "
            f"classes of {data} can fill"
        )
    for seed in range(20):
        sizes = load(data, tmp_path, seed).train.labels.bincount().sort().values
        assert int(sizes[:2].sum()) >= most


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("overrides", "fits"),
    [
        (["norm=none"], False),
        (["norm=lrn", "model=vgg"], False),
        (["norm=noise"], False),
        (["norm=layernorm", "norm.affine=false"], False),
        (["norm.affine=false"], False),
        (["norm.scale=false", "norm.bias=false"], False),
        (["norm.scale=false"], True),
        (["norm=torch_batchnorm"], True),
        (["norm=groupnorm"], True),
        (["norm=l2norm"], True),
    ],
)
def test_only_norms_with_parameters_can_be_trained_alone(read, overrides, fits):
    read(*overrides, "train.trainable=random")
    if fits:
        (arm,) = read(*overrides, "train.trainable=norm").arms.values()
        assert sum(p.numel() for p in norm_parameters(arm.config))
        return
    with pytest.raises(RequestError, match=r"^train\.trainable=norm: norm=\w+ has no parameters"):
        read(*overrides, "train.trainable=norm")
    (arm,) = read(*overrides).arms.values()
    assert not list(norm_parameters(arm.config))


def norm_parameters(config):
    model = build(resolve(config), seed=0).model
    return (p for name, p in model.named_parameters() if ".norm." in name)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("model.depth=[10]", r"model\.depth=\[10\]: expected odd numbers with model=residual_mlp"),
        (
            "model.branch=fixup",
            r"model\.branch=fixup: stands in the place of a norm, expected norm",
        ),
        (
            "model.order=reversed",
            r"model\.order=reversed: expected one of original, norm_after_add",
        ),
    ],
)
def test_what_no_residual_net_has_is_refused(read, override, line):
    with pytest.raises(RequestError, match=line):
        read("model=residual_mlp", override)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["model=residual_mlp", "model.norm_layers=first"],
            r"model\.norm_layers=first: expected every with model=residual_mlp, which has its "
            "norms in its blocks",
        ),
        (
            ["norm=groupnorm", "norm.groups=5", "model.norm_layers=input"],
            r"norm\.groups=5: expected a divisor of the 64 features of the data",
        ),
        (
            ["model=vgg", "norm=groupnorm", "norm.groups=4", "model.norm_layers=input"],
            r"norm\.groups=4: expected a divisor of the 1 features of the data",
        ),
        (
            ["norm=groupnorm", "norm.groups=64", "model.norm_layers=input"],
            r"norm\.groups=64: groups of one value each, expected fewer",
        ),
    ],
)
def test_norms_are_refused_where_they_cannot_stand(read, overrides, line):
    with pytest.raises(RequestError, match=line):
        read(*overrides)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["data.tasks=10"], r"data\.tasks=10: expected one of 1, 2, 5, which cut the 10 classes"),
        (["train.steps=321"], r"train\.steps=321: expected a multiple of data\.tasks=5, as many"),
        (["train.epochs=3"], r"train\.steps=48: expected a multiple of data\.tasks=5"),
        (["train.eval_points=12"], r"train\.eval_points=12: expected a multiple of data\.tasks=5"),
        (["data.batches=two_classes"], r"data\.batches=two_classes: expected reshuffled or frozen"),
        (
            ["tune.low=0.1", "tune.high=1", "tune.batches=two_classes"],
            r"tune\.batches=two_classes: expected reshuffled or frozen with data\.tasks=5",
        ),
        (["batch_size=162"], r"batch_size=162: expected at most 161 with data\.tasks=5, the train"),
        (["data.tasks=2", "batch_size=323"], r"batch_size=323: expected at most 322 with data\.t"),
        (["data.tasks=1", "tune.by=tasks"], r"tune\.by=tasks: expected data\.tasks of 2 or more"),
    ],
)
def test_tasks_are_refused_that_cannot_be_trained_on(read, overrides, line):
    tasks = [] if overrides[0].startswith("data.tasks") else ["data.tasks=5"]
    with pytest.raises(RequestError, match=f"^{line}"):
        read(*tasks, *overrides)


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("tasks", "most"), [(2, 322), (5, 161)])
def test_a_batch_fits_into_each_task(read, tmp_path, tasks, most):
    """Up to the limit of the check, for the classes of splits as they are."""
    read(f"data.tasks={tasks}", f"batch_size={most}", "train.steps=20")
    for seed in range(20):
        labels = load("digits", tmp_path, seed).train.labels
        assert int((labels // (10 // tasks)).bincount().min()) >= most


def test_weights_that_are_not_trained_are_not_rescaled(read):
    for part in ("head", "norm", "random"):
        with pytest.raises(RequestError, match=rf"^train\.trainable={part}: expected all with"):
            read(f"train.trainable={part}", "optim.decay_by=rescaling")
        assert read(f"train.trainable={part}", "optim.decay_by=head").arms
