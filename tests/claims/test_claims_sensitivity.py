"""What flips under another choice, and what is only less certain."""

import doctest
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench.claims import sensitivity
from bnbench.claims.judge import ALPHA, judge, measure_part
from bnbench.claims.records import Above, Below, Between, Claim, ClaimPart
from bnbench.claims.registry.table import ON_DATA, claims_on
from bnbench.claims.sensitivity import depends_on, is_said, other_choices

HIGH = [4.0, 5.0, 6.0, 5.5, 4.5, 5.2, 4.8, 5.1]
LOW = [-value for value in HIGH]
WIDE = [-9.0, 8.0, 1.0, -4.0, 5.0, 3.0, -2.0, 6.0]  # mean 1
ABOVE = Above(1.0)
SMALL = [value / 10 for value in HIGH]


def part(values, target=ABOVE, choices=None, first_seed=0, **options):
    n = len(values)
    columns = {
        "seed": range(first_seed, first_seed + n),
        "value": values,
        **dict.fromkeys(("treatment", "baseline", "treatment_arm", "baseline_arm"), [math.nan] * n),
        "bound": [""] * n,
    }
    table = pd.DataFrame(columns)
    return ClaimPart("pp", lambda study: table, target, choices=choices or {}, **options)


def claim(name, *parts):
    every = {f"part {number}": each for number, each in enumerate(parts)}
    return Claim(name, "It is so.", "N0", ("x",), "digits", "above", parts=every)


def choices_on(study, *claims):
    rows = other_choices(judge(claims, study))
    return {(row.claim, row.choice): row for row in rows}


def test_a_choice_that_decides_otherwise_flips(study):
    one = part(HIGH, choices={"threshold 0.9": part(LOW), "threshold 0.95": part(HIGH)})
    rows = choices_on(study, claim("a", one))
    assert [choice for _, choice in rows] == [
        *("threshold 0.9", "threshold 0.95", "median", "half")
    ]
    assert {choice: row.verdict for (_, choice), row in rows.items()} == {
        "threshold 0.9": "contrary",
        "threshold 0.95": "confirmed",
        "median": "confirmed",
        "half": "confirmed",
    }
    assert [row.flips for row in rows.values()] == [True, False, False, False]
    assert depends_on(list(rows.values())) == {"a": "threshold"}


def test_what_is_only_less_certain_is_no_flip(study):
    wide = [value + 2 for value in WIDE]  # mean 3: undecided, on the same side of 1
    below = [value - 2 for value in WIDE]  # mean -1: undecided, on the other side
    one = part(HIGH, choices={"rate above": part(wide), "rate below": part(below)})
    rows = choices_on(study, claim("a", one))
    verdicts = [rows["a", f"rate {where}"].verdict for where in ("above", "below")]
    assert verdicts == ["undecided", "undecided"]
    assert [rows["a", f"rate {where}"].flips for where in ("above", "below")] == [False, True]
    assert depends_on(list(rows.values())) == {"a": "rate"}
    # the other way round: undecided, and decided under the choice
    for values, flips in ((wide, False), (below, True)):
        rows = choices_on(study, claim("a", part(values, choices={"rate above": part(HIGH)})))
        assert rows["a", "rate above"].verdict == "confirmed"
        assert rows["a", "rate above"].flips == flips


def test_two_undecided_verdicts_never_differ(study):
    one = part(WIDE, choices={"rate": part([value - 4 for value in WIDE])})
    row = choices_on(study, claim("a", one))["a", "rate"]
    assert (row.verdict, row.flips) == ("undecided", False)


def test_to_confirm_all_parts_are_needed_so_any_on_the_other_side_flips(study):
    below = part([value - 2 for value in WIDE])
    two = claim("a", part(HIGH), part(HIGH, choices={"threshold 0.9": below}))
    row = choices_on(study, two)["a", "threshold 0.9"]
    assert (row.verdict, row.flips, row.decisive.name) == ("undecided", True, "part 1")


def test_a_part_without_the_choice_keeps_its_own_numbers(study):
    two = claim("a", part(HIGH, choices={"rate above": part(SMALL)}), part(HIGH))
    row = choices_on(study, two)["a", "rate above"]
    assert (row.verdict, row.decisive.name) == ("smaller than claimed", "part 0")
    assert row.decisive.interval.estimate == pytest.approx(np.mean(SMALL))


def test_a_choice_without_runs_is_left_out(study):
    lacking = ClaimPart("pp", lambda own: own.measured("nothing"), Above(1.0))
    rows = choices_on(study, claim("a", part(HIGH, choices={"rate above": lacking})))
    assert [choice for _, choice in rows] == ["median", "half"]


def test_under_a_choice_the_others_of_the_family_keep_their_p_values(study):
    barely = [1.35, 2.6, 1.7, 2.2, 1.15]
    one = claim("a", part(HIGH, choices={"rate": part(barely)}))
    assert choices_on(study, one)["a", "rate"].verdict == "confirmed"  # p = 0.016, alone
    beside = claim("b", part(WIDE))
    row = choices_on(study, one, beside)["a", "rate"]
    assert (row.verdict, row.flips) == ("undecided", False)  # 2 p


def test_only_claims_about_training_that_were_judged_have_other_choices(study):
    problem = replace(claim("M8", part(HIGH)), experiments=("least_squares",))
    missing = replace(claim("m", ClaimPart("pp", lambda own: own.measured("x"), Above(0.0))))
    assert other_choices(judge([problem, missing], study)) == []


def test_half_is_the_lower_half_of_the_seeds_and_the_greater_where_they_are_odd(study):
    values = [9.0, 1.0, 2.0, 3.0, 100.0]
    shuffled = part(values).measure(None).iloc[[4, 0, 3, 1, 2]]
    one = ClaimPart("pp", lambda own: shuffled, Above(1.0))
    row = choices_on(study, claim("a", one))["a", "half"]
    assert (row.decisive.interval.estimate, row.decisive.interval.n) == (4.0, 3)


def test_the_median_is_tested_by_the_signs(study):
    # one seed far off: the mean is not surely above 1, and seven of eight are
    row = choices_on(study, claim("a", part([*HIGH[:7], -40.0])))["a", "median"]
    assert row.decisive.interval.estimate == pytest.approx(4.9)
    assert row.decisive.p.confirmed == pytest.approx((8 + 1) / 2**8)
    logs = part([math.log(value) for value in HIGH], Above(math.log(1.5)), scale="log")
    row = choices_on(study, claim("a", logs))["a", "median"]
    assert row.decisive.part.scale == "log"  # shown as the ratio that it is
    share = part([1.0] * 8, Above(0.5), scale="share")
    assert list(choices_on(study, claim("a", share))) == [("a", "half")]


@pytest.mark.parametrize(
    ("verdict", "target", "options", "yes", "no"),
    [
        ("confirmed", Above(1.0), {}, [1.0, 2.0], [0.9, -3.0]),
        ("confirmed", Below(-1.0), {}, [-2.0], [-0.5, 3.0]),
        ("confirmed", Between(-1.0, 1.0), {}, [-1.0, 0.0], [1.1, -2.0]),
        ("contrary", Between(-1.0, 1.0), {}, [1.1, -2.0], [0.0]),
        ("contrary", Above(1.0), {}, [-0.1, 0.0], [0.1, 2.0]),
        ("contrary", Below(-1.0), {}, [0.1], [-0.1]),
        ("contrary", Above(1.0), {"null": None}, [0.9], [1.1]),
        ("contrary", Below(0.3), {}, [0.4], [0.2]),
        ("contrary", Above(0.5), {"scale": "share"}, [0.4], [0.6]),
        ("smaller than claimed", Above(1.0), {}, [0.0, 0.5, 1.0], [-0.1, 1.1]),
        ("smaller than claimed", Below(-1.0), {}, [-0.5], [0.1, -1.1]),
        ("no effect", Above(1.0), {}, [-0.9, 0.9], [-1.1, 1.1]),
        ("no effect", Above(0.0), {"interest": 0.5}, [0.4, -0.4], [0.6]),
    ],
)
def test_what_a_verdict_says_of_a_mean(verdict, target, options, yes, no):
    one = part(HIGH, target, **options)
    assert all(is_said(verdict, one, estimate) for estimate in yes)
    assert not any(is_said(verdict, one, estimate) for estimate in no)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-20, 20), min_size=3, max_size=12),
    st.sampled_from([Above(1.0), Above(0.0), Below(-1.0), Below(0.5), Between(-1.0, 1.0)]),
    st.sampled_from([0.0, None]),
)
def test_a_decided_part_says_what_its_own_estimate_says(values, target, null):
    """So that no verdict flips by itself."""
    one = part(values, target, null=null, interest=1.0)
    result = measure_part("a", one, one.measure(None), ALPHA)
    if result.verdict != "undecided":
        assert is_said(result.verdict, one, result.interval.estimate)


def test_kinds_of_choices_are_named_once_in_their_order(study):
    choices = {name: part(LOW) for name in ("threshold 0.8", "rate above", "threshold 0.9")}
    rows = other_choices(judge([claim("a", part(HIGH, choices=choices))], study))
    assert depends_on(rows) == {"a": "threshold+rate"}


def test_every_choice_of_the_registry_could_decide():
    for data in ("digits", *ON_DATA):
        for name, one in claims_on(data).items():
            for key, own in one.verdict_parts.items():
                for choice, other in own.choices.items():
                    assert other.target is not None, (data, name, key, choice)
                    assert choice.split()[0] not in (sensitivity.MEDIAN, sensitivity.HALF)


def test_the_examples_in_the_docs_hold():
    assert doctest.testmod(sensitivity).failed == 0
