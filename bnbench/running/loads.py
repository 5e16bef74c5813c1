"""What runs are to do, and the seconds that it takes by a table of what nets cost.

The table gives the seconds of a run on one core of an AMD EPYC with AVX-512; `estimate` corrects it
by the runs that have finished. Nothing here imports torch.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from bnbench.config.arms import science
from bnbench.config.facts import facts
from bnbench.config.points import (
    SUBSET,
    TEST_SUBSET,
    TRAIN_SUBSET,
    Scope,
    evaluation_points,
    scopes,
)
from bnbench.config.quantities import norm_places
from bnbench.config.schema import (
    AT_END,
    BY_TEST_BATCH,
    BY_TEST_SET,
    ONE_PASS,
    Config,
    DecayBy,
    NormLayers,
    Policy,
    PolicyPoints,
    Probe,
    is_flat,
)

# The table: seconds, fitted to runs of the default experiments on an AMD EPYC with AVX-512. What a
# step or a pass costs besides its arithmetic counts most.
STEP, STEP_LAYER = 3.3e-4, 1.1e-5
STEP_NORM = {"none": 0.0, "torch_batchnorm": 3e-5, "layernorm": 6e-5, "groupnorm": 6e-5}
STEP_OTHER_NORM = 2.2e-4  # a layer of ours
MULTIPLICATION, VALUE, NORMALISED = 2.2e-11, 1.35e-9, 1.0e-9  # of a weight, of a unit's value
PASS, PASS_LAYER = 1.7e-4, 1.0e-4
TRAINING = 3  # passes of an image through the net in a step

REFERENCE = {Policy.cumulative, Policy.algorithm2, Policy.precise, Policy.recalibrated}
PROBE_STEPS = {Probe.landscape: 15}  # what a probe costs, in steps; ics has one for each layer
# one at the end, in passes of test images; ablation has one more for each unit, up to a number
END_PASSES, SINGLE = {Probe.adversarial: 70, Probe.ablation: 92}, 300
# what a probe costs at the start and the end, its only points, in steps: products for each mode
END_STEPS = {Probe.curvature: 2 * 120}
OF_NET = (
    *("name", "plugin", "widths", "depth", "activation", "dropout", "dropout_place"),
    *("norm_layers", "branch", "order"),
)
OF_NORM = ("name", "plugin", "affine", "backend", "ghost_size", "groups", "scale", "bias")
OF_TRAINING = ("eval_points", "policy_points", "policies", "test_batch", "trainable", "averages")


@dataclass(frozen=True)
class Load:
    """What a run is to do.

    Attributes:
        science: the canonical configuration of its arm.
        shifts: how often it is evaluated on the shifted test set, under any policy.
        trained: whether nothing but the shifts is left to do.
    """

    science: Mapping[str, Any]
    shifts: int = 0
    trained: bool = False

    @cached_property
    def family(self) -> str:
        """All that the seconds of a run depend on, but its number of steps, as one text."""
        own = self.science
        parts = {key: own[key] for key in ("placement", "batch_size", "probes")}
        for part, keys in (("model", OF_NET), ("norm", OF_NORM), ("train", OF_TRAINING)):
            parts[part] = {key: own[part][key] for key in keys if key in own[part]}
        known = ("name", "augment", "tasks")
        parts["data"] = {key: own["data"][key] for key in known if key in own["data"]}
        parts["optim"] = [own["optim"][key] for key in ("name", "decay_by") if key in own["optim"]]
        return json.dumps(parts, sort_keys=True)

    @property
    def kin(self) -> tuple[str, str, str]:
        """The families that this one is one of, from the widest to itself."""
        kind = "perceptron" if is_flat(self.science["model"]) else "convolutional"
        return kind, f"{kind} {self.science['norm']['name']}", self.family

    @property
    def steps(self) -> int:
        """Steps of the optimiser."""
        return self.science["train"]["steps"]

    def with_steps(self, steps: int) -> "Load":
        """What a run of the family with another number of steps is to do."""
        train = {**self.science["train"], "steps": steps}
        return replace(self, science={**self.science, "train": train})

    @cached_property
    def scopes(self) -> dict[int, Scope]:
        """How much is evaluated after which steps."""
        train = self.science["train"]
        points = evaluation_points(self.steps, train["eval_points"])
        tasks = self.science["data"].get("tasks", 1)
        return scopes(points, train["policy_points"] == PolicyPoints.few, tasks)

    def evaluations(self, steps: int) -> Counter[Scope]:
        """Count the evaluation points of the first steps by their scope."""
        found = Counter(scope for point, scope in self.scopes.items() if point <= steps)
        if steps not in self.scopes:  # where a run ends early, everything is evaluated
            found[Scope.everything] += 1
        return found

    @cached_property
    def passes(self) -> dict[Scope, tuple[int, int]]:
        """Count the passes of an evaluation point of each scope, and the images that they see."""
        train, val, test = facts(self.science["data"]).sizes
        some, rest = min(val, SUBSET), val - min(val, SUBSET)
        policies = self.science["train"]["policies"]
        alone = sum(policy in ONE_PASS for policy in policies)
        number, ends = len(policies), 1 + (rest > 0)
        measured = sum(policy not in ONE_PASS for policy in policies) - (Policy.precise in policies)
        averages = len(self.science["train"].get("averages", ()))
        of_average = number + measured + (Policy.precise in policies)
        trained = min(train, TRAIN_SUBSET)
        images = self.seen(min(train, SUBSET), trained + some, trained)
        batches = self.test_batches(some)
        more = batches + self.test_batches(trained, but=Policy.batch)
        whole = (
            more + self.test_batches(val) * (rest > 0) + (1 + averages) * self.test_batches(test)
        )
        return {
            Scope.curve: (alone + batches, alone * some),
            Scope.policies: (2 * number + measured + more, images),
            Scope.everything: (
                (2 + ends) * number + measured + averages * of_average + whole,
                images + self.seen(0, rest + test) + averages * self.seen(min(train, SUBSET), test),
            ),
        }

    def test_batches(self, images: int, but: Policy | None = None) -> int:
        """Count the passes, after the first, of policies that see images in test batches."""
        train = self.science["train"]
        size = train.get("test_batch") or self.science["batch_size"]
        policies = [policy for policy in train["policies"] if policy in BY_TEST_BATCH - {but}]
        return len(policies) * (math.ceil(images / size) - 1)

    def evaluated(self, points: Mapping[Scope, int]) -> tuple[int, int]:
        """Count the passes of some evaluation points, and the images that they see."""
        counts = [(number, self.passes[scope]) for scope, number in points.items()]
        return sum(n * passes for n, (passes, _) in counts), sum(n * i for n, (_, i) in counts)

    @cached_property
    def shifted_images(self) -> int:
        """Count the images that the evaluations under shifts see."""
        train, _, test = facts(self.science["data"]).sizes
        return self.shift_settings * self.seen(min(train, SUBSET), test)

    @property
    def shift_settings(self) -> int:
        """Count the pairs of a shift and a severity."""
        return self.shifts // max(1, len(self.science["train"]["policies"]))

    def seen(self, reference: int, images: int, shared: int = 0) -> int:
        """Count the images that pass through the net when some are evaluated under each policy.

        Args:
            reference: how many statistics are measured on, where the policy does not ask for all
                that are evaluated.
            images: how many are evaluated.
            shared: how many of them precise statistics are measured on, which is their only pass.
        """
        policies = self.science["train"]["policies"]
        measured = sum(
            images if policy in BY_TEST_SET else reference * (policy in REFERENCE)
            for policy in policies
        )
        return len(policies) * images + measured - shared * (Policy.precise in policies)

    @cached_property
    def step_seconds(self) -> float:
        """The seconds of a training step, by the table."""
        layers, norms, _ = self.net
        norm = STEP_NORM.get(self.science["norm"]["name"], STEP_OTHER_NORM)
        arithmetic = TRAINING * self.science["batch_size"] * self.image_seconds
        nets = (
            2 if self.science["optim"].get("decay_by") == DecayBy.rescaling else 1
        )  # a copy is trained beside
        return nets * (STEP + layers * STEP_LAYER + norms * norm + arithmetic)

    @cached_property
    def image_seconds(self) -> float:
        """The seconds of an image's way through the net, by the table."""
        _, norms, (multiplications, values) = self.net
        value = VALUE + NORMALISED * (norms > 0)
        return MULTIPLICATION * multiplications + value * values

    @property
    def pass_seconds(self) -> float:
        """The seconds of a pass beside its images, by the table."""
        layers, norms, _ = self.net
        return PASS + (layers + norms) * PASS_LAYER

    @cached_property
    def probe_seconds(self) -> float:
        """The seconds of all probes at a point, by the table."""
        layers, _, _ = self.net
        at_ends = AT_END | END_STEPS.keys()
        counts = {**PROBE_STEPS, **dict.fromkeys(at_ends, 0), Probe.ics: layers + 1}
        return sum(counts.get(probe, 1) for probe in self.science["probes"]) * self.step_seconds

    @cached_property
    def end_seconds(self) -> float:
        """The seconds of the probes that measure at the end, or at the start too, by the table."""
        model = self.science["model"]
        widths = zip(model["widths"], model["depth"], strict=True)
        units = sum(width * count for width, count in widths)
        counts = {**END_PASSES, Probe.ablation: END_PASSES[Probe.ablation] + min(SINGLE, units)}
        sizes, _, _ = facts(self.science["data"])
        images = min(TEST_SUBSET, sizes[-1]) * self.image_seconds
        a_pass = self.pass_seconds + images
        probes = self.science["probes"]
        at_both = 2 * sum(END_STEPS.get(probe, 0) for probe in probes) * self.step_seconds
        return at_both + sum(counts.get(probe, 0) for probe in probes) * a_pass

    @cached_property
    def net(self) -> tuple[int, int, tuple[float, float]]:
        """Count layers, norms, and for an image multiplications and values of units."""
        model = self.science["model"]
        _, (channels, height, width), num_classes = facts(self.science["data"])
        flat = is_flat(model)
        pixels, window = (1, 1) if flat else (height * width, 9)
        inputs = channels * height * width if flat else channels
        multiplications = values = 0
        for features, count in zip(model["widths"], model["depth"], strict=True):
            for _ in range(count):
                multiplications += window * inputs * features * pixels
                values += features * pixels
                inputs = features
            pixels = pixels if flat else max(1, pixels // 4)
        hidden = sum(model["depth"])
        places = norm_places(model.get("norm_layers", NormLayers.every), hidden)
        norms = 0 if self.science["norm"]["name"] == "none" else sum(places)
        return hidden + 1, norms, (multiplications + inputs * pixels * num_classes, values)

    @cached_property
    def training(self) -> float:
        """The seconds from the first step to the last evaluation, by the table."""
        return self.training_seconds(self.steps)

    def training_seconds(self, done: int) -> float:
        """The seconds of a run that ends after some of its steps, by the table."""
        points = self.evaluations(done)
        passes, images = self.evaluated(points)
        evaluation = passes * self.pass_seconds + images * self.image_seconds
        evaluation += (points.total() + 1) * self.probe_seconds + self.end_seconds
        return done * self.step_seconds + evaluation

    @cached_property
    def shifting(self) -> float:
        """The seconds of the evaluations under shifts, by the table."""
        passes = self.shifts + self.shift_settings * self.test_batches(
            facts(self.science["data"]).sizes[-1]
        )
        return self.shifted_images * self.image_seconds + passes * self.pass_seconds


def load_of(config: Config) -> Load:
    """Tell what each run of an arm is to do."""
    canonical = science(config)
    names, severities = [*config.shift.names, *config.shift.own], config.shift.severities
    return Load(canonical, len(names) * len(severities) * len(canonical["train"]["policies"]))
