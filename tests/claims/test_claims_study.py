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
    ("change", "key"), [({"model__widths": "[64]"}, "weights"), ({"batch_size": 8}, "batches")]
)
def test_what_cannot_be_shared_need_not_be(study, change, key):
    for seed in range(3):
        study.run("a", seed)
        study.run("b", seed, norm__name="batchnorm", **change)
        study.marks["b", seed] = {key: "other"}
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
