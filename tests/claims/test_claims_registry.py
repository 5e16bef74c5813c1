"""Every arm that a claim names is one that its experiments train, and what it reads is recorded."""

import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from bnbench import CONFIGS
from bnbench.analysis.load import load
from bnbench.analysis.verdict_table import VERDICTS
from bnbench.analysis.verdicts import PROBLEM, TRAINING, kind_of
from bnbench.claims import files
from bnbench.claims.judge import ALPHA, ALPHA_BETWEEN, family_of
from bnbench.claims.records import Between
from bnbench.claims.registry.setting import AT_BEST, CIFAR, DIGITS, FASHION
from bnbench.claims.registry.table import ON_DATA, PROBLEMS, claims_on, experiments
from bnbench.claims.sizing import planned_power
from bnbench.claims.study import LackingError, Study
from bnbench.config.arms import (
    TUNING_SEEDS,
    arm_id,
    evaluation_policies,
    flatten,
    num_steps,
    science,
)
from bnbench.config.points import (
    CLEAN_POLICIES,
    LAST,
    Scope,
    evaluation_points,
    scopes,
    split_key,
)
from bnbench.config.schema import PolicyPoints, Schedule, Search
from bnbench.request.bisection import rate_grid
from bnbench.request.declared import METRICS, probed
from bnbench.request.tuning import at_rate
from bnbench.tracking.csv_log import write_table
from bnbench.tracking.experiment_dir import columns, experiment_path

FEWEST = 10  # runs that a verdict rests on
JUDGED_ON = ("digits", "fashion_mnist")
FIRST_SEED = 20  # those before it were used by the first boards
SCOPES = {"val": Scope.curve, "train": Scope.policies, "val_all": Scope.everything}
SCOPES |= dict.fromkeys(("test", "test_swa", "test_weight_ema"), Scope.everything)
TASKS = ["tasks", *(f"task_{task}" for task in range(1, 6))]
SCOPES |= {
    f"{split}_{part}": SCOPES[split] for split in ("val", "val_all", "test") for part in TASKS
}


def experiment_of(key):
    """The experiment that a budget is of: `decay` is the second one of claim_bundle."""
    first = {"decay": "bundle", "large": "ghost"}
    return f"claim_{first.get(key) or re.sub('_(vgg|long|steps)$', '', key)}"


def alpha_of(claim):
    """The level of one one-sided test of a claim, before the adjustment."""
    is_between = all(isinstance(part.target, Between) for part in claim.verdict_parts.values())
    return ALPHA_BETWEEN if is_between else ALPHA


def seeds_of(part):
    """The seeds that a part is judged on: as many as its sizing says, none of the first boards."""
    return list(range(FIRST_SEED, FIRST_SEED + part.sizing.n))


def splits_of(config):
    """The splits that a run of a configuration has numbers of."""
    plain = ["val", "train", "val_all", "test"]
    averages = [f"test_{average}" for average in config.train.averages]
    of_tasks = [split for split in SCOPES if "_task" in split] if config.data.tasks > 1 else []
    return [*plain, *averages, *of_tasks]


def split_keys(policy, splits):
    suffix = "" if policy in CLEAN_POLICIES else f"@{policy}"
    return [f"{split}{suffix}/{metric}" for split in splits for metric in METRICS]


class AsIfRun(Study):
    """A study of runs that were asked for and never trained.

    Of the rates that an arm is tuned over the one in the middle is best: every number is 0.5 there
    and 0.4 at the others, and a little more, by which arms differ.
    """

    def __init__(self, results, data):
        super().__init__(results, data)
        self.configs = {}  # arm id -> config
        self.asked = {}  # experiment, arm id -> the shifts that it asks for
        self.tune = {}  # experiment -> what is tuned, as its folder tells
        self.grids = {}  # experiment -> the arms that a rate is chosen from, of each that is tuned
        self.numbers = {}  # experiment, arm id -> its numbers

    def add(self, asked):
        """Add the runs that an experiment makes, from its request, as if all searches had ended."""
        (experiment,) = asked.experiments
        name = experiment.name
        runs = {}  # (arm id, seed) -> its row, of one that is asked for twice once

        def run(config, seeds, number=0.4, **outcome):
            canonical = science(config)
            arm = arm_id(canonical)
            number += int(arm[-8:], 16) / 2**40
            self.configs[arm] = config
            self.asked[name, arm] = config.shift
            self.numbers[name, arm] = max(number, self.numbers.get((name, arm), 0))
            row = {"arm": arm, "status": "done", "stuck": False, **outcome, **columns(canonical)}
            policies = evaluation_policies(config)
            splits = splits_of(config)
            row |= {key: number for policy in policies for key in split_keys(policy, splits)}
            runs.update({(arm, seed): {**row, "seed": seed} for seed in seeds})

        for job in asked.jobs:
            own, tune = job.asked.config, job.asked.config.tune
            if job.plan is None:
                run(own, own.seeds)
            elif tune.find == Search.stable:  # of the grid in the end: one trains, the next fails
                last, beyond = rate_grid(tune.low, tune.high, tune.per_decade)[3:5]
                run(at_rate(own, last), own.seeds)
                run(at_rate(own, beyond), own.seeds, status="diverged")
            else:
                best = len(job.plan.grid) // 2
                for place, tried in enumerate(job.plan.grid):
                    run(tried, tried.seeds, 0.5 if place == best else 0.4)
                run(at_rate(own, job.plan.grid[best].optim.base_lr), own.seeds, 0.5)
                self.grids.setdefault(name, []).append(job.plan.grid)
        rows = list(runs.values())
        header = list(dict.fromkeys(key for row in rows for key in row))
        folder = experiment_path(self.results, name, self.data)
        folder.mkdir(parents=True)
        for file in ("arms.csv", "runs.csv"):
            write_table(folder / file, header, ([row.get(k, "") for k in header] for row in rows))
        self.tune[name] = experiment.tune

    def experiment(self, name):
        if name not in self._experiments:
            found = load(experiment_path(self.results, name, self.data))
            asked = {arm: self.asked[name, arm] for arm in found.runs["arm"].unique()}
            shifts = [
                (arm, seed, shift, severity, policy, "accuracy", 0.3)
                for arm, seed in found.runs[["arm", "seed"]].itertuples(index=False)
                for policy in evaluation_policies(self.configs[arm])
                for shift in asked[arm].names  # none, where a rate is tried alone
                for severity in asked[arm].severities
            ]
            names = ["arm", "seed", "shift", "severity", "policy", "metric", "value"]
            self._experiments[name] = replace(
                found,
                info={"tune": self.tune[name]},
                shifts=pd.DataFrame(shifts, columns=names),
            )
        return self._experiments[name]

    def fingerprint(self, arm, seed):
        return {"weights": "", "batches": "", "splits": "", "overlap": 0}

    def curves(self, arm, frame, key):
        name = frame["arm"].iloc[0]
        config, split = self.configs[name], split_key(key)[0]
        policies = evaluation_policies(config)
        recorded = [*probed(flatten(science(config))), "train@batch/loss"]
        recorded += [k for policy in policies for k in split_keys(policy, splits_of(config))]
        # nets without population statistics stand in with their plain curve
        plain = f"{key.partition('@')[0]}/{key.partition('/')[2]}" if "none" in policies else key
        if key not in recorded and plain not in recorded:
            raise LackingError(f"{name}: no curve {key}")
        points = evaluation_points(num_steps(config), config.train.eval_points)
        if split == "train@batch":
            steps = [0, *points]
        else:
            base, _, policy = split.partition("@")
            scope = max(SCOPES.get(base, Scope.curve), Scope.policies if policy else Scope.curve)
            is_sparse = config.train.policy_points == PolicyPoints.few
            measured = scopes(points, is_sparse, config.data.tasks)
            steps = [step for step, of_point in measured.items() if of_point >= scope]
        value = self.numbers[arm.experiment, name]
        rows = [(seed, step, value) for seed in frame.index for step in steps]
        return pd.DataFrame(rows, columns=["seed", "step", "value"])


@pytest.fixture(scope="module")
def made():
    return {}


@pytest.fixture
def as_if_run_on(read, monkeypatch, tmp_path_factory, made):
    """Make the study of all experiments of the claims on a data set, once."""

    def study(data):
        if data not in made:
            monkeypatch.setattr("bnbench.request.preflight.missing_files", lambda name, root: None)
            made[data] = AsIfRun(tmp_path_factory.mktemp(data), data)
            for name in experiments(claims_on(data).values()):
                made[data].add(read(f"experiment={name}", f"data={data}"))
        return made[data]

    return study


@pytest.mark.slow
@pytest.mark.parametrize("data", ["digits", *ON_DATA])
def test_every_part_of_every_claim_has_its_runs(as_if_run_on, data):
    study, lacking = as_if_run_on(data), []
    for claim in claims_on(data).values():
        if kind_of(claim.experiments) != TRAINING:
            continue
        named = [
            (name, choice, one)
            for name, part in claim.parts.items()
            for choice, one in [("", part), *part.choices.items()]
        ]
        for name, choice, part in named:
            place = f"{claim.id}, {name} {choice}".rstrip()
            try:
                rows = part.measure(study)
            except LackingError as error:
                if "linear_net" not in str(error):  # a problem, that is not run here
                    lacking.append(f"{place}: {error}")
            else:
                assert rows["value"].notna().all(), place
                tunes = "tuning seeds" in name or choice.startswith("rate ")
                assert set(rows["seed"].isin(TUNING_SEEDS)) == {tunes}, place
    assert lacking == []


@pytest.mark.slow
@pytest.mark.parametrize("data", ["digits", *ON_DATA])
def test_the_last_five_evaluations_are_made_when_the_rate_has_decayed(as_if_run_on, data):
    for arm, config in as_if_run_on(data).configs.items():
        steps = num_steps(config)
        last = evaluation_points(steps, config.train.eval_points)[-LAST:]
        if config.optim.schedule == Schedule.cosine:
            assert last[0] >= 0.8 * steps, arm  # where it is below a tenth of what it was


@pytest.mark.slow
@pytest.mark.parametrize("data", JUDGED_ON)
def test_rates_are_chosen_from_as_many_and_on_the_seeds_that_the_protocols_say(as_if_run_on, data):
    study = as_if_run_on(data)
    for claim in claims_on(data).values():
        if AT_BEST not in claim.protocol or claim.reason:
            continue
        grids = [grid for name in claim.experiments for grid in study.grids[name]]
        assert grids, claim.id
        for grid in grids:
            assert len(grid) >= 4, claim.id
            assert {tuple(tried.seeds) for tried in grid} == {tuple(range(100, 105))}, claim.id


@pytest.mark.slow
@pytest.mark.parametrize(("data", "setting"), [(s.data, s) for s in (DIGITS, FASHION, CIFAR)])
def test_the_budgets_are_those_of_the_protocols(as_if_run_on, data, setting):
    study = as_if_run_on(data)
    for name in experiments(claims_on(data).values()):
        if name == "claim_growth":  # nothing is trained
            continue
        told = "; ".join(
            words
            for key, words in setting.budgets.items()
            if experiment_of(key) == name.removesuffix("_end")
        )
        for arm in study.experiment(name).runs["arm"].unique():
            config = study.configs[arm]
            steps, epochs = f"{num_steps(config):,}", config.train.epochs
            as_epochs = epochs and re.search(
                rf"\b{({1: 'one'}).get(epochs, epochs)} epochs?\b", told
            )
            assert re.search(rf"(^|\D){steps}($|\D)", told) or as_epochs, (arm, told)
            assert re.search(rf"\bof {config.batch_size:,}\b", told) or "each batch size" in told
            images = config.data.train_images
            assert (
                images is None or f"{images:,} training images" in told or f"of {images:,}" in told
            )


FIRST = [  # the ids of the first registry, of which none disappears: a split one keeps its number
    *(f"E{n}" for n in range(1, 12)),
    *(f"{family}{n}" for family in "CM" for n in range(1, 10)),
    *(f"P{n}" for n in range(1, 6)),
    *(f"{family}{n}" for family in "BD" for n in range(1, 7)),
]
# when the first had been judged: they come to a board with its next judging
ADDED = ["E12", "E13", "A1", "A2", "A3", *(f"A{n}" for n in range(5, 20))]


TUNED_ALIKE = ("claim_attacks", "claim_accuracy")


def undivided(name):
    """The id that a claim had before it was split: C3 of C3a."""
    return re.sub("[a-z]$", "", name)


@pytest.mark.parametrize("data", ["digits", *ON_DATA])
def test_every_sentence_of_the_first_registry_is_there_whole_or_split(data):
    claims = list(claims_on(data))
    every = list(dict.fromkeys(map(undivided, claims)))
    assert [name for name in every if name not in ADDED] == FIRST
    assert sorted({*every} - {*FIRST}) == sorted(ADDED)
    for name in every:
        letters = "".join(one[-1] for one in claims if one[:-1] == name and one not in every)
        assert letters == "abcdefghij"[: len(letters)], name
    assert claims == list(claims_on("digits"))


def test_every_claim_is_whole():
    configs = {path.stem for path in (CONFIGS / "experiment").glob("*.yaml")}
    for data in JUDGED_ON:
        for claim in claims_on(data).values():
            assert claim.sentence.endswith(".")
            assert claim.says
            assert claim.rule
            assert bool(claim.reason) == (not claim.experiments)
            assert claim.reason or claim.experiments == ("exact",) or claim.verdict_parts
            for part in claim.verdict_parts.values():
                assert part.distance > 0
            for name in claim.experiments:
                assert name in configs or name in ("exact", *PROBLEMS)
            if kind_of(claim.experiments) == TRAINING and not claim.reason:
                reasons = (claim.why_statistic, claim.why_bound, claim.would_change)
                assert all(reasons), claim.id


@pytest.mark.parametrize("data", ["digits", *ON_DATA])
def test_every_claim_that_a_text_names_is_there(data):
    claims = claims_on(data)
    for claim in claims.values():
        texts = [text for text in vars(claim).values() if isinstance(text, str)]
        named = re.findall(
            r"\b[ECMPBDA]\d+[a-z]?\b", " ".join([*texts, *claim.traps, *claim.caveats])
        )
        assert {*named} <= {*claims}, claim.id


def test_every_experiment_says_which_claims_read_it():
    readers = {}
    for data in ("digits", *ON_DATA):
        for claim in claims_on(data).values():
            for name in {*claim.experiments} - {"exact", *PROBLEMS}:
                readers.setdefault(name, set()).add(claim.id)
    files = {path.stem: path for path in (CONFIGS / "experiment").glob("claim_*.yaml")}
    assert readers.keys() == files.keys()
    for name, path in files.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        head = " ".join(line.removeprefix("# ") for line in lines if line.startswith("#"))
        told = set(re.findall(r"\b[CMPBDA][1-9]\d?[a-g]?\b", head))
        for family, first, last in re.findall(r"\b([CMPBDA][1-9]\d?)([a-g]) to \1([a-g])\b", head):
            told |= {f"{family}{letter}" for letter in "abcdefg" if first <= letter <= last}
        assert told == readers[name], name


@pytest.mark.parametrize("data", JUDGED_ON)
def test_every_claim_about_training_was_given_90_percent_power(data):
    claims = [c for c in claims_on(data).values() if kind_of(c.experiments) == TRAINING]
    judged = [claim for claim in claims if claim.verdict_parts]
    for claim in judged:
        parts = claim.verdict_parts.values()
        assert all(part.sizing for part in parts), claim.id
        # the sum of what the parts may miss; adjusted for as many claims as its family has
        alpha = alpha_of(claim) / sum(family_of(one) == family_of(claim) for one in judged)
        missed = sum(1 - planned_power(part, alpha) for part in parts)
        assert missed <= 0.1, (claim.id, [planned_power(part, alpha) for part in parts])


@pytest.mark.parametrize("data", JUDGED_ON)
def test_a_problem_that_was_sized_was_given_90_percent_power(data):
    """Without an adjustment, since a problem keeps its own p-value."""
    problems = [c for c in claims_on(data).values() if kind_of(c.experiments) == PROBLEM]
    sized = [c for c in problems if any(part.sizing for part in c.verdict_parts.values())]
    assert [claim.id for claim in sized] == [c.id for c in problems if undivided(c.id) in ADDED]
    for claim in sized:
        powers = [planned_power(part, alpha_of(claim)) for part in claim.verdict_parts.values()]
        assert sum(1 - power for power in powers) <= 0.1, (claim.id, powers)


@pytest.mark.slow
@pytest.mark.parametrize("data", JUDGED_ON)
def test_the_seeds_of_the_experiments_are_those_of_the_sizing(as_if_run_on, data):
    study = as_if_run_on(data)
    for claim in claims_on(data).values():
        for name, part in claim.verdict_parts.items():
            if kind_of(claim.experiments) != TRAINING:
                continue
            assert part.sizing, (claim.id, name)
            seeds = list(part.measure(study)["seed"])
            assert seeds == seeds_of(part), (claim.id, name)


@pytest.mark.slow
@pytest.mark.parametrize("data", JUDGED_ON)
def test_nets_that_are_attacked_are_tuned_by_the_runs_of_claim_accuracy(read, monkeypatch, data):
    monkeypatch.setattr("bnbench.request.preflight.missing_files", lambda name, root: None)
    own, of_accuracy = (read(f"experiment={e}", f"data={data}").arms for e in TUNED_ALIKE)
    assert own
    assert own.keys() <= of_accuracy.keys()
    for arm in own.values():
        assert arm.config.seeds == of_accuracy[arm.id].config.seeds == [*TUNING_SEEDS[:5]]


REFERENCE = CONFIGS.parent / "results" / "reference" / "claims"


def test_every_scoreboard_is_committed():
    assert {path.name for path in REFERENCE.iterdir()} == {*JUDGED_ON, "README.md"}


@pytest.mark.parametrize("data", JUDGED_ON)
def test_the_committed_scoreboard_is_of_this_registry(data):
    claims = claims_on(data)
    board = pd.read_csv(REFERENCE / data / "scoreboard.csv").set_index("claim")
    known = [name for name in claims if name in board.index or undivided(name) not in ADDED]
    assert list(board.index) == known
    claims = {name: claims[name] for name in known}
    parts = pd.read_csv(REFERENCE / data / "parts.csv", dtype=str, keep_default_na=False)
    for name, claim in claims.items():
        row, own = board.loc[name], parts[parts["claim"] == name]
        assert row["verdict"] in VERDICTS
        if row["verdict"] == "not run here":  # yet, or not at all
            assert own.empty
            assert bool(row["command"] is not None and pd.notna(row["command"])) != bool(
                claim.reason
            )
            continue
        assert not claim.reason
        deciding = own[own["role"] == "verdict"].set_index("part")
        assert set(deciding.index) == set(claim.verdict_parts)
        for part_name, part in claim.verdict_parts.items():
            bounds = [files.cell(bound) for bound in files.shown_bounds(part)]
            there = deciding.loc[part_name, ["sesoi_low", "sesoi_high"]]
            assert list(there) == bounds, (name, part_name)
            known = int(deciding.loc[part_name, "n"]) + int(deciding.loc[part_name, "censored"])
            assert known >= FEWEST, (name, part_name)


@pytest.mark.parametrize(
    ("data", "open_yet"), [("digits", {"D5"}), ("fashion_mnist", {"D5", "C8"})]
)
def test_no_fewer_sentences_are_judged_than_in_the_first_registry(data, open_yet):
    board = pd.read_csv(REFERENCE / data / "scoreboard.csv")
    judged = board.loc[board["verdict"] != "not run here", "claim"]
    sentences = {*map(undivided, judged)} - {*ADDED}
    assert sentences == {*FIRST} - open_yet
    assert len([name for name in sentences if name[0] != "E"]) >= 33


@pytest.mark.parametrize("data", JUDGED_ON)
def test_every_line_of_the_committed_scoreboard_has_its_evidence(data):
    folder = REFERENCE / data
    chosen = "" if data == "digits" else f" DATA={data}"
    board = pd.read_csv(folder / "scoreboard.csv").set_index("claim")
    for name, row in board[board["verdict"] != "not run here"].iterrows():
        assert (folder / "evidence" / f"{name}.csv").exists()
        assert (folder / "figures" / f"{name}.png").exists()
        assert row["command"] == f"make claims{chosen} ARGS=claims={name}"
        for column in ("estimate", "ci_low", "ci_high", "n"):
            assert pd.notna(row[column]), (name, column)
        assert pd.notna(row["sesoi_low"]) or pd.notna(row["sesoi_high"])


@pytest.mark.parametrize("data", JUDGED_ON)
def test_a_committed_scoreboard_comes_from_one_clean_commit(data):
    judged = json.loads((REFERENCE / data / "judged.json").read_text(encoding="utf-8"))
    assert judged["git_dirty"] is False
    assert re.fullmatch("[0-9a-f]{40}", judged["git_commit"])
    assert judged["device"]
    assert judged["versions"]["torch"]


@pytest.mark.parametrize("data", JUDGED_ON)
def test_the_seeds_of_the_evidence_were_set_before_the_runs(data):
    for name, claim in claims_on(data).items():
        kind = kind_of(claim.experiments)
        if claim.reason or kind not in (TRAINING, PROBLEM):
            continue
        file = REFERENCE / data / "evidence" / f"{name}.csv"
        if not file.exists():  # not judged yet
            continue
        evidence = pd.read_csv(file)
        for part, rows in evidence[evidence["role"] == "verdict"].groupby("part"):
            if kind == TRAINING:
                assert list(rows["seed"]) == seeds_of(claim.parts[part]), (name, part)
            else:
                ((first, last),) = re.findall(r"\bseeds (\d+)-(\d+)\b", claim.protocol)
                assert list(rows["seed"]) == list(range(int(first), int(last) + 1)), (name, part)
