"""Statistics of test accuracy under shifts, relative to the accuracy on clean test images.

A net is evaluated under shifts once, at the end of its run. So the accuracy on clean images that it
is compared with is that of the same net: the final one, not the mean of the last five evaluations.
"""

from collections.abc import Sequence

import pandas as pd

from bnbench.analysis.stats import ACCURACY
from bnbench.claims.curves import POINTS, OfRuns
from bnbench.claims.records import Measure
from bnbench.claims.statistics import SideValues, compared, gap, rows_of, side
from bnbench.claims.study import LackingError, Study, StudyArm
from bnbench.config.points import CLEAN_POLICIES


def shifted(
    study: Study,
    arm: StudyArm,
    frame: pd.DataFrame,
    policy: str,
    shifts: Sequence[str],
    severities: Sequence[int],
) -> pd.DataFrame:
    """Read the accuracies of runs under shifts, a column per (shift, severity).

    Raises:
        LackingError: the runs were not evaluated under these shifts and this policy.
    """
    table = study.experiment(arm.experiment).shifts
    mine = (table["arm"] == frame["arm"].iloc[0]) & table["seed"].isin(frame.index)
    table = table[mine & (table["policy"] == policy) & (table["metric"] == "accuracy")]
    wide = table.astype({"shift": str}).pivot(
        index="seed", columns=["shift", "severity"], values="value"
    )
    wanted = [(shift, severity) for shift in shifts for severity in severities]
    if absent := [key for key in wanted if key not in wide]:
        raise LackingError(f"{arm.experiment}: no accuracy under {absent[0][0]}@{policy}")
    return wide.loc[frame.index, wanted]


def clean_key(policy: str) -> str:
    """The key of the clean test metric under a policy."""
    return ACCURACY if policy in CLEAN_POLICIES else f"test@{policy}/accuracy"


def retained_gap(
    treatment: StudyArm,
    baseline: StudyArm,
    shifts: Sequence[str],
    severities: Sequence[int],
    policies: tuple[str, str] = ("ema", "none"),
) -> Measure:
    """Measure the share of clean accuracy left under shift, treatment minus baseline, in pp.

    Each side's accuracies under the shifts are averaged, then divided by its own clean one: nets of
    different clean accuracy are comparable.
    """

    def share(policy: str) -> OfRuns:
        def number(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
            mean = shifted(study, arm, runs, policy, shifts, severities).mean(axis=1)
            return POINTS * mean / study.final(runs, clean_key(policy))

        return number

    return compared(treatment, baseline, *map(share, policies))


def recovered(
    arm: StudyArm, policy: str, shifts: Sequence[str], severities: Sequence[int], plain: str = "ema"
) -> Measure:
    """Measure the share of the accuracy lost to shifts that a policy brings back.

    Σ(adapted - plain)/Σ(clean - plain). The sums run over shifts and severities, so that a shift
    that costs next to nothing is no divisor by itself.
    """

    def measure(study: Study) -> pd.DataFrame:
        (frame,) = study.paired([arm])
        before = shifted(study, arm, frame, plain, shifts, severities)
        after = shifted(study, arm, frame, policy, shifts, severities).mean(axis=1)
        clean, before = study.final(frame, clean_key(plain)), before.mean(axis=1)
        share = (after - before) / (clean - before)
        return rows_of(share, side(POINTS * after, frame), side(POINTS * before, frame))

    return measure


def recovered_gap(
    treatment: StudyArm,
    baseline: StudyArm,
    policies: tuple[str, str],
    shifts: Sequence[str],
    severities: Sequence[int],
) -> Measure:
    """Measure the share recovered in one net minus the share in a net without statistics."""
    one = recovered(treatment, policies[0], shifts, severities)
    other = recovered(baseline, policies[1], shifts, severities, "none")

    def measure(study: Study) -> pd.DataFrame:
        study.paired([treatment, baseline])
        a, b = one(study).set_index("seed"), other(study).set_index("seed")
        of_a, of_b = (
            SideValues(x["value"], x["treatment_arm"], x["treatment_rate"]) for x in (a, b)
        )
        return rows_of(a["value"] - b["value"], of_a, of_b)

    return measure


def change(arm: StudyArm, policy: str, plain: str = "ema") -> Measure:
    """Measure the change of clean test accuracy from one policy to another, in pp.

    It is no shift: each is the mean of the last five evaluations.
    """
    return gap(arm, arm, clean_key(policy), baseline_key=clean_key(plain))


def cost(arm: StudyArm, policy: str, shift: str, severity: int = 5) -> Measure:
    """Measure the change of accuracy from clean to shifted test images, in pp, one policy."""

    def number(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        return POINTS * shifted(study, arm, runs, policy, [shift], [severity]).mean(axis=1)

    def clean(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        return POINTS * study.final(runs, clean_key(policy))

    return compared(arm, arm, number, clean)
