"""The time left, in replays of a sweep whose runs' durations were recorded, and by hand.

`durations.csv` has the seconds of the runs of the five default experiments, as `results/reference`
had them at commit 91e8e2a, on another CPU than the one that the table of `running.loads` was
fitted on: an arm a line in the order of a sweep, its seeds side by side.
"""

import csv
import heapq
import json
from pathlib import Path

import pytest

from bnbench.config.points import Scope
from bnbench.config.schema import SCHEMA
from bnbench.running.estimate import RUN, START, Estimate, TimeLeft, last_end
from bnbench.running.launch import num_workers
from bnbench.running.loads import PASS, PASS_LAYER, Load, load_of
from bnbench.tracking.run_dir import RunFolder

RECORDED = Path(__file__).with_name("durations.csv")
WITHIN = 0.3  # of what it turns out to be
LAST = 5.0  # seconds of a sweep in which the time left is not judged


def rows():
    """The recorded arms."""
    with RECORDED.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def load(row):
    """What a run of a recorded arm had to do."""
    model = {k: json.loads(row[k]) if row[k][0] == "[" else row[k] for k in ("widths", "depth")}
    policies = json.loads(row["policies"])
    canonical = {
        "model": {"name": row["model"], "activation": row["activation"], **model},
        "norm": {"name": row["norm"]},
        "placement": row["placement"],
        "batch_size": int(row["batch_size"]),
        "data": {"name": "digits", "augment": "none"},
        "optim": {"name": "sgd"},
        "train": {
            "steps": int(row["steps"]),
            "eval_points": int(row["eval_points"]),
            "policy_points": "few",
            "policies": policies,
        },
        "probes": [],
    }
    return Load(canonical, 30 * len(policies) if row["experiment"] == "shift" else 0)


class Recorded:
    """A sweep of recorded runs: an arm goes to the first worker that is free, seed by seed.

    Args:
        workers: how many there are.
        slower: how many times as long a run takes, by what it has to do.
        start: seconds until a worker begins its first run.
        side: seconds of a run beside its training.
    """

    def __init__(self, workers, slower=lambda load: 1.0, start=6.0, side=0.1):
        self.arms, self.loads, self.took, self.ended, self.spans = {}, {}, {}, {}, {}
        free = [start] * workers
        for arm, row in enumerate(rows()):
            own, now = load(row), free[0]
            seconds, steps = row["seconds"].split(), map(int, row["ended"].split())
            runs = self.arms[arm] = [(arm, seed) for seed in range(len(seconds))]
            for run, training, ended in zip(runs, map(float, seconds), steps, strict=True):
                factor = slower(own)
                whole = factor * (training + own.shifting) + side
                self.loads[run], self.ended[run] = own, ended
                self.took[run] = factor * training, whole
                self.spans[run] = now, now + whole
                now += whole
            heapq.heapreplace(free, now)
        self.total = max(free)

    def replay(self, left):
        """Yield what the estimate says, and what is true, at a hundred moments."""
        begins = min(begin for begin, _ in self.spans.values())
        waiting = sorted(self.spans, key=lambda run: self.spans[run][1], reverse=True)
        now = 0.0
        while now < self.total:
            while waiting and self.spans[waiting[-1]][1] <= now:
                run = waiting.pop()
                left.end(run, *self.took[run], self.ended[run])
            left.count(now, now >= begins)
            yield now, left.seconds(self.steps(now)), self.total - now
            now += self.total / 100

    def steps(self, now):
        """The steps that the runs in training have done."""
        return {
            run: int(self.ended[run] * min(1, (now - begin) / self.took[run][0]))
            for run, (begin, end) in self.spans.items()
            if begin <= now < end
        }


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
@pytest.mark.parametrize("slower", [1.0, 3.0])
def test_from_a_tenth_on_the_time_left_is_within_30_percent(workers, slower):
    """Nothing is known before: the table alone, and then what the sweep itself shows."""
    recorded = Recorded(workers, lambda load: slower)
    left = TimeLeft(Estimate(), recorded.arms, recorded.loads, workers)
    judged = 0
    for now, told, true in recorded.replay(left):
        assert told >= 0
        if now >= recorded.total / 10 and true > LAST:
            assert told == pytest.approx(true, rel=WITHIN), (now, recorded.total)
            judged += 1
    assert judged > 40


def test_the_same_where_convolutions_are_three_times_as_slow():
    """A machine on which families differ otherwise than the table says."""
    recorded = Recorded(2, lambda load: 3.0 if load.kin[0] == "convolutional" else 1.0)
    left = TimeLeft(Estimate(), recorded.arms, recorded.loads, 2)
    for now, told, true in recorded.replay(left):
        if now >= recorded.total / 10 and true > LAST:
            assert told == pytest.approx(true, rel=WITHIN), (now, recorded.total)


def test_the_same_where_a_cluster_decides_how_many_workers_there_are():
    recorded = Recorded(4)
    left = TimeLeft(Estimate(), recorded.arms, recorded.loads, None)
    for now, told, true in recorded.replay(left):
        if now >= recorded.total / 10 and true > LAST:
            assert told == pytest.approx(true, rel=WITHIN), (now, recorded.total)


def test_a_sweep_as_foretold_is_right_from_its_first_second_to_its_last():
    """Four equal arms with two runs each, whose seconds are known, on two workers."""
    own = load(rows()[0])
    estimate = Estimate()
    estimate.learn(own, 10 - RUN)
    arms = {arm: [(arm, seed) for seed in (0, 1)] for arm in range(4)}
    left = TimeLeft(estimate, arms, dict.fromkeys([r for a in arms.values() for r in a], own), 2)
    told = [left.seconds({})]
    for now in range(41):
        for arm in (0, 1) if now <= 20 else (2, 3):
            if now in (10, 20, 30, 40):
                left.end((arm, int(now in (20, 40))), 10 - RUN, 10, own.steps)
        left.count(now, True)
        seed, first = now // 10 % 2, 2 * (now // 20)
        share = now % 10 / 10
        running = {(first + k, seed): own.steps * share for k in (0, 1)} if now < 40 else {}
        told.append(left.seconds(running))
    assert told[0] == pytest.approx(40 + START)
    assert told[1:] == pytest.approx([40 - now for now in range(41)], abs=0.1)
    assert told == sorted(told, reverse=True)


def test_the_last_of_some_jobs_ends():
    assert last_end([], 3) == 0
    assert last_end([5, 1, 1, 1], 2) == 5
    assert last_end([1, 1, 1, 5], 2) == 6  # the long one comes last
    assert last_end([2] * 7, 8) == 2


def test_a_family_has_its_own_factor_and_strangers_that_of_its_kin(read):
    names = ("mlp,vgg", "none,batchnorm")
    arms = read(f"model={names[0]}", f"norm={names[1]}", multirun=True).arms.values()
    mlp, mlp_bn, vgg, vgg_bn = (load_of(arm.config) for arm in arms)
    estimate = Estimate()
    assert [estimate.factor(own) for own in (mlp, vgg_bn)] == [1, 1]
    for _ in range(99):
        estimate.learn(mlp, 2 * mlp.training)
        estimate.learn(vgg, 8 * vgg.training)
    assert estimate.factor(mlp) == pytest.approx(2, rel=0.01)
    assert estimate.factor(vgg_bn) == pytest.approx(8, rel=0.01)
    assert estimate.factor(mlp_bn) == pytest.approx(2, rel=0.01)
    assert estimate.knows(vgg)
    assert not estimate.knows(vgg_bn)
    assert estimate.seconds(vgg) == pytest.approx(RUN + 8 * vgg.training, rel=0.01)


def test_a_run_that_diverged_tells_the_pace_of_its_steps_and_how_far_its_arm_comes():
    own, estimate = load({**rows()[0], "steps": "1000"}), Estimate()
    runs = [("arm", seed) for seed in range(3)]
    left = TimeLeft(estimate, {"arm": runs}, dict.fromkeys(runs, own), 1)
    left.count(0, True)
    early = own.training_seconds(100)
    assert early < own.training / 5
    left.end(runs[0], 2 * early, 2 * early + RUN, 100)
    assert estimate.factor(own) == pytest.approx(2)
    left.count(2 * early + RUN, True)
    assert left.seconds({}) == pytest.approx(2 * 0.1 * estimate.seconds(own), rel=0.01)
    left.close(runs[1])  # it failed
    assert left.seconds({}) == pytest.approx(0.1 * estimate.seconds(own), rel=0.01)


def test_what_a_run_is_to_do(read):
    words = ("train.steps=100", "train.eval_points=4", "shift.severities=[1,3]", "shift=blur")
    (arm,) = read(*words, "train.policies=[ema]").arms.values()
    own = load_of(arm.config)
    # after 1, 2, 25, 50, 75 and 100 steps, of which the last five have everything
    assert own.evaluations(100) == {Scope.policies: 1, Scope.everything: 5}
    assert own.evaluations(30) == {Scope.policies: 1, Scope.everything: 3}
    # 256 training and all 359 validation images, and at five points the test images
    assert own.evaluated(own.evaluations(100)) == (6 * 2 + 5, 6 * (256 + 359) + 5 * 360)
    assert own.shifted_images == 2 * 360
    (arm,) = read(*words, "train.policies=[ema,precise]").arms.values()
    own = load_of(arm.config)
    # precise statistics are measured on 1000 training images at each point, and under each shift
    images = 6 * (256 + 359) + 6 * (1000 + 359) + 5 * 2 * 360
    assert own.evaluated(own.evaluations(100)) == (6 * (2 + 2) + 5 * 2, images)
    (arm,) = read(*words, "train.eval_points=50").arms.values()
    own = load_of(arm.config)
    assert own.evaluations(100) == {Scope.curve: 42, Scope.policies: 4, Scope.everything: 5}
    assert own.evaluated({Scope.curve: 43}) == (43, 43 * 359)
    assert own.shifted_images == 2 * (2 * 360 + 1000)
    assert own.net == (4, 3, (64 * 100 + 2 * 100 * 100 + 100 * 10, 300))
    (arm,) = read(*words, "train.averages=[swa]").arms.values()
    own = load_of(arm.config)
    # at five points the test images twice more, and the 1000 of the statistics of the average
    assert own.evaluated({Scope.everything: 5})[1] == images - 256 - 359 - 1000 - 359 + 5 * 1720
    assert own.evaluated({Scope.everything: 5})[0] == 5 * (2 + 2 + 2 + 3)
    (arm,) = read(*words, "data.tasks=5", "train.eval_points=10").arms.values()
    # everything after each task, of which two end before the last five points
    assert load_of(arm.config).evaluations(100)[Scope.everything] == 5 + 2
    (arm,) = read(*words, "train.policies=[ema,blend]", "train.test_batch=2").arms.values()
    own = load_of(arm.config)
    # blend sees 256, 359 and 360 images in 128, 180 and 180 batches of two, each a pass, where ema
    # has one; digits have no more validation images than those of the curve
    assert own.passes[Scope.curve][0] == 1 + 180
    assert own.passes[Scope.policies][0] == 2 + 128 + 180
    assert own.passes[Scope.everything][0] == 3 + 128 + 180 + 180
    passes = 2 * (1 + 180) * (PASS + 7 * PASS_LAYER)  # of two shifts; four layers and three norms
    assert own.shifting == pytest.approx(passes + own.shifted_images * own.image_seconds)
    (arm,) = read(*words, "train.policies=[ema,batch]", "train.test_batch=2").arms.values()
    # what a training step has seen tells training's loss under batch
    assert load_of(arm.config).passes[Scope.policies][0] == 4 + (180 - 1)
    (arm,) = read("model=vgg", "norm=none").arms.values()
    inner = 9 * (16 + 16 * 16) * 64 + 9 * (16 * 32 + 32 * 32) * 16
    assert load_of(arm.config).net == (5, 0, (inner + 32 * 4 * 10, 2 * (16 * 64 + 32 * 16)))


def test_what_is_no_step_of_a_family(read):
    def family(*overrides):
        (arm,) = read(*overrides).arms.values()
        return load_of(arm.config).family

    same = ("optim.base_lr=3", "seeds=[7]", "train.steps=5", "model.init=xavier")
    assert {family(override) for override in same} == {family()}
    other = ("batch_size=2", "norm=none", "train.policies=[ema]", "probes=[ics]", "placement=post")
    assert len({family(override) for override in other} | {family()}) == len(other) + 1


def test_norms_are_counted_where_they_stand(read):
    def norms(chosen):
        (arm,) = read("model.depth=[2]", f"model.norm_layers={chosen}").arms.values()
        return load_of(arm.config).net[1]

    choices = ("every", "first", "last", "alternate", "input")
    assert [norms(chosen) for chosen in choices] == [6, 1, 1, 3, 1]


def test_finished_runs_of_the_same_families_tell_their_seconds(read, end, tmp_path):
    """Those of the request, and where it has none those of others; not what came from elsewhere."""
    results = f"results={tmp_path}/results"
    asked = read("norm=none,batchnorm", results, "device=cpu", multirun=True)
    others = read("norm=batchnorm", "optim.lr_mult=5,7", results, multirun=True)
    loads = [load_of(arm.config) for arm in asked.arms.values()]

    def finish(arm, seed, factor, **meta):
        run, own = RunFolder.of(asked.results, arm.id, seed), load_of(arm.config)
        run.path.mkdir(parents=True)
        run.begin(own.science)
        run.meta.write_text(json.dumps({"schema": SCHEMA, "device": "cpu", **meta}))
        end(run.path, seconds=factor * own.training, steps=own.steps)

    known, strange = asked.arms.values()
    foreign, of_another_schema = others.arms.values()
    finish(known, 0, 3.0)
    finish(known, 1, 100.0, device="NVIDIA H200")
    finish(foreign, 0, 5.0)
    finish(of_another_schema, 0, 100.0, schema=SCHEMA - 1)
    estimate = Estimate()
    assert estimate.read_request(asked) == 2
    assert [estimate.knows(own) for own in loads] == [True, True]
    assert 2.9 < estimate.factor(loads[0]) < estimate.factor(loads[1]) < 5.1
    assert strange.id not in {run.parent.name for run in asked.results.glob("runs/*/*")}


@pytest.mark.parametrize(
    ("overrides", "number"),
    [
        (["hydra.launcher.n_jobs=3"], 3),
        (["hydra/launcher=basic"], 1),
    ],
)
def test_how_many_workers_a_launcher_has(read, overrides, number):
    assert num_workers(read(*overrides).hydra.hydra.launcher) == number
