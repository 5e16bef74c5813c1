"""The contracts hold for every row of NORMS, and each finds the fault that it is there for."""

from functools import partial

import pytest
import yaml
from plugin_files import FAULTS, MEDIAN, NAME, planted

from bnbench import CONFIGS
from bnbench.norms import NORMS
from bnbench.norms.contracts import CHANNELS, CONTRACTS, SHAPES, broken, reason

NEEDS_SPACE = {"instancenorm", "lrn", "batchnorm_lrn"}
ROWS = [(name, dims) for name in NORMS for dims in SHAPES if dims or name not in NEEDS_SPACE]
# torch's layer gives contiguous outputs, with the right numbers
BROKEN = {("instancenorm", 2): {"memory format"}, ("instancenorm", 3): {"memory format"}}
# a fault after which nothing else can be told either; any other breaks one contract
SEVERAL = {"shape", "dtype", "input", "determinism"}


def defaults(name):
    options = yaml.safe_load((CONFIGS / "norm" / f"{name}.yaml").read_text(encoding="utf-8"))
    return {key: value for key, value in options.items() if key != "name"}


@pytest.mark.parametrize(("name", "dims"), ROWS)
@pytest.mark.one_in(4)
def test_every_norm_fulfils_the_contracts(name, dims):
    make = partial(NORMS[name], CHANNELS, dims, **defaults(name))
    found = {contract: why for contract, why in broken(make, SHAPES[dims]) if why}
    assert found.keys() == BROKEN.get((name, dims), set()), found


def layer(text):
    names = {}
    exec(compile(text, "my_norm.py", "exec", dont_inherit=True), names)
    return partial(names["NORMS"][NAME], momentum=0.1, eps=1e-5)


def breaks(text):
    make, found = layer(text), {}
    for dims in (0, 2):
        for contract, why in broken(partial(make, CHANNELS, dims), SHAPES[dims]):
            if why:
                found.setdefault(contract, why)
    return found


def test_the_norm_of_the_page_fulfils_them():
    assert breaks(MEDIAN) == {}
    assert len(MEDIAN.splitlines()) <= 40


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_breaks_the_contract_that_is_there_for_it(fault):
    found = breaks(planted(fault))
    assert fault in found
    assert fault in SEVERAL or found.keys() == {fault}, found
    assert any(c.isdigit() for c in found[fault]) or fault == "training"


def test_every_contract_has_a_fault_that_breaks_it():
    assert {*FAULTS, "policies"} == {*CONTRACTS}


def test_a_batchnorm_that_no_policy_can_set_breaks_the_policies():
    class Stubborn(type(NORMS["torch_batchnorm"](8, 0))):
        def forward(self, input):
            return super().forward(input) / self.training  # nothing is there in evaluation

    assert "policy" in reason(CONTRACTS["policies"], partial(Stubborn, 8), SHAPES[0])
    assert reason(CONTRACTS["policies"], partial(NORMS["torch_batchnorm"], 8, 0), SHAPES[0]) is None
