"""Reading results: whole lines only, one clear line for a bad file, derived columns."""

import numpy as np
import pandas as pd
import pytest
from fake_results import (
    POINTS,
    arm_of,
    config,
    row,
    run_folder,
    write_experiment,
    write_probes,
    write_run,
    write_shifts,
)

from bnbench.analysis.load import config_columns, curve, final, load
from bnbench.tracking.experiment_dir import experiment_path, find, write_arms, write_runs
from bnbench.tracking.experiment_dir import write_experiment as write_experiment_json
from bnbench.tracking.run_dir import RunFolder, State


def load_runs(results, rows):
    return load(write_experiment(results, "one", rows)).runs


def metrics_of(results, tree, seed=0):
    return run_folder(results, tree, seed) / "metrics.csv"


def test_every_finished_run_is_read_under_its_own_arm_and_seed(results):
    trees = [config(norm="none"), config()]
    rows = [write_run(results, tree, seed) for tree in trees for seed in (0, 7)]
    rows.append(row(config(), 9, "missing"))
    experiment = load(write_experiment(results, "one", rows))
    assert find(results) == [experiment.folder]
    points = curve(experiment, "val/accuracy")
    assert points.groupby(["arm", "seed"])["step"].apply(list).tolist() == [POINTS] * 4
    last = points[(points["step"] == POINTS[-1]) & (points["seed"] == 7)].set_index("arm")["value"]
    text = metrics_of(results, trees[1], 7).read_text().splitlines()
    expected = next(line for line in reversed(text) if ",val,,accuracy," in line)
    assert last[rows[3]["arm"]] == float(expected.split(",")[-1])


@pytest.mark.parametrize("torn", ["128", "128,8192,val,,accu", "128,8192,val,,accuracy,0."])
def test_a_torn_last_line_is_dropped(results, torn):
    rows = [write_run(results, config(), seed) for seed in (0, 1)]
    path = metrics_of(results, config())
    whole = load(write_experiment(results, "one", rows)).curves
    path.write_text(path.read_text() + torn)
    assert load(write_experiment(results, "one", rows)).curves.equals(whole)


@pytest.mark.parametrize("text", ["", "step,samp", "step,samples,split,layer,metric,value\n"])
def test_a_file_without_a_whole_line_has_no_points(results, text):
    rows = [write_run(results, config(), seed) for seed in (0, 1)]
    metrics_of(results, config()).write_text(text)
    curves = load(write_experiment(results, "one", rows)).curves
    assert set(curves["seed"]) == {1}


def test_not_a_number_and_infinity_are_values(results):
    rows = [write_run(results, config(), 0)]
    path = metrics_of(results, config())
    path.write_text(path.read_text() + "200,1,val,,loss,nan\n201,1,val,,loss,inf\n")
    values = curve(load(write_experiment(results, "one", rows)), "val/loss")["value"].tolist()
    assert np.isnan(values[-2])
    assert values[-1] == np.inf


@pytest.mark.parametrize(
    "line",
    [
        *("1,64,val,,loss", "1,64,val,,loss,0.5,0.5", "1,64,val,,loss,high", "1,64,val,,loss,"),
        *("one,64,val,,loss,0.5", "1,64,välidation,,loss,0.5", "1,64,val,,loss,0.5\r", "", "1e3"),
    ],
)
def test_a_malformed_line_is_one_line_that_names_the_file(results, line):
    rows = [write_run(results, config(), seed) for seed in range(3)]
    path = metrics_of(results, config(), 1)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match="not what the run wrote") as caught:
        load(write_experiment(results, "one", rows))
    assert str(caught.value).startswith(f"{path}: ")
    assert RunFolder(path.parent).state() != State.done  # a sweep trains it again
    assert "\n" not in str(caught.value).strip()


def test_another_header_is_refused(results):
    rows = [write_run(results, config(), 0)]
    path = metrics_of(results, config())
    path.write_text("step,split,metric,value\n1,val,loss,2\n")
    with pytest.raises(ValueError, match=r"metrics\.csv: not what the run wrote"):
        load(write_experiment(results, "one", rows))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"status": "finished"}, "status finished: expected one of done, diverged"),
        ({"test/accuracy": "high"}, "column test/accuracy"),
        ({"seed": "zero"}, "line 2: expected an arm and its seed"),
        ({"arm": "../mlp"}, "line 2: expected an arm and its seed"),
        ({"batch_size": "large"}, "column batch_size holds something that is not a number"),
        ({"model.depth": "2"}, "column model.depth holds something that is not a list of numbers"),
    ],
)
def test_a_malformed_runs_csv_is_refused(results, changes, complaint):
    with pytest.raises(ValueError, match=rf"runs\.csv: {complaint}"):
        load_runs(results, [row(config(), 0) | {"test/accuracy": 0.9} | changes])


def test_a_run_that_is_listed_twice_would_count_twice(results):
    one = row(config(), 0) | {"test/accuracy": 0.9}
    with pytest.raises(ValueError, match=r"runs\.csv: line 3: the run is listed twice"):
        load_runs(results, [one, one])


@pytest.mark.parametrize("name", ["nan", "null", "NA"])
def test_the_name_of_an_arm_is_a_name_whatever_it_says(results, name):
    (arm,) = load_runs(results, [row(config(), 0) | {"arm": name, "test/accuracy": 0.9}])["arm"]
    assert arm == name


def test_a_row_that_lost_a_cell_is_refused(results):
    folder = write_experiment(results, "one", [row(config(), 0) | {"seconds": 2.5, "steps": 128}])
    text = (folder / "runs.csv").read_text()
    (folder / "runs.csv").write_text(text.replace(",2.5,", ","))  # 128 steps would be its seconds
    with pytest.raises(ValueError, match=r"runs\.csv: line 2: expected \d+ fields"):
        load(folder)


def test_a_runs_csv_without_a_column_is_refused(results):
    rows = [row(config(), 0)]
    del rows[0]["norm.name"]
    with pytest.raises(ValueError, match=r"no column norm\.name"):
        load_runs(results, rows)


@pytest.fixture
def whole(results):
    """An experiment with two runs as training and a sweep leave them: with hashes."""
    tree = config()
    for seed in (0, 1):
        measured = write_run(results, tree, seed)
        write_shifts(results, tree, seed)
        text = (run_folder(results, tree, seed) / "metrics.csv").read_text()
        last = text.splitlines()[-1].split(",")
        summary = {
            "status": "done",
            "stuck": False,
            "metrics": {"test/accuracy": measured["test/accuracy"], "val/accuracy": float(last[5])},
            "steps_to": {"0.8": 40.0, "0.95": None},
            "samples_to": {"0.8": 2560.0, "0.95": None},
            "steps": int(last[0]),
            "samples": int(last[1]),
            "seconds": 2.5,
            "parameters": 7,
        }
        # the last line of the curve is in the summary, too, as training writes it
        text = text[: text[:-1].rindex("\n") + 1]
        text += f"{last[0]},{last[1]},val,,accuracy,{float(last[5])!r}\n"
        (run_folder(results, tree, seed) / "metrics.csv").write_text(text)
        RunFolder(run_folder(results, tree, seed)).write_summary(summary)
    folder = experiment_path(results, "one", "digits")
    write_arms(folder, [(arm_of(tree), seed, tree) for seed in (0, 1)])
    write_experiment_json(folder, {"question": "What?"})
    return folder


def test_the_table_of_runs_is_derived_whatever_runs_csv_says(whole):
    expected = load(whole).runs
    write_runs(whole.parents[2], "one", "digits")
    table = pd.read_csv(whole / "runs.csv")
    table.assign(**{"test/accuracy": 0.5}).to_csv(whole / "runs.csv", index=False)
    assert load(whole).runs.equals(expected)


@pytest.mark.parametrize("name", ["metrics.csv", "shifts.csv"])
def test_a_changed_number_is_seen_by_its_hash(whole, results, name):
    load(whole)
    path = run_folder(results, config(), 1) / name
    path.write_text(path.read_text().replace("8", "9", 1))
    with pytest.raises(ValueError, match="not what the run wrote; the same `make sweep`") as caught:
        load(whole)
    assert str(caught.value).startswith(f"{path}: ")
    path.unlink()
    with pytest.raises(ValueError, match="missing; the same `make sweep`") as caught:
        load(whole)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("change", [lambda text: text[:-4], lambda text: text + "128,8192,val,"])
def test_a_torn_last_line_costs_nothing_where_the_summary_has_it(whole, results, change):
    expected = load(whole).curves
    path = metrics_of(results, config())
    path.write_text(change(path.read_text()))
    assert load(whole).curves.equals(expected)


def test_more_than_a_torn_last_line_is_damage(whole, results):
    path = metrics_of(results, config())
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:-2], lines[-2][:-3]]))
    with pytest.raises(ValueError, match=r"metrics\.csv: not what the run wrote"):
        load(whole)


def test_a_damaged_summary_is_named(whole, results):
    path = run_folder(results, config(), 0) / "summary.json"
    path.write_text(path.read_text().replace("0.9", "0.8", 1))
    with pytest.raises(ValueError, match="its checksum differs") as caught:
        load(whole)
    assert str(caught.value).startswith(f"{path}: ")
    (run_folder(results, config(), 1) / "summary.json").write_text("{")
    with pytest.raises(ValueError, match=r"\(and 1 more\)"):
        load(whole)


def test_a_broken_experiment_json_is_refused(results):
    folder = write_experiment(results, "one", [row(config(), 0)])
    (folder / "experiment.json").write_text('{"name": ')
    with pytest.raises(ValueError, match=r"experiment\.json: not JSON"):
        load(folder)


def test_derived_columns(results):
    trees = [
        config(batch_size=32, train__steps=330, optim__lr_mult=5.0),  # 1078 // 32 = 33 an epoch
        config(model__widths=[16, 32], model__depth=[2, 3]),
        config(model__widths=[16, 32], model__depth=[2], batch_size=16),
    ]
    runs = load_runs(results, [row(tree, 0) for tree in trees])
    assert runs["epochs"].tolist() == [10.0, 8.0, 128 / 67]
    assert runs["hidden_layers"].tolist() == [2, 5, 4]
    assert runs["optim.lr"].tolist() == [0.5, 0.1, 0.1]
    assert {"epochs", "seconds", "optim.lr"}.isdisjoint(config_columns(runs))


def test_a_setting_that_ids_leave_out_is_shown_where_others_have_it(results):
    runs = load_runs(results, [row(config(), 0), row(config(model__init_scale=3.0), 0)])
    assert runs["model.init_scale"].tolist() == [1.0, 3.0]
    assert "model.init_scale" not in load_runs(results, [row(config(), 0)])


def test_the_rate_follows_lr_scaling(results):
    scales = {"none": 1.0, "linear": 0.25, "sqrt": 0.5}  # batch 16 against 64
    trees = [config(batch_size=16, optim__lr_scaling=name) for name in scales]
    runs = load_runs(results, [row(tree, 0) for tree in trees])
    assert runs["optim.lr"].tolist() == pytest.approx([0.1 * scale for scale in scales.values()])


def test_nets_without_population_statistics_stand_in_for_a_policy(results):
    bn, none = config(), config(norm="none")
    rows = [write_run(results, tree, 0) for tree in (bn, none)]
    rows[0]["test@precise/accuracy"] = 0.5
    experiment = load(write_experiment(results, "one", rows))
    assert final(experiment.runs, "test@precise/accuracy").tolist() == [
        0.5,
        rows[1]["test/accuracy"],
    ]
    precise = curve(experiment, "val@precise/accuracy")
    plain = curve(experiment, "val/accuracy")
    arms = plain["arm"] == rows[1]["arm"]
    assert precise[precise["arm"] == rows[1]["arm"]].equals(plain[arms])
    assert not precise[precise["arm"] == rows[0]["arm"]].equals(plain[~arms])
    assert len(curve(experiment, "train@batch/loss")) == 2 * len(POINTS)


def test_recalibrated_nets_are_read_as_they_are(results):
    """And stand in for no BatchNorm net, which has no such metric."""
    bn, none = config(), config(norm="none", train__policies=["ema", "recalibrated"])
    rows = [write_run(results, tree, 0) for tree in (bn, none)]
    rows[1]["test@recalibrated/accuracy"] = 0.75
    metrics = run_folder(results, none, 0) / "metrics.csv"
    with metrics.open("a") as file:
        file.write("128,8192,val@recalibrated,,accuracy,0.5\n")
    experiment = load(write_experiment(results, "one", rows))
    recalibrated = final(experiment.runs, "test@recalibrated/accuracy")
    assert recalibrated.isna().tolist() == [True, False]
    assert recalibrated[1] == 0.75
    points = curve(experiment, "val@recalibrated/accuracy")
    assert points[["arm", "step", "value"]].values.tolist() == [[rows[1]["arm"], 128, 0.5]]
    precise = curve(experiment, "val@precise/accuracy")  # as before: the plain one
    assert 0.5 not in precise["value"].tolist()


def test_probes_are_read_layer_by_layer(results):
    """Of nets with and without population statistics: `train@batch` is no policy."""
    trees = [config(), config(norm="none")]
    rows = [write_run(results, tree, 0) for tree in trees]
    for tree in trees:
        write_probes(results, tree, 0)
    experiment = load(write_experiment(results, "one", rows))
    for key, value in {
        "train@batch/gradient_norm/1": 1,
        "train@batch/gradient_norm/12": 12,
        "train@batch/gradient_norm/head": 100,
        "train@batch/gradient_growth": 1000,
    }.items():
        points = curve(experiment, key)
        assert points["step"].tolist() == 2 * [0, *POINTS]
        assert points["value"].tolist() == (points["step"] + value).tolist()
        assert points["arm"].nunique() == 2
    assert curve(experiment, "train@batch/gradient_norm").empty
    assert len(curve(experiment, "val/accuracy")) == 2 * len(POINTS)


def test_the_final_value_of_a_probe_is_read(results):
    key = "train@batch/gradient_norm/3"
    rows = [write_run(results, config(norm=norm), 0) | {key: 0.25} for norm in ("none", "l1")]
    experiment = load(write_experiment(results, "one", rows))
    assert final(experiment.runs, key).tolist() == [0.25, 0.25]
    assert key not in config_columns(experiment.runs)


def test_an_unknown_metric_names_those_there_are(results):
    runs = load_runs(results, [write_run(results, config(), 0)])
    with pytest.raises(ValueError, match=r"test/acuracy.*expected one of .*test/accuracy"):
        final(runs, "test/acuracy")


def test_shifts_are_read(results):
    rows = [write_run(results, config(), 0)]
    write_shifts(results, config(), 0, ("ema", "precise"))
    shifts = load(write_experiment(results, "one", rows)).shifts
    assert len(shifts) == 10
    worst = shifts[(shifts["severity"] == 5) & (shifts["policy"] == "ema")]
    assert worst["value"].tolist() == pytest.approx([0.8])
