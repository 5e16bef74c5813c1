"""Numbers and words from the files of finished runs: tables, intervals, verdicts.

Reads results through `tracking`; draws nothing and never imports torch. Begin with `load` (runs of
an experiment as frames), then `stats` and `inference`.
"""

from bnbench.analysis.load import ExperimentData, curve, final, finished, load
from bnbench.analysis.stats import (
    Interval,
    arm_table,
    comparisons,
    mean_interval,
    paired_difference,
)
from bnbench.tracking.experiment_dir import find

__all__ = [
    "ExperimentData",
    "Interval",
    "arm_table",
    "comparisons",
    "curve",
    "final",
    "find",
    "finished",
    "load",
    "mean_interval",
    "paired_difference",
]
