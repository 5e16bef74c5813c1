import pandas as pd
import pytest

from bnbench.claims.statistics import gap
from bnbench.claims.study import IntegrityError, LackingError, StudyArm

NONE = StudyArm("x", {"norm.name": "none"}, 0.1)
BN = NONE.but(norm__name="batchnorm")


@pytest.fixture
def two_arms(study):
    for seed in range(3):
        study.run("a", seed)
        study.run("b", seed, norm__name="batchnorm")
    return study


def tuned(study, scores):
    """A grid: rate -> accuracies on the tuning seeds, an arm for each; all report too."""
    for rate, accuracies in scores.items():
        for number, accuracy in enumerate(accuracies):
            study.run(f"arm{rate}", 100 + number, optim__lr=rate, val=accuracy)
        study.run(f"arm{rate}", 0, optim__lr=rate, acc=rate)


def test_paired_arms_pass(two_arms):
    assert [len(frame) for frame in two_arms.paired([BN, NONE])] == [3, 3]


def test_arms_with_other_seeds_stop_the_report(two_arms):
    two_arms.run("b", 3, norm__name="batchnorm")
    with pytest.raises(IntegrityError, match="unpaired"):
        two_arms.paired([BN, NONE])


@pytest.mark.parametrize("key", ["weights", "batches", "splits"])
def test_runs_that_share_a_seed_alone_stop_the_report(two_arms, key):
    two_arms.marks["b", 1] = {key: "other"}
    with pytest.raises(IntegrityError, match=f"b and a share the seed 1 but not their {key}"):
        two_arms.paired([BN, NONE])


def test_images_in_two_splits_stop_the_report(two_arms):
    two_arms.marks["a", 2] = {"overlap": 5}
    with pytest.raises(IntegrityError, match="a seed 2: 5 images are in two of its splits"):
        two_arms.paired([NONE])


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"model__widths": "[64]"}, "weights"),
        ({"model__init_scale": 3.0}, "weights"),
        ({"model__branch": "fixup"}, "weights"),
        ({"batch_size": 8}, "batches"),
        ({"data__tasks": 5}, "batches"),
    ],
)
def test_what_cannot_be_shared_need_not_be(study, change, key):
    for seed in range(3):
        study.run("a", seed)
        study.run("b", seed, norm__name="batchnorm", **change)
        study.marks["b", seed] = {key: "other"}
    study.paired([BN, NONE])


def test_skipinit_shares_the_weights_that_were_drawn(study):
    study.run("a", 0)
    study.run("b", 0, norm__name="batchnorm", model__branch="skipinit")
    study.marks["b", 0] = {"weights": "other"}
    with pytest.raises(IntegrityError, match="not their weights"):
        study.paired([BN, NONE])


def test_the_best_rate_is_that_of_the_tuning_seeds(study):
    # on the reporting seed 1.0 is best; the tuning seeds, which choose, say 0.1
    tuned(study, {0.01: [0.5, 0.6], 0.1: [0.9, 0.9], 1.0: [0.7, 0.9]})
    arm = NONE.but(rate="tuned")
    assert study.rate(arm) == 0.1
    assert list(study.runs(arm)["test/accuracy"]) == [0.1]


def test_of_equal_rates_the_smallest_is_best(study):
    tuned(study, {0.01: [0.8, 0.9], 0.1: [0.9, 0.8]})
    assert study.rate(NONE.but(rate="tuned")) == 0.01


def test_a_rate_without_a_number_counts_as_nothing(study):
    tuned(study, {0.01: [0.2, 0.2], 0.1: [float("nan"), 0.3]})
    assert study.rate(NONE.but(rate="tuned")) == 0.01


def test_an_arm_that_is_not_there_or_not_finished_is_lacking(two_arms):
    with pytest.raises(LackingError, match="no such runs"):
        two_arms.paired([NONE.but(norm__name="layernorm")])
    two_arms.run("a", 3, status="failed")
    with pytest.raises(LackingError, match="1 of 4 runs lack a result"):
        two_arms.paired([NONE])


def test_words_that_fit_two_arms_name_none(two_arms):
    with pytest.raises(LackingError, match="found several"):
        two_arms.paired([StudyArm("x", {"model.name": "mlp"}, 0.1)])


def test_a_setting_that_an_arm_does_not_have(study):
    for seed in range(3):
        study.run("a", seed, norm__bias=None)
        study.run("b", seed, norm__bias=False)
    assert study.runs(NONE.but(norm__bias=None))["arm"].unique() == ["a"]
    assert study.runs(NONE.but(norm__bias=False))["arm"].unique() == ["b"]


def test_a_common_rate_is_read_on_the_tuning_seeds(study):
    for seed, none, bn in ((0, 0.5, 0.9), (100, 0.5, 0.7), (101, 0.5, 0.6), (102, 0.5, 0.8)):
        study.run("a", seed, acc=none)
        study.run("b", seed, acc=bn, norm__name="batchnorm")
    rows = gap(BN, NONE, at=NONE)(study)
    assert list(rows["seed"]) == [100, 101, 102]
    assert list(rows["value"]) == pytest.approx([20, 10, 30])


def test_seeds_outside_the_tuning_seeds_report(study):
    for seed in (0, 20, 99, 100, 199, 200, 1000):
        study.run("a", seed)
    assert list(study.runs(NONE).index) == [0, 20, 99, 200, 1000]
    assert list(study.runs(NONE, tuning=True).index) == [100, 199]


def test_the_last_five_evaluations_choose_and_not_the_final_one(study):
    tuned(study, {0.01: [0.6, 0.6], 0.1: [0.7, 0.7]})
    last = [0.9, 0.9, 0.9, 0.9, 0.5]  # a mean of 0.82, above the 0.7 at the other rate
    for seed in (100, 101):
        study.points += [
            ("arm0.01", seed, 20 * k + 20, "val_all/accuracy", v) for k, v in enumerate(last)
        ]
    assert study.rate(NONE.but(rate="tuned")) == 0.01


def test_the_rate_is_best_by_the_criterion_of_its_experiment(study):
    tuned(study, {0.01: [0.9, 0.9], 0.1: [0.8, 0.8]})  # ends higher, and learns late
    for seed in (100, 101):
        for step, value in ((20, 0.1), (40, 0.1), (60, 0.1), (80, 0.9), (100, 0.9)):
            study.points.append(("arm0.01", seed, step, "val/accuracy", value))
    arm = NONE.but(rate="tuned")
    assert study.rate(arm) == 0.01
    study.info = {"tune": {"by": "area"}}
    assert study.rate(arm) == 0.1
    scores = study.scores(arm)
    # 60 steps at 0.1, 20 on the way to 0.9, and 20 there
    assert list(scores[0.01]) == pytest.approx([(60 * 0.1 + 20 * 0.5 + 20 * 0.9) / 100] * 2)
    assert list(scores.index) == [100, 101]
    assert list(study.scores(arm, "accuracy")[0.01]) == pytest.approx([0.9, 0.9])


def test_a_net_that_broke_off_scores_as_a_guess(study):
    tuned(study, {0.01: [0.2, 0.2], 0.1: [0.9, 0.9]})
    for seed in (100, 101):
        study.points.append(("arm0.1", seed, 20, "val_all/accuracy", 0.5))
    study.diverge("arm0.1", 100, 101)
    assert study.rate(NONE.but(rate="tuned")) == 0.01  # (0.5 + 4 · 0.1)/5 = 0.18


def test_a_rate_may_be_that_of_another_arm_or_beside_the_best(study):
    tuned(study, {0.01: [0.5, 0.6], 0.1: [0.9, 0.9], 1.0: [0.7, 0.9]})
    for rate in (0.01, 0.1, 1.0):
        study.run(f"bn{rate}", 0, norm__name="batchnorm", optim__lr=rate)
    arm = NONE.but(rate="tuned")
    other = BN.but(rate=arm)
    assert study.rate(other) == 0.1
    assert list(study.runs(other)["arm"]) == ["bn0.1"]
    assert [study.rate(arm.beside(place)) for place in ("below", "above")] == [0.01, 1.0]
    assert list(study.runs(other.beside("above"))["arm"]) == ["bn1.0"]
    assert (arm.is_tuned, other.is_tuned, NONE.is_tuned) == (True, True, False)
    assert not arm.beside("above").is_tuned


def test_beyond_the_grid_no_rate_was_tried(study):
    tuned(study, {0.01: [0.9, 0.9], 0.1: [0.5, 0.5]})
    arm = NONE.but(rate="tuned")
    assert study.rate(arm.beside("above")) == 0.1
    with pytest.raises(LackingError, match=r"no rate was tried below the best, 0\.01"):
        study.rate(arm.beside("below"))


def test_tuning_runs_are_read_each_at_its_own_rate(study):
    tuned(study, {0.01: [0.5, 0.6], 0.1: [0.9, 0.9]})
    for rate, accuracy in ((0.1, 0.6), (1.0, 0.7)):
        for seed in (100, 101):
            study.run(
                f"bn{rate}", seed, norm__name="batchnorm", optim__lr=rate, val=accuracy, acc=rate
            )
    rows = gap(BN.but(rate="tuned"), NONE.but(rate="tuned"), tuning=True)(study)
    assert list(rows["seed"]) == [100, 101]
    assert list(rows["treatment_rate"]) == [1.0, 1.0]
    assert list(rows["baseline_rate"]) == [0.1, 0.1]
    assert list(rows["value"]) == pytest.approx([10, 10])  # the test accuracy of none is 0.9


def test_a_policy_is_read_of_nets_that_have_it_and_the_plain_curve_of_others(study):
    study.run("a", 0)
    study.run("b", 0, norm__name="batchnorm")
    for arm, key, value in (("a", "", 0.4), ("b", "", 0.5), ("b", "@precise", 0.6)):
        study.points.append((arm, 0, 100, f"val{key}/accuracy", value))
    read = {
        arm: study.curve_by_seed(one, study.runs(one), "val@precise/accuracy")[0][1]
        for arm, one in (("a", NONE), ("b", BN))
    }
    assert read == {"a": [0.4], "b": [0.6]}


def test_an_experiment_is_looked_up_in_once(study, monkeypatch):
    for seed in range(3):
        study.run("a", seed)
    data = study.experiment("x")
    monkeypatch.setattr(study, "experiment", lambda name: data)
    first = study.curves(NONE, study.runs(NONE), "val/accuracy")
    assert study.indexed("x") is study.indexed("x")
    monkeypatch.setattr("bnbench.claims.indexed.curve", None)  # would fail if called again
    pd.testing.assert_frame_equal(study.curves(NONE, study.runs(NONE), "val/accuracy"), first)
