"""`seeds=fresh`: what `make claims` reports on seeds that the committed results did not use."""

import importlib
import json

import hydra
import pytest

from bnbench import CONFIGS, cli
from bnbench import sweep as door
from bnbench.commands import plan, train
from bnbench.running.launch import as_job, of_job


@pytest.fixture
def fresh(tmp_path):
    """Read a request on fresh seeds."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3", job_name="train"):
        yield lambda *words: cli.read([f"results={tmp_path}/r", *words], multirun=True, fresh=True)


def test_reported_seeds_are_200_further_wherever_they_are_listed(fresh):
    request = fresh("arms=[{batch_size:32,seeds:[0,1]},{batch_size:64,seeds:[7,103]},{}]")
    seeds = {arm.config.batch_size: arm.config.seeds for arm in request.arms.values()}
    # the last arm is the second once more, with the seeds of configs/config.yaml
    assert seeds == {32: [200, 201], 64: [103, 200, 201, 202, 207]}
    (experiment,) = request.experiments
    assert sorted(experiment.runs.values()) == sorted(seeds.values())


def test_workers_train_the_fresh_seeds_and_rates_are_tuned_on_the_same_ones(fresh):
    request = fresh("seeds=[3,4]", "norm=none", "tune.low=0.1", "tune.high=0.1", "tune.extend=0")
    (arm,) = request.arms.values()
    assert arm.config.seeds == [100, 101, 102, 103, 104]
    assert request.jobs[0].asked.config.seeds == [203, 204]
    (arm,) = fresh("seeds=[3,4]").arms.values()
    assert of_job(as_job(arm.config)).seeds == [203, 204]


@pytest.mark.parametrize("main", [train.main, plan.main])
def test_fresh_seeds_are_for_claims_alone(main, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["seeds=fresh"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bnbench: seeds=fresh: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_claims_hand_it_on_and_the_rest_of_the_command_line_as_it_was(monkeypatch):
    claims = importlib.import_module("bnbench.commands.claims")
    told = []
    monkeypatch.setattr(claims, "sweep", lambda argv, fresh: told.append((argv, fresh)) or 7)
    for words in (["claims=C4", "seeds=fresh", "threads=1"], ["claims=C4", "threads=1"]):
        monkeypatch.setattr("sys.argv", ["claims.py", *words])
        assert claims.main() == 7
    (argv, is_fresh), (same, is_not) = told
    assert argv == same
    assert argv[0].startswith("experiment=claim_")
    assert argv[1:] == ["threads=1"]
    assert (is_fresh, is_not) == (True, False)


@pytest.mark.slow
def test_what_fresh_seeds_were_trained_for_says_how_to_train_them_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train.steps=2", "train.eval_points=1", "seeds=[5]", "track=csv", "device=cpu"]
    outcome = door.sweep([*words, "hydra.launcher.n_jobs=1"], fresh=True)
    assert outcome.exit_code == 0
    (run,) = tmp_path.glob("results/runs/*/seed-*")
    assert run.name == "seed-205"
    facts = json.loads((tmp_path / "results/experiments/adhoc/digits/experiment.json").read_text())
    assert facts["command"].startswith("python scripts/claims.py train.steps=2 ")
    assert facts["command"].endswith(" seeds=fresh")
