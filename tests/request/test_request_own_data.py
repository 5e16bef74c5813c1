"""Requests on data of one's own: what is found out, what is refused, and where rates come from."""

import math
import shlex

import numpy as np
import pytest
import yaml
from own_files import draw_photos, write_arrays

from bnbench.commands import claims
from bnbench.config.arms import arm_id, flatten, num_steps, science
from bnbench.config.checks import RequestError
from bnbench.config.recipe import resolve
from bnbench.request import own_data, rates
from bnbench.request.tuning import mean_score
from bnbench.running.launch import as_job, of_job
from bnbench.running.loads import load_of
from bnbench.tracking.kept_images import FOLDER, kept

OF_P = ["data=folder", "data.root=P"]
RATE = "optim.base_lr=0.1"
FEW = "batch_size=8"


@pytest.fixture
def photos(tmp_path):
    return draw_photos(tmp_path / "my photos")


def only(request):
    (arm,) = request.arms.values()
    return arm


def of_folder(root, *more):
    return ["data=folder", f"data.root='{root}'", RATE, FEW, *more]


def of_file(file, *more):
    return ["data=npz", f"data.file={file}", RATE, FEW, *more]


def line(read, *overrides, **options):
    with pytest.raises(RequestError) as caught:
        read(*overrides, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_facts_are_found_out(read, photos):
    config = only(read(*of_folder(photos))).config
    data = config.data
    assert data.name == f"my_photos-{data.digest[7:11]}"
    assert (data.num_classes, data.shape, data.sizes) == (2, [3, 32, 32], [15, 4, 5])
    assert (data.rarest, data.split_seed) == (24, "per_seed")
    recipe = resolve(config)
    assert recipe.facts == ((15, 4, 5), (3, 32, 32), 2)
    assert recipe.split_seed is None
    assert recipe.own_data
    assert (recipe.own_data.kind, recipe.own_data.path) == ("folder", photos)
    assert not (photos.parent / "results").exists()  # nothing is written to read a request


def test_a_worker_is_told_what_the_images_are(read_afresh, photos, monkeypatch):
    arm = only(read_afresh(*of_folder(photos, "data.size=16", "data.name=mine")))
    monkeypatch.setattr(own_data, "read", None)  # nothing is read for it
    assert of_job(as_job(arm.config)) == arm.config
    assert arm.config.data.name.startswith("mine-")


def test_neither_path_nor_name_is_part_of_the_arm_but_the_images_are(read, photos, tmp_path):
    arm = only(read(*of_folder(photos)))
    elsewhere = draw_photos(tmp_path / "elsewhere")
    assert only(read(*of_folder(elsewhere))).id == arm.id
    assert only(read(*of_folder(photos, "data.name=other"))).id == arm.id
    assert only(read(*of_folder(photos, "data.size=16"))).id != arm.id
    assert only(read(*of_folder(draw_photos(tmp_path / "b", seed=1)))).id != arm.id
    assert only(read(*of_folder(photos, "data.split_seed=0"))).id != arm.id
    assert arm_id({**science(arm.config), "placement": "post"}) != arm.id
    told = flatten(science(arm.config))
    assert told["data.name"] == arm.config.data.name  # though it is told
    assert not [key for key in told if key.endswith((".root", ".kind", ".rarest"))]


def test_two_folders_of_one_name_are_two_experiments(read, tmp_path):
    one, other = (draw_photos(tmp_path / name / "set", seed=k) for k, name in enumerate("ab"))
    names = {read(*of_folder(root)).experiments[0].data for root in (one, other)}
    assert len(names) == 2
    request = read(*of_folder("X")[:1], f"data.root={one},{other}", RATE, FEW, multirun=True)
    assert {experiment.data for experiment in request.experiments} == names
    assert len(request.arms) == 2


def test_a_digest_that_is_given_has_to_be_that_of_the_images(read, photos):
    digest = only(read(*of_folder(photos))).config.data.digest
    assert only(read(*of_folder(photos, f"data.digest='{digest}'"))).config.data.digest == digest
    other = "sha256:" + 16 * "0"
    told = line(read, *of_folder(photos, f"data.digest='{other}'"))
    assert told == f"data.digest={other}: expected {digest}, that of {photos}"


@pytest.mark.parametrize(
    ("batch", "epoch_batch", "steps"), [(64, "null", 320), (32, "null", 640), (128, "null", 160),
     (256, "64", 320), (3, "null", 6826)],
)  # fmt: skip
def test_the_default_budget_is_320_steps_of_64_images(read, tmp_path, batch, epoch_batch, steps):
    file = write_arrays(tmp_path / "a.npz", num=800)
    words = of_file(file, f"batch_size={batch}", f"train.epoch_batch={epoch_batch}")
    assert num_steps(only(read(*words)).config) == steps
    assert num_steps(only(read(*words, "train.steps=7")).config) == 7
    epochs = only(read(*words, "train.epochs=2")).config
    assert num_steps(epochs) == 2 * (480 // (64 if epoch_batch == "64" else batch))


def test_what_a_run_takes_follows_from_the_images(read, tmp_path):
    small, large = (
        load_of(
            only(read(*of_file(write_arrays(tmp_path / f"{side}.npz", shape=(side, side))))).config
        )
        for side in (6, 24)
    )
    assert small.net[2][0] + 100 * (24**2 - 6**2) == large.net[2][0]
    assert small.passes  # of the sizes of its splits


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data=folder"], "data.root: expected the folder that holds one folder of images a class"),
        (["data=npz"], "data.file: expected the .npz file of numpy that holds images and labels"),
        (["data=folder", "data.root=nowhere"], "data.root=nowhere: no such folder"),
        (["data=npz", "data.file=nowhere.npz"], "data.file=nowhere.npz: no such file"),
        (["data=npz", "data.root=x"], "data.root: no such key, expected one of"),
        ([*OF_P, "data.size=0"], "data.size=0: expected an integer >= 1 and"),
        ([*OF_P, "data.size=a"], "data.size=a: "),
        ([*OF_P, "data.name=1e"], "data.name=1e: expected a letter, then up"),
        ([*OF_P, "data.name=a/b"], "data.name=a/b: expected a letter, then"),
        ([*OF_P, "data.digest=abc"], "data.digest=abc: expected null or sha"),
        ([*OF_P, "data.split_seed=x"], "data.split_seed=x: expected per_seed"),
        ([*OF_P, "+data.num_classes=3"], "data.num_classes: follows from"),
        ([*OF_P, "data.num_classes=3"], "data.num_classes: "),
        ([*OF_P, "data.kind=zip"], "data.kind=zip: expected one of folder, n"),
        ([*OF_P, "batch_size=16"], "batch_size=16: expected at most 15, the "),
        ([*OF_P, "data.train_images=16"], "data.train_images=16: expected at"),
        (
            [*OF_P, "data.size=2", "model=vgg"],
            "model.widths=[16,32]: images of side 2 (P-",
        ),
        (
            [*OF_P, "data.batches=two_classes", "batch_size=12"],
            "batch_size=12: expected 2 to 11 with data.batches=two_classes, what any two",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(read, tmp_path, monkeypatch, overrides, words):
    monkeypatch.chdir(tmp_path)
    draw_photos(tmp_path / "P")
    given = [RATE, FEW, *overrides]
    told = line(read, *given)
    assert told.startswith(words), told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["P"]


def test_vgg11_and_vgg16_take_a_folder_as_it_is_prepared(read, photos):
    for model in ("vgg11", "vgg16", "vgg", "mlp"):
        assert read(*of_folder(photos, f"model={model}")).arms


def test_images_that_are_not_square_are_measured_by_their_shorter_side(read, tmp_path):
    wide = write_arrays(tmp_path / "wide.npz", shape=(40, 3))
    assert "images of side 3 (wide-" in line(read, *of_file(wide, "model=vgg"))
    assert read(*of_file(wide)).arms


@pytest.mark.parametrize("split_seed", ["per_seed", "0"])
def test_a_class_that_is_too_small_for_the_splits_is_one_line(read, tmp_path, split_seed):
    root = draw_photos(tmp_path / "p", {"cats": 30, "dogs": 1})
    told = line(read, *of_folder(root, f"data.split_seed={split_seed}"))
    expected = {
        "per_seed": f"data.root={root}: class dogs: 1 image, expected at least 6, so that",
        "0": f"data.root={root}: no image of class dogs is among the ",
    }
    assert told.startswith(expected[split_seed])


def test_a_home_is_that_of_a_shell(read, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = write_arrays(tmp_path / "a.npz")
    assert only(read(*of_file("~/a.npz"))).config.data.file == str(file)
    draw_photos(tmp_path / "p")
    assert only(read(*of_folder("~/p"))).config.data.root == f"{tmp_path}/p"


def test_paths_of_workers_are_absolute(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_arrays(tmp_path / "a.npz")
    config = only(read(*of_file("a.npz"))).config
    assert of_job(as_job(config)).data.file == f"{tmp_path}/a.npz"


# Learning rates


def test_without_a_rate_the_two_ways_to_one_are_told(read, photos):
    told = line(read, "data=folder", f"data.root='{photos}'", "data.size=16", FEW)
    assert told.startswith("optim.base_lr: no rate is tuned for model=mlp data=my_photos-")
    assert "expected optim.base_lr=<rate>, or tune it: make sweep EXP=tune_lr DATA=folder" in told
    command = shlex.split(told[told.index("make sweep") :])
    variables = dict(word.split("=", 1) for word in command[2:])
    args = shlex.split(variables["ARGS"])
    # what the command tells a shell is what tunes the rate: it composes, for this model too
    request = read(f"experiment={variables['EXP']}", f"data={variables['DATA']}", *args[:2], FEW)
    assert f"data.root='{photos}'" in args
    assert {arm.config.model.name for arm in request.arms.values()} >= {"mlp", "vgg"}


def test_the_command_names_a_model_that_tune_lr_is_not_about_and_another_optimiser(read, tmp_path):
    file = write_arrays(tmp_path / "a.npz", shape=(32, 32))
    own = ["data=npz", f"data.file={file}", FEW]
    assert "model=vgg11" in line(read, *own, "model=vgg11")
    told = line(read, *own, "optim=adam")
    assert "optim=adam optim.base_lr=0.0003,0.001" in told
    assert "model=" not in told.partition("make sweep")[2]


def curves_of(arms, results, end, best):
    """A run for each arm and seed, most accurate at the rate that is best for its net."""
    for arm in arms:
        rate = arm.config.optim.base_lr
        for seed in arm.config.seeds:
            path = results / "runs" / arm.id / f"seed-{seed}"
            path.mkdir(parents=True)
            accuracy = 0.9 - abs(math.log10(rate / best[arm.config.model.name])) / 10
            rows = [
                f"{step},{step * 8},{split},,accuracy,{accuracy}"
                for step in (3, 4)
                for split in ("val", "val_all")
            ]
            header = "step,samples,split,layer,metric,value"
            (path / "metrics.csv").write_text("\n".join([header, *rows]) + "\n")
            end(path)


def test_tune_lr_writes_a_table_of_the_user_s_own(read, photos, results, end):
    best = {"mlp": 0.1, "sigmoid_mlp": 0.3, "vgg": 0.01, "sigmoid_vgg": 1.0}
    own = of_folder(photos, "train.steps=4")
    own.remove(RATE)
    request = read("experiment=tune_lr", *own, "seeds=[100]", "optim.base_lr=0.01,0.1,0.3,1")
    configs = [arm.config for arm in request.arms.values()]
    assert rates.best_rates(configs, results) == {}  # nothing is trained yet
    curves_of(request.arms.values(), results, end, best)
    assert mean_score(configs[0], results) is not None
    data = configs[0].data
    told = rates.write_rates(configs, results, "python scripts/train.py …")
    assert told
    assert told.startswith("learning rates: mlp 0.1, sigmoid_mlp 0.3, vgg 0.01, sigmoid_vgg 1, wh")
    assert str(results / "base_lr" / f"{data.digest[7:]}.yaml") in told
    assert rates.read_rates(results, data.digest) == {"sgd": best}

    for arm in read("experiment=placement", *own).arms.values():
        assert arm.config.optim.base_lr == best[arm.config.model.name]
    # whatever they are called and wherever they lie; and what is given counts
    (arm,) = read(*own, "data.name=other", "model=vgg").arms.values()
    assert arm.config.optim.base_lr == 0.01
    assert only(read(*own, "optim.base_lr=0.7")).config.optim.base_lr == 0.7
    assert "no rate is tuned" in line(read, *own, "data.size=16")
    # another search adds to the table
    adam = read("experiment=tune_lr", *own, "seeds=[100]", "optim=adam", "model=mlp", RATE)
    curves_of(adam.arms.values(), results, end, best)
    rates.write_rates([a.config for a in adam.arms.values()], results, "")
    assert rates.read_rates(results, data.digest) == {"sgd": best, "adam": {"mlp": 0.1}}


def test_rates_of_arms_that_differ_in_more_are_not_kept(read, photos, results, end):
    request = read(*of_folder(photos, "norm=none", "model.dropout=0,0.5"), multirun=True)
    curves_of(request.arms.values(), results, end, {"mlp": 0.1})
    configs = [arm.config for arm in request.arms.values()]
    assert rates.best_rates(configs, results) == {}
    told = rates.write_rates(configs, results, "")
    assert told == "learning rates: none kept, the arms of each net differ in more than the rate"
    assert not (results / "base_lr").exists()


def test_the_table_of_what_has_a_column_in_configs_is_kept_by_hand(read, results):
    assert rates.write_rates([only(read()).config], results, "") is None


@pytest.mark.parametrize(
    "content",
    ["", "tuned_lr: 3", "tuned_lr: {sgd: {mlp: fast}}", "tuned_lr: {sgd: {mlp: -1}}",
     "tuned_lr: {sgd: 3}", "tuned_lr: {sdg: {mlp: 1}}", "]", "a: &a [*a]", "- 1", "\0",
     "digest: other\ntuned_lr: {sgd: {mlp: 1}}", "tuned_lr: {sgd: {mlp: .nan}}",
     "tuned_lr: {sgd: {mlp: true}}", "!!python/object/apply:os.mkdir [stolen]"],
)  # fmt: skip
def test_a_damaged_table_of_rates_is_one_line(results, content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digest = "sha256:" + 16 * "a"
    file = rates.rates_file(results, digest)
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(RequestError, match=rf"^({file}: not what was written|tuned_lr\.)[^\n]*$"):
        rates.read_rates(results, digest)
    assert not (tmp_path / "stolen").exists()


def test_a_table_of_rates_that_can_be_read(results):
    digest = "sha256:" + 16 * "a"
    file = rates.rates_file(results, digest)
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump({"digest": digest, "tuned_lr": {"sgd": {"mlp": 1}}}))
    assert rates.read_rates(results, digest) == {"sgd": {"mlp": 1}}


# What is kept, and what refuses them


def test_prepared_images_are_kept_and_replaced_where_they_are_damaged(read, photos, results):
    config = only(read(*of_folder(photos))).config
    found = own_data.images_of(config)
    assert found
    own_data.keep_prepared(found, results)
    (file,) = (results / FOLDER).iterdir()
    content = file.read_bytes()
    assert kept(results, found.key) == content
    file.write_bytes(content[:-50])
    own_data.keep_prepared(found, results)
    assert file.read_bytes() == content
    npz = only(read(*of_file(write_arrays(photos.parent / "a.npz")))).config
    of_npz = own_data.images_of(npz)
    assert of_npz
    own_data.keep_prepared(of_npz, results)
    assert list((results / FOLDER).iterdir()) == [file]


@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_claims_are_not_about_data_of_one_s_own(kind):
    with pytest.raises(RequestError, match=rf"^data={kind}: claims are declared for data sets th"):
        claims.asked([f"data={kind}", "data.root=x"])


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["placement", "lr_mult", "batch_size", "shift", "sigmoid"])
def test_the_default_experiments_compose_on_data_of_one_s_own(read, tmp_path, experiment):
    images = np.random.default_rng(0).integers(0, 256, (430, 8, 8), np.uint8)
    large = write_arrays(tmp_path / "large.npz", num=430, images=images, classes=3)
    words = ["data=npz", f"data.file={large}", RATE]
    assert read(f"experiment={experiment}", *words).arms
    if experiment == "batch_size":
        small = write_arrays(tmp_path / "small.npz", num=400)
        told = line(read, "experiment=batch_size", "data=npz", f"data.file={small}", RATE)
        assert told.startswith("batch_size=256: expected at most 240, the training images of small")
