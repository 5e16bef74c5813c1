"""The typed schema of a configuration: its keys, their types, and the names that they allow.

Every field is MISSING by default: the defaults stand in `configs/`, where users see and edit them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from omegaconf import MISSING

SCHEMA = 3  # part of every arm id: raise it when a default or the meaning of a key changes

# Facts about the data sets that a request is checked against before any data is read.
DATA_SIZES = {  # images to train, to validate, to test
    "digits": (1078, 359, 360),
    "fashion_mnist": (50_000, 10_000, 10_000),
    "mnist": (50_000, 10_000, 10_000),
    "cifar10": (40_000, 10_000, 10_000),
    "synthetic": (300, 100, 100),
}
DATA_SHAPES = {  # channels, height, width
    "digits": (1, 8, 8),
    "fashion_mnist": (1, 28, 28),
    "mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
    "synthetic": (1, 32, 32),
}
NUM_CLASSES = 10  # of every data set above; `facts` knows those of the user's own data too
TUNING_SEEDS = range(100, 200)  # runs on these choose learning rates; those on all others report
PER_SEED = "per_seed"  # each run draws its splits, test images too, from its own seed
TUNED_BATCH = 64  # the batch size at which base_lr is tuned and lr_scaling is 1
MARKS = INTERRUPTED, FAILED = "interrupted", "failed"  # tags of W&B runs that are not done

DataName = StrEnum("DataName", list(DATA_SIZES))
ModelName = StrEnum(
    "ModelName",
    [
        "mlp",
        "sigmoid_mlp",
        "vgg",
        "sigmoid_vgg",
        "vgg11",
        "vgg16",
        "residual_mlp",
        "residual_vgg",
    ],
)
Activation = StrEnum("Activation", ["relu", "sigmoid", "tanh"])
DropoutPlace = StrEnum("DropoutPlace", ["blocks", "head"])
NormLayers = StrEnum("NormLayers", ["every", "first", "last", "alternate", "input"])
Init = StrEnum("Init", ["he", "xavier", "xavier_sigmoid", "gaussian"])
Branch = StrEnum("Branch", ["none", "skipinit", "fixup"])  # of residual blocks, how they start
Order = StrEnum(  # of norm, activation and addition in residual blocks, see models/residual.py
    "Order",
    [
        "original",
        "norm_after_addition",
        "activation_before_addition",
        "activation_only_preactivation",
        "full_preactivation",
    ],
)
Placement = StrEnum("Placement", ["pre", "post"])
Backend = StrEnum("Backend", ["reference", "cpp", "triton", "native"])
Augment = StrEnum("Augment", ["none", "light"])
PolicyPoints = StrEnum("PolicyPoints", ["few", "all"])
Pixels = StrEnum("Pixels", ["normalised", "unit", "bytes"])
Batches = StrEnum("Batches", ["reshuffled", "frozen", "two_classes"])
Trainable = StrEnum("Trainable", ["all", "head", "norm", "random"])
Average = StrEnum("Average", ["swa", "weight_ema"])  # of weights, see training/averages.py
Schedule = StrEnum("Schedule", ["constant", "cosine", "exponential"])
DecayBy = StrEnum("DecayBy", ["penalty", "head", "rescaling"])  # how weight decay acts
Policy = StrEnum(  # of population statistics, see norms/population.py; the last policy is for
    "Policy",  # nets without batch normalisation, see norms/recalibration.py
    ["ema", "cumulative", "algorithm2", "precise", "adabn", "batch", "blend", "recalibrated"],
)
ShiftName = StrEnum(
    "ShiftName",
    ["gaussian_noise", "contrast", "brightness", "blur", "translate", "invert", "class_sorted"],
)
Probe = StrEnum(  # probes/ and docs/probes.md say what each measures
    "Probe",
    [
        "gradients",
        "activations",
        "histogram",
        "drift",
        "saturation",
        "variance",
        "affine",
        "conditioning",
        "weights",
        "ics",
        "adversarial",
        "ablation",
        "landscape",
        "curvature",
    ],
)
LrScaling = StrEnum("LrScaling", ["none", "linear", "sqrt"])
Criterion = StrEnum("Criterion", ["accuracy", "area", "tasks"])  # that rates are compared by
Search = StrEnum("Search", ["best", "stable"])  # for a rate
SaveWeights = StrEnum("SaveWeights", ["auto", "always", "never"])
TrackMode = StrEnum("TrackMode", ["online", "offline", "csv"])
Device = StrEnum("Device", ["auto", "cpu", "cuda"])
FigureKind = StrEnum("FigureKind", ["curves", "versus", "severity"])
Statistic = StrEnum(  # that answers an experiment's question, see analysis/answers.py
    "Statistic", ["difference", "trains", "greatest", "as_good", "kept", "value", "best"]
)

PROBED = {  # the metrics of each probe, and whether each layer has its own
    Probe.gradients: {"gradient_norm": True, "gradient_growth": False},
    Probe.activations: dict.fromkeys(
        ("preactivation_mean", "preactivation_std", "p15", "p50", "p85"), True
    ),
    Probe.histogram: dict.fromkeys((f"share_{k:02}" for k in range(66)), True),
    Probe.drift: {"drift": True, "drift_shape": True},
    Probe.saturation: {"saturation": True, "gamma": True},
    Probe.weights: {"weight_norm": True, "effective_rate": True},
    Probe.variance: {"variance_ratio": True},
    Probe.affine: {"identity_distance": True, "identity_distance_unlearned": True},
    Probe.conditioning: {"conditioning": True},
    Probe.ics: dict.fromkeys(("ics_cosine", "ics_distance", "ics_relative"), True),
    Probe.adversarial: dict.fromkeys(
        ("unattacked", *(f"{attack}_{size}" for size in (1, 3, 10) for attack in ("fgsm", "pgd"))),
        False,
    ),
    Probe.ablation: dict.fromkeys(
        ("unablated", "ablated", "ablation_area", "ablation_area_mean", "single_loss"), False
    ),
    Probe.landscape: dict.fromkeys(
        ("loss_range", "predictiveness", "smoothness", "relative_change"), False
    ),
    Probe.curvature: dict.fromkeys(
        (
            *("eigenvalue_1", "eigenvalue_20", "eigenvalue_ratio"),
            *(
                "population_eigenvalue_1",
                "population_eigenvalue_20",
                "population_eigenvalue_ratio",
            ),
        ),
        False,
    ),
}
# measured once, behind the last step, on test images, of which their metrics are
AT_END = {Probe.adversarial, Probe.ablation}
BY_TEST_BATCH = {Policy.batch, Policy.blend}  # the prediction for an image depends on its batch
BY_TEST_SET = {Policy.adabn, Policy.recalibrated}  # … or on the whole evaluated set
TRANSDUCTIVE = BY_TEST_BATCH | BY_TEST_SET
# those that pass over no image but the evaluated ones, and once; none is the net as it is
ONE_PASS = {"none", Policy.ema, *BY_TEST_BATCH}
# nets whose layers see one value per unit and image
MLPS = {ModelName.mlp, ModelName.sigmoid_mlp, ModelName.residual_mlp}


@dataclass
class ModelConfig:
    """A net: `widths` are layers (MLP) or stages (VGG), `depth` the layers per width."""

    name: ModelName = MISSING
    widths: list[int] = MISSING
    depth: list[int] = MISSING
    activation: Activation = MISSING
    init: Init = MISSING
    init_scale: float = 1.0  # factor of the initial weights that `init` draws
    dropout: float = MISSING
    dropout_place: DropoutPlace = DropoutPlace.blocks  # behind each block; or before the head alone
    norm_layers: NormLayers = NormLayers.every  # that have a norm, see `quantities.norm_places`


@dataclass
class ResidualModelConfig(ModelConfig):
    """A residual net: `depth` is odd, a layer and two for each branch."""

    branch: Branch = MISSING
    order: Order = MISSING


RESIDUAL = {ModelName.residual_mlp, ModelName.residual_vgg}
MODEL_CONFIGS: dict[str, type[ModelConfig]] = {
    name: ResidualModelConfig if name in RESIDUAL else ModelConfig for name in ModelName
}


@dataclass
class OwnModelConfig(ModelConfig):
    """A net of a plugin."""

    name: str = MISSING  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    plugin: str = MISSING  # the digest of the plugin's text
    spatial_dims: int = MISSING  # what its norms see behind the channels: 0 dimensions, or 2


@dataclass
class NormConfig:
    """The normalisation layer; each kind has only the keys that it knows."""

    name: str = MISSING


@dataclass
class EpsNormConfig(NormConfig):  # noqa: D101
    eps: float = MISSING
    affine: bool = MISSING


@dataclass
class TorchBatchNormConfig(EpsNormConfig):  # noqa: D101
    momentum: float | None = MISSING  # the weight of the new batch; null is the cumulative mean


@dataclass
class OurBatchNormConfig(TorchBatchNormConfig):  # noqa: D101
    backend: Backend = MISSING
    scale: bool = MISSING  # gamma, where affine
    bias: bool = MISSING  # beta, where affine


@dataclass
class GhostBatchNormConfig(TorchBatchNormConfig):  # noqa: D101
    ghost_size: int = MISSING


@dataclass
class BatchRenormConfig(TorchBatchNormConfig):  # noqa: D101
    r_max: float = MISSING
    d_max: float = MISSING
    warmup: int = MISSING


@dataclass
class NoiseConfig(NormConfig):  # noqa: D101
    n_mu: float = MISSING
    n_sigma: float = MISSING
    r_mu: float = MISSING
    r_sigma: float = MISSING


@dataclass
class NoisyBatchNormConfig(TorchBatchNormConfig, NoiseConfig):  # noqa: D101
    pass


@dataclass
class L2NormConfig(NormConfig):  # noqa: D101
    eps: float = MISSING
    init_scale: float = MISSING


@dataclass
class GroupNormConfig(EpsNormConfig):  # noqa: D101
    groups: int = MISSING


@dataclass
class LocalResponseNormConfig(NormConfig):  # noqa: D101
    size: int = MISSING
    alpha: float = MISSING
    beta: float = MISSING
    k: float = MISSING


@dataclass
class BatchNormLrnConfig(TorchBatchNormConfig, LocalResponseNormConfig):  # noqa: D101
    pass


@dataclass
class OwnNormConfig(NormConfig):
    """A normalisation layer of a plugin; `own_norm_config` adds its options."""

    plugin: str = MISSING  # the digest of the plugin's text


@cache
def own_norm_config(options: tuple[tuple[str, type], ...]) -> type[OwnNormConfig]:
    """Make the class of a plugin's norm, from the names and types of its options."""
    return make_dataclass(
        "PluginNormConfig",
        [(name, kind, MISSING) for name, kind in options],
        bases=(OwnNormConfig,),
    )


NORM_CONFIGS: dict[str, type[NormConfig]] = {
    "none": NormConfig,
    "batchnorm": OurBatchNormConfig,
    "torch_batchnorm": TorchBatchNormConfig,
    "layernorm": EpsNormConfig,
    "groupnorm": GroupNormConfig,
    "instancenorm": EpsNormConfig,
    "lrn": LocalResponseNormConfig,
    "ghost_batchnorm": GhostBatchNormConfig,
    "batch_renorm": BatchRenormConfig,
    "noisy_batchnorm": NoisyBatchNormConfig,
    "noise": NoiseConfig,
    "l1_batchnorm": TorchBatchNormConfig,
    "linf_batchnorm": TorchBatchNormConfig,
    "sync_batchnorm": TorchBatchNormConfig,
    "l2norm": L2NormConfig,
    "batchnorm_lrn": BatchNormLrnConfig,
}
SPATIAL_NORMS = {"instancenorm", "lrn", "batchnorm_lrn"}  # need several values per channel
BATCH_NORMS = {name for name, cls in NORM_CONFIGS.items() if issubclass(cls, TorchBatchNormConfig)}
POPULATION = "population"  # a key of a plugin's norm that holds a BatchNorm; others have none


@dataclass
class OptimConfig:
    """The optimiser; its rate is base_lr · lr_mult, scaled with the batch, then decayed."""

    name: str = MISSING
    base_lr: float = MISSING
    lr_mult: float = MISSING
    lr_scaling: LrScaling = MISSING  # none; linear or sqrt in batch_size / 64
    weight_decay: float = MISSING  # on weights only, never on norm parameters or biases
    decay_by: DecayBy = DecayBy.penalty  # or on the head alone; or training/rescaling.py
    schedule: Schedule = MISSING
    lr_end: float = MISSING  # share of the rate left at the last step, where the schedule decays


@dataclass
class SgdConfig(OptimConfig):  # noqa: D101
    momentum: float = MISSING


@dataclass
class AdamConfig(OptimConfig):  # noqa: D101
    beta1: float = MISSING
    beta2: float = MISSING
    eps: float = MISSING


OPTIM_CONFIGS: dict[str, type[OptimConfig]] = {"sgd": SgdConfig, "adam": AdamConfig}


@dataclass
class DataConfig:
    """A data set, how it is split and batched; each kind has only the keys that it knows."""

    name: str = MISSING
    split_seed: int | str = MISSING  # a seed, or `PER_SEED`
    train_images: int | None = MISSING  # how many to train on, from the first on; null for all
    augment: Augment = MISSING
    batches: Batches = MISSING
    pixels: Pixels = Pixels.normalised  # as nets see them, see `data.datasets.Dataset.with_pixels`
    tasks: int = 1  # groups of classes, trained on in a row: see `data.batches.task_batches`


@dataclass
class ShippedDataConfig(DataConfig):
    """One of the data sets of `DATA_SIZES`, and where it lies."""

    root: str = MISSING
    default_epochs: int = MISSING  # the budget where neither train.steps nor train.epochs is given


@dataclass
class OwnDataConfig(DataConfig):
    """Images of the user's own, with what is found out of them before anything trains."""

    kind: str = MISSING
    default_steps: int = MISSING  # of `TUNED_BATCH` images; other batches see as many images
    digest: str = MISSING  # of images, labels and preparation
    num_classes: int = MISSING
    shape: list[int] = MISSING  # channels, height, width
    sizes: list[int] = MISSING  # images to train, to validate, to test
    rarest: int = MISSING  # images of the two smallest classes together, of all


@dataclass
class FolderDataConfig(OwnDataConfig):
    """A folder that holds one folder of images for each class."""

    root: str = MISSING
    size: int = MISSING  # height and width to which its images are brought


@dataclass
class NpzDataConfig(OwnDataConfig):
    """A file of numpy with arrays of images and labels."""

    file: str = MISSING


OWN_DATA_CONFIGS: dict[str, type[OwnDataConfig]] = {
    "folder": FolderDataConfig,
    "npz": NpzDataConfig,
}
FOUND_OUT = ("num_classes", "shape", "sizes", "rarest")  # keys of own data that nobody types


@dataclass
class ShiftConfig:
    """Changes of the test distribution to evaluate under; they never change training."""

    names: list[ShiftName] = MISSING
    severities: list[int] = MISSING
    own: list[str] = field(default_factory=list)  # of plugins, with digests; never typed


@dataclass
class TrainConfig:
    """Budget and evaluation of one run."""

    steps: int | None = MISSING
    epochs: int | None = MISSING
    epoch_batch: int | None = MISSING  # batch size that epochs are counted in; null: batch_size
    eval_points: int = MISSING  # evenly spaced; those at powers of √2 in the first 2 % come on top
    policy_points: PolicyPoints = MISSING  # at which all policies are evaluated, see config/points
    thresholds: list[float] = MISSING  # validation accuracies whose first crossing is reported
    policies: list[Policy] = MISSING
    test_batch: int | None = MISSING  # images that batch and blend see at once; null: batch_size
    prior: float = MISSING  # of blend: images that the running statistics count as
    trainable: Trainable = MISSING  # the trained parameters, see models/trainable.py
    averages: list[Average] = field(default_factory=list)  # of weights; evaluated beside the last
    save_weights: SaveWeights = MISSING  # auto keeps files of up to 5 MB


@dataclass
class TuneConfig:
    """The rates to search for an arm's learning rate; null where the rate is given."""

    low: float | None = MISSING
    high: float | None = MISSING
    seeds: list[int] = MISSING  # for comparing rates; no result is reported on them
    extend: int = MISSING  # the most half decades to try below low, and above high
    by: Criterion = MISSING
    batches: Batches | None = MISSING  # that rates are compared on; null: data.batches
    find: Search = MISSING  # stable: the largest at which each seed trains, by bisection
    per_decade: int = MISSING  # rates of the grid that is bisected


@dataclass
class TrackConfig:
    """The place where a run is logged beside metrics.csv."""

    mode: TrackMode = MISSING
    project: str = MISSING
    entity: str | None = MISSING
    tags: list[str] = MISSING  # of its W&B run, beside those that bnbench gives it
    notes: str | None = MISSING
    experiments: list[str] = field(default_factory=list)  # that ask for the arm; never typed


MAX_TITLE = 200  # characters; the title names the file of the figure
MAX_FIGURES = 50  # of a report: each takes a second to draw
MAX_PANELS = 100  # of a figure


@dataclass
class Panel:
    """One panel of a figure: the rows of runs.csv that satisfy a query (`bnbench.config.query`)."""

    title: str = MISSING
    where: str = MISSING


@dataclass
class Figure:
    """One figure of the report, over columns of runs.csv."""

    kind: FigureKind = MISSING
    title: str = MISSING
    x: str = "step"
    y: str = "val/accuracy"
    hue: str = "norm.name"
    style: str | None = "placement"
    col: str | None = None
    row: str | None = None
    where: str | None = None
    panels: list[Panel] | None = None
    logx: bool = False
    logy: bool = False
    tuning: bool = False  # shows the runs that tuned learning rates, not the reported ones


@dataclass
class Comparison:
    """A comparison of each arm with the arm that has these values and is equal elsewhere."""

    baseline: dict[str, Any] = MISSING


@dataclass
class AnswerConfig:
    """One statistic that answers an experiment's question, told in a sentence (docs/answers.md).

    Two arms are compared where one has the settings of `treatment`, the other those of `baseline`,
    and all else is equal.
    """

    statistic: Statistic = MISSING
    metric: str = "test/accuracy"  # of the end of a run
    treatment: dict[str, Any] = field(default_factory=dict)
    baseline: dict[str, Any] = field(default_factory=dict)
    against: str | None = None  # the metric of the baseline, where it is another
    level: str | None = None  # the column whose values are the levels
    reference: float | None = None  # trains: the level that others are compared with
    margin: float = 1.0  # as_good: by how much the treatment may be worse
    by: list[str] | None = None  # difference: the columns to tell apart; the mean over all others
    where: str | None = None  # the arms that count: a query
    parts: list[Panel] | None = None  # what is told apart beside what differs between the pairs


@dataclass
class ReportConfig:
    """The question of an experiment, with the statistics, figures and comparisons to answer it."""

    question: str = MISSING
    answer: list[AnswerConfig] = MISSING
    figures: list[Figure] = MISSING
    compare: list[Comparison] = MISSING
    base_lr: bool = False  # its best rates become optim.base_lr for the user's own data


@dataclass
class Config:
    """One request: an arm, its seeds, and where and how to run it."""

    model: ModelConfig = MISSING
    norm: NormConfig = MISSING
    placement: Placement = MISSING
    data: DataConfig = MISSING
    shift: ShiftConfig = MISSING
    optim: OptimConfig = MISSING
    batch_size: int = MISSING
    train: TrainConfig = MISSING
    tune: TuneConfig = MISSING
    track: TrackConfig = MISSING
    probes: list[Probe] = MISSING
    seeds: list[int] = MISSING
    threads: int = MISSING
    device: Device = MISSING
    results: str = MISSING
    plugins: list[str] = MISSING  # paths of Python files of the user's own
    arms: list[dict[str, Any]] = MISSING
    report: ReportConfig = MISSING
    tuned_lr: dict[str, Any] = field(default_factory=dict)


def is_batch_norm(norm: NormConfig) -> bool:
    """Whether a norm has population statistics, which policies are for."""
    return norm.name in BATCH_NORMS or hasattr(norm, POPULATION)


def is_flat(model: Mapping[str, Any]) -> bool:
    """Whether the layers of a net see one value per unit and image, by its settings."""
    return model["name"] in MLPS if "spatial_dims" not in model else not model["spatial_dims"]
