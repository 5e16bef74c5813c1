"""What a net forgets of tasks in a row, against tables of accuracies made by hand."""

import math

import pytest

from bnbench.claims.curves import forgetting, right_after
from bnbench.claims.statistics import compared, of_runs
from bnbench.claims.study import IntegrityError, StudyArm

BN = StudyArm("x", {"norm.name": "batchnorm"}, 0.1)
# after task 1, 2 and 3: the accuracies on tasks 1, 2 and 3
RUNNING = ((0.9, 0.5, 0.4), (0.95, 0.8, 0.5), (0.6, 0.7, 1.0))
EXACT = ((0.9, 0.5, 0.5), (0.9, 0.9, 0.5), (0.8, 0.75, 0.9))


def give(study, seed, tables, ends=(30, 60, 90)):
    study.run("a", seed, norm__name="batchnorm", train__steps=90)
    for policy, table in tables.items():
        for step, accuracies in zip(ends, table, strict=True):
            # points between the ends of tasks say nothing of what is forgotten
            study.points.append(("a", seed, step - 10, f"test_task_1{policy}/accuracy", 0.0))
            study.points += [
                ("a", seed, step, f"test_task_{task}{policy}/accuracy", value)
                for task, value in enumerate(accuracies, 1)
            ]


def found(study, *args, **options):
    return list(of_runs(BN, forgetting(3, *args, **options))(study)["value"])


def test_forgetting_by_hand(study):
    give(study, 0, {"": RUNNING, "@precise": EXACT})
    give(study, 1, {"": [(0.5, 0.5, 0.5)] * 3, "@precise": RUNNING})
    # (0.9 - 0.6 + 0.8 - 0.7) / 2; the last task cannot be forgotten yet
    assert found(study) == pytest.approx([20, 0])
    # from the best end before the last: 0.95 - 0.6 on the first task
    assert found(study, from_best=True) == pytest.approx([22.5, 0])
    assert found(study, "@precise") == pytest.approx([(0.1 + 0.15) / 2 * 100, 20])
    # other statistics at the end alone: (0.9 - 0.8 + 0.8 - 0.75) / 2
    assert found(study, end_policy="@precise") == pytest.approx([7.5, -15])
    # (0.9 + 0.8 + 1) / 3, and (0.9 + 0.9 + 0.9) / 3
    assert list(of_runs(BN, right_after(3))(study)["value"]) == pytest.approx([90, 50])
    assert list(of_runs(BN, right_after(3, "@precise"))(study)["value"]) == pytest.approx([90, 90])


def test_what_new_statistics_leave_beside_half_of_what_was_forgotten(study):
    give(study, 0, {"": RUNNING, "@precise": EXACT})
    both = forgetting(3), forgetting(3, end_policy="@precise")
    rows = compared(BN, BN, *both, compare=lambda forgot, still: forgot / 2 - still)(study)
    assert list(rows["value"]) == pytest.approx([20 / 2 - 7.5])


def test_a_run_that_broke_off_says_nothing(study):
    give(study, 0, {"": RUNNING})
    give(study, 1, {"": RUNNING[:2]}, ends=(30, 60))
    with pytest.raises(IntegrityError, match="not all of the run is there"):
        found(study)
    study.diverge("a", 1)
    rows = of_runs(BN, forgetting(3))(study)
    assert rows["value"].tolist() == pytest.approx([20, math.nan], nan_ok=True)
    assert list(rows["bound"]) == ["", "none"]
    assert math.isnan(found(study, from_best=True)[1])
