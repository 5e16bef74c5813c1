"""What a number of a table rests on: the runs of its arm, and the command that repeats them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.load import config_columns, final, finished
from bnbench.analysis.stats import ACCURACY, PRECISE, thresholds
from bnbench.pages.arm_command import arm_command
from bnbench.tracking.run_dir import RunFolder


def run_details(runs: pd.DataFrame, results: Path) -> dict[str, Any]:
    """The finished runs by arm, as the page shows them when a row is opened.

    Returns:
        columns: what is said of a run behind its seed and outcome; the first is the accuracy.
        arms: arm -> `runs` (seed, outcome, numbers; None where there is none), whether there are
            `folders` of them, and the `command`, None where none gives the arm.
    """
    ended = finished(runs)
    ended = ended.assign(accuracy=100 * final(ended, ACCURACY))
    if precise := PRECISE in ended and ended[PRECISE].notna().any():
        ended["precise"] = 100 * ended[PRECISE]
    limits = thresholds(ended)
    header = {"accuracy": "test accuracy (%)"}
    header |= {"precise": "with precise statistics (%)"} if precise else {}
    header |= {limit: f"steps to {float(limit.split('/')[1]):.4g}" for limit in limits}
    header |= {"seconds": "seconds"}
    settings = config_columns(runs)
    arms = {}
    for arm, own in ended.groupby("arm", sort=False):
        own = own.sort_values("seed")
        seeds = [int(seed) for seed in own["seed"]]
        numbers = own[list(header)].to_numpy(float)
        rows = zip(seeds, _outcomes(own), numbers, strict=True)
        arms[str(arm)] = {
            "runs": [[seed, outcome, *map(_short, row)] for seed, outcome, row in rows],
            "folders": RunFolder.of(results, str(arm), seeds[0]).path.exists(),
            "command": arm_command(str(arm), _first(own, settings), seeds),
        }
    return {"columns": list(header.values()), "arms": arms}


def _first(own: pd.DataFrame, settings: list[str]) -> Mapping[str, Any]:
    return {str(key): value for key, value in own[settings].iloc[0].items()}


def _outcomes(own: pd.DataFrame) -> list[str]:
    return np.where(own["stuck"], "stuck", own["status"]).tolist()


def _short(value: float) -> float | None:
    return float(f"{value:.7g}") if np.isfinite(value) else None
