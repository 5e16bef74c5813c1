import math
import re
from dataclasses import replace

import pandas as pd
import pytest
from scipy import stats

from bnbench.claims import files
from bnbench.claims.judge import judge
from bnbench.claims.pages import BY_DEPTH, depths, part_view, view, write_page
from bnbench.claims.records import Above, Claim, ClaimPart, Overlay, Sizing
from bnbench.claims.registry.table import FAMILIES, claims_on
from bnbench.claims.statistics import gap, speedup
from bnbench.claims.study import StudyArm

NONE = StudyArm("x", {"norm.name": "none"}, 0.1)
BN = NONE.but(norm__name="batchnorm")
CLAIM = Claim(
    "C1",
    "A net <b>ends</b> higher with BN.",
    "N0 & N1",
    ("x",),
    "three seeds by hand",
    "above 0",
    parts={
        "end": ClaimPart("test accuracy (pp)", gap(BN, NONE), Above(0.0), interest=1.0),
        "speed": ClaimPart("steps without / with", speedup(BN, NONE), scale="log"),
    },
    overlay=Overlay("fig1a", "a net", {"without BN": NONE, "with BN": BN}),
)


@pytest.fixture
def judged(study, tmp_path):
    for seed, bn in ((0, 0.95), (1, 0.97), (2, 0.96)):
        study.run("a", seed, acc=0.9)
        study.run("b", seed, acc=bn, norm__name="batchnorm")
        for arm, steps in (("a", 80), ("b", 20)):
            points = [(s, float(s >= steps)) for s in range(10, 101, 10)]
            study.points += [(arm, seed, step, "val/accuracy", value) for step, value in points]
    study.run("a", 100, val=0.5)
    study.results = tmp_path
    verdicts = judge([CLAIM], study)
    files.write(verdicts, study.folder)
    return verdicts, study


@pytest.mark.slow
def test_the_page_says_what_was_claimed_found_and_how_to_rerun_it(judged):
    verdicts, study = judged
    page = write_page(verdicts, study, {"Commit": "0123"}).read_text(encoding="utf-8")
    text = re.sub(r"<style>.*?</style>|<[^>]+>|data:image[^\"]+", " ", page, flags=re.S)
    text = " ".join(text.split())
    # 5, 7, 6 pp: mean 6, s = 1, t(2) = 4.303
    low, high = (6 + sign * 4.303 / math.sqrt(3) for sign in (-1, 1))
    assert f"+6.0 pp [+{low:.1f}, +{high:.1f}]" in text
    for words in ("A net &lt;b&gt;ends", "N0 &amp; N1", "✓ confirmed", "ARGS=claims=C1", "0123"):
        assert words in text
    # 75 / 15 steps in each of three seeds, which are too few to agree by more than chance
    assert "speed reading – 5.00× – 3 " in text
    assert page.count("<img") == 2  # the evidence, and our curves beside the published ones


def test_the_words_of_every_claim_have_a_place():
    claims = claims_on("digits")
    verdicts = {v.claim.id: v for v in judge(claims.values(), ByName())}
    views = [view(verdict) for verdict in verdicts.values()]
    assert [one.id for one in views] == list(claims)
    assert {one.family for one in views} == set(FAMILIES.values())
    assert all(one.reason for one in views)  # nothing has been run


def test_depths_are_means_over_seeds_of_one_quantity_on_some_images():
    rows = [
        (seed, f"{quantity}, {images}, {net}, none@{depth}", level + depth + seed)
        for seed in (20, 21, 22)
        for quantity, level in (("gap", 0.0), ("stable rank", 100.0), ("stable rank after", 200.0))
        for images in ("white", "aligned")
        for net in ("linear", "ReLU")
        for depth in (1, 50)
    ]
    table = depths(
        pd.DataFrame(rows, columns=["seed", "quantity", "value"]), "stable rank", "white"
    )
    assert table[["net", "arm", "depth", "estimate", "n"]].to_numpy().tolist() == [
        [net, "none", depth, 121.0 + depth, 3] for net in ("linear", "ReLU") for depth in (1, 50)
    ]
    half = 4.302653 / math.sqrt(3)  # of 20, 21 and 22 beside their mean
    assert (table["high"] - table["estimate"]).tolist() == pytest.approx([half] * 4)


def test_every_problem_that_has_a_figure_over_depth_is_of_untrained_nets():
    claims = claims_on("digits")
    untrained = {name for name, claim in claims.items() if "random_nets" in claim.experiments}
    assert {*BY_DEPTH} == untrained


class ByName:
    """A study that has nothing."""

    def __getattr__(self, name):
        from bnbench.claims.study import LackingError

        raise LackingError(f"no {name}")


@pytest.mark.parametrize(
    ("statistic", "unit"),
    [
        ("test accuracy (pp), with BN minus without", "pp"),
        ("test accuracy (%)", "%"),
        ("cosine, with BN minus without", ""),
    ],
)
def test_the_unit_of_a_part_is_what_its_statistic_names(statistic, unit):
    part = part_view("a", ClaimPart(statistic, lambda study: pd.DataFrame()))
    assert (part.unit, part.ratio) == (unit, False)
    assert part_view("a", ClaimPart("steps", lambda study: pd.DataFrame(), scale="log")).ratio


def test_the_size_of_a_part_is_told_with_its_power():
    def part(target, sizing, **options):
        return ClaimPart("test accuracy (pp)", lambda study: None, target, sizing=sizing, **options)

    one = part(Above(1.0), Sizing(1.5, 0.6, 20, "a pilot of 5 seeds"))
    words = part_view("a", one, 0.025 / 30).sizing
    # noncentral t at 0.025/30: the mean lies 0.5/0.6·√20 standard errors beyond the bound
    critical = stats.t.ppf(1 - 0.025 / 30, 19)
    power = stats.nct.sf(critical, 19, 0.5 / 0.6 * math.sqrt(20))
    assert words == (
        f"20 seeds: power {power:.2f} after the adjustment if the mean is 1.5 pp with s.d. 0.6 pp "
        "(a pilot of 5 seeds)."
    )
    ratio = part(Above(math.log(1.2)), Sizing(math.log(2), 0.3, 10, "guess"), scale="log")
    assert "if the ratio is 2× with s.d. 0.3 of its logarithm" in part_view("a", ratio).sizing
    share = part(Above(0.5), Sizing(0.9, 0.3, 14, "guess"), scale="share")
    assert "if the share is 0.9 (guess)" in part_view("a", share).sizing
    grid = part(Above(0.5), Sizing(1.0, 0.2, 14, "guess"), scale="grid")
    assert "if the median is 1 pp" in part_view("a", grid).sizing
    assert part_view("a", part(Above(1.0), None)).sizing == ""
    assert part_view("a", part(None, Sizing(1.0, 1.0, 3, "guess"))).sizing == ""


def test_a_view_has_the_reasons_and_the_other_choices(study):
    other = ClaimPart("test accuracy (pp)", gap(BN, NONE), Above(0.0))
    parts = {"end": replace(CLAIM.parts["end"], choices={"rate above": other})}
    why = dict.fromkeys(("why_statistic", "why_bound", "would_change", "by_construction"), "So.")
    (verdict,) = judge([replace(CLAIM, parts=parts, **why)], study)
    shown = view(verdict)
    assert {getattr(shown, key) for key in why} == {"So."}
    assert [(one.name, one.unit) for one in shown.parts] == [
        ("end", "pp"),
        ("end: rate above", "pp"),
    ]
