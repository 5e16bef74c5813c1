"""Losses and accuracies under each policy, against numbers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bnbench.norms import BatchNorm1d, population, recalibrated
from bnbench.norms.population import POLICIES
from bnbench.training.evaluation import (
    StatisticsSource,
    Tasks,
    batch_sizes,
    evaluate,
    evaluating_with,
    scores,
)


class Fixed(nn.Module):
    """Answers with its input."""

    def forward(self, x):
        return x


def whole(splits):
    """Keys of whole splits under their own names."""
    return {name: (name, len(labels)) for name, (_, labels) in splits.items()}


def mean_scores(net, images, labels):
    """Loss and accuracy of one pass."""
    return scores(net, images, labels, 100).mean(1).tolist()


def test_scores_by_hand():
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0], [0.0, math.log(3)], [math.nan, 0.0]])
    labels = torch.tensor([0, 0, 0, 0])
    loss, right = scores(Fixed(), logits, labels, size=2).tolist()
    # -log p: log 2, log 4/3, log 4; right: argmax of a tie is class 0, yes, no, not a number
    assert loss[:3] == pytest.approx([math.log(2), math.log(4 / 3), math.log(4)], rel=1e-6)
    assert math.isnan(loss[3])
    assert right == [1.0, 1.0, 0.0, 0.0]
    splits = {"val": (logits, labels)}
    point = evaluate(Fixed(), splits, {"few": ("val", 3)}, ["none"], basis(logits))
    assert point["few", "", "loss"] == pytest.approx(sum(loss[:3]) / 3, rel=1e-15)
    assert point["few", "", "accuracy"] == 2 / 3


def test_images_are_scored_among_the_classes_of_their_own_task():
    """Two tasks, of the classes 0 and 1, and 2 and 3; a class of the other task may be larger."""
    three = math.log(3)
    logits = torch.tensor(
        [
            [three, 0.0, 9.0, 0.0],  # class 0: right in its task alone
            [three, 0.0, -9.0, -9.0],  # class 1: wrong in both
            [0.0, 0.0, three, 0.0],  # class 2: right in both
            [9.0, 9.0, 0.0, 0.0],  # class 2: a tie in its task, whose first class counts
            [0.0, 0.0, 0.0, three],  # class 3: right in both
            [math.nan, 0.0, 0.0, three],  # class 3: not a number in the other task
        ]
    )
    labels, tasks = torch.tensor([0, 1, 2, 2, 3, 3]), Tasks(2, 2)
    _, right, loss, in_task = scores(Fixed(), logits, labels, size=4, tasks=tasks).tolist()
    assert right == [0, 0, 1, 0, 1, 0]
    assert in_task == [1, 0, 1, 1, 1, 0]
    # -log p among two classes: of 3/4, 1/4, 3/4, 1/2, 3/4; the sixth in its own task is a number
    among_two = [math.log(4 / 3), math.log(4), math.log(4 / 3), math.log(2), math.log(4 / 3)]
    assert loss == pytest.approx([*among_two, math.log(4 / 3)], rel=1e-6)
    splits = {"val": (logits, labels), "train": (logits, labels)}
    keys = {"train": ("train", 4), "few": ("val", 4), "all": ("val", 5)}
    point = evaluate(Fixed(), splits, keys, ["none"], basis(logits), tasks)
    accuracies = {name: value for (name, _, metric), value in point.items() if metric == "accuracy"}
    assert accuracies == {
        "train": 1 / 4, "few": 1 / 4, "all": 2 / 5,
        "few_task_1": 1 / 2, "few_task_2": 1.0, "few_tasks": 3 / 4,
        "all_task_1": 1 / 2, "all_task_2": 1.0, "all_tasks": 3 / 4,
    }  # fmt: skip
    mean = (math.log(4 / 3) + math.log(4)) / 2
    assert point["few_task_1", "", "loss"] == pytest.approx(mean, rel=1e-6)
    plain = evaluate(Fixed(), splits, keys, ["none"], basis(logits))
    assert plain == {key: point[key] for key in plain}


def test_a_task_without_images_has_no_accuracy_and_takes_none_from_the_others():
    logits = torch.tensor([[2.0, 0.0, 0.0, 0.0], [math.inf, 0.0, 0.0, 0.0]])
    splits = {"val": (logits, torch.tensor([0, 2]))}
    for number, second in ((1, math.nan), (2, 0.0)):
        keys = {"val": ("val", number)}
        point = evaluate(Fixed(), splits, keys, ["none"], basis(logits), Tasks(2, 2))
        assert point["val_task_1", "", "accuracy"] == 1
        assert point["val_task_1", "", "loss"] == pytest.approx(math.log(1 + math.exp(-2)))
        found = point["val_task_2", "", "accuracy"], point["val_tasks", "", "accuracy"]
        assert found == pytest.approx((second, (1 + second) / 2), nan_ok=True)


@pytest.mark.parametrize("policy", POLICIES)
def test_tasks_are_scored_under_the_statistics_of_each_policy(policy):
    """With running statistics and others the logits are those of a pass by hand."""
    torch.manual_seed(0)
    net = BatchNorm1d(4)
    net(torch.randn(30, 4))
    images, labels = 2 * torch.randn(24, 4) + 1, torch.arange(24) % 4
    source = basis(torch.randn(12, 4) - 1)
    keys = {"test": ("test", 24)}
    point = evaluate(net, {"test": (images, labels)}, keys, [policy], source, Tasks(2, 2))
    with torch.no_grad(), evaluating_with(net, policy, source, images):
        sizes = batch_sizes(24, source.size(policy))
        logits = torch.cat([net(x) for x in images.split(sizes)])
    suffix = "" if policy == "ema" else f"@{policy}"
    for task in (0, 1):
        own = labels // 2 == task
        right = logits[own, 2 * task : 2 * task + 2].argmax(1) == labels[own] % 2
        assert point[f"test_task_{task + 1}{suffix}", "", "accuracy"] == right.double().mean()
    assert net.training


def test_what_is_not_a_number_is_no_right_answer():
    logits = torch.full((4, 3), math.nan)
    loss, right = scores(Fixed(), logits, torch.zeros(4, dtype=torch.long), size=4)
    assert loss.isnan().all()
    assert not right.any()


def basis(reference, **changes):
    sizes = {"train_batch": 8, "test_batch": 8, "prior": 16.0, "chunk": 100, "at_once": 100}
    return StatisticsSource(reference, **{**sizes, **changes})


def test_policies_give_their_own_splits_and_leave_the_net_alone():
    torch.manual_seed(0)
    net = nn.Sequential(BatchNorm1d(3), nn.Dropout(0.5)).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    images, labels = 5 + 2 * torch.randn(32, 3), torch.zeros(32, dtype=torch.long)
    splits = {"val": (images, labels)}
    point = evaluate(net, splits, whole(splits), ["ema", "precise"], basis(images))
    assert set(point) == {
        (split, "", metric) for split in ("val", "val@precise") for metric in ("loss", "accuracy")
    }
    with evaluating_with(net, "precise", basis(images), images):
        y = net(images)
    # normalised by its own population: mean 0, variance σ²/(σ²+ε)
    assert torch.allclose(y.mean(0), torch.zeros(3), atol=1e-5)
    assert net.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def net_and_splits():
    torch.manual_seed(0)
    net = nn.Sequential(BatchNorm1d(3), nn.Linear(3, 4), nn.ReLU(), BatchNorm1d(4)).double()
    draws = {name: k + torch.randn(30 + k, 3).double() for k, name in enumerate(("train", "val"))}
    return net, {name: (x, torch.randint(4, (len(x),))) for name, x in draws.items()}


def test_every_policy_is_measured_on_its_own_data():
    """In the order asked for; adabn on each split, the others on batches of training images."""
    net, splits = net_and_splits()
    reference = splits["train"][0][:20]
    point = evaluate(net, splits, whole(splits), list(POLICIES), basis(reference, train_batch=9))
    asked = [
        *["ema"] * 4,
        *(p for p in list(POLICIES)[1:] for _ in range(2 if p == "batch" else 4)),
    ]
    assert [key[0].partition("@")[2] or "ema" for key in point] == asked
    data = {
        "cumulative": lambda x: reference.split([9, 9, 2]),
        "algorithm2": lambda x: reference[:18].split(9),
        "precise": lambda x: [reference],
        "adabn": lambda x: [x],
    }
    for policy, batches in data.items():
        for name, (x, y) in splits.items():
            with population(net.eval(), policy, batches(x)):
                loss, _ = mean_scores(net, x, y)
            assert point[f"{name}@{policy}", "", "loss"] == pytest.approx(loss, 1e-12)


def test_a_net_without_batchnorm_is_evaluated_as_it_is_and_recalibrated_on_each_split():
    _, splits = net_and_splits()
    net = nn.Sequential(nn.Linear(3, 9), nn.Dropout(0.5), nn.ReLU(), nn.Linear(9, 4)).double()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    reference = splits["train"][0][:20]
    keys, policies = whole(splits), ["none", "recalibrated"]
    point = evaluate(net, splits, keys, policies, basis(reference, at_once=7))
    assert [key[0] for key in point][::2] == [
        *("train", "val", "train@recalibrated", "val@recalibrated")
    ]
    for name, (x, y) in splits.items():
        plain, _ = mean_scores(net.eval(), x, y)
        with recalibrated(net, [reference], [x]):
            expected, _ = mean_scores(net, x, y)
        assert point[name, "", "loss"] == pytest.approx(plain, 1e-12)
        assert point[f"{name}@recalibrated", "", "loss"] == pytest.approx(expected, 1e-11)
    point = evaluate(net.train(), splits, keys, policies, basis(splits["train"][0]))
    # the reference has its own statistics already
    for name, same in (("train", True), ("val", False)):
        adapted = point[f"{name}@recalibrated", "", "loss"]
        assert (adapted == pytest.approx(point[name, "", "loss"], 1e-12)) == same
    assert net.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_there_is_no_batch_larger_than_the_reference():
    reference = torch.randn(30, 3)
    (whole,) = basis(reference, train_batch=64).data("algorithm2", reference)
    assert whole is not reference
    assert torch.equal(whole, reference)


@pytest.mark.parametrize("policy", POLICIES)
def test_only_what_a_policy_names_matters_beyond_rounding(policy):
    """Neither how many images are passed at once, nor how many fit into one."""
    net, splits = net_and_splits()
    reference, keys = splits["train"][0], {"val": ("val", 31)}
    points = [
        evaluate(net, splits, keys, [policy], basis(reference, chunk=c, at_once=c))
        for c in (2, 7, 100)
    ]
    for point in points[1:]:
        assert point == pytest.approx(points[0], rel=1e-12)
    for changes, policies in (
        ({"test_batch": 5}, ("batch", "blend")),
        ({"prior": 2.0}, ("blend",)),
    ):
        other = evaluate(net, splits, keys, [policy], basis(reference, **changes))
        assert (other != pytest.approx(points[0], rel=1e-6)) == (policy in policies)


@pytest.mark.parametrize("policy", ["none", "recalibrated", *POLICIES])
@pytest.mark.parametrize("at_once", [7, 100])
def test_parts_of_a_split_share_passes_and_change_no_number(policy, at_once):
    """A key has the same value, whatever else is evaluated beside it."""
    net, splits = net_and_splits()
    if policy in ("none", "recalibrated"):
        net = nn.Sequential(nn.Linear(3, 9), nn.ReLU(), nn.Linear(9, 4)).double()
    source = basis(splits["train"][0][:20], at_once=at_once)
    keys = {"train": ("train", 11), "val": ("val", 17), "more": ("val", 25), "val_all": ("val", 31)}
    together = evaluate(net, splits, keys, [policy], source)
    assert {name.partition("@")[0] for name, _, _ in together} == set(keys) - (
        {"train"} if policy == "batch" else set()
    )
    for name, (split, number) in keys.items():
        first = {**splits, "val": tuple(tensor[:number] for tensor in splits["val"])}
        alone = evaluate(net, first, {name: (split, number)}, [policy], source)
        for key, value in alone.items():
            assert together[key] == pytest.approx(value, rel=1e-12)


def test_each_image_is_passed_once():
    """Precise statistics of one pass give the training images' logits, prefixes share passes."""
    net, splits = net_and_splits()
    keys = {"train": ("train", 11), "val": ("val", 17), "val_all": ("val", 31)}
    passed: list[int] = []
    net.register_forward_hook(lambda _net, inputs, _y: passed.append(len(inputs[0])))
    for at_once, expected in ((100, [20, 17, 14]), (7, [7, 11, 17, 14])):
        passed.clear()
        evaluate(net, splits, keys, ["precise"], basis(splits["train"][0][:20], at_once=at_once))
        assert passed == expected
    passed.clear()
    evaluate(net, splits, keys, ["ema"], basis(splits["train"][0][:20]))
    assert passed == [11, 17, 14]


@given(st.integers(1, 200), st.integers(1, 50))
def test_batches_are_of_one_size_but_for_the_last(total, size):
    sizes = batch_sizes(total, size)
    assert sum(sizes) == total
    assert set(sizes[:-1]) <= {size}
    assert sizes[-1] <= size + (size > 1)
    assert min(sizes) > 1 or size == 1 or total == 1


def test_the_loss_of_training_steps_keeps_its_name():
    """train@batch is what the steps lost; an evaluation under the policy must not overwrite it."""
    net, splits = net_and_splits()
    point = evaluate(net, splits, whole(splits), ["batch"], basis(splits["train"][0]))
    assert {split for split, _, _ in point} == {"val@batch"}
