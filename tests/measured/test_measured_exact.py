"""The exact claims hold, and each of their parts is able to fail: planted faults flip it."""

import dataclasses
import doctest
import json
import math
import sys
from functools import partial

import pytest
import torch
from torch import nn

from bnbench import norms
from bnbench.measured import exact
from bnbench.measured.exact import arithmetic, gradients, rates, statistics
from bnbench.norms import batchnorm


@pytest.fixture(scope="module")
def results():
    return {claim: exact.run(claim) for claim in exact.EXACT}


@pytest.mark.parametrize("claim", [f"E{number}" for number in range(1, 14)])
def test_an_exact_claim_holds(claim, results):
    result = results[claim]
    assert [part for part in result.parts if not part.holds] == []
    assert result.holds


def test_results_repeat_and_leave_the_global_generator_alone(results):
    before = torch.get_rng_state()
    torch.manual_seed(1)
    seeded = torch.get_rng_state()
    assert {claim: exact.run(claim) for claim in exact.EXACT} == results
    assert torch.equal(torch.get_rng_state(), seeded)
    torch.set_rng_state(before)


def test_results_cross_as_plain_data(results):
    for result in results.values():
        record = dataclasses.asdict(result)
        assert json.loads(json.dumps(record)) == {**record, "parts": list(record["parts"])}
        assert all(part["statistic"] for part in record["parts"])


def test_unknown_claims_are_refused():
    with pytest.raises(ValueError, match="unknown exact claim 'E14'; allowed: E1, E2"):
        exact.run("E14")


@pytest.mark.parametrize(
    ("direction", "number", "admitted"),
    [
        *(("<=", 2, True), ("<=", 2.1, False), ("<=", math.nan, False), ("<=", -math.inf, False)),
        *((">=", 2, True), (">=", 1.9, False), (">=", math.nan, False), (">=", math.inf, False)),
    ],
)
def test_bounds_admit_their_limit_and_nothing_infinite(direction, number, admitted):
    assert arithmetic.Bound("", direction, 2).admits(number) is admitted


def test_errors_pass_nan_on():
    assert math.isnan(arithmetic.largest([0.0, math.nan, 1.0]))
    assert math.isnan(arithmetic.smallest([math.nan, 0.0]))
    assert math.isnan(arithmetic.error(torch.tensor([math.nan]), torch.ones(1)))


def test_errors_are_relative_to_the_largest_exact_value_from_1_on():
    assert arithmetic.error(torch.tensor([1.0, 4.5]), torch.tensor([1.0, 4.0])) == 0.5 / 4
    assert arithmetic.error(torch.tensor([0.0, 0.5]), torch.tensor([0.25, 0.5])) == 0.25


def test_a_check_with_a_part_that_fails_does_not_hold(monkeypatch):
    numbers = {"law": 0.0, "layer": 5.0, "m = 3": math.nan}
    check = dataclasses.replace(exact.EXACT["E9"], measure=lambda: numbers)
    monkeypatch.setitem(exact.EXACT, "E9", check)
    result = exact.run("E9")
    assert not result.holds
    assert [part.holds for part in result.parts] == [True, False, False]


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_shrinkage_is_that_of_a_step_along_which_the_loss_is_flat(momentum):
    """Without gradient both recurrences are linear: w_t / w_{t-1} tends to a."""
    rate, decay = 0.1, 0.02
    w, v = 1.0, 0.0
    for _ in range(5000):
        v = momentum * v + decay * w
        before, w = w, w - rate * v
    assert rates.shrinkage(rate, decay, momentum) == pytest.approx(w / before, rel=1e-12)


def test_decay_beyond_which_weights_swing_is_refused():
    most = (1 - 0.9**0.5) ** 2 / 0.1  # a double root
    assert rates.shrinkage(0.1, most * (1 - 1e-9), 0.9) == pytest.approx(0.9**0.5, rel=1e-4)
    with pytest.raises(ValueError, match=r"decay 0\.03 is too large"):
        rates.shrinkage(0.1, 0.03, 0.9)


@pytest.mark.parametrize("norm", [True, False])
def test_a_training_takes_the_steps_of_its_formula(norm):
    """The first two steps beside gradients that autograd gives of the same loss."""
    run = rates.trained(norm, rate=0.2, growth=1.5, decay=0.3, momentum=0.7, push=0.1)
    (w0, *_), (w1, *_), (w2, *_) = run.weights[:3]
    (g0, *_), (g1, *_) = run.gradients[:2]
    v1 = 0.7 * 0.1 * w0 + g0 + 0.3 * w0
    torch.testing.assert_close(w1, w0 - 0.2 * v1, rtol=1e-13, atol=1e-13)
    v2 = 0.7 * v1 + g1 + 0.3 * w1
    torch.testing.assert_close(w2, w1 - 0.2 * 1.5 * v2, rtol=1e-13, atol=1e-13)
    assert run.outputs.shape == (rates.STEPS, rates.IMAGES, rates.WIDTHS[-1])
    if norm:  # gamma 1 and beta 0 at the start
        assert run.outputs[0].mean(0).abs().max() < 1e-12
        assert (run.outputs[0].var(0, correction=0) - 1).abs().max() < 1e-12


@pytest.mark.parametrize("module", [exact, arithmetic, rates, statistics])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


# Planted faults: each with the claims that it must flip, and all of their parts that it flips.


def breakable(
    x,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    *,
    relu=False,
    backend="reference",
    correction=0,
    running_correction=1,
    updates=(True,),
    mean_gradient=True,
    var_gradient=True,
    summed=True,
    centred=True,
    scaled=True,
    per_position=False,
    by_batch=(True,),
    eps_factor=1,
    rejects=True,
):
    """Batch normalisation by elementary operations, with something to break in every line."""
    if training and eps == 0 and rejects:
        raise ValueError("eps")
    shape = (1, -1, *[1] * (x.dim() - 2))
    dims = [0, *range(2, x.dim())]
    if training in updates and running_mean is not None:
        share = momentum if training else 0.1  # the layer passes 0 in evaluation
        running_mean.lerp_(x.mean(dims).detach(), share)
        running_var.lerp_(x.var(dims, correction=running_correction).detach(), share)
    if training in by_batch or running_mean is None:
        dims = [0] if per_position else dims
        mu, var = x.mean(dims, keepdim=True), x.var(dims, keepdim=True, correction=correction)
    else:
        mu, var = running_mean.view(shape), running_var.view(shape)
    mu = mu if mean_gradient else mu.detach()
    var = var if var_gradient else var.detach()
    y = x - mu if centred else x
    y = y / (var + eps_factor * eps).sqrt() if scaled else y
    if weight is None:
        return y
    if not summed:  # gamma and beta get the gradient of the first sample
        shape = (len(x), *shape[1:])
        weight, bias = (torch.stack([t, *[t.detach()] * (len(x) - 1)]) for t in (weight, bias))
    return weight.view(shape) * y + bias.view(shape)


def layer_that(**knobs):
    def plant(monkeypatch):
        monkeypatch.setattr(batchnorm.functional, "batch_norm", partial(breakable, **knobs))

    return plant


def patch(target, name, fault):
    return lambda monkeypatch: monkeypatch.setattr(target, name, fault)


def pool_within(layer, inputs, fewest=2):
    """The mean of the variances of batches, without what lies between their means."""
    batches = [x.double() for x in inputs()]
    within = torch.stack([x.var(0, correction=0) for x in batches])
    sizes = torch.tensor([float(len(x)) for x in batches]).double()
    return torch.cat(batches).mean(0), sizes @ within / sizes.sum()


class ParametersPerPosition(norms.BatchNorm2d):
    def __init__(self, num_features, **options):
        super().__init__(num_features, **options)
        self.gamma_of_position = nn.Parameter(torch.ones(num_features, 100, 100))


class ParametersPerBatch(norms.BatchNorm2d):
    def forward(self, input):
        y = super().forward(input)
        self.register_parameter(f"gamma_{self.num_batches_tracked}", nn.Parameter(torch.ones(6)))
        return y


def both(*quantities):
    return {f"{quantity}, {dtype}" for quantity in quantities for dtype in gradients.DTYPES}


ALL = None  # every part of a claim
FAULTS = {
    "the unbiased variance normalises": (
        layer_that(correction=1),
        {
            "E1": both("y", "dx", "dgamma"),
            "E2": {"backward of the layer"},
            "E6": {"one batch"},
            "E8": {"law"},
            "E9": {"layer"},
        },
    ),
    "running_var takes the biased variance": (
        layer_that(running_correction=0),
        {
            "E1": both("running_var", "evaluation"),
            "E3": {"Algorithm 2", "iid batches", "law of total variance"},
            "E7": {"running_var"},
        },
    ),
    "running statistics are never updated": (
        layer_that(updates=()),
        {"E1": both("running_mean", "running_var", "evaluation"), "E7": {"running_var"}},
    ),
    "evaluation updates the running statistics": (
        layer_that(updates=(True, False), running_correction=0),
        {"E10": {"alone", "order", "batch-mates"}},
    ),
    "batches are not counted": (
        patch(batchnorm.OurBatchNorm, "_count_batch", lambda layer: 0.1),
        {"E1": {"num_batches_tracked"}},
    ),
    "mu is a constant to the gradient": (
        layer_that(mean_gradient=False),
        {
            "E1": both("dx"),
            "E2": {"backward of the layer", "finite differences"},
            "E4": {"linear", "convolution"},
            "E5": {"direction"},
            "E13": {"direction", "lengths"},
        },
    ),
    "sigma2 is a constant to the gradient": (
        layer_that(var_gradient=False),
        {
            "E1": both("dx"),
            "E2": {"backward of the layer", "finite differences"},
            "E5": {"direction"},
            "E13": {"direction", "lengths"},
        },
    ),
    "dgamma and dbeta are those of one sample": (
        layer_that(summed=False),
        {"E1": both("dgamma", "dbeta"), "E2": {"backward of the layer"}},
    ),
    "the mean is not subtracted": (
        layer_that(centred=False),
        {"E4": {"linear", "convolution", "output"}, "E6": {"one batch", "evaluation"}},
    ),
    "nothing is divided by sigma": (
        layer_that(scaled=False),
        {
            "E5": ALL,
            "E8": {"law"},
            "E11": ALL,
            "E12": {"SGD", "SGD with momentum", "weights"},
            "E13": {"direction", "gradient", "lengths", "SGD", "decay and momentum"},
        },
    ),
    "every position has statistics of its own": (
        layer_that(per_position=True),
        {"E7": {"effective batch"}},
    ),
    "training normalises by running statistics": (
        layer_that(by_batch=()),
        {"E5": ALL, "E10": {"training"}},
    ),
    "evaluation normalises by the batch": (
        layer_that(by_batch=(True, False)),
        {
            "E4": {"evaluation"},
            "E6": {"evaluation"},
            "E10": {"alone", "batch-mates"},
            "E11": ALL,
        },
    ),
    "nothing is normalised": (
        lambda monkeypatch: monkeypatch.setattr(
            batchnorm.functional, "batch_norm", lambda x, *args, **options: x
        ),
        {"E6": {"myth"}},
    ),
    "eps is left out": (layer_that(eps_factor=0), {"E8": {"law", "myth"}}),
    "eps of 0 is accepted": (layer_that(rejects=False), {"E8": {"eps of 0"}}),
    "pooled variance without what is between batches": (
        patch(sys.modules["bnbench.norms.population"], "_moments", pool_within),
        {"E3": {"iid batches", "sorted batches", "law of total variance"}},
    ),
    "the last term of N4's formula is missing": (
        patch(
            gradients,
            "n4_dx",
            lambda x, dy, gamma, eps: gamma * (dy - dy.mean(0)) / x.std(0, correction=0),
        ),
        {"E2": {"formula of N4"}},
    ),
    "one degree of freedom too many": (
        patch(
            statistics,
            "mean_inverse_variance",
            lambda m, eps, law=statistics.mean_inverse_variance: law(m + 1, eps),
        ),
        {"E9": ALL},
    ),
    "gamma and beta for every position": (
        patch(norms, "BatchNorm2d", ParametersPerPosition),
        {"E7": {"parameters"}},
    ),
    "the rate grows by a root of what it should": (
        patch(
            rates,
            "shrinkage",
            lambda *step, law=rates.shrinkage: law(*step) ** 0.5,
        ),
        {"E12": {"SGD", "SGD with momentum", "weights"}},
    ),
    "the shrinkage is that without momentum": (
        patch(rates, "shrinkage", lambda rate, decay, momentum: 1 - rate * decay),
        {"E12": {"SGD with momentum", "weights"}},
    ),
    "momentum starts at 0 without decay": (
        patch(
            rates,
            "trained",
            lambda *args, law=rates.trained, **options: law(*args, **{**options, "push": 0.0}),
        ),
        {"E12": {"SGD with momentum", "weights"}},
    ),
    "nothing decays": (patch(rates, "DECAY", 0.0), {"E12": {"without BN"}}),
    "weights are as they were": (patch(rates, "SCALE", 1.0), {"E13": {"without BN"}}),
    "the rate is not rescaled": (
        patch(
            rates,
            "trained",
            lambda *args, law=rates.trained, **options: law(*args, **{**options, "rate": 0.1}),
        ),
        {"E13": {"SGD", "decay and momentum"}},
    ),
    "gamma and beta for every batch": (
        patch(norms, "BatchNorm2d", ParametersPerBatch),
        {"E7": {"parameters", "batches"}},
    ),
}
CASES = {
    f"{claim}: {fault}": (plant, claim, exact.EXACT[claim].parts.keys() if parts is ALL else parts)
    for fault, (plant, claims) in FAULTS.items()
    for claim, parts in claims.items()
}


@pytest.mark.parametrize(("plant", "claim", "parts"), CASES.values(), ids=CASES)
def test_a_fault_flips_the_parts_that_it_concerns(monkeypatch, plant, claim, parts):
    plant(monkeypatch)
    result = exact.run(claim)
    assert {part.name for part in result.parts if not part.holds} == parts
    assert not result.holds


def test_every_part_is_flipped_by_some_fault():
    flipped = {(claim, part) for _, claim, parts in CASES.values() for part in parts}
    assert flipped == {(claim, part) for claim, c in exact.EXACT.items() for part in c.parts}


@pytest.mark.slow
def test_without_a_fault_the_breakable_layer_passes(monkeypatch):
    layer_that()(monkeypatch)
    assert all(exact.run(claim).holds for claim in exact.EXACT)
