"""Fills in what a request does not say of the user's own data: facts, digest and learning rates.

The images are read here once, before anything trains; workers are told what was found.
"""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from bnbench.config.checks import RequestError, as_typed, check_range
from bnbench.config.keys import expected
from bnbench.config.quoting import folder, subcommand
from bnbench.config.recipe import OwnSource, own_source
from bnbench.config.schema import FOUND_OUT, OWN_DATA_CONFIGS, PER_SEED, Config
from bnbench.data.files import DataError
from bnbench.data.own import OwnImages, check_splits, named, packed, read
from bnbench.request.provenance import key_of
from bnbench.request.rates import read_rates
from bnbench.tracking.kept_images import keep, kept

PLACES = {  # by kind: the key that says where the images lie, and what it is to be
    "folder": ("root", "the folder that holds one folder of images a class, as data.root=photos"),
    "npz": ("file", "the .npz file of numpy that holds images and labels, as data.file=mine.npz"),
}
LOOKED_UP = "${data.name}"  # in a rate that is looked up by model and data set
ADAM = "optim.base_lr=0.0003,0.001,0.003,0.01,0.03"  # its grid; that of tune_lr is for sgd


def fill_in(config: DictConfig, job: Sequence[str]) -> None:
    """Fill in what follows from the user's own data, where a composed job is about such.

    Args:
        config: the job, as it was composed.
        job: its overrides.

    Raises:
        RequestError: the data cannot be used, or no learning rate is known for them.
    """
    if not OmegaConf.is_dict(config.data) or config.data.get("kind") not in OWN_DATA_CONFIGS:
        return
    data = config.data
    key, what = PLACES[data.kind]
    if (path := data.get(key)) is None:
        raise RequestError(f"data.{key}: expected {what}")
    for name, value, kind in (
        (key, path, str),
        ("size", data.get("size", 1), int),
        ("split_seed", data.get("split_seed"), (int, str)),
        ("name", data.get("name") or "data", str),
        ("digest", data.get("digest") or "sha256:" + 16 * "0", str),
    ):
        if not isinstance(value, kind):
            raise RequestError(
                f"data.{name}={as_typed(value)}: expected {expected(f'data.{name}')}"
            )
        check_range(f"data.{name}", value)
    if typed := [name for name in FOUND_OUT if name in data]:
        raise RequestError(f"data.{typed[0]}: follows from the images, expected no such key")
    place = Path(folder(path, f"data.{key}"))
    results = Path(folder(str(config.results)))
    try:
        found = read(OwnSource(data.kind, place, data.get("size", 0), "", results), kept)
        check_splits(found, None if data.split_seed == PER_SEED else int(data.split_seed))
    except DataError as error:
        raise RequestError(f"data.{key}={path}: {error}") from error
    if data.get("digest") not in (None, found.digest):
        raise RequestError(f"data.digest={data.digest}: expected {found.digest}, that of {path}")
    sizes, shape, num_classes = found.facts
    with open_dict(config):
        data.update(
            name=named(data.get("name"), place, found.digest),
            digest=found.digest,
            num_classes=num_classes,
            shape=list(shape),
            sizes=list(sizes),
            rarest=int(sum(sorted(found.counts.tolist())[:2])),
        )
    look_up(config, job, results)


def look_up(config: DictConfig, job: Sequence[str], results: Path) -> None:
    """Take a learning rate that is not given from the user's own table (`RequestError`)."""
    optim = config.optim
    if not OmegaConf.is_dict(optim) or OmegaConf.select(config, "tune.low") is not None:
        return
    text = OmegaConf.to_container(optim, resolve=False).get("base_lr")  # type: ignore[union-attr]
    if LOOKED_UP not in str(text):
        return
    model, name = str(config.model.name), str(optim.name)
    rate = read_rates(results, config.data.digest).get(name, {}).get(model)
    if rate is None:
        raise RequestError(
            f"optim.base_lr: no rate is tuned for model={model} data={config.data.name} "
            f"optim={name} (configs/base_lr.yaml has none of your own data), expected "
            f"optim.base_lr=<rate>, or tune it: {tuning_command(config, job)}"
        )
    optim.base_lr = rate


def tuning_command(config: DictConfig, job: Sequence[str]) -> str:
    """The command that finds the learning rates for the data of a job."""
    typed = {key_of(line): line for line in job}
    args = [line for key, line in typed.items() if key.startswith("data.") or key == "results"]
    if "digits" not in config.tuned_lr.get(config.optim.name, {}).get(config.model.name, {}):
        args.append(f"model={config.model.name}")  # the others are what tune_lr is about
    if config.optim.name != "sgd":
        args += [f"optim={config.optim.name}", ADAM]
    data = typed.get("data", f"data={config.data.kind}").partition("=")[2]
    return subcommand("sweep", args, experiment="tune_lr", data=data)


def images_of(config: Config) -> OwnImages | None:
    """The user's own images that a configuration is about; None for a data set known by name.

    Raises:
        RequestError: they have changed since the request was read.
    """
    source = own_source(config.data, Path(config.results))
    try:
        return source and read(source, kept)
    except DataError as error:
        raise RequestError(f"{config.data.name}: {error}") from error


def keep_prepared(found: OwnImages, results: Path) -> None:
    """Keep the prepared images of a folder below the results, in the place of damaged ones too.

    Raises:
        DamagedError: a link or a file is in the place of their folder.
        OSError: they cannot be written.
    """
    if found.key and not found.was_kept:
        content = packed(found)
        if kept(results, found.key) != content:
            keep(results, found.key, content)
