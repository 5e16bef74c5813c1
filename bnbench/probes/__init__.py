"""Measurements of a net beside its accuracy, which leave it bit for bit as it was.

docs/probes.md has the formulas and their sources. A probe is made for each run. Begin with
`passes`, which every probe uses and which leave no trace, then `gradients`.
"""

from collections.abc import Callable

from bnbench.probes.activations import (
    Drift,
    activations,
    affine,
    conditioning,
    histogram,
    saturation,
    variance,
)
from bnbench.probes.attacks import adversarial
from bnbench.probes.curvature import curvature
from bnbench.probes.gradients import gradients, ics
from bnbench.probes.landscape import landscape
from bnbench.probes.passes import Batch as Batch
from bnbench.probes.passes import Probe as Probe
from bnbench.probes.passes import Unseen as Unseen
from bnbench.probes.units import ablation
from bnbench.probes.weights import weights

PROBES: dict[str, Callable[[], Probe]] = {
    "gradients": lambda: gradients,
    "activations": lambda: activations,
    "histogram": lambda: histogram,
    "drift": Drift,
    "saturation": lambda: saturation,
    "variance": lambda: variance,
    "affine": lambda: affine,
    "conditioning": lambda: conditioning,
    "weights": lambda: weights,
    "ics": lambda: ics,
    "adversarial": lambda: adversarial,
    "ablation": lambda: ablation,
    "landscape": lambda: landscape,
    "curvature": lambda: curvature,
}
