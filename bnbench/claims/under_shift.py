"""Statistics of test accuracy under shifts of the test images, beside that on the clean ones."""

from collections.abc import Sequence

import pandas as pd

from bnbench.claims.records import Measure
from bnbench.claims.statistics import ACCURACY, POINTS, rows_of
from bnbench.claims.study import Arm, LackingError, Study

PLAIN = ("ema", "none")  # policies whose clean accuracy is the plain one


def shifted(
    study: Study,
    arm: Arm,
    frame: pd.DataFrame,
    policy: str,
    shifts: Sequence[str],
    severities: Sequence[int],
) -> pd.DataFrame:
    """Accuracies of runs, a column per (shift, severity).

    Raises:
        LackingError: the runs were not evaluated so.
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
    """The metric of clean test images under a policy."""
    return ACCURACY if policy in PLAIN else f"test@{policy}/accuracy"


def retained_gap(
    treatment: Arm,
    baseline: Arm,
    shifts: Sequence[str],
    severities: Sequence[int],
    policies: tuple[str, str] = ("ema", "none"),
) -> Measure:
    """Share of the clean accuracy that is left under shift, treatment minus baseline, in pp.

    Each side's accuracies under the shifts are averaged, then divided by its own clean one: nets of
    different clean accuracy are comparable.
    """

    def measure(study: Study) -> pd.DataFrame:
        one, other = study.paired([treatment, baseline])

        def share(arm: Arm, frame: pd.DataFrame, policy: str) -> pd.Series:
            mean = shifted(study, arm, frame, policy, shifts, severities).mean(axis=1)
            return POINTS * mean / study.final(frame, clean_key(policy))

        a, b = share(treatment, one, policies[0]), share(baseline, other, policies[1])
        return rows_of(a - b, a, b, one["arm"], other["arm"])

    return measure


def recovered(
    arm: Arm, policy: str, shifts: Sequence[str], severities: Sequence[int], plain: str = "ema"
) -> Measure:
    """The share of what shifts cost that a policy brings back: Σ(adapted - plain)/Σ(clean - plain).

    Sums run over shifts and severities, so that nothing is divided by what one costs that costs
    next to nothing.
    """

    def measure(study: Study) -> pd.DataFrame:
        (frame,) = study.paired([arm])
        before = shifted(study, arm, frame, plain, shifts, severities)
        after = shifted(study, arm, frame, policy, shifts, severities).mean(axis=1)
        clean, before = study.final(frame, clean_key(plain)), before.mean(axis=1)
        share = (after - before) / (clean - before)
        return rows_of(share, POINTS * after, POINTS * before, frame["arm"], frame["arm"])

    return measure


def recovered_gap(one: Measure, other: Measure) -> Measure:
    """What one way brings back minus what another does, of different nets that share seeds."""

    def measure(study: Study) -> pd.DataFrame:
        a, b = one(study).set_index("seed"), other(study).set_index("seed")
        if list(a.index) != list(b.index):
            raise LackingError("the two nets do not have the same seeds")
        value = a["value"] - b["value"]
        return rows_of(value, a["value"], b["value"], a["treatment_arm"], b["treatment_arm"])

    return measure


def change(
    arm: Arm, policy: str, shift: str | None, severity: int = 5, plain: str = "ema"
) -> Measure:
    """Accuracy under a policy minus the plain one, in pp: on clean test images, or shifted ones."""

    def measure(study: Study) -> pd.DataFrame:
        (frame,) = study.paired([arm])
        if shift is None:
            a, b = study.final(frame, clean_key(policy)), study.final(frame, clean_key(plain))
        else:
            sides = [shifted(study, arm, frame, p, [shift], [severity]) for p in (policy, plain)]
            a, b = (side.mean(axis=1) for side in sides)
        return rows_of(POINTS * (a - b), POINTS * a, POINTS * b, frame["arm"], frame["arm"])

    return measure
