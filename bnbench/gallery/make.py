"""From the runs of the experiment `gallery` to its pictures, their numbers and their index.

The plane through each net is measured once and kept as CSV while its weights are the same; all
other numbers stand in the runs. Pictures are drawn anew each time.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.load import ExperimentData, load
from bnbench.config.arms import learning_rate, num_steps
from bnbench.config.labels import ranges_label, value_label
from bnbench.config.points import SUBSET
from bnbench.config.schema import Config, Probe
from bnbench.gallery import drawings, films, slides
from bnbench.gallery.descent import SCALE, descents
from bnbench.gallery.drawings import BASIN, QUANTITIES, PlaneOf
from bnbench.gallery.films import Densities
from bnbench.gallery.planes import HALF, IMAGES, measured_plane
from bnbench.gallery.slides import DEPTH
from bnbench.measured.problems.least_squares import SAMPLES, TOLERANCE
from bnbench.models.blocks import stages
from bnbench.probes.activations import BINS, REACH, SHARES
from bnbench.tracking.stored import file_digest, make_folder
from bnbench.tracking.whole_files import as_json, write_whole

EXPERIMENT = "gallery"
GRID, COARSE = 41, 11  # points a side of the drawn plane, and of the planes of other seeds
NETS = {"mlp": "ReLU MLP", "sigmoid_mlp": "sigmoid MLP", "vgg": "VGG", "sigmoid_vgg": "sigmoid VGG"}


@dataclass(frozen=True)
class GalleryPicture:
    """One picture: its title, its caption with the runs behind it, and its files."""

    name: str
    title: str
    caption: str
    files: list[str]


def make(
    results: Path, data: str, configs: Mapping[str, Config], say: Callable[[str], None] = print
) -> tuple[list[GalleryPicture], list[str]]:
    """Draw all pictures of one data set to `results/gallery/<data>`.

    Args:
        results: the results folder, with the runs of the experiment.
        data: the data set.
        configs: arm -> its configuration, with its seeds.
        say: a function that gets a line for each picture and each plane.

    Returns:
        The pictures, and a line for each reason why one could not be drawn: a run that diverged,
        weights that are not there.
    """
    folder = results / "gallery" / data
    make_folder(folder, DEPTH)
    experiment = load(results / "experiments" / EXPERIMENT / data)
    of_values, along = (
        {arm: config for arm, config in configs.items() if probe in config.probes}
        for probe in (Probe.histogram, Probe.landscape)
    )
    plain = {arm: config for arm, config in configs.items() if not config.probes}
    makers: list[tuple[Mapping[str, Config], Callable[[Mapping[str, Config]], GalleryPicture]]] = [
        ({}, lambda _: descent_picture(folder)),
        (of_values, lambda arms: bands_picture(folder, experiment, arms)),
        (of_values, lambda arms: densities_picture(folder, experiment, arms)),
        (along, lambda arms: gradient_picture(folder, experiment, arms)),
        (plain, lambda arms: planes_picture(folder, results, arms, say)),
    ]
    pictures, problems = [], []
    for number, (arms, maker) in enumerate(makers, 1):
        try:
            check_done(experiment, arms)
            picture = maker(arms)
        except ValueError as error:
            problems.append(str(error))
            continue
        pictures.append(picture)
        say(f"[{number}/{len(makers)}] {picture.name}  {', '.join(picture.files)}")
    return pictures, list(dict.fromkeys(problems))


def check_done(experiment: ExperimentData, arms: Collection[str]) -> None:
    """Refuse arms with a run that has no result or diverged, and so nothing to draw."""
    for run in experiment.runs.to_dict("records"):
        if run["arm"] in arms and run["status"] != "done":
            raise ValueError(f"{run['arm']} seed {run['seed']}: {run['status']}, cannot be drawn")


def net_words(config: Config) -> str:
    """Describe the runs for a caption: `ReLU MLP 6×128 on digits, 400 steps of 64 images`."""
    widths = [w for w, count in stages(config.model.widths, config.model.depth)
              for _ in range(count)]  # fmt: skip
    momentum = getattr(config.optim, "momentum", None)
    optim = config.optim.name if momentum is None else f"SGD with momentum {momentum:g}"
    return (
        f"{NETS.get(config.model.name, config.model.name)} {value_label(widths)} on "
        f"{config.data.name}, {num_steps(config):,} steps of {config.batch_size} images, {optim}"
    )


def descent_picture(folder: Path) -> GalleryPicture:
    """Draw gradient descent on two features, raw and normalised."""
    raw, normalised = ways = descents()
    title = (
        f"Gradient descent: {raw.steps} steps on raw features, "
        f"{normalised.steps} on normalised ones"
    )
    caption = (
        f"Least squares on {SAMPLES} samples of two features, the second {SCALE} times as large as "
        "the first; contours of the loss above its minimum, each a factor of 2 from the next. "
        "From 0, at the best constant rate of each, 2/(λmin + λmax): "
        f"{raw.rate:.3g} at κ = {raw.kappa:.3g}, {normalised.rate:.3g} at "
        f"κ = {normalised.kappa:.3g}; until {100 * TOLERANCE:g} % of the first excess loss."
    )
    files = films.descent_film(ways, title, caption, folder / "two-features")
    return GalleryPicture("two-features", title, caption, files)


def by_norm(configs: Mapping[str, Config]) -> dict[str, str]:
    """Map norm to arm, the net without a norm first.

    Raises:
        ValueError: there are not exactly these two arms.
    """
    found = {config.norm.name: arm for arm, config in configs.items()}
    if set(found) != {"none", "batchnorm"} or len(configs) != len(found):
        raise ValueError(f"expected one arm with BN and one without, got {', '.join(configs)}")
    return {norm: found[norm] for norm in ("none", "batchnorm")}


def series(experiment: ExperimentData, arm: str, split: str, metric: str) -> pd.DataFrame:
    """Select the rows of one metric of an arm: seed, step, layer, value."""
    curves = experiment.curves
    own = curves[(curves["arm"] == arm) & (curves["split"] == split)]
    return own.loc[own["metric"] == metric, ["seed", "step", "layer", "value"]]


def by_layer(experiment: ExperimentData, arm: str, metric: str) -> pd.DataFrame:
    """Pivot a probe's metric of an arm's only seed: a row a step, a column a layer."""
    own = series(experiment, arm, "train@batch", metric)
    own = own.assign(layer=own["layer"].astype(str).astype(int))
    return own.pivot(index="step", columns="layer", values="value").sort_index(axis=1)


def of_seed(experiment: ExperimentData, seed: int) -> ExperimentData:
    """Return the experiment with the curves of one seed alone."""
    curves = experiment.curves
    return ExperimentData(**{**vars(experiment), "curves": curves[curves["seed"] == seed]})


def bands_picture(
    folder: Path, experiment: ExperimentData, configs: Mapping[str, Config]
) -> GalleryPicture:
    """Draw the 15th, 50th and 85th percentiles by layer over training."""
    arms = by_norm(configs)
    config = configs[arms["none"]]
    own = of_seed(experiment, config.seeds[0])
    tables = {norm: [by_layer(own, arm, p) for p in SHARES] for norm, arm in arms.items()}
    bands = {norm: np.stack(list(map(np.asarray, some)), 2) for norm, some in tables.items()}
    steps = tables["none"][0].index.to_numpy()
    spread = {norm: values[-1, -1, 2] - values[-1, -1, 0] for norm, values in bands.items()}
    middle = {norm: values[-1, -1, 1] for norm, values in bands.items()}
    layers = bands["none"].shape[1]
    title = (
        f"Layer {layers} is fed {middle['none']:.2f} ± {spread['none'] / 2:.2f} without BN, "
        f"{middle['batchnorm']:.2f} ± {spread['batchnorm'] / 2:.2f} with it"
    ).replace("-", "−")
    caption = (
        f"{net_words(config)}; rate {learning_rate(config):g} for both, seed {config.seeds[0]}. "
        "Lines: the median over the images of a training batch; bands: from the 15th to the 85th "
        "percentile (± is half of that). Both of each unit, averaged over the units of a layer. "
        "After Ioffe & Szegedy 2015, figure 1(b, c), who show one unit."
    )
    figure = drawings.draw_bands(steps, bands, title, caption)
    return GalleryPicture(
        "activation-bands", title, caption, slides.save(figure, folder / "activation-bands")
    )


def densities(experiment: ExperimentData, norm: str, arm: str) -> Densities:
    """Collect the histograms of an arm over training."""
    tables = [by_layer(experiment, arm, f"share_{k:02}") for k in range(BINS + 2)]
    shares = np.stack(list(map(np.asarray, tables)), 2)
    steps = tables[0].index
    accuracy = series(experiment, arm, "val", "accuracy").set_index("step")["value"]
    edges = np.linspace(-REACH, REACH, BINS + 1)
    percent = 100 * accuracy.reindex(steps).to_numpy()
    return Densities(norm, steps.to_numpy(), shares, edges, percent)


def densities_picture(
    folder: Path, experiment: ExperimentData, configs: Mapping[str, Config]
) -> GalleryPicture:
    """Draw the film of the densities of all layers over training."""
    arms = by_norm(configs)
    config = configs[arms["none"]]
    own = of_seed(experiment, config.seeds[0])
    nets = [densities(own, norm, arm) for norm, arm in arms.items()]
    layers = nets[0].shares.shape[1]
    flat = {
        norm: 100 * by_layer(own, arm, "saturation")[layers].iloc[-1] for norm, arm in arms.items()
    }
    title = (
        f"Layer {layers} ends {flat['none']:.0f} % saturated without BN, "
        f"{flat['batchnorm']:.0f} % with it"
    )
    beyond = max(float(np.nanmax(net.shares[:, :, [0, -1]].sum(2))) for net in nets)
    caption = (
        f"{net_words(config)}; rate {learning_rate(config):g} for both, seed {config.seeds[0]}. "
        f"Density of all values that enter a layer's sigmoids, of the first {SUBSET:,} training "
        f"images in training mode, layer 1 nearest the input; at most {100 * beyond:.1f} % lie "
        f"beyond ±{REACH:g}. "
        "Accuracy on validation images, which BN meets with running averages. Steps are not "
        "evenly spaced."
    )
    files = films.densities_film(nets, title, caption, folder / "activations")
    return GalleryPicture("activations", title, caption, files)


def gradient_picture(
    folder: Path, experiment: ExperimentData, configs: Mapping[str, Config]
) -> GalleryPicture:
    """Draw the loss along the gradient over training, from the runs' own records."""
    arms = by_norm(configs)
    config = configs[arms["none"]]
    quantities, steps = {}, np.zeros(0)
    for metric in QUANTITIES:
        quantities[metric] = {}
        for norm, arm in arms.items():
            own = series(experiment, arm, "train@batch", metric)
            table = own[own["step"] > 0].pivot(index="seed", columns="step", values="value")
            quantities[metric][norm] = np.asarray(table)
            steps = table.columns.to_numpy()
    ratios = drawings.halves(steps, quantities["smoothness"])
    title = (
        f"With BN the gradient changes {ratios[0]:.2g} times as fast along itself in the first "
        f"half of training, {ratios[1]:.2g} times as fast in the second"
    )
    caption = (
        f"{net_words(config)}; rate {learning_rate(config):g} for both; seeds "
        f"{ranges_label(sorted(config.seeds))}, thick their median. Steps of ½ to 4 rates along "
        "−∇L; lower right: the largest ‖∇L(w′) − ∇L(w)‖ / ‖w′ − w‖ at distances of 0.01 to 0.4, "
        "whose medians the title compares (geometric mean over points). After Santurkar et al. "
        "2018, figure 4. Where the loss is near 0 so is its gradient."
    )
    figure = drawings.draw_gradient(steps, quantities, title, caption)
    files = slides.save(figure, folder / "along-the-gradient")
    return GalleryPicture("along-the-gradient", title, caption, files)


def planes_picture(
    folder: Path, results: Path, configs: Mapping[str, Config], say: Callable[[str], None]
) -> GalleryPicture:
    """Draw the loss around the trained weights of the first seed, with the basins of all seeds."""
    order = sorted(
        configs, key=lambda a: (configs[a].norm.name != "none", learning_rate(configs[a]))
    )
    planes = []
    for arm in order:
        config = configs[arm]
        first, *others = [
            measured_plane(folder, results, arm, config, seed, GRID if k == 0 else COARSE, say)
            for k, seed in enumerate(config.seeds)
        ]
        axis = np.linspace(-HALF, HALF, GRID)
        shares = [drawings.share_below(other) for other in others]
        rate = learning_rate(config)
        planes.append(PlaneOf(config.norm.name, rate, axis, first, shares))
    config = configs[order[0]]
    others = "; ".join(
        f"{p.name}: {', '.join(f'{100 * share:.0f} %' for share in p.others)}" for p in planes
    )
    seeds = ranges_label(sorted(config.seeds[1:]))
    again = (
        f" Below {BASIN} nats on other seeds' nets and planes ({seeds}): {others}." if seeds else ""
    )
    caption = (
        f"{net_words(config)}, seed {config.seeds[0]}. Star: the trained weights. Directions: "
        "random, each filter scaled to the norm of its weights (Li et al. 2018), the same draw for "
        f"all nets; biases, γ and β fixed. Loss of {IMAGES} training images in training mode, so "
        f"that BN takes their statistics anew at each point.{again}"
    )
    title = drawings.planes_title(planes)
    figure = drawings.draw_planes(planes, title, caption)
    files = slides.save(figure, folder / "loss-landscape")
    return GalleryPicture("loss-landscape", title, caption, files)


def write_index(folder: Path, pictures: Sequence[GalleryPicture], facts: Mapping[str, Any]) -> None:
    """Write index.md and gallery.json: titles, captions, files with hashes, circumstances."""
    lines = [
        "# Gallery",
        "",
        f"Made by `{facts['command']}`; gallery.json has commit and versions.",
        "",
    ]
    for picture in pictures:
        shown = next((f for f in picture.files if f.endswith(".gif")), picture.files[0])
        lines += [
            f"## {picture.title}",
            "",
            f"![{picture.title}]({shown})",
            "",
            picture.caption,
            "",
        ]
        lines += ["Files: " + ", ".join(f"[{f}]({f})" for f in picture.files), ""]
    write_whole(folder / "index.md", "\n".join(lines), DEPTH)
    told = [
        {**asdict(p), "sha256": {file: file_digest(folder / file, depth=DEPTH) for file in p.files}}
        for p in pictures
    ]
    write_whole(folder / "gallery.json", as_json({**facts, "pictures": told}), DEPTH)
