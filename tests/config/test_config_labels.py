"""Arms in words: the parent of a sweep, which has no pandas, says what the report says."""

import pandas as pd
import pytest

from bnbench.config.arms import flatten, science
from bnbench.config.labels import FIRST, arm_labels, arm_words, duration_label, telling
from bnbench.pages import tables


def settings(request):
    return {arm.id: flatten(science(arm.config)) for arm in request.arms.values()}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", ["lr_mult", "sigmoid", "shift"])
def test_what_tells_arms_apart_is_what_the_report_tells(read, name):
    arms = settings(read(f"experiment={name}"))
    table = pd.DataFrame.from_dict(
        {arm: {key: str(value) for key, value in own.items()} for arm, own in arms.items()},
        orient="index",
    ).where(lambda cells: cells != "None")
    told = tables._varying(table)
    assert [column for column in telling(arms) if column not in FIRST] == told
    assert len(set(arm_labels(arms).values())) == len(arms)


@pytest.mark.slow
def test_names_that_all_share_are_left_out(read):
    assert set(arm_labels(settings(read("norm=none,batchnorm", multirun=True))).values()) == {
        "no norm",
        "BatchNorm",
    }
    assert list(arm_labels(settings(read("placement=post"))).values()) == [
        "MLP · BatchNorm · after activation"
    ]
    two = settings(read("norm=none,batchnorm", "placement=pre,post", multirun=True))
    assert set(arm_labels(two).values()) == {
        "no norm",
        "BatchNorm · before activation",
        "BatchNorm · after activation",
    }


def test_what_an_arm_does_not_have_is_not_told():
    own = {"model.name": "mlp", "norm.name": "none", "placement": "none", "optim.lr_mult": None}
    assert arm_words(own, own) == "MLP · no norm"
    assert arm_words({"batch_size": float("nan")}, ["batch_size", "norm.name"]) == ""


def test_durations_have_hours_where_there_are_some():
    told = [duration_label(s) for s in (0, 59.9, 60, 3725)]
    assert told == ["0:00", "0:59", "1:00", "1:02:05"]
