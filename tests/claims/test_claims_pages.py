import math
import re

import pandas as pd
import pytest

from bnbench.claims import files
from bnbench.claims.judge import judge
from bnbench.claims.pages import part_view, view, write_page
from bnbench.claims.records import Above, Claim, ClaimPart, Overlay
from bnbench.claims.registry.table import CLAIMS, FAMILIES
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
    {
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
    assert "speed reading – 5.00000× [5.00000, 5.00000]" in text  # 75 / 15 steps, in each seed
    assert page.count("<img") == 2  # the evidence, and our curves beside the published ones


def test_the_words_of_every_claim_have_a_place():
    verdicts = {v.claim.id: v for v in judge(CLAIMS.values(), ByName())}
    views = [view(verdict) for verdict in verdicts.values()]
    assert [one.id for one in views] == list(CLAIMS)
    assert {one.family for one in views} == set(FAMILIES.values())
    assert all(one.reason for one in views)  # nothing has been run


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
