"""From what an experiment varied and what its runs logged to the panels that compare its arms.

Panels follow the grouping of the table of runs: by norm, by placement, and by whatever else tells
the arms apart, so that a line is one arm and its band is the spread over seeds, never over arms.
"""

import re

import pandas as pd

from bnbench.analysis.load import ExperimentData, config_columns, final
from bnbench.config.labels import POLICIES, metric_label, setting_label
from bnbench.dashboard.records import (
    STEP,
    Bars,
    Curves,
    Dashboard,
    Key,
    Logged,
    Panel,
    Parallel,
    Points,
    Section,
    Text,
)
from bnbench.tracking.wandb_keys import PLAIN, RATE, shift_key

ALWAYS = ("norm.name", "placement")  # what runs are grouped by first
# what tells arms apart is looked for here first, since it is what people vary on purpose
TELLING = (
    *("model.name", "optim.lr_mult", "batch_size", "optim.lr_scaling", "optim.base_lr"),
    *("train.steps", "data.train_images"),
)
LR_MULT, BATCH = Key("config", "optim.lr_mult"), Key("config", "batch_size")
CURVES = ("val/accuracy", "val/loss", "train/loss")
ENDS = ("test/accuracy", "val/loss")  # what is drawn against a setting
LOGARITHMIC = ("learning_rate", "optim.lr_mult", "optim.base_lr", "batch_size")
SHIFT = re.compile(r"shift(?:@(\w+))?/accuracy/(\w+)-(\d)")


def keys_logged(experiment: ExperimentData) -> Logged:
    """The keys that W&B runs have of what an experiment's CSV files hold, as they are logged."""
    curves = experiment.curves[["split", "metric", "layer"]].drop_duplicates()
    shifts = experiment.shifts[["shift", "severity", "policy", "metric"]].drop_duplicates()
    history = {"/".join(filter(None, row)) for row in curves.itertuples(index=False)} | {"samples"}
    summary = history | {shift_key(*row) for row in shifts.itertuples(index=False)}
    return Logged(
        history,
        summary | {"status", "stuck", "steps", "parameters", "seconds", RATE},
        {*config_columns(experiment.runs), "arm", "seed"},
    )


def specify(experiment: ExperimentData, logged: Logged) -> Dashboard:
    """The dashboard of an experiment: what it varied decides which sections there are.

    Args:
        experiment: without the runs that learning rates were tuned on.
        logged: the keys that its W&B runs have.
    """
    runs = experiment.runs
    groups = [Key("config", column) for column in grouping(runs)]
    rate = [Key("summary", RATE)] if varies(runs, "optim.lr") else []
    hardest = hardest_shifts(logged)
    axes = [*groups, *(key for key in rate if key not in groups)]
    results = [Key("summary", "test/accuracy"), Key("summary", "test/loss"), *hardest]
    sections = {
        "About": [about(experiment)],
        "Convergence": convergence(logged),
        "Learning rate": against_rate(runs) if rate else [],
        "Batch size": against(BATCH, "the batch size") if varies(runs, "batch_size") else [],
        "Shift": shift_panels(experiment, groups, logged) if shift_keys(logged) else [],
        "Parallel coordinates": [parallel([*axes, *results])],
    }
    return Dashboard(
        experiment=experiment.name,
        data=experiment.data,
        arms=tuple(dict.fromkeys(runs["arm"])),
        seeds=tuple(sorted(map(int, set(runs["seed"])))),
        groups=tuple(groups),
        columns=(
            *(Key("config", "seed"), Key("summary", "status"), Key("summary", "stuck")),
            *axes,
            *(Key("summary", name) for name in ("val/accuracy", "test/accuracy", "test/loss")),
            *hardest,
            *(Key("summary", name) for name in ("steps", "samples", "parameters", "seconds")),
        ),
        order=Key("summary", "test/accuracy"),
        sections=tuple(Section(name, tuple(panels)) for name, panels in sections.items() if panels),
    )


def grouping(runs: pd.DataFrame) -> list[str]:
    """Norm, placement and the fewest other settings that tell all arms apart."""
    arms = runs.drop_duplicates("arm").astype(str)  # absent settings are equal
    others = [column for column in config_columns(arms) if column not in ALWAYS]
    others.sort(key=lambda column: TELLING.index(column) if column in TELLING else len(TELLING))
    chosen: list[str] = list(ALWAYS)
    while len(arms[chosen].drop_duplicates()) < len(arms):
        told = {column: len(arms[[*chosen, column]].drop_duplicates()) for column in others}
        best = max(others, key=told.__getitem__)  # the first of equals
        if told[best] == len(arms[chosen].drop_duplicates()):
            break  # arms that differ in nothing that runs.csv says
        chosen.append(best)
    return chosen


def varies(runs: pd.DataFrame, column: str) -> bool:
    """Whether a number is varied, beyond what comes with the model, as a tuned rate does."""
    return bool(runs.groupby("model.name")[column].nunique().max() > 1)


def about(experiment: ExperimentData) -> Text:
    """What is asked, how it was run and how the panels are to be read."""
    runs, info = experiment.runs, experiment.info
    lines = [
        info.get("question") or f"The experiment {experiment.name}.",
        # not the command of experiment.json, which may hold paths of the machine
        f"Experiment `{experiment.name}` on `{experiment.data}`: {runs['arm'].nunique()} arms, "
        f"{len(runs)} runs.",
        "A line, point or bar is one arm: the mean over its seeds, with one standard deviation. "
        "W&B leaves out values that are not numbers, so an arm that diverged for some seeds is "
        "the mean of the others: see `status`, and the report for intervals and paired "
        "differences. The CSV files are the record.",
    ]
    return Text("What this compares", "\n\n".join(lines))


def convergence(logged: Logged) -> list[Panel]:
    """The curves, by training images seen and by step; and under other statistics than EMA."""
    named = [key for key in sorted(logged.history) if re.fullmatch(r"val@\w+/accuracy", key)]
    return [
        Curves(f"{sentence(metric_label(key))}, by {words}", x, key, log_y=key.endswith("/loss"))
        for key in (*CURVES, *named)
        for x, words in (("samples", "training images seen"), (STEP, "training step"))
    ]


def against_rate(runs: pd.DataFrame) -> list[Panel]:
    """Where runs ended against the rate, and against its multiplier where that is what varies."""
    panels = against(Key("summary", RATE), "the learning rate")
    if varies(runs, "optim.lr_mult"):
        panels += against(LR_MULT, "the learning rate multiplier")
    return panels


def against(setting: Key, words: str) -> list[Panel]:
    """Where runs ended against a number that they were given."""
    return [
        Points(
            f"{sentence(metric_label(key))} against {words}",
            setting,
            Key("summary", key),
            log_x=True,
        )
        for key in ENDS
    ]


def parallel(keys: list[Key]) -> Parallel:
    """All settings and results beside each other."""
    log = tuple(key for key in keys if key.name in LOGARITHMIC)
    return Parallel("Settings and results", tuple(keys), log)


def shift_keys(logged: Logged) -> dict[tuple[str, str], list[Key]]:
    """The accuracies under shift: by (policy, shift) the summary keys, mildest first."""
    found: dict[tuple[str, str], list[Key]] = {}
    for name in sorted(logged.summary):
        if match := SHIFT.fullmatch(name):
            found.setdefault((match[1] or "", match[2]), []).append(Key("summary", name))
    return found


def hardest_shifts(logged: Logged) -> list[Key]:
    """The accuracy of the nets as they are under each shift at its greatest severity."""
    return [keys[-1] for (policy, _), keys in shift_keys(logged).items() if not policy]


def shift_panels(experiment: ExperimentData, groups: list[Key], logged: Logged) -> list[Panel]:
    """The table of accuracies under shift, bars for each shift, and for each other policy."""
    found = shift_keys(logged)
    panels: list[Panel] = [shift_table(experiment, groups, found)]
    for (policy, shift), keys in found.items():
        if not policy:
            panels.append(Bars(f"Test accuracy under {words_of(shift)}, by severity", tuple(keys)))
    for policy in dict.fromkeys(policy for policy, _ in found if policy):
        hardest = tuple(keys[-1] for (name, _), keys in found.items() if name == policy)
        panels.append(Bars(f"Test accuracy under shift, {POLICIES.get(policy, policy)}", hardest))
    return panels


def shift_table(
    experiment: ExperimentData, groups: list[Key], found: dict[tuple[str, str], list[Key]]
) -> Text:
    """Test accuracy of each arm and policy: without shift, and under each, mean over severities.

    W&B has no panel that is a table of group means with their spread, so this one is text: what
    the files said when it was made.
    """
    rows = experiment.shifts[experiment.shifts["metric"] == "accuracy"]
    policies = rows["policy"].astype(str)
    rows = rows.assign(
        arm=rows["arm"].astype(str),
        shift=rows["shift"].astype(str),
        policy=policies.where(~policies.isin(PLAIN), ""),
    )
    shifts = list(dict.fromkeys(shift for _, shift in found))
    lines = [
        "Test accuracy (%), mean ± standard deviation over seeds; under a shift, the mean over its "
        "severities.",
        "",
        row("arm", "statistics", "no shift", *map(words_of, shifts)),
        row(*["---"] * (3 + len(shifts))),
    ]
    for arm, runs in experiment.runs.groupby("arm", sort=False):
        of_arm = rows[rows["arm"] == arm]
        name = " · ".join(
            setting_label(key.name, runs[key.name].iloc[0])
            for key in groups
            if key.name != "placement" or runs[key.name].iloc[0] != "none"
        )
        for policy in dict.fromkeys(of_arm["policy"]):
            own = of_arm[of_arm["policy"] == policy]
            means = own.groupby(["shift", "seed"])["value"].mean()
            clean = final(runs, f"test@{policy}/accuracy" if policy else "test/accuracy")
            cells = [means[s] if s in means else pd.Series(dtype=float) for s in shifts]
            statistics = POLICIES.get(str(policy), str(policy)) if policy else "as trained"
            lines.append(row(name, statistics, *map(spread, (clean, *cells))))
    return Text(
        "Shift table", "\n".join(lines), tuple(key for keys in found.values() for key in keys)
    )


def spread(values: pd.Series) -> str:
    """`97.2 ± 0.4` in percent; without two values no deviation."""
    values = values.dropna()
    if values.empty:
        return "–"
    text = f"{100 * values.mean():.1f}"
    return f"{text} ± {100 * values.std():.1f}" if len(values) > 1 else text


def row(*cells: str) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def words_of(shift: str) -> str:
    """The name of a shift as words."""
    return shift.replace("_", " ")


def sentence(words: str) -> str:
    """Words with a capital at their start, without their unit: W&B's numbers are shares."""
    return words[0].upper() + words[1:].replace(" (%)", "").replace(" (nats)", "")
