import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bnbench import REFERENCE
from bnbench.analysis.inference import holm
from bnbench.claims import files
from bnbench.claims.judge import (
    ADDITION,
    ALPHA,
    ALPHA_BETWEEN,
    family_of,
    judge,
    measure_part,
    p_of,
)
from bnbench.claims.recorded import RecordedMeasurements, recorded
from bnbench.claims.records import Above, Below, Between, Claim, ClaimPart
from bnbench.claims.registry.table import claims_on
from bnbench.claims.sensitivity import other_choices
from bnbench.claims.study import LackingError

HIGH, LOW, ZERO = (
    [4.0, 5.0, 6.0, 5.5, 4.5],
    [-5.0, -4.0, -6.0, -5.5, -4.5],
    [0.1, -0.1, 0.0, 0.05, -0.05],
)
WIDE = [-9.0, 8.0, 1.0, -4.0, 5.0]
SMALL = [0.4, 0.5, 0.6, 0.55, 0.45]


def rows(values, bounds=None):
    n = len(values)
    columns = dict.fromkeys(("treatment", "baseline"), [math.nan] * n)
    arms = dict.fromkeys(("treatment_arm", "baseline_arm"), ["a"] * n)
    bounds = bounds or [""] * n
    return pd.DataFrame({"seed": range(n), "value": values, **columns, **arms, "bound": bounds})


def part(values, target, bounds=None, **options):
    return ClaimPart("pp of something", lambda study: rows(values, bounds), target, **options)


def claim(name, *parts, **named):
    every = {f"part {number}": each for number, each in enumerate(parts)} | named
    return Claim(name, "It is so.", "N0", ("x",), "digits", "above", parts=every)


def only(values, target, bounds=None, **options):
    one = part(values, target, bounds, **options)
    alpha = ALPHA_BETWEEN if isinstance(target, Between) else ALPHA
    return measure_part("one", one, one.measure(None), alpha)


@pytest.mark.parametrize(
    ("values", "target", "verdict"),
    [
        (HIGH, Above(1.0), "confirmed"),
        (LOW, Above(1.0), "contrary"),
        (ZERO, Above(1.0), "no effect"),
        (SMALL, Above(1.0), "smaller than claimed"),
        ([-value for value in SMALL], Above(1.0), "contrary"),
        (SMALL, Below(-1.0), "contrary"),
        ([-value for value in SMALL], Below(-1.0), "smaller than claimed"),
        (ZERO, Below(-1.0), "no effect"),
        (WIDE, Above(1.0), "undecided"),
        (LOW, Below(-1.0), "confirmed"),
        (HIGH, Below(-1.0), "contrary"),
        (ZERO, Between(-1.0, 1.0), "confirmed"),
        (HIGH, Between(-1.0, 1.0), "contrary"),
        (LOW, Between(-1.0, 1.0), "contrary"),
        (WIDE, Between(-1.0, 1.0), "undecided"),
        (HIGH[:2], Above(1.0), "undecided"),
    ],
)
def test_the_verdict_of_a_part(values, target, verdict):
    assert only(values, target).verdict == verdict


def test_the_numbers_of_a_part_are_those_of_scipy():
    result = only(HIGH, Above(4.5))
    assert result.p.confirmed == pytest.approx(
        stats.ttest_1samp(HIGH, 4.5, alternative="greater").pvalue
    )
    below, above = (
        stats.ttest_1samp(HIGH, value, alternative=side).pvalue
        for value, side in ((4.5, "less"), (0, "greater"))
    )
    assert result.p.contrary == pytest.approx(stats.ttest_1samp(HIGH, 0, alternative="less").pvalue)
    assert result.p.smaller == pytest.approx(max(below, above))
    assert result.p.none == pytest.approx(
        max(below, stats.ttest_1samp(HIGH, -4.5, alternative="greater").pvalue)
    )
    low, high = stats.ttest_1samp(HIGH, 0).confidence_interval(0.95)
    assert (result.interval.low, result.interval.high) == pytest.approx((low, high))
    low, high = stats.ttest_1samp(HIGH, 0).confidence_interval(0.90)
    result = only(HIGH, Between(-1, 1))
    assert (result.interval.low, result.interval.high) == pytest.approx((low, high))
    assert result.level == 0.90


def test_outside_the_bounds_is_tested_on_both_sides():
    one_sided = stats.ttest_1samp(HIGH, 1, alternative="greater").pvalue
    assert only(HIGH, Between(-1, 1)).p.contrary == pytest.approx(2 * one_sided)
    assert math.isnan(only(HIGH[:2], Between(-1, 1)).p.contrary)


@pytest.mark.parametrize(
    ("values", "target", "bound", "verdict"),
    [
        (HIGH, Above(1.0), "at least", "confirmed"),  # it may be even more
        (HIGH, Above(1.0), "at most", "undecided"),  # it may be less
        (LOW, Above(1.0), "at least", "undecided"),
        (LOW, Above(1.0), "at most", "contrary"),
        (LOW, Below(-1.0), "at most", "confirmed"),
        (LOW, Below(-1.0), "at least", "undecided"),
        (HIGH, Below(-1.0), "at most", "undecided"),
        (HIGH, Below(-1.0), "at least", "contrary"),
        (ZERO, Between(-1.0, 1.0), "at least", "undecided"),
        (HIGH, Between(-1.0, 1.0), "at least", "contrary"),
        (HIGH, Between(-1.0, 1.0), "at most", "undecided"),
    ],
)
def test_a_bound_shows_one_direction_alone(values, target, bound, verdict):
    result = only(values, target, [bound, "", "", "", ""])
    assert result.verdict == verdict
    assert result.censored == 1


def test_pairs_without_information_are_counted_and_left_out():
    result = only([*HIGH, math.nan], Above(1.0), [""] * 5 + ["none"])
    assert (result.verdict, result.interval.n, result.censored) == ("confirmed", 5, 1)


def test_more_than_half_without_information_is_undecided():
    values = [*HIGH[:4], *[math.nan] * 5]
    assert only(values, Above(1.0), [""] * 4 + ["none"] * 5).verdict == "undecided"
    assert only(values[:-1], Above(1.0), [""] * 4 + ["none"] * 4).verdict == "confirmed"


def test_a_value_that_is_no_number_has_no_interval():
    result = only([*HIGH, math.inf], Above(1.0))
    assert math.isnan(result.interval.estimate)
    assert math.isnan(result.interval.low)
    assert (result.interval.n, len(result.rows), result.censored) == (5, 6, 1)


def test_a_value_that_is_no_number_leaves_it_open():
    assert only([*HIGH, math.inf], Above(1.0)).verdict == "undecided"
    assert only([*HIGH, math.nan], Above(1.0)).verdict == "undecided"


def test_shares_are_tested_exactly():
    assert only([1.0] * 10, Above(0.5), scale="share").p.confirmed == pytest.approx(0.5**10)
    assert only([1.0] * 10, Above(0.5), scale="share").verdict == "confirmed"
    assert only([0.0] * 10, Above(0.5), scale="share").verdict == "contrary"
    assert only([1.0] * 4, Above(0.5), scale="share").verdict == "undecided"


def test_power_is_for_the_smallest_effect_of_interest():
    # n = 5, 2.5 % one-sided, power 0.8: an effect of 1.682 standard deviations (Cohen's tables)
    std = pd.Series(HIGH).std()
    assert only(HIGH, Above(1.0)).detectable == pytest.approx(1.682 * std, rel=1e-3)
    # and of that effect the power is 0.8; of another one it is that of the noncentral t
    assert only(HIGH, Above(0.0), interest=1.682 * std).power == pytest.approx(0.8, abs=1e-3)
    critical, away = stats.t.ppf(0.975, 4), 2.0 / std * math.sqrt(5)
    assert only(HIGH, Above(2.0)).power == pytest.approx(stats.nct.sf(critical, 4, away))


def test_the_power_of_equivalence_is_that_of_both_tests_at_no_difference():
    draws = np.random.default_rng(0).normal(0, 1, (300, 12))
    inside = [
        only(list(values), Between(-1.0, 1.0)).p.confirmed < ALPHA_BETWEEN for values in draws
    ]
    told = np.mean([only(list(values), Between(-1.0, 1.0)).power for values in draws[:100]])
    assert np.mean(inside) == pytest.approx(told, abs=0.08)  # of a spread that is estimated


def test_a_claim_needs_all_its_parts(study):
    both = claim("both", part(HIGH, Above(1.0)), part(ZERO, Between(-1.0, 1.0)))
    one = claim("one", part(HIGH, Above(1.0)), part(WIDE, Above(1.0)))
    none = claim("none", part(HIGH, Above(1.0)), part(LOW, Above(1.0)))
    verdicts = judge([both, one, none], study)
    assert [v.verdict for v in verdicts] == ["confirmed", "undecided", "contrary"]
    assert [v.decisive.name for v in verdicts] == ["part 0", "part 1", "part 1"]


def test_another_verdict_needs_one_part_and_a_level_has_no_smaller_one(study):
    small = claim("small", part(HIGH, Above(1.0)), part(SMALL, Above(1.0)))
    nothing = claim("nothing", part(HIGH, Above(1.0)), part(ZERO, Above(1.0)))
    level = claim("level", part(SMALL, Above(1.0), null=None))
    at_most = claim("at most", part(HIGH, Below(0.3)))
    verdicts = judge([small, nothing, level, at_most], study)
    told = ["smaller than claimed", "no effect", "contrary", "contrary"]
    assert [v.verdict for v in verdicts] == told
    assert [v.decisive.name for v in verdicts] == ["part 1", "part 1", "part 0", "part 0"]


def test_the_part_that_is_shown_has_the_verdict_by_itself_where_one_has(study):
    # surely below 1, and by itself surely above 0, which the adjustment takes back
    small = [0.08, 0.3, 0.2, 0.1, 0.32]
    assert only(small, Above(1.0)).verdict == "smaller than claimed"
    family = [claim(name, part(WIDE, Above(1.0))) for name in "abcd"]
    two = claim("two", part(small, Above(1.0)), part([*ZERO[:4], 0.4], Above(1.0)))
    verdict = judge([two, *family], study)[0]
    assert (verdict.verdict, verdict.decisive.name) == ("no effect", "part 1")
    assert verdict.parts[0].p.none < verdict.parts[1].p.none


def test_where_any_effect_would_do_none_is_one_within_the_smallest_of_interest(study):
    zero, far = part(ZERO, Above(0.0), interest=0.5), part(WIDE, Above(0.0), interest=0.5)
    assert [v.verdict for v in judge([claim("a", zero), claim("b", far)], study)] == [
        *("no effect", "undecided")
    ]
    assert only(SMALL, Above(0.0), interest=1.0).verdict == "confirmed"
    assert only([-v for v in SMALL], Above(0.0), interest=1.0).verdict == "contrary"


@pytest.mark.parametrize("mean", [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5])
def test_a_false_verdict_is_as_rare_as_its_level(mean):
    """Claimed is more than 1; drawn from normal numbers, 8 seeds, deviation 1."""
    draws = np.random.default_rng(1).normal(mean, 1.0, (500, 8))
    given = Counter(only(list(values), Above(1.0)).verdict for values in draws)
    wrong = {
        "confirmed": mean <= 1,
        "contrary": mean >= 0,
        "smaller than claimed": not 0 < mean < 1,
        "no effect": not -1 < mean < 1,
    }
    for verdict, is_wrong in wrong.items():
        if is_wrong:  # three standard deviations of a share of 0.025
            assert given[verdict] <= 500 * 0.025 + 3 * math.sqrt(500 * 0.025)


def test_a_reading_decides_nothing(study):
    (verdict,) = judge([claim("x", part(HIGH, Above(1.0)), part(LOW, None))], study)
    assert verdict.verdict == "confirmed"
    assert [result.verdict for result in verdict.parts] == ["confirmed", ""]


def test_the_family_is_adjusted_after_holm(study):
    # alone each would be confirmed; the p of a claim is the greatest of its parts'
    barely = [1.35, 2.6, 1.7, 2.2, 1.15]
    p = stats.ttest_1samp(barely, 1, alternative="greater").pvalue
    assert 0.01 < p < 0.025
    (alone,) = judge([claim("a", part(barely, Above(1.0)))], study)
    assert (alone.verdict, alone.p_holm) == ("confirmed", pytest.approx(p))
    verdicts = judge([claim(name, part(barely, Above(1.0))) for name in "abc"], study)
    assert {v.verdict for v in verdicts} == {"undecided"}
    assert [v.p_holm for v in verdicts] == pytest.approx(holm([p, p, p]))
    assert {v.parts[0].verdict for v in verdicts} == {"confirmed"}  # before the adjustment


def test_the_family_is_the_same_whatever_was_run(study):
    # one that lacks its runs, or whose bounds forbid the test, is of the family all the same
    p = stats.ttest_1samp(HIGH, 3.0, alternative="greater").pvalue
    run = claim("a", part(HIGH, Above(3.0)))
    censored = claim("b", part(HIGH, Above(1.0), ["at most", "at least", "", "", ""]))
    missing = Claim(
        "c", "It is so.", "N0", ("x",), "", "", parts={"a": ClaimPart("pp", lacking, Above(0.0))}
    )
    elsewhere = Claim("d", "It is so.", "N0", (), "", "", parts={}, reason="needs a GPU")
    verdicts = judge([run, censored, missing, elsewhere], study)
    assert verdicts[0].p_holm == pytest.approx(3 * p)
    assert math.isnan(verdicts[1].p_holm)
    # where it is known what the others were elsewhere, the row is what it was there
    there = judge([run, censored, claim("c", part(LOW, Below(-1.0)))], study)
    known = {"c": p_of(there[2].parts)}
    assert judge([run, censored, missing], study, known)[0].p_holm == there[0].p_holm < 3 * p


def test_problems_and_identities_are_not_of_the_family(study, exact_table):
    barely = [1.35, 2.6, 1.7, 2.2, 1.15]
    p = stats.ttest_1samp(barely, 1, alternative="greater").pvalue
    problem = replace(claim("M8", part(barely, Above(1.0))), experiments=("least_squares",))
    mixed = replace(claim("M2", part(barely, Above(1.0))), experiments=("x", "linear_net"))
    study.tables["exact"] = exact_table
    exact = Claim("E1", "It is so.", "N0", ("exact",), "", "")
    verdicts = judge([problem, mixed, exact], study)
    assert [v.p_holm for v in verdicts[:2]] == pytest.approx([p, p])
    assert [v.verdict for v in verdicts] == ["confirmed", "confirmed", "contrary"]
    assert [family_of(v.claim) for v in verdicts] == ["", "first", ""]
    twice = judge([problem, mixed, replace(mixed, id="M3")], study)
    assert [v.p_holm for v in twice] == pytest.approx([p, 2 * p, 2 * p])


def test_additions_are_a_family_of_their_own(study):
    barely = [1.35, 2.6, 1.7, 2.2, 1.15]
    p = stats.ttest_1samp(barely, 1, alternative="greater").pvalue
    names = ("B1", "A1a", "C1", "A2", "A12")
    verdicts = judge([claim(name, part(barely, Above(1.0))) for name in names], study)
    families = [family_of(verdict.claim) for verdict in verdicts]
    assert families == ["first", "added", "first", "added", "added"]
    assert [v.p_holm for v in verdicts] == pytest.approx([2 * p, 3 * p, 2 * p, 3 * p, 3 * p])
    later = [claim(name, part(barely, Above(1.0))) for name in ("A11a", "P4")]
    again = judge([*(verdict.claim for verdict in verdicts), *later], study)
    assert [v.p_holm for v in again] == pytest.approx([*(v.p_holm for v in verdicts), 2 * p, 2 * p])
    # the median, and the first half of the seeds, of claims of either family
    assert {one.claim for one in other_choices(verdicts)} == {*names}


@pytest.mark.slow
@pytest.mark.parametrize("data", ["digits", "fashion_mnist"])
def test_additions_change_nothing_that_was_judged_before_them(data, tmp_path):
    """The committed evidence, judged with and without claims whose p-values are the smallest."""
    board = REFERENCE / "claims" / data
    claims = [
        c
        for c in recorded(claims_on(data).values(), board)
        if c.id[0] != ADDITION and family_of(c) != "later"
    ]
    certain = [claim(f"A{n}", part([5.0 + k / 99 for k in range(99)], Above(1.0))) for n in (1, 2)]
    written = {}
    for name, every in (("with", [*claims, *certain]), ("without", claims)):
        folder = tmp_path / name / data
        files.write(judge(every, RecordedMeasurements(board)), folder)
        for file in ("scoreboard.csv", "parts.csv", "sensitivity.csv"):
            lines = (folder / file).read_text(encoding="utf-8").splitlines()
            written[name, file] = [line for line in lines if line[0] != ADDITION]
            assert (len(lines) > len(written[name, file])) == (name == "with")
    for file in ("scoreboard.csv", "parts.csv", "sensitivity.csv"):
        assert len(written["with", file]) > 40
        assert written["with", file] == written["without", file]


def test_a_mixed_claim_is_at_one_level_throughout(study):
    mixed = claim("x", part(ZERO, Between(-1.0, 1.0)), part(HIGH, Above(1.0)))
    (verdict,) = judge([mixed], study)
    assert {(one.alpha, one.level) for one in verdict.parts} == {(0.025, 0.95)}
    (verdict,) = judge([claim("x", part(ZERO, Between(-1.0, 1.0)))], study)
    assert {(one.alpha, one.level) for one in verdict.parts} == {(0.05, 0.9)}


def test_a_contrary_verdict_by_one_of_several_parts_costs_their_number(study):
    p = stats.ttest_1samp(LOW, 0, alternative="less").pvalue
    (verdict,) = judge([claim("x", part(LOW, Above(1.0)), *[part(HIGH, Above(1.0))] * 3)], study)
    assert verdict.p_holm == pytest.approx(4 * p)


def test_equivalence_alone_is_judged_at_five_percent(study):
    near = [0.2, 0.9, 0.5, -0.4, 1.0]
    p = max(
        stats.ttest_1samp(near, 1, alternative="less").pvalue,
        stats.ttest_1samp(near, -1, alternative="greater").pvalue,
    )
    assert 0.025 < p < 0.05
    (verdict,) = judge([claim("x", part(near, Between(-1.0, 1.0)))], study)
    assert verdict.verdict == "confirmed"
    mixed = claim("x", part(near, Between(-1.0, 1.0)), part(HIGH, Above(1.0)))
    assert judge([mixed], study)[0].verdict == "undecided"


def lacking(study):
    raise LackingError("no runs of the experiment x")


def test_what_is_lacking_is_no_verdict(study):
    missing = Claim(
        "m", "It is so.", "N0", ("x",), "", "", parts={"a": ClaimPart("pp", lacking, Above(0.0))}
    )
    reading = claim("r", part(HIGH, Above(1.0)), other=ClaimPart("pp", lacking))
    elsewhere = Claim("e", "It is so.", "N0", (), "", "", parts={}, reason="needs a GPU")
    verdicts = judge([missing, reading, elsewhere], study)
    assert [v.verdict for v in verdicts] == ["not run here", "confirmed", "not run here"]
    assert [v.reason for v in verdicts] == ["no runs of the experiment x", "", "needs a GPU"]
    assert [len(v.parts) for v in verdicts] == [0, 1, 0]


@pytest.fixture
def exact_table():
    return pd.DataFrame(
        [
            ("E1", "a", "error", 1e-12, "<=", 1e-10, True),
            ("E1", "b", "error", 0.5, "<=", 0.1, False),
        ],
        columns=["claim", "part", "statistic", "estimate", "direction", "bound", "holds"],
    )


def test_an_exact_claim_fails_by_one_number(study, exact_table):
    exact = Claim("E1", "It is so.", "N0", ("exact",), "", "", parts={})
    study.tables["exact"] = exact_table
    (verdict,) = judge([exact], study)
    assert verdict.verdict == "contrary"
    row = dict(zip(files.SCOREBOARD, files.scoreboard_row(verdict, "digits"), strict=True))
    assert (row["estimate"], row["sesoi_high"], row["n"]) == ("0.5", "0.1", "1")
    study.tables["exact"] = exact_table.assign(holds=True)
    (verdict,) = judge([exact], study)
    assert verdict.verdict == "confirmed"


def test_the_files_of_the_claims(study, exact_table, tmp_path):
    study.tables["exact"] = exact_table
    values = [math.log(2) + step for step in (-0.01, 0.0, 0.0, 0.01)]
    other = part(values, Above(math.log(1.5)), scale="log")
    ratio = replace(other, choices={"threshold 0.9": other, "rate": ClaimPart("pp", lacking)})
    claims = [
        Claim("E1", "It is so.", "N0", ("exact",), "", "", parts={}),
        claim("C1", ratio, reading=part(HIGH, None)),
        Claim("P4", "It is so.", "N0", (), "", "", parts={}, reason="needs a GPU"),
    ]
    verdicts = judge(claims, study)
    folder = tmp_path / "digits"
    files.write(verdicts, folder)
    board = pd.read_csv(folder / "scoreboard.csv")
    assert list(board) == files.SCOREBOARD
    c1 = board.set_index("claim").loc["C1"]
    half = 3.1824 * math.sqrt(0.0002 / 3) / 2  # of the logarithm: t(3) s/√n
    numbers = (c1["estimate"], c1["ci_low"], c1["sesoi_low"])
    assert numbers == pytest.approx((2, 2 * math.exp(-half), 1.5), rel=1e-5)
    assert (c1["n"], c1["ci_level"]) == (4, 0.95)
    assert c1["command"] == "make claims ARGS=claims=C1"
    parts = pd.read_csv(folder / "parts.csv")
    assert list(parts["role"]) == ["verdict", "choice", "reading"]
    assert list(parts["part"]) == ["part 0", "part 0: threshold 0.9", "reading"]
    assert list(parts["scale"]) == ["log", "log", "linear"]
    assert list(parts["seeds"]) == [4, 4, 5]
    assert parts["interest"][0] == pytest.approx(1.5)
    assert parts["null"][0] == 1.0  # of a ratio
    assert c1["distance"] == pytest.approx(0.5)
    assert files.p_values(folder) == {"C1": p_of(verdicts[1].parts)}
    assert files.p_values(tmp_path / "nowhere") == {}
    evidence = pd.read_csv(folder / "evidence" / "C1.csv")
    assert list(evidence) == files.EVIDENCE
    assert list(evidence["value"][:4]) == pytest.approx(values)
    assert list(evidence["role"]) == ["verdict"] * 4 + ["choice"] * 4 + ["reading"] * 5
    assert evidence["treatment_rate"].isna().all()  # not measured, as of an older measure
    sensitivity = pd.read_csv(folder / "sensitivity.csv")
    assert list(sensitivity["choice"]) == ["threshold 0.9", "median", "half"]
    assert list(sensitivity["estimate"]) == pytest.approx([2, 2, 2 * math.exp(-0.005)], rel=1e-9)
    assert list(pd.read_csv(folder / "evidence" / "E1.csv")) == files.EXACT
    assert not (folder / "evidence" / "P4.csv").exists()


def test_the_same_numbers_write_the_same_bytes(study, tmp_path):
    for name in ("one", "two"):
        files.write(judge([claim("C1", part(HIGH, Above(1.0)))], study), tmp_path / name / "digits")
    for file in ("scoreboard.csv", "parts.csv", "evidence/C1.csv"):
        one, two = ((tmp_path / name / "digits" / file).read_bytes() for name in ("one", "two"))
        assert one == two
