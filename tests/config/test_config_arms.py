"""Canonical form, arm ids, budgets and seeds."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnbench.config.arms import (
    arm_id,
    derive_seed,
    evaluation_policies,
    flatten,
    fresh_seed,
    learning_rate,
    num_steps,
    science,
)
from bnbench.config.checks import as_typed
from bnbench.config.schema import TUNING_SEEDS

DEFAULT = "mlp-batchnorm-pre-bbcb5da7"  # the id of the default arm, for as long as the schema holds


def only(request):
    (arm,) = request.arms.values()
    return arm


def test_default_arm_is_the_one_of_the_design(read):
    config = only(read()).config
    assert (config.model.name, config.norm.name, config.placement) == ("mlp", "batchnorm", "pre")
    assert (config.data.name, config.batch_size, config.seeds) == ("digits", 64, [0, 1, 2])
    assert config.model.widths == [100, 100, 100]


def test_arm_id_names_model_norm_placement_and_a_hash(read):
    arm = only(read("model=vgg", "norm=groupnorm", "placement=post"))
    model, norm, placement, digest = arm.id.split("-")
    assert (model, norm, placement) == ("vgg", "groupnorm", "post")
    assert len(digest) == 8
    assert int(digest, 16) >= 0


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    "override",
    ["seeds=[5]", "threads=2", "device=cpu", "track=csv", "shift=suite", "data.root=elsewhere",
     "train.save_weights=never", "track.project=other", "hydra.launcher.n_jobs=1"],
)  # fmt: skip
def test_what_changes_no_number_changes_no_id(read, override):
    assert only(read(override)).id == DEFAULT


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "override",
    ["batch_size=32", "norm.eps=1e-3", "placement=post", "optim.momentum=0.5", "train.steps=7",
     "train.policies=[ema]", "train.eval_points=10", "data.batches=frozen", "data.split_seed=1",
     "model.dropout=0.1", "model.init=xavier", "train.thresholds=[0.7]", "optim.lr_mult=5",
     "norm.affine=false", "norm.scale=false", "norm.bias=false",
     "train.policies=[ema,precise,adabn]", "train.trainable=head", "data.batches=two_classes",
     "model.init=xavier_sigmoid", "probes=[gradients]", "data.train_images=900",
     "model.init_scale=3", "train.averages=[swa]", "optim.weight_decay=0.1",
     "model.norm_layers=first",
     "model.norm_layers=input", "data.pixels=unit", "data.pixels=bytes", "data.tasks=5"],
)  # fmt: skip
def test_what_changes_numbers_changes_the_id(read, override):
    assert only(read(override)).id != DEFAULT


RESIDUAL = ["model=residual_mlp", "norm=none"]


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["train.thresholds=[0.9,0.5]"], ["train.thresholds=[0.5,0.9]"]),
        (["norm=none", "placement=pre"], ["norm=none", "placement=post"]),
        (["norm=layernorm", "train.policies=[ema]"], ["norm=layernorm"]),
        (["train.epochs=20"], ["train.steps=320"]),
        (["model.widths=[100]", "model.depth=[3]"], []),
        (["optim.lr_end=0.5"], []),
        (["train.policies=[precise,ema]"], []),
        (["optim.lr_scaling=linear"], []),
        (["train.test_batch=8", "train.prior=3"], []),
        (["train.policies=[ema,batch]", "train.prior=3"], ["train.policies=[batch,ema]"]),
        (["train.policies=[ema,batch]", "train.test_batch=64"], ["train.policies=[ema,batch]"]),
        (["train.policies=[ema,blend]", "train.prior=16.0"], ["train.policies=[ema,blend]"]),
        (["norm=none", "train.policies=[ema,blend]", "train.prior=3"], ["norm=none"]),
        (["train.policies=[ema,precise,recalibrated]"], []),
        (
            ["norm=none", "train.policies=[recalibrated,ema]"],
            ["norm=none", "train.policies=[ema,precise,adabn,recalibrated]"],
        ),
        (["model=vgg", "model.depth=[2,2]"], ["model=vgg"]),
        (["optim.lr_mult=1"], ["optim.lr_mult=1.0"]),
        (["model.init_scale=1.0", "train.averages=[]"], []),
        (["model.dropout_place=head"], []),
        (
            ["model.dropout=0.3", "model.dropout_place=blocks"],
            ["model.dropout=0.3"],
        ),
        (["norm=none", "model.norm_layers=first"], ["norm=none"]),
        (["model.widths=[9]", "model.norm_layers=last"], ["model.widths=[9]"]),
        (
            ["model.widths=[9,8]", "model.norm_layers=alternate"],
            ["model.widths=[9,8]", "model.norm_layers=first"],
        ),
        (["placement=post", "model.norm_layers=input"], ["model.norm_layers=input"]),
        (["optim.decay_by=rescaling"], []),
        (["optim.weight_decay=0.1", "optim.decay_by=penalty"], ["optim.weight_decay=0.1"]),
        (["train.averages=[weight_ema,swa]"], ["train.averages=[swa,weight_ema]"]),
        (["norm.affine=false", "norm.scale=false"], ["norm.affine=false"]),
        (["norm.scale=false", "norm.bias=false"], ["norm.affine=false"]),
        (["probes=[ics,gradients]"], ["probes=[gradients,ics]"]),
        (["data.train_images=1078"], []),
        (["data.pixels=normalised"], []),
        (["data.tasks=1"], []),
        (["data.train_images=900", "train.epochs=3"], ["data.train_images=900", "train.steps=42"]),
        ([*RESIDUAL, "model.order=norm_after_addition"], [*RESIDUAL, "model.order=original"]),
        ([*RESIDUAL, "model.order=activation_only_preactivation"], RESIDUAL),
        (
            [*RESIDUAL, "placement=post", "model.order=original"],
            [*RESIDUAL, "model.order=original"],
        ),
    ],
)
def test_spellings_of_one_arm_have_one_id(read, one, other):
    assert only(read(*one)).id == only(read(*other)).id


def test_residual_branches_and_orders_are_named_where_they_are_not_as_ever(read):
    def model(*overrides):
        own = science(only(read("model=residual_mlp", *overrides)).config)["model"]
        return {key: own.get(key) for key in ("widths", "depth", "branch", "order")}

    plain = {"widths": [100], "depth": [9], "branch": None, "order": None}
    assert model() == model("norm=none") == plain
    original = {**plain, "order": "original"}
    assert model("model.order=original") == original
    assert model("model.order=norm_after_addition") == {**plain, "order": "norm_after_addition"}
    skipinit = {**original, "branch": "skipinit"}
    assert (
        model("norm=none", "model.branch=skipinit", "model.order=norm_after_addition") == skipinit
    )
    fixup = {**plain, "branch": "fixup", "order": "norm_after_addition"}
    assert model("norm=none", "model.branch=fixup", "model.order=norm_after_addition") == fixup


@pytest.mark.slow
def test_parts_of_the_affine_map_are_named_where_they_are_left_out(read):
    """So that arms from before there was a choice keep their ids."""
    whole = {
        "name": "batchnorm",
        "momentum": 0.1,
        "eps": 1e-5,
        "affine": True,
        "backend": "reference",
    }
    for overrides, expected in (
        ([], whole),
        (["norm.scale=false"], whole | {"scale": False}),
        (["norm.bias=false"], whole | {"bias": False}),
        (["norm.affine=false"], whole | {"affine": False}),
    ):
        assert science(only(read(*overrides)).config)["norm"] == expected
    assert only(read()).id == DEFAULT


def test_arms_without_the_policies_that_have_settings_are_named_as_ever(read):
    """Nothing of them is in the canonical form."""
    canonical = science(only(read()).config)
    assert set(canonical["train"]) == {
        *("steps", "eval_points", "policy_points", "thresholds", "policies")
    }


@pytest.mark.slow
def test_what_is_trained_is_named_where_it_is_not_all(read):
    assert "trainable" not in science(only(read()).config)["train"]
    choices = ["all", "head", "norm", "random"]
    assert len({only(read(f"train.trainable={choice}")).id for choice in choices}) == 4
    assert only(read("train.trainable=all")).id == DEFAULT
    assert science(only(read("train.trainable=head")).config)["train"]["trainable"] == "head"


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("norm", "asked", "named", "evaluated"),
    [
        ("none", "ema,precise", ["ema"], ["none"]),
        ("none", "recalibrated,batch,ema", ["ema", "recalibrated"], ["none", "recalibrated"]),
        ("layernorm", "ema,recalibrated", ["ema", "recalibrated"], ["none", "recalibrated"]),
        ("batchnorm", "recalibrated,ema", ["ema"], ["ema"]),
        ("batchnorm", "ema,recalibrated,adabn", ["adabn", "ema"], ["adabn", "ema"]),
    ],
)
def test_a_net_is_evaluated_under_the_policies_that_are_for_it(read, norm, asked, named, evaluated):
    config = only(read(f"norm={norm}", f"train.policies=[{asked}]")).config
    assert science(config)["train"]["policies"] == named
    assert evaluation_policies(config) == evaluated


def test_ids_from_before_recalibration_hold(read):
    assert only(read("norm=none")).id == "mlp-none-none-c63e8dc7"
    asked = ["norm=none", "train.policies=[ema,recalibrated]"]
    assert only(read(*asked)).id != "mlp-none-none-c63e8dc7"


@pytest.mark.slow
def test_settings_of_policies_matter_where_the_policies_are(read):
    policies = "train.policies=[ema,batch,blend]"
    changes = [[], ["train.test_batch=8"], ["train.prior=3"], ["batch_size=32"]]
    assert len({only(read(policies, *change)).id for change in changes}) == 4


def test_decay_matters_where_the_schedule_decays(read):
    ids = {only(read("optim.schedule=cosine", f"optim.lr_end={end}")).id for end in (0.1, 0.5)}
    assert len(ids) == 2


@pytest.mark.slow
def test_steps_of_a_budget(read):
    assert num_steps(only(read()).config) == 20 * (1078 // 64)
    assert num_steps(only(read("train.epochs=2", "batch_size=100")).config) == 2 * 10
    assert num_steps(only(read("train.steps=5")).config) == 5
    equal = read("train.epochs=2", "train.epoch_batch=64", "batch_size=2")
    assert num_steps(only(equal).config) == 2 * 16


def test_learning_rate_scales_with_the_batch(read):
    rates = [
        learning_rate(
            only(read("optim.base_lr=0.4", "batch_size=16", f"optim.lr_scaling={s}")).config
        )
        for s in ("none", "linear", "sqrt")
    ]
    assert rates == [0.4, 0.1, 0.2]


def test_seeds_are_independent_per_purpose_and_seed_zero_is_a_seed():
    seeds = [derive_seed(s, p) for s in (0, 1, 2) for p in ("init", "batches", "shift")]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    # printf 0/init | sha256sum, first 63 bits: another rule would silently change every result
    assert derive_seed(0, "init") == 0x2A29A3E290B9715C >> 1


def test_arm_id_does_not_depend_on_the_process(read):
    canonical = science(only(read()).config)
    text = json.dumps(canonical)
    code = (
        f"import json; from bnbench.config.arms import arm_id; print(arm_id(json.loads({text!r})))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == arm_id(canonical)


def test_flatten_and_shown():
    assert flatten({"a": {"b": {"c": 1}}, "d": [1, 2]}) == {"a.b.c": 1, "d": [1, 2]}
    assert as_typed([0, None, True, 0.5, 2.0, "x"]) == "[0,null,true,0.5,2,x]"
    assert as_typed(0.012345678) == "0.012345678"


@given(st.sets(st.integers(0, 1000)))
def test_fresh_seeds_are_others_and_as_many_and_those_that_tune_stay(seeds):
    fresh = {seed: fresh_seed(seed) for seed in seeds}
    assert len(set(fresh.values())) == len(seeds)
    for seed, other in fresh.items():
        if seed in TUNING_SEEDS:
            assert other == seed
        else:
            assert other - seed == 200
            assert other not in TUNING_SEEDS
