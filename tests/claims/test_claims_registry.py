"""Every arm that a claim names is one that its experiments train, and what it reads is recorded."""

import json
import re

import pandas as pd
import pytest
from omegaconf import OmegaConf

from bnbench import CONFIGS
from bnbench.analysis.load import load
from bnbench.analysis.verdict_table import VERDICTS
from bnbench.claims import files
from bnbench.claims.registry.table import CLAIMS, ON_DATA, PROBLEMS, claims_on, experiments
from bnbench.claims.study import FIRST_TUNING_SEED, LackingError, Study
from bnbench.config.arms import evaluation_policies, flatten, science
from bnbench.config.points import evaluation_points
from bnbench.request.declared import probed
from bnbench.tracking.csv_log import write_table
from bnbench.tracking.experiment_dir import columns, experiment_path

SEEDS = [0, 1, 2, FIRST_TUNING_SEED, FIRST_TUNING_SEED + 1, FIRST_TUNING_SEED + 2]


def split_keys(policy):
    suffix = "" if policy in ("ema", "none") else f"@{policy}"
    return [f"{split}{suffix}/accuracy" for split in ("train", "val", "test")]


class AsIfRun(Study):
    """A study of runs that were asked for and never trained: every number is 0.5."""

    def __init__(self, results, data, configs):
        super().__init__(results, data)
        self.configs = configs  # arm id -> config

    def experiment(self, name):
        if name not in self._experiments:
            experiment = load(experiment_path(self.results, name, self.data))
            # an arm is not evaluated under shifts at a rate that is tried, but at the best
            asked = OmegaConf.load(CONFIGS / "experiment" / f"{name}.yaml").get("shift")
            shifts = [
                (arm, seed, shift, severity, policy, "accuracy", 0.5)
                for arm in experiment.runs["arm"].unique()
                for policy in evaluation_policies(self.configs[arm])
                for seed in SEEDS
                for shift in (asked.names if asked else [])
                for severity in asked.severities
            ]
            names = ["arm", "seed", "shift", "severity", "policy", "metric", "value"]
            self._experiments[name] = type(experiment)(
                **{**vars(experiment), "shifts": pd.DataFrame(shifts, columns=names)}
            )
        return self._experiments[name]

    def fingerprint(self, arm, seed):
        return {"weights": "", "batches": "", "splits": "", "overlap": 0}

    def curves(self, arm, frame, key):
        config = self.configs[frame["arm"].iloc[0]]
        recorded = probed(flatten(science(config)))
        policies = evaluation_policies(config)
        recorded += [k for policy in policies for k in split_keys(policy)]
        # nets without population statistics stand in with their plain curve
        plain = f"{key.partition('@')[0]}/{key.partition('/')[2]}" if "none" in policies else key
        if key not in recorded and plain not in recorded:
            raise LackingError(f"{frame['arm'].iloc[0]}: no curve {key}")
        steps = evaluation_points(int(frame["train.steps"].iloc[0]), config.train.eval_points)
        if key.startswith("train@batch"):
            steps = [0, *steps]
        points = [(seed, step, 0.5) for seed in frame.index for step in steps]
        return pd.DataFrame(points, columns=["seed", "step", "value"])


@pytest.fixture(params=["digits", *ON_DATA])
def as_if_run(read, monkeypatch, request):
    """Every arm of the claims' experiments, on reporting and tuning seeds, as a table of runs."""
    monkeypatch.setattr("bnbench.request.preflight.missing_files", lambda name, root: None)
    data, configs = request.param, {}
    for name in experiments(claims_on(data).values()):
        asked = read(f"experiment={name}", f"data={data}")
        rows = []
        for arm in asked.arms.values():
            configs[arm.id] = arm.config
            keys = [k for policy in evaluation_policies(arm.config) for k in split_keys(policy)]
            numbers = dict.fromkeys(keys, 0.5)
            # the arm at a rate that is tried is the one that reports, if that rate is the best
            tuned = asked.tuned and min(arm.config.seeds) >= FIRST_TUNING_SEED
            seeds = SEEDS if tuned or name == "claim_rates" else arm.config.seeds[:3]
            canonical = columns(science(arm.config))
            for seed in seeds:
                run = {"arm": arm.id, "seed": seed, "status": "done", "stuck": False}
                rows.append({**run, **canonical, **numbers})
        header = list(dict.fromkeys(key for row in rows for key in row))
        folder = experiment_path(asked.results, name, data)
        folder.mkdir(parents=True)
        for file in ("arms.csv", "runs.csv"):
            write_table(folder / file, header, ([row.get(k, "") for k in header] for row in rows))
    return AsIfRun(asked.results, data, configs)


@pytest.mark.slow
def test_every_part_of_every_claim_has_its_runs(as_if_run):
    lacking = []
    for claim in claims_on(as_if_run.data).values():
        if set(claim.experiments) & {*PROBLEMS, "exact"} == set(claim.experiments):
            continue
        for name, part in claim.parts.items():
            try:
                rows = part.measure(as_if_run)
            except LackingError as error:
                if "linear_net" not in str(error):  # a problem, that is not run here
                    lacking.append(f"{claim.id}, {name}: {error}")
            else:
                assert len(rows) == 3, (claim.id, name)
    assert lacking == []


def test_every_claim_is_whole():
    expected = [
        *(f"E{n}" for n in range(1, 12)),
        *(f"C{n}" for n in range(1, 10)),
        *(f"M{n}" for n in range(1, 10)),
        *(f"P{n}" for n in range(1, 6)),
        *(f"B{n}" for n in range(1, 7)),
        *(f"D{n}" for n in range(1, 7)),
    ]
    assert list(CLAIMS) == expected
    configs = {path.stem for path in (CONFIGS / "experiment").glob("*.yaml")}
    for claim in CLAIMS.values():
        assert claim.sentence.endswith(".")
        assert claim.says
        assert claim.rule
        assert bool(claim.reason) == (not claim.experiments)
        assert claim.reason or claim.experiments == ("exact",) or claim.verdict_parts
        for part in claim.verdict_parts.values():
            assert part.distance > 0
        for name in claim.experiments:
            assert name in configs or name in (
                "exact",
                "least_squares",
                "linear_net",
                "two_branches",
            )


REFERENCE = CONFIGS.parent / "results" / "reference" / "claims"
# the fewest runs that a verdict may rest on; on Fashion-MNIST convolutional nets have three
SEEDS_OF = {"digits": 10, "fashion_mnist": 3}


def test_every_scoreboard_is_committed():
    assert {path.name for path in REFERENCE.iterdir()} == {*SEEDS_OF, "README.md"}


@pytest.mark.parametrize("data", SEEDS_OF)
def test_the_committed_scoreboard_is_of_this_registry(data):
    claims = claims_on(data)
    board = pd.read_csv(REFERENCE / data / "scoreboard.csv").set_index("claim")
    assert list(board.index) == list(claims)
    parts = pd.read_csv(REFERENCE / data / "parts.csv", dtype=str, keep_default_na=False)
    for name, claim in claims.items():
        row, own = board.loc[name], parts[parts["claim"] == name]
        assert row["verdict"] in VERDICTS
        assert (row["verdict"] == "not run here") == bool(claim.reason)
        deciding = own[own["role"] == "verdict"].set_index("part")
        assert set(deciding.index) == set(claim.verdict_parts)
        for part_name, part in claim.verdict_parts.items():
            bounds = [files.cell(bound) for bound in files.shown_bounds(part)]
            there = deciding.loc[part_name, ["sesoi_low", "sesoi_high"]]
            assert list(there) == bounds, (name, part_name)
            known = int(deciding.loc[part_name, "n"]) + int(deciding.loc[part_name, "censored"])
            assert known >= SEEDS_OF[data], (name, part_name)


@pytest.mark.parametrize("data", SEEDS_OF)
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


@pytest.mark.parametrize("data", SEEDS_OF)
def test_a_committed_scoreboard_comes_from_one_clean_commit(data):
    judged = json.loads((REFERENCE / data / "judged.json").read_text(encoding="utf-8"))
    assert judged["git_dirty"] is False
    assert re.fullmatch("[0-9a-f]{40}", judged["git_commit"])
    assert judged["device"]
    assert judged["versions"]["torch"]


@pytest.mark.parametrize("data", SEEDS_OF)
def test_the_seeds_of_the_evidence_are_those_that_a_protocol_tells(data):
    for name, claim in claims_on(data).items():
        if claim.reason or claim.experiments == ("exact",):
            continue
        other = re.match(r"As ([CMPBD]\d)\.", claim.protocol)
        protocol = claims_on(data)[other[1]].protocol if other else claim.protocol
        told = [int(last) for last in re.findall(r"\b0-(\d+)\b", protocol)]
        evidence = pd.read_csv(REFERENCE / data / "evidence" / f"{name}.csv")
        for part, rows in evidence[evidence["role"] == "verdict"].groupby("part"):
            assert list(rows["seed"]) == list(range(rows["seed"].max() + 1)), (name, part)
            assert rows["seed"].max() in told, (name, part)
