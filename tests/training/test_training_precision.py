"""The precision of products is set by the suite, whatever the process had before, and is told."""

import json

import pytest
import torch

from bnbench.config.recipe import resolve
from bnbench.tracking.meta import read_meta
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.whole_files import write_whole
from bnbench.train import train_arm
from bnbench.training.precision import precision, use_float32

FLOAT32 = {"matmul_precision": "highest", "tf32": False}


@pytest.fixture(autouse=True)
def otherwise():
    """A process that rounds all that it can, as some libraries set it."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    yield
    use_float32()


def test_full_float32_is_set_and_told():
    assert precision() == {"matmul_precision": "high", "tf32": True}
    use_float32()
    assert precision() == FLOAT32
    assert not torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = True  # one of the two is enough
    assert precision() == FLOAT32 | {"tf32": True}


def test_a_run_computes_with_it_and_meta_json_has_it(read):
    request = read("track=csv", "train.steps=2", "train.eval_points=1", "seeds=[0]")
    (arm,) = request.arms.values()
    assert train_arm(arm.config) == {0: "done"}
    recipe = resolve(arm.config)
    folder = RunFolder.of(recipe.results, recipe.arm, 0)
    meta = read_meta(folder)
    assert {key: meta[key] for key in FLOAT32} == FLOAT32 == precision()
    older = {key: value for key, value in meta.items() if key not in FLOAT32}
    write_whole(folder.meta, json.dumps(older))
    assert read_meta(folder) == older
