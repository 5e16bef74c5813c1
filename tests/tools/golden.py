"""Write down what a change of the code's layout must leave as it is; compare two with `diff -r`.

    python -m tests.tools.golden FOLDER [--only arms,runs]

    arms/    the id of every arm of every shipped experiment, on each data set that has a form of it
    runs/    metrics.csv and shifts.csv of short runs: each norm in an MLP, each small net
    claims/  scoreboard.csv, parts.csv and evidence, judged anew from the committed evidence
    pages/   the report and the pages of claims over results/reference, with their figures

Numbers of runs depend on the machine: compare folders that were written on one.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import hydra

from bnbench import CONFIGS, ROOT, cli
from bnbench.claims import files
from bnbench.claims.judge import judge
from bnbench.claims.recorded import RecordedMeasurements, recorded
from bnbench.claims.registry.table import ON_DATA, claims_on
from bnbench.commands.train import main as sweep
from bnbench.config.schema import SPATIAL_NORMS, Policy
from bnbench.pages.report import write_report

REFERENCE = ROOT / "results" / "reference"
POLICIES = ",".join(p.value for p in Policy if p != Policy.recalibrated)
SHORT = (
    *("data=digits", "seeds=[0]", "device=cpu", "track=csv", "train.steps=12"),
    *("train.eval_points=4", "batch_size=32", "shift=contrast", "probes=[gradients,activations]"),
)


def arms(folder: Path) -> None:
    """Write `experiment.txt`: per data set the ids of its arms, in order."""
    for path in sorted((CONFIGS / "experiment").glob("*.yaml")):
        forms = [f.parent.name for f in sorted((CONFIGS / "on_data").glob(f"*/{path.name}"))]
        lines = []
        for data in ("digits", *forms):
            with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3", job_name="train"):
                asked = [f"experiment={path.stem}", f"data={data}", f"results={folder}/none"]
                request = cli.read(asked, multirun=False, needs_data=False)
            lines += [f"{data} {arm}" for arm in request.arms]
        (folder / f"{path.stem}.txt").write_text("\n".join(lines) + "\n")


def runs(folder: Path) -> None:
    """Train short runs of each norm and each small net and keep what they measured."""
    norms = sorted(path.stem for path in (CONFIGS / "norm").glob("*.yaml"))
    in_mlp = [name for name in norms if name not in SPATIAL_NORMS]
    results = folder / "results"
    for model, some in (
        ("mlp", in_mlp),
        ("sigmoid_mlp", ["batchnorm", "none"]),
        ("vgg", ["batchnorm", "groupnorm", "instancenorm", "none"]),
        ("sigmoid_vgg", ["batchnorm"]),
    ):
        for norm in some:
            policies = POLICIES if "batch" in norm and norm != "batchnorm_lrn" else "ema"
            argv = [f"model={model}", f"norm={norm}", f"train.policies=[{policies}]"]
            with (folder / "log.txt").open("a") as log, redirect_stdout(log), redirect_stderr(log):
                code = sweep([*SHORT, *argv, f"results={results}"])
            if code:
                sys.exit(f"{' '.join(argv)} ended with {code}: see {folder}/log.txt")
    for path in sorted(results.glob("runs/*/seed-0/*.csv")):
        (folder / f"{path.parts[-3]}-{path.name}").write_bytes(path.read_bytes())
    shutil.rmtree(results)
    (folder / "log.txt").unlink()


def claims(folder: Path) -> None:
    """Judge the committed evidence anew: the judge's own functions on the evidence's values."""
    for data in ("digits", *ON_DATA):
        board = REFERENCE / "claims" / data
        if board.exists():
            given = recorded(claims_on(data).values(), board)
            verdicts = judge(given, RecordedMeasurements(board))
            files.write(verdicts, folder / data)


def pages(folder: Path) -> None:
    """Write the report and the claims' pages over a copy of the committed results."""
    shutil.copytree(REFERENCE, folder, dirs_exist_ok=True)
    write_report(folder)


PARTS: dict[str, Callable[[Path], None]] = {
    "arms": arms,
    "runs": runs,
    "claims": claims,
    "pages": pages,
}


def main() -> None:
    """Write the parts that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    args = parser.parse_args()
    os.environ["WANDB_MODE"] = "disabled"
    for name in args.only.split(","):
        (args.folder / name).mkdir(parents=True)
        with mock.patch.object(sys, "argv", sys.argv[:1]):
            PARTS[name](args.folder / name)


if __name__ == "__main__":
    main()
