"""From what an experiment varied and what its runs logged to the panels that compare its arms.

Panels follow the grouping of the table of runs: by norm, by placement, and by whatever else tells
the arms apart, so that a line is one arm and its band is the spread over seeds, never over arms.
Keys are written as in `workspace`.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import pandas as pd

from bnbench.analysis.load import ExperimentData, config_columns, final
from bnbench.config.labels import POLICIES, level_label, metric_label
from bnbench.config.points import CLEAN_POLICIES, shift_key
from bnbench.dashboard.workspace import STEP, Board, Workspace
from bnbench.tracking.wandb_keys import RATE

ALWAYS = ("norm.name", "placement")  # what runs are grouped by first
# what tells arms apart is looked for here first, since it is what people vary on purpose
TELLING = (
    *("model.name", "optim.lr_mult", "batch_size", "optim.lr_scaling", "optim.base_lr"),
    *("train.steps", "data.train_images"),
)
CURVES = ("val/accuracy", "val/loss", "train/loss")
ENDS = ("test/accuracy", "val/loss")  # what is drawn against a setting
LOGARITHMIC = (
    *(f"summary:{RATE}", "config:optim.lr_mult", "config:optim.base_lr", "config:batch_size"),
)
POLICY_CURVE = re.compile(r"history:val@\w+/accuracy")
SHIFT = re.compile(r"summary:shift(?:@(\w+))?/accuracy/(\w+)-(\d)")


def keys_logged(experiment: ExperimentData) -> set[str]:
    """Collect the keys that W&B runs have of what an experiment's CSV files hold."""
    curves = experiment.curves[["split", "metric", "layer"]].drop_duplicates()
    shifts = experiment.shifts[["shift", "severity", "policy", "metric"]].drop_duplicates()
    history = {"/".join(filter(None, row)) for row in curves.itertuples(index=False)} | {"samples"}
    summary = history | {shift_key(*row) for row in shifts.itertuples(index=False)}
    summary |= {"status", "stuck", "steps", "parameters", "seconds", RATE}
    kinds = {
        "history": history,
        "summary": summary,
        "config": {*config_columns(experiment.runs), "arm", "seed"},
    }
    return {f"{kind}:{name}" for kind, names in kinds.items() for name in names}


def specify(
    experiment: ExperimentData, logged: Collection[str], answer: Sequence[str]
) -> Workspace:
    """Make the workspace of an experiment: what it varied decides which sections there are.

    Args:
        experiment: without the runs that learning rates were tuned on.
        logged: the keys that its W&B runs have.
        answer: the sentences that answer the experiment's question.

    Raises:
        ValueError: a panel would be empty for a key that no run has.
    """
    runs = experiment.runs
    arms = list(dict.fromkeys(runs["arm"]))
    board = Board(f"{experiment.name} on {experiment.data}", logged, len(arms))
    groups = [f"config:{column}" for column in grouping(runs)]
    rate = [f"summary:{RATE}"] if varies(runs, "optim.lr") else []
    shifts = shift_keys(logged)
    # the nets as they are, under each shift at its greatest severity
    hardest = [keys[-1] for (policy, _), keys in shifts.items() if not policy]
    results = ["summary:test/accuracy", "summary:test/loss", *hardest]
    board.text("About", "What this compares", about(experiment, answer))
    add_curves(board, logged)
    if rate:
        add_points(board, "Learning rate", rate[0], "the learning rate")
        if varies(runs, "optim.lr_mult"):
            words = "the learning rate multiplier"
            add_points(board, "Learning rate", "config:optim.lr_mult", words)
    if varies(runs, "batch_size"):
        add_points(board, "Batch size", "config:batch_size", "the batch size")
    if shifts:
        board.text("Shift", "Shift table", shift_table(experiment, grouping(runs), shifts))
        add_bars(board, shifts)
    parallel = [*groups, *rate, *results]
    board.parallel("Parallel coordinates", "Settings and results", parallel, LOGARITHMIC)
    return board.workspace(
        groups,
        columns=[
            *("config:seed", "summary:status", "summary:stuck", *groups, *rate),
            *("summary:val/accuracy", *results),
            *(f"summary:{name}" for name in ("steps", "samples", "parameters", "seconds")),
        ],
        order="summary:test/accuracy",
        chosen={"arm": arms, "seed": sorted(map(int, set(runs["seed"])))},
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


def about(experiment: ExperimentData, answer: Sequence[str]) -> str:
    """Write what is asked, the answer, how it was run and how the panels are to be read."""
    runs, info = experiment.runs, experiment.info
    lines = [
        info.get("question") or f"The experiment {experiment.name}.",
        *answer,
        # not the command of experiment.json, which may hold paths of the machine
        f"Experiment `{experiment.name}` on `{experiment.data}`: {runs['arm'].nunique()} arms, "
        f"{len(runs)} runs.",
        "A line, point or bar is one arm: the mean over its seeds, with one standard deviation. "
        "W&B leaves out values that are not numbers, so an arm that diverged for some seeds is "
        "the mean of the others: see `status`, and the report for intervals and paired "
        "differences. The CSV files are the record.",
    ]
    return "\n\n".join(lines)


def add_curves(board: Board, logged: Collection[str]) -> None:
    """Add the curves, by training images and by step; and under other statistics than EMA."""
    named = sorted(key[len("history:") :] for key in logged if POLICY_CURVE.fullmatch(key))
    for key in (*CURVES, *named):
        for x, words in (("samples", "training images seen"), (STEP, "training step")):
            title = f"{sentence(metric_label(key))}, by {words}"
            board.curves("Convergence", title, x, key)


def add_points(board: Board, section: str, setting: str, words: str) -> None:
    """Add where runs ended against a number that they were given."""
    for key in ENDS:
        title = f"{sentence(metric_label(key))} against {words}"
        board.points(section, title, setting, f"summary:{key}")


def shift_keys(logged: Collection[str]) -> dict[tuple[str, str], list[str]]:
    """Find the accuracies under shift: by (policy, shift) the summary keys, mildest first."""
    found: dict[tuple[str, str], list[str]] = {}
    for key in sorted(logged):
        if match := SHIFT.fullmatch(key):
            found.setdefault((match[1] or "", match[2]), []).append(key)
    return found


def add_bars(board: Board, shifts: Mapping[tuple[str, str], list[str]]) -> None:
    """Add bars by severity for each shift, and of all at their hardest for each other policy."""
    for (policy, shift), keys in shifts.items():
        if not policy:
            board.bars("Shift", f"Test accuracy under {words_of(shift)}, by severity", keys)
    for policy in dict.fromkeys(policy for policy, _ in shifts if policy):
        hardest = [keys[-1] for (name, _), keys in shifts.items() if name == policy]
        board.bars("Shift", f"Test accuracy under shift, {POLICIES.get(policy, policy)}", hardest)


def shift_table(
    experiment: ExperimentData, groups: Iterable[str], found: Iterable[tuple[str, str]]
) -> str:
    """Write test accuracy by arm and policy: without shift, and under each, mean over severities.

    W&B has no panel that is a table of group means with their spread, so this one is text: what
    the files said when it was made.
    """
    rows = experiment.shifts[experiment.shifts["metric"] == "accuracy"]
    policies = rows["policy"].astype(str)
    rows = rows.assign(
        arm=rows["arm"].astype(str),
        shift=rows["shift"].astype(str),
        policy=policies.where(~policies.isin(CLEAN_POLICIES), ""),
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
            level_label(column, runs[column].iloc[0])
            for column in groups
            if column != "placement" or runs[column].iloc[0] != "none"
        )
        for policy in dict.fromkeys(of_arm["policy"]):
            own = of_arm[of_arm["policy"] == policy]
            means = own.groupby(["shift", "seed"])["value"].mean()
            clean = final(runs, f"test@{policy}/accuracy" if policy else "test/accuracy")
            cells = [means[s] if s in means else pd.Series(dtype=float) for s in shifts]
            statistics = POLICIES.get(str(policy), str(policy)) if policy else "as trained"
            lines.append(row(name, statistics, *map(spread, (clean, *cells))))
    return "\n".join(lines)


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
