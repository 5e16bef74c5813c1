"""What the files of finished runs say: tables, intervals, comparisons, figures, the report.

`report` and `plots` are not imported here: seaborn is slow, and the numbers do without it.
"""

from bnbench.analysis import matplotlib_import  # noqa: F401  (before anything imports matplotlib)
from bnbench.analysis.load import Experiment, curve, final, finished, load
from bnbench.analysis.stats import (
    Interval,
    arm_table,
    comparisons,
    mean_interval,
    paired_difference,
)
from bnbench.tracking.experiment_dir import find

__all__ = [
    "Experiment",
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
