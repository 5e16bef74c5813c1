"""Requests: sub-grids, merged arms, united seeds, and refusals in one line."""

from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException
from hydra.types import RunMode
from omegaconf import open_dict

from bnbench import cli
from bnbench.config.checks import RequestError
from bnbench.config.quoting import for_hydra
from bnbench.config.schema import NORM_CONFIGS, SaveWeights, ShiftName
from bnbench.request import preflight
from bnbench.request.provenance import RequestSource
from bnbench.request.refusal import one_line
from bnbench.running.launch import as_job, of_job


def runs_of(request, experiment=0):
    return request.experiments[experiment].runs


def test_a_sweep_is_a_product_and_drops_what_cannot_matter(read):
    request = read("norm=none,batchnorm", "placement=pre,post", multirun=True)
    placements = sorted((a.config.norm.name, a.id.split("-")[2]) for a in request.arms.values())
    assert placements == [("batchnorm", "post"), ("batchnorm", "pre"), ("none", "none")]
    assert request.duplicates == 1


def test_equal_arms_unite_their_seeds(read):
    request = read("seeds=[3],[1,2],[2]", multirun=True)
    ((arm, seeds),) = runs_of(request).items()
    assert seeds == [1, 2, 3]
    assert request.arms[arm].config.seeds == [1, 2, 3]


def test_equal_arms_unite_their_shifts(read):
    (arm,) = read("shift=blur,invert,none", multirun=True).arms.values()
    assert arm.config.shift.names == [ShiftName.blur, ShiftName.invert]


@pytest.mark.slow
def test_arms_are_sub_grids_and_the_command_line_wins(read):
    request = read("experiment=placement")
    models = [arm.config.model.name for arm in request.arms.values()]
    assert (models.count("mlp"), models.count("vgg")) == (5, 5)
    assert {tuple(a.config.seeds) for a in request.arms.values()} == {(0, 1, 2, 3, 4), (0, 1, 2)}
    smaller = read("experiment=placement", "model=mlp", "seeds=[7]", "batch_size=32")
    assert len(smaller.arms) == 5
    assert all(a.config.seeds == [7] for a in smaller.arms.values())
    assert all(a.config.batch_size == 32 for a in smaller.arms.values())


@pytest.mark.slow
def test_an_arm_of_two_experiments_is_trained_once(read):
    request = read("experiment=placement,lr_mult")
    first, second = (set(e.runs) for e in request.experiments)
    assert first & second
    assert len(request.arms) == len(first | second)


def test_equal_steps_and_equal_epochs_meet_at_the_reference_batch(read):
    request = read("experiment=batch_size", "norm=batchnorm", "optim.lr_scaling=none")
    steps = {(a.config.batch_size, a.config.train.epoch_batch) for a in request.arms.values()}
    assert (64, None) in steps
    assert (64, 64) not in steps


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("mode", "expected"),
    [("online", "online"), ("disabled", "csv"), ("offline", "offline"), ("dryrun", "offline")],
)
def test_wandb_mode_wins_over_yaml_and_loses_to_the_command_line(read, monkeypatch, mode, expected):
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    (arm,) = read().arms.values()
    assert (arm.config.track.mode, arm.config.track.project) == (expected, "mine")
    (arm,) = read("track=csv", "track.project=yours").arms.values()
    assert (arm.config.track.mode, arm.config.track.project) == ("csv", "yours")


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("value", "expected"),
    [("true", "csv"), ("1", "csv"), ("YES", "csv"), ("false", "online"), ("0", "online"),
     ("", "online")],
)  # fmt: skip
def test_wandb_disabled_is_csv_and_loses_to_the_command_line(read, monkeypatch, value, expected):
    monkeypatch.setenv("WANDB_DISABLED", value)
    monkeypatch.setenv("WANDB_MODE", "online")
    (arm,) = read().arms.values()
    assert arm.config.track.mode == expected
    (arm,) = read("track=default").arms.values()
    assert arm.config.track.mode == "offline"


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", ["WANDB_MODE", "WANDB_DISABLED"])
def test_a_value_that_wandb_does_not_know_is_refused_with_the_choices(read, monkeypatch, name):
    monkeypatch.setenv(name, "maybe")
    choices = {"WANDB_MODE": "one of online, offline, .*", "WANDB_DISABLED": "true or false"}
    with pytest.raises(RequestError, match=f"^{name}=maybe: expected {choices[name]}$"):
        read()
    read("track=csv")  # the command line has said it


@pytest.mark.parametrize("url", ["notaurl", "ftp://host", "http://", "https:// host"])
def test_an_address_that_is_none_is_refused_where_wandb_would_ask_for_it(read, monkeypatch, url):
    monkeypatch.setenv("WANDB_BASE_URL", url)
    with pytest.raises(RequestError, match=f"^WANDB_BASE_URL={url}: expected http:// or https://"):
        read()
    assert read("track=csv").arms
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:8080/")
    assert read().arms


@pytest.mark.one_in(4)
@pytest.mark.parametrize("project", ["it is mine", "null", "1", "a-b_c.d"])
def test_names_from_the_environment_reach_the_worker_whole(read, monkeypatch, project):
    monkeypatch.setenv("WANDB_PROJECT", project)
    (arm,) = read().arms.values()
    assert of_job(as_job(arm.config)).track.project == project


def test_bad_names_from_the_environment_are_refused(read, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "it's ${mine}")
    with pytest.raises(RequestError, match=r"track\.project=it's"):
        read()


SILENT = ([], None)  # what YAML says of tags and notes


@pytest.mark.parametrize(
    ("typed", "environment", "expected"),
    [
        ([], {}, SILENT),
        ([], {"TAGS": "paper, it's ours", "NOTES": "why, and how"},
         (["paper", "it's ours"], "why, and how")),
        ([], {"TAGS": " , ", "NOTES": ""}, SILENT),
        (["track.tags=[mine]", "track.notes=my own"], {}, (["mine"], "my own")),
        (["track.tags=[mine]"], {"TAGS": "theirs", "NOTES": "theirs"}, (["mine"], "theirs")),
        (["track.notes=null"], {"TAGS": "theirs", "NOTES": "theirs"}, (["theirs"], None)),
        # what is not read is not refused
        (["track.tags=[]", "track.notes=1e3"], {"TAGS": "a,a", "NOTES": "x" * 1001}, ([], "1e3")),
        (["track=csv"], {"TAGS": "theirs", "NOTES": "theirs"}, (["theirs"], "theirs")),
    ],
)  # fmt: skip
def test_tags_and_notes_are_typed_or_of_the_environment_or_of_yaml(
    read, monkeypatch, typed, environment, expected
):
    for name, value in environment.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    (arm,) = read(*typed).arms.values()
    assert (arm.config.track.tags, arm.config.track.notes) == expected


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "TAGS",
            "a,b,a",
            "track.tags=[a,b,a]: expected a list of at most 20 distinct tags of 1 to",
        ),
        ("TAGS", "failed", "track.tags=[failed]: expected a list of at most 20 distinct tags of 1"),
        ("TAGS", "${a}", "track.tags=[${a}]: expected a list of at most 20 distinct tags of 1 to"),
        ("TAGS", "a\nb", "track.tags=[a\\nb]: expected a list of at most 20 distinct tags of 1 to"),
        ("NOTES", "a: b\n\tc", "track.notes=a: b\\n\\tc: expected null or a text of at most 1,000"),
        ("NOTES", " ", "track.notes= : expected null or a text of at most 1,000 characters"),
        ("NOTES", "???", "track.notes=???: expected null or a text of at most 1,000 characters"),
    ],
)
def test_bad_tags_and_notes_of_the_environment_are_one_line(read, monkeypatch, name, value, told):
    monkeypatch.setenv(f"WANDB_{name}", value)
    with pytest.raises(RequestError) as refusal:
        read()
    assert str(refusal.value).startswith(told)
    assert str(refusal.value).endswith(f" (from WANDB_{name})")
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    "notes", ["it's a=b, c", "two\nlines", "ends in \\", "null", "1", "#x: {y}"]
)
def test_tags_and_notes_reach_the_worker_whole_and_name_no_other_arm(read, monkeypatch, notes):
    (plain_arm,) = read().arms
    tags = ["it's", "a,b", "[c]", "null", "3", "d\\"]
    monkeypatch.setenv("WANDB_NOTES", notes)
    request = read(f"track.tags=[{','.join(map(for_hydra, tags))}]")
    ((arm_name, arm),) = request.arms.items()
    assert (arm.config.track.tags, arm.config.track.notes) == (tags, notes)
    assert arm_name == plain_arm
    assert of_job(as_job(arm.config)).track == arm.config.track


def test_an_arm_knows_the_experiments_that_ask_for_it(read):
    small = ("model=mlp", "norm=none", "data=synthetic", "train.steps=2")
    both = read("experiment=placement,lr_mult", *small)
    asked = {arm.config.optim.lr_mult: arm for arm in both.arms.values()}
    assert {rate: arm.config.track.experiments for rate, arm in asked.items()} == {
        1: ["placement", "lr_mult"],
        5: ["lr_mult"],
        30: ["lr_mult"],
    }
    for arm in asked.values():
        assert of_job(as_job(arm.config)).track.experiments == arm.config.track.experiments
    ((name, alone),) = read(*small).arms.items()  # by hand
    assert name == asked[1].id
    assert alone.config.track.experiments == []


@pytest.mark.slow
def test_the_line_says_where_the_value_comes_from(read, monkeypatch):
    monkeypatch.setenv("WANDB_ENTITY", "a/b")
    with pytest.raises(RequestError, match=r"^track\.entity=a/b: .* \(from WANDB_ENTITY\)$"):
        read()
    monkeypatch.delenv("WANDB_ENTITY")
    with pytest.raises(RequestError, match=r"^norm=lrn: .*, expected a vgg$"):
        read("norm=lrn")
    with pytest.raises(
        RequestError, match=r"^norm\.groups=4: .* \(configs/norm/groupnorm\.yaml\)$"
    ):
        read("experiment=batch_size", "model.widths=[30,30,30]")


@pytest.mark.slow
def test_what_was_not_foreseen_is_one_line_or_a_traceback_for_who_asks(read, monkeypatch):
    def fail(*_):
        raise KeyError("a\nb")

    monkeypatch.setattr(cli, "tracked", fail)
    with pytest.raises(RequestError, match=r" batch_size=8: 'a\\nb'$"):
        read("batch_size=8")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(KeyError):
        read("batch_size=8")
    with pytest.raises(RequestError):  # a bad request is no less one line
        read("norm=nope")


def test_weights_are_kept_where_one_of_two_asks_for_it(read):
    request = read("train.save_weights=never,always,auto", "norm=none", multirun=True)
    (arm,) = request.arms.values()
    assert arm.config.train.save_weights == SaveWeights.always


def test_values_of_an_arm_keep_all_their_digits(read):
    request = read("arms=[{optim.base_lr:0.012345678},{optim.base_lr:1234567.5}]")
    rates = [arm.config.optim.base_lr for arm in request.arms.values()]
    assert rates == [0.012345678, 1234567.5]


REFUSED = {
    "norm=batchnrom": f"norm=batchnrom: expected one of {', '.join(sorted(NORM_CONFIGS))} "
    "(did you mean batchnorm?)",
    "optim.lr_mult=-1": "optim.lr_mult=-1: expected a finite number > 0",
    "optim.lr_mult=nan": "optim.lr_mult=nan: expected a finite number > 0",
    "optim.lr_mult=fast": "optim.lr_mult=fast: Value 'fast' of type 'str' could not be converted "
    "to Float",
    "+typo=3": "typo: no such key, expected one of model, norm",
    "++norm.foo=3": "norm.foo: no such key with norm=batchnorm, expected one of name, eps, affine",
    "train.stepz=3": "train.stepz: no such key, expected one of",
    "trian.steps=3": "trian: no such key, expected one of arms, batch_size, data, device",
    "placement=middle": "placement=middle: expected one of pre, post",
    "~placement": "placement: missing, it cannot be removed",
    "seeds=[]": "seeds=[]: expected a non-empty list of distinct integers >= 0",
    "seeds=[0,0]": "seeds=[0,0]: expected a non-empty list of distinct integers >= 0",
    "batch_size=0": "batch_size=0: expected an integer >= 1",
    "batch_size=1": "batch_size=1: batchnorm in an MLP would see one value per channel",
    "batch_size=1079": "batch_size=1079: expected at most 1078, the training images of digits",
    "norm=none,batchnorm": "norm=none,batchnorm: several values need -m",
    "data=digits,synthetic": "data=digits,synthetic: several values need -m",
    "data.pixels=raw": "data.pixels=raw: expected one of normalised, unit, bytes",
    "data.tasks=0": "data.tasks=0: expected an integer >= 1",
    "data.tasks=3": "data.tasks=3: expected one of 1, 2, 5, which cut the 10 classes of digits",
    "data.train_images=0": "data.train_images=0: expected null or an integer >= 1",
    "data.train_images=1079": "data.train_images=1079: expected at most 1078, the training images",
    "data.train_images=32": "batch_size=64: expected at most 32, the training images of",
    "arms=[3]": "arms=[3]: expected a list of mappings",
    "arms=3": "arms=3: expected a list of mappings",
    "norm.groups=8": "norm.groups: no such key, expected one of affine, backend",
    "hydra.launcher.n_jobs=0": "hydra.launcher.n_jobs=0: expected an integer >= 1",
    "hydra.launcher.n_jobs=abc": "hydra.launcher.n_jobs=abc: expected an integer >= 1",
    "hydra.job.chdir=true": "hydra.job.chdir=true: expected false",
    "hydra.sweeper.params.norm=nope": "hydra.sweeper.params.norm=nope: expected no more of Hydra",
    "track.project=a/b": "track.project=a/b: expected a name of letters",
    "track.project=": "track.project=: expected a name of letters",
    "track.tags=x": "track.tags=x: expected a list such as [1,2]",
    "track.tags=[a,b,a]": "track.tags=[a,b,a]: expected a list of at most 20 distinct tags of 1 to "
    "64 printable characters without ${, other than interrupted and failed",
    "track.tags=['']": "track.tags=[]: expected a list of at most 20 distinct tags",
    "track.tags=[interrupted]": "track.tags=[interrupted]: expected a list of at most 20 distinct",
    f"track.tags=[{'x' * 65}]": f"track.tags=[{'x' * 65}]: expected a list of at most 20 distinct",
    "track.tags=['a\nb']": "track.tags=[a\\nb]: expected a list of at most 20 distinct tags of 1",
    f"track.tags={list(range(21))}": "track.tags=[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19"
    ",20]: expected a list of at most 20 distinct tags",
    "track.tags=[[a]]": "track.tags=[[a]]: ",
    "track.tags=[null]": "track.tags=[null]: ",
    "track.tag=[a]": "track.tag: no such key, expected one of entity, mode, notes, project, tags",
    "track.notes=": "track.notes=: expected null or a text of at most 1,000 characters, in",
    "track.notes='a\tb'": "track.notes=a\\tb: expected null or a text of at most 1,000 characters",
    f"track.notes={'x' * 1001}": f"track.notes={'x' * 980}",
    "track.notes=a,b=c": "track.notes=a,b=c: expected one text (a text with such characters: "
    "\"track.notes='a,b=c'\")",
    "track.notes=[a]": "track.notes=[a]: Cannot convert 'ListConfig' to string",
    "track.experiments=[a]": "track.experiments: no such key, expected one of entity, mode, notes,",
    "+track.experiments=[a]": "track.experiments=[a]: follows from experiment, expected that",
    "arms=[{+track.experiments:[a]}]": "track.experiments=[a]: follows from experiment, expected",
    "shift.severities=[]": "shift.severities=[]: expected a non-empty list of distinct integers",
    "norm.backend=gpu": "norm.backend=gpu: expected one of reference",
    "norm=instancenorm": "norm=instancenorm: an MLP has one value per channel, expected a vgg",
    "model.widths=3": "model.widths=3: expected a list such as [1,2]",
    "model.branch=skipinit": "model.branch: no such key, expected one of activation, depth, dro",
    "model.order=original": "model.order: no such key, expected one of activation, depth, dropout",
    "model.depth=[1,1]": "model.depth=[1,1]: expected one entry or one for each of the 3",
    "train.steps=0": "train.steps=0: expected null or an integer >= 1",
    "train.policies=[ema,exact]": "train.policies[1]=exact: expected one of ema, cumulative",
    "train.test_batch=0": "train.test_batch=0: expected null or an integer >= 1",
    "train.test_batch=361": "train.test_batch=361: expected at most 360, the images that digits is",
    "train.prior=-1": "train.prior=-1: expected a finite number >= 0",
    "train.prior=inf": "train.prior=inf: expected a finite number >= 0",
    "train.policies=[precise]": "train.policies=[precise]: expected ema among them",
    "train.trainable=bn": "train.trainable=bn: expected one of all, head, norm, random",
    "train.averages=[sma]": "train.averages[0]=sma: expected one of swa, weight_ema",
    "train.averages=[swa,swa]": "train.averages=[swa,swa]: expected a list of distinct averages",
    "optim.decay_by=norms": "optim.decay_by=norms: expected one of penalty, head, resc",
    "model.dropout_place=norm": "model.dropout_place=norm: expected one of blocks, head",
    "model.norm_layers=second": "model.norm_layers=second: expected one of every, first, last, alt",
    "model.init_scale=0": "model.init_scale=0: expected a finite number > 0",
    "shift.severities=[6]": "shift.severities=[6]: expected a non-empty list of distinct",
    "shift=fog": "shift=fog: expected one of blur, brightness",
    "experiment=nope": "experiment=nope: expected one of batch_size, claim_accuracy",
    "model=vgg16": "optim.base_lr: no rate is tuned for model=vgg16 data=digits optim=sgd",
    "results=/dev/null/x": "results=/dev/null/x: cannot be written (Not a directory)",
    "a=[1": "a=[1: cannot be parsed",
    "data=mnist": "train-images-idx3-ubyte: not found in",
    "probes=[grads]": "probes[0]=grads: expected one of gradients, activations, histogram",
    "probes=[ics,ics]": "probes=[ics,ics]: expected a list of distinct probes",
    # what no machine could run
    "seeds=[9223372036854775808]": "seeds=[9223372036854775808]: expected a non-empty list of "
    "distinct integers >= 0 and < 2^63",
    "batch_size=1" + "0" * 30: "batch_size=1" + "0" * 30 + ": expected at most 1078",
    "train.steps=100000001": "train.steps=100000001: expected null or an integer >= 1 and <= 100,",
    "train.epochs=10001": "train.epochs=10001: expected null or an integer >= 1 and <= 10,000",
    "train.eval_points=10001": "train.eval_points=10001: expected an integer >= 1 and <= 10,000",
    "threads=1025": "threads=1025: expected an integer >= 1 and <= 1,024",
    "model.depth=[334]": "model.depth=[334]: expected at most 1000 layers in all",
    "model.widths=[100000,100000]": "model.widths=[100000,100000]: a net of 1e+10 weights",
    "model.widths=[12000000]": "model.widths=[12000000]: a batch of 1000 images has 1.2e+10 act",
    "hydra.launcher.n_jobs=1025": "hydra.launcher.n_jobs=1025: expected an integer >= 1 and <= 1",
    "hydra.launcher.n_jobs=true": "hydra.launcher.n_jobs=true: expected an integer >= 1",
    "tuned_lr.sgd.mlp.mnist=[1]": "tuned_lr.sgd.mlp.mnist=[1]: expected a finite number > 0",
    # what would write files elsewhere or run other code
    "hydra.run.dir=x": "hydra.run.dir=x: expected no more of Hydra itself than hydra/launcher",
    "hydra={run:{dir:x}}": "hydra={run:{dir:x}}: expected no more of Hydra itself than",
    "hydra.output_subdir=x": "hydra.output_subdir=x: expected no more of Hydra itself than",
    "hydra.searchpath=[x]": "hydra.searchpath=[x]: expected no more of Hydra itself than",
    "hydra/job_logging=default": "hydra/job_logging=default: expected no more of Hydra itself",
    "+hydra.job.env_set.X=1": "+hydra.job.env_set.X=1: expected no more of Hydra itself than",
    "~hydra/launcher": "~hydra/launcher: expected no more of Hydra itself than",
    "hydra.launcher._target_=os.system": "hydra.launcher._target_=os.system: expected no more of",
    "+hydra.launcher.x={_target_:os.system}": "+hydra.launcher.x={_target_:os.system}: expected no",
    "hydra.launcher.temp_folder=x": "hydra.launcher.temp_folder=x: expected hydra.launcher.n_jobs",
    "arms=[{hydra.run.dir:x}]": "hydra.run.dir=x: cannot be swept, expected one",
    "arms=[{experiment:shift}]": "experiment=shift: cannot be swept, expected one value for all",
    "arms=[{report.question:x}]": "report.question=x: cannot be swept, expected one value for all",
    "norm@hydra.run=none": "norm@hydra.run=none: no part can be moved, expected norm=<value>",
    "experiment=../model/mlp": "experiment=../model/mlp: expected one of batch_size, claim_",
    "experiment=": "experiment=: expected one of batch_size, claim_accuracy",
    "~experiment": "~experiment: expected experiment=null for none",
    "on_data=nothing": "on_data=nothing: follows from data and experiment, expected those",
    "~on_data": "~on_data: follows from data and experiment, expected those",
    "arms=[{on_data:fashion_mnist/claim_ics}]": "on_data=fashion_mnist/claim_ics: follows",
    # what could not be drawn when all is trained
    "report.figures=[{kind:curves,title:T,x:nope}]": "report.figures[0].x=nope: expected a column",
    "report.compare=[{baseline:{norm:none}}]": "report.compare[0].baseline: norm: expected one of",
    # what is no value, in a place of any kind
    **{
        f"{key}=???": f"{key}=???: ??? is no value, expected {words}"
        for key, words in {
            "train": "one of default, paper, smoke",
            "model": "one of mlp, residual_mlp",
            "norm": "one of batch_renorm, batchnorm",
            "data": "one of cifar10, digits",
            "hydra/launcher": "one of basic, joblib, local, ray",
            "experiment": "one of batch_size, claim_accuracy",
            "batch_size": "an integer >= 1",
            "placement": "one of pre, post",
            "hydra.launcher.n_jobs": "an integer >= 1",
        }.items()
    },
    "seeds=[0,???]": "seeds=[0,???]: ??? is no value, expected a non-empty list of distinct",
    "arms=[{norm: ???}]": "arms=[{norm: ???}]: ??? is no value, expected a list",
    "norm=null": "norm=null: expected one of batch_renorm, batchnorm",
    "hydra/launcher=null": "hydra/launcher=null: expected one of basic, joblib, local, ray",
    # what is of another type: what was typed, and what is expected
    "seeds=[1.0]": "seeds=[1.0]: Value '1.0' of type 'float' could not be converted to Integer, "
    "expected a non-empty list of distinct integers >= 0",
    "seeds=[true]": "seeds=[true]: Value 'True' of type 'bool' could not be converted to Integer, "
    "expected a non-empty list",
    "seeds=[[1]]": "seeds=[[1]]: expected a non-empty list of distinct integers >= 0",
    "model.widths=[[1]]": "model.widths=[[1]]: expected a non-empty list of integers >= 1",
    "batch_size=64.0": "batch_size=64.0: Value '64.0' of type 'float' could not be converted to "
    "Integer, expected an integer >= 1",
    "train.steps=1e3": "train.steps=1e3: Value '1000.0' of type 'float' could not be converted to "
    "Integer, expected null or an integer >= 1",
    "hydra.launcher.n_jobs=2.0": "hydra.launcher.n_jobs=2.0: expected an integer >= 1",
    "arms=[{seeds:[1.0]}]": "seeds=[1.0]: Value '1.0' of type 'float' could not be converted",
    "arms=[{batch_size:8.0}]": "batch_size=8.0: Value '8.0' of type 'float' could not be",
    "tune=1": "tune=1: Invalid type assigned: int is not a subclass of TuneConfig. value: 1, "
    "expected values of tune.low, tune.high, ",
    "hydra.job.chdir=maybe": "hydra.job.chdir=maybe: Value 'maybe' is not a valid bool (type str), "
    "expected false",
    # a group is one of its files
    "~data": "~data: cannot be removed, expected one of cifar10, digits",
    "+train=smoke": "+train=smoke: expected train=smoke",
    "++norm=none": "++norm=none: expected norm=none",
    "data=[digits]": "data=[digits]: expected one of cifar10, digits, fashion_mnist",
    "data=[digits],synthetic": "data=[digits]: expected one of cifar10, digits",
    "data=../data/digits": "data=../data/digits: expected one of cifar10, digits",
    "data=range(1,3)": "data=range(1,3): expected one of cifar10, digits",
    "norm=/norm/none": "norm=/norm/none: expected one of batch_renorm, batchnorm",
    "norm={a:1}": "norm={a:1}: expected one of batch_renorm, batchnorm",
    "norm=${oc.env:HOME}": "norm=${oc.env:HOME}: expected one of batch_renorm, batchnorm",
    "train=[smoke,default]": "train=[smoke,default]: expected one of default, paper, smoke",
    "train={}": "train={}: expected one of default, paper, smoke",
    "hydra/launcher=[joblib]": "hydra/launcher=[joblib]: expected one of basic, joblib, local, ray",
    "arms=[{norm:[none]}]": "norm=[none]: expected one of batch_renorm, batchnorm",
    # what cannot be parsed
    "foo": "foo: expected key=value",
    "=x": "=x: expected key=value",
    "~": "~: expected key=value",
    "norm=ü": "norm=ü: expected one of batch_renorm, batchnorm",
    "norm=batchnorm,": "norm=batchnorm,: expected one of batch_renorm, batchnorm",
    "data=~/x": "data=~/x: expected one of cifar10, digits",
    "data=a=b": "data=a=b: expected one of cifar10, digits",
    "batch_size=8;": "batch_size=8;: expected an integer >= 1",
    "seeds=[ü]": "seeds=[ü]: expected a non-empty list of distinct integers",
    "experiment='x": "experiment='x: expected one of batch_size, claim_accuracy",
    'results="x': 'results="x: expected the path of a folder, of at most 1000 printable characters '
    'without ${, with " at its end',
    # launchers by the names of their plugins
    "hydra/launcher=ray_aws": "hydra/launcher=ray_aws: starts machines that do not share the "
    "results folder, expected hydra/launcher=ray",
    "hydra/launcher=loky": "hydra/launcher=loky: expected one of basic, joblib, local, ray",
    # paths that Hydra or nobody has read
    "results=/tmp/a,b": "results=/tmp/a,b: several values need -m (a text with such characters: "
    "\"results='/tmp/a,b'\")",
    "results=a,b=c": "results=a,b=c: expected one text (a text with such characters: "
    "\"results='a,b=c'\")",
    "results=[a]": "results=[a]: Cannot convert 'ListConfig' to string: '['a']', expected the path",
    "results=null": "results=null: Incompatible value 'None' for field of type 'str', expected the",
    "results=~nobody-here/x": "results=~nobody-here/x: there is no user nobody-here with a home",
    "results=$HOME/x": "results=$HOME/x: no shell reads this, expected ~/x or ${oc.env:HOME}/x",
    # what is another value in each process, or no value that can be kept
    "data.split_seed=${now:%f}": "data.split_seed=${now:%f}: now differs in each worker",
    "results='a\nb'": "results=a\\nb: expected the path of a folder",
    "results=" + "a/" * 600: "results=" + "a/" * 600 + ": expected the path of a folder, of at",
    "results=" + "a" * 300: "results=" + "a" * 300 + ": cannot be written (File name too long)",
}


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "line", ["norm=none,'batchnorm'", "norm=choice(none,l2norm)", "norm=glob(l*norm)"]
)
def test_a_group_is_swept_over_its_files(read, line):
    assert len(read(line, multirun=True).arms) >= 2


@pytest.mark.one_in(3)
@pytest.mark.parametrize("override", REFUSED)
def test_a_bad_request_is_refused_in_one_line(read, tmp_path, override):
    with pytest.raises(RequestError) as refusal:
        read(override, f"data.root={tmp_path}/data")
    assert str(refusal.value).startswith(REFUSED[override])
    assert str(refusal.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("override", list(REFUSED)[::9])
def test_what_was_composed_before_changes_no_refusal(read_afresh, tmp_path, override):
    """The test above, of files that Hydra reads and composes anew."""
    with pytest.raises(RequestError) as refusal:
        read_afresh(override, f"data.root={tmp_path}/data")
    assert str(refusal.value).startswith(REFUSED[override])


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "typed",
    ["a=b", "ünï", "#x", "it's", "my runs", "a(1)", "a[x]", 'a"b', "$(x)", "a!b", "3", "1e3", "-x"],
)
def test_a_path_works_as_it_is_typed(read, monkeypatch, tmp_path, typed):
    monkeypatch.chdir(tmp_path)
    request = read(f"results={typed}")
    assert request.results == Path(typed)
    (arm,) = request.arms.values()
    assert of_job(as_job(arm.config)).results == str(tmp_path / typed)


def test_home_is_meant_by_a_tilde_wherever_it_stands(read, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for word in ("~/bn", "'~/bn'"):
        request = read(f"results={word}", f"data.root={word}")
        assert request.results == tmp_path / "bn"
        assert request.hydra.hydra.sweep.dir == str(tmp_path / "bn" / "runs")
        (arm,) = request.arms.values()
        assert arm.config.data.root == str(tmp_path / "bn")


@pytest.mark.slow
def test_a_results_folder_that_cannot_be_made_is_told_before_training(read, tmp_path):
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "runs").symlink_to(tmp_path / "gone")
    before = sorted(tmp_path.rglob("*"))
    dangling = f"is a link to {tmp_path}/gone, where there is nothing"
    for path, why in {
        "dangling": dangling,
        "dangling/x": dangling,
        "loop": "is a link to",
        "loop/x": "Too many levels of symbolic links",
        "file": "Not a directory",
        "file/x": "Not a directory",
        "folder": f"{tmp_path}/folder/runs: a link, which is not followed",
    }.items():
        with pytest.raises(RequestError) as refusal:
            read(f"results={tmp_path}/{path}")
        assert str(refusal.value).startswith(f"results={tmp_path}/{path}")
        assert "cannot be written (" in str(refusal.value)
        assert why in str(refusal.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_the_plugins_own_names_of_our_launcher_are_our_launcher(read):
    ours, theirs = (read(f"hydra/launcher={name}").hydra.hydra for name in ("local", "joblib"))
    assert theirs.launcher._target_ == ours.launcher._target_
    assert theirs.launcher.n_jobs == ours.launcher.n_jobs
    jobs = read("hydra/launcher=joblib", "hydra.launcher.n_jobs=1").hydra.hydra.launcher.n_jobs
    assert jobs == 1


def test_a_launcher_whose_plugin_is_not_there_says_how_to_install_it(read):
    loader = GlobalHydra.instance().config_loader()
    options = loader.get_group_options("hydra/launcher")
    lacking = [name for name in options if "submitit" not in name]
    error = MissingConfigException("no", "hydra/launcher/submitit_local", lacking)
    line = one_line(
        error,
        RequestSource(loader, ["hydra/launcher=submitit_local"]),
    )
    assert line.startswith(
        "hydra/launcher=submitit_local: hydra-submitit-launcher is not installed, "
        "`make sweep LAUNCHER=submitit_local` installs it"
    )


def test_what_spoils_the_explanation_too_is_a_plain_line(read, monkeypatch):
    def fail(*_):
        raise KeyError("deeper")

    monkeypatch.setattr("bnbench.request.refusal.explained", fail)
    with pytest.raises(RequestError, match=r"^results=\S+ norm=nope: norm=nope: expected one of"):
        read("norm=nope")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["norm=batchnorm,nope"], "norm=nope: expected one of"),
        (["optim.lr_mult=1,-1"], "optim.lr_mult=-1: expected a finite number > 0"),
        (["placement=pre,middle"], "placement=pre,middle: expected one of pre, post"),
        (
            ["norm=batchnorm,none", "norm.momentum=0.5"],
            "norm.momentum: no such key, expected one of name",
        ),
        (["norm=groupnorm", "norm.groups=100"], "norm.groups=100: groups of one value each"),
        (["norm=groupnorm", "norm.groups=4,7"], "norm.groups=7: expected a divisor of every entry"),
        (["norm=ghost_batchnorm", "norm.ghost_size=0"], "norm.ghost_size=0: expected an integer"),
        (["norm=ghost_batchnorm", "norm.ghost_size=1"], "norm.ghost_size=1: a ghost in an MLP"),
        (["norm=batch_renorm", "norm.r_max=0.5"], "norm.r_max=0.5: expected a finite number >= 1"),
        (["norm=batch_renorm", "norm.d_max=-1"], "norm.d_max=-1: expected a finite number >= 0"),
        (["norm=batch_renorm", "norm.warmup=-1"], "norm.warmup=-1: expected an integer >= 0"),
        (["norm=noise", "norm.n_sigma=0.5"], "norm.n_sigma=0.5: expected a finite number >= 1"),
        (["norm=noisy_batchnorm", "norm.r_mu=-1"], "norm.r_mu=-1: expected a finite number >= 0"),
        (["norm=noise", "norm.eps=1"], "norm.eps: no such key, expected one of n_mu"),
        (["norm=l2norm", "norm.init_scale=0"], "norm.init_scale=0: expected a finite number > 0"),
        (["norm=sync_batchnorm", "batch_size=1"], "batch_size=1: sync_batchnorm in an MLP"),
        (["optim=sgd,adam", "optim.momentum=0.5"], "optim.momentum: no such key"),
        (
            ["train.policies=[ema,batch]", "train.test_batch=1"],
            "train.test_batch=1: batchnorm in an MLP would be tested on one value per channel",
        ),
        (
            ["train.policies=[ema,blend]", "train.test_batch=1", "train.prior=16,0"],
            "train.test_batch=1: batchnorm in an MLP would be tested on one value per channel",
        ),
        (["results=a,b"], "results=a and b: cannot be swept"),
        (["track=csv,online"], "track=csv and online: cannot be swept"),
        (["track.tags=[a],[b]"], "track.tags=[a] and [b]: cannot be swept, expected one for all"),
        (["track.notes=a,null"], "track.notes=a and null: cannot be swept, expected one for all"),
        (["device=cpu,auto"], "device=cpu and auto: cannot be swept"),
        (["threads=1,2"], "threads=1 and 2: cannot be swept"),
        (["train.steps=1", "train.epochs=1"], "train.steps=1 train.epochs=1: expected one"),
        (["data.root=a,b"], "data.root=a and b: cannot be swept"),
        (["hydra.launcher.n_jobs=1,2"], "hydra.launcher.n_jobs=1,2: cannot be swept, expected"),
        (["report.question=a,b"], "report.question=a,b: cannot be swept, expected one value"),
        (["arms=[{norm:none}],[{norm:lrn}]"], "arms=[{norm:none}],[{norm:lrn}]: cannot be swept"),
        (["batch_size=glob(*)"], "batch_size=glob(*): there is no such value"),
        (["batch_size=interval(2,8)"], "batch_size=interval(2,8): expected values that can be"),
        (["optim.lr_mult=range(nan,1)"], "optim.lr_mult=range(nan,1): expected a range of finite"),
        (["batch_size=range(2,8,0)"], "batch_size=range(2,8,0): expected a range of finite"),
        (["seeds=shuffle(range(0,1e9))"], "seeds=shuffle(range(0,1e9)): expected at most 10,000"),
        (["experiment=shuffle(range(0,1e9))"], "experiment=shuffle(range(0,1e9)): expected one of"),
        (
            ["batch_size=range(2,103)", "optim.lr_mult=range(1,101)"],
            "batch_size=range(2,103) optim.lr_mult=range(1,101): expected at most 10,000 jobs",
        ),
        (
            ["arms=[{placement:pre},{placement:post}]", "batch_size=range(2,5003)"],
            "batch_size=range(2,5003): expected at most 10,000 jobs",
        ),
    ],
)
def test_one_bad_job_refuses_the_whole_sweep(read, tmp_path, overrides, line):
    with pytest.raises(RequestError) as refusal:
        read(*overrides, multirun=True)
    assert str(refusal.value).startswith(line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("gpu", "compiler", "backend", "line"),
    [
        (False, "no-such-compiler -O1", "cpp", "there is no C++ compiler no-such-compiler here"),
        (
            False,
            "env no-such-compiler",
            "cpp",
            "the C++ compiler env no-such-compiler fails (env: ",
        ),
        (False, "false", "cpp", "the C++ compiler false fails (exit status 1)"),
        (False, "", "cpp", "there is no C++ compiler '' here"),
        (False, "'c++", "cpp", 'there is no C++ compiler "\'c++" here'),
        (True, "env", "cpp", "it computes on the CPU alone"),
        (False, "env", "triton", "it computes on NVIDIA GPUs and there is none"),
        (True, "env", "triton", None),
        (False, "no-such-compiler", "native", None),
    ],
)
def test_a_backend_is_refused_where_it_cannot_run(
    read, monkeypatch, tmp_path, gpu, compiler, backend, line
):
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setattr(preflight, "NVIDIA", tmp_path if gpu else tmp_path / "none")
    if line is None:
        read(f"norm.backend={backend}")
        return
    with pytest.raises(RequestError) as refusal:
        read(f"norm.backend={backend}")
    assert str(refusal.value).startswith(f"norm.backend={backend}: {line}")


def test_an_experiment_whose_sweeper_is_emptied_is_refused_in_one_line(read):
    loader = GlobalHydra.instance().config_loader()
    base = loader.load_configuration("config", [], RunMode.MULTIRUN)
    with open_dict(base):
        base.hydra.sweeper = None
    with pytest.raises(
        RequestError, match=r"^hydra\.sweeper=null: expected a mapping with params$"
    ):
        preflight.check_base(base, [])


@pytest.fixture
def with_files(monkeypatch):
    """Data sets that lie in files count as being there: what is read is the request alone."""
    monkeypatch.setattr("bnbench.request.preflight.missing_files", lambda name, root: None)


@pytest.mark.slow
def test_an_experiment_has_its_own_scale_on_a_data_set(read, with_files):
    small, large = (
        read("experiment=claim_ics", f"data={data}", "norm=none")
        for data in ("digits", "fashion_mnist")
    )
    steps = [{arm.config.train.steps for arm in r.arms.values()} for r in (small, large)]
    assert steps == [{None}, {781}]
    rates = [{arm.config.optim.base_lr for arm in r.arms.values()} for r in (small, large)]
    assert rates == [{0.03, 0.1}, {0.01, 0.03}]


def test_what_is_typed_in_wins_over_the_scale(read, with_files):
    request = read("experiment=claim_ics", "data=fashion_mnist", "train.steps=7", "norm=none")
    assert {arm.config.train.steps for arm in request.arms.values()} == {7}


@pytest.mark.slow
def test_of_several_data_sets_each_has_its_own_scale_and_sub_grids(read, with_files):
    names = ("digits", "fashion_mnist")
    both = read("experiment=claim_rates", f"data={','.join(names)}", multirun=True)
    alone = [read("experiment=claim_rates", f"data={name}") for name in names]
    assert [e.data for e in both.experiments] == list(names)
    for experiment, request in zip(both.experiments, alone, strict=True):
        assert experiment.runs == runs_of(request)


def test_a_value_of_the_scale_is_told_with_its_file(read, with_files):
    with pytest.raises(RequestError) as refused:
        read("experiment=claim_ics", "data=fashion_mnist", "train.epochs=2")
    assert "configs/on_data/fashion_mnist/claim_ics.yaml" in str(refused.value)
