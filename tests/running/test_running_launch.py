"""Launching ends, whatever launchers do, and blames the right arm."""

from dataclasses import replace
from pathlib import Path

import pytest

from bnbench.request.hydra_internals import JOB, Loader
from bnbench.running import launch
from bnbench.running.launch import LAUNCHES, Work, as_job, of_job, train_missing


@pytest.fixture
def work(read):
    return Work(read("norm=none,batchnorm,layernorm", "seeds=[0]", multirun=True))


def reasons(work):
    return [run.error.read_text().strip() if work.failed(run) else None for run in work.arm_of]


@pytest.fixture
def train(end):
    def attempt(work, arm, finished=True):
        (run,) = (run for run, owner in work.arm_of.items() if owner == arm)
        with run.locked():
            run.begin({"batch_size": 64})
            if finished:
                end(run.path)

    return attempt


def test_a_launcher_that_raises_fails_every_run_once(work, monkeypatch):
    calls = []
    monkeypatch.setattr(launch, "launch", lambda *_: calls.append(1) or "no such queue")
    train_missing(work, task=None)
    assert reasons(work) == ["the launcher failed: no such queue"] * 3
    assert len(calls) == LAUNCHES


def test_a_launcher_that_does_nothing_fails_every_run(work, monkeypatch):
    monkeypatch.setattr(launch, "launch", lambda *_: None)
    train_missing(work, task=None)
    assert reasons(work) == ["the launcher failed: it returned without training"] * 3


def test_the_arm_that_kills_its_worker_twice_is_failed_and_no_other(work, train, monkeypatch):
    groups = []
    guilty = list(work.request.arms)[1]

    def deadly(_, arms, task):
        groups.append([arm.id for arm in arms])
        for number, arm in enumerate(arms):
            # the guilty arm takes the next one, which is in another worker, with it
            dies = arm.id == guilty or (number and arms[number - 1].id == guilty)
            train(work, arm, finished=not dies)
        return "killed" if guilty in groups[-1] else None

    monkeypatch.setattr(launch, "launch", deadly)
    train_missing(work, task=None)
    first, second, third = work.request.arms
    assert groups == [[first, second, third], [second], [third]]
    assert reasons(work) == [None, "the worker process died 2 times: killed", None]
    assert work.lacking() == {}


def test_a_single_arm_gets_its_second_chance(read, train, monkeypatch):
    work = Work(read("seeds=[0]"))
    lives = iter([False, True])

    def once_deadly(_, arms, task):
        alive = next(lives)
        train(work, arms[0], finished=alive)
        return None if alive else "killed"

    monkeypatch.setattr(launch, "launch", once_deadly)
    train_missing(work, task=None)
    assert work.lacking() == {}
    assert reasons(work) == [None]


def test_an_error_of_an_earlier_sweep_is_none_of_this_one(read):
    request = read("seeds=[0]")
    (run,) = Work(request).arm_of
    run.path.mkdir(parents=True)
    run.error.write_text("old")
    work = Work(request)
    assert not work.failed(run)
    work.fail(run, "new")
    assert work.failed(run)


def test_a_worker_is_handed_each_arm_and_composes_nothing(
    read, monkeypatch, tmp_path, tmp_path_factory
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_NOTES", "a {b}, 'c'")
    request = read("norm=none,batchnorm", "results=mine", "hydra/launcher=basic", multirun=True)
    monkeypatch.setattr(Loader, "load_configuration", None)
    work, handed = Work(request), []

    def task(job):
        # in Hydra's own launcher a worker is this process, which may be elsewhere by then
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        handed.append(of_job(job[JOB]))
        monkeypatch.chdir(tmp_path)
        return dict.fromkeys(handed[-1].seeds, "no time")

    train_missing(work, task)
    for config, arm in zip(handed, request.arms.values(), strict=True):
        place = str(Path(arm.config.data.root).absolute())
        data = replace(arm.config.data, root=place)
        assert config == replace(arm.config, results=f"{tmp_path}/mine", data=data)
    assert {work.reason(run) for run in work.arm_of} == {"no time"}


@pytest.mark.parametrize(
    "words",
    [
        ["experiment=batch_size", "shift=blur"],
        ["tune.low=0.1", "tune.high=1", "tune.batches=two_classes", "probes=[ablation,gradients]"],
        ["tune.low=0.1", "tune.high=1", "tune.find=stable", "optim=adam", "data.batches=frozen"],
        ["model=residual_mlp,vgg", "norm=ghost_batchnorm,groupnorm", "device=cpu", "track=online"],
    ],
)
def test_what_a_worker_is_handed_is_the_arm_that_was_read(read, words):
    for arm in read(*words, "seeds=[4,2]", multirun=True).arms.values():
        data = replace(arm.config.data, root=str(Path(arm.config.data.root).absolute()))
        assert of_job(as_job(arm.config)) == replace(arm.config, data=data)
